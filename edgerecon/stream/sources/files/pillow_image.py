"""One still image or animation, through Pillow: PNG, JPEG, BMP, WebP, and pages of TIFF of up to 8 bits."""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

import cv2
import numpy as np

from edgerecon.core.frame import MAX_PIXELS, RawImage
from edgerecon.stream.sources.flat import MAX_FRAMES

if TYPE_CHECKING:
    from PIL import Image as Pillow

warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # damage is told by what it leads to

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_FRAME_BYTES = 32  # that a frame of an animation takes at least
_EXIF_FAULTS = (OSError, ValueError, TypeError, KeyError, SyntaxError, struct.error)


class PillowImage:
    """An open image file, see ``images.Pages``. Of a phone's JPEG with more pictures in it the first one is taken.

    Raises:
        ValueError, OSError, and other kinds: it cannot be read, or it is larger than ``MAX_PIXELS``.
    """

    spacing_mm: tuple[float, float] | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        try:
            self._image = opened(self._file, _FORMATS)
            self.count, self._first = self._frames()
            self.period_s = _period_s(self._image) if self.count > 1 else None
        except BaseException:
            self._file.close()
            raise

    def _frames(self) -> tuple[int, int]:
        """How many frames there are, and which is the first.

        An APNG may begin with a picture for viewers that cannot play it, which is none of its frames.
        """
        if self._image.format == "MPO":
            return 1, 0
        count = getattr(self._image, "n_frames", 1)
        first = int(count > 1 and getattr(self._image, "default_image", False) is True)
        room = self._path.stat().st_size // _FRAME_BYTES  # a file may declare any number
        return max(1, min(count - first, MAX_FRAMES, room)), first

    def page(self, index: int) -> RawImage:
        """The pixels of one page, upright. index: from 0."""
        if self.count > 1:
            self._image.seek(index + self._first)
        check_size(self._image)
        deep = self._deep_colour()
        pixels = pixels_of(self._image) if deep is None else deep
        return upright(pixels, _orientation(self._image))

    def _deep_colour(self) -> RawImage | None:
        """The pixels of a PNG with 16 bits a colour, of which Pillow gives 8; None for all other files."""
        tiles = getattr(self._image, "tile", None)
        if self._image.format != "PNG" or self.count > 1 or not (tiles and str(tiles[0][3]).endswith(";16B")):
            return None
        if self._image.mode not in ("RGB", "RGBA", "LA"):
            return None
        self._file.seek(0)
        return rgb(cv2.imdecode(np.frombuffer(self._file.read(), np.uint8), cv2.IMREAD_UNCHANGED))

    def shown_s(self) -> float | None:
        """How long the page that was read last is shown; None where the animation leaves it to the viewer."""
        return _duration_s(self._image)

    def close(self) -> None:
        self._image.close()
        self._file.close()


def opened(file: IO[bytes] | BytesIO, formats: tuple[str, ...]) -> Pillow.Image:
    """An image of which nothing is decoded yet.

    Raises:
        ValueError: it is larger than ``MAX_PIXELS``. OSError: it is no image.
    """
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)  # the limit below is ours
        try:
            image = Pillow.open(file, formats=formats)
        except UnidentifiedImageError:  # which quotes Python's name of the open file
            raise OSError("it is none that is known, or its beginning is damaged") from None
    check_size(image)
    return image


def check_size(image: Pillow.Image) -> None:
    """Refuse a page before it is decoded.

    Raises:
        ValueError: it is larger than ``MAX_PIXELS``.
    """
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width}×{image.height} pixels are more than {MAX_PIXELS:,}")


def pixels_of(image: Pillow.Image) -> RawImage:
    """uint8 or uint16 (H, W), (H, W, 3) or, where pixels are transparent, (H, W, 4)."""
    if image.mode.startswith("I"):  # 16-bit grey; "I" is how older Pillow gives it
        pixels = np.asarray(image).astype(np.uint16)
        hidden = image.info.get("transparency")
        return np.where(pixels == hidden, 0, pixels).astype(np.uint16) if isinstance(hidden, int) else pixels
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return np.asarray(image.convert("RGBA"))
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    return np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))


def rgb(pixels: RawImage | None) -> RawImage:
    """What OpenCV decoded, its colours in our order.

    Raises:
        ValueError: it could not decode.
    """
    if pixels is None:
        raise ValueError("it is damaged, or stored in a way that is not known here")
    if pixels.ndim == 2:
        return pixels
    return np.concatenate([pixels[..., 2::-1], pixels[..., 3:]], -1)


def upright(pixels: RawImage, orientation: int) -> RawImage:
    """Turned as EXIF and TIFF state by their tag Orientation: 1 is upright, 2 to 8 are mirrored, turned or both."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _orientation(image: Pillow.Image) -> int:
    from PIL import ExifTags

    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _EXIF_FAULTS:  # damaged EXIF is no reason to lose the picture
        return 1


def _period_s(image: Pillow.Image) -> float | None:
    """Of the first frame; None where the animation leaves it to the viewer."""
    if image.format == "WEBP":
        image.load()  # it is told with the frame
    return _duration_s(image)


def _duration_s(image: Pillow.Image) -> float | None:
    """Of the frame that was loaded."""
    milliseconds = image.info.get("duration")
    return milliseconds / 1e3 if isinstance(milliseconds, (int, float)) and 0 < milliseconds < 1e6 else None
