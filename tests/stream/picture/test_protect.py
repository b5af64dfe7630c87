"""What is not tissue passes bit for bit, and tissue is never taken for something else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerecon.core.errors import EngineError, UsageError
from edgerecon.core.frame import to_uint8, to_unit
from edgerecon.engines import open_engine
from edgerecon.stream.engines import Engines
from edgerecon.stream.picture.finder import SETTLED_AFTER
from edgerecon.stream.picture.protect import ProtectedEngine, first_frames, parse_protect
from edgerecon.stream.picture.tissue import LOOKED_AT, find_tissue
from edgerecon.stream.sources import open_source

ULTRASOUND = Path(__file__).resolve().parents[4] / "shared" / "ultrasound"


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
    for step in range(SETTLED_AFTER + 1):
        frame = screen(step, background)
        out = protected.run(frame)
        outside = ~cv2.dilate(tissue().astype(np.uint8), np.ones((13, 13), np.uint8)).astype(bool)
        assert (out[outside] == frame[outside]).all()
    assert np.abs(out - frame)[tissue()].mean() > 0.01


def test_text_over_moving_tissue_keeps_its_contrast() -> None:
    protected, plain = ProtectedEngine(engine()), engine()
    for step in range(SETTLED_AFTER + 1):
        frame = screen(step)
        out = protected.run(frame)
    letters = frame[100:125, 148:185] == 1.0
    assert letters.sum() > 50
    assert (out[100:125, 148:185][letters] == 1.0).all()
    assert plain.run(frame)[100:125, 148:185][letters].mean() < 1.0


def test_all_of_a_frame_without_surroundings_is_tissue() -> None:
    frame = np.random.default_rng(0).random((60, 80), dtype=np.float32)
    assert (find_tissue([to_uint8(frame)] * LOOKED_AT) == 255).all()
    protected, plain = ProtectedEngine(engine()), engine()
    for step in range(SETTLED_AFTER + 2):
        frame = np.random.default_rng(step).random((60, 80), dtype=np.float32)
        assert (protected.run(frame) == plain.run(frame)).all()


@pytest.mark.parametrize("count", [1, LOOKED_AT])
def test_dark_tissue_at_the_border_stays_tissue(count: int) -> None:
    """Deep shadow of level 6 beside a margin of level 2: speckle of few grey levels that hardly moves."""
    random = np.random.default_rng(4)
    speckle = cv2.GaussianBlur(random.normal(0, 1, (240, 320)).astype(np.float32), (0, 0), 2.0)
    shadow = 6 + 2.2 * speckle / speckle.std()
    frames = []
    for _ in range(count):
        frame = np.rint(np.clip(shadow + random.normal(0, 0.3, shadow.shape), 0, 255)).astype(np.uint8)
        frame[:150] = np.clip(random.rayleigh(45, (150, 320)), 14, 230)
        frame[:, 300:] = 2
        frames.append(frame)
    mask = find_tissue(frames)
    assert not mask[:, 302:].any(), "the margin"
    assert (mask[152:, :298] > 0).mean() > 0.99, "the shadow"


def test_an_anechoic_cyst_within_tissue_stays_tissue() -> None:
    random = np.random.default_rng(1)
    rows, columns = np.mgrid[:120, :160]
    cyst = (rows - 60) ** 2 + (columns - 80) ** 2 < 900
    frames = [np.where(cyst, 0, random.integers(0, 256, (120, 160))).astype(np.uint8) for _ in range(LOOKED_AT)]
    assert (find_tissue(frames) == 255).all()


def test_a_new_layout_of_the_screen_is_looked_at_anew() -> None:
    protected = ProtectedEngine(engine())
    for step in range(SETTLED_AFTER + 1):
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
    with pytest.raises(UsageError, match="--protect: the box 0,0,9999,10 is not within a frame of 320×240"):
        Engines(protect="0,0,9999,10").find_tissue(open_source(str(echo_cine)))
    Engines(protect="0,0,320,240").find_tissue(open_source(str(echo_cine)))


def test_text_in_lossy_surroundings_passes_bit_for_bit() -> None:
    protected = ProtectedEngine(engine())
    for step in range(SETTLED_AFTER + 1):
        levels = np.rint(screen(step) * 255).astype(np.uint8)
        frame = to_unit(cv2.imdecode(cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], 0))
        out = protected.run(frame)
    text = (slice(10, 40), slice(4, 70))
    assert frame[text].max() > 0.9
    assert (out[text] == frame[text]).all()


def test_blocks_that_a_codec_skips_stay_tissue() -> None:
    random, frames = np.random.default_rng(5), list[np.ndarray]()
    frame = random.random((120, 160)).astype(np.float32)
    for _ in range(LOOKED_AT):
        moving = random.random((120, 160)) < 0.5  # the rest is repeated, as skipped blocks are
        frame = np.where(moving, random.random((120, 160)), frame).astype(np.float32)
        frame[30:60, 40:100] = 0.5 * frame[30:60, 40:100].round()
        frames.append(to_uint8(frame))
    assert (find_tissue(frames) == 255).all()


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
    for step in range(SETTLED_AFTER + 1):
        frame = screen(step)
        out = protected.run(frame)
    assert (out[10:40, 4:70] == frame[10:40, 4:70]).all() and frame[10:40, 4:70].max() == 1


CORNERS = st.tuples(st.integers(0, 60), st.integers(0, 90))
SIDES = st.tuples(st.integers(40, 100), st.integers(60, 130))


@settings(max_examples=15, deadline=None)
@given(CORNERS, SIDES, st.sampled_from([0, 1, 60, 255]), st.integers(0, 99))
def test_tissue_of_any_screen_is_kept(corner: tuple[int, int], sides: tuple[int, int], around: int, seed: int) -> None:
    (top, left), (high, wide) = corner, sides
    frames = []
    for step in range(LOOKED_AT):
        frame = np.full((160, 220), around, np.uint8)
        random = np.random.default_rng([seed, step])
        box = frame[top : top + high, left : left + wide]
        box[:] = np.clip(random.rayleigh(50, box.shape), 3, 250)
        box[box.shape[0] // 3 : box.shape[0] // 2, box.shape[1] // 4 : box.shape[1] // 2] = 0  # a cyst
        frames.append(frame)
    for seen in (frames[:1], frames):
        mask = find_tissue(seen)
        assert (mask[top : top + high, left : left + wide] == 255).mean() > 0.98, "all but what is as they are"
    assert (mask == 0).mean() >= 0.9 * (1 - high * wide / mask.size)


def cardiogram(step: int) -> np.ndarray:
    """Tissue above, a trace that runs through the black below it."""
    frame = (screen(step) * 255).astype(np.uint8)
    frame[190:] = 0
    heights = 215 - 20 * np.exp(-((((np.arange(320) + 9 * step) % 60) - 20) ** 2) / 9)
    points = np.stack([np.arange(320), heights], 1).astype(np.int32)
    cv2.polylines(frame, [points], False, 200, 1, cv2.LINE_AA)
    return to_unit(frame)


def test_an_electrocardiogram_passes_bit_for_bit() -> None:
    protected = ProtectedEngine(engine())
    for step in range(SETTLED_AFTER + 4):
        frame = cardiogram(step)
        out = protected.run(frame)
    assert (out[192:] == frame[192:]).all() and np.ptp(frame[192:]) > 0.5
    assert np.abs(out - frame)[60:180, 120:200].max() > 0.02


def test_noise_that_flickers_below_tissue_is_no_trace() -> None:
    frames = []
    for step in range(LOOKED_AT):
        frame = (screen(step) * 255).astype(np.uint8)
        noise = np.random.default_rng(50 + step).random((40, 320)) < 0.03
        frame[195:235][noise] = 200
        frames.append(frame)
    noisy = np.zeros((240, 320), bool)
    for frame in frames:
        noisy[195:235] |= frame[195:235] == 200
    noisy &= ~tissue()
    assert (find_tissue(frames)[noisy] == 255).mean() > 0.95


def test_a_recordings_first_frames_are_known_before_it_plays() -> None:
    protected, frames = ProtectedEngine(engine()), [screen(step) for step in range(LOOKED_AT)]
    protected.learn(frames)
    out = protected.run(frames[0])
    letters = frames[0][100:125, 148:185] == 1.0
    assert (out[100:125, 148:185][letters] == 1.0).all()


def test_the_model_runs_on_the_box_of_the_tissue_alone() -> None:
    seen: list[tuple[int, ...]] = []
    inner = engine()
    run = inner.run
    inner.run = lambda frame, out=None: (seen.append(frame.shape), run(frame, out))[1]
    frame = np.random.default_rng(0).random((240, 320), dtype=np.float32)
    ProtectedEngine(inner, (96, 80, 64, 80)).run(frame)
    height, width = seen[0]
    assert 80 <= height <= 160 and 64 <= width <= 144


def test_an_engine_of_one_size_runs_on_whole_frames() -> None:
    inner = engine()
    run = inner.run

    def one_size(frame: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        if frame.shape != (240, 320):
            raise EngineError("the engine takes frames of 240×320")
        return run(frame, out)

    inner.run = one_size
    frame = screen(0)
    fixed, free = ProtectedEngine(inner), ProtectedEngine(engine())
    assert np.abs(fixed.run(frame) - free.run(frame)).max() < 1e-5


@pytest.mark.parametrize("path", sorted((ULTRASOUND / "cine").glob("*")) or [None], ids=lambda path: path and path.name)
def test_real_recordings_keep_surroundings_and_text(path: Path | None) -> None:
    if path is None:
        pytest.skip("no real recordings here")
    frames = first_frames(open_source(str(path)))
    protected = ProtectedEngine(engine())
    protected.learn(frames)
    still = np.ptp(np.stack(frames), axis=0) == 0
    for frame in frames[:: len(frames) - 1]:
        out = protected.run(frame)
        mask = find_tissue([to_uint8(one) for one in frames])
        assert (out[mask == 0] == frame[mask == 0]).all()
        moves = ~still & (frame > 0.1)
        assert (mask[moves] == 255).mean() > 0.99, "what moves is tissue"
        assert np.abs(out - frame)[mask > 0].mean() > 0.001
