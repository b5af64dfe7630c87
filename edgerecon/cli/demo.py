"""The demo: a real echocardiography cine, live through a shipped model, with everything it measured on one page."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Callable
from contextlib import closing
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from edgerecon.core.errors import SinkError
from edgerecon.core.frame import Frame, Image, Status, to_uint8
from edgerecon.report.page import at_strength

if TYPE_CHECKING:
    from edgerecon.stream.accounting.counters import Counters
    from edgerecon.stream.loop.report import StreamReport
    from edgerecon.stream.sinks.base import Sink, StreamInfo

VIDEO, PAGE, JSON = "before-after.mp4", "report.html", "report.json"
SECONDS = 10.0
"""How long a demo streams that nobody watches live, and how much of any demo the video holds."""
STRENGTH = 0.75
"""How strongly the demo applies its model: some grain stays, which people are used to seeing in a heart's walls."""
SHOWN_MEASURES = {
    "structure": "Amplitude of lines and edges: 1 keeps all of it, more is sharpening",
    "speckle_left": "Deviation in calm tissue: lower is smoother",
    "brightness_moved": "Change of the local mean",
}
"""Key of a measure → what it says."""


def run_demo(
    out_dir: Path,
    seconds: float | None = None,
    view: bool = False,
    model: str = "compact-despeckle",
    source: str = "sample",
    port: int = 8765,
    say: Callable[[str], None] = lambda line: None,
    open_page: Callable[[str], None] | None = None,
    on_progress: Callable[[Counters], None] | None = None,
) -> StreamReport:
    """Stream a recording in a loop at its own pace into a video, then write the page and the JSON report.

    Args:
        out_dir: made when absent; receives before-after.mp4, report.html and report.json.
        seconds: how long to stream; None: until Ctrl-C with ``view``, else SECONDS.
        view: also serve the live viewer, and open it in the browser where there is a desktop.
        model: shipped name or path.
        source: path or URI.
        port: of the viewer.
        say: takes one line for people, e.g. where the viewer is.
        open_page: opens an address; default: ``open_in_browser``.
        on_progress: see ``edgerecon.stream.loop.stream.stream``.

    Raises:
        UsageError: the source lies in ``out_dir`` under one of these names.
        SinkError: the folder cannot be written, or the viewer's port is taken.
        EdgereconError: whatever the model, the source or the stream raises.
    """
    from edgerecon.stream.engines import Engines
    from edgerecon.stream.loop.stream import stream
    from edgerecon.stream.overwriting import refuse_overwriting
    from edgerecon.stream.picture.protect import AUTO
    from edgerecon.stream.sinks import open_sink
    from edgerecon.stream.sinks.deferred import DeferredSink
    from edgerecon.stream.sinks.viewer import ViewerSink
    from edgerecon.stream.sinks.web.address import Address
    from edgerecon.stream.sources import open_source

    refuse_overwriting([source], [str(out_dir / VIDEO)], [out_dir / PAGE, out_dir / JSON])
    _make_folder(out_dir)
    with Engines(protect=AUTO, strength=STRENGTH) as engines, closing(open_source(source)) as cine:
        engine = engines.open(model)
        engines.find_tissue(cine)
        snapshots = Snapshots(thirds(cine.length or 45))
        # The video is written behind the stream: its encoder takes as long as the model.
        video = DeferredSink(Beginning(open_sink(str(out_dir / VIDEO)), seconds or SECONDS))
        sinks: list[Sink] = [snapshots, video]
        if view:
            viewer = ViewerSink(Address("127.0.0.1", port))
            sinks.insert(0, viewer)
            say(f"Live at {viewer.url}")
            (open_page or open_in_browser)(viewer.url)
        if seconds is None and not view:
            seconds = SECONDS
        how_long = "until Ctrl-C" if seconds is None else f"for {seconds:g} s"
        say(f"Streaming {cine.name} through {engine.spec.model.name}{at_strength(STRENGTH)} {how_long}")
        try:
            report = stream(
                cine, engine, sinks, loop=True, seconds=seconds, on_progress=on_progress, controls=engines.controls
            )
        finally:
            if view:
                viewer.close()  # gives the port back if the stream never began
    if video.skipped:
        say(f"{VIDEO} lacks {video.skipped} frames that came faster than this machine could encode them")
    _write_reports(report, snapshots, out_dir)
    return report


