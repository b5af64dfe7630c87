"""Every filter of a stream, compared with scikit-image, and the chain that they make."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from skimage import exposure
from skimage import filters as sk_filters
from skimage.morphology import footprint_rectangle
from skimage.restoration import denoise_nl_means
from skimage.transform import resize as sk_resize
from skimage.transform import warp

from edgerecon.core.errors import ConfigError, EngineError, UsageError
from edgerecon.core.frame import Image, to_rgb, to_unit
from edgerecon.core.pose import Plane, Pose, Transform
from edgerecon.cpu.library import Library
from edgerecon.engines import open_engine
from edgerecon.stream.filters import denoising
from edgerecon.stream.filters.chain import FilterSettings
from edgerecon.stream.filters.engine import FilteredEngine
from edgerecon.stream.filters.filter import open_filters, stream_filters
from edgerecon.stream.filters.source import filtered
from edgerecon.stream.loop.options import StreamOptions
from edgerecon.stream.loop.report import StreamReport
from edgerecon.stream.loop.ring import Slot
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.serve.config import load_config
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.memory import Cine
from tests.support.stream_fakes import KeepSink, ListSource


@pytest.fixture(scope="module")
def image() -> Image:
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(96)[:, None] / 9) * np.sin(np.arange(128)[None] / 11)
    return np.float32(np.clip(0.5 + 0.3 * waves + 0.08 * rng.standard_normal((96, 128)), 0, 1))


def ran(text: str, image: Image) -> Image:
    result = open_filters([text])[0].make()(image.copy())
    assert result.dtype == np.float32 and result.ndim == 2
    return result


def test_levels_are_those_of_scikit_image(image: Image) -> None:
    assert np.allclose(ran("grey-map:gamma=0.7", image), exposure.adjust_gamma(image, 0.7), atol=1e-5)
    expected = exposure.rescale_intensity(image, in_range=(0.2, 0.8), out_range=(0, 1))
    assert np.allclose(ran("window:low=0.2,high=0.8", image), expected, atol=1e-5)
    assert np.allclose(ran("window:low=1,high=0", image), 1 - image, atol=1e-5)
    assert np.allclose(ran("gain:db=6,range=60", image), np.clip(image + 0.1, 0, 1), atol=1e-6)
    ramp = np.linspace(0, 0.2, 96)[:, None]
    assert np.allclose(ran("time-gain:far=12,range=60", image), np.clip(image + ramp, 0, 1), atol=1e-6)


def test_smoothing_is_that_of_scikit_image(image: Image) -> None:
    inner = (slice(8, -8), slice(8, -8))
    for size in (3, 5, 7):
        expected = sk_filters.median(image, footprint_rectangle((size, size)))
        assert np.abs(ran(f"median:size={size}", image) - expected)[inner].max() < 1 / 255
    assert np.allclose(ran("gaussian:sigma=1.5", image), sk_filters.gaussian(image, 1.5, mode="nearest"), atol=2e-3)
    expected = sk_filters.unsharp_mask(image, radius=1.5, amount=0.8)
    assert np.abs(ran("edges:amount=0.8,sigma=1.5", image) - expected)[inner].max() < 4e-3


def test_bilateral_is_its_formula(image: Image) -> None:
    """Not scikit-image's, which is 0.02 off this sum."""
    reach, levels, space = 7, 0.1, 2.0
    padded = np.pad(image, reach, mode="reflect")
    total, weight = np.zeros(image.shape), np.zeros(image.shape)
    for row, column in np.argwhere(np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach):
        shifted = padded[row : row + image.shape[0], column : column + image.shape[1]]
        far = ((row - reach) ** 2 + (column - reach) ** 2) / (2 * space**2)
        weights = np.exp(-far - (shifted - image) ** 2 / (2 * levels**2))
        total, weight = total + weights * shifted, weight + weights
    error = np.abs(ran("bilateral:size=15,levels=0.1,space=2", image) - total / weight)
    assert error.mean() < 1e-3 and error.max() < 1.5 / 255


@pytest.mark.parametrize(("height", "size"), [(1, 5), (21, 1), (21, 5), (96, 31), (200, 7), (200, 8)])
def test_bilateral_has_no_seam_between_its_bands(height: int, size: int) -> None:
    image = np.random.default_rng(height).random((height, 40), dtype=np.float32)
    found = ran(f"bilateral:size={size},levels=0.2,space=3", image)
    assert found.shape == image.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, cv2.bilateralFilter(image, size, 0.2, 3), atol=1e-5)


def test_adaptive_contrast_is_that_of_scikit_image(image: Image) -> None:
    """Both interpolate between tiles, each in its own way: they agree in what they do, not in every level."""
    found = ran("clahe:clip=2,tiles=4", image)
    expected = exposure.equalize_adapthist(image, kernel_size=(24, 32), clip_limit=2 / 256)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.97
    assert found.std() > image.std()


