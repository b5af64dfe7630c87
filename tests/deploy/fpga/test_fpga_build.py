"""A build for an FPGA: what is written agrees byte for byte, fits the device, and appears whole or not at all."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from edgerecon.cli.verbs.build import build
from edgerecon.core.errors import EdgereconError, GateError, ModelError, UsageError
from edgerecon.core.frame import to_unit
from edgerecon.deploy.fpga import build as fpga_build
from edgerecon.deploy.fpga.build import build_fpga
from edgerecon.engines import open_engine
from edgerecon.fpga import integer_reference
from edgerecon.fpga.budget import Fold, plan_of
from edgerecon.fpga.cpp import cpp_sources
from edgerecon.fpga.integer_ir import IntegerNetwork, read_ir
from edgerecon.fpga.integer_onnx import integer_network
from edgerecon.hardware.device import Fpga, load_device
from edgerecon.modelfile.catalogue import find_file, shipped_models
from edgerecon.modelfile.file import read_model
from edgerecon.stream.sources import open_source
from tests.support.hand_made import fp32, po2
from tests.support.sanitizers import FLAGS, fixed_addresses

DILATIONS = (1, 2, 3, 3, 2, 1)
GXX = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return po2(tmp_path_factory.mktemp("model") / "net-po2.onnx", dilations=DILATIONS)


@pytest.fixture(scope="module")
def network(model: Path) -> IntegerNetwork:
    return integer_network(read_model(model))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No compiler: the C++ has a test of its own."""
    monkeypatch.setattr(fpga_build, "_against_cpp", lambda folder: None)


SANITIZED = (
    "-std=c++17",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unknown-pragmas",
    *FLAGS,
)


@GXX
def test_the_testbench_finds_one_wrong_byte(tmp_path: Path) -> None:
    small = integer_network(read_model(po2(tmp_path / "m.onnx", width=2, dilations=(1, 1))))
    for name, text in cpp_sources(small, plan_of(small, (Fold(4, 2), Fold(2, 2)), packed=True)).items():
        (tmp_path / name).write_text(text)
    frame = np.arange(35, dtype=np.uint8).reshape(5, 7)
    fpga_build._write_vectors(tmp_path / "vectors", {"odd": (frame, integer_reference.run(small, frame))})
    units = [str(path) for path in tmp_path.glob("*.cpp")]
    subprocess.run(
        ["g++", "-std=c++17", "-O0", "-Wno-unknown-pragmas", *units, "-o", tmp_path / "bench"], check=True, timeout=120
    )

    def said() -> tuple[int, str]:
        run = subprocess.run(
            [tmp_path / "bench", tmp_path / "vectors"], capture_output=True, text=True, check=False, timeout=120
        )
        return run.returncode, run.stdout

    assert said() == (0, "odd, 7 x 5: 0 bytes differ\n")
    wrong = tmp_path / "vectors" / "odd_expected.pgm"
    content = wrong.read_bytes()
    wrong.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert said() == (1, "odd, 7 x 5: 1 bytes differ\n")
    wrong.write_bytes(content[:-1])
    assert said() == (2, "odd: not a pair of pictures\n")


def _real_frames(folder: Path | None) -> list[np.ndarray]:
    """The cine inside pydicom and, where they are, frames of the real recordings; cropped, for the reference's sake."""
    names = ["sample"]
    if folder:
        names += [str(path) for path in sorted((folder / "cine").glob("*.npz"))]
    found = []
    for name in names:
        with closing(open_source(name)) as source:
            for capture in islice(source.frames(), 15):
                if capture.image is not None:
                    found.append(to_unit(capture.image)[40:95, 60:131].astype(np.float32))
    return found


@GXX
@pytest.mark.parametrize("name", [name for name in shipped_models() if name.endswith("-po2")])
def test_no_byte_of_a_shipped_model_differs_over_real_frames(name: str, shared_data: Path) -> None:
    frames = _real_frames(shared_data)
    assert len(frames) >= 50
    network, mismatches = integer_network(find_file(name)), 0
    with closing(open_engine(name, "hls")) as cpp, closing(open_engine(name, "onnxruntime", threads=1)) as runtime:
        for frame in frames:
            expected = integer_reference.run(network, integer_reference.levels_of(frame))
            for engine in (cpp, runtime):
                mismatches += np.count_nonzero(engine.run(frame) * 256 != expected)
    assert mismatches == 0


@GXX
def test_the_folder_is_complete_and_its_report_answers(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fpga_build, "FLAGS", SANITIZED)
    monkeypatch.setattr(fpga_build, "_real_frame", lambda: np.full((20, 32), 90, np.uint8))  # others have real frames
    with fixed_addresses():
        made = build_fpga(model, load_device("zcu104"), tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "report.json").read_text())
    assert facts == json.loads(json.dumps(made.facts))
    assert facts["checked"] == {"vectors": 9, "onnxruntime": 0, "cpp": 0}
    assert facts["cycles_per_pixel"] <= 1 and facts["resources"]["dsp"]["used"] <= 1000
    assert facts["first_output_rows"] <= 5 and facts["unverified"]
    speed = next(row for row in facts["frames"] if row["shape"] == [512, 512])
    assert speed["frames_per_second"] >= 550 and facts["assumed_clock_mhz"] == 150
    out = tmp_path / "out"
    assert read_ir(out / "network.json").to_json() == integer_network(read_model(model)).to_json()
    assert "part=xczu7ev-ffvc1156-2-e" in (out / "hls" / "hls_config.cfg").read_text()
    assert (out / "rtl" / "compact_stream.sv").exists() and (out / "README.md").exists()
    names = (out / "vectors" / "list.txt").read_text().split()
    assert {path.name for path in (out / "vectors").glob("*.pgm")} == {
        f"{name}_{kind}.pgm" for name in names for kind in ("input", "expected")
    }
    report = (out / "report.md").read_text()
    assert "cycles at an assumed clock of 150 MHz" in report and made.summary in report
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("device", "cycles", "part"),
    [("pynq-z2", 3, True), ("kria-kv260", 1, True), ("ultra96", 1, True), ("ecp5-85", 9, False)],
)
def test_every_board_has_a_folding(
    quick: None, model: Path, tmp_path: Path, device: str, cycles: float, part: bool
) -> None:
    profile = load_device(device)
    facts = build_fpga(model, profile, tmp_path / "out").facts
    assert facts["cycles_per_pixel"] <= cycles and facts["checked"]["cpp"] is None
    for key in ("dsp", "bram36", "lut", "ff"):
        assert facts["resources"][key]["used"] <= (facts["resources"][key]["available"] or math.inf)
    assert (tmp_path / "out" / "hls" / "hls_config.cfg").exists() == part
    assert "not compiled here" in (tmp_path / "out" / "README.md").read_text()


