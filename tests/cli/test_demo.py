"""The demo end to end on the real cine, with a blur in the place of the model so that it needs no shipped file."""

from __future__ import annotations

import _thread
import json
import socket
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgerecon.cli import demo
from edgerecon.core.errors import SinkError
from edgerecon.core.frame import Frame, Image, Status
from edgerecon.engines.base import EngineSpec
from edgerecon.modelfile.spec import ModelSpec
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.engines import Engines


class Blur:
    """An engine whose output is known: a 5×5 Gaussian."""

    def __init__(self) -> None:
        model = ModelSpec("blur", "despeckle", 1, 1, "")
        self.spec = EngineSpec(model, "opencv", "fp32", 1)
        self.closed = False

    def run(self, frame: Image, out: Image | None = None) -> Image:
        return cv2.GaussianBlur(frame, (5, 5), 0, dst=out)

    def reset(self) -> None: ...

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Blur:
    blur = Blur()

    def opened(engines: Engines, model: str) -> Blur:
        return engines._stack.enter_context(closing(blur))

    monkeypatch.setattr(Engines, "open", opened)
    return blur


def test_demo_leaves_a_video_a_page_and_the_figures(
    engine: Blur, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgerecon.stream.sinks.files.file_sink.CLOSE_S", 300.0)  # of a machine that does much else
    said: list[str] = []
    report = demo.run_demo(tmp_path / "new" / "out", seconds=1.2, say=said.append)
    out = tmp_path / "new" / "out"
    assert {path.name for path in out.iterdir()} == {demo.VIDEO, demo.PAGE, demo.JSON}
    assert engine.closed and said[0].startswith("Streaming ") and said[0].endswith(" for 1.2 s")
    assert report.frames_in == report.presented + report.dropped + report.failed and report.presented > 0
    assert json.loads((out / demo.JSON).read_text())["frames_in"] == report.frames_in
    page = (out / demo.PAGE).read_text(encoding="utf-8")
    assert page.count("data:image/png") == 6 and "gCNR" in page and "Not a medical device" in page
    lacking = sum(int(line.split(" lacks ")[1].split()[0]) for line in said if " lacks " in line)
    video = cv2.VideoCapture(str(out / demo.VIDEO))
    pictures = []  # counted, for the header estimates their number from a mean rate
    while (picture := video.read()[1]) is not None:
        pictures.append(picture)
    assert len(pictures) == report.presented - lacking > 0
    assert pictures[0].shape[1] >= 640, "before and after, side by side"


def test_viewer_is_opened_and_its_port_given_back(engine: Blur, tmp_path: Path) -> None:
    opened: list[str] = []
    demo.run_demo(tmp_path, seconds=0.2, view=True, port=0, open_page=opened.append)
    assert len(opened) == 1 and opened[0].startswith("http://127.0.0.1:")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(opened[0].rsplit(":", 1)[1].strip("/"))))


def test_watched_demo_streams_until_it_is_interrupted(
    engine: Blur, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SECONDS", 0.2)
    captured = [0]

    def interrupt(counters: Counters) -> None:
        captured.append(counters.frames_in)
        if counters.frames_in >= 15 > captured[-2]:  # half a second of the cine: well past SECONDS
            _thread.interrupt_main()

    said: list[str] = []
    report = demo.run_demo(
        tmp_path, view=True, port=0, say=said.append, open_page=lambda url: None, on_progress=interrupt
    )
    assert report.interrupted and report.frames_in >= 15 and any("until Ctrl-C" in line for line in said)
    video = cv2.VideoCapture(str(tmp_path / demo.VIDEO))
    assert 0 < int(video.get(cv2.CAP_PROP_FRAME_COUNT)) <= 7, "the video holds the beginning"


def test_demo_without_a_viewer_ends_by_itself(engine: Blur, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SECONDS", 0.2)
    monkeypatch.setattr("edgerecon.stream.sinks.files.file_sink.CLOSE_S", 300.0)  # of a machine that does much else
    report = demo.run_demo(tmp_path)
    assert not report.interrupted and report.error is None and 0 < report.presented <= report.frames_in
    assert engine.closed and (tmp_path / demo.VIDEO).is_file()


def test_busy_port_leaves_nothing_open(engine: Blur, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with pytest.raises(SinkError, match="--sink viewer:PORT"):
            demo.run_demo(tmp_path, seconds=0.2, view=True, port=holder.getsockname()[1])
    assert engine.closed and not list(tmp_path.iterdir())


def test_unusable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SinkError, match="--out") as caught:
        demo.run_demo(tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_snapshots_copy_and_skip_raw_frames() -> None:
    kept, buffer = demo.Snapshots((0, 5)), np.zeros((4, 4), np.float32)
    for sequence in range(8):
        buffer[:] = sequence / 10
        status = Status.RAW if sequence in (0, 5) else Status.OK
        kept.present(buffer, Frame(buffer, sequence, 0, status=status), late=False)
    assert [n for n, _, _ in kept.pairs] == [1, 6]
    for sequence, before, after in kept.pairs:
        assert (before == np.float32(sequence / 10)).all() and (after == before).all()


def test_quality_rows_state_what_an_untouched_picture_has(rng: np.random.Generator) -> None:
    tissue = cv2.GaussianBlur(rng.rayleigh(0.2, (160, 160)).astype(np.float32), (3, 3), 0).clip(0, 1)
    tissue[:, 80:] *= 0.5
    untouched = demo.quality_rows([(0, tissue, tissue)])
    names = [row["measure"] for row in untouched]
    assert names[:3] == ["Structure kept", "Speckle left", "Brightness moved, grey levels"]
    assert [row["after"] for row in untouched] == pytest.approx([row["before"] for row in untouched], abs=1e-4)
    blurred = {row["measure"]: row["after"] for row in demo.quality_rows([(0, tissue, cv2.blur(tissue, (5, 5)) * 0.9)])}
    assert blurred["Structure kept"] < 0.9 and blurred["Speckle left"] < 0.7
    moved = 255 * 0.1 * float(tissue.mean())
    assert blurred["Brightness moved, grey levels"] == pytest.approx(moved, rel=0.1)


def test_nothing_to_measure_gives_no_row() -> None:
    black, larger = np.zeros((40, 40), np.float32), np.zeros((80, 80), np.float32)
    assert demo.quality_rows([]) == [] == demo.quality_rows([(0, black, larger)])
    assert all(np.isfinite(row["after"]) for row in demo.quality_rows([(0, black, black)]))


def test_browser_is_left_alone_without_a_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(demo.webbrowser, "open", lambda url: pytest.fail("a text browser would take the terminal"))
    demo.open_in_browser("http://127.0.0.1:1/")
