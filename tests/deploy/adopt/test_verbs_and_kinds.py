"""Every kind of adopted file goes through every verb, or is refused with the reason."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from edgerecon.bench import rounds
from edgerecon.cli.main import app
from edgerecon.core.errors import UsageError
from edgerecon.deploy.adopt.adopt import adopt
from edgerecon.deploy.adopt.inspect import Asked
from edgerecon.deploy.adopt.ranges import BYTE, UNIT
from edgerecon.deploy.bundle import bundle as bundle_module
from edgerecon.deploy.fit import fit as fit_module
from edgerecon.engines import open_engine
from edgerecon.modelfile.file import read_model
from edgerecon.stream.serve.config import load_config
from edgerecon.stream.serve.worker import Worker
from tests.support import foreign_maps
from tests.support.foreign_networks import Foreign, build, recurrent

SIZE = (48, 64)


@dataclass(frozen=True)
class Kind:
    """A foreign network. refused: verb → why it cannot take the file."""

    model: onnx.ModelProto
    asked: Asked = field(default_factory=lambda: Asked(given=UNIT))
    scale: int = 1
    refused: dict[str, str] = field(default_factory=dict)


KINDS = {
    "plain": Kind(build(Foreign("n"))),
    "recurrent": Kind(recurrent()),
    "nhwc": Kind(build(Foreign("n", axes="NHWC", channels=3))),
    "twice": Kind(
        build(Foreign("n", body="srresnet", scale=2)),
        scale=2,
        refused={"evaluate": "the model enlarges ×2 and is compared with interpolation: leave --method out"},
    ),
    "residual": Kind(build(Foreign("n", way="noise"))),
    "uint8": Kind(build(Foreign("n", given="0..255", dtype="uint8")), Asked(given=BYTE)),
    "overlay": Kind(
        foreign_maps.classes(4),
        refused={
            "evaluate": "gives no picture",
            "explain": "gives a map of classes, which has no gradient",
        },
    ),
    "tiled": Kind(build(Foreign("n", size=(32, 48), stiff=True))),
}


own_wheel = cache(bundle_module.own_wheel)
"""Of one archive as of the next: the wheel holds no model of the user's."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """KIND.onnx, adopted; frame.png."""
    folder = tmp_path_factory.mktemp("kinds")
    for name, kind in KINDS.items():
        (folder / "foreign.onnx").write_bytes(kind.model.SerializeToString())
        adopt(folder / "foreign.onnx", folder / f"{name}.onnx", kind.asked)
    frame = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, SIZE, np.uint8), (0, 0), 1)
    cv2.imwrite(str(folder / "frame.png"), frame)
    return folder


@pytest.fixture
def words(folder: Path, tmp_path: Path) -> dict[str, list[object]]:
    """What follows each verb and the model."""
    picture, told = folder / "frame.png", ["--json", tmp_path / "told.json"]
    runtime = ["--backend", "onnxruntime"]
    return {
        "evaluate": ["--data", picture, "--method", "median", *runtime, *told],
        "explain": [picture, "-o", tmp_path / "sheet.png"],
        "bench": [*runtime, "--threads", 1, "--shape", "48x64", "--seconds", 0.05, *told],
        "fit": ["--deadline", "10s", "--shape", "48x64", *told],
        "bundle": ["--device", "x86-avx2", "-o", tmp_path / "b.tar.gz", *runtime, "--threads", 1, *told],
        "stream": ["--sink", tmp_path / "out.npz", *runtime, "--threads", 1, *told],
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", ["evaluate", "explain", "bench", "fit", "bundle", "stream"])
def test_the_verb_takes_the_kind_or_says_why_not(
    verb: str,
    kind: str,
    folder: Path,
    tmp_path: Path,
    words: dict[str, list[object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if verb == "explain":
        pytest.importorskip("torch")
    monkeypatch.setattr(bundle_module, "lock", lambda extras, target: "")
    monkeypatch.setattr(bundle_module, "own_wheel", own_wheel)
    monkeypatch.setattr(rounds, "BLOCK_MS", 1.0)
    monkeypatch.setattr(fit_module, "stream_p99", lambda candidate, *given: (candidate.open().close(), 5.0)[1])
    model = folder / f"{kind}.onnx"
    before: dict[str, list[object]] = {"fit": ["--models", model], "stream": [folder / "frame.png", model]}
    result = CliRunner().invoke(app, [str(word) for word in (verb, *before.get(verb, [model]), *words[verb])])
    if why := KINDS[kind].refused.get(verb):
        assert isinstance(result.exception, UsageError) and why in str(result.exception)
        return
    assert result.exit_code == 0, (result.output, result.exception)
    _check(verb, kind, tmp_path)


def _check(verb: str, kind: str, made: Path) -> None:
    """What the verb has written."""
    if verb == "explain":
        assert cv2.imread(str(made / "sheet.png")) is not None
        return
    told = json.loads((made / "told.json").read_text())
    if verb == "stream":
        rows, columns = (side * KINDS[kind].scale for side in SIZE)
        assert np.load(made / "out.npz")["frames"].shape[:3] == (1, rows, columns)
    elif verb == "fit":
        assert told["predicted_p99_ms"] == 5.0
    else:
        assert told


@pytest.mark.parametrize("kind", KINDS)
def test_serve_loads_and_streams_the_kind(kind: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "streams.toml"
    path.write_text(
        f'[[stream]]\nname = "a"\nsource = "{folder}/frame.png"\nmodel = "{folder}/{kind}.onnx"\n'
        f'backend = "onnxruntime"\nsinks = ["{tmp_path}/out.npz"]\n'
    )
    worker = Worker(load_config(path).stream[0])
    assert worker.wait(60)
    look = worker.look()
    assert look.error is None and look.tally.presented == 1
    height, width = (KINDS[kind].scale * side for side in SIZE)
    shape = (1, height, width, 3) if kind == "overlay" else (1, height, width)
    assert np.load(tmp_path / "out.npz")["frames"].shape == shape


def test_explain_sees_tiles_as_the_engine_does(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    from edgerecon.workshop.explain.gradients import Differentiable

    frame = np.random.default_rng(1).random((45, 70), np.float32)
    network = Differentiable(read_model(folder / "tiled.onnx"))
    with torch.no_grad():
        found = network(network.frame(frame))[0, 0].clamp(0, 1).numpy()
    engine = open_engine(folder / "tiled.onnx", "onnxruntime", threads=1)
    np.testing.assert_allclose(found, engine.run(frame), atol=1e-5)
    engine.close()
