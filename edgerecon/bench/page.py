"""A bench as one HTML page: what to ship, bars, the whole table, distributions, quality against time, load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from edgerecon.bench.stages import stage_note, stage_table
from edgerecon.hardware.sensors.conditions import facts
from edgerecon.modelfile.variants import family
from edgerecon.report.page import number, page, table
from edgerecon.report.svg import SHOWN_DIGITS, bars, front, histograms, lines

SHOWN = 10
"""Rows in the plots of distributions: the fastest."""
Fields = Mapping[str, Any]


def bench_page(result: Fields) -> str:
    """HTML that needs nothing beside itself, from the JSON of a bench."""
    rows = [row for row in result["rows"] if row["status"] == "ok"]
    failed = [row for row in result["rows"] if row["status"] != "ok"]
    host = result["host"]
    height, width = result["shape"]
    fastest = sorted(rows, key=lambda row: row["latency_ms"]["p50"])
    body = (
        '<p class="brand">edgerecon bench</p><h1>Latency and image quality, side by side</h1>'
        f'<p class="muted">{width} × {height} pixels, frames of {escape(str(result["recording"]))}. '
        f"{escape(str(host.get('cpu')))}, {host.get('cores_logical')} cores; {escape(str(host.get('date')))}, "
        f"commit {escape(str(host.get('commit') or 'unknown')[:9])}.</p>{_verdict(rows)}{_noise(result)}"
        f"<h2>Median latency</h2><p class='note'>Milliseconds a frame, end to end. The bar and its number: the median; "
        f"the line and its number: the 99th percentile.</p><div class='scroll'>{_bars(fastest)}</div>"
        f"<h2>Every row</h2>{rows_table(rows)}<p class='note'>{escape(result['included'])} {escape(READING)}</p>"
        f"{_failed(failed)}<h2>Where the time goes</h2>{_stages(fastest)}{_costs(fastest, result['roof'])}"
        f"<h2>Quality against time</h2>{_fronts(rows)}"
        f"<h2>Distribution</h2><p class='note'>How long frames took, of the {SHOWN} fastest rows: each row's own "
        f"histogram, then how many frames took at most so long.</p>{_distributions(fastest[:SHOWN])}"
        f"{_loads(result['loads'])}{_scenarios(result['scenarios'])}"
        f"{_conditions(result)}"
    )
    return page("edgerecon bench", body)


READING = (
    "× fastest: how many times longer than the fastest row that is ok, with a 95 % bootstrap interval over rounds. "
    "PSNR and SSIM: measured here, of what each engine made of scenes with known truth that no training saw, "
    "brightness included; in brackets where there are no such scenes and the file's own record speaks; they "
    "compare within a task, not between tasks. gCNR, the largest error and the SSIM against the fp32 file on ONNX "
    "Runtime (like fp32): measured here, on real frames."
)
COSTS = (
    "Memory: resident, of the row's own process, runtime included. Start: from the start of that process to its first "
    "frame. J/frame: of all packages, boards and modules that the host counts (see below), their idle share included, "
    "in a steady run of a second after the timing; – where nobody tells. GOP and MB moved: the operations of a frame, "
    "a multiply-accumulate being two, and its bytes when everything is fused, counted from the graph. Floor: the time "
    "that this host's measured rates allow for them. × floor: the engine's time over it."
)


def _verdict(rows: Sequence[Fields]) -> str:
    """Of each task: the fastest row, and the fastest of those with the best picture."""
    said = []
    for task in dict.fromkeys(row.get("task") for row in rows if row["ssim"] is not None):
        known = [row for row in rows if row.get("task") == task and row["ssim"] is not None]
        if len(known) < 2:
            continue
        best = max(round(row["ssim"], SHOWN_DIGITS) for row in known)
        picks = [known, [row for row in known if round(row["ssim"], SHOWN_DIGITS) == best]]
        fastest, finest = (min(of, key=lambda row: row["latency_ms"]["p50"]) for of in picks)
        more = "; nothing has a better picture" if fastest is finest else f"; best picture: {_pick(finest)}"
        said.append(f"<b>{escape(task or '')}</b>, fastest: {_pick(fastest)}{more}")
    return "".join(f'<p class="verdict">{line}.</p>' for line in said)


def _pick(row: Fields) -> str:
    times = row["latency_ms"]
    name = escape(f"{row['model']}, {row['precision']} on {row['backend']}")
    return f"{name} (p50 {times['p50']:.1f} ms, p99 {times['p99']:.1f} ms, SSIM {row['ssim']:.{SHOWN_DIGITS}f})"


def _noise(result: Fields) -> str:
    said = (
        f"This host was noisy: the calibration kernel's 90th percentile was {result['noise']:.2f} times its median. "
        "Trust ratios and intervals, not milliseconds."
        if result["noisy"]
        else f"A quiet host: the calibration kernel's 90th percentile was {result['noise']:.2f} times its median."
    )
    return f'<p class="verdict{" missed" if result["noisy"] else ""}">{escape(said)}</p>'


def label(row: Fields) -> str:
    """As plots call it."""
    return f"{row['model']}, {row['precision']} on {row['backend']}, {row['threads']} thr."


def _bars(rows: Sequence[Fields]) -> str:
    return bars([(label(row), row["latency_ms"]["p50"], row["latency_ms"]["p99"]) for row in rows])


def rows_table(rows: Sequence[Fields]) -> str:
    """Speed and quality of the rows that are ok."""
    head = (
        "Model",
        "Engine",
        "p50, ms",
        "p90",
        "p99",
        "p99.9",
        "fps",
        "× fastest",
        "PSNR, dB",
        "SSIM",
        "gCNR",
        "Error",
        "like fp32",
    )
    several = len({r["threads"] for r in rows}) > 1
    cells: list[tuple[str, ...]] = []
    for before, r in zip([None, *rows], rows, strict=False):
        same = before is not None and family(before["model"]) == family(r["model"])
        times, best = r["latency_ms"], r["to_best"] or (None, None, None)
        behind = f"{number(best[0], 2)} ({number(best[1], 2)}–{number(best[2], 2)})"
        cells.append(
            (
                "" if same else family(r["model"]),
                f"{r['precision']} on {r['backend']}" + (f", {r['threads']} thr." if several else ""),
                *(number(times[name], 2) for name in ("p50", "p90", "p99", "p999")),
                number(r["fps"], 0),
                behind,
                recorded(r, "psnr_db", 2),
                recorded(r, "ssim", 3),
                number(r["gcnr"], 3),
                number(r["max_abs_error"], 4),
                number(r.get("ssim_to_fp32"), 4),
            )
        )
    return f'<div class="dense">{table(head, cells, "..nnnnnnnnnnn")}</div>'


def _costs(rows: Sequence[Fields], roof: Fields) -> str:
    """What a row takes beside the time of a frame."""
    head = ("Row", "File, kB", "Memory, MB", "Start, ms", "J/frame", "GOP", "MB moved", "Floor, ms", "× floor")
    cells = []
    for r in rows:
        run = (r["stages_ms"].get("engine") or {}).get("p50")
        floor = run / r["floor_ms"] if run and r["floor_ms"] else None
        figures = (
            (r["size_kb"], 0),
            (r["memory_mb"], 0),
            (r["startup_ms"], 0),
            (r["joules"], 4),
            (r.get("gops"), 2),
            (r.get("mbytes"), 1),
            (r["floor_ms"], 2),
            (floor, 1),
        )
        cells.append((label(r), *(number(*figure) for figure in figures)))
    rates = ", ".join(f"{rate:.0f} GOP/s in {precision}" for precision, rate in roof["gops"].items())
    measured = f" Those rates: {rates}; {roof['bandwidth_gbs']:.1f} GB/s."
    note = f"<p class='note'>{escape(COSTS + measured)}</p>"
    return f"<h2>What it takes</h2><div class='dense'>{table(head, cells, '.nnnnnnnn')}</div>{note}" if rows else ""


def recorded(row: Fields, figure: str, digits: int) -> str:
    """In brackets when it is the file's word, not this engine's work."""
    shown = number(row[figure], digits)
    return f"({shown})" if row.get("quality") == "record" and row[figure] is not None else shown


def _failed(rows: Sequence[Fields]) -> str:
    if not rows:
        return ""
    cells = [(label(row), row["status"], recorded(row, "psnr_db", 2), recorded(row, "ssim", 3)) for row in rows]
    return f"<h2>Did not run, or not rightly</h2>{table(('Row', 'Why', 'PSNR, dB', 'SSIM'), cells, '..nn')}"


def _stages(rows: Sequence[Fields]) -> str:
    head, lines = stage_table(rows, ("p50", "p99"))
    cells = [(label(row), *line) for row, line in zip(rows, lines, strict=True)]
    remarks = "".join(f"<br>{escape(label(row))}: {escape(row['note'])}." for row in rows if row["note"])
    note = f"<p class='note'>p50 / p99, ms. {stage_note(rows)}{remarks}</p>"
    return f"{table(('Row', *head), cells, '.' + 'n' * len(head))}{note}" if cells else ""


def _fronts(rows: Sequence[Fields]) -> str:
    """One for each task of which several rows are known: SSIMs of different truths do not compare."""
    tasks: dict[str, list[tuple[str, float, float]]] = {}
    for row in rows:
        if row["ssim"] is not None:
            tasks.setdefault(row.get("task") or "", []).append((label(row), row["latency_ms"]["p50"], row["ssim"]))
    return "".join(
        f"<h3>{escape(task)}</h3><div class='scroll'>"
        f"{front(points, 'p50, ms (logarithmic)', 'SSIM on held-out scenes')}</div>"
        for task, points in tasks.items()
        if len(points) > 1
    )


def _distributions(rows: Sequence[Fields]) -> str:
    known = [row for row in rows if row["cdf_ms"]]
    shapes = histograms([(label(row), row["cdf_ms"]) for row in known], "latency, ms (logarithmic)")
    curves = [(label(row), [(ms, i / 100) for i, ms in enumerate(row["cdf_ms"])]) for row in known]
    cdf = lines(curves, "latency, ms (logarithmic)", "share of frames", log_x=True, percent=True)
    return f"<div class='scroll'>{shapes}{cdf}</div>"


def _loads(loads: Sequence[Fields]) -> str:
    if not loads:
        return ""
    curves = [
        (label(one), [(100 * p["load"], p["miss_rate"]) for p in one["points"]]) for one in loads if "points" in one
    ]
    plot = lines(curves, "load, % of capacity (one frame every p50)", "frames that missed the deadline", percent=True)
    note = (
        "Frames paced through the streaming loop; the deadline is the frame period. Late, dropped and failed all count."
    )
    return f"<h2>Deadline misses against load</h2><p class='note'>{note}</p><div class='scroll'>{plot}</div>"


def _scenarios(found: Sequence[Fields]) -> str:
    if not found:
        return ""
    cells = [
        (
            label(one),
            one["scenario"],
            one.get("figure", ""),
            number(one.get("value"), 2),
            one["error"]
            if "error" in one
            else "VALID"
            if one["valid"]
            else f"INVALID, not met: {_not_met(one['why'])}",
        )
        for one in found
    ]
    return f"<h2>MLPerf LoadGen</h2>{table(('Row', 'Scenario', 'Figure', 'Value', 'LoadGen says'), cells, '...n.')}"


def _not_met(criteria: Sequence[str]) -> str:
    """LoadGen names what it looks for: "Min duration satisfied"."""
    return ", ".join(name.removesuffix(" satisfied").lower() for name in criteria)


def _conditions(result: Fields) -> str:
    packages = [(name, str(version)) for name, version in (result["host"].get("packages") or {}).items()]
    return (
        f'<h2>Host</h2><div class="columns"><div>{table(("Condition", ""), facts(result), "..")}</div>'
        f"<div>{table(('Package', 'Version'), packages, '..')}</div></div>"
    )
