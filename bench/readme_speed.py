"""The README's tables of speed: models, other runtimes, streaming, and what ``fit`` chose."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.readme_quality import load, measured_on
from edgerecon.bench.compare import read_result
from edgerecon.bench.markdown import markdown
from edgerecon.modelfile.variants import family

Result = Mapping[str, Any]
TOLERATED = 0.01
"""Deadline misses of a load that a row still carries."""
SCENARIOS = {
    "singlestream": "SingleStream p90, ms",
    "multistream": "MultiStream p99 of 8, ms",
    "offline": "Offline, frames/s",
    "server": "Server, frames/s",
    "realtime": "load with ≤ 1 % misses",
}


def best(folder: Path) -> str:
    """The quickest row of each shipped model that passed, with its quality beside it."""
    found = load(folder, "shipped")
    rows = quickest_rows(found)
    lines = ["| model | runs as | p50 / p99, ms | frames/s | PSNR, dB | SSIM |", "|---|---|--:|--:|--:|--:|"]
    for name, row in sorted(rows.items()):
        times = f"{row['latency_ms']['p50']:.1f} / {row['latency_ms']['p99']:.1f}"
        runs = f"{row['precision']} on {row['backend']}"
        lines.append(f"| `{name}` | {runs} | {times} | {row['fps']:.0f} | {row['psnr_db']:.2f} | {row['ssim']:.3f} |")
    height, width = found["shape"]
    note = f"{width}×{height}, {measured_on(found['host'])} (`edgerecon bench`). **GPU, Jetson: not measured.**"
    return "\n".join([*lines, "", note])


def quickest_rows(found: Result) -> dict[str, Mapping[str, Any]]:
    """Name of a shipped model → its row of the least p50."""
    rows: dict[str, Mapping[str, Any]] = {}
    for row in found["rows"]:
        name = family(row["model"])
        if row["status"] == "ok" and not name.startswith("study-"):
            rows[name] = min(rows.get(name, row), row, key=lambda one: one["latency_ms"]["p50"])
    return rows


def models(folder: Path) -> str:
    """Every shipped model on every runtime of this machine."""
    return markdown(read_result(folder / "shipped.json"))


def studied(folder: Path) -> str:
    """Networks of the study on every runtime of this machine."""
    found = read_result(folder / "models.json")
    rows = [row for row in found["rows"] if row["model"].startswith("study-")]
    return markdown({**found, "rows": rows})


def scenarios(folder: Path) -> str:
    """What LoadGen says of each model's fastest row, and the load that it carries in real time."""
    found = load(folder, "models")
    rows: dict[str, dict[str, Any]] = {}
    for one in found["scenarios"]:
        row = rows.setdefault(f"{one['model']}, {one['precision']} on {one['backend']}", {})
        said = one.get("error") or f"{one['value']:.{1 if 'latency' in one['figure'] else 0}f}"
        row[one["scenario"]] = said if one.get("valid") else f"{said} (not valid)"
    for one in found["loads"]:
        carried = [p["load"] for p in one.get("points", []) if p["miss_rate"] <= TOLERATED]
        row = rows.setdefault(f"{one['model']}, {one['precision']} on {one['backend']}", {})
        row["realtime"] = f"{100 * max(carried):.0f} %" if carried else "none"
    lines = [f"| fastest row of each model | {' | '.join(SCENARIOS.values())} |", f"|---|{'--:|' * len(SCENARIOS)}"]
    lines += [f"| {name} | {' | '.join(row.get(key, '–') for key in SCENARIOS)} |" for name, row in rows.items()]
    return "\n".join([*lines, "", f"{measured_on(found['host'])}."])


def peers(folder: Path) -> str:
    """Other runtimes and filters, over ONNX Runtime fp32 in the same run; the reason of one that did not run."""
    found = load(folder, "peers")
    ran = sorted((row for row in found["rows"] if "ratio" in row), key=lambda row: row["ratio"][0])
    lines = ["| | p50, ms | p99, ms | times as long, 95 % interval | largest difference |", "|---|--:|--:|--:|--:|"]
    for row in ran:
        ratio, low, high = row["ratio"]
        error = "another function" if row["max_abs_error"] is None else f"{row['max_abs_error']:.1g}"
        times = " | ".join(f"{row['latency_ms'][name]:.1f}" for name in ("p50", "p99"))
        lines.append(f"| {row['name']} | {times} | {ratio:.2f} ({low:.2f}–{high:.2f}) | {error} |")
    absent = [f"{row['name']}: {row['status']}" for row in found["rows"] if "ratio" not in row]
    height, width = found["shape"]
    note = f"{found['model']}, {width}×{height}, {found['threads']} threads; {measured_on(found['host'])}."
    return "\n".join([*lines, "", " ".join([note, *(f"Not run: {one}." for one in absent)])])


