"""The runtime cuda; see ``engine.py``."""

from edgerecon.engines.cuda.engine import BACKEND

__all__ = ["BACKEND"]
