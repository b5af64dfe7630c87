"""Attention gates (Oktay et al., MIDL 2018): where a network with gates lets its skip connections through.

A gate is a Sigmoid with "attention" in its own name, or fed by a convolution whose weights have it in theirs: the
exporter keeps the names of a network's parts in those of its weights ("model.attention.0.psi.weight").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edgerecon.core.frame import Image

if TYPE_CHECKING:
    from edgerecon.workshop.explain.gradients import Differentiable

_MARK = "attention"


def gates(network: Differentiable, frame: Image) -> dict[str, Image]:
    """ "attention 1", "attention 2", …: each gate of the graph in order, float32 H×W in [0, 1]; empty without gates,
    and for a file that runs in tiles, each of which has gates of its own.

    The channels of a gate are averaged; it is brought to the frame's size bilinearly.
    """
    import torch

    names = list(_gate_outputs(network.graph.nodes))
    if not names or network.spec.tile:
        return {}
    x = network.frame(frame)
    with torch.no_grad():
        values = network.values(x, *names)
    return {
        f"attention {at}": _to_frame(values[name][0].float().mean(0).cpu().numpy(), network, frame.shape)
        for at, name in enumerate(names, 1)
    }


def _gate_outputs(nodes: list[Any]) -> Iterator[str]:
    made = {name: node for node in nodes for name in node.output}
    for node in nodes:
        if node.op_type != "Sigmoid":
            continue
        source = made.get(node.input[0])
        weights = [] if source is None else source.input
        if any(_MARK in name.lower() for name in (node.name, *node.output, *weights)):
            yield node.output[0]


def _to_frame(gate: Image, network: Differentiable, shape: tuple[int, ...]) -> Image:
    """A gate lies over the padded frame, at its own resolution."""
    height, width = (side + -side % network.multiple for side in shape)
    large = cv2.resize(np.ascontiguousarray(gate), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(large[: shape[0], : shape[1]], 0.0, 1.0)
