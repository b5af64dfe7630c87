"""Every example is short, and runs as a reader would run it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from docs.example_pages import EXAMPLES, EXECUTED, example_files, executed


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_an_example_has_fewer_than_forty_lines(path: Path) -> None:
    if path.is_file():
        assert len(path.read_text(encoding="utf-8").splitlines()) < 40


def test_denoise_one_frame_writes_before_beside_after(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cv2

    picture, out = tmp_path / "in.png", tmp_path / "out.png"
    cv2.imwrite(str(picture), np.random.default_rng(0).integers(0, 256, (24, 32), dtype=np.uint8))
    load("denoise_one_frame").main(str(picture), str(out))
    assert cv2.imread(str(out), cv2.IMREAD_GRAYSCALE).shape == (24, 64)
    assert "before | after" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stream_to_numpy", "frames (30, 240, 320)"),
        ("beamform_points", "das: brightest at x 3.00 mm, z 16.00 mm"),
        ("custom_source", "60 of 60 frames presented"),
        ("custom_engine", "30 frames, infer p50"),
    ],
)
def test_an_example_of_the_site_says_what_it_did(name: str, said: str) -> None:
    assert name in EXECUTED
    printed, _ = executed(EXAMPLES / f"{name}.py")
    assert said in printed


def test_page_of_examples_holds_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docs.example_pages.executed", lambda path: (f"said by {path.stem}", {"picture.png": b"PNG"}))
    files = dict(example_files())
    page = files["examples.md"].decode()
    assert files["examples/picture.png"] == b"PNG" and "](examples/picture.png)" in page
    assert all(f"`examples/{path.name}`" in page for path in EXAMPLES.iterdir() if path.is_file())
    assert "## Denoise one frame\n" in page and "said by custom_engine" in page


@pytest.mark.slow  # simulates, trains and exports
def test_train_tiny_model_ships_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgerecon.modelfile.file import read_model
    from edgerecon.workshop.data.simulate import sample

    example = load("train_tiny_model")
    monkeypatch.setattr(sample, "SIZE", 64)
    monkeypatch.setattr(example, "simulate", partial(example.simulate, spread=map))  # in this process: it knows SIZE
    example.main(str(tmp_path), "4")
    assert "shipped" in capsys.readouterr().out
    assert read_model(tmp_path / "tiny.onnx").spec.name == "tiny"


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no /dev/shm")
def test_the_c_program_reads_the_ring_that_a_stream_writes(tmp_path: Path) -> None:
    import edgerecon as er

    program, name = tmp_path / "reader", f"edgerecon-example-{os.getpid()}"
    source = EXAMPLES / "read_shared_ring.c"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source], check=True, timeout=120)
    sink, seen = er.open_sink(f"shm://{name}"), []

    class Reader:
        """Starts the program with the first frame, and holds the ring open until it has read one."""

        name = "reader"

        def open(self, info: object) -> None: ...

        def present(self, before: object, after: object, late: bool) -> None:
            if not seen:
                done = subprocess.run(
                    [program, sink.name.removeprefix("shm://"), "1"], capture_output=True, text=True, timeout=120
                )
                seen.append(done.stdout)

        def close(self) -> None: ...

    er.stream(er.open_source("sample"), None, [sink, Reader()], policy="every", pace=False, frames=3)
    assert seen and "320x240, mean " in seen[0]
