"""Where a built library is found: in the cache, else in the wheel, and only for its sources and machine."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgerecon.core.errors import EngineError
from edgerecon.cpu import store
from edgerecon.cpu.compile import Compiler


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a wheel's prebuilt libraries, beside sources of its own; the cache is empty."""
    sources = tmp_path / "kernels" / "cpu"
    sources.mkdir(parents=True)
    (sources / "edgerecon_cpu.cpp").write_text("int one;")
    monkeypatch.setattr(store, "source_folder", lambda: sources)
    monkeypatch.setattr(store, "_folder", lambda: tmp_path / "cache")
    return tmp_path / "kernels" / "prebuilt"


def seal(folder: Path, machine: str, content: bytes) -> None:
    store.seal(folder / f"edgerecon_cpu.{machine}{store.SUFFIX}", machine, "a compiler", content)


def test_library_of_the_wheel_is_found(installation: Path) -> None:
    assert store.find_built() is None
    seal(installation, "some other machine", b"other")
    assert store.find_built() is None
    seal(installation, platform.machine(), b"wheel")
    found = store.find_built()
    assert found is not None and (found.content, found.compiler) == (b"wheel", "a compiler")


def test_library_built_here_comes_first(installation: Path, tmp_path: Path) -> None:
    seal(installation, platform.machine(), b"wheel")
    seal(tmp_path / "cache", platform.machine(), b"here")
    found = store.find_built()
    assert found is not None and found.content == b"here"


def test_library_of_other_sources_is_left_alone(installation: Path) -> None:
    seal(installation, platform.machine(), b"wheel")
    (installation.parent / "cpu" / "edgerecon_cpu.cpp").write_text("int two;")
    assert store.find_built() is None


def test_sources_that_change_during_the_build_are_not_sealed(
    installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_while_edited(compiler: Compiler) -> bytes:
        (installation.parent / "cpu" / "edgerecon_cpu.cpp").write_text("int two;")
        return b"of int one"

    monkeypatch.setattr(store, "find_compiler", lambda: Compiler(Path("c++"), "a compiler"))
    monkeypatch.setattr(store, "compile_library", compile_while_edited)
    with pytest.raises(EngineError, match="changed while they were compiled: build them again"):
        store.build()
    assert store.find_built() is None
    monkeypatch.setattr(store, "compile_library", lambda compiler: b"of int two")
    assert store.build().content == b"of int two"
