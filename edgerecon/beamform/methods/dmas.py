"""Filtered delay-multiply-and-sum in baseband: with s = x / √|x|, y = Σ_{i<j} sᵢ sⱼ = ((Σ s)² − Σ s²) / 2.

x is one element's signal, compounded over the transmits. On RF the products' band around twice the carrier has to be
filtered out (F-DMAS; Matrone et al., IEEE TMI 34(4), 2015); in baseband it is the only one (Shen & Hsieh, Ultrasonics
96, 2019).
"""

from edgerecon.beamform.methods.method import Method

METHOD = Method("dmas", "filtered delay-multiply-and-sum", kernel=True)
