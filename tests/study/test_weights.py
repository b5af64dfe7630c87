"""The networks of the study that ship: small, listed, found by name, and they run."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import edgerecon as er
from edgerecon.core.errors import UsageError
from edgerecon.core.shipped import resource_dir
from edgerecon.modelfile.catalogue import model_path, shipped_models, studied_models
from edgerecon.modelfile.file import read_model

LARGEST_BYTES = 2_000_000


@pytest.mark.parametrize("name", studied_models())
def test_a_network_of_the_study_is_small_listed_and_runs(name: str) -> None:
    path = model_path(name)
    assert path.parent == resource_dir("export") / "study" and path.stat().st_size <= LARGEST_BYTES
    assert f"`{path.name}`" in (path.parent / "README.md").read_text(encoding="utf-8")
    assert read_model(path).spec.name == name and name not in shipped_models()
    with closing(er.open_engine(name, backend="onnxruntime", threads=1)) as engine:
        out = engine.run(np.full((24, 32), 0.5, np.float32))
    assert out.shape == (24, 32) and np.isfinite(out).all()


def test_the_recurrent_network_fills_what_it_has_seen() -> None:
    """A gap of the second frame was there in the first: the state knows it, an empty one does not."""
    truth = np.tile(np.linspace(0.2, 0.8, 64, dtype=np.float32), (64, 1)).T.copy()
    gap = truth.copy()
    gap[:, 30:36] = 0
    with closing(er.open_engine("study-conv-rnn", backend="onnxruntime", threads=1)) as engine:
        alone = engine.run(gap).copy()
        engine.reset()
        for _ in range(4):
            engine.run(truth)
        after = engine.run(gap).copy()
    inside = (slice(8, -8), slice(30, 36))
    assert np.abs(after - truth)[inside].mean() < 0.7 * np.abs(alone - truth)[inside].mean()


def test_an_unknown_name_is_told_of_both_kinds() -> None:
    with pytest.raises(UsageError, match="there is: .*compact-despeckle.*study-conv-rnn"):
        model_path("study-conv-rn")


def test_what_is_listed_is_there() -> None:
    listed = {
        line.split("`")[1]
        for line in (resource_dir("export") / "study/README.md").read_text().splitlines()
        if line.startswith("| `")
    }
    assert listed == {Path(f"{name}.onnx").name for name in studied_models()}
