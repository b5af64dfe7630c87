"""The viewer's page in a real browser: what is drawn, what moves, and what it says when the stream stops."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.stream.sinks.viewer_page import (
    AFTER,
    BEFORE,
    LONG_MS,
    Streaming,
    browser,
    grey_at,
    labels,
    number,
    page,
    playwright,
    stream,
    wait_for,
    wait_for_state,
)

__all__ = ["browser", "page", "stream"]  # fixtures


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


SIZES = ((1920, 1080), (1280, 800), (820, 1180), (667, 375), (375, 667), (320, 480))


def test_disclaimer_is_in_view_at_every_size(page: playwright.Page) -> None:
    for size in SIZES:
        page.set_viewport_size({"width": size[0], "height": size[1]})
        for end in ("0", "document.body.scrollHeight"):
            page.evaluate(f"scrollTo(0, {end})")
            box = page.locator("footer").bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= size[1] + 0.5, size
            assert "Not a medical device" in page.inner_text("footer")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


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


def test_page_fits_a_phone_and_is_not_blank(page: playwright.Page, tmp_path: Path) -> None:
    for width, height in ((1280, 800), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        picture = page.screenshot(path=tmp_path / f"{width}.png")
        pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert pixels.shape == (height, width) and pixels.std() > 20
