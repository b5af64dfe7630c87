"""The task, the support-vector regression, and the system as a whole: networks shipped and streamed, state carried."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgerecon.bench.worker import Worker
from edgerecon.engines import open_engine
from edgerecon.quality.datasets.heldout import find_heldout, restored_quality
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sources.base import Capture
from edgerecon.study import svm
from edgerecon.study.context import Context
from edgerecon.study.profile import profile
from edgerecon.study.results import Result, TrainedModel
from edgerecon.study.sequence_task import LINES, NOISE, degrade, draw_from
from edgerecon.study.systems import recurrent
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.models.temporal import Temporal
from edgerecon.workshop.train.steps import Batch

SHIPPED = ("study-conv-rnn", "study-row-lstm")
"""Exported here, which takes seconds each; the others are made of the same operators."""
Study = tuple[Result, dict[str, torch.nn.Module]]


def test_a_long_study_without_time_leaves_networks_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "has_time", lambda self, name: name != "row-rnn")
    result = Result("recurrent", "", "")
    recurrent.run(Context(profile("smoke"), tmp_path, result))
    assert result.notes == ["Sequences: not trained yet."] and not result.tables and not list(tmp_path.iterdir())


def test_a_curve_without_points_is_no_error(tmp_path: Path) -> None:
    """The budget of a long study ended within the first steps of a network."""
    result = Result("recurrent", "", "", curves={"conv-rnn": []})
    assert recurrent._last_step(Context(profile("smoke"), tmp_path, result)) == 0


def test_data_is_lost_anew_in_every_frame(rng: np.random.Generator) -> None:
    whole = np.full((40, 128, 128), 0.5, np.float32)
    given, missing = degrade(whole, rng)
    assert (given[missing] == 0).all() and given[~missing].min() > 0
    assert NOISE[0] * 0.95 < given[~missing].std() < NOISE[1] * 1.05
    columns = missing.all(axis=1).mean()
    assert columns == pytest.approx(LINES, abs=0.02)
    assert 0.13 < missing.mean() < 0.22
    assert not (missing[0] == missing[1]).all()


def test_batches_are_cut_from_one_place_of_a_sequence() -> None:
    place = np.arange(32 * 32, dtype=np.uint8).reshape(1, 1, 32, 32).repeat(9, axis=1)
    place[0] += np.arange(9, dtype=np.uint8)[:, None, None]
    given, whole = draw_from(place, 3, 4, 16)(np.random.default_rng(0))
    assert given.shape == whole.shape == (3, 4, 16, 16)
    steps = (whole[:, 1:] - whole[:, :-1]) * 255 % 256
    assert bool(((steps.round() == 1) | (steps.round() == 255)).all()), "one grey level a frame, forwards or backwards"


def test_the_regression_is_scikit_learns(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.svm import SVR

    fitted = []
    fit = SVR.fit
    monkeypatch.setattr(SVR, "fit", lambda self, x, y: fitted.append(fit(self, x, y)) or fitted[-1])
    frames = rng.random((1, 2, 20, 24), dtype=np.float32)
    smooth = (frames + np.roll(frames, 1, 3)) / 2
    batch: Batch = (torch.from_numpy(frames), torch.from_numpy(smooth))
    found = svm.fit_svr(lambda rng: batch, 60, rng)
    same = next(model for model in fitted if (model.C, model.gamma) == (found.cost, found.gamma))
    padded = np.pad(frames[0], ((0, 0), (3, 3), (3, 3)), mode="edge")
    patches = np.lib.stride_tricks.sliding_window_view(padded, (7, 7), axis=(1, 2)).reshape(-1, 49)
    expected = np.clip(same.predict(patches), 0, 1).reshape(2, 20, 24)
    np.testing.assert_allclose(found(frames[0]), expected, atol=1e-4)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The whole system, and its networks by the name of their file."""
    networks: dict[str, torch.nn.Module] = {}
    ship = Context.ship

    class Watched(Context):
        def ship(self, network, name, task, shape):  # type: ignore[no-untyped-def]
            networks[name] = network
            if name in SHIPPED:
                return ship(self, network, name, task, shape)
            self.result.models.append(TrainedModel(name, "", 0, 0.0, 0, 0.0, shape))

    recordings = tmp_path_factory.mktemp("recordings")
    np.savez(recordings / "cine.npz", frames=np.random.default_rng(1).integers(0, 255, (9, 60, 50), np.uint8))
    result = Result("recurrent", recurrent.TITLE, recurrent.PAPER)
    recurrent.run(Watched(profile("smoke"), tmp_path_factory.mktemp("study"), result, recordings))
    return result, networks


