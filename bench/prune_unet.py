"""A small U-Net, trained, pruned to half of its arithmetic and fine-tuned: what that costs in quality, what it saves.

    edgerecon simulate edgerecon-runs/train.h5 --samples 1000 --seed 1
    edgerecon simulate edgerecon-runs/heldout.h5 --samples 64 --seed 1001
    OMP_NUM_THREADS=1 python bench/prune_unet.py --json bench/results/prune-unet.json

Quality is measured on the held-out scenes, which no training step sees. Two comparisons: with the network as it was
before pruning, and with the same network fine-tuned whole for as many steps at the same rate, since more training helps
by itself. Latency is that of the exported files on ONNX Runtime with one thread, the two run in turn.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from edgerecon.deploy.export.export import to_onnx
from edgerecon.deploy.export.parity import max_abs_error
from edgerecon.hardware.device import host_profile
from edgerecon.workshop.compress.pruned import prune_recipe
from edgerecon.workshop.data.augment import Augment
from edgerecon.workshop.data.datasets import CropSampler, load_pairs, split_by_scene
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.train.checkpoint import load_model, new_model
from edgerecon.workshop.train.distill import fine_tune
from edgerecon.workshop.train.loop import train
from edgerecon.workshop.train.validate import validate

FRAME = (256, 256)


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    return Recipe.model_validate(
        {
            "model": {
                "name": "unet-despeckle",
                "task": "despeckle",
                "family": "unet",
                "width": arguments.width,
                "depth": arguments.depth,
            },
            "data": {
                "simulate": "edgerecon simulate edgerecon-runs/train.h5 --samples 1000 --seed 1",
                "file": arguments.data,
                "inputs": ["pw31"],
                "target": "clean",
                "validation": 0.06,
            },
            "train": {
                "steps": arguments.steps,
                "batch": 8,
                "crop": 64,
                "learning_rate": 2e-3,
                "warmup": 100,
                "ema": 0.995,
                "validate_every": max(1, arguments.steps // 4),
                "seed": 1,
            },
            "prune": {
                "ratio": arguments.ratio,
                "importance": arguments.importance,
                "iterations": arguments.iterations,
                "steps": arguments.fine_tune,
                "distill": arguments.distill,
            },
        }
    )


def quality(model: Network, recipe: Recipe, held_out: Any) -> dict[str, float]:
    psnr, ssim = validate(model, held_out, recipe.data.inputs, recipe.data.target, torch.device("cpu"))
    return {"psnr_db": psnr, "ssim": ssim}


def shape_of(model: Network) -> dict[str, Any]:
    return {
        "macs_per_pixel": model.macs_per_pixel(),
        "parameters": model.count_parameters(),
        "receptive_field": model.receptive_field,
        "channels": list(model.channels),  # type: ignore[arg-type, call-overload]
    }


def trained_on(model: Network, recipe: Recipe, steps: int) -> Network:
    """The whole network after as many more steps, in as many cosines, as the pruned one has."""
    pairs, _ = split_by_scene(load_pairs(recipe.data.file, ["pw31", "clean"]), recipe.data.validation)
    rng = np.random.default_rng(recipe.train.seed)
    augment = Augment(recipe.augment, recipe.train.crop)
    sampler = CropSampler(pairs, recipe.data.inputs, recipe.data.target, augment, recipe.train.batch, rng)
    longer = copy.deepcopy(model)
    for _ in range(recipe.prune.iterations):
        fine_tune(recipe, longer, model, sampler, steps=-(-steps // recipe.prune.iterations), alpha=0.0)
    return longer


def latencies(models: dict[str, Network], recipe: Recipe, repeats: int) -> dict[str, dict[str, float]]:
    """Percentiles in ms of the exported files, run in turn; the first fifth warms up."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    sessions, rows = {}, {}
    for name, model in models.items():
        content = to_onnx(model, recipe, {}).SerializeToString()
        rows[name] = {"max_abs_error": max_abs_error(content, model), "size_kb": len(content) / 1000}
        sessions[name] = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    frame = np.random.default_rng(0).random((1, 1, *FRAME), dtype=np.float32)
    seen: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(repeats):
        for name, session in sessions.items():
            start = time.perf_counter_ns()
            session.run(None, {"frame": frame})
            seen[name].append((time.perf_counter_ns() - start) / 1e6)
    for name, values in seen.items():
        kept = values[repeats // 5 :]
        rows[name] |= {f"p{p}_ms": float(np.percentile(kept, p)) for p in (50, 90, 99)}
    return rows


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("edgerecon-runs/train.h5"))
    parser.add_argument("--held-out", type=Path, default=Path("edgerecon-runs/heldout.h5"))
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--fine-tune", type=int, default=1000)
    parser.add_argument("--ratio", type=float, default=0.5)
    parser.add_argument("--importance", default="taylor")
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--distill", type=float, default=0.5)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    host = host_profile()  # before the work: the commit may change while it runs
    recipe = recipe_of(arguments)
    held_out = load_pairs(arguments.held_out, ["pw31", "clean"])
    seconds, start = {}, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        best = train(recipe, run_dir=Path(folder) / "whole", accelerator="cpu")
        seconds["train"] = time.perf_counter() - start
        whole = load_model(recipe, best)
        unchanged = quality(whole, recipe, held_out)
        start = time.perf_counter()
        report = prune_recipe(recipe, best, Path(folder) / "pruned.pt")
        seconds["prune"] = time.perf_counter() - start
        pruned = load_model(recipe, Path(folder) / "pruned.pt")
    start = time.perf_counter()
    longer = trained_on(whole, recipe, arguments.fine_tune)
    seconds["control"] = time.perf_counter() - start
    rows = latencies({"whole": whole, "pruned": pruned}, recipe, arguments.repeats)
    rows["whole"] |= shape_of(whole) | unchanged
    rows["pruned"] |= shape_of(pruned) | quality(pruned, recipe, held_out)
    rows["whole, fine-tuned alike"] = shape_of(longer) | quality(longer, recipe, held_out)
    result = {
        "rows": rows,
        "input": quality(new_model(recipe), recipe, held_out),  # an untrained network is the identity
        "macs_left": rows["pruned"]["macs_per_pixel"] / rows["whole"]["macs_per_pixel"],
        "loss_db": rows["whole"]["psnr_db"] - rows["pruned"]["psnr_db"],
        "loss_db_to_control": rows["whole, fine-tuned alike"]["psnr_db"] - rows["pruned"]["psnr_db"],
        "speed_up_p50": rows["whole"]["p50_ms"] / rows["pruned"]["p50_ms"],
        "frame": FRAME,
        "threads": 1,
        "scenes": len(held_out),
        "steps": report.to_json()["steps"],
        "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
        "seconds": seconds,
        "host": host,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    for name in ("macs_left", "loss_db", "loss_db_to_control", "speed_up_p50"):
        print(f"{name}: {result[name]:.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
