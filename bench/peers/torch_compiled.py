"""torch.compile with its defaults (Inductor, C++), on the network's own module with the shipped weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from peer import Run, serve

from edgerecon.workshop.recipe import load_recipe
from edgerecon.workshop.train.checkpoint import load_model


def open_model(path: str, threads: int) -> Run:
    torch.set_num_threads(threads)
    file = Path(path)
    network = load_model(load_recipe(file.with_suffix(".toml")), file.with_suffix(".pt")).eval()
    compiled = torch.compile(network.core)

    def run(frame: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return compiled(torch.from_numpy(np.ascontiguousarray(frame))).numpy()

    return run


if __name__ == "__main__":
    serve("pytorch compiled", open_model)
