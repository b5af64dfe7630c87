"""The viewer's page in a real browser: what is drawn, what moves, and what it says when the stream stops."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgerecon.frame import Frame, Status
from edgerecon.stream.counters import Counters
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.viewer import ViewerSink

CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("Debian's chromium is not installed: apt-get install chromium", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
BEFORE, AFTER = 0.2, 0.8
"""Grey levels of the two pictures: the canvas must show the one left and the other right of the divider."""


class Streaming:
    """Presents flat frames from a thread, as a stream does, until stopped."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.viewer = ViewerSink(port=0)
        self.viewer.open(StreamInfo("cine", "compact", "onnxruntime", "fp32", 1 / 50, 20.0, (0.5, 0.5), self.counters))
        self.raw = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        before, after = (np.full((120, 160), level, np.float32) for level in (BEFORE, AFTER))
        sequence = 0
        while not self._stop.wait(0.02):
            self.counters.captured()
            status = Status.RAW if self.raw else Status.OK
            frame = Frame(after, sequence, time.perf_counter_ns() - 5_000_000, status=status)
            self.viewer.present(before, frame, late=False)
            self.counters.shown(5.0, False, self.raw)
            sequence += 1

    def pause(self) -> None:
        self._stop.set()
        self._thread.join()

    def end(self) -> None:
        self.pause()
        self.viewer.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def stream() -> Iterator[Streaming]:
    streaming = Streaming()
    yield streaming
    streaming.end()


@pytest.fixture
def page(browser: playwright.Browser, stream: Streaming) -> Iterator[playwright.Page]:
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.goto(stream.viewer.url)
    wait_for_state(opened, "live")
    yield opened
    assert faults == []
    opened.close()


def wait_for_state(page: playwright.Page, state: str) -> None:
    page.wait_for_selector(f'body[data-state="{state}"]', timeout=20_000)


def grey_at(page: playwright.Page, x: float) -> float:
    """Grey level in [0, 1] of the canvas at a relative column, halfway down."""
    script = """x => { const c = document.getElementById('canvas');
        return c.getContext('2d').getImageData(Math.floor(x * (c.width - 1)), c.height / 2, 1, 1).data[0]; }"""
    return page.evaluate(script, x) / 255


def number(page: playwright.Page, name: str) -> float:
    return float(page.inner_text(f"#{name}").replace(",", ""))


def test_divider_moves_the_border_between_before_and_after(page: playwright.Page) -> None:
    assert grey_at(page, 0.25) == pytest.approx(BEFORE, abs=0.01)
    assert grey_at(page, 0.75) == pytest.approx(AFTER, abs=0.01)
    box = page.locator("#picture").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, middle, steps=4)
    page.mouse.up()
    assert page.get_attribute("#divider", "aria-valuenow") == "90"
    assert grey_at(page, 0.75) == pytest.approx(BEFORE, abs=0.01), "what was after is before now"
    page.mouse.move(box["x"], middle)
    assert page.get_attribute("#divider", "aria-valuenow") == "90", "it moves only while held"


def test_divider_obeys_the_keyboard(page: playwright.Page) -> None:
    divider = page.get_by_role("slider")
    divider.focus()
    for key, value in (
        ("ArrowRight", "52"),
        ("Shift+ArrowLeft", "42"),
        ("End", "100"),
        ("ArrowRight", "100"),
        ("Home", "0"),
    ):
        divider.press(key)
        assert divider.get_attribute("aria-valuenow") == value
    assert divider.get_attribute("aria-valuetext") == "0 % before, 100 % after"
    assert grey_at(page, 0.01) == pytest.approx(AFTER, abs=0.01)


def test_counters_move_and_the_chart_is_drawn(page: playwright.Page) -> None:
    first = number(page, "presented")
    patience = time.monotonic() + 20
    while number(page, "presented") < first + 10 and time.monotonic() < patience:
        page.wait_for_timeout(50)
    assert number(page, "presented") >= first + 10
    assert number(page, "latency") >= 5.0 and number(page, "fps") > 0
    drawn = """() => { const c = document.getElementById('chart');
        return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v) }"""
    assert page.evaluate(drawn)
    assert page.inner_text("#deadline") == "deadline 20.0 ms"


def test_raw_frame_is_marked(page: playwright.Page, stream: Streaming) -> None:
    assert page.is_hidden("#raw-badge")
    stream.raw = True
    page.wait_for_selector("#raw-badge", state="visible", timeout=20_000)
    assert page.inner_text("#after-label") == "Raw"
    stream.raw = False
    page.wait_for_selector("#raw-badge", state="hidden", timeout=20_000)


def test_stopped_source_is_said_not_hidden(page: playwright.Page, stream: Streaming) -> None:
    stream.pause()
    wait_for_state(page, "stalled")
    assert "No new frame for" in page.inner_text("#state") and number(page, "fps") == 0


def test_end_shows_the_last_counters(page: playwright.Page, stream: Streaming) -> None:
    stream.end()
    wait_for_state(page, "ended")
    assert number(page, "presented") == stream.counters.presented
    assert f"Frame {stream.counters.presented - 1}," in page.inner_text("#frame-facts")


def test_lost_connection_is_said_and_mended(page: playwright.Page) -> None:
    record = """() => { window.said = [];
        new MutationObserver(() => {
            const { state } = document.body.dataset;
            said.push([state, document.getElementById("notice-text").textContent]);
            document.body.toggleAttribute("data-mended", state === "live");
        }).observe(document.body, { attributes: true, attributeFilter: ["data-state"] }); }"""
    page.evaluate(record)
    for _ in range(3):  # a frame on its way to the screen must not call a lost connection live
        page.evaluate("() => { said.length = 0; document.body.removeAttribute('data-mended'); socket.close(); }")
        page.wait_for_selector("body[data-mended]", timeout=20_000)
        said = page.evaluate("() => said")
        assert list(dict.fromkeys(state for state, _ in said)) == ["lost", "waiting", "live"]
        assert "last frame received" in said[0][1]


def test_page_fits_a_phone_and_is_not_blank(page: playwright.Page, tmp_path: Path) -> None:
    for width, height in ((1280, 800), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        picture = page.screenshot(path=tmp_path / f"{width}.png")
        pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert pixels.shape == (height, width) and pixels.std() > 20
