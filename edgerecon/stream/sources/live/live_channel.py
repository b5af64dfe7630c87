"""Live channel data: frames that are beamformed as they come. What cannot be formed in time is lost, and counted."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Acquisition, linear_array, plane_wave
from edgerecon.core.errors import AcquisitionError, EngineError
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.sources.channel.channel import ChannelPicture
from edgerecon.stream.sources.live.probe_clock import ProbeClock
from edgerecon.stream.sources.query import Query

_PHASES = 8
_SCATTERERS = 500
_NOISE = 0.02


class FormedSource:
    """Signals that another live source brings, one frame an image of (transmits · elements, samples), as B-mode.

    A frame that comes while another is formed waits as long as the source keeps it; what is then lost is the next one's
    gap. Its latency counts from when the signals were there.
    """

    live = True

    def __init__(self, signals: Source, acquisition: Acquisition, query: Query) -> None:
        self._signals, self._acquisition = signals, acquisition
        self._form = ChannelPicture(signals.name, acquisition, query)
        self.name = signals.name
        self.period_s: float | None = acquisition.period_s
        self.length: int | None = None
        self.spacing_mm: tuple[float, float] | None = self._form.spacing_mm
        self._copy: NDArray[np.generic] = np.empty(0, np.int16)

    def frames(self) -> Iterator[Capture]:
        for capture in self._signals.frames():
            yield self._formed(capture)

    def close(self) -> None:
        self._signals.close()
        self._form.close()

    def _copied(self, signals: NDArray[np.generic]) -> NDArray[np.generic]:
        """A frame's signals, which the writer may go on to change, in the same memory every time: no page faults."""
        if (self._copy.shape, self._copy.dtype) != (signals.shape, signals.dtype):
            self._copy = np.empty_like(signals)
        np.copyto(self._copy, signals)
        return self._copy

    def _formed(self, capture: Capture) -> Capture:
        if capture.image is None:
            return capture
        try:
            values = self._copied(np.asarray(capture.image))
            if capture.torn is not None and capture.torn():
                return Capture(None, "the writer changed it while it was copied", capture.gap, capture.captured_ns)
            picture, stages_ms = self._form(as_signals(values, self._acquisition, self.name))
        except (AcquisitionError, EngineError) as error:
            return Capture(None, str(error), capture.gap, capture.captured_ns)
        return Capture(picture, None, capture.gap, capture.captured_ns, stages_ms=stages_ms)


def as_signals(values: NDArray[np.generic], acquisition: Acquisition, name: str) -> NDArray[np.generic]:
    """(transmits · elements, samples) → (transmits, elements, samples); of IQ, i and q in turn make twice the samples.

    Raises:
        AcquisitionError: another size.
    """
    transmits, elements, samples = acquisition.shape
    parts = 2 if acquisition.iq else 1
    if values.shape != (transmits * elements, samples * parts):
        raise AcquisitionError(
            f"{name}: frames of the shape {values.shape} do not fit {transmits} transmits of {elements} elements and "
            f"{samples} samples"
        )
    if values.dtype == np.uint16:  # two's complement: rings have no signed type
        values = values.view(np.int16)
    found = np.asarray(values, np.float32).view(np.complex64) if acquisition.iq else values
    return found.reshape(transmits, elements, samples)


class SimChannelSource:
    """A simulated probe that gives channel data: scatterers that move to and fro before 64 elements, and noise.

    Args:
        query: see ``ChannelPicture``. fps: frames a second.
    """

    live = True
    name = "sim"

    def __init__(self, query: Query, fps: float = 30.0) -> None:
        self.period_s: float | None = 1 / fps
        self.length: int | None = None
        self.acquisition = Acquisition(
            linear_array(64, 0.3e-3), (plane_wave(0.0, 4e-6),), 800, 20e6, 5e6, 1540.0, iq=False, period_s=1 / fps
        )
        self._form = ChannelPicture(self.name, self.acquisition, query)
        self.spacing_mm: tuple[float, float] | None = self._form.spacing_mm
        self._clock = ProbeClock(1 / fps)
        self._rng = np.random.default_rng(0)
        self._beat = [simulate_echoes(self.acquisition, phase / _PHASES) for phase in range(_PHASES)]
        self._form(self._beat[0])  # the first frame would wait for its geometry

    def frames(self) -> Iterator[Capture]:
        for tick in self._clock.ticks():
            arrived_ns = perf_counter_ns()
            noise = self._rng.standard_normal(self.acquisition.shape, np.float32) * np.float32(_NOISE)
            picture, stages_ms = self._form(self._beat[int(tick.phase * _PHASES)] + noise)
            yield Capture(picture, gap=tick.gap, captured_ns=arrived_ns, stages_ms=stages_ms)

    def close(self) -> None:
        self._clock.close()
        self._form.close()


def simulate_echoes(acquisition: Acquisition, phase: float) -> NDArray[np.float32]:
    """RF of random scatterers around an empty disc at a phase of their motion, (transmits, elements, samples)."""
    rng, probe, speed = np.random.default_rng(1), acquisition.probe, acquisition.sound_speed_m_s
    x, z = rng.uniform(-8e-3, 8e-3, _SCATTERERS), rng.uniform(6e-3, 30e-3, _SCATTERERS)
    strength = rng.standard_normal(_SCATTERERS) * (np.hypot(x, z - 18e-3) > 4e-3)
    z = z + 0.4e-3 * np.sin(2 * np.pi * phase)
    found = np.zeros(acquisition.shape, np.float32)
    time_s = np.arange(acquisition.samples) / acquisition.sample_rate_hz
    for transmit, rows in zip(acquisition.transmits, found, strict=True):
        outward = transmit.path_m(x, z, probe, speed)
        for place, row in zip(probe.element_x_m, rows, strict=True):
            arrival = (outward + np.hypot(x - place, z)) / speed - transmit.start_s
            first = np.clip(np.searchsorted(time_s, arrival) - 12, 0, time_s.size - 24)
            late = time_s[first[:, None] + np.arange(24)] - arrival[:, None]
            pulse = np.exp(-((late * 3e6) ** 2)) * np.cos(2 * np.pi * acquisition.carrier_hz * late)
            np.add.at(row, first[:, None] + np.arange(24), (strength[:, None] * pulse).astype(np.float32))
    return found
