"""The FPGA path on this CPU: the C++ for Vitis HLS, compiled by g++, for its picture; its time is a simulation's."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.cache import cache_folder
from edgerecon.core.errors import EngineError, UsageError, first_line
from edgerecon.core.frame import Image
from edgerecon.engines.backend import Backend
from edgerecon.engines.padded import PaddedEngine
from edgerecon.fpga.budget import Fold, plan_of
from edgerecon.fpga.cpp import cpp_sources
from edgerecon.fpga.integer_ir import FRAME_EXPONENT, MAX_LEVEL, IntegerNetwork
from edgerecon.fpga.integer_onnx import integer_network
from edgerecon.modelfile.file import ModelFile

COMPILER = "g++"
# Hidden: the loader makes one of the weights of all models in a process where their names can be seen.
FLAGS = ("-std=c++17", "-O3", "-shared", "-fPIC", "-fvisibility=hidden", "-Wno-unknown-pragmas")
_SECONDS = 300


def open_model(file: ModelFile, device: str | None, threads: int, precision: str) -> HlsEngine:
    """See ``edgerecon.engines.open_engine``. One thread runs all stages in turn, whatever ``threads`` says.

    Compiled when it is not in the cache, which takes some seconds.

    Raises:
        UsageError: a device. ModelError: no po2 file of a compact network, see ``integer_network``. EngineError: no
        compiler, or it refuses.
    """
    if device not in (None, "cpu"):
        raise UsageError(f"backend hls simulates on device 'cpu', not '{device}': for hardware  edgerecon build")
    network = integer_network(file)
    return HlsEngine(file, precision, network, _loaded(network))


class HlsEngine(PaddedEngine):
    """Levels of 1/256 go in and come out; rounding to them is what the file's own first operator does."""

    def __init__(self, file: ModelFile, precision: str, network: IntegerNetwork, library: Any) -> None:
        super().__init__(file, "hls", precision, threads=1, simulated=True)
        self._network, self._library = network, library

    def _bind(self, padded: tuple[int, int]) -> tuple[Image, Image]:
        height, width = padded
        if width > self._network.width:
            raise EngineError(f"its line buffers hold {self._network.width} pixels a row: crop or halve the frame")
        if height > np.iinfo(np.uint16).max:
            raise EngineError("it counts 65535 rows at most: crop the frame")
        self._source, self._result = self._host_arrays(padded)
        self._levels: tuple[NDArray[np.uint8], NDArray[np.uint8]] = (
            np.empty(padded, np.uint8),
            np.empty(padded, np.uint8),
        )
        return self._source, self._result

    def _execute(self) -> None:
        frame, (levels, picture) = self._source[0, 0], self._levels
        np.multiply(frame, np.float32(2.0**-FRAME_EXPONENT), out=frame)
        np.rint(frame, out=frame)
        # fmax rather than clip: what is no number becomes black, as everywhere below 0.
        np.fmin(np.fmax(frame, 0, out=frame), MAX_LEVEL, out=frame)
        np.copyto(levels, frame, casting="unsafe")
        pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in (levels, picture))
        self._library.edgerecon_run(*pointers, *levels.shape)
        np.multiply(picture, np.float32(2.0**FRAME_EXPONENT), out=self._result[0, 0])

    def _release(self) -> None:
        self._library = None  # the process keeps the code, another engine may run it


def _loaded(network: IntegerNetwork) -> Any:
    """The compiled model as a library, from the cache or made now."""
    whole = tuple(Fold(layer.inputs, layer.outputs) for layer in network.layers)  # a CPU folds nothing
    sources = cpp_sources(network, plan_of(network, whole, packed=True), "host")
    version = _run([_compiler(), "--version"]).partition("\n")[0]
    facts = "\0".join([version, *FLAGS, *(part for pair in sorted(sources.items()) for part in pair)])
    name = f"{network.name}.{hashlib.sha256(facts.encode()).hexdigest()[:24]}.hls.so"
    folder = cache_folder()
    for kept in (folder / name, None):
        try:
            return ctypes.CDLL(str(kept or _compiled(sources, folder, name)))
        except OSError as error:  # not there yet, or damaged
            refusal = first_line(error)
    raise EngineError(f"the compiled model cannot be loaded: {refusal}")


def _compiled(sources: dict[str, str], folder: Path, name: str) -> Path:
    """Compiles in a folder of its own and moves the whole library into the cache, which there may be none of."""
    with tempfile.TemporaryDirectory(prefix="edgerecon-") as place:
        for file, text in sources.items():
            (Path(place) / file).write_text(text, encoding="utf-8")
        units = [str(Path(place) / file) for file in sources if file.endswith(".cpp")]
        library = Path(place) / name
        _run([_compiler(), *FLAGS, *units, "-o", str(library)])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f"{name}.{os.getpid()}.partial"
            shutil.copyfile(library, partial)
            os.replace(partial, folder / name)
        except OSError as error:
            raise EngineError(f"cannot keep the compiled model in {folder}: {error.strerror or error}") from None
    return folder / name


def _compiler() -> str:
    if found := shutil.which(COMPILER):
        return found
    raise EngineError(f"backend hls compiles C++ and finds no {COMPILER}: install it, on Debian  apt install g++")


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{command[0]} does not run: {first_line(error)}") from None
    if done.returncode:
        said = (
            [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["no reason"]
        )
        raise EngineError(f"{command[0]} failed: {said[0].strip()}")
    return done.stdout


def _probe() -> str:
    return "" if shutil.which(COMPILER) else f"it compiles C++ and finds no {COMPILER}"


BACKEND = Backend(
    name="hls",
    title="FPGA simulation",
    kind="simulation",
    runs=("po2",),
    open=open_model,
    probe=_probe,
    remedy="install it, on Debian  apt install g++",
)
