"""The viewer's tools in a real browser: display, panes, ruler, time, snapshot and the wide view."""

from __future__ import annotations

import re
import statistics
import time
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.stream.sinks.test_viewer_strength import Knob
from tests.stream.sinks.viewer_page import (
    AFTER,
    BEFORE,
    Streaming,
    browser,
    drag,
    grey_at,
    page,
    playwright,
    stream,
    wait_for,
    wait_for_state,
)

__all__ = ["browser", "page", "stream"]  # fixtures

GREY_OF_THE_TWIN = """() => { const c = document.getElementById('twin-canvas');
    return c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data[0] / 255; }"""


def text(page: playwright.Page, name: str) -> str:
    return page.inner_text(f"#{name}")


def area(page: playwright.Page) -> float:
    box = page.locator("#picture").bounding_box()
    return box["width"] * box["height"]


def test_brightness_and_contrast_change_the_display_and_say_so(page: playwright.Page) -> None:
    assert "display adjusted" not in text(page, "frame-facts")
    page.keyboard.press("2")
    page.keyboard.press("2")
    wait_for(page, "document.getElementById('frame-facts').textContent.includes('brightness +10 %')")
    assert grey_at(page, 0.25) == pytest.approx(BEFORE + 0.1, abs=0.01)
    assert grey_at(page, 0.75) == pytest.approx(AFTER + 0.1, abs=0.01)
    page.keyboard.press("5")
    assert grey_at(page, 0.75) == pytest.approx(AFTER, abs=0.01)
    page.keyboard.press("4")
    assert grey_at(page, 0.25) == pytest.approx(0.5 + 1.1 * (BEFORE - 0.5), abs=0.01)
    page.click("#adjust")
    assert "Display only" in text(page, "display") and text(page, "contrast-value") == "110 %"
    page.focus("#contrast")
    page.keyboard.press("End")
    assert (grey_at(page, 0.25), grey_at(page, 0.75)) == (0, 1), "three times the contrast leaves the grey scale"
    page.click("#display-reset")
    assert grey_at(page, 0.25) == pytest.approx(BEFORE, abs=0.01)


def test_adjusted_display_leaves_kept_frames_as_they_came(page: playwright.Page) -> None:
    page.keyboard.press("1")
    page.keyboard.press("Space")
    assert grey_at(page, 0.75) == pytest.approx(AFTER - 0.05, abs=0.01)
    page.keyboard.press("5")
    assert grey_at(page, 0.75) == pytest.approx(AFTER, abs=0.01), "the frozen picture is drawn anew"


def test_panes_show_both_pictures_whole_and_zoom_as_one(page: playwright.Page) -> None:
    page.keyboard.press("v")
    assert page.is_visible("#twin") and page.is_hidden("#divider")
    assert page.get_attribute("#side-by-side", "aria-pressed") == "true"
    assert page.evaluate(GREY_OF_THE_TWIN) == pytest.approx(BEFORE, abs=0.01)
    assert grey_at(page, 0.1) == grey_at(page, 0.9) == pytest.approx(AFTER, abs=0.01)
    twin, after = (page.locator(name).bounding_box() for name in ("#twin", "#picture"))
    assert twin["x"] + twin["width"] < after["x"] and twin["width"] == pytest.approx(after["width"], abs=1)
    page.mouse.move(twin["x"] + twin["width"] / 4, twin["y"] + twin["height"] / 2)
    page.mouse.wheel(0, -277)
    wait_for(page, "document.getElementById('zoom-reset').textContent === '200 %'")
    assert page.get_attribute("#twin-canvas", "style") == page.get_attribute("#canvas", "style")
    page.keyboard.press("b")
    assert page.is_hidden("#twin"), "the split view takes its place"


def test_calipers_drawn_on_one_pane_stand_on_both(page: playwright.Page) -> None:
    page.keyboard.press("v")
    page.click("#calipers")
    box = page.locator("#twin").bounding_box()
    y = box["y"] + box["height"] / 2
    drag(page, (box["x"] + 0.25 * box["width"], y), (box["x"] + 0.75 * box["width"], y))
    assert page.inner_text("#measures li") == "A: 40.0 mm", "half of 160 pixels of 0.5 mm"
    lines = page.locator("#twin .lines").bounding_box()
    assert lines["width"] == pytest.approx(box["width"], abs=1)
    assert page.get_attribute("#twin .lines use", "href") == "#lines"


