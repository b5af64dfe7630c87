"""The viewer's page in a real browser: what is drawn, what moves, and what it says when the stream stops."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
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
    patience = time.monotonic() + LONG_MS / 1e3
    while time.monotonic() < patience and not (number(page, "presented") >= first + 10 and number(page, "fps") > 0):
        page.wait_for_timeout(50)
    assert number(page, "presented") >= first + 10
    assert number(page, "latency") >= 5.0
    drawn = """() => { const c = document.getElementById('chart');
        return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v) }"""
    assert page.evaluate(drawn)
    assert page.inner_text("#deadline") == "deadline 20.0 ms"


def test_raw_frame_is_marked(page: playwright.Page, stream: Streaming) -> None:
    assert page.is_hidden("#raw-badge")
    stream.raw = True
    page.wait_for_selector("#raw-badge", state="visible", timeout=LONG_MS)
    assert page.inner_text("#after-label") == "Raw"
    stream.raw = False
    page.wait_for_selector("#raw-badge", state="hidden", timeout=LONG_MS)


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
        page.evaluate(
            "() => { said.length = 0; document.body.removeAttribute('data-mended'); sockets.at(-1).close(); }"
        )
        page.wait_for_selector("body[data-mended]", timeout=LONG_MS)
        said = page.evaluate("() => said")
        assert list(dict.fromkeys(state for state, _ in said)) == ["lost", "waiting", "live"]
        assert "last frame received" in said[0][1]


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


def test_wheel_and_keys_zoom_about_the_pointer(page: playwright.Page) -> None:
    x, y, width, height = centre(page)
    page.mouse.move(x - width / 4, y)  # a quarter from the left: that point stays where it is
    page.mouse.wheel(0, -277)
    wait_for(page, "document.getElementById('zoom-reset').textContent === '200 %'")
    assert left_top(page) == pytest.approx((-25, -50), abs=0.5)
    assert grey_at(page, 0.36) == pytest.approx(BEFORE, abs=0.01), (
        "the divider, halfway, stands at 0.375 of the picture"
    )
    assert grey_at(page, 0.39) == pytest.approx(AFTER, abs=0.01)
    drag(page, (x + width / 4, y), (x, y + height))
    assert left_top(page) == pytest.approx((-50, 0), abs=0.5), "dragged left, and down to its end"
    for key, text in (("0", "100 %"), ("+", "150 %"), ("-", "100 %")):
        page.keyboard.press(key)
        assert page.inner_text("#zoom-reset") == text


def test_calipers_measure_millimetres_at_any_zoom(page: playwright.Page) -> None:
    page.keyboard.press("c")  # by keyboard a pair lies ready: 0.3 of 160 pixels of 0.5 mm
    assert page.inner_text("#measures li") == "A: 24.0 mm"
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#measures li") == "A: 24.5 mm", "the focused end moved by a pixel"
    page.keyboard.press("+")
    x, y, width, height = centre(page)
    drag(page, (x - 0.15 * width, y + 0.3 * height), (x + 0.15 * width, y + 0.3 * height))
    assert page.locator("#measures li").all_inner_texts() == ["A: 24.5 mm", "B: 16.0 mm"]
    assert "16.0 mm" in page.get_attribute('.handle[data-name="B"]', "aria-label")
    page.keyboard.press("x")
    assert page.locator(".handle").count() == 0


def test_calipers_say_that_the_pixel_size_is_unknown(page: playwright.Page, stream: Streaming) -> None:
    stream.spacing_mm = None
    wait_for(page, "document.getElementById('pixel').textContent.startsWith('size not')")
    page.keyboard.press("c")
    assert page.inner_text("#measures li") == "A: 48.0 px (pixel size unknown)"
    assert page.is_hidden("#scale-bar")


def test_frozen_picture_stands_still_and_the_loop_is_viewable(page: playwright.Page) -> None:
    page.wait_for_timeout(400)
    page.keyboard.press("Space")
    assert page.is_visible("#frozen-badge") and page.get_attribute("#freeze", "aria-pressed") == "true"
    frozen, counted = page.inner_text("#frame-facts"), number(page, "presented")
    wait_for(page, f"Number(document.getElementById('presented').textContent) > {counted + 5}")
    assert page.inner_text("#frame-facts") == frozen, "the counters go on, the picture does not"
    page.keyboard.press(",")
    page.keyboard.press(",")
    earlier = page.inner_text("#frame-facts")
    assert int(earlier.split()[1].rstrip(",")) < int(frozen.split()[1].rstrip(","))
    assert "before the freeze" in page.get_attribute("#seek", "aria-valuetext")
    page.keyboard.press("p")
    wait_for(page, f"document.getElementById('frame-facts').textContent !== '{earlier}'")
    assert page.inner_text("#frozen-badge") == "Replay, not live", "what moves is not frozen"
    assert "replayed" in state_words(page) and "frozen" not in state_words(page)
    page.keyboard.press("p")
    assert page.inner_text("#frozen-badge") == "Frozen" and "picture frozen" in state_words(page)
    page.keyboard.press("f")
    assert page.is_hidden("#cine") and page.is_hidden("#frozen-badge")


def state_words(page: playwright.Page) -> str:
    """What the style adds to the stream's state."""
    return page.evaluate("getComputedStyle(document.getElementById('state-text'), '::after').content")


