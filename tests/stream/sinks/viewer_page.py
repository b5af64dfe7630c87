"""The viewer's page in a real browser, and what a test reads from it."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from edgerecon.core.frame import Frame, Status
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.sinks.base import Controls, StreamInfo
from edgerecon.stream.sinks.viewer import ViewerSink
from edgerecon.stream.sinks.web.address import Address

CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("Debian's chromium is not installed: apt-get install chromium", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LONG_MS = 120_000
"""To wait for a page, on a machine that does ten other things as well."""
KEEP_SOCKETS = """window.sockets = []; window.WebSocket = class extends WebSocket {
    constructor(...all) { super(...all); sockets.push(this); } };"""
BEFORE, AFTER = 0.2, 0.8
"""Grey levels of the two pictures: the canvas must show the one left and the other right of the divider."""


class Streaming:
    """Presents flat frames from a thread, as a stream does, until stopped."""

    def __init__(
        self,
        port: int = 0,
        name: str | None = None,
        spacing_mm: tuple[float, float] | None = (0.5, 0.5),
        model: str = "compact",
        controls: Controls | None = None,
    ) -> None:
        self.counters = Counters()
        self.spacing_mm = spacing_mm
        self.viewer = ViewerSink(Address("127.0.0.1", port, name))
        told = ("cine", model, "onnxruntime", "fp32", 1 / 50, 20.0, spacing_mm, self.counters)
        self.viewer.open(StreamInfo(*told, controls=controls))
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
            frame = Frame(after, sequence, time.perf_counter_ns() - 5_000_000, self.spacing_mm, status)
            self.viewer.present(before, frame, late=False)
            self.counters.shown(5.0, False, "the engine failed" if self.raw else None)
            sequence += 1

    def pause(self) -> None:
        self._stop.set()
        self._thread.join(60)

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
    opened.set_default_timeout(LONG_MS)
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.add_init_script(KEEP_SOCKETS)
    opened.goto(stream.viewer.url)
    wait_for_state(opened, "live")
    yield opened
    assert faults == []
    opened.close()


def wait_for_state(page: playwright.Page, state: str) -> None:
    page.wait_for_selector(f'body[data-state="{state}"]', timeout=LONG_MS)


def wait_for(page: playwright.Page, condition: str) -> None:
    """Not Playwright's own, which needs ``eval``: the page forbids it."""
    patience = time.monotonic() + LONG_MS / 1e3
    while not page.evaluate(condition):
        assert time.monotonic() < patience, condition
        page.wait_for_timeout(20)


def grey_at(page: playwright.Page, x: float) -> float:
    """Grey level in [0, 1] of the canvas at a relative column, halfway down."""
    script = """x => { const c = document.getElementById('canvas');
        return c.getContext('2d').getImageData(Math.floor(x * (c.width - 1)), c.height / 2, 1, 1).data[0]; }"""
    return page.evaluate(script, x) / 255


def number(page: playwright.Page, name: str) -> float:
    return float(page.inner_text(f"#{name}").replace(",", ""))


def centre(page: playwright.Page) -> tuple[float, float, float, float]:
    """Of the picture: x, y of its middle, width and height, in pixels of the window."""
    box = page.locator("#picture").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"], box["height"]


def left_top(page: playwright.Page) -> tuple[float, ...]:
    """Of the zoomed picture, in percent of the box."""
    return tuple(map(float, re.findall(r"(-?[\d.]+)%", page.get_attribute("#canvas", "style"))))


def drag(page: playwright.Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=3)
    page.mouse.up()


def state_words(page: playwright.Page) -> str:
    """What the style adds to the stream's state."""
    return page.evaluate("getComputedStyle(document.getElementById('state-text'), '::after').content")


def labels(page: playwright.Page) -> tuple[str, str]:
    return page.inner_text("#before-label"), page.inner_text("#after-label")
