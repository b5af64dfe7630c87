"""Make export/heldout.npz: the scenes that every despeckling or compounding engine is measured on, wherever it runs.

edgerecon simulate edgerecon-runs/heldout.h5 --samples 64 --seed 1001     # seeds that no training used
python bench/heldout.py edgerecon-runs/heldout.h5
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np

from edgerecon.deploy.export.export import write_sums
from edgerecon.quality.datasets.heldout import SCENES, SHIPPED
from edgerecon.quality.datasets.pairs_file import TASK_FIELDS, sample_names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", type=Path)
    path = parser.parse_args().scenes
    names = sample_names(path, SCENES)
    fields = sorted({field for both in TASK_FIELDS.values() for field in both})
    with h5py.File(path, "r") as file:
        arrays = {field: np.stack([file[name][field] for name in names]) for field in fields}
    shipped = Path(__file__).resolve().parents[1] / "export"
    np.savez_compressed(shipped / SHIPPED, **arrays)
    write_sums(shipped)


if __name__ == "__main__":
    main()
