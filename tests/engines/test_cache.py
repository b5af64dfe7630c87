"""Engine files: whole or refused, and never an engine of something else."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerecon.core.cache import cache_folder
from edgerecon.core.errors import EngineError, UsageError
from edgerecon.engines.tensorrt import engine_file as cache
from edgerecon.engines.tensorrt.engine_file import (
    EngineFacts,
    Shapes,
    cache_path,
    candidates,
    read_engine,
    write_engine,
)

FACTS = EngineFacts("ab" * 32, "fp32", "tensorrt", "10.3.0", "8.7", "Orin", Shapes((2, 2), (512, 512), (2048, 2048)))
PLAN = bytes(range(256)) * 5


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.engine"
    write_engine(path, FACTS, PLAN)
    return path


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("e") / "net.engine"
    write_engine(path, FACTS, PLAN)
    return path.read_bytes()


def _refusal(path: Path, expected: EngineFacts = FACTS, any_shapes: bool = False) -> str:
    with pytest.raises(EngineError, match="is refused: .*; build it again with  edgerecon build") as caught:
        read_engine(path, expected, any_shapes=any_shapes)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_what_was_written_is_read(file: Path) -> None:
    assert read_engine(file, FACTS) == (FACTS, PLAN)
    assert [path.name for path in file.parent.iterdir()] == ["net.engine"]  # no side files


def test_the_layout_is_the_documented_one(content: bytes) -> None:
    """Read again without our code."""
    assert content[:16] == b"EDGERECON-SEAL1\n"
    end = 20 + int.from_bytes(content[16:20], "little")
    assert content[end:] == PLAN
    assert hashlib.sha256(PLAN).hexdigest().encode() in content[20:end] and b'"8.7"' in content[20:end]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "cd" * 32}, "another model .*abababababab.*not cdcdcdcdcdcd"),
        ({"precision": "int8"}, "it is fp32, not int8"),
        ({"compute_capability": "8.9"}, "compute capability 8.7, and this GPU has 8.9"),
        ({"gpu": "NVIDIA H200"}, "built on Orin, and this is NVIDIA H200"),
        ({"version": "10.7.0"}, "tensorrt 10.3.0, and here is tensorrt 10.7.0"),
        ({"runtime": "tensorrt_rtx"}, "tensorrt 10.3.0, and here is tensorrt_rtx"),
        ({"shapes": Shapes((2, 2), (256, 256), (2048, 2048))}, "opt 512×512, .* not .* opt 256×256"),
    ],
)
def test_an_engine_of_something_else(file: Path, change: dict[str, object], reason: str) -> None:
    import re

    assert re.search(reason, _refusal(file, replace(FACTS, **change)))  # type: ignore[arg-type]


def test_other_shapes_where_any_will_do(file: Path) -> None:
    other = replace(FACTS, shapes=Shapes())
    assert read_engine(file, other, any_shapes=True) == (FACTS, PLAN)
    assert "8.7" in _refusal(file, replace(other, compute_capability="8.9"), any_shapes=True)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_changed_byte_is_noticed(
    content: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    path = tmp_path_factory.getbasetemp() / "changed.engine"
    path.write_bytes(content[:at] + bytes([byte]) + content[at + 1 :])
    try:
        found = read_engine(path, FACTS)
    except EngineError as error:
        assert "is refused" in str(error)
    else:  # a space of the header became another space
        assert found == (FACTS, PLAN) and content[at] == 0x20 and byte in b"\t\n\r"


@given(st.integers(0, 10_000))
@settings(max_examples=200, deadline=None)
def test_any_cut_is_noticed(content: bytes, tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.engine"
    path.write_bytes(content[: length % len(content)])
    _refusal(path)


def test_reasons(file: Path, content: bytes) -> None:
    cases = {
        b"": "not made by edgerecon",
        b"\x00" * 500: "not made by edgerecon",
        content[: len(content) // 2]: "cut short",
        content[:200]: "cut short",
        content + b"x": "cut short or has grown: 1281 bytes where there should be 1280",
        content[:-1] + b"x": "corrupt: its bytes have changed",
        content[:20] + b"x" + content[21:]: "header is corrupt",
        content.replace(b'"engine"', b'"timing"'): "it holds 'timing', not 'engine'",
        content.replace(b'"gpu"', b'"gnu"'): "header is corrupt",
        content[:16] + b"\xff" * 4 + content[20:]: "cut short",
    }
    for damaged, reason in cases.items():
        file.write_bytes(damaged)
        assert reason in _refusal(file)
    file.unlink()
    assert "cannot be read (No such file" in _refusal(file)
    file.mkdir()
    assert "cannot be read (Is a directory" in _refusal(file)


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(errno.EIO, "Input/output error")])
def test_interruption_leaves_the_old_engine(
    file: Path, monkeypatch: pytest.MonkeyPatch, call: str, fault: BaseException
) -> None:
    def fail(*arguments: object) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(KeyboardInterrupt if isinstance(fault, KeyboardInterrupt) else EngineError):
            write_engine(file, FACTS, b"newer")
    assert [path.name for path in file.parent.iterdir()] == ["net.engine"]
    assert read_engine(file, FACTS) == (FACTS, PLAN)


def test_a_killed_writer_leaves_nothing_that_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import os, sys
from pathlib import Path
from edgerecon.engines.tensorrt.engine_file import EngineFacts, Shapes, write_engine
os.fsync = lambda descriptor: os._exit(9)
write_engine(Path(sys.argv[1]), EngineFacts("a", "fp32", "tensorrt", "1", "8.7", "", Shapes()), bytes(100_000))
"""
    path = tmp_path / "net.engine"
    assert subprocess.run([sys.executable, "-c", code, str(path)], timeout=300, check=False).returncode == 9
    assert len(list(tmp_path.iterdir())) == 1  # what it had written, under its temporary name
    monkeypatch.setenv("EDGERECON_CACHE", str(tmp_path))
    assert not path.exists() and candidates(tmp_path / "net.onnx") == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EngineError, match=r"^no space left for .*net\.engine \(1\.3 MB\): free some") as caught:
        write_engine(tmp_path / "net.engine", FACTS, bytes(1_300_000))
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_disk_that_is_really_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode: real_open(Path("/dev/full"), "wb"))
    with pytest.raises(EngineError, match="^no space left for "):
        write_engine(tmp_path / "net.engine", FACTS, bytes(1_300_000))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(EngineError, match=r"cannot write .*taken/net\.engine: "):
        write_engine(tmp_path / "taken" / "net.engine", FACTS, PLAN)


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGERECON_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    for value, expected in (
        ("", "/home/somebody/.cache/edgerecon"),
        ("relative", "/home/somebody/.cache/edgerecon"),
        (str(tmp_path), f"{tmp_path}/edgerecon"),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_folder() == Path(expected)
    monkeypatch.setenv("EDGERECON_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")


def test_every_fact_has_a_file_of_its_own() -> None:
    changes: list[dict[str, object]] = [
        {},
        {"model": "x"},
        {"precision": "x"},
        {"runtime": "x"},
        {"version": "x"},
        {"compute_capability": "x"},
        {"gpu": "x"},
        {"shapes": Shapes()},
    ]
    assert {key for change in changes for key in change} == set(EngineFacts.__dataclass_fields__)
    paths = {cache_path(Path("net.onnx"), replace(FACTS, **change)) for change in changes}  # type: ignore[arg-type]
    assert len(paths) == len(changes)
    assert all(path.name.startswith("net.") and path.suffix == ".engine" for path in paths)
    assert cache_path(Path("net.onnx"), FACTS) == cache_path(Path("/other/net.onnx"), replace(FACTS))


def test_candidates_beside_the_model_come_first_then_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, kept = tmp_path / "models", tmp_path / "kept"
    monkeypatch.setenv("EDGERECON_CACHE", str(kept))
    names = [models / "net.orin.engine", kept / "net.new.engine", kept / "net.old.engine"]
    others = [models / "net-fp16.orin.engine", models / "network.engine", kept / "net.onnx", models / "xnet.a.engine"]
    for age, path in enumerate([*names, *others]):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (1e9 - age, 1e9 - age))
    assert candidates(models / "net.onnx") == names
    assert candidates(tmp_path / "nowhere" / "net.onnx") == names[1:]
    assert cache.candidates(models / "none.onnx") == []


@given(st.tuples(*[st.integers(1, 3000)] * 6), st.integers(1, 64))
@settings(deadline=None)
def test_padded_shapes(sides: tuple[int, ...], multiple: int) -> None:
    rows, columns = sorted(sides[:3]), sorted(sides[3:])
    shapes = Shapes(*zip(rows, columns, strict=True))
    padded = shapes.padded(multiple)
    for before, after in zip((shapes.min, shapes.opt, shapes.max), (padded.min, padded.opt, padded.max), strict=True):
        for side, grown in zip(before, after, strict=True):
            assert grown % multiple == 0 and side <= grown < side + multiple


@pytest.mark.parametrize(
    "sizes",
    [((0, 1), (1, 1), (1, 1)), ((4, 4), (2, 8), (9, 9)), ((1, 1), (2, 2), (2, 1)), ((1, 1), (2, 2), (2, 16385))],
)
def test_impossible_shapes(sizes: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(UsageError, match="1 ≤ min ≤ opt ≤ max ≤ 16384, not min"):
        Shapes(*sizes)
