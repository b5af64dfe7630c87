"""The GStreamer element in a gst-launch line, with Debian's loader for elements in Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgerecon.integrations.gstreamer as plug_in

DEBIAN = f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
LOADER = list(Path("/usr/lib").glob("*-linux-gnu/gstreamer-1.0/libgstpython.so"))
STANDARD = {path for path in sys.path if "-packages" not in path and path.startswith(sys.base_prefix)}
"""Folders of this Python's own library: GStreamer's has another."""
pytestmark = [
    pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="apt install gstreamer1.0-tools"),
    pytest.mark.skipif(not LOADER, reason="apt install gstreamer1.0-python3-plugin-loader python3-gst-1.0"),
    pytest.mark.skipif(not Path(DEBIAN).exists(), reason="GStreamer's Python is of another version than this one"),
]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What GStreamer found in its plug-ins: it looks through them once."""
    return tmp_path_factory.mktemp("gstreamer") / "registry"


def launch(registry: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path and path not in STANDARD),
        "GST_PLUGIN_PATH": str(Path(plug_in.__file__).parent),
        "GST_REGISTRY": str(registry),
        "OMP_NUM_THREADS": "1",
    }
    command = ["gst-launch-1.0", "-q", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, check=False)


def test_element_filters_the_frames_of_a_pipeline(registry: Path, tmp_path: Path) -> None:
    frames = np.random.default_rng(4).integers(0, 256, (3, 24, 30), np.uint8)
    rows = np.pad(frames, ((0, 0), (0, 0), (0, 2)))  # GStreamer's rows are multiples of four bytes
    (tmp_path / "in.raw").write_bytes(rows.tobytes())
    parse = ["rawvideoparse", "format=gray8", "width=30", "height=24", "frame-size=768", "plane-strides=<32>"]
    element = ["edgerecon", "model=compact-despeckle-small", "backend=onnxruntime", "protect=none", "qos=false"]
    source, sink = ["filesrc", f"location={tmp_path}/in.raw"], ["filesink", f"location={tmp_path}/out.raw"]
    done = launch(registry, *source, "!", *parse, "!", *element, "!", *sink)
    assert done.returncode == 0, done.stderr
    out = np.frombuffer((tmp_path / "out.raw").read_bytes(), np.uint8).reshape(3, 24, 32)[:, :, :30]
    from edgerecon.integrations.frame_filter import FrameFilter

    with FrameFilter("compact-despeckle-small", "onnxruntime", protect="none") as reference:
        assert np.array_equal(out, [reference(frame) for frame in frames])


def test_absent_model_ends_the_pipeline_with_a_line(registry: Path) -> None:
    done = launch(registry, "videotestsrc", "num-buffers=1", "!", "edgerecon", "model=nope", "!", "fakesink")
    assert done.returncode != 0 and "no model 'nope' ships with edgerecon" in done.stderr
    assert "Traceback" not in done.stderr