def test_geometry_is_that_of_scikit_image(image: Image) -> None:
    assert np.allclose(
        ran("resize:width=256,height=192", image), sk_resize(image, (192, 256), order=1, mode="edge"), atol=1e-5
    )
    shrunk = image.reshape(48, 2, 64, 2).mean((1, 3))
    assert np.allclose(ran("resize:width=64,height=48", image), shrunk, atol=1e-5)
    assert np.array_equal(ran("crop:x=5,y=7,width=20,height=10", image), image[7:17, 5:25])
    sector = ran("scan-conversion:angle=90,start=0.25,width=80", image)
    half, top = np.pi / 4, 0.25 * np.cos(np.pi / 4)
    step = 2 * np.sin(half) / 79
    assert sector.shape == (round((1 - top) / step) + 1, 80)

    def polar(places: np.ndarray) -> np.ndarray:
        across, down = step * (places[:, 0] - (sector.shape[1] - 1) / 2), top + step * places[:, 1]
        beam, radius = np.arctan2(across, down), np.hypot(across, down)
        return np.stack([(beam / half + 1) / 2 * 127, (radius - 0.25) / 0.75 * 95], 1)

    expected = warp(image, polar, output_shape=sector.shape, order=1, cval=0)
    assert np.abs(sector - expected).mean() < 3e-3 and sector[0, 0] == 0