@pytest.mark.parametrize("size", [(1366, 768), (390, 844)])
def test_panes_stand_side_by_side_or_one_above_the_other(page: playwright.Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.keyboard.press("v")
    twin, after = (page.locator(name).bounding_box() for name in ("#twin", "#picture"))
    assert (twin["y"] == after["y"]) is (size[0] > size[1])
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_ruler_counts_depth_and_follows_the_zoom(page: playwright.Page) -> None:
    ticks = """() => [...document.querySelectorAll('#ruler i')].filter((one) => one.textContent).map((one) =>
        [Number(one.textContent), parseFloat(one.style.top)])"""
    marks = page.evaluate(ticks)
    assert text(page, "ruler").startswith("cm")
    assert marks == [[cm, pytest.approx(100 * cm / 6, abs=0.1)] for cm in (1, 2, 3, 4, 5)], "120 rows of 0.5 mm"
    page.keyboard.press("+")
    page.keyboard.press("+")  # 2.25 times: 26.67 mm are in view, from 16.67 mm on
    marks = page.evaluate(ticks)
    assert text(page, "ruler").startswith("mm")
    assert marks == [[mm, pytest.approx(100 * (mm - 50 / 3) / (80 / 3), abs=0.1)] for mm in (20, 25, 30, 35, 40)]


MARKS_UNDER_BUTTONS = """() => { const box = (one) => one.getBoundingClientRect();
    const marks = [...document.querySelectorAll('#ruler i, #ruler b, #ruler span')].map(box);
    return [...document.querySelectorAll('#tools button, header button')].filter((one) => { const b = box(one);
        return b.width && marks.some((m) =>
            m.left < b.right && b.left < m.right && m.top < b.bottom && b.top < m.bottom);
    }).map((one) => one.id); }"""


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (1024, 768), (390, 844), (844, 390), (768, 1100)])
def test_no_button_covers_the_ruler_when_figures_are_hidden(page: playwright.Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.click("#panel")
    wait_for(page, f"({MARKS_UNDER_BUTTONS})().length === 0")
    assert page.is_visible("#ruler") and page.evaluate("document.querySelectorAll('#ruler i').length") > 20


def test_ruler_returns_to_the_edge_with_the_figures(page: playwright.Page) -> None:
    right = "document.getElementById('picture').getBoundingClientRect().right"
    gap = f"{right} - document.getElementById('ruler').getBoundingClientRect().right"
    page.set_viewport_size({"width": 1024, "height": 768})
    page.click("#panel")
    wait_for(page, f"{gap} > 50")
    page.keyboard.press("i")
    wait_for(page, f"Math.abs({gap}) < 1")


def test_ruler_is_absent_where_pixels_have_no_size(page: playwright.Page, stream: Streaming) -> None:
    assert page.is_visible("#ruler")
    stream.spacing_mm = None
    page.wait_for_selector("#ruler", state="hidden", timeout=20_000)


def test_frame_carries_the_time_of_its_capture(page: playwright.Page) -> None:
    shown = re.search(r"\d\d:\d\d:\d\d\.\d\d\d", text(page, "frame-facts"))
    assert shown, text(page, "frame-facts")
    seconds = page.evaluate("(() => { const now = new Date(); return now.getTimezoneOffset() * -60; })()")
    now = datetime.utcfromtimestamp(time.time() + seconds)
    at = datetime.strptime(shown.group(), "%H:%M:%S.%f").replace(year=now.year, month=now.month, day=now.day)
    assert abs((now - at).total_seconds()) % 86_400 < 60


def test_latency_is_the_median_of_the_last_second(page: playwright.Page) -> None:
    script = """async (points) => { const { plot, recentLatency, startChart } = await import("./chart.js");
        startChart(20); plot(points); return recentLatency(); }"""
    page.keyboard.press("Space")
    latencies = [3.0, 9.0, 4.0, 50.0, 5.0]
    points = [[0.0, 1000.0, True, False], *([1500.0 + 200 * i, ms, False, False] for i, ms in enumerate(latencies))]
    assert page.evaluate(script, points) == statistics.median(latencies)
    assert page.evaluate(script, points[:-1]) == statistics.median(latencies[:-1])
    assert page.evaluate(script, []) is None
    assert "median of the last second" in page.inner_text("aside")


def test_snapshot_saves_the_picture_with_a_caption(page: playwright.Page, tmp_path: Path) -> None:
    with page.expect_download() as download:
        page.keyboard.press("s")
    name = download.value.suggested_filename
    assert re.fullmatch(r"cine-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d\.\d{3}-frame-\d+\.png", name), name
    download.value.save_as(tmp_path / name)
    saved = cv2.imread(str(tmp_path / name), cv2.IMREAD_GRAYSCALE)
    assert saved.shape[0] > 120 and saved.shape[1] >= 160
    assert saved[60, 40] == pytest.approx(255 * BEFORE, abs=2) and saved[60, 120] == pytest.approx(255 * AFTER, abs=2)
    assert saved[125:].max() > 100, "the caption"


def test_snapshot_of_panes_holds_both_side_by_side(page: playwright.Page, tmp_path: Path) -> None:
    page.keyboard.press("v")
    with page.expect_download() as download:
        page.click("#snapshot")
    download.value.save_as(tmp_path / "panes.png")
    saved = cv2.imread(str(tmp_path / "panes.png"), cv2.IMREAD_GRAYSCALE)
    assert saved[60, 80] == pytest.approx(255 * BEFORE, abs=2) and saved[60, 244] == pytest.approx(255 * AFTER, abs=2)


def test_picture_takes_seventy_percent_of_the_screen(page: playwright.Page) -> None:
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.keyboard.press("i")
    assert page.is_hidden("aside") and area(page) >= 0.7 * 1920 * 1080
    assert page.get_attribute("#panel", "aria-pressed") == "false"
    footer = page.locator("footer").bounding_box()
    assert footer["y"] + footer["height"] <= 1080.5 and page.is_visible("text=Not a medical device")
    page.keyboard.press("i")
    assert page.is_visible("aside")


def test_wide_view_fits_every_screen(page: playwright.Page) -> None:
    for size in ((1920, 1080), (1366, 768), (1024, 768), (844, 390), (390, 844)):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        before = area(page)
        page.keyboard.press("i")
        assert area(page) > before
        for name in ("#picture", "#tools", "#state", "#frame-facts", "footer"):
            box = page.locator(name).bounding_box()
            assert box["x"] >= -0.5 and box["x"] + box["width"] <= size[0] + 0.5, (size, name)
            assert box["y"] >= -0.5 and box["y"] + box["height"] <= size[1] + 0.5, (size, name)
        page.keyboard.press("i")


def test_full_screen_hides_the_figures_and_brings_them_back(page: playwright.Page) -> None:
    page.keyboard.press("w")
    wait_for(page, "document.fullscreenElement !== null && document.body.hasAttribute('data-wide')")
    assert page.get_attribute("#full-screen", "aria-pressed") == "true" and page.is_hidden("aside")
    page.keyboard.press("w")
    wait_for(page, "document.fullscreenElement === null && !document.body.hasAttribute('data-wide')")
    assert page.is_visible("aside")


def test_tools_over_the_picture_go_when_idle_and_come_back(page: playwright.Page) -> None:
    page.set_viewport_size({"width": 1024, "height": 768})
    page.keyboard.press("i")
    page.wait_for_selector("body[data-idle]", timeout=20_000)
    page.mouse.move(400, 300)
    assert page.evaluate("document.body.hasAttribute('data-idle')") is False
    page.focus("#freeze")
    page.keyboard.press("Tab")
    page.wait_for_timeout(3500)
    assert page.evaluate("document.body.hasAttribute('data-idle')") is False, "a focused button stays in view"


def test_every_tool_has_a_key_in_the_help(page: playwright.Page) -> None:
    page.keyboard.press("?")
    listed = page.inner_text("#keys")
    for what in ("side by side", "Snapshot", "Whole screen", "Figures", "brighter (display only)", "contrast"):
        assert what in listed
    box = page.locator("#help").bounding_box()
    assert box["height"] <= 800
    assert np.isclose(page.locator("#help").evaluate("one => one.scrollWidth - one.clientWidth"), 0)


def test_slider_sets_the_strength_of_the_stream(browser: playwright.Browser) -> None:
    knob = Knob()
    streaming = Streaming(controls=knob)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(streaming.viewer.url)
    wait_for_state(page, "live")
    slider = page.locator("#strength")
    assert slider.is_visible() and slider.input_value() == "100"
    slider.fill("30")
    assert knob.set.wait(60) and knob.strength == 0.3
    assert text(page, "strength-value") == "30 %"
    knob.strength = 0.6  # as another page sets it
    wait_for(page, "() => document.getElementById('strength').value === '60'")
    page.close()
    streaming.end()


def test_slider_is_absent_where_no_strength_can_be_set(page: playwright.Page) -> None:
    assert not page.locator("#strength").is_visible()
