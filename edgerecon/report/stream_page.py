"""One stream's report as a single HTML page that needs nothing beside itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EdgereconError, SinkError
from edgerecon.report.histogram_svg import histogram_svg
from edgerecon.report.page import at_strength, number, page, percent, table, write_page

Picture = tuple[str, NDArray[np.uint8], NDArray[np.uint8]]
"""(caption, before, after): uint8 (H, W)."""

STAGES = {
    "capture": "The source delivers the frame (before its latency's clock starts), and it waits for the engine.",
    "demodulate": "Channel data: samples to 16-bit IQ (part of the delivery).",
    "network": "Channel data: a model weighs the parts of the aperture (part of the delivery).",
    "beamform": "Channel data: IQ to a complex picture (part of the delivery).",
    "detect": "Channel data: envelope, scan conversion, grey levels (part of the delivery).",
    "preprocess": "Conversion to one channel of float32 in [0, 1].",
    "infer": "The model, with its input and output copies.",
    "postprocess": "From the model's output to a frame that can be shown.",
    "present": "The frame waits for the sinks, and every sink takes it.",
}

INCLUDED = (
    "Latency is wall-clock time from the moment the source had the frame to the moment the last sink had taken it: "
    "conversion, all waiting between threads, the model, and every sink. It is over presented frames; a frame that "
    "was dropped or failed counts as having missed the deadline."
)
EXCLUDED = (
    "Not included: the scanner's own acquisition and beamforming, reading and decoding of the recording, what a "
    "browser or a deferred video encoder does with its copy of the frame, and the display."
)


def write_report(path: Path, report: Mapping[str, Any], pictures: Sequence[Picture] = ()) -> None:
    """Write the page under a temporary name, then rename it.

    Args:
        path: the HTML file; its folder must exist.
        report: the JSON of ``stream --json`` with ``latency_histogram`` {"edges_ms", "counts"}, ``drops``
            and ``failures`` (reason → count), ``strength`` of the model. ``quality`` may add rows {"measure",
            "before", "after", "note"}. Absent keys leave their part of the page out.
        pictures: shown side by side.

    Raises:
        SinkError: the file cannot be written.
    """
    try:
        write_page(path, render(report, pictures))
    except EdgereconError as error:
        raise SinkError(f"{error}; choose another folder for the report") from error


def render(report: Mapping[str, Any], pictures: Sequence[Picture] = ()) -> str:
    """The page as text."""
    parts = (
        _head(report),
        _pictures(pictures),
        _quality(report),
        _latency(report),
        _frames(report),
        _host(report),
    )
    return page(_title(report), "".join(parts))


def _title(report: Mapping[str, Any]) -> str:
    model = report.get("model", "stream") + at_strength(report.get("strength"))
    return f"{model} on {report.get('source', 'an unnamed source')}"


def _head(report: Mapping[str, Any]) -> str:
    engine = report.get("engine") or {}
    latency = report.get("latency_ms") or {}
    host = report.get("host") or {}
    what = f"{engine.get('backend', '–')} {engine.get('precision', '')} on {host.get('cpu', 'an unknown CPU')}"
    threads = f", threads: {engine['threads']}" if engine.get("threads") else ""
    tiles = [
        (f"{number(latency.get('p50'))} ms", "median latency"),
        (f"{number(latency.get('p99'))} ms", "99th percentile"),
        (percent(report.get("deadline_miss_rate")), f"missed {number(report.get('deadline_ms'))} ms"),
        (number(report.get("fps")), "frames a second"),
    ]
    shown = "".join(f"<div><b>{escape(figure)}</b><span>{escape(name)}</span></div>" for figure, name in tiles)
    return (
        f'<p class="brand">edgerecon stream report</p><h1>{escape(_title(report))}</h1>'
        f'<p class="muted">{escape(what + threads)}. {escape(str(host.get("date", "")))}</p>'
        f'{_verdict(report)}<div class="tiles">{shown}</div>'
    )


def _verdict(report: Mapping[str, Any]) -> str:
    if not isinstance(report.get("deadline_ms"), (int, float)) or not report.get("presented"):
        return ""
    late, presented = report.get("late", 0), report["presented"]
    never = report.get("dropped", 0) + report.get("failed", 0)
    lost = f"; {never} more were never shown" if never else ""
    sentence = f"{late} of {presented} presented frames were later than {number(report['deadline_ms'])} ms{lost}."
    if report.get("error"):
        sentence += f" The stream did not end well: {report['error']}."
    elif report.get("interrupted"):
        sentence += " The stream was interrupted."
    missed = " missed" if late or never or report.get("error") else ""
    return f'<p class="verdict{missed}">{escape(sentence)}</p>'


def _pictures(pictures: Sequence[Picture]) -> str:
    if not pictures:
        return ""
    figures = "".join(
        f'<figure><div class="pair">{_image(before, "Before. " + caption)}'
        f"{_image(after, 'After. ' + caption)}</div>"
        f"<figcaption><span>Before. {escape(caption)}</span><span>After</span></figcaption></figure>"
        for caption, before, after in pictures
    )
    return f"<h2>Before and after</h2>{figures}"


def _image(image: NDArray[np.uint8], alt: str) -> str:
    data = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'


def _quality(report: Mapping[str, Any]) -> str:
    rows = [
        (q["measure"], number(q.get("before"), 2), number(q.get("after"), 2), q.get("note", ""))
        for q in report.get("quality") or ()
    ]
    if not rows:
        return ""
    return f"<h2>Image quality</h2>{table(('Measure', 'Before', 'After', 'What it says'), rows, '.nn.')}"


def _latency(report: Mapping[str, Any]) -> str:
    latency = report.get("latency_ms")
    if not latency:
        return ""
    stages = [
        (name, number(values.get("p50"), 2), number(values.get("p99"), 2), STAGES.get(name, ""))
        for name, values in (report.get("stages_ms") or {}).items()
    ]
    labels = {"p50": "p50", "p90": "p90", "p99": "p99", "p999": "p99.9", "max": "worst"}
    total = [tuple(number(latency.get(key), 2) for key in labels)]
    chart = histogram_svg(report.get("latency_histogram"), latency, report.get("deadline_ms"))
    return (
        f'<h2>Latency</h2><div class="scroll">{chart}</div>'
        f"{table(tuple(f'{label}, ms' for label in labels.values()), total, 'nnnnn')}"
        f"<h2>Latency by stage</h2>{table(('Stage', 'p50, ms', 'p99, ms', 'What it does'), stages, '.nn.')}"
        f'<p class="note">{escape(INCLUDED)} {escape(EXCLUDED)}</p>'
    )


def _frames(report: Mapping[str, Any]) -> str:
    names = {
        "frames_in": "captured",
        "presented": "presented",
        "late": "of these late",
        "raw_shown": "of these shown raw",
        "dropped": "dropped",
        "failed": "failed",
    }
    fates = [(label, str(report[key])) for key, label in names.items() if key in report]
    reasons = {**(report.get("drops") or {}), **(report.get("failures") or {})}
    lost = [(reason, str(count)) for reason, count in reasons.items()]
    why = table(("Why frames were lost", "Frames"), lost, ".n") if lost else ""
    counted = table(("Fate", "Frames"), fates, ".n")
    return f'<h2>Every frame counted</h2><div class="columns"><div>{counted}</div><div>{why}</div></div>'


def _host(report: Mapping[str, Any]) -> str:
    host = dict(report.get("host") or {})
    if not host:
        return ""
    packages = [(name, str(number)) for name, number in (host.pop("packages", None) or {}).items()]
    facts = [(key.replace("_", " "), _plain(value)) for key, value in host.items() if value not in (None, [], "")]
    return (
        f'<h2>Host and versions</h2><div class="columns"><div>{table(("Host", ""), facts, "..")}</div>'
        f"<div>{table(('Package', 'Version'), packages, '..')}</div></div>"
    )


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
