"""An engine of one's own: whatever turns one frame into another takes part in a stream.

python examples/custom_engine.py
"""

from __future__ import annotations

import cv2
import numpy as np

import edgerecon as er
from edgerecon.engines.base import EngineSpec
from edgerecon.modelfile.spec import ModelSpec


class MedianEngine:
    """The median of 5×5 pixels, as an engine."""

    spec = EngineSpec(ModelSpec("median-5", "despeckle", 1, 1, ""), "opencv", "fp32", threads=1)

    def run(self, frame: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return cv2.medianBlur(frame, 5, dst=out)

    def reset(self) -> None: ...

    def close(self) -> None: ...


def main() -> None:
    report = er.stream(er.open_source("sample"), MedianEngine(), [er.open_sink("null")], policy="every", pace=False)
    counted = report.to_json()
    print(f"{counted['presented']} frames, infer p50 {counted['stages_ms']['infer']['p50']:.2f} ms")


if __name__ == "__main__":
    main()
