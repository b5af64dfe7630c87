"""Every shipped model on TensorRT: does the GPU compute what ONNX Runtime does, and how long does each stage take.

Compared on noise and on the echocardiography cine that ships inside pydicom: with ONNX Runtime on the same file, which
shows what the runtime adds, and with ONNX Runtime on the fp32 file, which shows what the precision costs. Latency is
from frame to result on the host, all engines and the first model's fp32 on the CPU (ONNX Runtime, the row that `speed`
refers to) in turn; the stages are by CUDA events, the engine being run without its graph for them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgerecon.core.errors import EdgereconError
from edgerecon.core.frame import Image, to_unit
from edgerecon.cuda.memory import open_gpu
from edgerecon.engines import open_engine
from edgerecon.engines.base import Engine
from edgerecon.hardware.device import host_profile
from edgerecon.measure.row import OK, Cost, Quality, Row, Setup, Speed
from edgerecon.measure.timing import interleave, ratio
from edgerecon.modelfile.catalogue import model_path, shipped_models
from edgerecon.modelfile.file import read_model
from edgerecon.stream.sources.still_frames import read_frames

FP32_LIMIT = 1e-5
"""Grey levels in [0, 1] by which an fp32 engine may differ from ONNX Runtime."""
ODD = (243, 381)
STAGE_RUNS = 200


def noise() -> list[Image]:
    rng = np.random.default_rng(0)
    return [rng.random(shape, dtype=np.float32) for shape in ((1, 1), (7, 5), ODD, (512, 512))]


def cine() -> list[Image]:
    return list(map(to_unit, read_frames()))


def largest(engine: Engine, reference: Engine, frames: Sequence[Image]) -> float:
    return max(float(np.abs(engine.run(frame) - reference.run(frame)).max()) for frame in frames)


def stages(engine: Any, frame: Image) -> dict[str, dict[str, float]]:
    """p50 and p99 in ms of {to_device, compute, to_host}."""
    engine.run(frame)
    runs = [engine.stage_times() for _ in range(STAGE_RUNS)]
    return {
        name: {
            "p50": float(np.percentile([run[name] for run in runs], 50)),
            "p99": float(np.percentile([run[name] for run in runs], 99, method="higher")),
        }
        for name in runs[0]
    }


def compare(path: Path, shape: tuple[int, int], frames: dict[str, list[Image]], stack: ExitStack) -> Any:
    """(row, extra figures, engine or None) of one file."""
    file = read_model(path)
    spec = file.spec
    blank = Row(Setup(path.stem, "tensorrt", spec.precision, 1, shape), cost=Cost(len(file.content) / 1000))
    try:
        engine: Any = stack.enter_context(closing(open_engine(file, "tensorrt")))
        with closing(open_engine(file, "onnxruntime")) as same:
            errors = {name: largest(engine, same, some) for name, some in frames.items()}
        with closing(open_engine(spec.name, "onnxruntime", "fp32")) as exact:
            row = replace(blank, quality=Quality(max_abs_error=largest(engine, exact, frames["real"])))
    except EdgereconError as error:
        return replace(blank, status=str(error)), {}, None
    if spec.precision == "fp32" and not max(errors.values()) <= FP32_LIMIT:
        row = replace(row, status=f"differs from ONNX Runtime by {max(errors.values()):.2g}, allowed is {FP32_LIMIT:g}")
    facts = {"error_same_file": errors, "engine": asdict(engine.facts), "graph": engine._graphs[0] is not None}
    return row, facts, engine


def measure(paths: Sequence[Path], shape: tuple[int, int], seconds: float) -> list[dict[str, Any]]:
    """One row a file, the first being ONNX Runtime's fp32 on the CPU."""
    frames = {"random": noise(), "real": cine()}
    image = cv2.resize(frames["real"][0], shape[::-1], interpolation=cv2.INTER_AREA)
    with ExitStack() as stack:
        first = next(path for path in paths if read_model(path).spec.precision == "fp32")
        cpu = stack.enter_context(closing(open_engine(first, "onnxruntime")))
        found: list[Any] = [(Row(Setup(first.stem, "onnxruntime", "fp32", cpu.spec.threads, shape)), {}, cpu)]
        found += [compare(path, shape, frames, stack) for path in paths]
        running = {str(index): engine for index, (_, _, engine) in enumerate(found) if engine is not None}
        outs = {key: engine.run(image) for key, engine in running.items()}
        runs = {key: (lambda key=key: running[key].run(image, outs[key])) for key in running}
        times = interleave(runs, seconds=seconds, at_least=100)
        rows = []
        for index, (row, facts, engine) in enumerate(found):
            if engine is not None:
                timing = times[str(index)]
                row = replace(row, speed=Speed(timing.summary(), relative=ratio(times["0"], timing)))
            if engine not in (None, cpu):
                facts = facts | {"stages_ms": stages(engine, image)}
            rows.append(row.to_json() | facts)
    return rows


def gpu_facts() -> dict[str, str]:
    """Name, driver, memory, clocks and power limit, as nvidia-smi gives them; a Jetson's knows fewer."""
    keys = "name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit"
    command = ["nvidia-smi", f"--query-gpu={keys}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return dict(zip(keys.split(","), (cell.strip() for cell in done.stdout.split("\n")[0].split(",")), strict=False))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--shape", default="512x512")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    height, width = (int(side) for side in arguments.shape.split("x"))
    try:
        gpu = open_gpu()
    except EdgereconError as error:
        sys.stderr.write(f"bench/gpu_engines.py: {error}\n")
        return 1
    files = [model_path(name) for name in shipped_models()]
    specs = {path: read_model(path).spec for path in files}
    files = [path for path, spec in specs.items() if spec.form != "unsigned" and spec.channels == 1]
    rows = measure(files, (height, width), arguments.seconds)
    facts = gpu_facts() | {"compute_capability": gpu.compute_capability}
    result = {"rows": rows, "gpu": facts, "host": host_profile()}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    for row in rows:
        p50 = f"{row['latency_ms']['p50']:.3f} ms" if row["latency_ms"] else ""
        print(row["model"], row["backend"], row["precision"], p50, row["status"])  # noqa: T201
    return 0 if all(row["status"] == OK for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