def stream_peers(folder: Path) -> str:
    """One engine in several streaming loops: at 30 frames a second, and as fast as each goes."""
    found = load(folder, "stream-peers")
    lines = [
        "| loop | p50 / p99 / p99.9, ms | p99 over edgerecon's, 95 % | missed 33.3 ms | frames/s, unpaced |",
        "|---|--:|--:|--:|--:|",
    ]
    absent = []
    for name, row in found["paced"].items():
        if row["status"] != "ok":
            absent.append(f" {_NAMES[name]}: {row['status']}.")
            continue
        times = " / ".join(f"{row['ms'][q]:.1f}" for q in ("p50", "p99", "p999"))
        ratio, low, high = row["over_edgerecon"]["p99"]
        over = "–" if name == "edgerecon" else f"{ratio:.2f} ({low:.2f}–{high:.2f})"
        missed = f"{row['late'] + row['dropped']} of {row['captured']}"
        rates = found["unpaced"][name].get("turns", {}).get("fps", [])
        lines.append(
            f"| {_NAMES[name]} | {times} | {over} | {missed} | {statistics.median(rates) if rates else 0:.0f} |"
        )
    height, width = found["shape"]
    note = f"{found['model']}, int8, {width}×{height}; {measured_on(found['host'])}.{''.join(absent)}"
    return "\n".join([*lines, "", note])


def streaming(folder: Path) -> str:
    """One line a benchmark of the stream and of the harness itself."""
    lines = ["| what | measured | where and when |", "|---|---|---|"]
    for what, name, says in STREAMING:
        found = load(folder, name)
        lines.append(f"| {what} | {says(found)} | {measured_on(found['host'])} |")
    return "\n".join([*lines, "", "512×512 where nothing else is said."])


def native_engine(folder: Path) -> str:
    """Our CPU kernels: what is asked of them, and how many times as long other runtimes take on one thread."""
    found = load(folder, "native-engine")
    lines = ["| | asked | found |", "|---|--:|--:|"]
    for aim in found["aims"]:
        value = "" if aim["found"] is None else f"{aim['found']:.3g}"
        lines.append(f"| {aim['figure']} | {aim['asked']} | {value} |")
    rows = [row for row in found["rows"] if row["threads"] == 1 and row["shape"] == [512, 512]]
    lines += ["", "| 512×512, one thread | CPU ms | over int16 | over fp32 |", "|---|--:|--:|--:|"]
    for row in rows:
        ratios = (row["over"].get(f"native {ours}") for ours in ("int16", "fp32"))
        cells = ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        lines.append(f"| {row['engine']} | {row['cpu_ms_p50']:.1f} | {' | '.join(cells)} |")
    busy = max(load[0] for load in found["load"].values())
    beside = f", beside other work (load {busy:.0f} on {found['host']['cores_logical']} cores)" if busy > 3 else ""
    return "\n".join([*lines, "", f"`{found['command']}`, {measured_on(found['host'])}{beside}."])


def browser(folder: Path) -> str:
    """The demo in the browser beside ONNX Runtime, which runs on the same processor."""
    found = load(folder, "browser-demo")
    ours, theirs, (ratio, low, high) = found["browser"], found["onnxruntime"], found["ratio"]
    here = f"{ours['p50_ms']:.1f} ms a frame in the browser ({ours['fps']:.0f} frames/s; {ours['backend']}, int16)"
    native = f"{theirs['p50_ms']:.1f} ms in ONNX Runtime with {theirs['threads']} threads"
    times = f"{ratio:.2f} times as long ({low:.2f} to {high:.2f})"
    busy = found["load"] > 2 * found["host"]["cores_logical"]
    beside = f", beside other work (load {found['load']:.0f})" if busy else ""
    return f"{here}, {native}: {times}; {measured_on(found['host'])}{beside}."


