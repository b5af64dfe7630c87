"""Plane-wave acoustics of random tissue: the only source of training data."""

from edgerecon.data.simulate.dataset import FORMAT, simulate

__all__ = ["FORMAT", "simulate"]
