"""What an export did, step by step, as JSON and as one HTML page."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from edgerecon.core.files import write
from edgerecon.hardware.device import host_profile
from edgerecon.measure.row import Row
from edgerecon.measure.verdict import verdict
from edgerecon.quality.measures.measure import measures
from edgerecon.report.page import number, page, table

REPORT, DATA = "report.html", "report.json"
_HEAD = (
    "File",
    "Engine",
    "Size, kB",
    "PSNR, dB",
    "SSIM",
    "gCNR",
    "Mean shift",
    "Largest difference",
    "p50, ms",
    "p99, ms",
    "Speed",
    "Gates",
)


@dataclass
class ExportReport:
    """One run of the chain.

    Attributes:
        steps: name → "runs" or "unchanged". rows: one an engine (file × backend × precision), the fp32 file on ONNX
            Runtime first. pruning: facts of the step, empty without it. int8: form → what it took to pass the gates.
        engines: device → file or why there is none.
        refusals: gates that were not passed; any of them keeps everything from shipping. shipped: file names.
        left_out: stem of a file that is slower than its parent on the kind of device it is for → by how much.
        picture: "file, engine" → figures of the picture that the recipe gates.
        included: what the latency is the time of.
    """

    recipe: str
    recipe_hash: str
    model: str
    steps: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    pruning: dict[str, Any] = field(default_factory=dict)
    int8: dict[str, Any] = field(default_factory=dict)
    engines: dict[str, str] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    shipped: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    picture: dict[str, dict[str, float]] = field(default_factory=dict)
    included: str = (
        "Latency: one frame at a time, from a float32 frame in memory to the reconstructed one in memory, padding and "
        "clipping included, all engines interleaved in one run. Not included: decoding, display, the stream around it."
    )
    host: dict[str, object] = field(default_factory=host_profile)

    @property
    def verdict(self) -> str:
        """Which precision to ship and why."""
        return verdict(self.rows)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        plain = dict(vars(self))
        return plain | {"rows": [row.to_json() for row in self.rows], "verdict": self.verdict}

    def write(self, folder: Path) -> None:
        """report.html and report.json. Raises EdgereconError when the folder cannot be written."""
        write(folder / DATA, (json.dumps(self.to_json(), indent=2) + "\n").encode())
        write(folder / REPORT, self.page().encode())

    def page(self) -> str:
        """The HTML."""
        refused = "".join(f"<li>{escape(refusal)}</li>" for refusal in self.refusals)
        outcome = (
            f"Nothing was shipped:<ul>{refused}</ul>" if refused else f"Shipped: {escape(', '.join(self.shipped))}"
        )
        place = f"{self.host.get('cpu')}, {self.host.get('date')}"
        body = (
            f'<p class="brand">edgerecon export report</p><h1>{escape(self.model)}</h1>'
            f'<p class="muted">{escape(f"{self.recipe}, hash {self.recipe_hash[:16]}. {place}")}</p>'
            f'<p class="verdict{" missed" if refused else ""}">'
            f"{escape(self.verdict)}</p><p>{outcome}</p><h2>Every engine, quality beside speed</h2>{self._rows()}"
            f'<p class="note">{escape(self.included)} PSNR and SSIM: validation scenes. gCNR, '
            "mean shift and largest difference: real frames, the last two against the fp32 file. Speed: times as fast "
            f"as the first row, median over rounds.</p>{self._picture()}{self._pruning()}{self._int8()}"
            f"{self._engines()}<h2>Steps</h2>{table(('Step', ''), list(self.steps.items()), '..')}"
        )
        return page(f"{self.model}: export", body)

    def _rows(self) -> str:
        rows = [
            (
                row.setup.model,
                row.name,
                number(row.cost.size_kb),
                number(row.quality.psnr_db, 2),
                number(row.quality.ssim, 4),
                number(row.quality.gcnr, 3),
                number(row.quality.mean_shift, 4),
                number(row.quality.max_abs_error, 4),
                number(row.speed.latency_ms.get("p50"), 2),
                number(row.speed.latency_ms.get("p99"), 2),
                number(row.speed.relative, 2),
                "ok" if row.ok else "refused" if row.speed.latency_ms else "not run",
            )
            for row in self.rows
        ]
        reasons = "".join(
            f"<li>{escape(f'{row.setup.model}, {row.name}: {row.status}')}</li>" for row in self.rows if not row.ok
        )
        return table(_HEAD, rows, "..nnnnnnnnn.") + (f"<ul>{reasons}</ul>" if reasons else "")

    def _picture(self) -> str:
        if not self.picture:
            return ""
        keys = list(next(iter(self.picture.values())))
        rows = [(name, *(number(figures.get(key), 3) for key in keys)) for name, figures in self.picture.items()]
        heading = ("File, engine", *(measures()[key].heading for key in keys))
        note = "Means over real frames, lesion contrast over simulated lesions. Nothing is matched in gain or offset."
        return f'<h2>Gates of the picture</h2>{table(heading, rows, "." + "n" * len(keys))}<p class="note">{note}</p>'

    def _pruning(self) -> str:
        if not self.pruning:
            return ""
        rows = [
            (key.replace("_", " "), f"{value:g}" if isinstance(value, float) else str(value))
            for key, value in self.pruning.items()
        ]
        return f"<h2>Pruning</h2>{table(('', ''), rows, '..')}"

    def _int8(self) -> str:
        if not self.int8:
            return ""
        rows = [(key.replace("_", " "), str(value)) for key, value in self.int8.items()]
        return f"<h2>How int8 was reached</h2>{table(('', ''), rows, '..')}"

    def _engines(self) -> str:
        if not self.engines:
            return ""
        return f"<h2>Engines for devices</h2>{table(('Device', 'Engine'), list(self.engines.items()), '..')}"
