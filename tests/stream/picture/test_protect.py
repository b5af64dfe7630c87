"""What is not tissue passes bit for bit, and tissue is never taken for something else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgerecon.core.errors import EngineError, UsageError
from edgerecon.core.frame import to_unit
from edgerecon.engines import open_engine
from edgerecon.stream.picture.protect import ProtectedEngine, parse_protect
from edgerecon.stream.picture.tissue import LOOKED_AT, TissueFinder
from edgerecon.stream.sources import open_source


def engine() -> object:
    return open_engine("compact-despeckle-w8d4", "onnxruntime", threads=1)


def screen(step: int, background: int = 0) -> np.ndarray:
    """A sector of moving speckle with text in the surroundings and over the tissue."""
    random = np.random.default_rng(step)
    frame = np.full((240, 320), background, np.uint8)
    rows, columns = np.mgrid[:240, :320]
    sector = (np.hypot(rows - 10, columns - 160) < 215) & (np.abs(columns - 160) < 0.7 * (rows - 8))
    frame[sector] = np.clip(random.rayleigh(45, sector.sum()) + 1 + background // 4, 1, 230)
    cv2.putText(frame, "12 cm", (8, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255)
    cv2.putText(frame, "LV", (150, 120), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2)
    return to_unit(frame)


def tissue(step: int = 0) -> np.ndarray:
    rows, columns = np.mgrid[:240, :320]
    return (np.hypot(rows - 10, columns - 160) < 212) & (np.abs(columns - 160) < 0.7 * (rows - 8) - 3)


@pytest.mark.parametrize("background", [0, 40, 255])
def test_surroundings_and_their_text_pass_bit_for_bit(background: int) -> None:
    protected = ProtectedEngine(engine())
    for step in range(LOOKED_AT + 2):
        frame = screen(step, background)
        out = protected.run(frame)
        outside = ~cv2.dilate(tissue().astype(np.uint8), np.ones((13, 13), np.uint8)).astype(bool)
        assert (out[outside] == frame[outside]).all()
    assert np.abs(out - frame)[tissue()].mean() > 0.01


def test_text_over_moving_tissue_keeps_its_contrast() -> None:
    protected, plain = ProtectedEngine(engine()), engine()
    for step in range(LOOKED_AT + 1):
        frame = screen(step)
        out = protected.run(frame)
    letters = frame[100:125, 148:185] == 1.0
    assert letters.sum() > 50
    assert (out[100:125, 148:185][letters] == 1.0).all()
    assert plain.run(frame)[100:125, 148:185][letters].mean() < 1.0


def test_all_of_a_frame_without_surroundings_is_tissue() -> None:
    frame = np.random.default_rng(0).random((60, 80), dtype=np.float32)
    finder = TissueFinder()
    for _ in range(LOOKED_AT):
        mask = finder.look(frame)
    assert (mask == 255).all()
    assert (ProtectedEngine(engine()).run(frame) == engine().run(frame)).all()


def test_an_anechoic_cyst_within_tissue_stays_tissue() -> None:
    random = np.random.default_rng(1)
    rows, columns = np.mgrid[:120, :160]
    cyst = (rows - 60) ** 2 + (columns - 80) ** 2 < 900
    finder = TissueFinder()
    for _ in range(LOOKED_AT):
        frame = np.where(cyst, 0, random.random((120, 160))).astype(np.float32)
        mask = finder.look(frame)
    assert (mask == 255).all()


def test_a_new_layout_of_the_screen_is_looked_at_anew() -> None:
    protected = ProtectedEngine(engine())
    for step in range(LOOKED_AT + 1):
        protected.run(screen(step))
    for step in range(3):
        full = np.random.default_rng(step).random((240, 320), dtype=np.float32)
        out = protected.run(full)
    assert (out == engine().run(full)).all()


def test_a_box_is_all_that_changes() -> None:
    frame = np.random.default_rng(0).random((60, 80), dtype=np.float32)
    out = ProtectedEngine(engine(), parse_protect("10,20,30,25")).run(frame)
    changed = out != frame
    assert changed[20:45, 10:40].mean() > 0.9
    changed[20:45, 10:40] = False
    assert not changed.any()


def test_the_output_may_be_the_frame_itself() -> None:
    frame = screen(0)
    expected = ProtectedEngine(engine()).run(frame)
    own = frame.copy()
    assert (ProtectedEngine(engine()).run(own, own) == expected).all()


@pytest.mark.parametrize("text", ["", "all", "1,2,3", "1,2,3,4,5", "-1,0,5,5", "0,0,0,5", "a,b,c,d", "1.5,2,3,4"])
def test_what_is_no_region_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--protect"):
        parse_protect(text)


def test_a_box_outside_the_frame_is_refused() -> None:
    with pytest.raises(EngineError, match="not within a frame of 80×60"):
        ProtectedEngine(engine(), (70, 0, 20, 20)).run(np.zeros((60, 80), np.float32))


def test_the_black_around_a_real_heart_passes(echo_cine: Path) -> None:
    source = open_source(str(echo_cine))
    frames = [to_unit(capture.image) for capture in source.frames()][:12]
    protected = ProtectedEngine(engine())
    for frame in frames:
        out = protected.run(frame)
    still = np.ptp(np.stack(frames), axis=0) == 0
    black = still & (frames[-1] == 0)
    assert black.mean() > 0.1
    spill = np.abs(out - frames[-1])[black]
    assert spill.mean() * 255 < 0.5


def test_a_stream_refuses_a_box_outside_the_recording(echo_cine: Path) -> None:
    from edgerecon.stream.picture.protect import check_within

    source = open_source(str(echo_cine))
    check_within((0, 0, 320, 240), source)
    with pytest.raises(UsageError, match="--protect: the box 0,0,9999,10 is not within a frame of 320×240"):
        check_within((0, 0, 9999, 10), source)


def test_text_in_lossy_surroundings_passes_bit_for_bit() -> None:
    protected = ProtectedEngine(engine())
    for step in range(LOOKED_AT + 1):
        levels = np.rint(screen(step) * 255).astype(np.uint8)
        frame = to_unit(cv2.imdecode(cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], 0))
        out = protected.run(frame)
    text = (slice(10, 40), slice(4, 70))
    assert frame[text].max() > 0.9
    assert (out[text] == frame[text]).all()


def test_blocks_that_a_codec_skips_stay_tissue() -> None:
    random, finder = np.random.default_rng(5), TissueFinder()
    frame = random.random((120, 160)).astype(np.float32)
    for _ in range(LOOKED_AT):
        moving = random.random((120, 160)) < 0.5  # the rest is repeated, as skipped blocks are
        frame = np.where(moving, random.random((120, 160)), frame).astype(np.float32)
        frame[30:60, 40:100] = 0.5 * frame[30:60, 40:100].round()
        mask = finder.look(frame)
    assert (mask == 255).all()


def test_a_real_lossy_cine_keeps_its_text_bit_for_bit(echo_cine: Path) -> None:
    source = open_source(str(echo_cine))
    protected = ProtectedEngine(engine())
    frames = [to_unit(capture.image) for capture in source.frames()]
    for frame in frames:
        out = protected.run(frame)
    text = (slice(60, 100), slice(300, 318))  # "MI 0.9", "TIS 0.7"
    assert np.ptp(frames[-1][text]) > 0.3
    assert (out[text] == frames[-1][text]).all()
    assert np.abs(out - frames[-1])[120:200, 120:200].max() > 0.02


def test_a_black_frame_before_the_picture_tells_nothing() -> None:
    protected = ProtectedEngine(engine())
    protected.run(np.zeros((240, 320), np.float32))
    for step in range(LOOKED_AT + 1):
        frame = screen(step)
        out = protected.run(frame)
    assert (out[10:40, 4:70] == frame[10:40, 4:70]).all() and frame[10:40, 4:70].max() == 1
