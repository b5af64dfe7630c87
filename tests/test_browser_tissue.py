"""The page's own search for tissue finds the pixels that the command line finds."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgerecon.core.frame import to_uint8, to_unit
from edgerecon.stream.picture.tissue import LOOKED_AT, find_tissue
from edgerecon.stream.sources import open_source

MODULE = Path(__file__).resolve().parents[1] / "docs" / "try" / "tissue.js"
FIND = """
const { findTissue } = await import(process.argv[1]);
let text = "";
for await (const part of process.stdin) text += part;
const { width, height, frames } = JSON.parse(text);
const mask = findTissue(frames.map((data) => ({ width, height, data: Uint8Array.from(Buffer.from(data, "base64")) })));
process.stdout.write(Buffer.from(mask).toString("base64"));
"""


def found_by_the_page(frames: list[np.ndarray]) -> np.ndarray:
    """The mask of tissue.js, 255 where tissue is."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    height, width = frames[0].shape
    given = {"width": width, "height": height, "frames": [base64.b64encode(one.tobytes()).decode() for one in frames]}
    command = [node, "--input-type=module", "-e", FIND, MODULE.as_uri()]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return 255 * np.frombuffer(base64.b64decode(done.stdout), np.uint8).reshape(height, width)


def sample_frames() -> list[np.ndarray]:
    source = open_source("sample")
    try:
        captures = (one for one in source.frames() if one.image is not None)
        return [to_uint8(to_unit(one.image)) for one, _ in zip(captures, range(LOOKED_AT), strict=False)]
    finally:
        source.close()


def screen(step: int) -> np.ndarray:
    """A sector of moving speckle, text beside it and over it, an ECG below, and a cyst within it."""
    random = np.random.default_rng(step)
    frame = np.full((180, 240), 12, np.uint8)
    rows, columns = np.mgrid[:180, :240]
    sector = (np.hypot(rows - 5, columns - 120) < 120) & (np.abs(columns - 120) < 0.7 * (rows - 3))
    frame[sector] = np.clip(random.rayleigh(45, int(sector.sum())) + 20, 1, 230)
    frame[(rows - 70) ** 2 + (columns - 120) ** 2 < 200] = 12
    cv2.putText(frame, "12 cm", (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255)
    cv2.putText(frame, "LV", (110, 100), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 2)
    trace = 160 + np.rint(10 * np.sin(np.arange(240) / 6 + step)).astype(int)
    for column, row in enumerate(trace):
        frame[row : row + 2, column] = 200
    return frame


def test_page_finds_the_tissue_of_the_sample() -> None:
    frames = sample_frames()
    assert np.array_equal(found_by_the_page(frames), find_tissue(frames))


@pytest.mark.parametrize("count", [1, LOOKED_AT])
def test_page_finds_the_tissue_of_a_screen_with_text_and_a_trace(count: int) -> None:
    frames = [screen(step) for step in range(count)]
    expected = find_tissue(frames)
    if count == LOOKED_AT:
        assert not expected[148:174].any(), "the trace"
        assert not expected[90:98, 110:114].all() and expected[120, 120], "letters over tissue, and tissue"
    assert np.array_equal(found_by_the_page(frames), expected)


def test_page_takes_a_frame_without_surroundings_whole() -> None:
    frames = [np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)]
    assert found_by_the_page(frames).all()
