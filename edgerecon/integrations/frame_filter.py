"""A model as a function of one frame: what every framework that brings its own loop calls."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import RawImage, to_unit
from edgerecon.stream.engines import Engines
from edgerecon.stream.picture.protect import AUTO

_FULL = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}


class FrameFilter:
    """Runs a model as ``edgerecon stream`` does: on tissue alone, as strongly as asked for. Not thread-safe.

    Args:
        model: a shipped name or a path. backend: see ``open_engine``.
        strength: share of the model in the picture, in [0, 1]; may be set at any time.
        protect: "auto", "none" or the tissue's "x,y,w,h", see ``edgerecon.stream.picture.protect``.

    Attributes:
        scale: output pixels a side for each input pixel.

    Raises:
        UsageError, ModelError, EngineError: as ``open_engine``, or a strength or a region that makes no sense.

    Examples:
        >>> with FrameFilter("compact-despeckle") as despeckle:
        ...     despeckle(np.zeros((24, 32), np.uint8)).shape
        (24, 32)
    """

    def __init__(
        self, model: str = "compact-despeckle", backend: str = "auto", strength: float = 1.0, protect: str = AUTO
    ) -> None:
        self._engines = Engines(backend, strength=strength, protect=protect)
        self._engine = self._engines.open(model)
        self.scale = self._engine.spec.model.scale

    def __enter__(self) -> FrameFilter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def strength(self) -> float | None:
        """In [0, 1]; None: the output has another size than the frame, so that nothing can be blended."""
        return self._engines.strength

    @strength.setter
    def strength(self, strength: float | None) -> None:
        self._engines.strength = strength

    def __call__(self, frame: RawImage) -> NDArray[Any]:
        """The reconstructed picture, (H·scale, W·scale): uint8, uint16 or float32 in [0, 1], as the frame was.

        Colour becomes grey.

        Raises:
            ValueError: no frame, see ``to_unit``. EngineError: the runtime failed.
        """
        picture = self._engine.run(to_unit(frame))
        full = _FULL.get(frame.dtype)
        return picture if full is None else np.rint(picture * full).astype(frame.dtype)

    def reset(self) -> None:
        """Forget the frames before: the next one is the first of its sequence."""
        self._engine.reset()

    def close(self) -> None:
        """Release the runtime's memory."""
        self._engines.__exit__()
