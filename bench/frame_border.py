"""What it is worth to continue frames beyond their border, as streams do: PSNR with and without, on simulated displays.

python bench/frame_border.py --json bench/results/frame-border.json

Each model restores displays that no training saw (seed 2001), once as they are and once continued by the pixels of
``edgerecon.stream.engines.EDGE``. The gain is that of PSNR against the expected display, without matching gain or
offset: of whole frames, and of the pixels within eight of the border.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from edgerecon.core.frame import Image, to_unit
from edgerecon.engines import open_engine
from edgerecon.hardware.device import host_profile
from edgerecon.measure.bootstrap import interval
from edgerecon.stream.engines import EDGE
from edgerecon.workshop.data.display.sample import simulate_sample

MODELS = ["compact-despeckle", "compact-despeckle-small"]
DISPLAYS, SEED, RIM = 60, 2001, 8


def displays(count: int) -> list[tuple[Image, Image]]:
    """Pairs of a display as shown and as expected, (H, W) in [0, 1]."""
    fields = [simulate_sample(SEED, index)[0] for index in range(count)]
    return [(to_unit(each["shown"]), to_unit(each["expected"])) for each in fields]


def psnr_db(error: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean(error**2)))


def gains(model: str, pairs: list[tuple[Image, Image]]) -> dict[str, Any]:
    """Mean gain in dB with its interval over displays, of whole frames and at the border."""
    errors: dict[int, list[np.ndarray]] = {}
    for margin in (0, EDGE):
        engine: Any = open_engine(model, "onnxruntime", threads=1)
        engine.margin = margin
        errors[margin] = [engine.run(shown) - expected for shown, expected in pairs]
        engine.close()
    rim = np.ones(pairs[0][0].shape, bool)
    rim[RIM:-RIM, RIM:-RIM] = False
    return {
        place: interval(
            [psnr_db(after[part]) - psnr_db(before[part]) for before, after in zip(*errors.values(), strict=True)]
        )
        for place, part in (("whole", np.ones_like(rim)), ("border", rim))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    path = parser.parse_args().json
    pairs = displays(DISPLAYS)
    rows = {model: gains(model, pairs) for model in MODELS}
    for model, row in rows.items():
        print(model, row)  # noqa: T201
    if path:
        command = "python bench/frame_border.py"
        result = {"command": command, "displays": DISPLAYS, "rim": RIM, "margin": EDGE, "rows": rows}
        path.write_text(json.dumps(result | {"host": host_profile()}, indent=2, default=list) + "\n")


if __name__ == "__main__":
    main()
