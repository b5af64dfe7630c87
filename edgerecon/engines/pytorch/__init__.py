"""The runtime pytorch; see ``engine.py``."""

from edgerecon.engines.pytorch.engine import BACKEND

__all__ = ["BACKEND"]
