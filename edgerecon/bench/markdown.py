"""A bench as one Markdown table, for a README: speed beside quality, and where and when it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgerecon.bench.page import recorded
from edgerecon.modelfile.variants import family
from edgerecon.report.page import number

HEAD = ("Model", "Engine", "p50, ms", "p99, ms", "fps", "× fastest", "PSNR, dB", "SSIM", "gCNR", "error", "× floor")


def markdown(result: Mapping[str, Any]) -> str:
    """From the JSON of a bench; rows that ran, a model's name once for all its files."""
    rows = sorted(
        (row for row in result["rows"] if row["status"] == "ok"),
        key=lambda row: (row["floor_ms"] is None, row["model"]),
    )
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * 2}{'--:|' * (len(HEAD) - 2)}"]
    for before, row in zip([None, *rows], rows, strict=False):
        same = before is not None and family(before["model"]) == family(row["model"])
        lines.append(f"| {'' if same else family(row['model'])} | {' | '.join(_cells(row))} |")
    return "\n".join([*lines, "", _where(result)])


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    times, best = row["latency_ms"], row["to_best"] or (None, None, None)
    floor = row["stages_ms"]["engine"]["p50"] / row["floor_ms"] if row["floor_ms"] else None
    return (
        f"{row['precision']} on {row['backend']}",
        number(times["p50"]),
        number(times["p99"]),
        number(row["fps"], 0),
        f"{number(best[0], 2)} ({number(best[1], 2)}–{number(best[2], 2)})",
        recorded(row, "psnr_db", 2),
        recorded(row, "ssim", 3),
        number(row["gcnr"], 2),
        number(row["max_abs_error"], 4),
        number(floor, 1),
    )


def _where(result: Mapping[str, Any]) -> str:
    host = result["host"]
    height, width = result["shape"]
    quiet = "noisy" if result["noisy"] else "quiet"
    return (
        f"{width}×{height}, one frame after another, on {host['hostname']} ({host['cpu']}, {host['cores_logical']} "
        f"cores), {host['date'][:10]}, commit {(host['commit'] or 'unknown')[:9]}; a {quiet} host (calibration spread "
        f"{result['noise']:.2f}). × fastest: times as long as the fastest row, 95 % interval. × floor: over what "
        f"this host's measured rates allow. PSNR, SSIM: of "
        f"{result.get('data') or 'the scenes that ship'}, or of a model's own; in brackets as its file states them."
    )
