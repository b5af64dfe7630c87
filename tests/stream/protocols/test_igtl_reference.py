"""Version 1 of OpenIGTLink against the reference library, as Debian ships it (libopenigtlink-dev, release 1.11)."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.frame import Frame
from edgerecon.core.pose import Plane, Pose, Transform
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.sinks import StreamInfo, open_sink
from edgerecon.stream.sources import open_source

HEADERS = Path("/usr/include/openigtlink")
COMPILER = shutil.which("g++") or shutil.which("clang++")
if not (HEADERS / "igtlImageMessage.h").exists() or COMPILER is None:
    pytest.skip("Debian's libopenigtlink-dev or a C++ compiler is not installed", allow_module_level=True)

INFO = StreamInfo("source", "none", "none", "fp32", 1 / 30, 33.0, None, Counters())


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    """The program of openigtlink_reference.cpp, compiled."""
    program = tmp_path_factory.mktemp("reference") / "openigtlink_reference"
    source = Path(__file__).parents[2] / "support" / "openigtlink_reference.cpp"
    flags = ["-std=c++17", "-w", f"-I{HEADERS}", "-lOpenIGTLink", "-lpthread"]
    subprocess.run([COMPILER, source, "-o", program, *flags], check=True, timeout=120)
    return program


def test_the_reference_library_reads_version_1_and_is_read(reference, rng) -> None:
    pixels = rng.integers(0, 256, (5, 7)).astype(np.uint8)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    axes = (turn * [0.25, 0.5, 1.0]).astype(np.float32).astype(np.float64)
    plane = Plane(axes, np.array([12.5, -3.25, 70.0]))
    probe = np.eye(4)
    probe[:3, :] = np.float32(rng.normal(size=(3, 4)))
    transforms = (Transform("ProbeToTracker", probe), Transform("Lost", np.eye(4), "MISSING"))
    frame = Frame(pixels / np.float32(255), 3, time.perf_counter_ns(), None, pose=Pose(plane, transforms, 1700000000.5))

    with closing(open_sink("igtl://:0?version=1")) as sink:
        sink.open(INFO)
        program = subprocess.Popen([reference, str(sink.port)], stdout=subprocess.PIPE, text=True)
        while not sink.clients:
            assert program.poll() is None
            time.sleep(0.002)
        sink.present(frame.pixels, frame, False)
        transform, image, served = (json.loads(program.stdout.readline()) for _ in range(3))
    with closing(open_source(f"igtl://127.0.0.1:{served['port']}")) as source:
        back = next(source.frames())
    assert program.wait(60) == 0

    assert (transform["type"], transform["device"]) == ("TRANSFORM", "ProbeToTracker")
    np.testing.assert_array_equal(np.float32(transform["matrix"]), np.float32(probe))
    assert (image["type"], image["device"], image["size"]) == ("IMAGE", "edgerecon", [7, 5, 1])
    assert image["time"] == pytest.approx(1700000000.5, abs=1e-6)
    np.testing.assert_array_equal(np.reshape(image["pixels"], (5, 7)), pixels)
    matrix = np.array(image["matrix"])  # the library gives directions and spacing apart, and the centre
    np.testing.assert_allclose(matrix[:3, :3] * image["spacing"], axes, atol=1e-6)
    np.testing.assert_array_equal(matrix[:3, 3], plane.centre)
    np.testing.assert_array_equal(back.image, pixels)
    np.testing.assert_allclose(back.pose.plane.axes, axes, atol=1e-6)
    np.testing.assert_array_equal(back.pose.plane.centre, plane.centre)
    assert back.spacing_mm == pytest.approx((0.5, 0.25))
