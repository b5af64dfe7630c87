"""One sum over transmits and elements, bound to the CPU kernels or to NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform.fallback import NumpyBeamformer
from edgerecon.beamform.job import heard
from edgerecon.beamform.methods.method import Method
from edgerecon.beamform.settings import Settings
from edgerecon.beamform.signals import Filter, demodulate
from edgerecon.cpu.das import CpuBeamformer, Job
from edgerecon.cpu.das import Filter as CpuFilter
from edgerecon.cpu.library import Library

_FULL_SCALE = 24_000.0  # of 16 bits: an envelope may exceed the largest RF sample
_CLIPPED = 32_767.0
_APERTURE_BYTES = 32 << 20
_LANES = 32

Array = NDArray[Any]


class Summation:
    """Signals of a job's transmits → a complex picture (a real one of RF).

    Args:
        filter: RF goes through it, or None. library: None for NumPy.

    Attributes:
        full_scale: what the largest sample of a frame becomes in 16 bits. It is lowered for the rest of a recording
            when the envelope of a frame exceeds 16 bits, and that frame is loaded anew.
    """

    def __init__(
        self,
        job: Job,
        method: Method,
        settings: Settings,
        filter: Filter | None,
        library: Library | None,
        threads: int,
    ) -> None:
        self._job, self._method, self._settings, self._filter = job, method, settings, filter
        self._engine = NumpyBeamformer(job) if library is None else CpuBeamformer(library, job, threads)
        self._cpu_filter = CpuFilter(filter.taps, filter.turn, filter.step, filter.half) if filter else None
        self._rows = self._engine.rows()
        self._many: list[Array] = []  # rows of frames that go in one pass
        self._heard: list[tuple[slice, NDArray[np.bool_]]] = []
        self._scale = 1.0
        self.full_scale = _FULL_SCALE
        self._type = np.complex64 if job.iq else np.float32

    def load(self, signals: Array, peak: float) -> None:
        """A frame's samples, (transmits, elements, samples), whose largest is ``peak``."""
        self._scale = 1 / self._fill([signals], peak, [self._rows])

    def form(self) -> Array:
        """The picture (H, W) of what was loaded."""
        if self._method.combine is not None:
            return self._combined()
        out = np.empty(self._job.shape, self._type)
        self._engine.run(self._rows, self._scale, out)
        return out

    def split(self, parts: int) -> NDArray[np.float32]:
        """(2 · parts, H, W) of what was loaded: real parts, then imaginary parts, of the sums over each part."""
        out = np.empty((2 * parts, *self._job.shape), np.float32)
        self._engine.split(self._rows, self._scale, out)
        return out

    def batch(self, frames: Sequence[Array], peak: float) -> Array:
        """(T, H, W) by delay-and-sum, up to 32 frames in one pass."""
        while len(self._many) < min(len(frames), _LANES):
            self._many.append(self._engine.rows())
        found = np.empty((len(frames), *self._job.shape), self._type)
        for start in range(0, len(frames), _LANES):
            part = self._many[: len(frames) - start]
            gain = self._fill(frames[start : start + _LANES], peak, part)
            self._engine.batch(part, 1 / gain, found[start : start + _LANES])
        return found

    def _gain(self, signals: Array, peak: float) -> float:
        """From samples to 16 bits; integers that are kept as they are keep their values."""
        if isinstance(self._engine, NumpyBeamformer) or (signals.dtype == np.int16 and self._filter is None):
            return 1.0
        return self.full_scale / peak if peak > 0 else 1.0

    def _fill(self, frames: Sequence[Array], peak: float, rows: Sequence[Array]) -> float:
        """Frames as rows, all of them by the gain that is returned: the first one at which no envelope is clipped."""
        while True:
            gain = self._gain(frames[0], peak)
            largest = max(self._loaded(frame, gain, to) for frame, to in zip(frames, rows, strict=True))
            if largest <= _CLIPPED:
                return gain
            self.full_scale *= _FULL_SCALE / largest

    def _loaded(self, signals: Array, gain: float, rows: Array) -> float:
        """The largest of i and q that were mixed down; 0 of other rows."""
        if isinstance(self._engine, NumpyBeamformer):
            self._engine.load(demodulate(signals, self._filter) if self._filter else signals, gain, rows)
            return 0.0
        if signals.dtype not in (np.int16, np.float32, np.complex64):
            signals = signals.astype(np.complex64 if np.iscomplexobj(signals) else np.float32)
        if np.iscomplexobj(signals):
            signals = np.ascontiguousarray(signals)
        return self._engine.load(signals, gain, rows, self._cpu_filter)

    def _combined(self) -> Array:
        """Every element's signal, some rows of pixels at a time, into the method."""
        assert self._method.combine is not None
        (height, width), elements = self._job.shape, self._job.element_x.size
        found = np.empty((height, width), np.complex64)
        for part, heard_here in self._parts():
            signals = np.zeros((part.stop - part.start, width, elements), np.complex64)
            self._engine.aperture(self._rows, self._scale, part.start, signals)
            mixed = self._method.combine(signals.reshape(-1, elements), heard_here, self._settings)
            found[part] = mixed.reshape(-1, width)
        return found

    def _parts(self) -> Sequence[tuple[slice, NDArray[np.bool_]]]:
        """Rows of pixels that are combined at a time, and which elements each pixel is heard by: 1 byte a point."""
        if not self._heard:
            height, width = self._job.shape
            step = max(1, _APERTURE_BYTES // (8 * width * self._job.element_x.size))
            parts = (slice(first, min(first + step, height)) for first in range(0, height, step))
            self._heard = [(part, heard(self._job, part)) for part in parts]
        return self._heard
