"""Delay-and-sum, with x the delayed and weighted signal of element e and transmit w: y = Σ_w Σ_e x.

Perrot et al., "So you think you can DAS?", Ultrasonics 111, 2021.
"""

from edgerecon.beamform.methods.method import Method

METHOD = Method("das", "delay-and-sum", kernel=True)