def test_every_method_has_its_row_its_panel_and_its_curve(study: Study) -> None:
    result, networks = study
    main, long, real = result.tables
    methods = [row.method for row in main.rows]
    assert methods == [
        "input",
        "SVM",
        "CNN",
        "RNN-ReLU over rows",
        "LSTM over rows",
        "RNN-ReLU over frames",
        "ConvLSTM over frames",
        "CNN-RNN hybrid",
    ]
    assert [row.method for row in real.rows] == methods and not any(row.paper for row in real.rows)
    assert [label for label, _ in result.pictures[0].panels] == [*methods, "truth"]
    assert len(result.curves) == len(networks) == len(result.models) == 6
    assert len(result.claims) == 6 and len(long.rows) == 4
    for row in main.rows:
        means = {key: value["mean"] for key, value in row.values.items()}
        assert means["psnr_255_db"] == pytest.approx(means["psnr_db"] + 48.1308, abs=1e-3)
        low, high = sorted((means["mse_missing"], means["mse_seen"]))
        assert low <= means["mse"] * 1.01 and means["mse"] <= high * 1.01


def test_the_state_carries_a_stream(study: Study, tmp_path: Path) -> None:
    """The real loop, a recurrent network of the study: what the sink gets is what torch computes over the sequence."""
    result, networks = study
    model = next(model for model in result.models if model.name == "study-conv-rnn")
    network = networks[model.name]
    assert isinstance(network, Temporal)
    frames = np.random.default_rng(3).integers(0, 256, (6, 21, 34), np.uint8)
    expected = recurrent.restore(network, frames.astype(np.float32) / 255)
    for backend in ("onnxruntime", "openvino", "pytorch"):
        shown = _streamed(Path(model.file), backend, [Capture(frame) for frame in frames])
        np.testing.assert_allclose(shown, expected, atol=1e-5)


def test_the_bench_measures_the_quality_that_the_study_states(study: Study, tmp_path: Path) -> None:
    """The worker of the bench, on the sequences that lie beside the model: the state starts anew with each."""
    result, networks = study
    model = next(model for model in result.models if model.name == "study-conv-rnn")
    held = find_heldout(Path(model.file), "restore")
    assert held is not None and held.given.shape == (2, recurrent.FRAMES, 48, 48)
    np.save(tmp_path / "given.npy", held.given)
    worker = Worker()
    worker.hold(open_engine(model.file, "onnxruntime", threads=1), np.zeros((1, 48, 48), np.uint8))
    worker.outputs(str(tmp_path / "given.npy"), str(tmp_path / "out.npy"))
    outputs = np.load(tmp_path / "out.npy")
    network = networks[model.name]
    assert isinstance(network, Network)
    np.testing.assert_allclose(outputs, [recurrent.restore(network, frames) for frames in held.given], atol=1e-5)
    stated = next(row for row in result.tables[0].rows if row.method == recurrent.CONV).values["psnr_db"]["mean"]
    assert restored_quality(outputs, held.wanted)[0] == pytest.approx(stated, abs=0.01)


def test_rows_run_on_every_engine(study: Study) -> None:
    result, networks = study
    model = next(model for model in result.models if model.name == "study-row-lstm")
    frame = np.random.default_rng(5).random((21, 34), dtype=np.float32)
    network = networks[model.name]
    assert isinstance(network, Network)
    for backend in ("onnxruntime", "openvino", "pytorch"):
        found = open_engine(model.file, backend, threads=1).run(frame)
        np.testing.assert_allclose(found, recurrent.restore(network, frame[None])[0], atol=1e-5)


def test_after_a_lost_frame_the_state_starts_anew(study: Study) -> None:
    result, networks = study
    model = next(model for model in result.models if model.name == "study-conv-rnn")
    frames = np.random.default_rng(4).integers(0, 256, (4, 16, 16), np.uint8)
    lost = Capture(None, fault="unreadable")
    shown = _streamed(Path(model.file), "onnxruntime", [*map(Capture, frames[:2]), lost, *map(Capture, frames[2:])])
    network = networks[model.name]
    assert isinstance(network, Temporal)
    unit = frames.astype(np.float32) / 255
    whole, anew = recurrent.restore(network, unit), recurrent.restore(network, unit[2:])
    np.testing.assert_allclose(shown[:2], whole[:2], atol=1e-5)
    np.testing.assert_allclose(shown[2:], anew, atol=1e-5)


class _Kept:
    name = "kept"

    def __init__(self) -> None:
        self.images: list[np.ndarray] = []

    def open(self, info: object) -> None: ...

    def present(self, raw: object, frame: object, late: bool) -> None:
        self.images.append(frame.pixels.copy())  # type: ignore[attr-defined]

    def close(self) -> None: ...


class _Listed:
    name, period_s, spacing_mm = "listed", 0.001, None

    def __init__(self, captures: list[Capture]) -> None:
        self.captures, self.length = captures, len(captures)

    def frames(self):  # type: ignore[no-untyped-def]
        yield from self.captures

    def close(self) -> None: ...


def _streamed(path: Path, backend: str, captures: list[Capture]) -> np.ndarray:
    engine, sink = open_engine(path, backend, threads=1), _Kept()
    stream(_Listed(captures), engine, [sink], policy="every", pace=False)  # type: ignore[list-item]
    engine.close()
    return np.stack(sink.images)
