"""The command line in this process, and what it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerecon.workshop.data.simulate.dataset import FORMAT
from tests.cli.command import Cli, in_this_process


@pytest.fixture
def edgerecon(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return in_this_process(monkeypatch, capsys)


@pytest.fixture
def cine(tmp_path: Path, rng: np.random.Generator) -> Path:
    path = tmp_path / "cine.npy"
    np.save(path, rng.integers(0, 256, (6, 40, 48), np.uint8))
    return path


@pytest.fixture
def pairs(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A pairs file of noisy steps, so that no simulation is needed."""
    import h5py

    path = tmp_path / "pairs.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = FORMAT
        for index in range(4):
            clean = np.where(np.arange(64)[None] < 20 + 5 * index, 60.0, 160.0) + np.zeros((64, 1))
            group = file.create_group(f"sample_{index:05d}")
            group["clean"] = clean.astype(np.uint8)
            for name in ("pw1", "pw3", "pw7", "pw31"):
                group[name] = np.clip(clean + rng.normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
            group.attrs["complete"] = True
    return path