def fit(folder: Path) -> str:
    """What ``edgerecon fit`` chose for two deadlines."""
    lines = [
        "| `edgerecon fit` | chosen | p50 alone, ms | p99 streamed, ms | largest untrained that would hold |",
        "|---|---|--:|--:|---|",
    ]
    for name in ("fit-33ms", "fit-15ms"):
        found = load(folder, name)
        asked, chosen, larger = found["requirement"], found["chosen"], found["larger"]
        command = f"--deadline {asked['deadline_ms']:g}ms --min-ssim {asked['min_ssim']:g}"
        how = f"{chosen['model']}, {chosen['precision']} on {chosen['backend']}, {chosen['threads']} threads"
        beyond = f"`{larger['model']}`" if larger else "–"
        lines.append(f"| `{command}` | {how} | {chosen['p50_ms']:.1f} | {found['predicted_p99_ms']:.1f} | {beyond} |")
    return "\n".join([*lines, "", f"{measured_on(found['host'])}."])


def _demo(found: Result) -> str:
    times, frames = found["latency_ms"], found["frames_in"]
    missed = _missed({**found, "missed": round(found["deadline_miss_rate"] * frames), "frames": frames})
    return f"{times['p50']:.1f} / {times['p99']:.1f} ms; {missed}"


def _missed(found: Result) -> str:
    return f"{found['missed']} of {found['frames']:,} frames missed {found['deadline_ms']:.1f} ms".replace(",", " ")


def _soak(found: Result) -> str:
    counts, growth = found["counts"], found["growth_after_warm_up"]
    return (
        f"{counts['unaccounted']} unaccounted for, memory {growth['rss_mb']:+.1f} MB, "
        f"{counts['threads left']} threads and {counts['descriptors left']} descriptors left"
    )


def _igtl(found: Result) -> str:
    lost = found["unaccounted"]
    exact = "every gap counted" if found["gaps_exact"] and found["gaps_exact_behind"] else "gaps miscounted"
    return f"{found['received']['fps']:.0f} frames/s; {exact}, {lost} lost silently"


def _viewers(found: Result) -> str:
    return f"{found['fps_of_viewers']['min']:.0f} fps each at least; the stream's p99 × {found['p99_ratio']:.2f}"


def _overhead(found: Result) -> str:
    own = found["rows"]["edgerecon"]["us_median_of_turns"]
    over = ", ".join(f"{ratio['p99']:.2f} × {_NAMES[name]}" for name, ratio in found["edgerecon_over"].items())
    return f"{own['p50'] / 1e3:.2f} / {own['p99'] / 1e3:.2f} ms; p99 {over}"


def _loop(found: Result) -> str:
    return f"{found['overhead_p99_ms']:.1f} ms; memory {found['rss_growth_mb']:+.1f} MB after frame 1 000"


def _start(found: Result) -> str:
    return " / ".join(f"{found[key]:.0f}" for key in ("import_ms", "help_ms", "demo_first_frame_ms")) + " ms"


def _harness(found: Result) -> str:
    worst = max(at["error_us"] for of in found["percentiles"].values() for at in of.values())
    paced = found["miss_rate"]
    exact = "exact" if paced["missed"] == paced["calls_over_the_deadline"] else "wrong"
    return f"at most {worst:.0f} µs; {found['overhead_us']:.1f} µs; misses of a paced stream {exact}"


_NAMES = {
    "edgerecon": "edgerecon",
    "holoscan": "Holoscan",
    "gstreamer": "GStreamer",
    "opencv": "a bare loop",
    "inference-pipeline": "roboflow's InferencePipeline",
}
STREAMING: tuple[tuple[str, str, Callable[[Result], str]], ...] = (
    ("demo, 240×320 at 30 fps for 10 s: capture to present, p50 / p99 (`make demo`)", "demo", _demo),
    ("eight streams of 256×256 at 30 fps, int8 (`bench/eight_streams.py --precision int8`)", "eight-streams", _missed),
    ("the same in fp32 (`bench/eight_streams.py`)", "eight-streams-fp32", _missed),
    ("a million frames, a fault in every thousandth (`make soak`)", "soak", _soak),
    ("OpenIGTLink at 640×480, in and out (`bench/openigtlink.py --fps 220`)", "openigtlink", _igtl),
    ("four viewers, 40 fps (`bench/viewer_load.py`)", "viewer-load", _viewers),
    ("the loop without a model (`bench/stream_overhead.py`), p50 / p99", "stream-overhead", _overhead),
    ("what the loop adds to inference (`bench/stream_loop.py --frames 8000`), p99 − p99", "stream-loop", _loop),
    ("`import edgerecon` / `edgerecon --help` / `demo` to its first frame (`bench/startup.py`)", "startup", _start),
    ("`edgerecon bench`'s own error; what it adds to a call (`bench/harness_error.py`)", "harness-error", _harness),
)
