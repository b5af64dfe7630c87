"""How much of the model's picture is shown: out = strength · model + (1 − strength) · input.

The blend is outside the graph, so that one file serves every strength; 0 is the input bit for bit and runs no model.
"""

from __future__ import annotations

import cv2
import numpy as np

from edgerecon.core.errors import UsageError
from edgerecon.core.frame import GreyLevels, Image
from edgerecon.engines.base import Engine, takes_bytes
from edgerecon.engines.wrapped import WrappedEngine


def check_strength(strength: float) -> float:
    """The strength itself, when it is in [0, 1].

    Raises:
        UsageError: it is not.
    """
    if not 0.0 <= strength <= 1.0:
        raise UsageError(f"the strength is from 0 (the input) to 1 (the model), not {strength:g}")
    return strength


class AdjustableStrength:
    """A strength in [0, 1] that may be set at any time, and holds from the next frame on.

    Raises:
        UsageError, when it is set: it is beyond [0, 1].
    """

    _strength = 1.0

    @property
    def strength(self) -> float:
        """Share of what the model says in the picture, in [0, 1]."""
        return self._strength

    @strength.setter
    def strength(self, strength: float) -> None:
        self._strength = check_strength(strength)


class BlendedEngine(AdjustableStrength, WrappedEngine):
    """An engine whose output is blended with its input.

    Args:
        engine: gives images of the frame's size; is closed with this one.
        strength: see ``AdjustableStrength``.

    Raises:
        UsageError: a strength beyond [0, 1], or a model whose output has another size than its input.

    Examples:
        >>> import edgerecon as er
        >>> half = BlendedEngine(er.open_engine("compact-despeckle"), 0.5)
        >>> half.run(np.zeros((8, 8), np.float32)).shape
        (8, 8)
    """

    def __init__(self, engine: Engine, strength: float) -> None:
        spec = engine.spec.model
        if strength != 1 and (spec.scale != 1 or spec.fixed_output):
            raise UsageError(f"{spec.name} changes the size of a frame: its strength is 1")
        super().__init__(engine)
        self._copy = np.empty((0, 0), np.float32)
        self.strength = strength

    def run(self, frame: Image, out: Image | None = None) -> Image:
        """See ``edgerecon.engines.base.Engine.run``."""
        strength = self._strength
        if strength == 1:
            return self._engine.run(frame, out)
        if strength == 0:
            if out is None:
                return frame.copy()
            np.copyto(out, frame)
            return out
        if out is not None and np.shares_memory(frame, out):
            if self._copy.shape != frame.shape:
                self._copy = np.empty_like(frame)
            np.copyto(self._copy, frame)
            frame = self._copy
        result = self._engine.run(frame, out)
        return np.asarray(cv2.addWeighted(result, strength, frame, 1 - strength, 0.0, dst=result))

    @property
    def takes_bytes(self) -> bool:
        """See ``edgerecon.engines.base.ByteEngine``."""
        return takes_bytes(self._engine)

    def run_bytes(
        self,
        seen: GreyLevels,
        out: GreyLevels,
        *,
        frame: GreyLevels | None = None,
        tissue: GreyLevels | None = None,
        strength: float = 1.0,
    ) -> None:
        """See ``edgerecon.engines.base.ByteEngine.run_bytes``; ``strength`` is a share of this engine's."""
        assert takes_bytes(self._engine)
        strength *= self._strength
        if strength == 0:
            if tissue is None or frame is None:
                np.copyto(out, seen)
            else:
                np.copyto(out, frame)
                cv2.copyTo(seen, tissue, out)
        else:
            self._engine.run_bytes(seen, out, frame=frame, tissue=tissue, strength=strength)
