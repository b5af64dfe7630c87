"""What is launched for the frame's way in and out, and what is refused, on a stand-in for the driver."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgerecon.core.errors import UsageError
from edgerecon.cuda import driver as cuda_driver
from edgerecon.cuda.kernels.frontend import Frontend, Sector, SectorStruct
from edgerecon.cuda.kernels.load import Module
from edgerecon.cuda.kernels.store import Stored
from tests.support import fake_gpu

SECTOR = Sector((70, 41), (1.0, -4.0), (-0.5, 0.5), (6.0, 75.0), (90, 110), (-40.0, 0.0), (0.75, 0.65))
Launches = list[tuple[str, tuple[int, ...], tuple[int, ...], Any]]


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Iterator[Launches]:
    fake, made = fake_gpu.FakeGpu(), []
    for name in ("bilinear", "area", "log", "scan", "bytes"):
        fake.kernels[f"frontend_{name}"] = lambda grid, block, pointers, shared, name=name: made.append(
            (name, grid, block, [getattr(value, "value", value) for value in pointers.values])
        )
    monkeypatch.setattr(cuda_driver, "_library", fake.library)
    with fake.gpu.current():
        yield made


def frontend() -> Frontend:
    return Frontend(Module(Stored("frontend", b"code", "13.0.88", Path("frontend"))))


def test_grids_cover_every_pixel_and_arguments_are_in_order(launches: Launches) -> None:
    kernels = frontend()
    kernels.resize(16, (7, 5), 32, (9, 33), stream=0)
    kernels.resize(16, (9, 33), 32, (8, 33), mode="area", stream=0)
    kernels.log(16, 257, 32, reference=4.0, range_db=50.0, stream=0)
    kernels.bytes(16, 256, 32, stream=0)
    kernels.scan(16, SECTOR, 32, stream=0)
    assert launches[:2] == [
        ("bilinear", (2, 2, 1), (32, 8, 1), [16, 7, 5, 32, 9, 33]),
        ("area", (2, 1, 1), (32, 8, 1), [16, 9, 33, 32, 8, 33]),
    ]
    assert launches[2] == ("log", (2, 1, 1), (256, 1, 1), [16, 257, 0.25, pytest.approx(0.02), 32])
    assert launches[3] == ("bytes", (1, 1, 1), (256, 1, 1), [16, 256, 32])
    name, grid, _, (polar, struct, out) = launches[4]
    assert (name, grid, polar, out) == ("scan", (4, 12, 1), 16, 32) and isinstance(struct, SectorStruct)
    assert (struct.samples, struct.depth_step, struct.step_z) == (70, 1.0, pytest.approx(0.65))
    assert ctypes.sizeof(SectorStruct) == 14 * 4


def test_what_is_refused(launches: Launches) -> None:
    kernels = frontend()
    with pytest.raises(UsageError, match="not enlarged by area"):
        kernels.resize(16, (7, 5), 32, (7, 6), mode="area", stream=0)
    with pytest.raises(UsageError, match="'bilinear' or by 'area', not 'cubic'"):
        kernels.resize(16, (7, 5), 32, (7, 6), mode="cubic", stream=0)  # type: ignore[arg-type]
    for size in ((0, 5), (5, 16_385)):
        with pytest.raises(UsageError, match="sides of 1 to 16384 pixels"):
            kernels.resize(16, size, 32, (7, 6), stream=0)
    for reference, range_db in ((0.0, 60.0), (1.0, 0.0), (float("nan"), 60.0), (1.0, float("inf"))):
        with pytest.raises(UsageError, match="a reference and a range above 0"):
            kernels.log(16, 1, 32, reference=reference, range_db=range_db, stream=0)
    with pytest.raises(UsageError, match="there are 0 pixels"):
        kernels.bytes(16, 0, 32, stream=0)
    wrong: dict[str, Any] = {"polar": (1, 41), "angles": (0.5, -0.5), "depths": (-1.0, 5.0), "spacing": (0.0, 1.0)}
    for name, value in wrong.items():
        with pytest.raises(UsageError, match="scan conversion needs"):
            replace(SECTOR, **{name: value})
    assert not launches
