"""Memory and processor time that opening small hostile files takes, each against SECURITY.md's bounds.

    python bench/hostile_inputs.py --json FILE

Every file is made by code, has at most a few megabytes, and declares or inflates to far more. One process opens them
one after the other and reads three frames of each; the kernel's high-water mark of its memory is set back before each
(Linux). Processor time, not wall time: other programs do not count. Ends with status 1 where a bound is broken.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import io
import json
import os
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from edgerecon.core.errors import EdgereconError, UsageError
from edgerecon.core.files import write
from edgerecon.stream.sources import open_source

MOST_MB = 300
"""That the memory of the process may grow by, beside a frame of what the file declares."""

MOST_S = 5.0
"""Processor time."""

_META = "ObjectType = Image\nNDims = 3\nDimSize = {}\nElementType = MET_FLOAT\n{}ElementDataFile = LOCAL\n"


@dataclass(frozen=True)
class Opened:
    """What became of one file.

    Attributes:
        file_mb, grown_mb: size of the file, and growth of the process over what it had before. cpu_s: processor time.
        said: "N frames" or the refusal.
    """

    name: str
    file_mb: float
    grown_mb: float
    cpu_s: float
    said: str

    @property
    def holds(self) -> bool:
        return self.grown_mb <= MOST_MB and self.cpu_s <= MOST_S


def _zeros(megabytes: int, packer: zlib._Compress) -> bytes:
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(megabytes)) + packer.flush()


def _npz_header(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("frames.npy", "w") as member,
    ):
        member.write(b"\x93NUMPY\2\0" + struct.pack("<L", 1 << 29))
        for _ in range(512):
            member.write(b" " * (1 << 20))


def _npz_frames(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("frames.npy", "w") as member,
    ):
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (500, 512, 512)})
        member.write(head.getvalue())
        for _ in range(500):
            member.write(bytes(1 << 20))


def _sparse_npy(path: Path) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (10_000, 800, 800)}
        )
        file.truncate(file.tell() + 10_000 * 800 * 800 * 8)


def _meta(path: Path) -> None:
    path.write_bytes(
        _META.format("1024 1024 125", "CompressedData = True\n").encode() + _zeros(500, zlib.compressobj(1))
    )


def _nrrd(path: Path) -> None:
    head = b"NRRD0004\ntype: float\ndimension: 3\nsizes: 1024 1024 125\nendian: little\nencoding: gzip\n\n"
    path.write_bytes(head + _zeros(500, zlib.compressobj(1, wbits=31)))


def _nifti(path: Path) -> None:
    path.write_bytes(gzip.compress(struct.pack("<i", 348) + bytes(36) + struct.pack("<8h", 4, *[32767] * 4, 1, 1, 1)))


def _hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        frames = file.create_dataset("frames", (3, 1000, 1000), "u1", chunks=(1, 1000, 1000), compression="gzip")
        frames.id.write_direct_chunk((0, 0, 0), _zeros(500, zlib.compressobj(1)))


def _hdf5_links(path: Path) -> None:
    import h5py

    with h5py.File(path, "w", libver="latest") as file:
        group: h5py.Group = file
        for _ in range(300):
            group = group.create_group("a")
        for number in range(2000):
            group[str(number)] = h5py.SoftLink("/a")
        file["frames"] = np.zeros((2, 8, 8), np.uint8)


def _png(path: Path, chunk: bytes, megabytes: int, pixels: int) -> None:
    def packed(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    content = _zeros(megabytes, zlib.compressobj(1))
    head = struct.pack(">IIBBBBB", pixels, pixels, 8, 0, 0, 0, 0)
    text = packed(chunk, b"k\0\0" + content) if chunk != b"IDAT" else b""
    body = packed(b"IDAT", content if chunk == b"IDAT" else zlib.compress(bytes(pixels * (pixels + 1))))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + packed(b"IHDR", head) + text + body + packed(b"IEND", b""))


def _dicom(path: Path) -> None:
    """Deflated: the header inflates to half a gigabyte."""
    meta = b"\x02\0\x10\0UI\x16\x001.2.840.10008.1.2.1.99"
    group = b"\x02\0\0\0UL\4\0" + struct.pack("<L", len(meta))
    path.write_bytes(bytes(128) + b"DICM" + group + meta + _zeros(500, zlib.compressobj(1, wbits=-15)))


def _mat(path: Path) -> None:
    element = struct.pack("<LL", 14, 500 << 20)
    packer = zlib.compressobj(1)
    content = packer.compress(element) + _zeros(500, packer)
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    path.write_bytes(head + struct.pack("<LL", 15, len(content)) + content)


def _tiff(path: Path) -> None:
    """Fifty thousand directories of one page."""
    entries = b"".join(
        struct.pack("<HHLL", tag, 4, 1, value)
        for tag, value in ((256, 5), (257, 4), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 4), (279, 20))
    )
    size, content = 2 + len(entries) + 4, b"II*\0" + struct.pack("<L", 28) + bytes(20)
    path.write_bytes(
        content
        + b"".join(struct.pack("<H", 9) + entries + struct.pack("<L", 28 + (n + 1) * size) for n in range(49_000))
        + struct.pack("<H", 9)
        + entries
        + bytes(4)
    )


INPUTS: dict[str, Callable[[Path], None]] = {
    "header.npz": _npz_header,
    "frames.npz": _npz_frames,
    "sparse.npy": _sparse_npy,
    "zlib.mha": _meta,
    "gzip.nrrd": _nrrd,
    "dimensions.nii.gz": _nifti,
    "chunk.h5": _hdf5,
    "links.h5": _hdf5_links,
    "text.png": lambda path: _png(path, b"zTXt", 400, 64),
    "profile.png": lambda path: _png(path, b"iCCP", 400, 64),
    "pixels.png": lambda path: _png(path, b"IDAT", 500, 64),
    "frame.png": lambda path: _png(path, b"IDAT", 1, 60_000),
    "deflated.dcm": _dicom,
    "deflated.mat": _mat,
    "directories.tif": _tiff,
}
"""File name → what writes it."""


def opened(path: Path) -> Opened:
    """Open a file and read three frames, as a stream would."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    before, begun = _memory_mb("VmRSS"), time.process_time()
    try:
        with closing(open_source(str(path))) as source:
            said = f"{sum(1 for _ in islice(source.frames(), 3))} frames"
    except EdgereconError as error:
        said = str(error)
    spent = time.process_time() - begun
    return Opened(path.name, os.stat(path).st_blocks * 512 / 1e6, _memory_mb("VmHWM") - before, spent, said)


def _memory_mb(key: str) -> float:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields[key].split()[0]) * 1024 / 1e6


def measure(folder: Path) -> Iterator[Opened]:
    """Every input, made in an empty folder.

    Raises:
        UsageError: the system does not tell a process's memory.
    """
    if not Path("/proc/self/clear_refs").exists():
        raise UsageError("the high-water mark of a process is told on Linux only")
    np.save(folder / "sound.npy", np.zeros((3, 64, 64), np.uint8))
    opened(folder / "sound.npy")  # loads what every file needs
    for name, make in INPUTS.items():
        make(folder / name)
        yield opened(folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for one in measure(Path(folder)):
            found.append(one)
            verdict = "" if one.holds else "TOO MUCH"
            sys.stdout.write(f"{one.name:20} {one.grown_mb:6.0f} MB {one.cpu_s:6.2f} s {verdict} {one.said[:90]}\n")
            sys.stdout.flush()
    if options.json:
        write(options.json, json.dumps([asdict(one) for one in found], indent=1).encode())
    sys.exit(0 if all(one.holds for one in found) else 1)


if __name__ == "__main__":
    main()
