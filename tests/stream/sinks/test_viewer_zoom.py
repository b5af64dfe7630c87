"""Zoom, calipers and the frozen loop of the viewer's page, in a real browser."""

from __future__ import annotations

import pytest

from tests.stream.sinks.viewer_page import (
    AFTER,
    BEFORE,
    Streaming,
    browser,
    centre,
    drag,
    grey_at,
    left_top,
    number,
    page,
    playwright,
    state_words,
    stream,
    wait_for,
    wait_for_state,
)

__all__ = ["browser", "page", "stream"]  # fixtures


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
