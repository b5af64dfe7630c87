"""What a scanner draws in colour passes through model and recording as it came."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerecon.core.frame import to_gray
from edgerecon.stream.engines import Engines
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.picture.colour import find_colour
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sources import open_source

MODEL = "compact-despeckle-w8d4"
ROWS, COLUMNS = BOX = (slice(30, 70), slice(50, 110))


def doppler(step: int, box: tuple[slice, slice] = BOX) -> np.ndarray:
    """Grey speckle with a box of flow, red and blue, and a green trace below."""
    random = np.random.default_rng(step)
    frame = np.repeat(np.clip(random.rayleigh(45, (120, 160)), 1, 230).astype(np.uint8)[..., None], 3, 2)
    high, wide = (side.stop - side.start for side in box)
    flow = np.zeros((high, wide, 3), np.uint8)
    speed = cv2.GaussianBlur(random.normal(0, 1, (high, wide)), (0, 0), 4)
    flow[..., 0], flow[..., 2] = np.where(speed > 0, 220, 10), np.where(speed > 0, 10, 220)
    frame[box] = flow
    cv2.polylines(frame, [np.array([[x, 105 + (x + step) % 7] for x in range(160)])], False, (40, 220, 60), 1)
    return frame


def recorded(tmp_path: Path, name: str, frames: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What went in and what is read from the recording, (T, H, W, 3)."""
    source, out = tmp_path / "in.npz", tmp_path / name
    np.savez(source, frames=np.stack(frames))
    with Engines("onnxruntime", threads=1, protect="auto") as engines:
        report = stream(
            open_source(str(source)), engines.open(MODEL), [open_sink(str(out))], policy="every", pace=False
        )
    assert report.error is None and report.presented == len(frames)
    if name.endswith(".zarr"):
        return np.stack(frames), np.asarray(zarr.open_group(out, mode="r")["frames"])
    return np.stack(frames), np.stack([capture.image for capture in open_source(str(out)).frames()])


@pytest.mark.parametrize("name", ["out.npz", "out.mha", "out.nrrd", "out.h5", "out.zarr", "out.dcm"])
def test_a_colour_box_is_recorded_byte_for_byte(tmp_path: Path, name: str) -> None:
    before, after = recorded(tmp_path, name, [doppler(step) for step in range(3)])
    assert after.shape == before.shape
    assert (after[:, ROWS, COLUMNS] == before[:, ROWS, COLUMNS]).all()
    trace = np.ptp(before, axis=-1) > 24
    assert (after[trace] == before[trace]).all()
    tissue = np.s_[:, 80:95]
    assert (np.ptp(after[tissue], axis=-1) == 0).all(), "tissue stays grey"
    assert np.abs(after[tissue].astype(int) - before[tissue]).mean() > 3, "and the model acts on it"


def test_a_video_shows_a_colour_box_in_colour(tmp_path: Path) -> None:
    before, after = recorded(tmp_path, "out.mp4", [doppler(step) for step in range(3)])
    box = after[:, :, 160:][:, ROWS, COLUMNS].astype(int)
    red = before[:, ROWS, COLUMNS][..., 0] > 128
    assert np.median(box[red][:, 0] - box[red][:, 2]) > 40 and np.median(box[~red][:, 2] - box[~red][:, 0]) > 40
    assert np.ptp(after[:, 82:94, 160:], axis=-1).max() < 24


def test_grey_stored_as_rgb_is_recorded_grey(tmp_path: Path) -> None:
    grey = [np.repeat(to_gray(doppler(step))[..., None], 3, 2) for step in range(2)]
    np.savez(tmp_path / "in.npz", frames=np.stack(grey))
    sink = open_sink(str(tmp_path / "out.npz"))
    stream(open_source(str(tmp_path / "in.npz")), None, [sink], policy="every", pace=False)
    assert np.load(tmp_path / "out.npz")["frames"].shape == (2, 120, 160)


def test_a_tinted_picture_holds_no_colour() -> None:
    grey = to_gray(doppler(0)).astype(float)
    sepia = np.clip(np.stack([grey * 1.2 + 20, grey, grey * 0.7], -1), 0, 255).astype(np.uint8)
    assert find_colour(sepia) is None


def test_noise_of_chroma_compression_is_no_colour() -> None:
    grey = np.repeat(to_gray(doppler(0))[..., None], 3, 2)
    coded = cv2.imdecode(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR_RGB)
    assert find_colour(coded) is None


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("alpha", [False, True])
def test_colour_of_any_type_is_found(kind: type, alpha: bool) -> None:
    full = 1.0 if kind is np.float32 else np.iinfo(kind).max / 255
    frame = (doppler(0) * full / (255 if kind is np.float32 else 1)).astype(kind)
    if alpha:
        opaque = np.full((*frame.shape[:2], 1), 1 if kind is np.float32 else np.iinfo(kind).max, kind)
        frame = np.concatenate([frame, opaque], -1)
    found = find_colour(frame)
    assert found is not None and (found.where[BOX] == 255).all()
    assert np.abs(found.pixels[BOX].astype(int) - doppler(0)[BOX]).max() <= 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.integers(0, 80), st.integers(12, 60), st.integers(12, 80), st.integers(0, 1000))
def test_all_of_a_box_with_grey_holes_is_found(top: int, left: int, high: int, wide: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    frame = np.repeat(random.integers(20, 200, (120, 160, 1)).astype(np.uint8), 3, 2)
    box = np.s_[top : top + high, left : left + wide]
    frame[box] = random.integers(0, 256, (high, wide, 3))  # some of its pixels are grey by chance
    found = find_colour(frame)
    assert found is not None
    assert (found.where[box] == 255).all()
    assert (found.pixels[box] == frame[box]).all()
    assert (found.where > 0).sum() <= (high + 8) * (wide + 8)


def test_colour_that_begins_later_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    grey = np.repeat(to_gray(doppler(0))[..., None], 3, 2)
    np.savez(tmp_path / "in.npz", frames=np.stack([grey, doppler(1)]))
    sink = open_sink(str(tmp_path / "out.npz"))
    stream(open_source(str(tmp_path / "in.npz")), None, [sink], policy="every", pace=False)
    assert "colour begins behind the first frame" in caplog.text
