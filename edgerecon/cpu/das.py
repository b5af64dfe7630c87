"""The beamformer of the CPU kernels: its C interface (kernels/cpu/das_interface.h) by ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EngineError
from edgerecon.cpu.library import Functions, Handle, Library

MARGIN = 2
"""Zeros before and behind the samples of a row."""
LANES = 16
"""Frames side by side come in multiples of this."""
CACHE_LINE = 64
"""Bytes."""
METHODS = {"das": 0, "cf": 1, "dmas": 2}
_POINTER = ctypes.c_void_p
_NUMBERS = ("height", "width", "elements", "waves", "samples", "iq", "method", "threads")
_REALS = ("cycles", "slope", "level", "swing", "flat")
_ARRAYS = (
    "x",
    "z",
    "element_x",
    "element_z",
    "element_sine",
    "element_cosine",
    "element_lens",
    "transmit",
    "transmit_weight",
    "turns",
)
_FILTER_ARRAYS = ("real", "imag", "cosine", "sine")


class _Told(ctypes.Structure):
    """edgerecon_das."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in _NUMBERS),
        *((name, ctypes.c_float) for name in _REALS),
        *((name, _POINTER) for name in _ARRAYS),
    ]


class _Filter(ctypes.Structure):
    """edgerecon_das_filter."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("phases", "step", "taps", "half", "samples")),
        *((name, _POINTER) for name in _FILTER_ARRAYS),
    ]


_NUMBER, _LONG, _REAL, _TEXT = ctypes.c_int32, ctypes.c_int64, ctypes.c_float, ctypes.c_char_p
_SAMPLES = (_POINTER, _NUMBER, _LONG, _LONG, _LONG, _NUMBER)
_FUNCTIONS: Functions = {
    "das_open": (_POINTER, (ctypes.POINTER(_Told), _TEXT, _TEXT, _NUMBER)),
    "das_load": (_REAL, (_POINTER, ctypes.POINTER(_Filter), *_SAMPLES, _REAL, _POINTER)),
    "das_run": (None, (_POINTER, _POINTER, _REAL, _POINTER)),
    "das_aperture": (None, (_POINTER, _POINTER, _REAL, _NUMBER, _NUMBER, _POINTER)),
    "das_split": (None, (_POINTER, _POINTER, _REAL, _NUMBER, _POINTER)),
    "das_interleave": (None, (_POINTER, ctypes.POINTER(_POINTER), _NUMBER, _NUMBER, _POINTER)),
    "das_batch": (None, (_POINTER, _POINTER, _REAL, _NUMBER, _NUMBER, _POINTER)),
    "das_close": (None, (_POINTER,)),
}


@dataclass(frozen=True)
class Job:
    """What is beamformed; lengths in samples of path, see the C interface.

    Attributes:
        x, z: (H, W) pixels. element_…: (N,). transmit, transmit_weight: (waves, H, W), the latter None for 1.
        turns: (waves,) of the carrier. samples: of a row. cycles: of the carrier in a sample.
        slope, level, swing, flat: of the aperture. method: a key of ``METHODS``.
    """

    x: NDArray[np.floating]
    z: NDArray[np.floating]
    element_x: NDArray[np.floating]
    element_z: NDArray[np.floating]
    element_sine: NDArray[np.floating]
    element_cosine: NDArray[np.floating]
    element_lens: NDArray[np.floating]
    transmit: NDArray[np.floating]
    transmit_weight: NDArray[np.floating] | None
    turns: NDArray[np.floating]
    samples: int
    iq: bool
    cycles: float
    slope: float
    level: float
    swing: float
    flat: float
    method: str = "das"

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the points."""
        height, width = self.x.shape
        return height, width

    @property
    def row(self) -> int:
        """Numbers of a row with its margins."""
        return (self.samples + 2 * MARGIN) * (2 if self.iq else 1)


