"""Frame: one B-mode image with its sequence number, capture time, geometry and status."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.pose import Pose

Image = NDArray[np.float32]
"""float32, shape (H, W), values in [0, 1]."""

GreyLevels = NDArray[np.uint8]
"""uint8, shape (H, W), 255 being 1.0 of an ``Image``."""

RawImage = NDArray[Any]
"""What a source captures: uint8, uint16 or float, shape (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA."""

MAX_PIXELS = 64_000_000
"""Larger frames are refused before they are decoded: no ultrasound scanner makes them and they exhaust memory."""


_SPACING_MM = (1e-6, 1e4)
"""The finest and the coarsest pixel that any scanner could have; beyond them float32 overflows, too."""


class Status(str, Enum):
    """What a shown frame is: reconstructed, or the raw capture because it could not be processed."""

    OK = "ok"
    RAW = "raw"


@dataclass(frozen=True, slots=True, eq=False)
class Colour:
    """What is drawn in colour in a captured frame.

    Attributes:
        pixels: uint8 (H, W, 3), RGB, as captured. where: uint8 (H, W), 255 where colour is drawn.
        large: whether an area of it is larger than a mark or a button: flow, elasticity.
    """

    pixels: NDArray[np.uint8]
    where: NDArray[np.uint8]
    large: bool = True

    def part(self, rows: slice, columns: slice) -> Colour:
        """Of a box of the frame."""
        pixels, where = (np.ascontiguousarray(one[rows, columns]) for one in (self.pixels, self.where))
        return Colour(pixels, where, self.large)


@dataclass(slots=True)
class Frame:
    """One B-mode image on its way through a stream.

    Attributes:
        pixels: float32 (H, W) in [0, 1].
        sequence: counts captures from 0; a gap means that frames were lost before us.
        captured_ns: ``time.perf_counter_ns()`` when the source delivered it.
        spacing_mm: (row, column) distance between pixel centres, or None when the source does not know. One that
            no scanner has (``plausible_spacing``) becomes None: no sink has to check it.
        status: whether ``pixels`` is a reconstruction or the raw capture.
        pose: where the image lies and what the tracker reported, or None when the source does not know.
        time_s: when it was taken by the clock of its recording, seconds that go on where it is repeated; or None.
        colour: what is drawn in colour in it, of the size of ``pixels``; None for a grey picture.
        overlay: what the model draws over it, of the same size; None of a model that gives pictures.
    """

    pixels: Image
    sequence: int
    captured_ns: int
    spacing_mm: tuple[float, float] | None = None
    status: Status = Status.OK
    pose: Pose | None = None
    time_s: float | None = None
    colour: Colour | None = None
    overlay: Colour | None = None

    def __post_init__(self) -> None:
        self.spacing_mm = plausible_spacing(self.spacing_mm)

    @property
    def drawn(self) -> Colour | None:
        """All that is to be shown in colour over the grey ``pixels``: the overlay over what was captured."""
        if self.overlay is None or self.colour is None:
            return self.overlay or self.colour
        where = cv2.max(self.overlay.where, self.colour.where)
        pixels = cv2.copyTo(self.overlay.pixels, self.overlay.where, self.colour.pixels.copy())
        return Colour(np.asarray(pixels, np.uint8), np.asarray(where, np.uint8))


def to_rgb(pixels: Image, colour: Colour | None) -> NDArray[np.uint8]:
    """uint8 (H, W, 3): grey levels, and what is drawn in colour as it was captured."""
    rgb = cv2.cvtColor(to_uint8(pixels), cv2.COLOR_GRAY2RGB)
    if colour is not None:
        cv2.copyTo(colour.pixels, colour.where, rgb)
    return np.asarray(rgb, np.uint8)


def rgb_bytes(raw: RawImage) -> NDArray[np.uint8]:
    """A captured image of colours, (H, W, 3) or (H, W, 4), as uint8 (H, W, 3) that shares no memory with it.

    Raises:
        ValueError: values that are neither unsigned integers of 8 or 16 bits nor floats.
    """
    if raw.dtype == np.uint8:
        rgb = raw[:, :, :3].copy()
    elif raw.dtype.kind == "u" and raw.dtype.itemsize == 2:
        rgb = (raw[:, :, :3] >> 8).astype(np.uint8)
    elif raw.dtype.kind == "f":
        rgb = to_uint8(np.ascontiguousarray(np.nan_to_num(raw[:, :, :3]), np.float32))
    else:
        raise ValueError(f"a colour frame must hold 8 or 16 bits or floats, not {raw.dtype}")
    if raw.shape[2] == 4:  # transparent pixels show the background, which is black
        opaque = 1.0 if raw.dtype.kind == "f" else float(np.iinfo(raw.dtype).max)
        rgb = np.rint(rgb * (raw[:, :, 3:].astype(np.float32) / opaque)).astype(np.uint8)
    return rgb


def plausible_spacing(spacing_mm: tuple[float, float] | None) -> tuple[float, float] | None:
    """(row, column) when both are from 1 nm to 10 m; else None, as for None."""
    if spacing_mm is None:
        return None
    row, column = spacing_mm
    known = all(math.isfinite(step) and _SPACING_MM[0] <= step <= _SPACING_MM[1] for step in (row, column))
    return (row, column) if known else None


def to_gray(raw: RawImage, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Drop the colour of a captured image: luma (ITU-R BT.601), same type and full scale.

    Transparent pixels show the background, which is black.

    Args:
        raw: see ``RawImage``.
        out: written in place when given; (H, W), C-contiguous, of the same type.

    Returns:
        ``out``, or without it an (H, W) array that may share memory with ``raw``.

    Raises:
        ValueError: unusable shape or type, or an empty image.
    """
    image = np.asarray(raw)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.size == 0 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))):
        raise ValueError(f"a frame must be a non-empty H×W image, not of shape {np.shape(raw)}")
    if image.dtype.kind not in "uf":
        raise ValueError(f"a frame must hold unsigned integers or floats, not {image.dtype}")
    if image.ndim == 3:
        image = _luma(image, out)
    if out is None:
        return image
    if image is not out:
        np.positive(image, out=out, casting="same_kind")  # memcpy takes 10 times as long when both lie alike in a page
    return out


