"""Sources of frames: one file per kind of recording."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from os.path import expanduser  # Path.expanduser raises for "~somebody" who is nobody
from pathlib import Path
from urllib.parse import unquote

from edgerecon.core.errors import SourceError, printable
from edgerecon.stream.sources.base import KINDS, Capture, Source
from edgerecon.stream.sources.files.sequence import open_with_poses
from edgerecon.stream.sources.live.live import SCHEMES as LIVE_SCHEMES
from edgerecon.stream.sources.live.live import open_live
from edgerecon.stream.sources.query import Query, refuse_unknown, split_query
from edgerecon.stream.uri import split_uri

__all__ = ["Capture", "Source", "open_source"]

_TRIED_S = 4  # how long a readable frame is looked for in a recording that begins with damaged ones
_BEGINNINGS = {
    b"\x93NUMPY": "array", b"PK\x03\x04": "array",
    b"NRRD000": "nrrd", b"\x89HDF\r\n\x1a\n": "hdf5",
    b"\x89PNG": "image", b"\xff\xd8\xff": "image", b"BM": "image", b"II*\0": "image", b"MM\0*": "image",
    b"II+\0": "image", b"MM\0+": "image",
}  # fmt: skip
_ENDINGS = {
    ".dcm": "dicom", ".dicom": "dicom", ".npy": "array", ".npz": "array", ".mha": "metaimage", ".mhd": "metaimage",
    ".nrrd": "nrrd", ".png": "image", ".jpg": "image", ".jpeg": "image", ".tif": "image", ".tiff": "image",
    ".bmp": "image", ".webp": "image", ".nhdr": "nrrd", ".h5": "hdf5", ".hdf5": "hdf5", ".uff": "hdf5",
}  # fmt: skip


def open_source(uri: str) -> Source:
    """Open a recording by what it holds, or by its extension where the content does not tell; or a live source.

    Args:
        uri: a path, with options as in ``channel.uff?range=50``; a file:// address; or "sample" for the
            echocardiography cine that ships inside pydicom; or a live source's address, see ``open_live``. Of a live
            source, no frame is taken.

    Raises:
        SourceError: missing, empty, of an unknown kind, larger than ``edgerecon.core.frame.MAX_PIXELS``, or without one
            readable frame. The message is one line.
        DependencyError: PyAV is needed and absent.
    """
    if not uri:
        raise SourceError(f"the source has an empty name: give a file ({KINDS})")  # else it is the folder we are in
    if uri == "sample":
        return _open_sample()
    scheme, is_address, _ = uri.partition("://")
    if is_address and scheme in LIVE_SCHEMES:
        return open_live(uri)
    if is_address and scheme != "file":
        raise SourceError(f"no source is known by {scheme}://: give a file, or one of {'://, '.join(LIVE_SCHEMES)}://")
    text, query = split_query(uri)
    path = _path(text)
    try:
        source = _opener(path, query)(path.absolute())  # else a library takes 10:30.mp4 for a protocol
    except OSError as error:
        raise SourceError(f"cannot open {path}: {error.strerror or error}") from error
    _refuse_unreadable(source)
    source.name = printable(source.name)
    return source


def _path(text: str) -> Path:
    try:
        return Path(expanduser(unquote(split_uri(text).path) if text.startswith("file://") else text))
    except ValueError as error:  # ~ and a character of code 0
        raise SourceError(f"'{text}' is no name of a file: {error}") from error


def _opener(path: Path, query: Query) -> Callable[[Path], Source]:
    # Each kind is imported when it is met: DICOM and video libraries take longer to load than a frame to show.
    kind = _kind(path)
    if kind == "hdf5":
        from edgerecon.stream.sources.files.hdf5 import open_hdf5

        return partial(open_hdf5, query=query)
    if kind == "metaimage":
        from edgerecon.stream.sources.files.metaimage import open_metaimage

        refuse_unknown(query, ("rf",), "a MetaImage")
        rf = "rf" in query  # which turns the pixels to others than those whose place is stated
        return partial(open_metaimage, rf=True) if rf else partial(open_with_poses, open_metaimage)
    if kind == "dicom":
        from edgerecon.stream.sources.files.dicom import DicomSource

        return partial(DicomSource, query=query)
    refuse_unknown(query, (), f"a recording like {path.name}")
    if kind == "image":
        from edgerecon.stream.sources.files.images import ImageSource

        return ImageSource
    if kind == "array":
        from edgerecon.stream.sources.files.arrays import open_array

        return open_array
    if kind == "nrrd":
        from edgerecon.stream.sources.files.nrrd import open_nrrd

        return partial(open_with_poses, open_nrrd)
    from edgerecon.stream.sources.files.video import VideoSource

    return VideoSource


def _kind(path: Path) -> str:
    if path.is_dir():
        return "image"
    if not path.exists():
        raise SourceError(f"{path} does not exist: give a file ({KINDS})")
    if not path.is_file():
        raise SourceError(f"{path} is neither a file nor a folder")
    with path.open("rb") as file:
        beginning = file.read(132)
    if not beginning:
        raise SourceError(f"{path} is empty (0 bytes)")
    if beginning[128:] == b"DICM":
        return "dicom"
    if beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP":  # AVI begins like it
        return "image"
    if path.suffix.lower() in (".mjpeg", ".mjpg"):  # one JPEG behind the other
        return "video"
    for magic, kind in _BEGINNINGS.items():
        if beginning.startswith(magic):
            return kind
    return _ENDINGS.get(path.suffix.lower(), "video")


def _refuse_unreadable(source: Source) -> None:
    fault, start = None, time.monotonic()
    for capture in source.frames():
        if capture.image is not None:
            return
        fault = fault or capture.fault
        if time.monotonic() - start > _TRIED_S:
            fault = f"none in {_TRIED_S} s, and {fault}"
            break
    source.close()
    raise SourceError(f"{source.name} holds no readable frame" + (f": {fault}" if fault else ""))


def _open_sample() -> Source:
    from pydicom.examples import get_path

    from edgerecon.stream.sources.files.dicom import DicomSource

    return DicomSource(Path(get_path("ybr_color")), name="sample")
