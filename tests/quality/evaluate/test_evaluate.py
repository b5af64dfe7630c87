"""``evaluate`` on tiny pairs files and recordings with engines that need no runtime."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from edgerecon.core.errors import (
    DataError,
    DependencyError,
    EdgereconError,
    EngineError,
    SinkError,
    SourceError,
    UsageError,
)
from edgerecon.engines.base import EngineSpec
from edgerecon.modelfile.spec import ModelSpec
from edgerecon.quality.datasets.pairs_file import FORMAT
from edgerecon.quality.datasets.recordings import load_recordings
from edgerecon.quality.evaluate import sweep, sweep_cache
from edgerecon.quality.evaluate.evaluate import evaluate
from edgerecon.quality.evaluate.pictures import contact_sheet, tradeoff_plot
from edgerecon.quality.filters import classical
from edgerecon.quality.filters.filter import filters
from edgerecon.quality.regions import find_regions

SIZE = 72


class FakeEngine:
    """Applies a function; hands out one buffer again and again, as a real engine may."""

    def __init__(self, function, task: str = "despeckle") -> None:
        self.spec = EngineSpec(ModelSpec("fake", task, 1, 1, ""), "numpy", "fp32", 1)
        self.function = function
        self.buffer = np.empty((0, 0), np.float32)

    def run(self, frame, out=None):
        result = self.function(frame)
        if self.buffer.shape != result.shape:
            self.buffer = np.empty(result.shape, np.float32)
        self.buffer[:] = result
        return self.buffer

    def reset(self) -> None: ...

    def close(self) -> None: ...


def blur(frame):
    return cv2.GaussianBlur(frame, (0, 0), 2.0)


@pytest.fixture
def scene(rng):
    """Speckled image and its target, uint8 (SIZE, SIZE); a fresh one a call."""

    def make() -> tuple[np.ndarray, np.ndarray]:
        target = np.full((SIZE, SIZE), 0.4, np.float32)
        cv2.circle(target, (30, 40), 16, 0.55, -1)
        noise = cv2.GaussianBlur(rng.standard_normal((SIZE, SIZE)).astype(np.float32), (0, 0), 1)
        image = np.clip(target + 0.1 * noise / noise.std(), 0, 1)
        return (image * 255).astype(np.uint8), (target * 255).astype(np.uint8)

    return make


@pytest.fixture
def pairs(tmp_path: Path, scene) -> Path:
    path = tmp_path / "pairs.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = FORMAT
        for i in range(4):
            image, target = scene()
            group = file.create_group(f"sample_{i:05d}")
            group["pw31"], group["clean"], group["pw1"] = image, target, image // 2
    return path


@pytest.fixture
def recordings(tmp_path: Path, scene) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in ("a", "b", "c"):
        np.savez(folder / f"{name}.npz", frames=np.stack([scene()[0] for _ in range(4)]))
    return folder


def test_a_perfect_model_reaches_the_target(pairs: Path) -> None:
    with h5py.File(pairs) as file:
        answer = {file[s]["pw31"][()].tobytes(): file[s]["clean"][()] for s in file}
    engine = FakeEngine(lambda x: answer[np.rint(x * 255).astype(np.uint8).tobytes()] / np.float32(510) + 0.1)
    result = evaluate(engine, pairs, methods=["median"])
    model = result.line("model").measures
    assert model["ssim"]["mean"] == pytest.approx(1, abs=1e-6)
    assert model["psnr_db"]["mean"] > 100
    assert result.advantage["psnr_db"]["over"] == "median"
    assert result.advantage["psnr_db"]["low"] > 50


def test_pairs_table(pairs: Path, tmp_path: Path) -> None:
    seen = []
    result = evaluate(FakeEngine(blur), pairs, on_progress=lambda *step: seen.append(step))
    assert [line.method for line in result.table] == ["input", "model", *filters()]
    assert result.kind == "pairs" and result.seconds > 0
    assert len(result.rows) == 4 * (2 + len(filters()))
    for line in result.table[1:]:
        assert line.measures["psnr_db"]["mean"] > result.line("input").measures["psnr_db"]["mean"]
        assert line.measures["psnr_db"]["low"] <= line.measures["psnr_db"]["mean"] <= line.measures["psnr_db"]["high"]
    assert any("favours" in note for note in result.notes)
    assert seen[-1] == ("evaluating", 4, 4)
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["table"][1]["method"] == "model"
    contact_sheet(result, tmp_path / "sheet.png")
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[0] == 3 * 342
    with pytest.raises(SinkError):
        tradeoff_plot(result, tmp_path / "plot.png")


def test_tuning_elsewhere_is_said(pairs: Path, tmp_path: Path) -> None:
    other = tmp_path / "tuning.h5"
    other.write_bytes(pairs.read_bytes())
    result = evaluate(FakeEngine(blur), pairs, methods=["median"], tune=other, limit=2)
    assert len(result.rows) == 2 * 3
    assert any("tuning.h5" in note for note in result.notes)
    assert not any("favours" in note for note in result.notes)


def test_task_decides_the_fields(pairs: Path) -> None:
    result = evaluate(FakeEngine(lambda x: x, "compound"), pairs, methods=[])
    # The single plane wave of this file is the 31 plane-wave image at half gain: equal after matching, up to rounding.
    assert result.line("input").measures["psnr_db"]["mean"] > 45
    with pytest.raises(UsageError, match="segment"):
        evaluate(FakeEngine(blur, "segment"), pairs, methods=[])


def test_named_fields_come_before_those_of_the_task(pairs: Path) -> None:
    for task in ("despeckle", "segment"):
        result = evaluate(FakeEngine(lambda x: x, task), pairs, methods=[], fields=("pw1", "pw31"))
        assert result.line("input").measures["psnr_db"]["mean"] > 45
    with pytest.raises(DataError, match="no 'other', only .*--fields"):
        evaluate(FakeEngine(blur), pairs, methods=[], fields=("other", "clean"))


def test_the_middle_of_a_sequence_is_measured(tmp_path: Path, scene) -> None:
    image, target = scene()
    path = tmp_path / "sequence.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = FORMAT
        file["sample_00000/pw31"] = np.stack([0 * image, target, 0 * image])
        file["sample_00000/clean"] = np.stack([0 * image, target, 0 * image])
    result = evaluate(FakeEngine(lambda x: x), path, methods=[])
    assert result.line("model").measures["ssim"]["mean"] == pytest.approx(1)
    assert result.to_json()["table"][0]["measures"]["psnr_db"] == {"mean": None, "low": None, "high": None}


def broken(path: Path, how: str) -> None:
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:900])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("not HDF5")
    elif how == "missing":
        path.unlink()
    else:
        with h5py.File(path, "r+") as file:
            first = "sample_00000"
            if how == "foreign":
                file.attrs["format"] = "other/1"
            elif how == "no samples":
                for name in list(file):
                    del file[name]
            elif how == "no target":
                del file[first]["clean"]
            elif how == "other type":
                del file[first]["clean"]
                file[first]["clean"] = np.zeros((SIZE, SIZE))
            elif how == "other size":
                del file[first]["clean"]
                file[first]["clean"] = np.zeros((SIZE, SIZE + 1), np.uint8)
            elif how == "dataset for group":
                del file[first]
                file[first] = np.zeros(3)


@pytest.mark.parametrize(
    "how",
    [
        "truncated",
        "empty",
        "text",
        "missing",
        "foreign",
        "no samples",
        "no target",
        "other type",
        "other size",
        "dataset for group",
    ],
)
def test_bad_pairs_files_are_refused_in_one_line(pairs: Path, how: str) -> None:
    broken(pairs, how)
    with pytest.raises(DataError) as refusal:
        evaluate(FakeEngine(blur), pairs, methods=[])
    assert "\n" not in str(refusal.value)


def test_wrong_arguments(pairs: Path, recordings: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="wiener"):
        evaluate(FakeEngine(blur), pairs, methods=["wiener"])
    with pytest.raises(UsageError, match="limit"):
        evaluate(FakeEngine(blur), pairs, limit=0)
    with pytest.raises(UsageError, match="regions"):
        evaluate(FakeEngine(blur), pairs, regions=tmp_path / "r.json")
    with pytest.raises(UsageError, match="targets"):
        evaluate(FakeEngine(blur), recordings, tune=pairs)
    with pytest.raises(UsageError, match="fields"):
        evaluate(FakeEngine(blur), recordings, fields=("pw31", "clean"))
    with pytest.raises(DataError, match="exist"):
        evaluate(FakeEngine(blur), tmp_path / "absent")
    for data in (pairs, recordings):
        with pytest.raises(UsageError, match="size"):
            evaluate(FakeEngine(lambda x: np.repeat(x, 2, 0)), data, methods=[])


def test_a_failing_model_is_reported(pairs: Path) -> None:
    def fail(frame):
        raise EngineError("the runtime failed")

    with pytest.raises(EngineError):
        evaluate(FakeEngine(fail), pairs, methods=[])


def test_recordings_table_and_tradeoff(recordings: Path, tmp_path: Path) -> None:
    result = evaluate(FakeEngine(blur), recordings, methods=["median", "bilateral"], limit=1)
    assert result.kind == "recordings" and result.regions == "automatic"
    identity = result.line("input").measures
    assert identity["snr_ratio"]["mean"] == pytest.approx(1, abs=1e-4)
    assert identity["edge"]["mean"] == pytest.approx(1, abs=1e-4)
    assert identity["gcnr_change"]["mean"] == pytest.approx(0, abs=1e-2) or np.isnan(identity["gcnr_change"]["mean"])
    assert result.line("model").measures["snr_ratio"]["mean"] > 1.5
    curves = result.tradeoff
    assert curves is not None
    assert [p["blend"] for p in curves["curve"]] == [0.25, 0.5, 0.75, 1.0]
    assert len(curves["classical"]) == len(filters()["median"].grid) + len(filters()["bilateral"].grid)
    ratio = curves["model"]["snr_ratio"] / curves["classical_at_edge"]
    assert curves["advantage_percent"]["mean"] == pytest.approx(100 * (ratio - 1), abs=1e-6)
    assert len(result.rows) == 3 * 4
    json.dumps(result.to_json(), allow_nan=False)
    contact_sheet(result, tmp_path / "sheet.png")
    tradeoff_plot(result, tmp_path / "plot.png")
    assert cv2.imread(str(tmp_path / "plot.png")) is not None
    with pytest.raises(EdgereconError, match="cannot write"):
        contact_sheet(result, tmp_path / "absent" / "sheet.png")


def test_a_classical_filter_as_model_has_no_advantage(recordings: Path) -> None:
    engine = FakeEngine(lambda x: classical.median(x, 5))
    result = evaluate(engine, recordings, methods=["median"], limit=1)
    assert result.tradeoff is not None
    assert result.tradeoff["advantage_percent"]["mean"] == pytest.approx(0, abs=1e-6)


def test_large_frames_are_measured_in_their_middle(tmp_path: Path, rng: np.random.Generator) -> None:
    screen = np.zeros((600, 700), np.uint8)  # a margin of text, which a measure of the whole frame would see
    screen[44:556, 94:606] = rng.integers(0, 255, (512, 512))
    np.savez(tmp_path / "screen.npz", frames=screen[None].repeat(2, 0))
    np.savez(tmp_path / "middle.npz", frames=screen[None, 44:556, 94:606].repeat(2, 0))
    found = [evaluate(FakeEngine(blur), tmp_path / f"{name}.npz", methods=[], limit=1) for name in ("screen", "middle")]
    rows = [[{k: v for k, v in row.items() if k not in ("ms", "file")} for row in one.rows] for one in found]
    np.testing.assert_equal(rows[0], rows[1])
    assert any("middle 512×512 pixels: screen.npz" in note for note in found[0].notes)


def test_the_model_acts_on_tissue_alone(tmp_path: Path, rng: np.random.Generator) -> None:
    sector = np.zeros((240, 240), np.uint8)
    sector[60:200, 50:190] = rng.integers(40, 200, (140, 140))
    np.savez(tmp_path / "sector.npz", frames=sector[None].repeat(6, 0))
    result = evaluate(FakeEngine(blur), tmp_path / "sector.npz", methods=[], limit=1)
    assert result.line("model").measures["spill"]["mean"] == 0


def test_given_regions_and_wires(recordings: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "regions.json"
    boxes.write_text(
        json.dumps({"background": [[2, 2, 20, 60]], "target": [[32, 22, 48, 38]], "wire": [[0, 0, 60, 60]]})
    )
    result = evaluate(FakeEngine(blur), recordings / "a.npz", regions=boxes, methods=[], limit=2)
    assert result.regions == "file"
    assert len(result.rows) == 2 * 2
    assert np.isfinite([row["gcnr"] for row in result.rows]).all()
    assert result.line("model").measures["gcnr"]["mean"] > result.line("input").measures["gcnr"]["mean"]
    boxes.write_text(json.dumps({"background": [[0, 0, 500, 60]]}))
    with pytest.raises(DataError, match="leaves"):
        evaluate(FakeEngine(blur), recordings, regions=boxes, methods=[])


def test_unreadable_files_of_a_folder_are_left_out_and_said(recordings: Path) -> None:
    (recordings / "broken.npz").write_bytes(b"PK\x03\x04 no more")
    (recordings / "empty.png").write_bytes(b"")
    result = evaluate(FakeEngine(blur), recordings, methods=[], limit=1)
    assert len({row["file"] for row in result.rows}) == 3
    assert any("left out" in note and "broken.npz, empty.png" in note for note in result.notes)


def test_the_sample_is_a_recording() -> None:
    result = evaluate(FakeEngine(blur), Path("sample"), methods=[], limit=1)
    assert [row["file"] for row in result.rows if row["method"] == "model"] == ["sample"]
    assert result.line("model").measures["flicker"]["mean"] > 0


def test_nothing_readable(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        evaluate(FakeEngine(blur), tmp_path / "empty", methods=[])
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises((DataError, SourceError)):
        evaluate(FakeEngine(blur), tmp_path / "text.npz", methods=[])


def test_constant_recordings_have_no_figures_but_do_not_fail(tmp_path: Path) -> None:
    np.savez(tmp_path / "grey.npz", frames=np.full((3, 60, 60), 100, np.uint8))
    result = evaluate(FakeEngine(blur), tmp_path / "grey.npz", methods=["median"])
    assert result.to_json()["tradeoff"]["advantage_percent"]["mean"] is None
    assert any("no homogeneous region" in note for note in result.notes)


def untimed(report: dict) -> list[dict]:
    """Rows of a report without their milliseconds."""
    return [{key: value for key, value in row.items() if key != "ms"} for row in report["rows"]]


def test_the_classical_sweep_is_kept(recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGERECON_CACHE", str(tmp_path / "cache"))
    few = {name: replace(one, grid=one.grid[:1]) for name, one in filters().items()}
    for module in (sweep, sweep_cache):
        monkeypatch.setattr(module, "filters", lambda: few)
    first = evaluate(FakeEngine(blur), recordings, limit=1).to_json()
    sweeps: list[str] = []
    honest = sweep_cache.classical_sweep
    monkeypatch.setattr(sweep_cache, "classical_sweep", lambda *a, **k: sweeps.append("swept") or honest(*a, **k))
    again = evaluate(FakeEngine(blur), recordings, limit=1).to_json()
    assert sweeps == [] and untimed(again) == untimed(first) and again["tradeoff"] == first["tradeoff"]
    evaluate(FakeEngine(blur), recordings, limit=1, methods=["median"])
    assert len(sweeps) == 3, "other methods are another sweep of each file"
    sweeps.clear()
    for path in (tmp_path / "cache/classical").iterdir():
        path.write_text("damaged")
    assert untimed(evaluate(FakeEngine(blur), recordings, limit=1).to_json()) == untimed(first)
    assert len(sweeps) == 3
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGERECON_CACHE", str(tmp_path / "file"))
    assert untimed(evaluate(FakeEngine(blur), recordings, limit=1).to_json()) == untimed(first)


def test_real_recordings_give_regions_and_figures(shared_data: Path) -> None:
    """A blur smooths; on real tissue the finder must find patches in every recording."""
    frames = {path.name: load_recordings(path, 1)[0][path.name] for path in sorted(shared_data.rglob("*.npz"))}
    assert len(frames) >= 10
    regions = {name: [find_regions(image) for image in images] for name, images in frames.items()}
    assert all(len(found.homogeneous) >= 4 and found.pairs for per_file in regions.values() for found in per_file)
    outputs = {name: [blur(image) for image in images] for name, images in frames.items()}
    edge, ratio = sweep.point(sweep.measure_outputs(frames, regions, outputs))
    assert 0.8 < edge < 1 and ratio > 1.2


def test_file_without_a_decoder_is_left_out_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgerecon.stream import sources

    really = sources.open_source

    def without_decoder(uri: str) -> sources.Source:
        if uri.endswith("lossless.npy"):
            raise DependencyError("a decoder of JPEG-LS", "dicom")
        return really(uri)

    monkeypatch.setattr(sources, "open_source", without_decoder)
    for name in ("lossless.npy", "plain.npy"):
        np.save(tmp_path / name, np.full((2, 8, 9), 7, np.uint8))
    frames, notes = load_recordings(tmp_path, 1)
    assert list(frames) == ["plain.npy"]
    assert len(notes) == 1 and "lossless.npy: a decoder of JPEG-LS is not installed" in notes[0]
