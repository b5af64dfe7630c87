"""One geometry, bound: frames of channel data become complex pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform.acquisition import Acquisition
from edgerecon.beamform.detection import analytic
from edgerecon.beamform.grids import Grid
from edgerecon.beamform.job import make_job
from edgerecon.beamform.methods import methods
from edgerecon.beamform.settings import Settings
from edgerecon.beamform.signals import Filter, centre_hz, design, upsampled, upsampling
from edgerecon.beamform.summation import Summation
from edgerecon.core.errors import AcquisitionError, EngineError, UsageError
from edgerecon.cpu.library import Library, load_library
from edgerecon.hardware.host import usable_cores

Array = NDArray[Any]

_LEAST, _MOST = 1e-30, 1e30  # samples of float64: float32 holds neither less nor more with room to sum
_DELAYS_AT_MOST = 2 << 30
"""Bytes of one delay a pixel and transmit."""


class Beamformer:
    """Turns frames of one acquisition into pictures.

    Runs on the CPU kernels where they are built (``edgerecon kernels build --cpu``), else in NumPy.

    Args:
        acquisition: how the data were acquired. grid: where the pixels are. settings: how to beamform.
        threads: default: the processors this process may use. kernels: False for NumPy. name: for messages.

    Attributes:
        load_ms, form_ms: of the last frame: samples to rows (mixing down), rows to picture.
        full_scale: what a frame's largest sample becomes in 16 bits, see ``Summation``; NaN before the first frame.

    Raises:
        AcquisitionError: see ``Acquisition.check``. UsageError: more pixels and transmits than delays are kept of.
        EngineError: no memory or threads.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        grid: Grid,
        settings: Settings | None = None,
        threads: int | None = None,
        kernels: bool = True,
        name: str = "the data",
    ) -> None:
        acquisition.check(name)
        self.acquisition, self.grid, self.settings, self.name = acquisition, grid, settings or Settings(), name
        self.load_ms = self.form_ms = 0.0
        self._threads = threads or usable_cores()
        self._library = _built() if kernels else None
        self._sums: list[Summation] = []
        self._times = 1  # IQ is up-sampled
        _check_memory(acquisition, grid)
        needs_carrier = self.settings.signal == "iq" or self.settings.transmit_f_number > 0
        if acquisition.carrier_hz or not needs_carrier:
            self._prepare(acquisition.carrier_hz)

    @property
    def backend(self) -> str:
        """ "cpu" on the kernels, "numpy" without."""
        return "numpy" if self._library is None else "cpu"

    @property
    def full_scale(self) -> float:
        """What the largest sample of a frame becomes in 16 bits, see ``Summation``; NaN before the first frame."""
        return min((one.full_scale for one in self._sums), default=float("nan"))

    def __call__(self, signals: Array) -> Array:
        """(transmits, elements, samples) → (H, W): complex64, or float32 of RF and of incoherent compounding.

        Raises:
            AcquisitionError: another shape, or samples that are not finite.
        """
        began = perf_counter_ns()
        signals, peak = self._checked(signals)
        for transmits, one in zip(self._shares(signals), self._sums, strict=True):
            one.load(transmits, peak)
        loaded = perf_counter_ns()
        pictures = [one.form() for one in self._sums]
        if len(pictures) == 1 and self.settings.compounding == "coherent":
            found = pictures[0]
        else:
            found = np.sqrt(np.sum([np.square(np.abs(one)) for one in pictures], axis=0, dtype=np.float32))
        self.load_ms, self.form_ms = (loaded - began) / 1e6, (perf_counter_ns() - loaded) / 1e6
        return found

    def split(self, signals: Array, parts: int) -> NDArray[np.float32]:
        """Delay-and-sum over each of ``parts`` parts of every pixel's aperture, from its one edge to the other.

        Returns:
            float32 (2 · parts, H, W): real parts, then imaginary parts. Their sum is ``__call__``'s picture.

        Raises:
            UsageError: see ``check_split``. AcquisitionError: see ``__call__``.
        """
        self.check_split()
        began = perf_counter_ns()
        signals, peak = self._checked(signals)
        self._sums[0].load(signals, peak)
        loaded = perf_counter_ns()
        found = self._sums[0].split(parts)
        self.load_ms, self.form_ms = (loaded - began) / 1e6, (perf_counter_ns() - loaded) / 1e6
        return found

    def check_split(self) -> None:
        """Raises UsageError when the settings are other than coherent delay-and-sum of IQ at an F-number."""
        settings = self.settings
        if (settings.method, settings.compounding) != ("das", "coherent") or settings.signal == "rf":
            raise UsageError("parts of the aperture are of coherent delay-and-sum of IQ: leave other settings out")
        if not settings.f_number:
            raise UsageError("parts of the aperture need an f_number: give more than 0")

    def batch(self, frames: Sequence[Array]) -> Array:
        """Frames → (T, H, W): delay-and-sum of many frames in one pass costs a fraction of one by one."""
        if self.settings.method != "das" or self.settings.compounding != "coherent":
            return np.stack([self(one) for one in frames])
        checked = [self._checked(one) for one in frames]
        return self._sums[0].batch([signals for signals, _ in checked], max(peak for _, peak in checked))

    def _checked(self, signals: Array) -> tuple[Array, float]:
        """A frame as it is loaded, and its largest sample."""
        self.acquisition.check_frame(self.name, signals)
        if not self._sums:
            self._check_finite(_peak(signals))
            carrier = centre_hz(signals, self.acquisition.sample_rate_hz)
            if not carrier:
                raise AcquisitionError(f"{self.name}: carrier_hz is missing, and a frame holds no echo to find it in")
            self._prepare(carrier)
        if self.acquisition.iq:
            signals = upsampled(signals, self._times)
        elif self.settings.signal == "analytic":
            signals = analytic(signals).astype(np.complex64)
        peak = _peak(signals)
        self._check_finite(peak)
        return signals, peak

    def _check_finite(self, peak: float) -> None:
        if not np.isfinite(peak):
            raise AcquisitionError(
                f"{self.name}: the samples of a frame are not all finite: NaN or infinity among them"
            )
        if peak > _MOST or 0 < peak < _LEAST:
            raise AcquisitionError(
                f"{self.name}: the largest sample of a frame is {peak:.3g}: scale them to {_LEAST:g} to {_MOST:g}"
            )

    def _shares(self, signals: Array) -> list[Array]:
        """The signals of each sum."""
        if self.settings.compounding == "coherent":
            return [signals]
        return [signals[at : at + 1] for at in range(len(signals))]

    def _prepare(self, carrier_hz: float) -> None:
        """Delays, filter and threads, once the carrier is known."""
        found, settings = replace(self.acquisition, carrier_hz=carrier_hz), self.settings
        samples, rate, filter = found.samples, found.sample_rate_hz, None
        turning_hz = carrier_hz
        if found.iq:
            self._times = upsampling(found)
            samples, rate = samples * self._times, rate * self._times
        elif settings.signal == "iq":
            filter = self._filter(carrier_hz)
            samples, rate = filter.samples, filter.sample_rate_hz
        else:
            turning_hz = 0.0
        method = methods()[settings.method]
        groups = [found.transmits]
        if settings.compounding == "incoherent":
            groups = [(one,) for one in found.transmits]
        for group in groups:
            job = make_job(
                found, group, self.grid, settings, samples, rate, turning_hz, method.name if method.kernel else "das"
            )
            self._sums.append(Summation(job, method, settings, filter, self._library, self._threads))

    def _filter(self, carrier_hz: float) -> Filter:
        self.acquisition.check_band(self.name, carrier_hz)
        return design(self.acquisition, carrier_hz)


def _peak(signals: Array) -> float:
    """The largest of real samples, or of the parts of complex ones; NaN or infinity if one of them is."""
    values = signals
    if np.iscomplexobj(signals):
        values = np.ascontiguousarray(signals).view(signals.real.dtype)
    return max(float(values.max()), -float(values.min()))  # NaN is both


def _check_memory(acquisition: Acquisition, grid: Grid) -> None:
    rows, columns = grid.shape
    size = 4 * rows * columns * len(acquisition.transmits)
    if size > _DELAYS_AT_MOST:
        raise UsageError(
            f"a grid of {columns}×{rows} pixels takes {size >> 20} MB of delays for {len(acquisition.transmits)} "
            f"transmits, at most {_DELAYS_AT_MOST >> 20}: give fewer pixels"
        )


def _built() -> Library | None:
    try:
        return load_library()
    except EngineError:
        return None
