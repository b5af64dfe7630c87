"""What a study writes: one HTML page that needs nothing beside itself, JSON, CSV, and the pictures as PNG."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgerecon.device import host_profile
from edgerecon.errors import EdgereconError
from edgerecon.frame import to_uint8
from edgerecon.latency.row import Row
from edgerecon.study.results import Picture, Result
from edgerecon.whole_file import write

PAGE, DATA, ROWS, PICTURES = "report.html", "report.json", "report.csv", "pictures"
CAPTION = 18
LEAST_PANEL = 192
"""Pixels; smaller panels are enlarged without interpolation, so that their pixels can be seen."""


@dataclass
class StudyReport:
    """A whole study. seconds: name of the system → wall clock, resumed runs together. speed: see ``time_models``."""

    profile: str
    results: list[Result]
    speed: list[Row]
    seconds: dict[str, float]
    host: dict[str, object] = field(default_factory=host_profile)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``; pictures are left out, NaN is null."""
        return {
            "profile": self.profile,
            "seconds": {name: round(seconds, 1) for name, seconds in self.seconds.items()},
            "host": self.host,
            "systems": [_result(result) for result in self.results],
            "speed": [row.to_json() for row in self.speed],
        }

    def to_csv(self) -> str:
        """One line a figure."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(["system", "table", "method", "kind", "metric", "mean", "low", "high", "paper"])
        for result in self.results:
            for table in result.tables:
                for row in table.rows:
                    for metric in table.metrics:
                        value = row.values.get(metric.key, {})
                        bounds = [_cell(value.get(part)) for part in ("mean", "low", "high")]
                        lines.writerow([result.name, table.title, row.method, row.kind, metric.key, *bounds,
                                        _cell(row.paper.get(metric.key))])  # fmt: skip
        return text.getvalue()

    def write(self, folder: Path) -> None:
        """report.html, report.json, report.csv and pictures/*.png.

        Raises:
            EdgereconError: the folder cannot be written.
        """
        from edgerecon.study.page import study_page

        try:
            (folder / PICTURES).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgereconError(f"cannot write to {folder}: {error.strerror or error}") from None
        for result in self.results:
            for picture in result.pictures:
                write(folder / PICTURES / f"{result.name}-{slug(picture.title)}.png", png(picture))
        write(folder / DATA, (json.dumps(self.to_json(), indent=1) + "\n").encode())
        write(folder / ROWS, self.to_csv().encode())
        write(folder / PAGE, study_page(self).encode())


def png(picture: Picture) -> bytes:
    """The panels side by side under their labels, as PNG."""
    tiles = []
    for label, image in picture.panels:
        pixels = np.clip(np.asarray(image, np.float32), 0, 1)
        grey = cv2.cvtColor(to_uint8(pixels), cv2.COLOR_GRAY2BGR) if pixels.ndim == 2 else np.rint(
            255 * pixels[..., ::-1]).astype(np.uint8)  # fmt: skip
        factor = max(1, math.ceil(LEAST_PANEL / grey.shape[0]))
        large = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
        band = np.full((CAPTION, large.shape[1], 3), 255, np.uint8)
        cv2.putText(band, label, (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 32, 22), 1, cv2.LINE_AA)
        tiles.append(np.vstack([band, large]))
    height = max(tile.shape[0] for tile in tiles)
    padded = [np.pad(tile, ((0, height - tile.shape[0]), (0, 4), (0, 0)), constant_values=255) for tile in tiles]
    done, content = cv2.imencode(".png", np.hstack(padded))
    if not done:
        raise EdgereconError(f"cannot encode the picture '{picture.title}'")
    return bytes(content.tobytes())


def slug(title: str) -> str:
    """A title as a file name."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60]


def _result(result: Result) -> dict[str, Any]:
    plain = {name: value for name, value in vars(result).items() if name != "pictures"}
    plain["tables"] = [asdict(table) for table in result.tables]
    plain["claims"] = [asdict(claim) for claim in result.claims]
    plain["models"] = [asdict(model) | {"file": Path(model.file).name} for model in result.models]
    return {name: _plain(value) for name, value in plain.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: float | None) -> str:
    return f"{value:.6g}" if value is not None and math.isfinite(value) else ""