def labels(page: playwright.Page) -> tuple[str, str]:
    return page.inner_text("#before-label"), page.inner_text("#after-label")


def test_labels_say_what_is_shown(page: playwright.Page, stream: Streaming) -> None:
    assert labels(page) == ("Before", "After")
    page.keyboard.press("b")
    assert labels(page) == ("Before", "") and page.get_attribute("#canvas", "aria-label").startswith("Before.")
    page.keyboard.press("b")
    assert labels(page) == ("", "After")
    stream.raw = True
    page.wait_for_selector("#raw-badge", state="visible", timeout=LONG_MS)
    assert labels(page) == ("", "Raw")
    page.keyboard.press("b")
    assert labels(page) == ("Before", "Raw")


def test_without_a_model_there_is_one_picture_as_captured(browser: playwright.Browser) -> None:
    streaming = Streaming(model="none")
    opened = browser.new_page()
    try:
        opened.goto(streaming.viewer.url)
        wait_for_state(opened, "live")
        wait_for(opened, "document.getElementById('after-label').textContent !== ''")
        assert labels(opened) == ("", "As captured") and opened.is_hidden("#divider")
        assert grey_at(opened, 0.25) == grey_at(opened, 0.75) == pytest.approx(AFTER, abs=0.01)
    finally:
        opened.close()
        streaming.end()


def test_calipers_freeze_a_moving_picture_and_go_when_it_moves(page: playwright.Page) -> None:
    page.wait_for_timeout(200)
    page.click("#calipers")
    assert page.is_visible("#frozen-badge")
    x, y, width, _ = centre(page)
    drag(page, (x - 0.2 * width, y), (x + 0.2 * width, y + 20))
    assert page.locator("#measures li").count() == 1
    page.keyboard.press("p")
    assert page.inner_text("#frozen-badge") == "Replay, not live" and page.locator("#measures li").count() == 0
    page.keyboard.press("c")
    assert page.inner_text("#frozen-badge") == "Frozen" and page.locator("#measures li").count() == 1
    page.keyboard.press("f")
    assert page.get_attribute("#calipers", "aria-pressed") == "false" and page.locator("#measures li").count() == 0


SIZES = ((1920, 1080), (1280, 800), (820, 1180), (667, 375), (375, 667), (320, 480))


