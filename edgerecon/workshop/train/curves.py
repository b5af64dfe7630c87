"""The training curve as CSV, a row a validation, and as a picture."""

from __future__ import annotations

import csv
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from edgerecon.core.errors import needed


@dataclass(frozen=True)
class Row:
    """One validation: mean training loss since the last one, quality in dB and SSIM, seconds of training so far."""

    step: int
    loss: float
    learning_rate: float
    psnr_db: float
    ssim: float
    seconds: float


_COLUMNS = [field.name for field in fields(Row)]


class Curve:
    """Appends to ``path`` as training goes.

    Args:
        path: the CSV file. resume_at: keep the rows up to this step; None starts anew.
    """

    def __init__(self, path: Path, resume_at: int | None = None) -> None:
        self.path = path
        self.rows = [row for row in _read(path) if row.step <= resume_at] if resume_at is not None else []
        partial = path.with_name(path.name + ".partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(map(asdict, self.rows))
        os.replace(partial, path)

    def add(self, row: Row) -> None:
        """Append a row, to the file at once."""
        self.rows.append(row)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, _COLUMNS).writerow(asdict(row))

    def draw(self, path: Path) -> None:
        """Loss, PSNR and SSIM against steps, as PNG."""
        with needed("train", "matplotlib"):
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        figure = Figure(figsize=(10, 3), layout="constrained")
        FigureCanvasAgg(figure)
        steps = [row.step for row in self.rows]
        for axes, key, label in zip(
            figure.subplots(1, 3),
            ("loss", "psnr_db", "ssim"),
            ("training loss", "validation PSNR (dB)", "validation SSIM"),
            strict=True,
        ):
            axes.plot(steps, [getattr(row, key) for row in self.rows])
            axes.set(xlabel="step", ylabel=label)
            axes.grid(alpha=0.3)
        partial = path.with_name(path.name + ".partial")
        figure.savefig(partial, format="png", dpi=110)
        os.replace(partial, path)


def _read(path: Path) -> list[Row]:
    """Rows of an earlier run; a last line cut off by a crash is left out."""
    if not path.exists():
        return []
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            try:
                rows.append(Row(int(line["step"]), *(float(line[name]) for name in _COLUMNS[1:])))
            except (TypeError, ValueError):
                break
    return rows
