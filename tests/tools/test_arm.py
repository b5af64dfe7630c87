"""Outputs of two processors are compared file by file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.arm import differences


def test_largest_difference_of_each_file_is_found(tmp_path: Path) -> None:
    frame = np.zeros((2, 3), np.float32)
    np.savez(tmp_path / "here.npz", same=frame, other=frame)
    np.savez(tmp_path / "there.npz", same=frame, other=frame + np.float32(0.25))
    assert differences(tmp_path / "here.npz", tmp_path / "there.npz") == {"same": 0.0, "other": 0.25}
