"""What all engines do alike around their runtime: check the frame, pad it, run, crop, clip."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from edgerecon.engines.base import EngineSpec
from edgerecon.engines.model_file import ModelFile
from edgerecon.errors import EngineError
from edgerecon.frame import Image

INPUT, OUTPUT = "frame", "reconstruction"


class PaddedEngine(ABC):
    """Host buffers of the padded size, which live as long as the frame size stays; a runtime does the rest.

    A subclass makes itself ready in ``_bind`` and turns ``source`` into ``result`` in ``_execute``; whatever they raise
    becomes an ``EngineError``.
    """

    def __init__(self, file: ModelFile, backend: str, precision: str, threads: int) -> None:
        self.spec = EngineSpec(file.spec, backend, precision, threads)
        self._shape: tuple[int, ...] = ()
        self._open = True

    @abstractmethod
    def _bind(self, padded: tuple[int, int]) -> tuple[Image, Image]:
        """Host arrays for frames of the padded size, float32: (1, 1, H, W) and (1, 1, H·scale, W·scale)."""

    @abstractmethod
    def _execute(self) -> None:
        """Run the model on the first of the bound arrays into the second; returns when the result is there."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of everything the runtime holds."""

    def run(self, frame: Image, out: Image | None = None) -> Image:
        """See ``Engine.run``. ``out`` may be ``frame`` itself when the scale is 1."""
        if not self._open:
            raise EngineError("the engine is closed: open it again")
        if not isinstance(frame, np.ndarray) or frame.dtype != np.float32 or frame.ndim != 2 or frame.size == 0:
            raise EngineError(f"a frame must be a non-empty float32 H×W array, not {_described(frame)}")
        height, width = frame.shape
        scale, multiple = self.spec.model.scale, self.spec.model.size_multiple
        shape = (height * scale, width * scale)
        if out is not None and not (isinstance(out, np.ndarray) and out.dtype == np.float32 and out.shape == shape):
            raise EngineError(f"out must be float32 {shape[0]}×{shape[1]}, not {_described(out)}")
        try:
            if frame.shape != self._shape:
                source, result = self._bind((height + -height % multiple, width + -width % multiple))
                self._input, self._output, self._shape = source[0, 0], result[0, 0], frame.shape
            self._input[:height, :width] = frame
            self._input[height:, :width] = frame[-1]
            self._input[:, width:] = self._input[:, width - 1 : width]
            self._execute()
        except Exception as error:  # noqa: BLE001 - the runtimes' exceptions share no base
            self._shape = ()
            raise EngineError(f"{self.spec.backend} failed on a {height}×{width} frame: {first_line(error)}") from None
        return np.clip(self._output[: shape[0], : shape[1]], 0.0, 1.0, out=out)

    def reset(self) -> None:  # noqa: B027 - temporal engines override it
        """Nothing to forget: single-frame models only."""

    def close(self) -> None:
        """See ``Engine.close``."""
        if self._open:
            self._release()
        self._open, self._shape = False, ()


def first_line(error: Exception) -> str:
    """What a runtime's exception says, on one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__
