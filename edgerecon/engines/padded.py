"""What all engines do alike around their runtime: check the frame, pad it, run, crop, clip, carry the state.

A temporal model reads ``state_in`` and writes ``state_out``, N×C×H/d×W/d float32, zeros before the first frame. Two
buffers change places with every frame, so that nothing is copied.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EngineError, first_line
from edgerecon.core.frame import Image
from edgerecon.engines.base import EngineSpec
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.ports import INPUT, OUTPUT, STATE_IN, STATE_OUT


class PaddedEngine(ABC):
    """Host buffers of the padded size, which live as long as the frame size stays; a runtime does the rest.

    A subclass makes itself ready in ``_bind`` and turns ``source`` into ``result`` in ``_execute``; whatever they raise
    becomes an ``EngineError``. It reads state buffer ``_turn`` and writes the other one.

    Attributes:
        margin: pixels by which a frame is continued beyond its border, by the nearest of its pixels, before the model
            sees it: models pad with zeros, which darkens what lies at the border. 0 until it is set; 0 again when the
            runtime takes no frame of that size.
    """

    margin: int = 0

    def __init__(self, file: ModelFile, backend: str, precision: str, threads: int, *, simulated: bool = False) -> None:
        self.spec = EngineSpec(file.spec, backend, precision, threads, simulated)
        self._fitted: tuple[tuple[int, ...], int] = ((), 0)
        self._states: tuple[Image, ...] = ()
        self._turn = 0
        self._open = True

    @abstractmethod
    def _bind(self, padded: tuple[int, int]) -> tuple[Image, Image]:
        """Float32 arrays for frames of the padded size, (1, channels, H, W) and (1, 1, *output); the state is zero."""

    @abstractmethod
    def _execute(self) -> None:
        """Run the model on the first of the bound arrays into the second; returns when the result is there."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of everything the runtime holds."""

    def run(self, frame: Image, out: Image | None = None) -> Image:
        """See ``Engine.run``. ``out`` may be ``frame`` itself when the scale is 1."""
        self._check_open()
        model = self.spec.model
        if not (
            isinstance(frame, np.ndarray) and frame.dtype == np.float32 and frame.size and model.takes(frame.shape)
        ):
            size = "H×W" if model.channels == 1 else f"{model.channels}×H×W"
            raise EngineError(f"a frame must be a non-empty float32 {size} array, not {_described(frame)}")
        shape = model.output_shape(*frame.shape[-2:])
        if out is not None and not (isinstance(out, np.ndarray) and out.dtype == np.float32 and out.shape == shape):
            raise EngineError(f"out must be float32 {shape[0]}×{shape[1]}, not {_described(out)}")
        with self._fit_to(frame):
            self._put(frame)
            self._execute()
            if model.state_channels:
                self._turn = 1 - self._turn
        top = self.margin * model.scale
        return np.clip(self._output[top : top + shape[0], top : top + shape[1]], 0.0, 1.0, out=out)

    def _check_open(self) -> None:
        if not self._open:
            raise EngineError("the engine is closed: open it again")

    @contextmanager
    def _fit_to(self, frame: NDArray[Any]) -> Iterator[None]:
        """What a frame of this size needs is bound within; whatever is raised there becomes an ``EngineError``."""
        self._check_open()
        try:
            if (frame.shape, self.margin) != self._fitted:
                self._fit(frame.shape)
            yield
        except Exception as error:  # noqa: BLE001 - the runtimes' exceptions share no base
            self._fitted = ((), 0)
            size = "×".join(map(str, frame.shape))
            raise EngineError(f"{self.spec.backend} failed on a {size} frame: {first_line(error)}") from None

    def _fit(self, shape: tuple[int, ...]) -> None:
        """Bind what frames of a size need, without the margin where the runtime refuses it."""
        self._turn, multiple = 0, self.spec.model.size_multiple
        while True:
            height, width = (side + 2 * self.margin for side in shape[-2:])
            try:
                source, result = self._bind((height + -height % multiple, width + -width % multiple))
            except Exception:
                if not self.margin:
                    raise
                self.margin = 0
            else:
                break
        self._input = source[0].reshape(self.spec.model.input_shape(*source.shape[-2:]))
        self._output, self._fitted = result[0, 0], (shape, self.margin)

    def _put(self, frame: Image) -> None:
        """Copy the frame in, and repeat its border."""
        margin, (height, width) = self.margin, frame.shape[-2:]
        right, below = margin + width, margin + height
        self._input[..., margin:below, margin:right] = frame
        self._input[..., :margin, margin:right] = frame[..., :1, :]
        self._input[..., below:, margin:right] = frame[..., -1:, :]
        self._input[..., :margin] = self._input[..., margin : margin + 1]
        self._input[..., right:] = self._input[..., right - 1 : right]

    def reset(self) -> None:
        """See ``Engine.reset``."""
        if self._open and self._fitted[0]:
            self._forget()

    def _forget(self) -> None:
        """Zero the state."""
        for state in self._states:
            state.fill(0.0)

    def _host_arrays(self, padded: tuple[int, int]) -> tuple[Image, Image]:
        """What ``_bind`` returns, zeroed; and the two states of a temporal model."""
        shapes = self._shapes(padded)
        source, result, *states = (np.zeros(shape, np.float32) for shape in shapes)
        self._states = tuple(states)
        return source, result

    def _turns(self, source: Image, result: Image) -> list[tuple[dict[str, Image], dict[str, Image]]]:
        """Inputs and outputs of the graph by name, for either turn of a temporal model; one pair for all others."""
        if not self._states:
            return [({INPUT: source}, {OUTPUT: result})]
        return [
            ({INPUT: source, STATE_IN: before}, {OUTPUT: result, STATE_OUT: after})
            for before, after in (self._states, self._states[::-1])
        ]

    def _shapes(self, padded: tuple[int, int]) -> list[tuple[int, ...]]:
        """Of frame and result, and of the two states of a temporal model."""
        model = self.spec.model
        shapes: list[tuple[int, ...]] = [(1, model.channels, *padded), (1, 1, *model.output_shape(*padded))]
        if model.state_channels:
            shapes += [model.state_shape(*padded)] * 2
        return shapes

    def close(self) -> None:
        """See ``Engine.close``."""
        if self._open:
            self._release()
        self._open, self._fitted = False, ((), 0)


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__
