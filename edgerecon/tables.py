"""What the command line shows people: rich tables and progress bars. The only place that knows how things look."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from edgerecon.bench.compare import Change
    from edgerecon.deploy.fit import Fit
    from edgerecon.deploy.fit_bound import BoundFit
    from edgerecon.deploy.report import ExportReport
    from edgerecon.doctor import Check
    from edgerecon.quality.bootstrap import Interval
    from edgerecon.quality.evaluation import Evaluation
    from edgerecon.stream.counters import Counters
    from edgerecon.stream.report import StreamReport
    from edgerecon.study.report import StudyReport

ENGINE = ("backend", "precision", "threads")
HEADINGS = {
    "mse": "MSE", "psnr": "PSNR dB", "psnr_db": "PSNR dB", "ssim": "SSIM", "vif": "VIF",
    "speckle_snr": "speckle SNR", "snr_ratio": "over input", "edge": "edges", "cnr": "CNR", "gcnr": "gCNR",
    "gcnr_change": "gCNR change", "fwhm_px": "FWHM px",
}  # fmt: skip


def print_stream(console: Console, report: StreamReport) -> None:
    """Latency by stage, and every frame's fate."""
    engine = report.engine
    table = Table(title=f"{report.source} → {report.model} ({', '.join(str(engine[key]) for key in ENGINE)} threads)")
    table.add_column("milliseconds")
    names = ("p50", "p90", "p99", "p999", "max")
    for name in names:
        table.add_column("p99.9" if name == "p999" else name, justify="right")
    for stage, values in [*report.stages_ms.items(), ("capture to present", report.latency_ms)]:
        cells = [values.get(name) for name in names]
        table.add_row(stage, *("" if cell is None else f"{cell:.2f}" for cell in cells))
    console.print(table)
    console.print(
        f"{report.frames_in} frames in = {report.presented} presented + {report.dropped} dropped + "
        f"{report.failed} failed; {report.late} late, {report.raw_shown} shown raw; {report.fps:.1f} fps\n"
        f"deadline {report.deadline_ms:.1f} ms missed by {100 * report.deadline_miss_rate:.2f} % of the frames"
    )
    troubles = {"frames lost before us": report.gaps} | {name.replace("_", " "): n for name, n in report.counts.items()}
    troubles |= {f"frames that {sink} was too slow for": n for sink, n in report.skips.items()}
    if any(troubles.values()):
        console.print(_plain(", ".join(f"{what}: {n}" for what, n in troubles.items() if n)))
    if len(report.ladder) > 1:
        console.print(_plain(f"ladder {' → '.join(report.ladder)}, at the end {report.ladder[report.rung]}"))


def doctor_table(checks: list[Check]) -> Table:
    """One line a check, with the command that adds what is missing."""
    table = Table()
    for heading in ("", "what", "found", "to add it"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        mark = "[green]ok[/]" if check.ok else "[red]missing[/]" if check.required else "[yellow]no[/]"
        table.add_row(mark, check.name, _plain(check.detail), _plain(check.remedy))
    return table


def print_evaluation(console: Console, result: Evaluation) -> None:
    """The table of methods, the model's advantage and what a reader has to know."""
    names = list(dict.fromkeys(name for line in result.table for name in line.measures))
    table = Table(title=f"{result.model} on {result.data} ({result.backend}, {result.precision})")
    table.add_column("method")
    for name in names:
        table.add_column(HEADINGS.get(name, name), justify="right", no_wrap=True)
    for line in result.table:
        label = " ".join([line.method, *(f"{key}={value:g}" for key, value in line.parameters.items())])
        table.add_row(label, *(_interval(line.measures.get(name)) for name in names))
    console.print(table)
    for measure, gain in result.advantage.items():
        text = f"{gain['mean']:+.3f}{_bounds(gain, '+.3f')}"
        console.print(f"{HEADINGS.get(measure, measure)} over {gain['over']}: {text}")
    place = result.tradeoff or {}
    if "advantage_percent" in place:
        at, gain = place["model"], place["advantage_percent"]
        console.print(
            "No speckle SNR, and so no advantage: no speckle was found where it was looked for"
            if math.isnan(gain["mean"])
            else f"Speckle SNR ×{at['snr_ratio']:.2f} at edge preservation {at['edge']:.3f}, where the best classical "
            f"filter reaches ×{place['classical_at_edge']:.2f}: {gain['mean']:+.1f} %{_bounds(gain, '+.1f')}"
        )
    for note in result.notes:
        console.print(f"Note: {note}", style="dim")
    console.print(f"{result.seconds:.0f} s", style="dim")


def _interval(value: Interval | None) -> str:
    if value is None or value["mean"] != value["mean"]:
        return "–"
    half = (value["high"] - value["low"]) / 2
    return f"{value['mean']:.3f}" + (f" ± {half:.3f}" if half == half else "")


def _plain(text: str) -> str:
    """Text whose square brackets rich must not read as style."""
    return text.replace("[", r"\[")


def _bar(console: Console, *extra: Any) -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), *extra,
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


