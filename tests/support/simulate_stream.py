"""Runs frames through a compiled simulator and says what came of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from edgerecon.fpga import integer_reference
from edgerecon.fpga.integer_ir import IntegerNetwork


def simulate(
    network: IntegerNetwork,
    program: Path,
    frames: Any,
    stalls: tuple[int, int] = (0, 0),
    gap: int = 0,
    expected: Any = None,
) -> dict[str, Any]:
    """Frames of one size through the simulator; stalls in percent on input and output, gap in cycles between frames."""
    frames = np.stack(list(frames))
    if expected is None:
        expected = np.stack([integer_reference.run(network, frame) for frame in frames])
    here = program.parent.parent
    (here / "frames.bin").write_bytes(frames.tobytes())
    (here / "expected.bin").write_bytes(expected.tobytes())
    count, height, width = frames.shape
    numbers = [str(n) for n in (width, height, count, *stalls, gap, 1)]
    done = subprocess.run(
        [str(program), "frames.bin", "expected.bin", *numbers], cwd=here, capture_output=True, text=True, timeout=120
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def assert_equal(result: dict[str, Any], frames: Any) -> None:
    assert (result["bytes"], result["mismatches"], result["broken"]) == (np.stack(list(frames)).size, 0, 0)


def random_frames(count: int, height: int, width: int) -> Any:
    return np.random.default_rng(height * width).integers(0, 256, (count, height, width), np.uint8)