@pytest.mark.parametrize("size", SIZES)
def test_disclaimer_is_in_view_at_every_size(page: playwright.Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    for end in ("0", "document.body.scrollHeight"):
        page.evaluate(f"scrollTo(0, {end})")
        box = page.locator("footer").bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= size[1] + 0.5
        assert "Not a medical device" in page.inner_text("footer")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_loop_is_bounded_in_time_and_memory(page: playwright.Page) -> None:
    script = """async ([side, count]) => { const { keep, startCine } = await import("./cine.js");
        startCine(() => {});
        for (let i = 0; i < count; i++) {
            const picture = { width: side, height: side, data: { length: side * side } };
            keep({ header: { at_ms: 33 * i, sequence: i }, before: picture, after: picture });
        }
        document.getElementById("freeze").click();
        return Number(document.getElementById("seek").max) + 1; }"""
    assert page.evaluate(script, [64, 1000]) == 304, "ten seconds at 33 ms"
    page.click("#freeze")
    assert page.evaluate(script, [2048, 1000]) == 23, "192 MB"


def test_keys_can_be_turned_off_and_are_listed(page: playwright.Page) -> None:
    page.keyboard.press("?")
    assert page.locator("#help").evaluate("dialog => dialog.open") and page.locator("#keys dt").count() >= 10
    page.uncheck("#single-keys")
    page.keyboard.press("Escape")
    page.keyboard.press("Space")
    assert page.is_hidden("#frozen-badge")


def test_ladder_gaps_and_stalls_are_shown(page: playwright.Page, stream: Streaming) -> None:
    assert page.is_hidden("#ladder-section")
    stream.counters.ladder, stream.counters.rung, stream.counters.gaps = ("full", "pruned", "passthrough"), 1, 12
    page.wait_for_selector("#ladder-section", state="visible", timeout=LONG_MS)
    assert page.inner_text('#ladder [aria-current="step"]') == "pruned" and number(page, "gaps") == 12
    stream.counters.stalled = True
    wait_for_state(page, "stalled")


def test_screen_reader_finds_its_way(page: playwright.Page) -> None:
    for role in ("banner", "main", "complementary", "navigation", "contentinfo"):
        assert page.get_by_role(role).count() == 1, role
    unnamed = """() => [...document.querySelectorAll("button, a, input, canvas, [role=slider]")]
        .filter((one) => !one.textContent.trim() && !one.getAttribute("aria-label") && !one.labels?.length)
            .filter((one) => !document.getElementById(one.getAttribute("aria-labelledby"))?.textContent.trim())
        .map((one) => one.outerHTML)"""
    assert page.evaluate(unnamed) == []
    page.evaluate("""() => { window.told = []; new MutationObserver(() => told.push(announcer.textContent)).observe(
        document.getElementById("announcer"), { childList: true, characterData: true, subtree: true }); }""")
    for _ in range(6):
        page.keyboard.press("f")
    page.wait_for_timeout(300)
    assert len(page.evaluate("told")) <= 1, "six changes, told at a calm rate"


def test_several_streams_stand_in_a_grid_and_a_click_enlarges(page: playwright.Page, stream: Streaming) -> None:
    second = Streaming(stream.viewer.port, "bed 2")
    try:
        page.goto(stream.viewer.url)
        page.reload()
        page.wait_for_selector('#grid li[data-state="live"]:nth-child(2)', timeout=LONG_MS)
        second.raw = True
        page.wait_for_selector("#grid li:nth-child(2)[data-raw]", timeout=LONG_MS)
        page.click("text=bed 2")
        page.wait_for_selector("#raw-badge", state="visible", timeout=LONG_MS)
        assert "bed 2" in page.title() and page.is_visible("#to-grid")
        page.keyboard.press("g")
        page.wait_for_selector('#grid li[data-state="live"]:nth-child(2)', timeout=LONG_MS)
        second.end()
        page.wait_for_selector('#grid li[data-state="ended"]', timeout=LONG_MS)
        assert page.locator('#grid li[data-state="live"]').count() == 1
    finally:
        second.end()


def test_grid_keeps_a_tile_for_every_stream_of_the_configuration(page: playwright.Page, stream: Streaming) -> None:
    second = Streaming(stream.viewer.port, "bed 2")
    site = stream.viewer._site
    states = (
        '[...document.querySelectorAll("#grid li")].map((li) => [li.querySelector("b").textContent, li.dataset.state])'
    )
    try:
        site.plan({"late": "waiting", "bed 2": "running", "broken": "failed", "cine": "running"})
        page.goto(stream.viewer.url)
        page.reload()
        wait_for(page, f'{states}.filter(([_, state]) => state === "live").length === 2')
        assert page.evaluate(states) == [["late", "waiting"], ["bed 2", "live"], ["broken", "failed"], ["cine", "live"]]
        assert page.inner_text("#state-text") == "2 of 4 live" and page.title().startswith("2 of 4 live")
        page.click("#grid >> text=broken")
        wait_for_state(page, "failed")
        assert "failed" in page.inner_text("#notice-text") and labels(page) == ("", "")
        page.keyboard.press("g")
        second.end()
        site.plan({"late": "waiting", "bed 2": "ended", "cine": "running"})
        wait_for(page, 'document.getElementById("state-text").textContent === "1 of 3 live"')
        assert page.evaluate(states) == [["late", "waiting"], ["bed 2", "ended"], ["cine", "live"]]
    finally:
        second.end()


def test_token_comes_by_the_address_or_by_the_form(
    browser: playwright.Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "correct horse battery staple"
    monkeypatch.setenv("EDGERECON_TOKEN", token)
    streaming = Streaming()
    context = browser.new_context()
    opened = context.new_page()
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    try:
        opened.goto(streaming.viewer.url)
        opened.fill("#token", "a wrong token, and a long one")
        opened.press("#token", "Enter")
        wait_for(opened, "document.getElementById('login-fault').textContent !== ''")
        opened.goto(f"{streaming.viewer.url}#token={token.replace(' ', '%20')}")
        wait_for_state(opened, "live")
        assert "token" not in opened.url and not any("correct" in url for url in asked)
        cookie = context.cookies()[0]
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and token not in cookie["value"]
    finally:
        streaming.end()
        context.close()


def test_two_fingers_zoom_on_a_tablet(browser: playwright.Browser, stream: Streaming) -> None:
    context = browser.new_context(viewport={"width": 820, "height": 1180}, has_touch=True)
    opened = context.new_page()
    opened.goto(stream.viewer.url)
    wait_for_state(opened, "live")
    x, y, width, _ = centre(opened)
    fingers = context.new_cdp_session(opened)
    for kind, apart in (("touchStart", 40), ("touchMove", 80), ("touchMove", 120), ("touchEnd", 0)):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}] if apart else []
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert opened.inner_text("#zoom-reset") == "300 %"
    assert opened.evaluate("document.documentElement.scrollWidth") <= 820
    context.close()


def test_page_fits_a_phone_and_is_not_blank(page: playwright.Page, tmp_path: Path) -> None:
    for width, height in ((1280, 800), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        picture = page.screenshot(path=tmp_path / f"{width}.png")
        pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert pixels.shape == (height, width) and pixels.std() > 20