def test_non_local_means_runs_on_opencv_without_the_kernels(
    image: Image, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def absent() -> Library:
        raise EngineError("not built")

    monkeypatch.setattr(denoising, "load_library", absent)
    small = image[:48, :64]
    expected = denoise_nl_means(small, patch_size=7, patch_distance=5, h=0.1, fast_mode=True)
    found = ran("non-local-means:h=0.1,patch=7,search=11", small)
    assert "OpenCV, which takes several times as long: not built" in caplog.text
    assert np.abs(found - expected).mean() < 0.02 and found.std() < small.std()


@pytest.mark.usefixtures("native")
def test_non_local_means_is_the_same_with_the_kernels(image: Image) -> None:
    run = open_filters(["non-local-means:h=0.1,patch=6,search=10"])[0].make()
    for part in (image, image[:40]):
        levels = np.round(part * 255).astype(np.uint8)
        expected = cv2.fastNlMeansDenoising(levels, None, 25.5, 7, 11)
        assert np.abs(run(np.float32(levels / 255)) * 255 - expected).max() < 1


def test_low_rank_is_the_best_of_its_rank(image: Image) -> None:
    """scikit-image has none: NumPy's decomposition is the reference."""
    left, values, right = np.linalg.svd(image, full_matrices=False)
    best = np.clip((left[:, :8] * values[:8]) @ right[:8], 0, 1)
    run = open_filters(["low-rank:rank=8"])[0].make()
    first, *_, last = (run(image) for _ in range(4))  # each frame goes on from the directions of the one before
    errors = [np.linalg.norm(image - found) for found in (first, last, best)]
    assert errors[0] < 1.01 * errors[2] and errors[1] < 1.002 * errors[2]
    assert np.linalg.matrix_rank(last, tol=1e-3) <= 8 + 1


def test_temporal_low_rank_keeps_what_frames_share(image: Image) -> None:
    rng = np.random.default_rng(1)
    noisy = [np.clip(image + np.float32(0.1) * rng.standard_normal(image.shape, np.float32), 0, 1) for _ in range(5)]
    run = open_filters(["temporal-low-rank:history=5,rank=1"])[0].make()
    found = [run(frame) for frame in noisy][-1]
    left, values, right = np.linalg.svd(np.stack([frame.ravel() for frame in noisy]), full_matrices=False)
    assert np.allclose(found.ravel(), np.clip(values[0] * left[-1, 0] * right[0], 0, 1), atol=1e-4)
    assert np.abs(found - image).mean() < 0.7 * np.abs(noisy[-1] - image).mean()


@pytest.mark.parametrize("kernels", [pytest.param(True, marks=pytest.mark.slow), False])
def test_diffusion_is_its_formula(
    image: Image, kernels: bool, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    def absent() -> Library:
        raise EngineError("not built")

    if kernels:
        request.getfixturevalue("native")
    else:
        monkeypatch.setattr(denoising, "load_library", absent)
    level = image.astype(float)
    for _ in range(3):
        padded = np.pad(level, 1, mode="edge")
        sides = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
        level = level + 0.1 * sum((side - level) * np.exp(-(((side - level) / 0.1) ** 2)) for side in sides)
    assert np.allclose(ran("diffusion:iterations=3,kappa=0.1,step=0.1", image), np.clip(level, 0, 1), atol=1e-5)


def test_local_levels_is_its_formula(image: Image) -> None:
    middle = np.median(image)
    away = image - middle
    above, below = (uniform_filter(np.maximum(sign * away, 0), 7, mode="reflect") for sign in (1, -1))
    minority = np.where(away >= 0, below - above, above - below) / (above + below)
    expected = middle + (1 - 0.8 * np.clip(minority, 0, 1)) * away
    expected += image.mean() - expected.mean()
    assert np.abs(ran("local-levels:radius=3,beta=0.8", image) - np.clip(expected, 0, 1)).mean() < 2e-3


def test_persistence_remembers_frames(image: Image) -> None:
    run = open_filters(["persistence:alpha=0.75"])[0].make()
    assert np.array_equal(run(image), image)
    assert np.allclose(run(np.zeros_like(image)), 0.75 * image, atol=1e-6)
    assert run(image[:10]).shape == (10, 128)


@pytest.mark.parametrize("name", sorted(stream_filters()))
def test_defaults_keep_the_range(name: str, image: Image) -> None:
    record = stream_filters()[name]
    text = f"{name}:width=64,height=48" if name in ("crop", "resize") else name
    result = ran(text, image)
    assert 0 <= result.min() and result.max() <= 1
    assert (record.move is not None) == (result.shape != image.shape)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sharpen", "no filter 'sharpen': choose one of"),
        ("median:width=3", "has no 'width=3': it takes size=3"),
        ("median:size", "has no 'size'"),
        ("median:size=3,size=5", "size twice"),
        ("median:size=2.5", "a whole number from 1 to 31, not '2.5'"),
        ("median:size=nan", "not 'nan'"),
        ("gaussian:sigma=inf", "from 0.1 to 20"),
        ("gaussian:sigma=wide", "not 'wide'"),
    ],
)
def test_what_makes_no_sense_is_said(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        open_filters([text])


def frames(count: int = 3, shape: tuple[int, int] = (40, 48)) -> list[np.ndarray]:
    return [np.full(shape, 40 * number + 20, np.uint8) for number in range(count)]


class Kept:
    """A sink that keeps what it is shown."""

    name, quick = "kept", True

    def __init__(self) -> None:
        self.shown: list[tuple[Image, tuple[float, float] | None]] = []

    def open(self, info: object) -> None: ...

    def present(self, before: Image, after: object, late: bool) -> None:
        self.shown.append((after.pixels.copy(), after.spacing_mm))  # type: ignore[attr-defined]

    def close(self) -> None: ...


def settings(texts: list[str]) -> FilterSettings:
    return FilterSettings(open_filters(texts))


def streamed(before: list[str], after: list[str]) -> tuple[Kept, StreamReport]:
    source = Cine(np.stack(frames()), 0.1)
    source.spacing_mm = (0.2, 0.4)
    engine = FilteredEngine(open_engine("compact-fpga", "onnxruntime"), settings(after)) if after else None
    sink = Kept()
    options = StreamOptions(policy="every", pace=False)
    return sink, stream(filtered(source, settings(before)), engine, [sink], options)


def test_filters_before_are_steps_of_the_report() -> None:
    sink, report = streamed(["resize:width=24,height=80", "gain:db=6,range=60"], [])
    assert report.presented == 3 and {"resize", "gain"} <= set(report.stages_ms)
    pixels, spacing = sink.shown[1]
    assert pixels.shape == (80, 24) and np.allclose(pixels, 60 / 255 + 0.1, atol=1e-3)
    assert spacing == pytest.approx((0.1, 0.8))


def test_filters_after_are_steps_of_the_report() -> None:
    sink, report = streamed([], ["window:low=1,high=0"])
    assert report.presented == 3 and "window after" in report.stages_ms
    expected = 1 - open_engine("compact-fpga", "onnxruntime").run(np.float32(frames()[2] / 255))
    assert np.allclose(sink.shown[2][0], expected, atol=1e-3)


def test_filter_that_fails_costs_its_frame_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(image: Image) -> Image:
        raise RuntimeError("no")

    [gain] = open_filters(["gain"])
    monkeypatch.setattr(type(gain), "make", lambda self: fails)
    sink, report = streamed(["gain"], [])
    assert report.failed == 3 and not sink.shown
    assert "the filter gain failed: no" in str(report.failures)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("crop:width=999,height=10", "the filter crop failed: the box 0,0,999,10 is not within a frame of 48×40"),
        ("scan-conversion:angle=1,width=8192", "give a smaller width"),
    ],
)
def test_recording_that_cannot_be_resized_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        streamed([text], [])


def test_damaged_first_frame_costs_itself_alone() -> None:
    damaged = np.full((40, 48), np.nan, np.float32)
    source = filtered(ListSource([Capture(damaged), *map(Capture, frames(2))]), settings(["resize:width=24,height=20"]))
    kept = KeepSink()
    report = stream(source, None, [kept], StreamOptions(policy="every", pace=False))
    assert (report.failed, report.presented) == (1, 2) and kept.frames[0].pixels.shape == (20, 24)


