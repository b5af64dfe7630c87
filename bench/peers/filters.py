"""Classical filters on the same frames: another function, not another runtime, of the same purpose.

python filters.py clahe|nlm|srad; settings as `edgerecon evaluate` takes them in the middle of its sweep.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import cv2
import numpy as np
from peer import Run, serve


def _clahe() -> Callable[[np.ndarray], np.ndarray]:
    made = cv2.createCLAHE(2.0, (8, 8))
    return lambda image: made.apply(np.asarray(image * 255, np.uint8)).astype(np.float32) / 255


def _nlm() -> Callable[[np.ndarray], np.ndarray]:
    from edgerecon.quality.filters.classical import non_local_means

    return lambda image: non_local_means(image, 0.06)


def _srad() -> Callable[[np.ndarray], np.ndarray]:
    from edgerecon.quality.filters.classical import srad

    return lambda image: srad(image, 50)


def open_model(path: str, threads: int) -> Run:
    cv2.setNumThreads(threads)
    work = {"clahe": _clahe, "nlm": _nlm, "srad": _srad}[sys.argv[1]]()
    return lambda frame: work(frame[0, 0])


if __name__ == "__main__":
    serve(sys.argv[1], open_model)
