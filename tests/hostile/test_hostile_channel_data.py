"""Channel data that were made to take memory or time, or to end the process."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import EdgereconError
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.channel import mat_5
from tests.stream.sources.test_picmus_must import picmus

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")
pytest.importorskip("scipy", reason="SciPy is not installed: pip install 'edgerecon[stream]'")

PARAM = {"fs": 2e7, "pitch": 3e-4, "c": 1540.0, "fc": 5e6}
STRUCT, CELL, DOUBLE, CHAR, FUNCTION = 2, 1, 6, 4, 16


def refusal(path: Path) -> str:
    """What is said of a file; it is opened and a frame is asked for within 300 MB of Python's memory."""
    tracemalloc.start()
    try:
        with pytest.raises(EdgereconError) as caught:
            next(iter(open_source(str(path)).frames()))
        assert tracemalloc.get_traced_memory()[1] < 300e6
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def head(name: str, kind: int, shape: Iterable[int]) -> bytes:
    sizes = b"".join(struct.pack("<i", one) for one in shape)
    return element(6, struct.pack("<II", kind, 0)) + element(5, sizes) + element(1, name.encode())


def numbers(name: str, values: np.ndarray, shape: tuple[int, ...] | None = None) -> bytes:
    content = element(9, values.astype("f8").tobytes("F"))
    return element(14, head(name, DOUBLE, shape or values.shape) + content)


def fields(names: Iterable[str], width: int = 32) -> bytes:
    return element(5, struct.pack("<i", width)) + element(1, b"".join(name.encode().ljust(32, b"\0") for name in names))


def structure(**values: bytes) -> bytes:
    return element(14, head("param", STRUCT, (1, 1)) + fields(values) + b"".join(values.values()))


def nested(times: int) -> bytes:
    """A structure in a structure in a structure …"""
    outside, size, parts = head("", STRUCT, (1, 1)) + fields("a"), 0, list[bytes]()
    for _ in range(times):
        size += len(outside)
        parts += [outside, struct.pack("<II", 14, size)]
        size += 8
    return b"".join(reversed(parts))


def compressed(variable: bytes) -> bytes:
    content = zlib.compress(variable)
    return struct.pack("<II", 15, len(content)) + content


def one(value: float) -> bytes:
    return numbers("", np.full((1, 1), value))


RF = numbers("RF", np.random.default_rng(3).random((64, 8)))


def told(**changes: float) -> bytes:
    return structure(**{name: one(value) for name, value in {**PARAM, **changes}.items()})


TOLD = told()
MAT_5 = {
    "signals that inflate to too much": (compressed(numbers("RF", np.zeros((64, 8, 400)))) + TOLD, "RF is too large"),
    "signals of a size that is not there": (numbers("RF", np.zeros(8), (8192, 8, 1000)) + TOLD, "RF states the size"),
    "signals of a negative size": (numbers("RF", np.zeros(64), (-8, 8)) + TOLD, "RF states the size"),
    "signals of no sample": (numbers("RF", np.zeros((0, 8))) + TOLD, "is not (samples, elements"),
    "signals in cells": (element(14, head("RF", CELL, (2, 2)) + 4 * one(1)) + TOLD, "RF holds no numbers"),
    "signals in letters": (element(14, head("RF", CHAR, (2, 2)) + element(4, bytes(8))) + TOLD, "RF holds no numbers"),
    "structures within structures": (RF + structure(fs=nested(10_000)), "too deep"),
    "more of them than fit": (RF + structure(fs=nested(100_000)), "param is too large"),
    "a field that inflates to 8 MB": (
        RF + compressed(structure(fs=numbers("", np.zeros(10**6)))),
        "param is too large",
    ),
    "a billion structures": (RF + element(14, head("param", STRUCT, (32_768, 32_768)) + fields(["fs"])), "the size"),
    "a billion cells": (RF + structure(fs=element(14, head("", CELL, (30_000, 30_000)))), "the size"),
    "a function": (RF + structure(fs=element(14, head("", FUNCTION, (1, 1)))), "holds no numbers"),
    "fields without names": (RF + element(14, head("param", STRUCT, (1, 1)) + fields("a", 0)), "have no names"),
    "fields without values": (RF + element(14, head("param", STRUCT, (1, 1)) + fields("ab")), "param lacks values"),
    "a variable of no known type": (struct.pack("<II", 99, 8) + bytes(8) + RF + TOLD, "unknown type 99"),
    "compression that is none": (struct.pack("<II", 15, 8) + bytes(8), "damaged"),
    "a first sample of 1e300 s": (RF + told(t0=1e300), "first_sample"),
    "a sound speed of 1e300": (RF + told(c=1e300), "sound_speed"),
    "samples older than the wave": (RF + told(t0=-0.5), "older"),
    "an hour between samples": (RF + told(fs=3e-4, fc=0.0), "a grid of"),
}


@pytest.mark.parametrize("made", MAT_5)
def test_matlab_5_states_no_more_than_it_holds(tmp_path: Path, made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mat_5, "SIGNALS_AT_MOST", 1 << 20)
    content, said = MAT_5[made]
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM" + content)
    assert said in refusal(path)


def test_signals_of_words_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["RF"] = np.full((8, 64), b"a")
        for name, value in PARAM.items():
            file[f"param/{name}"] = value
    assert "are no numbers" in refusal(tmp_path / "a.mat")


def test_imaginary_parts_of_another_size_are_refused(tmp_path: Path) -> None:
    path = picmus(tmp_path / "a.hdf5", True)
    with h5py.File(path, "r+") as file:
        del file["US/US_DATASET0000/data/imag"]
        file.create_dataset("US/US_DATASET0000/data/imag", (10**9,), "f4", chunks=(1000,))
    assert "data/imag has another shape" in refusal(path)
