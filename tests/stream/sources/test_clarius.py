"""The Clarius source, against a library in C that is called as the public header of Cast says."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from edgerecon.core.errors import SourceError, UsageError
from edgerecon.core.frame import plausible_spacing
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.live.clarius import ImageInfo, _capture
from edgerecon.stream.sources.live.gaps import Gaps

FAKE = Path(__file__).parents[2] / "support" / "fake_cast.c"
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("cast") / "libcast.so")


def compiled(to: Path, *flags: str) -> Path:
    command = ["cc", "-shared", "-fPIC", "-pthread", "-Wall", "-Wextra", "-Werror", *flags, "-o", str(to), str(FAKE)]
    subprocess.run(command, check=True, timeout=120)
    return to


def test_images_come_with_spacing_colour_gaps_and_faults(library: Path) -> None:
    source = open_source(f"clarius://127.0.0.1:5828?library={library}")
    try:
        captures = list(islice(source.frames(), 7))  # the seventh comes over a second connection
    finally:
        source.close()
    grey, colour, fault, again = captures[:4], captures[4], captures[5], captures[6]
    assert [int(one.image[0, 0]) for one in grey if one.image is not None] == [1, 2, 3, 4]
    assert [one.gap for one in grey] == [0, 0, 0, 1]
    assert grey[0].image.shape == (6, 8) and grey[0].spacing_mm == (0.25, 0.25)
    assert colour.image.shape == (6, 8, 3) and colour.image[5, 7].tolist() == [30, 20, 10]
    assert fault.image is None and "8×6, 8 bits in 7 bytes" in fault.fault
    assert int(again.image[0, 0]) == 1 and again.gap >= 1


def test_what_the_library_complains_of_is_the_reason(library: Path) -> None:
    with pytest.raises(SourceError, match="the scanner refused the connection"):
        open_source(f"clarius://127.0.0.1:1?library={library}")


def test_second_scanner_of_a_process_is_refused(library: Path) -> None:
    source = open_source(f"clarius://127.0.0.1:5828?library={library}")
    try:
        with pytest.raises(SourceError, match="this process streams from a Clarius scanner already"):
            open_source(f"clarius://127.0.0.1:5829?library={library}")
    finally:
        source.close()
        source.close()


def test_older_library_is_refused_before_it_is_called(tmp_path: Path) -> None:
    old = compiled(tmp_path / "libcast.so", "-DOLD")
    with pytest.raises(SourceError, match="no Cast library of version 12"):
        open_source(f"clarius://127.0.0.1:5828?library={old}")
    with pytest.raises(SourceError, match="cannot load"):
        open_source(f"clarius://127.0.0.1:5828?library={tmp_path}/absent.so")


@pytest.mark.parametrize("address", ["clarius://host:5828", "clarius://host?library=x.so", "clarius://:1?library=x"])
def test_address_without_library_host_or_port_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="clarius://HOST:PORT"):
        open_source(address)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bits_per_pixel": 12}, "8×6, 12 bits in 192 bytes"),
        ({"bits_per_pixel": 16}, "8×6, 16 bits"),
        ({"bits_per_pixel": 24}, "8×6, 24 bits"),
        ({"bits_per_pixel": -8}, "8×6, -8 bits"),
        ({"width": -8, "height": -6}, "-8×-6"),
        ({"width": 1 << 30, "height": 1 << 30}, "1073741824×1073741824"),
        ({"image_size": -1}, "in -1 bytes"),
        ({"format": 2}, "a compressed image"),
        ({"format": 7}, "a compressed image"),
    ],
)
def test_an_image_that_contradicts_itself_is_a_fault(changes: dict[str, int], said: str) -> None:
    assert said in (captured(**changes).fault or "")


@pytest.mark.parametrize("step", [float("nan"), float("inf"), -250.0, 0.0, 1e300])
def test_an_impossible_pixel_size_is_none(step: float) -> None:
    capture = captured(microns_per_pixel=step, origin_x=float("nan"), angle=float("nan"), fps=float("nan"))
    assert capture.image is not None and capture.fault is None
    assert plausible_spacing(capture.spacing_mm) is None


def captured(**changes: float) -> Capture:
    """Of an image of 8×6 grey pixels, but for ``changes`` of what the library says of it."""
    said = {"width": 8, "height": 6, "bits_per_pixel": 8, "image_size": 192, "format": 1, "microns_per_pixel": 250.0}
    pixels = ctypes.create_string_buffer(192)
    return _capture(ctypes.addressof(pixels), ImageInfo(**said | changes), Gaps())
