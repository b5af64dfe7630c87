"""OpenCV's own DNN module."""

from __future__ import annotations

import cv2
import numpy as np
from peer import Run, serve


def open_model(path: str, threads: int) -> Run:
    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromONNX(path)

    def run(frame: np.ndarray) -> np.ndarray:
        net.setInput(frame)
        return net.forward()

    return run


if __name__ == "__main__":
    serve("opencv-dnn", open_model)