@contextmanager
def count_bar(console: Console, what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for (done, total)."""
    with _bar(console, MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def work_bar(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for (what, done, total)."""
    with _bar(console, MofNCompleteColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("Reading", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


@contextmanager
def frame_bar(console: Console) -> Iterator[Callable[[Counters], None]]:
    """A live line of a stream's counters."""
    with _bar(console, TextColumn("{task.fields[counts]}")) as bar:
        task = bar.add_task("Streaming", total=None, counts="")

        def show(counters: Counters) -> None:
            counts = (
                f"{counters.presented} frames, {counters.late} late, {counters.dropped} dropped, "
                f"{counters.failed} failed, {counters.last_latency_ms:.1f} ms"
            )
            bar.update(task, counts=counts)

        yield show


@contextmanager
def training_bar(console: Console, what: str) -> Iterator[Callable[[Any], None]]:
    """A bar with loss and validation figures for ``edgerecon.train.loop.Progress``."""
    columns = MofNCompleteColumn(), TextColumn("{task.fields[figures]}"), TimeRemainingColumn()
    with _bar(console, *columns) as bar:
        task = bar.add_task(f"Training {what}", total=None, figures="")

        def show(progress: Any) -> None:
            figures = f"loss {progress.loss:.4f}"
            if progress.psnr_db == progress.psnr_db:
                figures += f", validation {progress.psnr_db:.2f} dB, SSIM {progress.ssim:.3f}"
            figures += f", {progress.images_per_second:.0f} crops/s"
            bar.update(task, completed=progress.step, total=progress.steps, figures=figures)

        yield show


def _bounds(gain: Mapping[str, float], digits: str) -> str:
    """The interval in brackets; "" where one file or pair gives none."""
    if math.isnan(gain["low"]):
        return ""
    return f" (95 % interval {gain['low']:{digits}} to {gain['high']:{digits}})"


def print_devices(console: Console, name: str | None, rows: list[dict[str, Any]]) -> None:
    """One line a device, or one line a fact of the device ``name``."""
    if name is not None:
        table = Table(title=name)
        for heading in ("what", "value", "source"):
            table.add_column(heading, overflow="fold")
        for row in rows:
            value = round(row["value"], 2) if isinstance(row["value"], float) else row["value"]
            table.add_row(row["key"], _plain(str(value)), _plain(row["source"]))
    else:
        table = Table(caption="GFLOPS and GOPS: dense peak. The source of every number: edgerecon devices NAME")
        for heading in ("device", "architecture", "capability", "GB", "GB/s", "peak", "W", "backends"):
            table.add_column(heading, overflow="fold")
        for row in rows:
            peak = ", ".join(f"{precision} {rate:,.0f}" for precision, rate in row["peak"].items())
            numbers = ("" if row[key] is None else f"{row[key]:g}" for key in ("memory_gb", "bandwidth_gbs"))
            watts = "" if row["power_w"] is None else f"{row['power_w']:g}"
            table.add_row(row["name"], _plain(row["architecture"]), row["compute_capability"] or "", *numbers, peak,
                          watts, ", ".join(row["backends"]))  # fmt: skip
    console.print(table)


def print_fit(console: Console, found: Fit) -> None:
    """The front, what was streamed, the choice, and how many candidates there were."""
    from edgerecon.deploy.fit_page import sentence, streamed_text

    size = f"{found.shape[0]}×{found.shape[1]}"
    table = Table(
        title="Pareto front: nothing is both faster and better",
        caption=f"{len(found.tried)} candidates and {len(found.untrained)} not trained, {size}; p50 back to back",
    )
    for heading in ("candidate", "SSIM", "PSNR dB", "gCNR", "p50 ms", "streamed p99 ms"):
        table.add_column(heading, justify="left" if heading == "candidate" else "right")
    shown = [one for one in found.tried if one in found.front or one.streamed_p99_ms is not None]
    for one in shown:
        figures = (one.candidate.ssim, one.candidate.psnr_db, one.candidate.gcnr)
        table.add_row(one.candidate.name, *(f"{value:.3f}" for value in figures), f"{one.ms:.2f}", streamed_text(one))
    for one in (one for one in found.untrained if one.ms < found.requirement.deadline_ms):
        table.add_row(one.candidate.name, "not trained", "", "", f"{one.ms:.2f}", streamed_text(one))
    console.print(table)
    console.print(sentence(found))


def print_bounds(console: Console, found: BoundFit) -> None:
    """Every model with its bound."""
    table = Table(title=f"{found.device}: roofline bounds, not measurements")
    for heading in ("model", "precision", "SSIM", "at least, ms", "binds", "within the deadline"):
        table.add_column(heading)
    for one in found.bounds:
        ssim = "" if one.ssim != one.ssim else f"{one.ssim:.3f}"
        table.add_row(one.model, one.precision, ssim, f"{one.roofline.ms:.3g}", one.roofline.binds,
                      "not ruled out" if one in found.possible else "no")  # fmt: skip
    console.print(table)
    console.print(found.sentence)


def print_export(console: Console, report: ExportReport) -> None:
    """Every engine's quality beside its speed, and the verdict."""
    table = Table(title=f"{report.model}: quality beside speed, {_size(report)}", caption=report.included)
    heads = ("file", "engine", "kB", "PSNR dB", "SSIM", "gCNR", "largest diff.", "p50 ms", "p99 ms", "speed", "gates")
    for head in heads:
        table.add_column(head, justify="left" if head in ("file", "engine", "gates") else "right", overflow="fold")
    for row in report.rows:
        figures = ((row.size_kb, 1), (row.psnr_db, 2), (row.ssim, 4), (row.gcnr, 3), (row.max_abs_error, 4),
                   (row.latency_ms.get("p50"), 2), (row.latency_ms.get("p99"), 2), (row.speed, 2))  # fmt: skip
        cells = ("" if value is None or value != value else f"{value:.{digits}f}" for value, digits in figures)
        table.add_row(row.model, row.name, *cells, _plain(row.status))
    console.print(table)
    console.print(report.verdict)


def _size(report: ExportReport) -> str:
    return f"{report.rows[0].shape[0]}×{report.rows[0].shape[1]}" if report.rows else ""


def print_study(console: Console, report: StudyReport) -> None:
    """Each system's tables, then what became of the papers' claims."""
    for result in report.results:
        for found in result.tables:
            table = Table(title=_plain(f"{result.title}: {found.title}"), caption=_plain(found.data))
            table.add_column("method", overflow="fold")
            for metric in found.metrics:
                table.add_column(metric.label, justify="right")
            for row in found.rows:
                table.add_row(
                    _plain(row.method), *(_study_cell(row.values.get(m.key), m.digits) for m in found.metrics)
                )
            console.print(table)
        words = {True: "holds", False: "does not hold", None: "undecided"}
        for claim in result.claims:
            console.print(f"- {claim.text}: {words[claim.holds]}. {claim.evidence}", markup=False)


def _study_cell(value: Interval | None, digits: int) -> str:
    return "" if value is None else f"{value['mean']:.{digits}f}"


@dataclass(frozen=True)
class _Column:
    """Of the bench's table. always: on a terminal narrower than ``BENCH_WIDTH`` too."""

    head: str
    figure: Callable[[Mapping[str, Any]], float | None]
    digits: int
    always: bool = False


def _latency(name: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda row: row["latency_ms"][name]


BENCH_WIDTH = 150
BENCH = (
    _Column("p50 ms", _latency("p50"), 2, True),
    _Column("p90", _latency("p90"), 2),
    _Column("p99", _latency("p99"), 2, True),
    _Column("p99.9", _latency("p999"), 2),
    _Column("fps", itemgetter("fps"), 0, True),
    _Column("× fastest", lambda row: row["to_best"] and row["to_best"][0], 2),
    _Column("PSNR dB", itemgetter("psnr_db"), 2, True),
    _Column("SSIM", itemgetter("ssim"), 3, True),
    _Column("gCNR", itemgetter("gcnr"), 3),
    _Column("error", itemgetter("max_abs_error"), 4, True),
    _Column("like fp32", itemgetter("ssim_to_fp32"), 4),
    _Column("MB", itemgetter("memory_mb"), 0),
    _Column("start ms", itemgetter("startup_ms"), 0),
)


def print_bench(console: Console, result: Mapping[str, Any]) -> None:
    """One line a row that ran, model by model, then why the others did not."""
    height, width = result["shape"]
    table = Table(title=f"{width}×{height}, frames of {result['recording']}", caption=result["included"])
    table.add_column("engine", no_wrap=True)
    shown = [column for column in BENCH if column.always or console.width >= BENCH_WIDTH]
    for column in shown:
        table.add_column(column.head, justify="right")
    rows = [row for row in result["rows"] if row["status"] == "ok"]
    figures = ([(column.figure(row), column.digits) for column in shown] for row in rows)
    _add_by_model(table, rows, [[_fixed(*figure) for figure in each] for each in figures])
    console.print(table)
    _print_stages(console, rows, result)
    reasons: dict[str, list[str]] = {}
    for row in result["rows"]:
        if row["status"] != "ok":
            reasons.setdefault(row["status"], []).append(f"{row['model']} ({row['precision']} on {row['backend']})")
    for status, names in reasons.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        console.print(f"Not ok: {names[0]}{more}: {status}", markup=False, style="yellow")
    for one in result["scenarios"]:
        said = one.get("error") or f"{one['figure']} {one['value']:.2f}, {'VALID' if one['valid'] else 'INVALID'}"
        console.print(
            f"{one['scenario']}: {one['model']} ({one['precision']} on {one['backend']}): {said}", markup=False
        )
    if result["noisy"]:
        console.print(
            f"This host is noisy (spread {result['noise']:.2f}): trust ratios, not milliseconds", style="yellow"
        )


def _add_by_model(table: Table, rows: Sequence[Mapping[str, Any]], cells: Sequence[Sequence[str]]) -> None:
    """Rows of one family beneath its name."""
    from edgerecon.bench.ways import family

    several = len({row["threads"] for row in rows}) > 1
    families: dict[str, list[tuple[Mapping[str, Any], Sequence[str]]]] = {}
    for row, line in zip(rows, cells, strict=True):
        families.setdefault(family(row["model"]), []).append((row, line))
    for name, members in families.items():
        table.add_section()
        table.add_row(f"[bold]{_plain(name)}")
        for row, line in members:
            threads = f", {row['threads']} thr." if several else ""
            table.add_row(f"  {row['precision']} {row['backend']}{threads}", *line)


def _fixed(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _print_stages(console: Console, rows: Sequence[Mapping[str, Any]], result: Mapping[str, Any]) -> None:
    """Where the time goes, and what the host told meanwhile."""
    from edgerecon.bench.conditions import facts
    from edgerecon.bench.stages import stage_note, stage_table

    head, lines = stage_table(rows, ("p50",))
    if any(row["joules"] is not None for row in rows):
        head.append("J/frame")
        lines = [[*line, _fixed(row["joules"], 4)] for row, line in zip(rows, lines, strict=True)]
    table = Table(title="Where the time goes: p50, ms", caption=stage_note(rows))
    table.add_column("engine", no_wrap=True)
    for name in head:
        table.add_column(name, justify="right", overflow="fold")
    _add_by_model(table, rows, lines)
    console.print(table)
    for row in (row for row in rows if row["note"]):
        console.print(f"{row['model']} ({row['precision']} on {row['backend']}): {row['note']}", markup=False)
    for what, said in facts(result):
        console.print(f"{what}: {said}", markup=False, style="dim")


def print_changes(console: Console, changes: Sequence[Change]) -> None:
    """One line a row of two results."""
    table = Table(caption="speed over each result's own reference row, with its 95 % interval")
    for head in ("row", "before", "after", "verdict", ""):
        table.add_column(head, overflow="fold")
    for one in changes:
        cells = ("–" if s is None else "{:.3g} ({:.3g}–{:.3g})".format(*s) for s in (one.before, one.after))
        table.add_row(_plain(one.name), *cells, one.verdict, _plain(one.note))
    console.print(table)
