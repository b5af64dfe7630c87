"""What engines around another engine have in common."""

from __future__ import annotations

from edgerecon.engines.base import Engine


class WrappedEngine:
    """An engine around another one, which is reset and closed with it.

    Attributes:
        spec: of the other engine, unless a subclass gives its own.
    """

    def __init__(self, engine: Engine) -> None:
        self.spec = engine.spec
        self._engine = engine

    def reset(self) -> None:
        """See ``edgerecon.engines.base.Engine.reset``."""
        self._engine.reset()

    def close(self) -> None:
        """See ``edgerecon.engines.base.Engine.close``."""
        self._engine.close()
