"""What a study found, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgerecon.core.errors import DataError
from edgerecon.core.json import parse, plain
from edgerecon.hardware.device import host_profile
from edgerecon.measure.row import Row
from edgerecon.study.claims import listed
from edgerecon.study.results import Claim, Metric, Result, Table, Trained, TrainedModel
from edgerecon.study.results import Row as Method


@dataclass
class StudyReport:
    """A whole study.

    Attributes:
        results: one a system. speed: see ``time_models``. seconds: system → wall clock, resumed runs together.
        timed: rows of the latency table that an earlier run measured, as its JSON has them.
        trained: SYSTEM/NETWORK → how far it came; empty in a study of fixed steps.
        measured: system → where, by which commit and when its figures were found, which earlier runs may have done.
    """

    profile: str
    results: list[Result]
    speed: list[Row]
    seconds: dict[str, float]
    host: dict[str, object] = field(default_factory=host_profile)
    timed: list[dict[str, Any]] = field(default_factory=list)
    trained: dict[str, Trained] = field(default_factory=dict)
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)

    def replace(self, result: Result) -> None:
        """Take a system's new result in place of an earlier one."""
        self.measured[result.name] = provenance(self.host)
        earlier = {model.name for one in self.results if one.name == result.name for model in one.models}
        self.timed = [row for row in self.timed if row["model"] not in earlier]
        names = [one.name for one in self.results]
        if result.name in names:
            self.results[names.index(result.name)] = result
        else:
            self.results.append(result)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``; pictures are left out, NaN is null."""
        return {
            "profile": self.profile,
            "seconds": {name: round(seconds, 1) for name, seconds in self.seconds.items()},
            "host": self.host,
            "measured": self.measured,
            "claims": listed(self.results, self.trained),
            "trained": {name: plain(asdict(one)) for name, one in self.trained.items()},
            "systems": [_result(result) for result in self.results],
            "speed": self.timed + [row.to_json() for row in self.speed],
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


def read_report(path: Path) -> StudyReport:
    """A report as it was written; its pictures stayed in their own files.

    Raises:
        DataError: it cannot be read, or is none.
    """
    try:
        found = parse(path.read_bytes())
        results = [_read_result(system) for system in found["systems"]]
        trained = {name: Trained(**one) for name, one in found.get("trained", {}).items()}
        measured = {result.name: provenance(found["host"]) for result in results} | found.get("measured", {})
        return StudyReport(
            found["profile"], results, [], found["seconds"], found["host"], found["speed"], trained, measured
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "it is no report of a study"
        raise DataError(f"cannot read {path}: {reason}; run  edgerecon study  without --resume") from None


def provenance(host: Mapping[str, Any]) -> dict[str, Any]:
    """What of a host says where figures were found, by which code, and when."""
    return {key: host[key] for key in ("hostname", "cpu", "cores_logical", "commit", "date") if key in host}


def _read_result(found: Mapping[str, Any]) -> Result:
    return Result(
        found["name"],
        found["title"],
        found["paper"],
        [_read_table(table) for table in found["tables"]],
        claims=[Claim(**claim) for claim in found["claims"]],
        notes=found["notes"],
        curves={name: [(int(step), float(loss)) for step, loss in curve] for name, curve in found["curves"].items()},
        models=[TrainedModel(**model | {"shape": tuple(model["shape"])}) for model in found["models"]],
    )


def _read_table(found: Mapping[str, Any]) -> Table:
    metrics = tuple(Metric(**metric) for metric in found["metrics"])
    rows = [
        Method(**row | {"values": {key: _read_interval(v) for key, v in row["values"].items()}})
        for row in found["rows"]
    ]
    return Table(found["title"], metrics, tuple(rows), found["data"])


def _read_interval(found: Mapping[str, float | None]) -> dict[str, float]:
    return {key: math.nan if value is None else value for key, value in found.items()}


def _result(result: Result) -> dict[str, Any]:
    facts = {name: value for name, value in vars(result).items() if name != "pictures"}
    facts["tables"] = [asdict(table) for table in result.tables]
    facts["claims"] = [asdict(claim) for claim in result.claims]
    facts["models"] = [asdict(model) | {"file": Path(model.file).name} for model in result.models]
    return dict(plain(facts))


def _cell(value: float | None) -> str:
    return f"{value:.6g}" if value is not None and math.isfinite(value) else ""
