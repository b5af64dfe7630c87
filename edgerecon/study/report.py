"""What a study found, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgerecon.core.json import plain
from edgerecon.hardware.device import host_profile
from edgerecon.measure.row import Row
from edgerecon.study.results import Result


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
                        lines.writerow(
                            [
                                result.name,
                                table.title,
                                row.method,
                                row.kind,
                                metric.key,
                                *bounds,
                                _cell(row.paper.get(metric.key)),
                            ]
                        )
        return text.getvalue()


def _result(result: Result) -> dict[str, Any]:
    facts = {name: value for name, value in vars(result).items() if name != "pictures"}
    facts["tables"] = [asdict(table) for table in result.tables]
    facts["claims"] = [asdict(claim) for claim in result.claims]
    facts["models"] = [asdict(model) | {"file": Path(model.file).name} for model in result.models]
    return dict(plain(facts))


def _cell(value: float | None) -> str:
    return f"{value:.6g}" if value is not None and math.isfinite(value) else ""
