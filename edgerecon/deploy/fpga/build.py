"""``edgerecon build --device zcu104``: a po2 model as a folder of hardware sources with vectors, report and README."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EdgereconError, GateError, UsageError, first_line
from edgerecon.core.files import write
from edgerecon.core.frame import to_unit
from edgerecon.deploy.fpga.report import Checked, markdown, readme, report
from edgerecon.engines import backends, open_engine
from edgerecon.fpga import integer_reference
from edgerecon.fpga.budget import ASSUMED_CLOCK_MHZ, Plan, fit_plan
from edgerecon.fpga.cpp import TOP, cpp_sources
from edgerecon.fpga.integer_ir import FRAME_EXPONENT, IntegerNetwork
from edgerecon.fpga.integer_onnx import integer_network
from edgerecon.fpga.rtl import write_rtl
from edgerecon.hardware.device import DeviceProfile
from edgerecon.modelfile.catalogue import find_file
from edgerecon.modelfile.file import ModelFile
from edgerecon.stream.sources.still_frames import read_frames

REPORT = "report.json"
MARK = '"made_by": "edgerecon build"'
"""In the report of every folder of ours: no other folder is ever replaced."""

FLAGS = ("-std=c++17", "-O1", "-Wno-unknown-pragmas")

Vectors = dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]


@dataclass(frozen=True)
class FpgaBuild:
    """What was written. facts: the report as plain values. summary: one line of it."""

    path: Path
    facts: dict[str, Any]
    summary: str


def build_fpga(model: str | Path, device: DeviceProfile, out: Path) -> FpgaBuild:
    """Write the C++ project, the SystemVerilog, golden vectors, the report and a README.

    The folder appears when all is in it and all that can be checked here agrees; one of ours is replaced.

    Args:
        model: a shipped name, which stands for its -po2 file, or the path of one. out: the folder.

    Raises:
        UsageError: unknown model; ``out`` is something else of yours. ModelError: no po2 file, see ``integer_network``.
        GateError: no folding fits the device (the nearest is named), or what is made differs from ONNX Runtime.
        EdgereconError: the folder cannot be written.
    """
    if device.fpga is None:
        raise UsageError(f"{device.name} states no logic, memories and multipliers to build for")
    _refuse_foreign(out)
    file = find_file(model, backends()["hls"].runs)
    network = integer_network(file)
    plan = fit_plan(network, device.fpga, device.name)
    vectors = golden_vectors(network)
    with _replaced(out) as folder:
        network.write(folder / "network.json")
        _write_vectors(folder / "vectors", vectors)
        _write_cpp(folder, network, plan, device)
        (folder / "rtl").mkdir()
        write_rtl(network, plan, folder / "rtl")
        checked = Checked(len(vectors), _against_onnxruntime(file, vectors), _against_cpp(folder))
        facts = report(network, plan, device, checked)
        write(folder / REPORT, facts.text().encode())
        write(folder / "report.md", markdown(facts).encode())
        write(folder / "README.md", readme(facts).encode())
    return FpgaBuild(out, facts.values, facts.summary)


def golden_vectors(network: IntegerNetwork) -> Vectors:
    """Frames of levels with what the reference makes of them: random, extreme, tiny and odd ones, and a real one."""
    rng = np.random.default_rng(1)
    frames = {
        "random": rng.integers(0, 256, (32, 20), np.uint8),
        "odd": rng.integers(0, 256, (33, 51), np.uint8),
        "extreme": np.where(rng.random((24, 30)) < 0.5, 0, 255).astype(np.uint8),
        "black": np.zeros((16, 16), np.uint8),
        "white": np.full((16, 16), 255, np.uint8),
        "row": rng.integers(0, 256, (1, 37), np.uint8),
        "column": rng.integers(0, 256, (37, 1), np.uint8),
        "pixel": rng.integers(0, 256, (1, 1), np.uint8),
        "echo": _real_frame(),
    }
    return {name: (frame, integer_reference.run(network, frame)) for name, frame in frames.items()}


def _real_frame() -> NDArray[np.uint8]:
    """Of the echocardiography cine that ships inside pydicom, (240, 320)."""
    return integer_reference.levels_of(to_unit(read_frames(among=1)[0]))


def _write_vectors(folder: Path, vectors: Vectors) -> None:
    folder.mkdir()
    for name, pair in vectors.items():
        for kind, image in zip(("input", "expected"), pair, strict=True):
            header = f"P5\n{image.shape[1]} {image.shape[0]}\n255\n".encode()
            write(folder / f"{name}_{kind}.pgm", header + image.tobytes())
    write(folder / "list.txt", ("\n".join(vectors) + "\n").encode())


def _write_cpp(folder: Path, network: IntegerNetwork, plan: Plan, device: DeviceProfile) -> None:
    (folder / "hls").mkdir()
    for name, text in cpp_sources(network, plan).items():
        write(folder / "hls" / name, text.encode())
    if device.fpga and device.fpga.part:
        config = _CONFIG.format(part=device.fpga.part, clock=ASSUMED_CLOCK_MHZ, top=TOP)
        write(folder / "hls" / "hls_config.cfg", config.encode())


def _against_onnxruntime(file: ModelFile, vectors: Vectors) -> int:
    """Bytes that the ONNX file gives otherwise: none, or GateError."""
    wrong = 0
    with closing(open_engine(file, "onnxruntime", threads=1)) as engine:
        for frame, expected in vectors.values():
            found = engine.run(frame.astype(np.float32) * np.float32(2.0**FRAME_EXPONENT))
            wrong += int(np.count_nonzero(found * np.float32(2.0**-FRAME_EXPONENT) != expected))
    if wrong:
        raise GateError(f"ONNX Runtime differs from the integer form of {file.path.name} in {wrong} bytes: not written")
    return wrong


def _against_cpp(folder: Path) -> int | None:
    """Bytes that the compiled C++ gives otherwise: none, or GateError. None: there is no compiler here."""
    compiler = shutil.which("g++")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory(prefix="edgerecon-") as place:
        program = str(Path(place) / "testbench")
        units = [str(path) for path in (folder / "hls").glob("*.cpp")]
        command = [compiler, *FLAGS, *units, "-o", program]
        for step in (command, [program, str(folder / "vectors")]):
            done = subprocess.run(step, capture_output=True, text=True, errors="replace", check=False)
            if done.returncode:
                said = (done.stderr + done.stdout).strip().splitlines() or ["no reason"]
                raise GateError(f"the C++ model fails, nothing is written: {said[0]}")
    return 0


def _refuse_foreign(out: Path) -> None:
    """Raises UsageError for anything but an empty or absent folder, or one of ours."""
    try:
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return
        ours = out.is_dir() and MARK in (out / REPORT).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        ours = False
    if not ours:
        raise UsageError(f"{out} is there, and edgerecon build did not make it: give a new folder with -o")


@contextmanager
def _replaced(out: Path) -> Iterator[Path]:
    """A new folder beside ``out`` that takes its place when all went well, and goes otherwise."""
    partial = out.with_name(f"{out.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        _swap(partial, out)
    except OSError as error:
        raise EdgereconError(f"cannot write {out}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _swap(new: Path, out: Path) -> None:
    """Rename a folder to ``out``. What was there comes back when that fails, and is deleted only when it did not.

    Raises:
        OSError: the rename failed. EdgereconError: and the old folder could not come back; it is named.
    """
    if not out.exists():
        new.rename(out)
        return
    old = out.with_name(f"{out.name}.{os.getpid()}.old")
    out.rename(old)
    try:
        new.rename(out)
    except BaseException as error:
        try:
            old.rename(out)
        except OSError:
            raise EdgereconError(f"cannot write {out}: {first_line(error)}; the older build lies in {old}") from None
        raise
    shutil.rmtree(old, ignore_errors=True)


_CONFIG = """# v++ -c --mode hls --config hls_config.cfg --work_dir build
# vitis-run --mode hls --csim --config hls_config.cfg --work_dir build
part={part}

[hls]
flow_target=vivado
package.output.format=ip_catalog
clock={clock:g}MHz
syn.top={top}
syn.file={top}.cpp
tb.file=testbench.cpp
tb.file=../vectors
"""
