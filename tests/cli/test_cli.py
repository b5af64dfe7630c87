from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edgerecon import __version__
from edgerecon.core.errors import SinkError
from edgerecon.core.shipped import resource_dir
from tests.cli.command import Cli, assert_one_line
from tests.support.stream_fakes import until


def test_help_and_version(edgerecon: Cli) -> None:
    status, out, _ = edgerecon("--help")
    assert status == 0
    for verb in (
        "demo",
        "doctor",
        "stream",
        "simulate",
        "train",
        "adapt",
        "adopt",
        "export",
        "evaluate",
        "devices",
        "fit",
        "bundle",
        "install",
    ):
        assert verb in out
        assert edgerecon(verb, "--help")[0] == 0
    assert edgerecon("--version") == (0, f"edgerecon {__version__}\n", "")


def test_device_verbs_never_import_torch() -> None:
    code = (
        "import sys, edgerecon.cli.main, edgerecon.cli.demo, edgerecon.cli.doctor, edgerecon.engines.onnxruntime, "
        "edgerecon.stream.loop.stream, edgerecon.quality.evaluate.evaluate, edgerecon.report.stream_page, "
        "edgerecon.stream.sinks.viewer; "
        "print([name for name in ('torch', 'lightning_fabric', 'edgerecon.workshop.models') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120).stdout
        == "[]\n"
    )


def test_import_brings_no_runtime() -> None:
    code = "import sys, edgerecon; print([n for n in ('numpy', 'cv2', 'onnxruntime', 'typer') if n in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120).stdout
        == "[]\n"
    )


