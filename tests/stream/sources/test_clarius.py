"""The Clarius source, against a library in C that is called as the public header of Cast says."""

from __future__ import annotations

import shutil
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from edgerecon.core.errors import SourceError, UsageError
from edgerecon.stream.sources import open_source

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
