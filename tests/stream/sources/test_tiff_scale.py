"""Millimetres and rates that ImageJ and OME write into a TIFF; what printers are told is no scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from edgerecon.stream.sources import Source, open_source

IMAGEJ = "ImageJ=1.54f\nimages=3\nframes=3\nunit={unit}\nfinterval=0.05\nloop=false\n"
OME = (
    '<?xml version="1.0"?><OME xmlns="http://x"><Image ID="Image:0"><Pixels ID="Pixels:0" SizeT="3" {}/></Image></OME>'
)


def source(folder: Path, description: str, down: float = 4.0, across: float = 5.0, orientation: int = 1) -> Source:
    """A TIFF of three pages with so many pixels a unit, down and across."""
    tags = ImageFileDirectory_v2()
    tags[270], tags[274] = description, orientation
    tags[282], tags[283] = IFDRational(int(across * 10), 10), IFDRational(int(down * 10), 10)
    pages = [Pillow.fromarray(np.full((6, 9), level, np.uint8)) for level in (10, 20, 30)]
    pages[0].save(folder / "a.tif", save_all=True, append_images=pages[1:], tiffinfo=tags)
    return open_source(str(folder / "a.tif"))


@pytest.mark.parametrize(
    ("unit", "spacing"),
    [
        ("mm", (0.25, 0.2)),
        ("cm", (2.5, 2.0)),
        ("micron", (2.5e-4, 2e-4)),
        ("\\u00B5m", (2.5e-4, 2e-4)),
        ("pixel", None),
    ],
)
def test_imagej(tmp_path: Path, unit: str, spacing: tuple[float, float] | None) -> None:
    found = source(tmp_path, IMAGEJ.format(unit=unit))
    assert found.period_s == pytest.approx(0.05)
    assert found.spacing_mm == (None if spacing is None else pytest.approx(spacing))


@pytest.mark.parametrize(
    ("said", "period_s", "spacing"),
    [
        ('PhysicalSizeX="0.2" PhysicalSizeXUnit="mm" PhysicalSizeY="0.3" PhysicalSizeYUnit="mm"', None, (0.3, 0.2)),
        ('PhysicalSizeX="200" PhysicalSizeY="300" TimeIncrement="50" TimeIncrementUnit="ms"', 0.05, (0.3, 0.2)),
        ('PhysicalSizeX="0.2" TimeIncrement="0.05"', 0.05, None),
        ('PhysicalSizeX="nan" PhysicalSizeY="-1" TimeIncrement="1e999"', None, None),
        ('PhysicalSizeX="1e300" PhysicalSizeY="1e300" TimeIncrement="0"', None, None),
        ('PhysicalSizeX="2" PhysicalSizeXUnit="pixel" PhysicalSizeY="2" PhysicalSizeYUnit="pixel"', None, None),
    ],
)
def test_ome(tmp_path: Path, said: str, period_s: float | None, spacing: tuple[float, float] | None) -> None:
    found = source(tmp_path, OME.format(said))
    assert found.period_s == (None if period_s is None else pytest.approx(period_s))
    assert found.spacing_mm == (None if spacing is None else pytest.approx(spacing))


@pytest.mark.parametrize(
    "text", ["a picture", "ImageJ=", "ImageJ=1\nunit=mm", "<Pixels", "mm=1\nfinterval=0.05\nunit=mm\n"]
)
def test_what_printers_are_told_is_no_scale(tmp_path: Path, text: str) -> None:
    found = source(tmp_path, text, down=0.0)
    assert (found.period_s, found.spacing_mm) == (None, None)


def test_a_picture_that_is_turned_turns_its_scale(tmp_path: Path) -> None:
    found = source(tmp_path, IMAGEJ.format(unit="mm"), orientation=6)
    assert found.spacing_mm == pytest.approx((0.2, 0.25))
    assert next(iter(found.frames())).image.shape == (9, 6)
