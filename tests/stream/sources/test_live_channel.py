"""Channel data that come live: a simulated probe, and a ring in shared memory with a description."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import AcquisitionError, UsageError
from edgerecon.stream.loop.options import StreamOptions
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.protocols.shared_ring import RingWriter, ring_path
from edgerecon.stream.sources import open_source
from tests.stream.sources.test_channel_sources import (
    CARRIER,
    PLANE,
    POINTS,
    RATE,
    SAMPLES,
    SPEED,
    START,
    TIME,
    X,
    echoes,
)

GRID = "-5:5:0.5,8:16:0.25"
WORDS = {
    "element_x_m": list(X),
    "samples": SAMPLES,
    "sample_rate_hz": RATE,
    "carrier_hz": CARRIER,
    "sound_speed_m_s": SPEED,
    "period_s": 0.02,
    "transmits": [{"kind": "plane", "angle_rad": wave.angle_rad, "start_s": START} for wave in PLANE],
}


def described(path: Path, **changes: object) -> Path:
    content = {key: value for key, value in (WORDS | changes).items() if value is not None}
    path.write_text(json.dumps(content))
    return path


def test_a_simulated_probe_is_beamformed_live() -> None:
    source = open_source(f"sim://?channel&fps=50&beamform=cf&grid={GRID}")
    report = stream(source, None, [], StreamOptions(policy="latest", frames=3))
    assert report.frames_in == 3 == report.presented + report.dropped + report.failed
    assert report.failed == 0 and report.source == "sim"
    assert {"demodulate", "beamform", "detect"} <= set(report.stages_ms)
    assert report.stages_ms["beamform"]["p50"] > 0


@pytest.mark.parametrize("iq", [False, True])
def test_a_ring_of_signals_is_beamformed(tmp_path: Path, iq: bool) -> None:
    name = f"edgerecon-test-{os.getpid()}-{iq}"
    data = echoes(PLANE, TIME).reshape(-1, SAMPLES)
    signals = np.rint(data.real * 8000).astype(np.int16).view(np.uint16)
    if iq:
        turn = np.exp(-2j * np.pi * CARRIER * (TIME - START))
        signals = np.ascontiguousarray(data * turn, np.complex64).view(np.float32)
    writer = RingWriter(ring_path(name), signals.nbytes, slots=4)
    source = open_source(f"shm://{name}?channel={described(tmp_path / 'a.json', iq=iq)}&grid={GRID}")
    try:
        for shape in (signals.shape, (3, 5)):
            writer.begin(shape, signals.dtype)[:] = signals[: shape[0], : shape[1]]
            writer.commit(0, None)
        frames = source.frames()
        good, wrong = next(frames), next(frames)
    finally:
        source.close()
        writer.close()
    assert source.live and source.period_s == 0.02
    row, column = np.unravel_index(good.image.argmax(), good.image.shape)
    assert (-5 + column * 0.5, 8 + row * 0.25) in [(x * 1e3, z * 1e3) for x, z in POINTS]
    assert set(good.stages_ms) == {"demodulate", "beamform", "detect"}
    assert wrong.image is None and "do not fit 3 transmits of 40 elements" in wrong.fault


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sound_speed_m_s": None}, "sound_speed_m_s is missing"),
        ({"pitch": 3}, "'pitch' is unknown"),
        ({"samples": "many"}, "samples is no number"),
        ({"samples": 10.7}, "samples is no whole number"),
        ({"samples": -3}, "samples is no whole number"),
        ({"sample_rate_hz": float("inf")}, "sample_rate_hz is no number"),
        ({"first_sample_s": float("nan")}, "first_sample_s is no number"),
        ({"lens_delay_s": 10**400}, "lens_delay_s is no number"),
        ({"carrier_hz": True}, "carrier_hz is no number"),
        ({"iq": "no"}, "iq is true or false, not 'no'"),
        ({"iq": 1}, "iq is true or false"),
        ({"element_x_m": [0, None]}, "element_x_m is a list of numbers"),
        ({"element_x_m": ["1", "2"]}, "element_x_m is a list of numbers"),
        ({"transmits": [{"kind": "plane", "angle_rad": float("inf")}]}, "angle_rad is no number"),
        ({"transmits": [{"kind": "delays", "element_delay_s": [0, None]}]}, "element_delay_s does not fit"),
        ({"element_x_m": [[1]]}, "element_x_m is a list of numbers"),
        ({"transmits": [{"kind": "spiral"}]}, "transmit kind 'spiral' is unknown"),
        ({"transmits": [{"angle_rad": 0}]}, "kind is missing"),
        ({"transmits": 3}, "transmits is a list"),
        ({"sample_rate_hz": 10.1e6}, "Nyquist"),
    ],
)
def test_a_wrong_description_names_its_field(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(AcquisitionError, match=words) as caught:
        open_source(f"shm://absent?channel={described(tmp_path / 'a.json', **changes)}")
    assert "\n" not in str(caught.value)


def test_options_of_channel_data_ask_for_channel_data() -> None:
    for uri in ("sim://?grid=8x8", "shm://absent?grid=8x8"):
        with pytest.raises(UsageError, match="channel"):
            open_source(uri)
