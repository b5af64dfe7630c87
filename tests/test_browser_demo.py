"""The demo in the browser, in headless Chromium: the viewer's page on frames that stay in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.browser_demo import served_demo
from docs.browser_demo import VIEWER, is_built
from edgerecon.core.frame import to_uint8, to_unit
from edgerecon.engines import open_engine
from edgerecon.stream.picture.tissue import find_tissue
from edgerecon.stream.sources import open_source
from tests.support.dicom_files import write

WAIT_MS = 120_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the demo."""
    if not is_built():
        pytest.skip("make browser  brings what the demo runs on")
    with served_demo(tmp_path_factory.mktemp("site") / "try") as address:
        yield address


SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
"""With which Chromium offers WebGPU on the processor."""


@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    with pytest.importorskip("playwright.sync_api").sync_playwright() as running:
        yield running


@contextmanager
def opened(playwright: Any, address: str, *arguments: str) -> Iterator[Any]:
    """A page in headless Chromium; requests to other machines fail the test."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    options = ["--no-sandbox", *arguments]
    browser = playwright.chromium.launch(executable_path=chromium, args=options, timeout=WAIT_MS)
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.set_default_timeout(WAIT_MS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    browser.close()
    own = address.rpartition("/")[0]
    assert all(url.startswith((own, "data:", "blob:")) for url in asked)


@pytest.fixture(scope="module")
def page(playwright: Any, site: str) -> Iterator[Any]:
    """The demo's page, once it shows frames."""
    with opened(playwright, site) as page:
        page.wait_for_selector("body[data-state=live]")
        yield page


def test_sample_is_streamed_and_counted(page: Any) -> None:
    page.wait_for_function("Number(document.querySelector('#presented').textContent) >= 3", timeout=WAIT_MS)
    names = ["frames_in", "presented", "dropped"]
    at_once = "(names) => names.map((name) => Number(document.querySelector(`#${name}`).textContent.replace(/,/g, '')))"
    frames_in, presented, dropped = page.evaluate(at_once, names)
    assert 0 <= frames_in - presented - dropped <= 2  # in the worker, and waiting
    assert "WebAssembly" in page.text_content("#engine") or "WebGPU" in page.text_content("#engine")


def answered(page: Any, frame: np.ndarray, strength: float, options: str = "backend=wasm") -> np.ndarray:
    """What the page's worker makes of a frame."""
    ask = """([options, width, height, data, strength]) => new Promise((done) => {
        const worker = new Worker(`engine-worker.js?${options}`, {type: 'module'});
        worker.onmessage = ({data: answer}) => {
            if (answer.ready) worker.postMessage({width, height, data: new Uint8Array(data), strength});
            else { worker.terminate(); done(answer.failure ?? answer.unusable ?? Array.from(answer.data)); }
        };
    })"""
    height, width = frame.shape
    answer = page.evaluate(ask, [options, width, height, frame.ravel().tolist(), strength])
    assert isinstance(answer, list), answer
    return np.reshape(answer, frame.shape)


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    """Tissue of the sample: high enough for two bands of rows, and of a width that is no multiple of anything."""
    with closing(open_source("sample")) as source:
        image = next(one.image for one in source.frames() if one.image is not None)
    return np.ascontiguousarray(to_uint8(to_unit(image))[5:235, 130:171])


def test_network_in_the_browser_is_the_networks(page: Any, frame: np.ndarray) -> None:
    with closing(open_engine("compact-despeckle", "onnxruntime", "fp32", threads=1)) as engine:
        expected = np.rint(255 * np.clip(engine.run(to_unit(frame)), 0, 1))
    shown = answered(page, frame, 1, "backend=wasm&protect=none&threads=1")
    assert np.abs(shown - expected).max() <= 2, "int16 is a level from fp32"
    assert np.abs(shown - frame).max() > 10
    two = answered(page, frame, 1, "backend=wasm&protect=none&threads=2")
    assert np.array_equal(two, shown), "whatever the threads"


