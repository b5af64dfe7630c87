"""How quick the demo in the browser is: its worker in headless Chromium, and ONNX Runtime on the same frames, in turns.

    make browser && python bench/browser_demo.py --json bench/results/browser-demo.json

512×512 noise through compact-despeckle: in int16 by our kernels in WebAssembly, and in fp32 by ONNX Runtime. A frame's
time is from posting it to the worker to its answer, with the conversion from and to 8 bits; ONNX Runtime's has the same
conversions, and as many threads. Drawing is not included.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from docs.browser_demo import demo_files, is_built  # noqa: E402
from edgerecon.core.frame import to_uint8, to_unit  # noqa: E402
from edgerecon.engines import open_engine  # noqa: E402
from edgerecon.hardware.device import host_profile  # noqa: E402
from edgerecon.measure.bootstrap import percentile_interval, ratio_samples  # noqa: E402

SIDE, WARM = 512, 5
WAIT_MS = 120_000
START = """() => new Promise((done) => {
    const worker = new Worker('engine-worker.js?backend=wasm', {type: 'module'});
    worker.onmessage = ({data}) => { window.bench = worker; done(data.ready ?? data); };
})"""
RUN = """([side, count]) => new Promise(async (done) => {
    const data = new Uint8Array(side * side), times = [];
    for (let at = 0; at < data.length; at += 65536) crypto.getRandomValues(data.subarray(at, at + 65536));
    for (let frame = 0; frame < count; frame++) {
        const began = performance.now();
        await new Promise((next) => {
            window.bench.onmessage = next;
            window.bench.postMessage({width: side, height: side, data, strength: 1});
        });
        times.push(performance.now() - began);
    }
    done(times);
})"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # not in 3.10

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served_demo(folder: Path) -> Iterator[str]:
    """Address of the demo, written into a folder that is not there yet, as a plain static server gives it."""
    shutil.copytree(ROOT / "docs" / "try", folder)
    (folder / "bench.html").write_text("<!doctype html><title>bench</title>", encoding="utf-8")
    for name, content in demo_files():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@contextmanager
def browser_page(address: str) -> Iterator[Any]:
    """A page of the demo in headless Chromium that has no stream of its own."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is not installed: apt install chromium")
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"], timeout=WAIT_MS)
        page = browser.new_page()
        page.goto(f"{address}bench.html", timeout=WAIT_MS)
        yield page
        browser.close()


def native_ms(engine: Any, count: int) -> list[float]:
    """Times of frames in ONNX Runtime, with the conversions that the worker makes."""
    frame, times = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE), np.uint8), []
    for _ in range(count):
        began = time.perf_counter_ns()
        to_uint8(engine.run(to_unit(frame)))
        times.append((time.perf_counter_ns() - began) / 1e6)
    return times


def measure(folder: Path, rounds: int, count: int) -> dict[str, Any]:
    with served_demo(folder / "try") as address, browser_page(address) as page:
        ready = page.evaluate(START)
        threads = min(4, os.cpu_count() or 1)
        with closing(open_engine("compact-despeckle", "onnxruntime", "fp32", threads=threads)) as engine:
            page.evaluate(RUN, [SIDE, WARM]), native_ms(engine, WARM)
            turns = [(page.evaluate(RUN, [SIDE, count]), native_ms(engine, count)) for _ in range(rounds)]
    browser, native = (np.array([np.median(turn[side]) for turn in turns]) for side in (0, 1))
    samples = ratio_samples(browser, native)
    return {
        "host": host_profile(),
        "command": "python bench/browser_demo.py",
        "shape": [SIDE, SIDE],
        "browser": {**ready, "p50_ms": float(np.median(browser)), "fps": float(1e3 / np.median(browser))},
        "onnxruntime": {"threads": threads, "p50_ms": float(np.median(native)), "fps": float(1e3 / np.median(native))},
        "ratio": [float(np.median(samples)), *percentile_interval(samples)],
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not is_built():
        sys.exit("what the demo runs on is not there: run  make browser  first")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), arguments.rounds, arguments.frames)
    text = json.dumps(found, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")
    print(text if not arguments.json else f"{found['browser']['fps']:.1f} frames/s in the browser")  # noqa: T201


if __name__ == "__main__":
    main()
