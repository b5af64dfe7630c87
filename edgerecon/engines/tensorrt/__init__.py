"""The runtime tensorrt; see ``engine.py``."""

from edgerecon.engines.tensorrt.engine import BACKEND

__all__ = ["BACKEND"]