def test_webgpu_makes_the_networks_picture(playwright: Any, site: str, frame: np.ndarray) -> None:
    with closing(open_engine("compact-despeckle", "onnxruntime", "fp32", threads=1)) as engine:
        expected = np.rint(255 * np.clip(engine.run(to_unit(frame)), 0, 1))
    with opened(playwright, f"{site}bench.html", *SOFTWARE_GPU) as page:
        if not page.evaluate("async () => Boolean(await navigator.gpu?.requestAdapter())"):
            pytest.skip("this Chromium offers no WebGPU without a GPU")
        shown = answered(page, frame, 1, "backend=webgpu&protect=none")
        assert np.abs(shown - expected).max() <= 1
        assert np.abs(shown - frame).max() > 10


CHOOSE = """async (networks) => {
    const {fastest} = await import('./choice.js'), now = performance.now, closed = [];
    let clock = 0;
    performance.now = () => clock;
    try {
        const chosen = await fastest(networks.map(([name, cost, levels]) => ({
            name,
            close: () => closed.push(name),
            run: async ({data}) => {
                clock += cost;
                if (levels === null) throw new Error(name);
                return data.map((level) => Math.min(level, 200) + levels);
            },
        })));
        return [chosen.name, closed];
    } finally {
        performance.now = now;
    }
}"""
"""On networks of (name, milliseconds a picture, levels off or null for an error): the chosen one, and those closed."""


def test_faster_network_is_taken_if_it_is_right(page: Any) -> None:
    wasm, gpu = ["wasm", 9, 0], ["webgpu", 3, 1]
    assert page.evaluate(CHOOSE, [wasm, gpu]) == ["webgpu", ["wasm"]]
    assert page.evaluate(CHOOSE, [wasm, ["webgpu", 30, 0]]) == ["wasm", ["webgpu"]]
    assert page.evaluate(CHOOSE, [wasm, ["webgpu", 3, 2]]) == ["wasm", ["webgpu"]], "another picture"
    assert page.evaluate(CHOOSE, [wasm, ["webgpu", 3, None]]) == ["wasm", ["webgpu"]], "an error"


def test_surroundings_pass_as_they_came(page: Any) -> None:
    screen = np.zeros((120, 160), np.uint8)
    screen[20:100, 30:130] = np.random.default_rng(2).integers(1, 256, (80, 100))
    shown = answered(page, screen, 1)
    tissue = find_tissue([screen]) > 0
    assert np.array_equal(shown[~tissue], screen[~tissue])
    assert np.abs(shown[tissue] - screen[tissue].astype(int)).mean() > 5


def test_strength_zero_shows_the_input(page: Any, frame: np.ndarray) -> None:
    assert np.array_equal(answered(page, frame, 0), frame), "bit for bit"
    page.click("#side-by-side")
    differ = """() => {
        const [one, two] = ["#twin-canvas", "#canvas"].map((id) => document.querySelector(id)).map(
            (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
        return one.length === two.length && one.some((value, at) => value !== two[at]);
    }"""
    page.wait_for_function(differ, timeout=WAIT_MS)
    page.fill("#try-strength", "0")
    page.wait_for_function(f"!({differ})()", timeout=WAIT_MS)
    page.fill("#try-strength", "100")
    page.wait_for_function(differ, timeout=WAIT_MS)
    page.click("#side-by-side")


def test_dropped_dicom_file_is_streamed(page: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "grey.dcm", np.full((3, 40, 56), 120, np.uint8))
    page.set_input_files("#try-file", str(path))
    page.wait_for_function("document.querySelector('#source').textContent === 'grey.dcm'", timeout=WAIT_MS)
    page.wait_for_function("document.querySelector('#canvas').width === 56", timeout=WAIT_MS)
    assert page.text_content("#try-fault") == ""


def test_compressed_dicom_file_is_refused_in_a_line(page: Any, echo_cine: Path) -> None:
    page.set_input_files("#try-file", str(echo_cine))
    said = "document.querySelector('#try-fault').textContent.includes('compressed DICOM is not decoded')"
    page.wait_for_function(said, timeout=WAIT_MS)


def test_foreign_file_is_refused_in_a_line(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no picture")
    page.set_input_files("#try-file", str(path))
    page.wait_for_function("document.querySelector('#try-fault').textContent.includes('notes.txt')", timeout=WAIT_MS)


def test_viewer_has_the_modules_that_are_replaced() -> None:
    assert (VIEWER / "feed.js").is_file() and (VIEWER / "session.js").is_file()
