"""Train a tiny despeckler: simulate scenes, train for a minute, export behind the gates. Needs edgerecon[train].

python examples/train_tiny_model.py [FOLDER] [STEPS]

Four scenes are far too few for a good network: it learns their tissue by heart. Shipped models saw a thousand or more.
"""

from __future__ import annotations

import sys
from pathlib import Path

import edgerecon as er
from edgerecon.deploy.export.export import export
from edgerecon.workshop.data.simulate import simulate
from edgerecon.workshop.train.loop import train

RECIPE = """
model = { name = "tiny", task = "despeckle", family = "compact", width = 8, depth = 3 }
data = { simulate = "see above", file = "train.h5", inputs = ["pw31"], target = "clean", validation = 0.25 }
train = { steps = 200, batch = 4, crop = 48, learning_rate = 3e-3, warmup = 10, validate_every = 50, seed = 1 }
"""


def main(folder: str = "tiny-model", steps: str = "200") -> None:
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    simulate(out / "train.h5", samples=4, seed=1)
    (out / "tiny.toml").write_text(RECIPE)
    recipe = er.load_recipe(out / "tiny.toml")
    best = train(recipe, run_dir=out / "run", data=out / "train.h5", steps=int(steps))
    print(f"shipped {export(recipe, best, out / 'tiny.onnx').model}")


if __name__ == "__main__":
    main(*sys.argv[1:])
