"""From a foreign file to the proof of a deadline: ``adopt`` and ``fit`` of a U-Net with half a million parameters.

    python bench/adopt.py --json bench/results/adopt.json

The network is made here, with random weights around the identity; its file has no metadata. The time is that of the two
commands' work in one process, without the start of Python and without the making of the network.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from edgerecon.core.files import write
from edgerecon.deploy.adopt.adopt import adopt
from edgerecon.deploy.adopt.inspect import Asked
from edgerecon.deploy.adopt.ranges import UNIT
from edgerecon.deploy.fit.fit import Requirement, fit
from edgerecon.hardware.device import host_profile

SIDE = 256
DEADLINE_MS = 33.0


class UNet(nn.Module):
    """Five levels of two 3×3 convolutions; gives the frame and a small change of it."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        self.down = nn.ModuleList(_block(a, b) for a, b in zip([1, *widths], widths, strict=False))
        self.up = nn.ModuleList(_block(a + b, a) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.change = nn.Conv2d(width, 1, 1)
        nn.init.normal_(self.change.weight, std=0.01)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen, inner = [], x
        for block in self.down:
            inner = block(nn.functional.max_pool2d(inner, 2) if seen else inner)
            seen.append(inner)
        for block, skip in zip(reversed(self.up), reversed(seen[:-1]), strict=True):
            larger = nn.functional.interpolate(inner, scale_factor=2.0, mode="nearest")
            inner = block(torch.cat([skip, larger], 1))
        return x + self.change(inner)


def _block(given: int, wide: int) -> nn.Module:
    first, second = nn.Conv2d(given, wide, 3, padding=1), nn.Conv2d(wide, wide, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())


def measure(folder: Path) -> dict[str, object]:
    """Seconds of each step, and what was found."""
    torch.manual_seed(0)
    network, foreign, own = UNet().eval(), folder / "foreign.onnx", folder / "unet.onnx"
    axes = {name: {0: "n", 2: "h", 3: "w"} for name in ("x", "y")}
    example = (torch.zeros(1, 1, SIDE, SIDE),)
    names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": axes}
    torch.onnx.export(network, example, foreign, dynamo=False, opset_version=17, **names)
    began = time.perf_counter()
    adopted = adopt(foreign, own, Asked(given=UNIT, returned=UNIT, way="image"))
    between = time.perf_counter()
    found = fit(Requirement(DEADLINE_MS), models=own, task=adopted.spec.task, shape=(SIDE, SIDE))
    ended = time.perf_counter()
    return {
        "parameters": sum(one.numel() for one in network.parameters()),
        "shape": [SIDE, SIDE],
        "deadline_ms": DEADLINE_MS,
        "seconds": {"adopt": between - began, "fit": ended - between, "total": ended - began},
        "chosen": found.to_json()["chosen"],
        "predicted_p99_ms": found.to_json()["predicted_p99_ms"],
        "macs_per_pixel": adopted.spec.macs_per_pixel,
        "command": "python bench/adopt.py",
        "host": host_profile(),
    }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    text = json.dumps(found, indent=1) + "\n"
    sys.stdout.write(text)
    if asked.json:
        write(asked.json, text.encode())


if __name__ == "__main__":
    main()
