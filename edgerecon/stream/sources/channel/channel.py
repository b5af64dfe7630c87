"""Channel data, beamformed and detected frame by frame as they are played."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.channel.das import DelayAndSum, Grid, Wave, to_baseband
from edgerecon.stream.sources.compression import DYNAMIC_RANGE_DB, LogCompression
from edgerecon.stream.sources.flat import MAX_FRAMES
from edgerecon.stream.sources.query import Query, number

F_NUMBER = 1.75
"""Of receive, as in the PICMUS challenge (Liebgott et al., IUS 2016)."""

COLUMNS = 256
_DELAYS = 16_000_000  # elements · pixels at most: some 200 MB
_FIRST_ROW = 5e-3  # metres: above it is the transmitted pulse
_SAMPLES = 32_000  # OpenCV reads rows up to 32,767 long
_PER_PERIOD = 8  # samples a carrier period, so that linear interpolation is good
_SIGNALS = 256_000_000  # samples of one frame, waves and elements together


@dataclass(frozen=True)
class Acquisition:
    """How channel data were acquired.

    Attributes:
        elements: (N, 2) x and z, metres. waves: the transmits of a frame. samples: of each element and wave.
        rate, carrier: Hz; a carrier of 0 is found in the spectrum. speed: m/s. iq: complex baseband, else RF.
        from_first_sample: see ``DelayAndSum``; RF does not need it. frames: number of them. period_s: between two.
    """

    elements: NDArray[np.float64]
    waves: tuple[Wave, ...]
    samples: int
    rate: float
    carrier: float
    speed: float
    iq: bool
    frames: int
    period_s: float | None = None
    from_first_sample: bool = True

    def check(self, name: str) -> None:
        """Refuse before anything is allocated.

        Raises:
            SourceError: numbers that make no sense, or sizes that no scanner makes.
        """
        numbers = [self.rate, self.speed, *(wave.start_s for wave in self.waves), *self.elements.ravel()]
        if not np.all(np.isfinite(numbers)) or self.rate <= 0 or self.speed <= 0 or self.carrier < 0:
            raise SourceError(f"{name} states a sampling rate, a speed of sound or a geometry that makes no sense")
        if self.iq and not self.carrier:
            raise SourceError(f"{name} holds IQ without a modulation frequency: it cannot be beamformed")
        if len(self.elements) < 2 or np.ptp(self.elements[:, 0]) <= 0:
            raise SourceError(f"{name} is of a probe of one element, or of elements that lie on each other")
        if min(len(self.waves), self.samples, self.frames) < 1:
            raise SourceError(f"{name} holds no channel data")
        size = len(self.elements) * len(self.waves) * self.samples
        if self.frames > MAX_FRAMES or size > _SIGNALS or self.samples > _SAMPLES:
            raise SourceError(f"{name} declares {self.frames} frames of {size:,} samples: no more than it can hold")

    def grid(self) -> Grid:
        """Square pixels: as wide as the aperture, or as the fan of diverging waves; down to the last sample."""
        last = max(wave.start_s for wave in self.waves) + self.samples / self.rate
        deepest = last * self.speed / 2
        ends = float(self.elements[:, 0].min()), float(self.elements[:, 0].max())
        left, right = ends
        for wave in self.waves:
            if wave.source is not None:  # the fan from the source through the ends of the aperture
                x, behind = wave.source[0], max(-wave.source[1], 1e-6)
                left = min(left, max(ends[0] - deepest, x + (ends[0] - x) * (1 + deepest / behind)))
                right = max(right, min(ends[1] + deepest, x + (ends[1] - x) * (1 + deepest / behind)))
        centre, reach = (left + right) / 2, (right - left) / 2
        first = min(_FIRST_ROW, 0.2 * deepest)
        pixels = min(_DELAYS // len(self.elements), COLUMNS * 4 * COLUMNS)
        step = max(2 * reach / (COLUMNS - 1), math.sqrt(2 * reach * (0.95 * deepest - first) / pixels), 1e-6)
        across = centre + np.arange(-reach, reach + step / 2, step)
        return Grid(across, np.arange(first, 0.95 * deepest, step))


class ChannelSource:
    """Frames by delay-and-sum, envelope and log compression, see ``das`` and ``compression``.

    Args:
        acquisition: of the recording. read: a frame's signals, (waves, elements, samples), real or complex.
        query: ``range`` in dB (60), ``fnumber`` (1.75).

    Raises:
        SourceError: see ``Acquisition.check``. UsageError: an option makes no sense.
    """

    live = False

    def __init__(
        self,
        name: str,
        acquisition: Acquisition,
        read: Callable[[int], NDArray[np.generic]],
        query: Query,
    ) -> None:
        acquisition.check(name)
        self.name, self.period_s = name, acquisition.period_s
        self.length: int | None = acquisition.frames
        self._acquisition, self._read = acquisition, read
        self._range_db = number(query, "range", DYNAMIC_RANGE_DB, 1, 200)
        self._f_number = number(query, "fnumber", F_NUMBER, 0.1, 20)
        self._grid = acquisition.grid()
        step = float(self._grid.x[1] - self._grid.x[0]) * 1e3
        self.spacing_mm: tuple[float, float] | None = (step, step)
        self._beamformer: DelayAndSum | None = None

    def frames(self) -> Iterator[Capture]:
        compress = LogCompression(self._range_db)
        for index in range(self._acquisition.frames):
            try:
                with np.errstate(over="ignore", invalid="ignore"):  # NaN in, NaN out, and the stream says so
                    image = self._beamform(np.asarray(self._read(index)))
            except (OSError, ValueError, KeyError, RuntimeError) as error:  # what HDF5 raises on damage
                yield Capture(None, f"unreadable channel data: {' '.join(str(error).split())}")
                continue
            yield Capture(compress(np.abs(image)))

    def close(self) -> None: ...

    def _beamform(self, signals: NDArray[np.generic]) -> NDArray[np.complex64]:
        if self._beamformer is None:
            self._prepare(signals)
        assert self._beamformer is not None
        return self._beamformer(to_baseband(signals, self._carrier_bin, self._half_width, self._times))

    def _prepare(self, signals: NDArray[np.generic]) -> None:
        found = self._acquisition
        samples, carrier = found.samples, found.carrier or _centre(signals, found.rate)
        self._times = int(np.clip(np.ceil(_PER_PERIOD * carrier / found.rate), 1, max(1, _SAMPLES // samples)))
        self._carrier_bin: int | None = None
        self._half_width = samples // 2
        if not found.iq:
            self._carrier_bin = max(1, round(carrier * samples / found.rate))
            carrier = self._carrier_bin * found.rate / samples
            # The mirror image of the band lies 2 carriers below: the cut goes half-way.
            mirror = (2 * self._carrier_bin + samples // 2) % samples - samples // 2
            self._half_width = max(2, abs(mirror) // 2)
        self._beamformer = DelayAndSum(
            found.elements,
            found.waves,
            self._grid,
            self._times * found.rate,
            carrier,
            found.speed,
            self._f_number,
            found.from_first_sample or not found.iq,
        )


def _centre(signals: NDArray[np.generic], rate: float) -> float:
    """Centre of the power spectrum of RF, Hz."""
    power = np.square(np.abs(np.fft.rfft(signals))).reshape(-1, signals.shape[-1] // 2 + 1).sum(0)
    power[0] = 0.0  # a constant offset is no echo
    return float((power * np.arange(power.size)).sum() / max(power.sum(), 1e-300)) * rate / signals.shape[-1]
