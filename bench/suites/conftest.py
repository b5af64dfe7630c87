"""What the suites share: real frames, resized."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgerecon.bench.run import real_frames


@pytest.fixture(scope="session")
def frame() -> NDArray[np.uint8]:
    """One real frame, uint8 512×512."""
    return np.asarray(cv2.resize(real_frames("sample")[0], (512, 512)), np.uint8)
