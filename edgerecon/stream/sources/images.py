"""A folder of still images in natural order, or one image file (a multi-page TIFF is a recording)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from edgerecon.errors import SourceError
from edgerecon.frame import MAX_PIXELS, RawImage
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.scaling import Range, find_range

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")


class ImageSource:
    """Frames from image files, decoded when they are due. Of a file in a folder the first page is taken.

    Raises:
        SourceError: a folder without images, or a file that is not one.
    """

    live: bool = False
    period_s: float | None = None
    spacing_mm: tuple[float, float] | None = None

    def __init__(self, path: Path) -> None:
        self.name = path.name or str(path)
        self._files = images_in(path) if path.is_dir() else [path]
        if not self._files:
            raise SourceError(f"{path} holds no images ({', '.join(ENDINGS)})")
        self._pages = 1
        if not path.is_dir():
            try:
                with _open(path) as image:
                    self._pages = getattr(image, "n_frames", 1)
            except Exception as error:
                raise SourceError(f"{self.name} cannot be read as an image: {error}") from error
        self.length: int | None = len(self._files) * self._pages

    def frames(self) -> Iterator[Capture]:
        for file in self._files:
            for page in range(self._pages):
                try:
                    yield Capture(_decode(file, page))
                except Exception as error:  # noqa: BLE001 - Pillow raises many kinds on damaged files
                    yield Capture(None, f"unreadable image: {error}")

    def close(self) -> None: ...


def images_in(folder: Path) -> list[Path]:
    """Image files in natural order: frame2 before frame10."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith(".")]
    return sorted(files, key=lambda path: [int(part) if part.isdigit() else part.lower() for part in _parts(path)])


def _parts(path: Path) -> list[str]:
    return re.split(r"(\d+)", path.name)


def _open(file: Path) -> Pillow.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)  # the limit below is ours
        image = Pillow.open(file, formats=_FORMATS)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ValueError(f"{image.width}×{image.height} pixels are more than {MAX_PIXELS:,}")
    return image


def _decode(file: Path, page: int) -> RawImage:
    with _open(file) as image:
        if page:
            image.seek(page)
        return _pixels(image, file.name)


def _pixels(image: Pillow.Image, name: str) -> RawImage:
    if image.mode in ("1", "LA", "La"):
        return np.asarray(image.convert("L"))
    if image.mode in ("L", "RGB", "RGBA"):
        return np.asarray(image)
    if not image.mode.startswith(("I", "F")):
        return np.asarray(image.convert("RGB"))
    pixels = np.asarray(image)
    if image.mode == "I" and image.format == "PNG":
        return pixels.astype(np.uint16)  # how older Pillow gives 16-bit PNG
    if pixels.dtype.kind == "u":
        return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    found: Range | None = find_range(name, [pixels], pixels.dtype)
    return found.to_unit(pixels) if found else pixels
