"""The demo in the browser, in headless Chromium: the viewer's page on frames that stay in it."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from docs.browser_demo import PACKAGES, VIEWER, demo_files
from edgerecon.engines import open_engine

TRY = Path(__file__).resolve().parents[1] / "docs" / "try"
WAIT_MS = 120_000


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # not in 3.10

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the demo, as a plain static server gives it."""
    if not (PACKAGES / "onnxruntime-web").is_dir():
        pytest.skip("make browser  brings what the demo runs on")
    folder = tmp_path_factory.mktemp("site") / "try"
    shutil.copytree(TRY, folder)
    for name, content in demo_files():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture(scope="module")
def page(site: str) -> Iterator[Any]:
    """The page, once it shows frames; requests to other machines fail the test."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"], timeout=WAIT_MS)
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(site, timeout=WAIT_MS)  # the service worker loads it once more
        page.wait_for_selector("body[data-state=live]", timeout=WAIT_MS)
        yield page
        browser.close()
    assert all(url.startswith((site, "data:", "blob:")) for url in asked)


def test_sample_is_streamed_and_counted(page: Any) -> None:
    page.wait_for_function("Number(document.querySelector('#presented').textContent) >= 3", timeout=WAIT_MS)
    counts = {
        name: int(page.text_content(f"#{name}").replace(",", "")) for name in ("frames_in", "presented", "dropped")
    }
    assert 0 <= counts["frames_in"] - counts["presented"] - counts["dropped"] <= 2  # in the worker, and waiting
    assert "WebAssembly" in page.text_content("#engine") or "WebGPU" in page.text_content("#engine")


def test_page_is_isolated_for_threads(page: Any) -> None:
    assert page.evaluate("crossOriginIsolated")


def test_network_in_the_browser_is_the_networks(page: Any) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (30, 41), np.uint8)
    ask = """([width, height, data]) => new Promise((done) => {
        const worker = new Worker('engine-worker.js?backend=wasm', {type: 'module'});
        worker.onmessage = ({data: answer}) => {
            if (answer.ready) worker.postMessage({width, height, data: new Uint8Array(data), strength: 1});
            else { worker.terminate(); done(answer.failure ?? answer.unusable ?? Array.from(answer.data)); }
        };
    })"""
    answer = page.evaluate(ask, [41, 30, frame.ravel().tolist()])
    engine = open_engine("compact-despeckle", "onnxruntime", threads=1)
    expected = np.rint(255 * np.clip(engine.run(np.float32(frame) / np.float32(255)), 0, 1))
    engine.close()
    assert np.abs(np.reshape(answer, (30, 41)) - expected).max() <= 1


def test_strength_zero_shows_the_input(page: Any) -> None:
    page.fill("#try-strength", "0")
    assert page.text_content("#try-strength-value") == "0 %"
    page.fill("#try-strength", "100")


def test_dropped_dicom_file_is_streamed(page: Any, echo_cine: Path) -> None:
    page.set_input_files("#try-file", str(echo_cine))
    known = (
        "document.querySelector('#try-fault').textContent || document.querySelector('#source').textContent !== 'sample'"
    )
    page.wait_for_function(known, timeout=WAIT_MS)
    assert "compressed DICOM" in page.text_content("#try-fault") or echo_cine.name in page.text_content("#source")


def test_foreign_file_is_refused_in_a_line(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no picture")
    page.set_input_files("#try-file", str(path))
    page.wait_for_function("document.querySelector('#try-fault').textContent.includes('notes.txt')", timeout=WAIT_MS)


def test_viewer_has_the_modules_that_are_replaced() -> None:
    assert (VIEWER / "feed.js").is_file() and (VIEWER / "session.js").is_file()
