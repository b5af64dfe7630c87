"""Other runtimes and classical filters on the same frames and the same model, interleaved with ours in one run.

python bench/peers/run.py --json bench/results/peers.json     installs each peer below bench/peers/site/ first

A peer that does not install or run is a row with the reason. README.md beside this file says how each is driven.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgerecon.bench.rounds import RowTimes, run_rounds
from edgerecon.bench.run import real_frames
from edgerecon.bench.worker_client import WORKER, WorkerClient
from edgerecon.core.errors import EngineError
from edgerecon.hardware.device import host_profile
from edgerecon.measure.bootstrap import percentile_interval, ratio_samples
from edgerecon.measure.noise import Calibration
from edgerecon.modelfile.catalogue import model_path

HERE = Path(__file__).parent
MODEL, SHAPE = "compact-despeckle", (512, 512)


@dataclass(frozen=True)
class Peer:
    """packages: installed into a folder of its own, what they depend on named as well. script: with its arguments."""

    name: str
    packages: tuple[str, ...]
    script: tuple[str, ...]
    same_model: bool = True


PEERS = (
    Peer("PyTorch, eager", (), ("torch_eager.py",)),
    Peer("PyTorch, compiled", (), ("torch_compiled.py",)),
    Peer("OpenCV DNN", (), ("opencv_dnn.py",)),
    Peer("ncnn", ("ncnn", "pnnx"), ("ncnn_peer.py",)),
    Peer("MNN", ("MNN",), ("mnn_peer.py",)),
    Peer(
        "ExecuTorch (XNNPACK)",
        ("executorch", "ruamel.yaml", "flatbuffers", "tabulate", "torchao", "pyyaml"),
        ("executorch_peer.py",),
    ),
    Peer(
        "LiteRT (XNNPACK)",
        (
            *("litert-torch==0.10.0", "litert-converter==0.5.0", "ai-edge-litert==2.3.0", "ai-edge-quantizer==0.10.0"),
            *("jax", "jaxlib", "opt_einsum", "absl-py", "immutabledict", "torchao"),
        ),
        ("litert_peer.py",),
    ),
    Peer("non-local means", (), ("filters.py", "nlm"), False),
    Peer("CLAHE", (), ("filters.py", "clahe"), False),
    Peer("SRAD", (), ("filters.py", "srad"), False),
)
OURS = (
    *(("onnxruntime", "fp32"), ("openvino", "fp32"), ("onnxruntime", "int8"), ("openvino", "int8")),
    *(("native", "fp32"), ("native", "int16")),
)


def installed(peer: Peer) -> dict[str, str]:
    """The environment that a peer's script runs in. Raises EngineError with pip's last line."""
    site = HERE / "site" / peer.script[0].removesuffix(".py")
    if peer.packages and not site.is_dir():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            str(site),
            *peer.packages,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineError(f"does not install: {done.stderr.strip().splitlines()[-1]}")
    paths = [str(HERE.parents[1]), str(HERE), str(site), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def measure(seconds: float, threads: int) -> dict[str, Any]:
    calibration, rows = Calibration(), []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        frames = np.stack([cv2.resize(frame, SHAPE[::-1]) for frame in real_frames("sample")])
        np.save(folder / "frames.npy", frames)
        turns: list[tuple[dict[str, Any], RowTimes]] = []
        for row, command, env, model, precision in _all():
            rows.append(row)
            try:
                remote = stack.enter_context(closing(WorkerClient(row["name"], 120, command, env() if env else None)))
                found = remote.open(
                    model=str(model),
                    backend=row["backend"],
                    precision=precision,
                    threads=threads,
                    frames=str(folder / "frames.npy"),
                )
                remote.ask("outputs", frames=str(folder / "frames.npy"), out=str(folder / "out.npy"))
                outputs = np.load(folder / "out.npy")
                if not turns:
                    truth = outputs
                row["startup_ms"] = found["startup_ms"]
                row["max_abs_error"] = float(np.abs(outputs - truth).max()) if row["same_model"] else None
                turns.append((row, RowTimes(remote)))
            except EngineError as error:
                row["status"] = str(error)
        run_rounds([one for _, one in turns], seconds, calibration, lambda done, total: None)
        _fill(turns)
    return {
        "rows": rows,
        "noise": calibration.spread,
        "noisy": calibration.noisy,
        "model": MODEL,
        "shape": SHAPE,
        "threads": threads,
        "host": host_profile(),
    }


def _all() -> Any:
    for backend, precision in OURS:
        row = {"name": f"edgerecon, {backend} {precision}", "backend": backend, "same_model": True, "status": "ok"}
        yield row, WORKER, None, model_path(MODEL if precision == "fp32" else f"{MODEL}-{precision}"), precision
    for peer in PEERS:
        row = {"name": peer.name, "backend": peer.name, "same_model": peer.same_model, "status": "ok"}
        command = (sys.executable, str(HERE / peer.script[0]), *peer.script[1:])
        yield row, command, lambda peer=peer: installed(peer), model_path(MODEL), "fp32"


def _fill(turns: list[tuple[dict[str, Any], RowTimes]]) -> None:
    base = turns[0][1].medians
    for row, one in turns:
        if one.error is not None:
            row["status"] = one.error
            continue
        total = np.concatenate(one.blocks).sum(axis=1)
        samples = ratio_samples(one.medians, base)
        row["latency_ms"] = {f"p{q:g}": float(np.percentile(total, q, method="higher")) for q in (50, 90, 99)}
        row["memory_mb"] = one.memory_mb
        row["ratio"] = [float(np.median(samples)), *percentile_interval(samples)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = measure(arguments.seconds, arguments.threads)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    for row in result["rows"]:
        if "ratio" in row:
            ratio, low, high = row["ratio"]
            shown = f"p50 {row['latency_ms']['p50']:.2f} ms, {ratio:.2f} ({low:.2f} to {high:.2f}) × ONNX Runtime fp32"
        else:
            shown = row["status"]
        print(f"{row['name']}: {shown}")  # noqa: T201


if __name__ == "__main__":
    main()
