"""A folder of still images in natural order, or one image file: a TIFF of several pages or an animation plays."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from edgerecon.core.errors import SourceError, first_line
from edgerecon.core.frame import RawImage
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.files.lossy import of_images
from edgerecon.stream.sources.files.tiff_directory import MAGIC as TIFF
from edgerecon.stream.sources.flat import MAX_FRAMES
from edgerecon.stream.sources.frame_rate import taken_period_s
from edgerecon.stream.sources.kind import SourceKind, source_kinds
from edgerecon.stream.sources.pixel_spacing import taken_spacing_mm
from edgerecon.stream.sources.scaling import Scale, sampled

JPEG = b"\xff\xd8\xff"
_ZARR = ("zarr.json", ".zgroup", ".zarray")
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")


class Pages(Protocol):
    """An open image file.

    Attributes:
        count: how many pages it has. period_s: time between two of them, where the file says so.
        spacing_mm: (row, column) of a pixel, where the file says so.
    """

    count: int
    period_s: float | None
    spacing_mm: tuple[float, float] | None

    def page(self, index: int) -> RawImage:
        """One page, upright: see ``RawImage``; or int8 … int32 and the like. Raises many kinds on damaged files."""
        ...

    def shown_s(self) -> float | None:
        """How long the page that was read last is shown, where an animation says it of each."""
        ...

    def close(self) -> None: ...


class ImageSource:
    """Frames from image files, decoded when they are due. Of a file in a folder the first page is taken.

    Grey levels are scaled alike for the whole folder or file, see ``scaling.Scale``.

    Raises:
        SourceError: a folder without images, or a file that is not one.
    """

    live: bool = False

    def __init__(self, path: Path) -> None:
        self.name = path.name or str(path)
        self._files = images_in(path) if path.is_dir() else [path]
        if not self._files:
            if any((path / name).is_file() for name in _ZARR):
                raise SourceError(f"{path} is a Zarr store, which is written and not read: record into .h5 instead")
            raise SourceError(f"{path} holds no images ({', '.join(ENDINGS)}){_other_recording(path)}")
        self._pages = 1
        self.period_s: float | None = None
        self.spacing_mm: tuple[float, float] | None = None
        if not path.is_dir():
            try:
                with _open(path) as image:
                    self._pages = image.count
                    self.spacing_mm = taken_spacing_mm(self.name, image.spacing_mm)
                    self.period_s = taken_period_s(self.name, image.period_s)
            except Exception as error:
                raise SourceError(f"{self.name} cannot be read as an image: {first_line(error)}") from error
        self.length: int | None = len(self._files) * self._pages
        self._scale = Scale(self.name, self._sample(), echoes=False)

    @property
    def lossy(self) -> str | None:
        """How the images were compressed with loss, see ``StreamInfo.lossy``."""
        return of_images(self._files)

    def frames(self) -> Iterator[Capture]:
        for capture in self._read(range(self.length or 0)):
            if capture.image is not None:
                capture.image = self._scale(capture.image)
            yield capture

    def _read(self, wanted: range | list[int]) -> Iterator[Capture]:
        """The frames at these places, as they are stored."""
        if self._pages == 1:
            for index in wanted:
                try:
                    with _open(self._files[index]) as image:
                        capture = Capture(image.page(0))
                except Exception as error:  # noqa: BLE001 - Pillow raises many kinds on damaged files
                    capture = Capture(None, f"unreadable image: {first_line(error)}")
                yield capture
            return
        with _open(self._files[0]) as image:
            begins_s = None if self.period_s is None else 0.0  # by what each page before it says of itself
            for index in wanted:
                shown_s = self.period_s
                try:
                    capture = Capture(image.page(index))
                    shown_s = image.shown_s()
                except Exception as error:  # noqa: BLE001 - see above
                    capture = Capture(None, f"unreadable image: {first_line(error)}")
                capture.time_s = begins_s
                begins_s = None if begins_s is None or shown_s is None else begins_s + shown_s
                yield capture

    def _sample(self) -> Iterator[RawImage]:
        """Images to take the scale from; none where the first one is of 8 bits, which needs no scale."""
        length = self.length or 0
        first = next((c.image for c in self._read(range(min(length, _TRIED))) if c.image is not None), None)
        if first is None or first.dtype.name == "uint8":
            return
        yield first
        for capture in self._read(sampled(length, first.size)[1:]):
            if capture.image is not None:
                yield capture.image

    def close(self) -> None: ...


_TRIED = 16  # images, until one can be read


def images_in(folder: Path) -> list[Path]:
    """Image files in natural order: frame2 before frame10. Pipes and devices are left out.

    Raises:
        SourceError: there are more than a recording may have frames.
    """
    with os.scandir(folder) as entries:
        named = (entry for entry in entries if not entry.name.startswith("."))
        files = (Path(entry.path) for entry in named if _is_image(entry))
        found = list(islice(files, MAX_FRAMES + 1))
    if len(found) > MAX_FRAMES:
        raise SourceError(f"{folder} holds more than {MAX_FRAMES:,} images")
    return sorted(found, key=lambda path: natural_order(path.name))


def _other_recording(folder: Path) -> str:
    """A hint at what lies there instead: of a folder only images are taken together."""
    endings = {ending for kind in source_kinds().values() for ending in kind.endings}
    with os.scandir(folder) as entries:
        name = min((entry.name for entry in entries if os.path.splitext(entry.name)[1].lower() in endings), default="")
    return f"; give a recording by itself: {folder / name}" if name else ""


def _is_image(entry: os.DirEntry[str]) -> bool:
    return os.path.splitext(entry.name)[1].lower() in ENDINGS and entry.is_file()


def natural_order(name: str) -> list[Any]:
    """A key that sorts frame2 before frame10. Only 0 to 9 are digits: Unicode has others (²) that are no numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if at % 2 else part.lower() for at, part in enumerate(parts)]


def _open(file: Path) -> AbstractContextManager[Pages]:
    from edgerecon.stream.sources.files.pillow_image import PillowImage
    from edgerecon.stream.sources.files.tiff import TiffImage

    with file.open("rb") as opened:
        beginning = opened.read(4)
    return closing(TiffImage(file) if beginning in TIFF else PillowImage(file))


SOURCE = SourceKind(
    name="images or a folder of them",
    title="an image",
    magic=(b"\x89PNG", JPEG, b"BM", *TIFF, (8, b"WEBP")),
    endings=ENDINGS,
    folders=True,
    open=lambda place, query: ImageSource(Path(place)),
)