def _write_reports(report: StreamReport, snapshots: Snapshots, folder: Path) -> None:
    from edgerecon.report.stream_page import write_report

    report.write(folder / JSON)
    page = {**report.to_json(), "quality": quality_rows(snapshots.pairs)}
    pictures = [(f"Frame {n}", to_uint8(before), to_uint8(after)) for n, before, after in snapshots.pairs]
    write_report(folder / PAGE, page, pictures)


def thirds(length: int) -> tuple[int, ...]:
    """The first frame of each third of a recording."""
    return 0, length // 3, 2 * length // 3


class Beginning:
    """A sink that gives another one only the beginning of a stream, so that a long one fills no disk.

    Args:
        sink: what receives the beginning.
        seconds: how long that is, from the first frame's capture.
    """

    quick = False

    def __init__(self, sink: Sink, seconds: float) -> None:
        self.name = sink.name
        self._sink = sink
        self._seconds = seconds
        self._first_ns: int | None = None

    def open(self, info: StreamInfo) -> None:
        self._sink.open(info)

    def present(self, before: Image, after: Frame, late: bool) -> None:
        if self._first_ns is None:
            self._first_ns = after.captured_ns
        if after.captured_ns - self._first_ns < self._seconds * 1e9:
            self._sink.present(before, after, late)

    def close(self) -> None:
        self._sink.close()


class Snapshots:
    """A sink that keeps a few reconstructed frames as they were shown, for the report.

    Args:
        wanted: sequence numbers in ascending order; the next frame stands in for one that was dropped or shown raw.

    Attributes:
        pairs: (sequence, before, after) with float32 images (H, W) in [0, 1].
    """

    name = "snapshots"
    quick = True

    def __init__(self, wanted: tuple[int, ...]) -> None:
        self._wanted = list(wanted)
        self.pairs: list[tuple[int, Image, Image]] = []

    def open(self, info: StreamInfo) -> None:
        return

    def present(self, before: Image, after: Frame, late: bool) -> None:
        if self._wanted and after.sequence >= self._wanted[0] and after.status is Status.OK:
            self._wanted.pop(0)
            self.pairs.append((after.sequence, before.copy(), after.pixels.copy()))

    def close(self) -> None:
        return


def quality_rows(pairs: list[tuple[int, Image, Image]]) -> list[dict[str, object]]:
    """Measures of the pictures as they were shown, means over the pairs; nothing is matched in gain or offset.

    Returns:
        Rows for ``edgerecon.report.stream_page``; none for a model that changes the size, nor where the pictures hold
        nothing to measure.
    """
    from edgerecon.quality.measures.before_after import BeforeAfter
    from edgerecon.quality.measures.measure import measures
    from edgerecon.quality.measures.no_reference import measure
    from edgerecon.quality.regions import find_regions

    same_size = [(before, after) for _, before, after in pairs if before.shape == after.shape]
    if not same_size:
        return []
    frames = f"{len(same_size)} frame{'s' if len(same_size) > 1 else ''}"
    rows: list[dict[str, object]] = []
    for key, note in SHOWN_MEASURES.items():
        one = measures()[key]
        untouched = _mean([one.of(BeforeAfter(before, before)) for before, _ in same_size])
        shown = _mean([one.of(BeforeAfter(before, after)) for before, after in same_size])
        heading = one.heading[0].upper() + one.heading[1:]
        rows.append({"measure": heading, "before": untouched, "after": shown, "note": f"{note} ({frames})"})
    found = [measure(before, after, find_regions(before)) for before, after in same_size]
    gcnr, change = _mean([m.gcnr for m in found]), _mean([m.gcnr_change for m in found])
    note = "How well brighter and darker tissue separate, from 0 to 1, in regions found automatically"
    rows.append({"measure": "gCNR", "before": gcnr - change, "after": gcnr, "note": f"{note} ({frames})"})
    return [row for row in rows if isinstance(row["after"], float) and isfinite(row["after"])]


def _mean(values: list[float]) -> float:
    finite = [value for value in values if isfinite(value)]
    return fmean(finite) if finite else float("nan")


def open_in_browser(url: str) -> None:
    """Open the desktop's browser. Does nothing without a desktop: a text browser would take over the terminal."""
    desktop = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if desktop:
        # Some browsers' launchers return only when the browser ends.
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot make the folder {path} ({error.strerror}): choose another with  --out") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise SinkError(f"cannot write in the folder {path}: choose another with  --out")