def test_only_a_folder_of_ours_is_replaced(quick: None, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    build_fpga(model, load_device("zcu104"), out)  # empty: nothing is lost
    (out / "stray").write_text("x")
    assert "pynq" in build_fpga(model, load_device("pynq-z2"), out).facts["device"]
    assert not (out / "stray").exists() and [path.name for path in tmp_path.iterdir()] == ["out"]
    for other in (tmp_path / "file", tmp_path / "folder"):
        if other.name == "file":
            other.write_text("mine")
        else:
            other.mkdir()
            (other / "report.json").write_text("{}")
        with pytest.raises(UsageError, match="edgerecon build did not make it"):
            build_fpga(model, load_device("zcu104"), other)


def test_a_failure_leaves_what_was_there(
    quick: None, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    build_fpga(model, load_device("zcu104"), out)
    before = (out / "report.json").read_text()

    def fails(*args: object) -> None:
        raise GateError("3 bytes differ")

    monkeypatch.setattr(fpga_build, "_against_onnxruntime", fails)
    with pytest.raises(GateError, match="3 bytes differ"):
        build_fpga(model, load_device("pynq-z2"), out)
    assert (out / "report.json").read_text() == before and [path.name for path in tmp_path.iterdir()] == ["out"]
    monkeypatch.setattr(fpga_build, "write_rtl", lambda *args: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(EdgereconError, match="cannot write .*out: No space left"):
        build_fpga(model, load_device("pynq-z2"), out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("failures", [1, 2])
def test_a_failed_rename_loses_no_build(
    quick: None, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """One failure: the older build is back. Two: it lies aside, and the message names it."""
    out = tmp_path / "out"
    build_fpga(model, load_device("zcu104"), out)
    before = (out / "report.json").read_text()
    real, left = Path.rename, [failures]

    def fails(self: Path, target: Path) -> Path:
        if Path(target) == out and left[0]:
            left[0] -= 1
            raise OSError(13, "Permission denied")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(EdgereconError, match="cannot write .*out: .*Permission denied") as caught:
        build_fpga(model, load_device("pynq-z2"), out)
    kept = out if failures == 1 else next(tmp_path.glob("out.*.old"))
    assert (kept / "report.json").read_text() == before and list(tmp_path.iterdir()) == [kept]
    assert failures == 1 or str(kept) in str(caught.value)


def test_what_does_not_fit_is_named(
    network: IntegerNetwork, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = dict.fromkeys(("fpga", "memory_gb", "cores"), "a test")
    board = Fpga(dsp=20, bram36=140, lut=5000)
    tiny = replace(load_device("pynq-z2"), name="board", fpga=board, sources=sources)
    with pytest.raises(GateError, match="does not fit board.*look-up tables of 4000"):
        build_fpga(model, tiny, tmp_path / "out")
    assert not list(tmp_path.iterdir())
    with pytest.raises(GateError, match="layer 2 .*do not fold into steps of 3 and 2"):
        plan_of(network, (Fold(4, 2), Fold(3, 2), *[Fold(8, 2)] * 4), packed=True)
    with pytest.raises(UsageError, match="states no logic"):
        build_fpga(model, load_device("x86-avx2"), tmp_path / "out")
    with pytest.raises(ModelError, match="no integer form"):
        build_fpga(fp32(tmp_path / "net.onnx"), load_device("zcu104"), tmp_path / "out")


def test_a_board_without_multipliers_gets_the_form_without(quick: None, model: Path, tmp_path: Path) -> None:
    board = replace(
        load_device("zcu104"),
        name="board",
        fpga=Fpga(dsp=4, bram36=140, lut=90_000),
        sources=dict.fromkeys(("fpga", "memory_gb"), "a test"),
    )
    facts = build_fpga(model, board, tmp_path / "out").facts
    assert facts["distributed"] and facts["resources"]["dsp"]["used"] == 0
    assert {row["cycles_per_cell"] for row in facts["layers"]} == {facts["cycles_per_pixel"] * 4}
    assert "synthesise the SystemVerilog" in (tmp_path / "out" / "report.md").read_text()


def test_the_verb_says_what_it_made(
    quick: None, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(str(model), "zcu104", tmp_path / "out", tmp_path / "facts.json")
    said = capsys.readouterr().out
    assert "1 cycles a pixel" in said and "cycles × assumed 150 MHz" in said
    assert json.loads((tmp_path / "facts.json").read_text())["device"] == "zcu104"
    with pytest.raises(UsageError, match="-o FOLDER"):
        build(str(model), "zcu104", None, None)
