"""The frame contract: whatever a source may give becomes float32 (H, W) in [0, 1], or a ValueError."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgerecon.core.frame import to_gray, to_uint8, to_unit

shapes = st.one_of(
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=9).flatmap(
        lambda shape: st.sampled_from([1, 3, 4]).map(lambda channels: (*shape, channels))
    ),
)
dtypes = st.sampled_from(["u1", "<u2", ">u2", "<f4", ">f4", "<f8", "<f2"])
frames = st.tuples(shapes, dtypes).flatmap(
    lambda pair: arrays.arrays(
        pair[1], pair[0], elements=st.integers(0, 255) if "u" in pair[1] else st.floats(-1, 2, width=16)
    )
)


@given(frames)
def test_every_accepted_frame_becomes_a_unit_image(raw: np.ndarray) -> None:
    out = np.full(raw.shape[:2], 9, np.float32)
    result = to_unit(raw, out)
    assert result is out and 0 <= out.min() and out.max() <= 1
    np.testing.assert_array_equal(out, to_unit(np.flip(np.flip(raw, 0), 0)))
    if raw.ndim == 2 and raw.dtype.kind == "u":
        np.testing.assert_allclose(out, raw / np.iinfo(raw.dtype).max, atol=1e-7)


@given(arrays.arrays("u1", st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_colour_becomes_bt601_luma(raw: np.ndarray) -> None:
    expected = raw @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(to_unit(raw) * 255, expected, atol=0.51)


@given(arrays.arrays("u1", arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_uint8_survives_the_round_trip(raw: np.ndarray) -> None:
    np.testing.assert_array_equal(to_uint8(to_unit(raw)), raw)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_non_finite_frames_are_refused(bad: float, shape: tuple[int, ...]) -> None:
    raw = np.zeros(shape, np.float32)
    raw[2, 2] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        to_unit(raw)


@pytest.mark.parametrize(
    "raw",
    [
        np.zeros((0, 5), np.uint8),
        np.zeros(5, np.uint8),
        np.zeros((2, 3, 2), np.uint8),
        np.zeros((2, 3, 3, 3)),
        np.zeros((2, 3), np.int16),
        np.zeros((2, 3), complex),
        np.zeros((2, 3), object),
        np.zeros((2, 3, 3), np.uint32),
    ],
)
def test_unusable_frames_are_refused(raw: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a (colour )?frame must"):
        to_unit(raw)


def test_gray_is_written_in_place() -> None:
    raw = np.random.default_rng(1).integers(0, 256, (6, 7, 3), np.uint8)
    out = np.empty((6, 7), np.uint8)
    assert to_gray(raw, out) is out
    np.testing.assert_array_equal(out, cv2.cvtColor(raw, cv2.COLOR_RGB2GRAY))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_integers_over_their_full_scale_to_the_last_bit(kind: type) -> None:
    full = int(np.iinfo(kind).max)
    values = np.arange(full + 1, dtype=kind).reshape(16, -1)
    for highest in (0, 1, 2, 7, full // 3, full - 1, full):
        raw = np.minimum(values, kind(highest))
        expected = raw.astype(np.float32) * np.float32(1 / full)
        out = np.empty(raw.shape, np.float32)
        assert to_unit(raw, out) is out or np.shares_memory(to_unit(raw, out), out)
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(to_unit(raw[:, ::2]), expected[:, ::2])
