"""docs/architecture.md: each example of a new record runs as it stands, beside an independent answer."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgerecon as er
from edgerecon.core.shipped import resource_dir
from edgerecon.engines import backends
from edgerecon.hardware.device import load_device
from edgerecon.modelfile.file import read_model
from edgerecon.quality.measures.before_after import BeforeAfter

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
SMALL = resource_dir("export") / "compact-despeckle-small.onnx"


def _example(heading: str, last: bool = False, language: str = "python") -> str:
    """The first or the last example under a heading."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n### {heading}\n")[1].split("\n### ")[0]
    found = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found, heading
    return found[-1 if last else 0]


def _run(heading: str, last: bool = False) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(_example(heading, last), PAGE.name, "exec", dont_inherit=True), names)
    return names


def _frame(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("section", re.findall(r"^### (Add .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
def test_each_example_is_short(section: str) -> None:
    language = "toml" if "board" in section else "python"
    lines = [line for line in _example(section, last=True, language=language).splitlines() if line.strip()]
    assert len(lines) <= 32, f"{section}: {len(lines)} lines"


def test_engine_example_agrees_with_onnx_runtime() -> None:
    backend, frame = _run("Add an engine")["BACKEND"], _frame(21, 30)
    with closing(backend.open(read_model(SMALL), None, 1, "fp32")) as mine, closing(er.open_engine(SMALL)) as reference:
        np.testing.assert_allclose(mine.run(frame), reference.run(frame), atol=1e-3)
    assert backend.available and "mine" not in backends()


def test_source_example_reads_what_the_sink_example_wrote(tmp_path: Path) -> None:
    source, sink = _run("Add a source")["SOURCE"], _run("Add a sink")["SINK"]
    path, frames = tmp_path / "out.myf", _frame(3, 64, 64)
    er.stream(_Frames(frames), None, [sink.open(str(path), {})], policy="every", pace=False)
    assert source.recognises(path.read_bytes()[:5]) == 5
    with closing(source.open(str(path), {})) as opened:
        read = [capture.image for capture in opened.frames()]
    assert len(read) == 3 == opened.length
    np.testing.assert_allclose(np.stack(read) / 255, frames, atol=1 / 255)


class _Frames:
    name, period_s, spacing_mm, live = "frames", 1 / 30, None, False

    def __init__(self, frames: np.ndarray) -> None:
        self._frames, self.length = frames, len(frames)

    def frames(self):
        yield from map(er.Capture, self._frames)

    def close(self) -> None: ...


def test_measure_and_filter_examples_give_known_numbers() -> None:
    frame = _frame(9, 9)
    (measure,) = _run("Add a measure (a metric)")["MEASURES"]
    assert measure.fn(BeforeAfter(frame, frame)) == pytest.approx(255 * frame.min())
    (median,) = _run("Add a classical filter")["FILTERS"]
    assert median.run(frame, size=3)[4, 4] == np.median(frame[3:6, 3:6])
    (invert,) = _run("Add a filter of a stream")["FILTERS"]
    np.testing.assert_allclose(invert.make(level=0.5)(frame), 0.5 - frame)


def test_method_example_gives_the_mean() -> None:
    signals = _frame(4, 6).astype(np.complex64)
    found = _run("Add a beamforming method")["METHOD"].combine(signals, np.ones((4, 6), bool), None)
    np.testing.assert_allclose(found, signals.mean(1), rtol=1e-6)


def test_family_example_builds_a_network_that_exports() -> None:
    torch = pytest.importorskip("torch")
    from edgerecon.workshop.models.network import Network

    family = _run("Add a model family")["FAMILY"]
    network = family.build(**dict(family.params()))
    assert isinstance(network, Network) and network.macs_per_pixel() == 2 * 9 * 16
    assert network(torch.rand(1, 1, 5, 7)).shape == (1, 1, 5, 7)


def test_precision_example_rounds_every_weight() -> None:
    pytest.importorskip("torch")
    import onnx

    made = _run("Add a precision", last=True)["to_w12"](SMALL.read_bytes())
    weights = [onnx.numpy_helper.to_array(one) for one in made.graph.initializer if one.data_type == 1]
    assert weights and all((one * 2048 == np.round(one * 2048)).all() for one in weights)


def test_board_example_is_a_device(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(_example("Add a board or a device", language="toml"))
    board = load_device(str(path))
    assert board.kind == "fpga" and board.fpga is not None and board.fpga.dsp == 360
