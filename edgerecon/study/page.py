"""The study as one HTML page: what each paper claims, our figures beside it, pictures, curves and the latency table."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape

from edgerecon.measure.bootstrap import Interval
from edgerecon.report.axes import Scale, svg
from edgerecon.report.page import number, page, table
from edgerecon.study.claims import count, listed, of_system
from edgerecon.study.panels import png
from edgerecon.study.report import StudyReport
from edgerecon.study.results import Claim, Metric, Picture, Result, Row, Table
from edgerecon.study.speed import INCLUDED

WIDTH, HEIGHT = 320, 120


def study_page(report: StudyReport) -> str:
    """The HTML."""
    place = f"profile {report.profile}, {report.host.get('cpu')}, {report.host.get('date')}"
    body = (
        '<p class="brand">edgerecon study</p><h1>The published systems, reproduced</h1>'
        f'<p class="muted">{escape(place)}</p><p class="verdict">{count(listed(report.results, report.trained))}.</p>'
        '<p class="note">Figures are means over held-out scenes or subjects, with their 95 % bootstrap interval below; '
        "the best of a column is bold. A paper's own figure stands in square brackets: its data, and often its scale, "
        "are other than ours.</p>"
        f"{''.join(_system(report, result) for result in report.results)}{_speed(report)}{_durations(report)}"
    )
    extra = (
        "<style>td small{display:block;color:var(--muted);white-space:nowrap}figure img{max-width:100%}"
        ".yes{color:var(--teal)}.no{color:var(--red)}.open{color:var(--amber)}</style>"
    )
    return page("edgerecon study", extra + body)


def _system(report: StudyReport, result: Result) -> str:
    claims = of_system(result, report.results, report.trained)
    parts = [f"<h2>{escape(result.title)}</h2>", f'<p class="muted">{escape(result.paper)}</p>']
    parts += [_claims(claims)] if claims else []
    parts += map(_table, result.tables)
    parts += map(_picture, result.pictures)
    parts += [f"<p>{escape(note)}</p>" for note in result.notes]
    if result.curves:
        drawn = "".join(curve(name, points) for name, points in result.curves.items())
        parts.append(f'<h3>Training</h3><div class="columns">{drawn}</div>')
    return "".join(parts)


def _claims(claims: Sequence[Claim]) -> str:
    words = {True: ("yes", "holds"), False: ("no", "does not hold"), None: ("open", "undecided")}
    items = "".join(
        f'<li><b>{escape(claim.text)}</b>: <span class="{words[claim.holds][0]}">{words[claim.holds][1]}</span>. '
        f"{escape(claim.evidence)} {escape(claim.explained)}</li>"
        for claim in claims
    )
    return f"<ul>{items}</ul>"


def _table(found: Table) -> str:
    best = {metric.key: _best(metric, found.rows) for metric in found.metrics}
    head = "".join(f'<th class="n">{escape(metric.label)}</th>' for metric in found.metrics)
    lines = []
    for row in found.rows:
        cells = "".join(f'<td class="n">{_value(row, metric, best[metric.key])}</td>' for metric in found.metrics)
        note = f"<small>{escape(row.note)}</small>" if row.note else ""
        lines.append(f"<tr><td>{escape(row.method)}{note}</td><td>{row.kind}</td>{cells}</tr>")
    return (
        f'<h3>{escape(found.title)}</h3><p class="note">{escape(found.data)}</p><div class="scroll"><table><thead><tr>'
        f"<th>Method</th><th></th>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _best(metric: Metric, rows: Sequence[Row]) -> float:
    means = [row.values[metric.key]["mean"] for row in rows if metric.key in row.values and row.kind != "reference"]
    if not means or not metric.better:
        return math.nan
    return max(means) if metric.better == "higher" else min(means)


def _value(row: Row, metric: Metric, best: float) -> str:
    value: Interval | None = row.values.get(metric.key)
    paper = f" [{row.paper[metric.key]:g}]" if metric.key in row.paper else ""
    if value is None:
        return "–" + paper
    text = number(value["mean"], metric.digits)
    if value["mean"] == best and row.kind != "reference":
        text = f"<b>{text}</b>"
    bounds = (
        ""
        if math.isnan(value["low"])
        else f"{number(value['low'], metric.digits)} – {number(value['high'], metric.digits)}"
    )
    return f"{text}{paper}<small>{bounds}</small>"


def _picture(picture: Picture) -> str:
    data = base64.b64encode(png(picture)).decode()
    labels = ", ".join(label for label, _ in picture.panels)
    note = f" {escape(picture.note)}" if picture.note else ""
    return (
        f'<figure><img alt="{escape(labels, quote=True)}" src="data:image/png;base64,{data}">'
        f"<p class='note'><b>{escape(picture.title)}.</b>{note}</p></figure>"
    )


def curve(name: str, points: Sequence[tuple[int, float]]) -> str:
    """Training loss against steps, on a logarithmic scale where all of it is positive."""
    if len(points) < 2:
        return ""
    steps, losses = zip(*points, strict=True)
    low, high = min(losses), max(losses)
    x = Scale(0.0, steps[-1], 4.0, WIDTH - 4.0)
    y = Scale(low, high if high > low else low + 1, HEIGHT - 8.0, 20.0, math.log if low > 0 else float)
    line = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in points)
    text = f"{name}: {points[0][1]:.3g} → {points[-1][1]:.3g} in {steps[-1]} steps"
    parts = [
        f'<text x="4" y="12">{escape(text)}</text>',
        f'<polyline points="{line}" fill="none" stroke="var(--teal)" stroke-width="1.5"/>',
    ]
    return svg(WIDTH, HEIGHT, text, parts, style="min-width:0")


def _speed(report: StudyReport) -> str:
    if not report.speed:
        return ""
    models = {model.name: model for result in report.results for model in result.models}
    rows = [
        (
            row.setup.model,
            row.setup.backend,
            f"{row.setup.shape[0]} × {row.setup.shape[1]}",
            number(models[row.setup.model].macs_per_pixel, 0),
            f"{models[row.setup.model].parameters:,}",
            number(row.cost.size_kb, 0),
            number(row.speed.latency_ms.get("p50"), 2),
            number(row.speed.latency_ms.get("p99"), 2),
            number(row.quality.max_abs_error, 6),
            row.note or row.status,
        )
        for row in report.speed
    ]
    head = ("Network", "Engine", "Frame", "MAC a pixel", "Parameters", "kB", "p50, ms", "p99, ms", "Difference", "")
    return f'<h2>Latency</h2>{table(head, rows, "..nnnnnnn.")}<p class="note">{escape(INCLUDED)}</p>'


def _durations(report: StudyReport) -> str:
    rows = [(name, f"{seconds / 60:.1f}") for name, seconds in report.seconds.items()]
    return f"<h2>Time it took</h2>{table(('System', 'Minutes'), rows, '.n')}"
