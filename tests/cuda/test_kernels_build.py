"""Finding nvcc, what it says, and the cache of what it built."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.errors import EngineError, UsageError
from edgerecon.cuda.kernels import compile as compiling
from edgerecon.cuda.kernels import store
from edgerecon.cuda.kernels.compile import Compiler, FatBinary, Usage, compile_kernel, find_compiler, parse_usage

SAID = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'b' for 'sm_90'
ptxas info    : Function properties for b
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 10 registers, used 0 barriers, 372 bytes cmem[0]
ptxas info    : Compiling entry function 'a' for 'sm_75'
ptxas info    : Function properties for a
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 256 bytes smem, 360 bytes cmem[0]
"""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cuda"
    folder.mkdir()
    (folder / "blur.cu").write_text('extern "C" __global__ void blur(float* x) { *x = 0; }\n')
    (folder / "blur_core.h").write_text("// taps\n")
    monkeypatch.setenv("EDGERECON_CACHE", str(tmp_path / "cache"))
    for module in (compiling, store):
        monkeypatch.setattr(module, "source_folder", lambda: folder)
    return folder


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that were compiled, by a compiler that only pretends."""
    made: list[str] = []

    def compile_(name: str, compiler: Compiler) -> FatBinary:
        made.append(name)
        return FatBinary(b"machine code", ())

    monkeypatch.setattr(store, "find_compiler", lambda: Compiler(Path("nvcc"), "13.0.88"))
    monkeypatch.setattr(store, "compile_kernel", compile_)
    return made


def none_found() -> Compiler:
    raise EngineError(compiling.NO_COMPILER)


def test_usage_is_read_off_what_ptxas_says() -> None:
    assert parse_usage(SAID) == (Usage("a", 75, 255, 256, 16, 20), Usage("b", 90, 10, 0, 0, 0))


def test_a_build_is_kept_until_source_or_compiler_changes(
    sources: Path, builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.obtain("blur")
    assert (first.content, first.toolkit, store.obtain("blur")) == (b"machine code", "13.0.88", first)
    assert builds == ["blur"]
    (sources / "blur_core.h").write_text("// other taps\n")
    assert store.obtain("blur").path != first.path and len(builds) == 2
    monkeypatch.setattr(store, "find_compiler", lambda: Compiler(Path("nvcc"), "13.1.0"))
    assert store.obtain("blur").toolkit == "13.1.0" and len(builds) == 3


def test_sources_that_change_during_the_build_are_not_sealed(
    sources: Path, builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_while_edited(name: str, compiler: Compiler) -> FatBinary:
        (sources / "blur_core.h").write_text("// edited\n")
        return FatBinary(b"of the first sources", ())

    with monkeypatch.context() as patched:
        patched.setattr(store, "compile_kernel", compile_while_edited)
        with pytest.raises(EngineError, match="changed while they were compiled: build it again"):
            store.obtain("blur")
    assert store.obtain("blur").content == b"machine code"


def test_a_damaged_file_is_built_again(sources: Path, builds: list[str]) -> None:
    path = store.obtain("blur").path
    path.write_bytes(path.read_bytes()[:-1])
    assert store.obtain("blur").content == b"machine code" and len(builds) == 2


def test_without_a_compiler_the_cache_serves_equal_sources(
    sources: Path, builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.obtain("blur")
    monkeypatch.setattr(store, "find_compiler", none_found)
    assert store.obtain("blur") == made
    (sources / "blur.cu").write_text("// changed\n")
    with pytest.raises(
        EngineError, match="kernel blur is not built; there is no CUDA compiler.*copy its .*kernels here"
    ):
        store.obtain("blur")
    with pytest.raises(UsageError, match="there is no kernel 'blurr': choose from blur"):
        store.obtain("blurr")


def test_the_verb_builds_all_and_writes_plain_fat_binaries(sources: Path, builds: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["kernels", "build", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0 and "blur.fatbin" in result.output and "nvcc 13.0.88" in result.output
    assert (tmp_path / "out" / "blur.fatbin").read_bytes() == b"machine code"
    with pytest.raises(EngineError, match="cannot write"):
        store.export(store.obtain("blur"), tmp_path / "out" / "blur.fatbin")


def test_the_compiler_of_the_package_index_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvcc = tmp_path / "nvidia" / "cu13" / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.write_text("#!/bin/sh\necho Cuda compilation tools, release 13.5, V13.5.37\n")
    nvcc.chmod(0o755)
    places = SimpleNamespace(submodule_search_locations=[str(tmp_path / "nvidia")])
    monkeypatch.setattr(compiling.shutil, "which", lambda _: None)
    monkeypatch.setattr(compiling, "SYSTEM", tmp_path / "absent")
    monkeypatch.setattr(compiling, "find_spec", lambda _: places)
    assert find_compiler() == Compiler(nvcc, "13.5.37")
    monkeypatch.setattr(compiling, "find_spec", lambda _: None)
    with pytest.raises(EngineError, match="pip install nvidia-cuda-nvcc"):
        find_compiler()


def test_nvccs_first_complaint_is_the_message(sources: Path, compiler: Compiler) -> None:
    (sources / "blur.cu").write_text("__global__ void blur( { }\n")
    with pytest.raises(EngineError, match=r"nvcc failed: .*blur.cu\(1\): error: "):
        compile_kernel("blur", compiler, [90])
    with pytest.raises(EngineError, match="does not run"):
        compile_kernel("blur", Compiler(Path("/nowhere/nvcc"), "13.0"), [90])
    with pytest.raises(UsageError, match="choose from blur"):
        compile_kernel("blurr", compiler)
