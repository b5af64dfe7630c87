"""For the site: the demo in the browser, of the viewer's page, this folder's try/, the model and what npm brings.

Only text is kept in git: `make browser` compiles our kernels to tools/browser/build/, and puts the runtime for WebGPU
(27 MB) into tools/browser/node_modules/. Without them the site has a page in the demo's place that says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgerecon.core.frame import to_uint8, to_unit
from edgerecon.cpu.graph_layers import read_layers
from edgerecon.cpu.library import layers_image
from edgerecon.modelfile.catalogue import model_path
from edgerecon.modelfile.file import read_model
from edgerecon.stream.sources import open_source

ROOT = Path(__file__).resolve().parents[1]
VIEWER = ROOT / "edgerecon" / "stream" / "sinks" / "viewer" / "page"
MODEL = "compact-despeckle"
PACKAGES = ROOT / "tools" / "browser" / "node_modules"
KERNELS = ROOT / "tools" / "browser" / "build" / "kernels.wasm"
RUNTIME = (
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
REPLACED = {"./feed.js": "./local-feed.js", "./session.js": "./local-session.js"}
"""Modules of the viewer that talk to a server, and what stands in for them."""
ABSENT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>edgerecon</title>
<p>This site was built without the runtime of the demo. In the checkout:
<pre>make browser docs</pre>
"""
NOTICES = "From npm: onnxruntime-web (MIT, Microsoft Corporation), dicom-parser (MIT, Chris Hafey).\n"


def is_built() -> bool:
    """Whether `make browser` has run."""
    return (PACKAGES / "onnxruntime-web" / "dist").is_dir() and KERNELS.is_file()


def demo_files() -> Iterator[tuple[str, bytes]]:
    """(name under try/, content) of all that docs/try/ itself does not hold."""
    if not is_built():
        yield "index.html", ABSENT.encode()
        return
    for path in VIEWER.iterdir():
        if path.name != "index.html":
            yield path.name, path.read_bytes()
    yield "index.html", _page((VIEWER / "index.html").read_text(encoding="utf-8")).encode()
    for name in RUNTIME:
        yield f"ort/{name}", (PACKAGES / "onnxruntime-web" / "dist" / name).read_bytes()
    yield "dicomParser.min.js", (PACKAGES / "dicom-parser" / "dist" / "dicomParser.min.js").read_bytes()
    yield "NOTICES.txt", NOTICES.encode()
    yield "model.onnx", model_path(MODEL).read_bytes()
    yield "kernels.wasm", KERNELS.read_bytes()
    yield from _network()
    yield from _sample()


def _page(viewer: str) -> str:
    """The viewer's page with its server replaced, and this demo's beginning and looks."""
    modules = json.dumps({"imports": REPLACED})
    script = f'<script type="importmap">{modules}</script>\n  <script type="module" src="try.js"></script>'
    page, found = re.subn(r'<script type="module" src="viewer\.js"></script>', script, viewer)
    assert found == 1, "the viewer's page begins otherwise: mend docs/browser_demo.py"
    styled = page.replace('href="style.css">', 'href="style.css">\n  <link rel="stylesheet" href="try.css">')
    return styled.replace("<title>edgerecon viewer</title>", "<title>edgerecon in your browser</title>")


def _network() -> Iterator[tuple[str, bytes]]:
    """The int16 form of the model, which our kernels run, as docs/try/network.js reads it."""
    file = read_model(model_path(f"{MODEL}-int16"))
    layers = read_layers(file)
    about = {"model": MODEL, "precision": file.spec.precision, "layers": len(layers)}
    about |= {"multiple": file.spec.size_multiple, "reach": max(1, file.spec.receptive_field // 2)}
    yield "network.json", json.dumps(about).encode()
    yield "network.bin", layers_image(layers)


def _sample() -> Iterator[tuple[str, bytes]]:
    """The echocardiography cine of pydicom in 8-bit grey, and what it is."""
    source = open_source("sample")
    try:
        frames = [to_uint8(to_unit(taken.image)) for taken in source.frames() if taken.image is not None]
    finally:
        source.close()
    height, width = frames[0].shape
    about = {"name": "sample", "width": width, "height": height, "period_ms": 1e3 * (source.period_s or 1 / 30)}
    yield "sample.json", json.dumps(about).encode()
    yield "sample.bin", b"".join(frame.tobytes() for frame in frames)


def on_files(files: Any, config: Any) -> Any:
    """Add the demo's files to the site (a hook of MkDocs)."""
    from mkdocs.structure.files import File

    for name, content in demo_files():
        files.append(File.generated(config, f"try/{name}", content=content))
    return files