def _luma(image: NDArray[Any], out: NDArray[Any] | None) -> NDArray[Any]:
    if image.dtype.kind == "f":
        image = image.astype(np.float32, copy=False)
    elif image.dtype.itemsize > 2:
        raise ValueError(f"a colour frame must hold 8 or 16 bits or floats, not {image.dtype}")
    image = np.ascontiguousarray(image, image.dtype.newbyteorder("="))
    code = cv2.COLOR_RGB2GRAY if image.shape[2] == 3 else cv2.COLOR_RGBA2GRAY
    in_place = out is not None and out.dtype == image.dtype
    luma = cv2.cvtColor(image, code, dst=out) if in_place else cv2.cvtColor(image, code)
    if image.shape[2] == 4:
        opaque = 1.0 if image.dtype.kind == "f" else float(np.iinfo(image.dtype).max)
        cv2.multiply(luma, np.ascontiguousarray(image[:, :, 3]), dst=luma, scale=1 / opaque)
    return luma


def to_unit(raw: RawImage, out: Image | None = None) -> Image:
    """Convert a captured image to float32 (H, W) in [0, 1].

    Integers are divided by their type's full scale; floats are clipped to [0, 1]; colour becomes luma (``to_gray``).

    Args:
        raw: see ``RawImage``.
        out: written in place when given; float32 (H, W), C-contiguous. Nothing is then allocated for a grey image.

    Raises:
        ValueError: unusable shape or type, an empty image, or non-finite values (the frame cannot be shown as it is).
    """
    image = to_gray(raw)
    if out is None:
        out = np.empty(image.shape, np.float32)
    if image.dtype.kind == "u":
        return _scaled(image, out)
    low, high = image.min(), image.max()  # NaN and infinity reach them: no mask of the frame's size is needed
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("the frame holds NaN or infinite values")
    np.clip(image, 0.0, 1.0, out=out, casting="same_kind")
    return out


def _scaled(image: NDArray[Any], out: Image) -> Image:
    """Unsigned integers over their full scale."""
    full = np.iinfo(image.dtype).max
    if full <= 65535 and image.dtype.isnative and image.flags.c_contiguous and out.flags.c_contiguous:
        # One pass at twice NumPy's speed: OpenCV's conversion by a factor, which Python reaches by way of the maximum.
        return np.asarray(
            cv2.normalize(image, out, cv2.norm(image, cv2.NORM_INF) / full, 0, cv2.NORM_INF, cv2.CV_32F), np.float32
        )
    np.copyto(out, image, casting="same_kind")
    return np.multiply(out, np.float32(1.0 / full), out=out)


def to_uint8(pixels: Image, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Convert float32 [0, 1] to uint8 with rounding and saturation (0.5 rounds to even, as OpenCV does)."""
    return np.asarray(cv2.convertScaleAbs(pixels, dst=out, alpha=255.0), np.uint8)