def test_stream_counts_every_frame(edgerecon: Cli, cine: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    status, out, _ = edgerecon(
        "stream",
        cine,
        "compact-despeckle",
        "--sink",
        tmp_path / "out.npz",
        "--policy",
        "every",
        "--no-pace",
        "--json",
        report,
    )
    assert status == 0
    assert "6 frames in = 6 presented + 0 dropped + 0 failed" in out
    figures = json.loads(report.read_text())
    wanted = {
        "frames_in",
        "presented",
        "dropped",
        "late",
        "failed",
        "raw_shown",
        "fps",
        "deadline_ms",
        "deadline_miss_rate",
        "latency_ms",
        "stages_ms",
        "engine",
        "model",
        "source",
        "host",
    }
    assert wanted <= set(figures)
    assert set(figures["stages_ms"]) == {"capture", "preprocess", "infer", "postprocess", "present"}
    assert np.load(tmp_path / "out.npz")["frames"].shape == (6, 40, 48)


def test_stream_without_a_model_shows_frames_as_they_are(edgerecon: Cli, cine: Path, tmp_path: Path) -> None:
    assert edgerecon("stream", cine, "--sink", tmp_path / "out.npz", "--policy", "every", "--no-pace")[0] == 0
    assert np.array_equal(np.load(tmp_path / "out.npz")["frames"], np.load(cine))


def test_unusable_frames_are_counted_and_the_stream_goes_on(edgerecon: Cli, tmp_path: Path) -> None:
    frames = np.full((5, 32, 32), 0.5, np.float32)
    frames[1, 3, 3] = np.nan
    np.save(tmp_path / "nan.npy", frames)
    status, out, _ = edgerecon("stream", tmp_path / "nan.npy", "compact-despeckle", "--policy", "every", "--no-pace")
    assert status == 0
    assert "5 presented" in out and "1 shown raw" in out


def test_evaluate_pairs(edgerecon: Cli, pairs: Path, tmp_path: Path) -> None:
    status, out, _ = edgerecon(
        "evaluate",
        "compact-despeckle",
        "--data",
        pairs,
        "--method",
        "median",
        "--json",
        tmp_path / "e.json",
        "--pictures",
        tmp_path / "pictures",
    )
    assert status == 0
    assert "median" in out and "PSNR dB" in out
    figures = json.loads((tmp_path / "e.json").read_text())
    assert {"cpu", "packages", "commit"} <= set(figures["host"])
    assert {line["method"] for line in figures["table"]} == {"input", "model", "median"}
    assert (tmp_path / "pictures" / "contact-sheet.png").stat().st_size > 1000


@pytest.mark.slow  # trains
def test_recipe_to_running_model(edgerecon: Cli, pairs: Path, cine: Path, tmp_path: Path) -> None:
    """train, export with the figures of evaluate, stream: the whole way with the smallest network."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        '[model]\nname = "tiny"\ntask = "despeckle"\nwidth = 2\ndepth = 2\n'
        "[train]\nsteps = 3\nbatch = 2\ncrop = 32\nvalidate_every = 3\n"
        f'[data]\nsimulate = "none"\nfile = "{pairs}"\ninputs = ["pw31"]\ntarget = "clean"\nvalidation = 0.5\n'
        '[targets]\nbackends = ["onnxruntime"]\n'
    )
    run, model, figures = tmp_path / "run", tmp_path / "ship" / "tiny.onnx", tmp_path / "e.json"
    export = ("export", recipe, "--checkpoint", run / "best.pt", "-o", model.parent, "--work", tmp_path / "work")
    assert edgerecon("train", recipe, "--run-dir", run)[0] == 0
    assert {"best.pt", "curve.csv", "curve.png"} <= {path.name for path in run.iterdir()}
    status, out, _ = edgerecon(*export)
    assert status == 0 and "Ship fp32 on" in out and "report.html" in out
    assert edgerecon("evaluate", model, "--data", pairs, "--method", "median", "--json", figures)[0] == 0
    assert edgerecon(*export, "--figures", figures, "--json", tmp_path / "x.json")[0] == 0
    assert json.loads((tmp_path / "x.json").read_text())["rows"][0]["status"] == "ok"
    assert "PSNR" in model.with_suffix(".md").read_text()
    assert edgerecon("stream", cine, model, "--policy", "every", "--no-pace")[0] == 0


def test_simulate_says_what_it_made(edgerecon: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import edgerecon.workshop.data.simulate as room

    monkeypatch.setattr(room, "simulate", lambda out, samples, *_, **__: samples - 1)
    status, out, _ = edgerecon("simulate", tmp_path / "out.h5", "--samples", "3")
    assert status == 0 and "3 samples, 2 of them new" in out


def test_doctor(edgerecon: Cli, tmp_path: Path) -> None:
    status, out, _ = edgerecon("doctor", "--json", tmp_path / "d.json")
    assert status == 0 and "ONNX Runtime" in out
    assert {"checks", "host"} <= set(json.loads((tmp_path / "d.json").read_text()))


def test_a_stream_whose_only_sink_fails_leaves_its_account(
    edgerecon: Cli, cine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*frame: object) -> None:
        raise SinkError("cannot write out.npz: No space left on device")

    monkeypatch.setattr("edgerecon.stream.sinks.files.npz.NpzSink.present", full)
    call = ("stream", cine, "--no-pace", "--policy", "every")
    status, _, shown = edgerecon(*call, "--sink", tmp_path / "out.npz", "--json", tmp_path / "r.json")
    assert status == 1 and shown.endswith("edgerecon: cannot write out.npz: No space left on device\n")
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["error"].endswith("device") and not report["interrupted"]
    assert report["frames_in"] == report["failed"] + report["dropped"] > 0
    assert [path.name for path in tmp_path.glob("*out*")] == []


def test_json_to_standard_output_stands_alone_there(edgerecon: Cli, cine: Path, tmp_path: Path) -> None:
    for call in (["devices", "h200"], ["stream", cine, "--no-pace"]):
        status, out, shown = edgerecon(*call, "--json", "-")
        assert status == 0 and json.loads(out) and "┃" in shown
    assert not Path("-").exists()


def test_json_into_a_pipe_leaves_the_pipe(edgerecon: Cli, tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    assert edgerecon("devices", "h200", "--json", pipe)[0] == 0
    reader.join(60)
    assert json.loads(read[0]) and pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]


def test_ctrl_c_leaves_a_valid_video_and_status_130(tmp_path: Path) -> None:
    video, report = tmp_path / "out.mp4", tmp_path / "out.json"
    command = [
        sys.executable,
        "-m",
        "edgerecon",
        "stream",
        "sample",
        "compact-despeckle",
        "--loop",
        "--sink",
        str(video),
        "--json",
        str(report),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    part = tmp_path / ".out.mp4.part"
    until(lambda: process.poll() is not None or any(path.stat().st_size > 10_000 for path in tmp_path.iterdir()))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130 and err == "edgerecon: interrupted\n"
    assert not part.exists()
    import av

    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 0
    figures = json.loads(report.read_text())
    assert figures["frames_in"] == figures["presented"] + figures["dropped"] + figures["failed"] > 0


def test_devices_are_shown_with_their_sources(edgerecon: Cli, tmp_path: Path) -> None:
    status, out, _ = edgerecon("devices", "--json", tmp_path / "d.json")
    assert status == 0 and "jetson-orin-nano" in out and "kria-kv260" in out
    assert {"h200", "raspberry-pi-5"} <= {row["name"] for row in json.loads((tmp_path / "d.json").read_text())}
    status, out, _ = edgerecon("devices", "h200")
    assert status == 0 and "bandwidth_gbs" in out and "4800" in out
    assert_one_line(edgerecon("devices", "toaster"), 2, "no device 'toaster'")


def test_fit_for_a_device_that_is_not_here_is_a_bound(edgerecon: Cli, tmp_path: Path) -> None:
    status, out, _ = edgerecon("fit", "--deadline", "5ms", "--device", "h200", "--json", tmp_path / "f.json")
    assert status == 0 and "not a measurement" in " ".join(out.split())
    assert json.loads((tmp_path / "f.json").read_text())["is_a_measurement"] is False


@pytest.mark.slow  # packs and installs
def test_bundle_then_install(edgerecon: Cli, tmp_path: Path) -> None:
    recipe = resource_dir("export") / "compact-despeckle.toml"
    bundle, prefix = tmp_path / "b.tar.gz", tmp_path / "prefix"
    status, out, _ = edgerecon("bundle", recipe, "--device", "x86-avx2", "--backend", "onnxruntime", "-o", bundle)
    assert status == 0 and "b.tar.gz: compact-despeckle.onnx for x86-avx2" in out
    status, out, _ = edgerecon("install", bundle, "--prefix", prefix)
    assert status == 0 and "is current; self-test" in out
    assert (prefix / "current" / "compact-despeckle.onnx").exists()


def test_explain(edgerecon: Cli, cine: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    sheet, figures, arrays = tmp_path / "sheet.png", tmp_path / "found.json", tmp_path / "maps.npz"
    status, out, err = edgerecon(
        "explain",
        "compact-despeckle",
        cine,
        "-o",
        sheet,
        "--frame",
        3,
        "--at",
        "20,30",
        "--json",
        figures,
        "--npz",
        arrays,
    )
    assert status == 0, err
    assert "saliency, integrated gradients, occlusion" in out and sheet.read_bytes().startswith(b"\x89PNG")
    assert json.loads(figures.read_text())["region"] == [20, 30, 21, 31]
    with np.load(arrays) as file:
        assert file["saliency"].shape == (40, 48)
    again = ("explain", "compact-despeckle", cine, "-o", sheet)
    assert_one_line(edgerecon("explain", "compact-despeckle", tmp_path / "absent.png"), 1, "does not exist")
    assert_one_line(edgerecon("explain", "no-such-model", cine), 2, "no model 'no-such-model' ships")
    assert_one_line(edgerecon(*again, "--frame", 6), 1, "has no frame 6: it has 6")
    assert_one_line(edgerecon(*again, "--at", "40,0"), 2, "leaves the 40×48 reconstruction")
    assert_one_line(edgerecon(*again, "--region", "1,2"), 2, "--region is Y0,X0,Y1,X1")
    assert_one_line(edgerecon("simulate", tmp_path / "a.h5", "--samples", 1, "--ray", "nowhere"), 2, "--ray is auto")