PLANE = Plane.from_matrix(np.diag([0.4, 0.2, 1.0, 1.0]) + np.eye(4, k=3) * 7, (40, 48))
TRACKED = Transform("ProbeToTracker", np.eye(4))


def placed(text: str) -> tuple[Capture, Capture]:
    """A frame with a place, before and after a filter."""
    pixels = np.zeros((40, 48), np.uint8)
    before = Capture(pixels, spacing_mm=(0.2, 0.4), pose=Pose(PLANE, (TRACKED,)))
    return before, next(filtered(ListSource([before]), settings([text])).frames())


@pytest.mark.parametrize(
    ("text", "pixel", "was"),
    [
        ("resize:width=24,height=80", (7.25, 10.5), (15.0, 5.0)),
        ("crop:x=5,y=7,width=20,height=10", (3.0, 2.0), (8.0, 9.0)),
        ("median", (3.0, 2.0), (3.0, 2.0)),
    ],
)
def test_pixels_stay_where_they_are_in_space(text: str, pixel: tuple[float, float], was: tuple[float, float]) -> None:
    """pixel, was: column and row of one point, after and before; centres of pixels are whole numbers."""
    before, after = placed(text)
    assert after.image is not None and after.pose is not None and after.pose.plane is not None and PLANE
    now, then = after.pose.plane.matrix(after.image.shape), PLANE.matrix((40, 48))
    assert now @ (*pixel, 0, 1) == pytest.approx(then @ (*was, 0, 1))
    assert after.spacing_mm == pytest.approx(after.pose.plane.spacing_mm)
    assert after.pose.transforms == (TRACKED,)


def test_sector_is_as_large_as_its_beams_are_long() -> None:
    _, after = placed("scan-conversion:angle=90,start=0.25,width=81")
    assert after.image is not None and after.pose is not None and after.spacing_mm is not None
    deepest = 0.2 * 39 / 0.75
    assert after.spacing_mm[1] * 80 == pytest.approx(2 * deepest * np.sin(np.pi / 4))
    assert after.spacing_mm[0] == after.spacing_mm[1]
    assert after.pose.plane is None and after.pose.transforms == (TRACKED,)


@pytest.mark.parametrize(
    ("text", "box"), [("gaussian:sigma=3", np.s_[10:30, 8:40]), ("crop:x=4,y=5,width=40,height=30", np.s_[5:25, 4:36])]
)
def test_colour_box_passes_filters(text: str, box: tuple[slice, slice]) -> None:
    coloured = np.full((40, 48, 3), 90, np.uint8)
    coloured[10:30, 8:40] = np.random.default_rng(0).integers(100, 255, (20, 32, 3)) * np.uint8([1, 0, 0])
    kept = KeepSink()
    options = StreamOptions(policy="every", pace=False)
    stream(filtered(ListSource([Capture(coloured)]), settings([text])), None, [kept], options)
    [before], [after] = kept.befores, kept.frames
    assert after.colour is not None
    assert np.array_equal(to_rgb(after.pixels, after.colour)[box], coloured[10:30, 8:40])
    assert np.allclose(before[box], to_unit(coloured)[10:30, 8:40], atol=1e-6)


def test_size_changes_come_before_the_model() -> None:
    with pytest.raises(UsageError, match="put it before the model"):
        FilteredEngine(open_engine("compact-fpga", "onnxruntime"), settings(["resize"]))


def test_serve_knows_filters(tmp_path: Path) -> None:
    path = tmp_path / "streams.toml"
    text = '[[stream]]\nname = "a"\nsource = "sample"\n{}\n'
    path.write_text(text.format('filters = ["median:size=5"]\nfilters_after = ["edges"]'))
    assert load_config(path).stream[0].filters == ("median:size=5",)
    for line, says in (('filters = ["blur"]', "no filter 'blur'"), ('filters_after = ["resize"]', "before the model")):
        path.write_text(text.format(line))
        with pytest.raises(ConfigError, match=says):
            load_config(path)


def test_trace_holds_a_span_for_each_filter() -> None:
    slot = Slot(captured_ns=10_000_000, taken_ns=10_000_000, checked_ns=11_000_000, inferred_ns=15_000_000)
    slot.stages_ms, slot.after_ms = {"gain": 1.0, "median": 2.0}, {"edges after": 3.0}
    spans = {name: (begin, end) for name, begin, end in slot.spans()}
    assert spans["gain"] == (7_000_000, 8_000_000) and spans["median"] == (8_000_000, 10_000_000)
    assert spans["edges after"] == (12_000_000, 15_000_000)
