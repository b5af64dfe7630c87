"""Channel data, beamformed and detected frame by frame as they are played."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Acquisition, Beamformer, Grid, LogCompression, Settings, default_grid, parse_grid
from edgerecon.beamform.detection import DYNAMIC_RANGE_DB
from edgerecon.beamform.methods import methods
from edgerecon.beamform.settings import F_NUMBER
from edgerecon.core.errors import AcquisitionError, EdgereconError, EngineError, UsageError
from edgerecon.modelfile.file import ModelFile
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.channel.learned import LearnedBeamformer, find_beamformer
from edgerecon.stream.sources.query import Query, number

OPTIONS = ("range", "fnumber", "beamform", "backend", "grid", "window", "compounding", "txfnumber", "c")
"""What may follow the ``?`` of channel data."""

Read = Callable[[int], NDArray[np.generic]]
"""Number of a frame → its signals, (transmits, elements, samples), real or complex."""


class ChannelPicture:
    """One frame's signals → B-mode, with the time of every step.

    Args:
        query: ``beamform`` (das, dmas, cf, gcf, mv, or a model), ``backend`` (runtime of a model), ``grid``
            (see ``beamform.parse_grid``), ``fnumber`` (1.75), ``txfnumber`` (0), ``window`` (hann), ``compounding``
            (coherent), ``range`` in dB (60), ``c`` in m/s, in place of what the data state.

    Raises:
        AcquisitionError: see ``Acquisition.check``. UsageError: an option makes no sense.
    """

    def __init__(self, name: str, acquisition: Acquisition, query: Query) -> None:
        acquisition = with_sound_speed(acquisition, query)
        acquisition.check(name)
        self._compress = LogCompression(number(query, "range", DYNAMIC_RANGE_DB, 1, 200))
        grid = grid_of(acquisition, query)
        method = query.get("beamform", Settings.method)
        file = None if method in methods() else find_beamformer(method)
        self.beamformer = Beamformer(acquisition, grid, settings_of(query, file), name=name)
        self._learned = LearnedBeamformer(self.beamformer, file, query.get("backend", "auto")) if file else None
        self.spacing_mm = grid.spacing_mm

    def __call__(self, signals: NDArray[np.generic]) -> tuple[NDArray[np.float32], Mapping[str, float]]:
        """The picture, float32 in [0, 1], and milliseconds by step: demodulate, beamform, detect."""
        formed, stages_ms = self.formed(signals)
        began = perf_counter_ns()
        picture = self._compress(self.beamformer.grid.picture(np.abs(formed)))
        return picture, {**stages_ms, "detect": (perf_counter_ns() - began) / 1e6}

    def formed(self, signals: NDArray[np.generic]) -> tuple[NDArray[Any], Mapping[str, float]]:
        """The complex picture on the beamformed grid, of a model its amplitudes; and milliseconds by step."""
        found = self.beamformer(signals) if self._learned is None else self._learned(signals)
        stages_ms = {"demodulate": self.beamformer.load_ms, "beamform": self.beamformer.form_ms}
        return found, stages_ms if self._learned is None else {**stages_ms, "network": self._learned.network_ms}

    def close(self) -> None:
        """Release a model's engine."""
        if self._learned is not None:
            self._learned.engine.close()


def settings_of(query: Query, learned: ModelFile | None = None) -> Settings:
    """How to beamform, as the options say; a model is given all of its aperture, unweighted. Raises UsageError."""
    words = {key: query[name] for key, name in _WORDS.items() if name in query}
    if learned is not None:
        if "window" in query:
            raise UsageError(f"{learned.spec.name} weighs the aperture itself: leave window={query['window']} out")
        words |= {"method": "das", "window": "boxcar"}
    return Settings(
        f_number=number(query, "fnumber", learned.spec.f_number if learned else F_NUMBER, 0, 20),
        transmit_f_number=number(query, "txfnumber", 0.0, 0, 20),
        **words,  # type: ignore[arg-type]
    )


_WORDS = {"method": "beamform", "window": "window", "compounding": "compounding"}


def grid_of(acquisition: Acquisition, query: Query) -> Grid:
    """The grid that the options ask for. Raises UsageError."""
    return parse_grid(query["grid"], acquisition) if "grid" in query else default_grid(acquisition)


def with_sound_speed(acquisition: Acquisition, query: Query) -> Acquisition:
    """The acquisition with the speed of sound that the options state. Raises UsageError."""
    from dataclasses import replace

    if "c" not in query:
        return acquisition
    return replace(acquisition, sound_speed_m_s=number(query, "c", 1540.0, 100, 10_000))


def check_real(name: str, field: str, dtype: np.dtype[Any]) -> None:
    """Raises AcquisitionError when samples of ``dtype`` are no real numbers."""
    if dtype.kind not in "iuf":
        raise AcquisitionError(f"{name}: {field} holds {dtype}, no real numbers")


class ChannelSource:
    """A recording of channel data.

    Args:
        acquisition: of the recording. read: a frame's signals. query: see ``ChannelPicture``.

    Raises:
        AcquisitionError, UsageError: see ``ChannelPicture``.
    """

    live = False

    def __init__(self, name: str, acquisition: Acquisition, read: Read, query: Query) -> None:
        self.form = ChannelPicture(name, acquisition, query)
        self.name, self.period_s = name, acquisition.period_s
        self.acquisition = with_sound_speed(acquisition, query)
        self.length: int | None = acquisition.frames
        self.spacing_mm: tuple[float, float] | None = self.form.spacing_mm
        self.read = read

    def frames(self) -> Iterator[Capture]:
        for index in range(self.acquisition.frames):
            try:
                picture, stages_ms = self.form(np.asarray(self.read(index)))
            except (AcquisitionError, EngineError) as error:
                yield Capture(None, str(error))
            except EdgereconError:
                raise
            except (OSError, ValueError, KeyError, RuntimeError) as error:  # what HDF5 raises on damage
                yield Capture(None, f"unreadable channel data: {' '.join(str(error).split())}")
            else:
                yield Capture(picture, stages_ms=stages_ms)

    def close(self) -> None:
        """See ``Source.close``."""
        self.form.close()
