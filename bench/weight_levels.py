"""What 64 levels of int8 weights cost beside 127: PSNR of the shipped despecklers on displays that no training saw.

python bench/weight_levels.py --json bench/results/weight-levels.json

A CPU without VNNI adds two products of u8 × s8 in 16 bits, which overflow beyond 64 levels; dot products may have 127.
Each model is quantised after training with either, every convolution and every activation, from the same ranges. The
weights' levels are then stored as the floats that they stand for, so that no processor overflows. PSNR is against the
expected display, without matching gain or offset.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from bench.frame_border import displays, psnr_db  # noqa: E402
from edgerecon.core.frame import Image  # noqa: E402
from edgerecon.engines import open_engine  # noqa: E402
from edgerecon.hardware.device import host_profile  # noqa: E402
from edgerecon.measure.bootstrap import interval  # noqa: E402
from edgerecon.modelfile.catalogue import model_path  # noqa: E402
from edgerecon.workshop.compress import graph  # noqa: E402
from edgerecon.workshop.compress.calibration import Calibration, calibrate  # noqa: E402
from edgerecon.workshop.compress.quantise import WEIGHT_LIMIT, quantise  # noqa: E402

MODELS = ("compact-despeckle", "compact-despeckle-small", "compact-despeckle-w8d4")
LIMITS = (64, 127)
CALIBRATED = 24
Pairs = list[tuple[Image, Image]]


def with_float_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same file with the integers of its weights and biases multiplied out."""
    values = graph.constants(model.graph)
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in values:
            whole, step, *zero = (values[name] for name in node.input)
            shape = (-1, *[1] * (whole.ndim - 1))
            exact = (whole.astype(np.float64) - (zero[0].reshape(shape) if zero else 0)) * step.reshape(shape)
            model.graph.initializer.append(numpy_helper.from_array(np.float32(exact), node.output[0]))
    folded = {tensor.name for tensor in model.graph.initializer}
    graph.replace_nodes(model.graph, [node for node in model.graph.node if node.output[0] not in folded])
    graph.drop_unused_constants(model.graph)
    return model


def errors_db(path: Path, pairs: Pairs) -> np.ndarray:
    """PSNR of each display, (n,)."""
    engine = open_engine(path, "onnxruntime", threads=1)
    found = np.array([psnr_db(engine.run(shown) - expected) for shown, expected in pairs])
    engine.close()
    return found


def measure(name: str, calibrated: list[Image], pairs: Pairs, folder: Path) -> dict[str, Any]:
    source = model_path(name)
    content = source.read_bytes()
    seen: Calibration = calibrate(content, calibrated)
    ranges, exact = seen.ranges("percentile"), errors_db(source, pairs)
    row: dict[str, Any] = {"model": name, "fp32_psnr_db": float(exact.mean())}
    for limit in LIMITS:
        with mock.patch.dict(WEIGHT_LIMIT, {"unsigned": limit}):
            made = with_float_weights(quantise(content, ranges, form="unsigned", moments=seen.moments))
        path = folder / f"{name}-{limit}.onnx"
        onnx.save(made, str(path))
        row[f"lost_db_{limit}"] = interval(exact - errors_db(path, pairs))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--displays", type=int, default=40)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    every = displays(CALIBRATED + arguments.displays)
    calibrated, pairs = [shown for shown, _ in every[:CALIBRATED]], every[CALIBRATED:]
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(name, calibrated, pairs, Path(folder)) for name in MODELS]
    for row in rows:
        lost = ", ".join(f"{limit} levels lose {row[f'lost_db_{limit}']['mean']:.3f} dB" for limit in LIMITS)
        print(f"{row['model']}: {lost}")  # noqa: T201
    found = {"host": host_profile(), "command": "python bench/weight_levels.py", "displays": len(pairs), "rows": rows}
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
