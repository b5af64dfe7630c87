"""Fixtures shared by all tests."""

from __future__ import annotations

import copy
import fcntl
import functools
import gc
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer.main
from hypothesis import settings

# A busy machine makes no example wrong. Two runs of one commit try the same examples, so that one of them cannot fail
# alone; ``pytest --hypothesis-profile random`` looks for new ones.
settings.register_profile("edgerecon", deadline=None, derandomize=True, database=None)
settings.register_profile("random", deadline=None)
settings.load_profile("edgerecon")

SLOW = {
    "compare": "simulates with another library",
    "core/test_cluster.py": "starts a Ray cluster",
    "cpu": "compiles kernels with checks of every address",
    "cuda": "compiles kernels for every GPU",
    "deploy/adopt": "exports by torch's own exporters, and runs two hundred networks that are wrong",
    "deploy/bundle": "packs and installs bundles",
    "deploy/export": "measures every precision on every runtime",
    "deploy/fit": "times the shipped models",
    "deploy/fpga": "compiles the FPGA's twin",
    "engines/test_build.py": "builds engines of every network for every GPU",
    "engines/test_fixed_output.py": "exports a network",
    "fpga": "simulates hardware",
    "hostile/test_hostile_arguments.py": "gives every option of every verb everything hostile",
    "quality/evaluate/test_evaluate.py": "runs every method on real recordings",
    "quality/measures/test_structure.py": "simulates scenes",
    "stream/loop/test_any_exception.py": "raises every exception at every place of the loop",
    "stream/sinks/test_viewer_browser.py": "opens a browser",
    "stream/sinks/test_viewer_tools.py": "opens a browser",
    "stream/sinks/test_viewer_zoom.py": "opens a browser",
    "study": "trains",
    "workshop/compress": "quantises, prunes and trains networks",
    "workshop/data/test_simulate.py": "simulates acoustics",
    "workshop/models": "exports every family and runs it on every runtime",
    "test_browser_demo.py": "opens a browser",
    "workshop/train": "trains",
}
"""File or folder of tests → why ``make test FAST=1`` leaves it out. A slow test elsewhere has the marker itself; what
asks for ``stored`` is slow, for it compiles the CPU kernels."""


def pytest_configure() -> None:
    """What a user has in the cache decides nothing about which tests there are; each has a cache of its own."""
    os.environ["EDGERECON_CACHE"] = str(Path(tempfile.gettempdir()) / "edgerecon-tests-have-no-cache")


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores: about a quarter of the time of a process goes by in waiting for others."""
    from edgerecon.hardware.host import usable_cores

    return usable_cores() + 1


@functools.cache
def is_slow(path: Path) -> bool:
    """Whether ``SLOW`` names it, or a folder that it is in."""
    return any(path.is_relative_to(Path(__file__).parent / name) for name in SLOW)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What ``make test FAST=1`` leaves out is not even imported: torch and its like take longer than many tests."""
    return True if config.option.markexpr == "not slow" and is_slow(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files come first, so that no process begins one when the others are about to end."""
    for item in items:
        if is_slow(item.path) or "stored" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    slow_files = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow_files)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings beside the checkout; a user's clone does not have it."""
    root = Path(os.environ.get("EDGERECON_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    folder = root / "ultrasound"
    if not folder.is_dir():
        pytest.skip("the real recordings are not beside this checkout (../shared/ultrasound)")
    return folder


@pytest.fixture(scope="session")
def echo_cine() -> Path:
    """The real 30-frame echocardiography cine (240×320) that ships inside pydicom."""
    from pydicom.examples import get_path

    return Path(get_path("ybr_color"))


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests leave the user's cache alone."""
    monkeypatch.setenv("EDGERECON_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """What a test draws does not depend on which tests ran before it in the same process."""
    random.seed(0)
    np.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _ctrl_c() -> None:
    """Tests send Ctrl-C on purpose: neither a shell that starts background jobs with it ignored nor a library that took
    it for itself in an earlier test may change what it does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _verbs_read_once() -> Iterator[None]:
    """typer compiles the hints of every verb anew for each call of the command, which only tests call twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.main.get_command", functools.cache(typer.main.get_command))
        yield


@functools.cache
def _translations(read: Callable[..., Any], **opset: int) -> Any:
    return read(**opset)


@pytest.fixture(scope="module", autouse=True)
def _translations_are_read_once() -> Iterator[None]:
    """torch's exporter lists the thousand operators that it translates anew for each network, in 0.6 s of some 1.5."""
    with pytest.MonkeyPatch.context() as patch:
        if module := sys.modules.get("torch.onnx._internal.exporter._registration"):
            read = module.ONNXRegistry.from_torchlib

            def copied(**opset: int) -> Any:
                found = copy.copy(_translations(read, **opset))
                found.functions = {target: list(each) for target, each in found.functions.items()}
                return found

            patch.setattr(module.ONNXRegistry, "from_torchlib", staticmethod(copied))
        yield


@pytest.fixture(scope="module", autouse=True)
def _what_is_loaded_is_no_garbage() -> Iterator[None]:
    """A stream collects garbage before it starts: not for a second through everything that the tests have loaded."""
    from edgerecon.stream.process import gc_guard

    gc.collect()
    gc.freeze()
    kept = {"freeze": lambda: None, "unfreeze": lambda: None}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc_guard, "gc", SimpleNamespace(**{**vars(gc), **kept}))
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The CPU kernels in a cache of this process's own, built once for all processes of a run."""
    from edgerecon.core.errors import EngineError
    from edgerecon.cpu.compile import find_compiler
    from edgerecon.cpu.store import build

    base, own = tmp_path_factory.getbasetemp(), tmp_path_factory.mktemp("kernels")
    common = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "built"
    common.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        try:
            find_compiler()
        except EngineError as error:
            pytest.skip(str(error))
        with (common / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            patch.setenv("EDGERECON_CACHE", str(common))
            build()
        shutil.copytree(common, own, dirs_exist_ok=True)
        patch.setenv("EDGERECON_CACHE", str(own))
        return build()


@pytest.fixture
def native(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine ``native`` can be opened."""
    from edgerecon.cpu.library import load_library

    monkeypatch.setenv("EDGERECON_CACHE", str(stored.path.parents[1]))
    load_library.cache_clear()
