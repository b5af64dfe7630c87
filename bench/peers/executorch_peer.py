"""ExecuTorch with its XNNPACK delegate, lowered from the network's own module with the shipped weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool  # the only way to set threads
from executorch.runtime import Runtime
from peer import Run, serve

from edgerecon.workshop.recipe import load_recipe
from edgerecon.workshop.train.checkpoint import load_model

SHAPE = (1, 1, 512, 512)
"""Fixed at lowering."""


def open_model(path: str, threads: int) -> Run:
    file = Path(path)
    network = load_model(load_recipe(file.with_suffix(".toml")), file.with_suffix(".pt")).eval()
    network.forward = network.core  # type: ignore[method-assign]
    program = torch.export.export(network, (torch.zeros(SHAPE),))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    _unsafe_reset_threadpool(threads)
    method = Runtime.get().load_program(lowered.buffer).load_method("forward")
    return lambda frame: method.execute([torch.from_numpy(np.ascontiguousarray(frame))])[0].numpy()


if __name__ == "__main__":
    serve("executorch", open_model)
