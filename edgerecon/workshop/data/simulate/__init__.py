"""Training pairs by simulation: plane-wave acoustics of random tissue, or what scanners display of it."""

from edgerecon.workshop.data.simulate.dataset import FORMAT, KINDS, simulate

__all__ = ["FORMAT", "KINDS", "simulate"]
