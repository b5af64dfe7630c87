"""The header of a DICOM file: read within a budget of memory, and checked before any pixel is."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import Dataset, dcmread
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from edgerecon.core.errors import DependencyError, SourceError
from edgerecon.core.frame import MAX_PIXELS
from edgerecon.stream.sources.files.budgeted_file import BudgetedFile
from edgerecon.stream.sources.flat import MAX_FRAMES

MODALITIES = ("US", "IVUS")
_HEADER_AT_MOST = 64 << 20  # bytes: 10 000 frames with a functional group each take 5 MB
_INFLATED_AT_MOST = 192 << 20
_DEFLATED = DeflatedExplicitVRLittleEndian.encode()
_TRANSFER_SYNTAX = b"\x02\x00\x10\x00UI"
_LENGTH_AT_MOST = 200  # characters of another library's message

_NEEDED = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PhotometricInterpretation")
"""Without these no pixel can be read."""

_WANTED = (
    "Modality",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "FrameTime",
    "FrameTimeVector",
    "FrameIncrementPointer",
    "CineRate",
    "RecommendedDisplayFrameRate",
    "SequenceOfUltrasoundRegions",
    "PixelSpacing",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "PresentationLUTShape",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    *(
        f"{segmented}{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for segmented, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
    ),
)


def read_header(file: BinaryIO, name: str, also: Sequence[str] = ()) -> tuple[Dataset, int]:
    """The elements that a stream needs, and the offset of the pixel data element (the file's end without one).

    Args:
        also: keywords of further elements.

    Files without a preamble or without file meta information are read as the little endian that their first element
    looks like.

    Raises:
        SourceError: not DICOM, or a header that is larger than any is.
    """
    budgeted = BudgetedFile(
        file, name, _HEADER_AT_MOST, f"has a header of more than {_HEADER_AT_MOST >> 20} MB: it is damaged"
    )
    try:
        header = dcmread(budgeted, stop_before_pixels=True, force=True, specific_tags=[*_WANTED, *also])
        end = budgeted.tell()
    finally:
        budgeted.detach()
    if header.preamble is None and not {"Modality", "Rows"} & set(header.dir()):  # pydicom reads any bytes
        raise SourceError(f"{name} is not a DICOM file, or its beginning is damaged")
    return header, end


def transfer_syntax(header: Dataset) -> UID | None:
    """As the file meta states it, else the native one that the elements are written in; None for a damaged one."""
    stated = header.file_meta.get("TransferSyntaxUID") if hasattr(header, "file_meta") else None
    if stated:
        return UID(stated) if UID(stated).is_transfer_syntax else None
    implicit, little = header.original_encoding
    if not little:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def inflated(path: Path, name: str) -> bytes | None:
    """The file as if it had not been deflated, which is the one transfer syntax that cannot be read frame by frame.

    None for all others.

    Raises:
        SourceError: it is larger than 192 MB then.
    """
    with path.open("rb") as file:
        head = file.read(1024)
        if head[128:132] != b"DICM" or _TRANSFER_SYNTAX + b"\x16\x00" + _DEFLATED not in head:
            return None
        (length,) = struct.unpack_from("<I", head, 140)  # File Meta Information Group Length
        file.seek(0)
        whole = io.BytesIO()
        whole.write(file.read(144 + min(length, 1 << 20)).replace(_DEFLATED, b"1.2.840.10008.1.2.1\0\0\0"))
        inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        while (packed := inflate.unconsumed_tail or file.read(1 << 20)) and not inflate.eof:
            whole.write(inflate.decompress(packed, 1 << 24))
            if whole.tell() > _INFLATED_AT_MOST:
                raise SourceError(f"{name} is a deflated file of more than {_INFLATED_AT_MOST >> 20} MB: inflate it")
    return whole.getvalue()


def refuse_other(header: Dataset, name: str, any_modality: bool) -> None:
    """Raises SourceError for what is not an ultrasound image."""
    modality = header.get("Modality")
    if modality not in MODALITIES and not any_modality:
        raise SourceError(
            f"{name} is not ultrasound: its DICOM modality is {one_line(modality) if modality else 'missing'}, not US "
            "or IVUS (?modality=any reads it all the same)"
        )
    missing = [key for key in _NEEDED if key not in header]
    if "Rows" in missing and "Columns" in missing:
        raise SourceError(f"{name} holds no pixel data (a report or a truncated file): give an image or a cine")
    if missing:
        raise SourceError(f"{name} lacks {', '.join(missing)}: its pixels cannot be read, export it again")
    allocated, stored = int(header.BitsAllocated), int(header.BitsStored)
    if allocated not in (8, 16) or not 0 < stored <= allocated or not stored <= high_bit(header) + 1 <= allocated:
        raise SourceError(
            f"{name} stores {stored} bits up to bit {high_bit(header)} of {allocated}: words of 8 and 16 bits are read"
        )


def high_bit(header: Dataset) -> int:
    """Of the stored value in its word, from 0; where it is absent, that of a value in the low bits."""
    stated = header.get("HighBit")
    return int(header.BitsStored) - 1 if stated is None else int(stated)


def refuse_huge(header: Dataset, frames: int, file_size: int, name: str) -> None:
    """Raises SourceError for sizes that no scanner makes, or that the file cannot hold."""
    rows, columns = int(header.Rows), int(header.Columns)
    if not 0 < rows * columns <= MAX_PIXELS:
        raise SourceError(f"{name} declares {columns}×{rows} pixels: 1 to {MAX_PIXELS:,} are read")
    if not 0 < frames <= min(MAX_FRAMES, file_size):
        raise SourceError(f"{name} declares {frames} frames, which its {file_size} bytes cannot hold")


def refuse_undecodable(syntax: UID | None, name: str) -> None:
    """Raises SourceError for an encoding that nothing here decodes, DependencyError when an extra would."""
    if syntax is None:
        raise SourceError(f"{name} has a transfer syntax that is none: its beginning is damaged")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise SourceError(f"{name} is encoded as {syntax.name}, which is not read: transcode it to JPEG") from None
    if decoder.is_available:
        return
    if any(plugin.startswith("gdcm") for plugin in decoder.missing_dependencies):
        raise DependencyError(f"a decoder of {syntax.name}", "dicom")
    raise SourceError(f"{name} is encoded as {syntax.name}, which is not read: transcode it to JPEG 2000")


def value(dataset: Dataset, keyword: str) -> Any:
    """An element that a stream can do without; None when it is absent or damaged."""
    try:
        return dataset.get(keyword)
    except Exception:  # noqa: BLE001 - pydicom parses an element when it is first asked for, and has many ways to fail
        return None


def number(dataset: Dataset, keyword: str) -> float | None:
    """An element as a finite number (of several the first), or None."""
    numbers = numbers_of(dataset, keyword)
    return numbers[0] if numbers else None


def numbers_of(dataset: Dataset, keyword: str) -> list[float]:
    """An element as finite numbers; empty when it is absent, damaged or holds anything else."""
    found = value(dataset, keyword)
    if found is None or isinstance(found, str | bytes):
        return []
    try:
        numbers = [float(one) for one in (found if hasattr(found, "__iter__") else [found])]
    except (TypeError, ValueError, OverflowError):
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def magnitude(dataset: Dataset, keyword: str) -> float | None:
    """A finite magnitude above 0, or None: deltas may be negative (the axis points the other way)."""
    found = number(dataset, keyword)
    return abs(found) if found else None


def first_item(dataset: Dataset | None, keyword: str) -> Dataset | None:
    """First item of a sequence, or None."""
    items = value(dataset, keyword) if dataset is not None else None
    return items[0] if items else None


def functional_group(header: Dataset, frame: int, keyword: str) -> Dataset | None:
    """The first item of a functional group macro of one frame, or of all (PS3.3 C.7.6.16.2), or None."""
    frames = value(header, "PerFrameFunctionalGroupsSequence") or ()
    own = first_item(frames[frame], keyword) if frame < len(frames) else None
    return own or first_item(first_item(header, "SharedFunctionalGroupsSequence"), keyword)


def one_line(error: object) -> str:
    """What another library says, on one line that fits a screen."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= _LENGTH_AT_MOST else words[:_LENGTH_AT_MOST] + " …"
