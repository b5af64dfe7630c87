"""What a study writes: one HTML page that needs nothing beside itself, JSON, CSV, and the pictures as PNG."""

from __future__ import annotations

import json
import re
from pathlib import Path

from edgerecon.core.errors import EdgereconError
from edgerecon.core.files import write
from edgerecon.study.page import study_page
from edgerecon.study.panels import png
from edgerecon.study.report import StudyReport

PAGE, DATA, ROWS, PICTURES = "report.html", "report.json", "report.csv", "pictures"


def write_report(report: StudyReport, folder: Path) -> None:
    """report.html, report.json, report.csv and pictures/*.png.

    Raises:
        EdgereconError: the folder cannot be written.
    """
    try:
        (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgereconError(f"cannot write to {folder}: {error.strerror or error}") from None
    for result in report.results:
        for picture in result.pictures:
            write(folder / PICTURES / f"{result.name}-{_slug(picture.title)}.png", png(picture))
    write(folder / DATA, (json.dumps(report.to_json(), indent=1) + "\n").encode())
    write(folder / ROWS, report.to_csv().encode())
    write(folder / PAGE, study_page(report).encode())


def _slug(title: str) -> str:
    """A title as a file name."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60]