class CpuBeamformer:
    """One geometry on the CPU kernels. One call at a time.

    Raises:
        EngineError: no memory or threads, more samples than delays can count, an absent instruction set.
    """

    def __init__(self, library: Library, job: Job, threads: int, instruction_set: str = "") -> None:
        self._job, self._library = job, library
        self._side_by_side = np.empty(0, np.int16)
        library.declare(_FUNCTIONS)
        told = _Told()
        facts: dict[str, Any] = {name: getattr(job, name) for name in _REALS} | {
            "height": job.shape[0],
            "width": job.shape[1],
            "elements": job.element_x.size,
            "waves": len(job.transmit),
            "samples": job.samples,
            "iq": int(job.iq),
            "method": METHODS[job.method],
            "threads": threads,
        }
        for name, value in facts.items():
            setattr(told, name, value)
        kept = {
            name: np.ascontiguousarray(value, np.float32)
            for name in _ARRAYS
            if (value := getattr(job, name)) is not None
        }
        for name, array in kept.items():
            setattr(told, name, array.ctypes.data)
        given = (ctypes.byref(told), instruction_set.encode())
        self._handle = Handle(library, "das_open", "das_close", *given, refused=_refused)

    def rows(self) -> NDArray[np.int16]:
        """Memory for one frame's rows."""
        return np.zeros((len(self._job.transmit), self._job.element_x.size, self._job.row), np.int16)

    def load(self, signals: NDArray[Any], gain: float, rows: NDArray[np.int16], filter: Filter | None = None) -> float:
        """Samples, times ``gain``, as 16-bit rows; RF through ``filter`` to IQ.

        Args:
            signals: (waves, elements, samples) int16 or float32 at any strides; complex64 with contiguous samples.

        Returns:
            The largest of i and q that ``filter`` made; above 32767 it was clipped. 0 without a filter.

        Raises:
            ValueError: complex samples that do not lie side by side; RF without a filter where IQ is summed, or the
                other way about; another number of waves or elements.
        """
        if (signals.dtype == np.complex64 or filter is not None) != self._job.iq:
            raise ValueError(f"signals are {signals.dtype}, the sum is of {'IQ' if self._job.iq else 'RF'}")
        if signals.shape[:2] != rows.shape[:2]:
            raise ValueError(f"signals of {signals.shape[:2]} waves and elements, rows of {rows.shape[:2]}")
        if signals.dtype == np.complex64 and signals.strides[2] != signals.itemsize:
            raise ValueError("complex samples of an element have to lie side by side")
        parts = signals.view(np.float32) if signals.dtype == np.complex64 else signals
        strides = [stride // parts.itemsize for stride in signals.strides]
        told = filter.told if filter is not None else None
        peak = self._library.call("das_load")(
            self._handle.address,
            ctypes.byref(told) if told is not None else None,
            parts.ctypes.data,
            0 if parts.dtype == np.int16 else 1,
            *strides,
            signals.shape[2],
            gain,
            rows.ctypes.data,
        )
        return float(peak)

    def run(self, rows: NDArray[np.int16], scale: float, out: NDArray[Any]) -> None:
        """(H, W), complex64 in IQ and float32 in RF."""
        self._library.call("das_run")(self._handle.address, rows.ctypes.data, scale, out.ctypes.data)

    def aperture(self, rows: NDArray[np.int16], scale: float, first: int, out: NDArray[np.complex64]) -> None:
        """Rows of pixels from ``first`` on, (rows, W, elements): what each element adds."""
        self._library.call("das_aperture")(
            self._handle.address, rows.ctypes.data, scale, first, len(out), out.ctypes.data
        )

    def split(self, rows: NDArray[np.int16], scale: float, out: NDArray[np.float32]) -> None:
        """Sums over each part of the aperture, (2 · parts, H, W): real parts, then imaginary parts."""
        self._library.call("das_split")(self._handle.address, rows.ctypes.data, scale, len(out) // 2, out.ctypes.data)

    def batch(self, frames: Sequence[NDArray[np.int16]], scale: float, out: NDArray[Any]) -> None:
        """Frames' rows → (frames, H, W), all of them in one pass."""
        lanes = -(-len(frames) // LANES) * LANES
        shape = (*frames[0].shape, lanes)
        if self._side_by_side.shape != shape:
            self._side_by_side = _aligned(shape)
        rows = self._side_by_side
        pointers = (_POINTER * len(frames))(*(frame.ctypes.data for frame in frames))
        self._library.call("das_interleave")(self._handle.address, pointers, len(frames), lanes, rows.ctypes.data)
        self.batch_interleaved(rows, scale, out)

    def batch_interleaved(self, rows: NDArray[np.int16], scale: float, out: NDArray[Any]) -> None:
        """``batch`` of rows whose frames lie side by side already."""
        self._library.call("das_batch")(
            self._handle.address, rows.ctypes.data, scale, len(out), rows.shape[-1], out.ctypes.data
        )


def _aligned(shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Memory that begins a line of the cache: no vector of samples lies in two of them."""
    size = int(np.prod(shape)) * 2
    memory = np.empty(size + CACHE_LINE, np.uint8)
    first = -memory.ctypes.data % CACHE_LINE
    return memory[first : first + size].view(np.int16).reshape(shape)


def _refused(reason: str) -> EngineError:
    return EngineError(f"the CPU kernels cannot beamform this: {reason}")


class Filter:
    """A filter from RF to IQ, as C reads it; see ``edgerecon.beamform.signals.Filter``.

    Args:
        taps: (phases, K) complex. turn: (samples,) complex.
    """

    def __init__(
        self, taps: NDArray[np.complexfloating], turn: NDArray[np.complexfloating], step: int, half: int
    ) -> None:
        phases = len(taps)
        most = -(-turn.size // phases)  # of one phase; C takes 16 at a time
        by_phase = np.zeros((phases, -(-most // 16) * 16), np.complex128)
        for phase, row in enumerate(by_phase):
            own = turn[phase::phases]
            row[: own.size] = own
        self._kept = {"real": taps.real, "imag": taps.imag, "cosine": by_phase.real, "sine": by_phase.imag}
        self._kept = {name: np.ascontiguousarray(value, np.float32) for name, value in self._kept.items()}
        pointers = [self._kept[name].ctypes.data for name in _FILTER_ARRAYS]
        self.told = _Filter(taps.shape[0], step, taps.shape[1], half, turn.size, *pointers)
