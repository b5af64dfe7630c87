"""What models do to whole frames: the measures on frames whose answer is known, and the table of the documentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import whole_frames
from edgerecon.core.frame import Image

ROOT = Path(__file__).resolve().parents[2]


class Halving:
    """Half of every grey level, and 0.1 more in the outermost pixel."""

    def run(self, frame: Image) -> Image:
        made = frame / 2
        made[[0, -1]] += 0.1
        made[:, [0, -1]] += 0.1
        return np.asarray(made, np.float32)


def test_measures_of_a_known_engine() -> None:
    before = np.zeros((3, 240, 240), np.float32)
    before[:, 160:, 160:] = np.random.default_rng(1).random((3, 80, 80))
    before[:, 200:220, 200:220] = 0.5
    found = whole_frames.measured(Halving(), before)  # type: ignore[arg-type]
    inner = before.mean() / 2 + 0.1 * 4 / 240
    assert found["level"] == pytest.approx(inner / before.mean(), rel=0.01)
    assert found["change"] == pytest.approx(0.5, rel=0.01)
    assert found["still"] == 0.0 and found["black"] == pytest.approx(51.0)  # both borders meet in the corner
    rim = 120**2 - (120 - 2 * whole_frames.RIM) ** 2
    assert found["border"] == pytest.approx(255 * 0.1 * 4 * 120 / rim, rel=0.01)
    assert found["border, edge replicated"] == pytest.approx(0.0, abs=1e-4)
    assert whole_frames.text_kept(Halving()) == pytest.approx(0.5, rel=0.01)  # type: ignore[arg-type]
