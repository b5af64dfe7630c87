"""Coherence factor: y = Σ x · |Σ x|² / (n Σ |x|²), x being one of n elements' signals, compounded over the transmits.

Mallart & Fink, J. Acoust. Soc. Am. 96(6), 1994.
"""

from edgerecon.beamform.methods.method import Method

METHOD = Method("cf", "coherence factor", kernel=True)
