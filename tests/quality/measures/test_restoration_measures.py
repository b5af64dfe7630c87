from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from edgerecon.core.errors import DataError, EngineError, GateError
from edgerecon.core.frame import Image, to_unit
from edgerecon.quality.measures.restoration import Restoration, check, violations
from edgerecon.workshop.recipe_tables import GateTable


def smooth(frame: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), 1.0), np.float32)


@pytest.fixture(scope="module")
def scene() -> Image:
    """Speckled tissue, a darker half and a bright block."""
    rng = np.random.default_rng(3)
    level = np.full((160, 192), 0.55)
    level[:, 96:] = 0.3
    level[20:40, 20:40] = 0.8
    grain = cv2.GaussianBlur(rng.standard_normal(level.shape), (0, 0), 1.2)
    return np.clip(level + 0.35 * grain, 0, 1).astype(np.float32)


def after(change: Callable[[Image], np.ndarray]) -> Callable[[Image], Image]:
    return lambda frame: np.asarray(change(smooth(frame)), np.float32)


def test_the_reference_itself_changes_nothing(scene: Image) -> None:
    found = check(smooth, smooth, [scene, scene[:, ::-1].copy()], [scene, scene])
    assert found.frames == 2
    zero = replace(found, frames=0)
    assert zero == Restoration(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    gates = GateTable(max_drop_psnr_db=0, max_drop_ssim=0, max_drop_gcnr=0, max_mean_shift=0, max_difference=1e-9)
    assert violations(found, gates) == []


def test_a_shift_is_seen_also_by_psnr(scene: Image) -> None:
    found = check(after(lambda y: y - 0.01), smooth, [scene], [scene])
    assert found.mean_shift == pytest.approx(-0.01, abs=1e-6)
    assert found.rms_error == pytest.approx(0.01, abs=1e-6)
    assert found.max_abs_error == pytest.approx(0.01, abs=1e-6)
    assert abs(found.psnr_drop_db) > 0.1
    assert found.slow_fraction > 0.99
    assert violations(found, GateTable(max_mean_shift=0.004)) == [
        "the mean grey level shifts by 0.01, allowed is 0.004: 0.006 too much"
    ]


def test_shifts_of_two_frames_do_not_cancel(scene: Image) -> None:
    sign = iter((0.02, -0.03))
    found = check(lambda frame: smooth(frame) + np.float32(next(sign)), smooth, [scene, scene])
    assert found.mean_shift == pytest.approx(-0.03, abs=1e-6)


def test_lost_contrast_is_seen(scene: Image) -> None:
    flat = check(after(lambda y: y.mean() + 0.9 * (y - y.mean())), smooth, [scene])
    assert flat.image_correlation < -0.99
    assert abs(flat.mean_shift) < 1e-6
    rng = np.random.default_rng(0)
    grain = 0.15 * rng.standard_normal(scene.shape).astype(np.float32)
    grained = check(after(lambda y: y + grain), smooth, [scene])
    assert grained.gcnr_change < -0.02 and grained.cnr_change < 0
    assert violations(grained, GateTable(max_drop_gcnr=0.01))[0].startswith("gCNR drops by 0.")
    sharper = replace(grained, gcnr_change=0.1)
    assert violations(sharper, GateTable(max_drop_gcnr=0.01)) == []


def test_structure_in_the_error(scene: Image) -> None:
    """Blur sits on edges; grain sits nowhere."""
    rng = np.random.default_rng(0)
    block = np.full(scene.shape, 0.3, np.float32)
    block[40:90, 50:120] = 0.8
    blur = check(after(lambda y: cv2.GaussianBlur(y, (0, 0), 2)), smooth, [block])
    grain = check(after(lambda y: y + 0.01 * rng.standard_normal(y.shape)), smooth, [scene])
    assert blur.edge_correlation > 0.3
    assert abs(grain.edge_correlation) < 0.05 and abs(grain.image_correlation) < 0.2
    assert grain.slow_fraction == pytest.approx(1 / (4 * math.pi * 16), rel=0.5)


def test_quality_drops_against_skimage(scene: Image) -> None:
    rng = np.random.default_rng(0)
    target = smooth(smooth(scene))
    noise = 0.03 * rng.standard_normal(scene.shape).astype(np.float32)
    found = check(after(lambda y: y + noise), smooth, [scene], [target])

    def quality(image: Image) -> tuple[float, float]:
        similarity = structural_similarity(
            image.astype(float),
            target.astype(float),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
        )
        return peak_signal_noise_ratio(target.astype(float), image.astype(float), data_range=1), similarity

    before, now = quality(smooth(scene)), quality(smooth(scene) + noise)
    assert found.psnr_drop_db == pytest.approx(before[0] - now[0], abs=1e-6) and found.psnr_drop_db > 0.1
    assert found.ssim_drop == pytest.approx(before[1] - now[1], abs=1e-6) and found.ssim_drop > 0.01
    lines = violations(found, GateTable(max_drop_psnr_db=0.05, max_drop_ssim=0.001))
    assert [line.split()[0] for line in lines] == ["PSNR", "SSIM"]
    assert f"{found.psnr_drop_db:.4g} dB, allowed is 0.05 dB" in lines[0]


def test_what_was_not_measured_passes_no_gate(scene: Image) -> None:
    black = np.zeros((64, 64), np.float32)
    found = check(smooth, smooth, [black])
    assert math.isnan(found.psnr_drop_db) and math.isnan(found.gcnr_change)
    lines = violations(found, GateTable(max_drop_psnr_db=1, max_drop_ssim=1, max_drop_gcnr=1))
    assert [line.split(" could not be measured")[0] for line in lines] == ["PSNR", "SSIM", "gCNR"]
    assert violations(found, GateTable()) == []


def test_real_frames_and_an_eight_bit_output(echo_cine: Path) -> None:
    from pydicom.pixels import pixel_array

    frames = [to_unit(pixel_array(echo_cine, index=index)) for index in (3, 20)]
    found = check(after(lambda y: np.rint(y * 255) / 255), smooth, frames)
    assert 0 < found.max_abs_error <= 0.5 / 255 + 1e-6
    assert abs(found.mean_shift) < 0.5 / 255 and found.slow_fraction < 0.3


@given(hnp.arrays(np.float32, (24, 20), elements=st.floats(0, 1, width=32)), st.floats(-0.25, 0.25))
@settings(max_examples=25, deadline=None)
def test_figures_stay_in_their_ranges(image: Image, shift: float) -> None:
    found = check(lambda frame: frame * np.float32(0.5) + np.float32(shift), lambda frame: frame, [image], [image])
    assert -1 <= found.edge_correlation <= 1 and -1 <= found.image_correlation <= 1
    assert 0 <= found.slow_fraction <= 1
    assert abs(found.mean_shift) <= found.max_abs_error + 1e-6
    assert found.rms_error <= found.max_abs_error + 1e-6


class _Broken:
    """An engine that fails as engines do."""

    def run(self, frame: Image) -> Image:
        raise EngineError("onnxruntime failed on a 160×192 frame: no memory")


def test_bad_input(scene: Image) -> None:
    with pytest.raises(DataError, match="no frame"):
        check(smooth, smooth, [])
    for frames, targets in (([scene], []), ([scene], [scene, scene])):
        with pytest.raises(DataError, match="one target"):
            check(smooth, smooth, frames, targets)
    with pytest.raises(GateError, match="not finite"):
        check(lambda frame: frame * np.float32(np.nan), smooth, [scene])
    with pytest.raises(GateError, match=r"\(80, 192\)"):
        check(lambda frame: frame[::2], smooth, [scene])
    with pytest.raises(EngineError, match="no memory"):
        check(_Broken(), smooth, [scene])  # type: ignore[arg-type]
