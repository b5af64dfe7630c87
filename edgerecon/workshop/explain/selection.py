"""What the command line asks for: one frame of a recording, and a region of its reconstruction."""

from __future__ import annotations

import re
from contextlib import closing
from itertools import islice

from edgerecon.core.errors import SourceError, UsageError
from edgerecon.core.frame import Image, to_unit
from edgerecon.quality.regions import Box


def read_frame(uri: str, number: int = 0) -> Image:
    """One frame of anything that can be streamed, float32 H×W in [0, 1].

    Args:
        number: counted from 0.

    Raises:
        SourceError: see ``open_source``; the recording has no such frame, or it cannot be read.
    """
    from edgerecon.stream.sources import open_source

    with closing(open_source(uri)) as source:
        capture = next(islice(source.frames(), number, None), None)
        if capture is None:
            count = source.length or number
            raise SourceError(f"{source.name} has no frame {number}: it has {count}, counted from 0")
        if capture.image is None:
            raise SourceError(f"frame {number} of {source.name} cannot be read: {capture.fault}")
        try:
            return to_unit(capture.image)
        except ValueError as error:
            raise SourceError(f"frame {number} of {source.name} cannot be used: {error}") from None


def read_region(at: str | None, region: str | None) -> Box | None:
    """The box of ``--at ROW,COLUMN`` (one pixel) or ``--region Y0,X0,Y1,X1``; None where neither is given.

    Raises:
        UsageError: both, or something else than whole numbers.
    """
    if at is not None and region is not None:
        raise UsageError("give --at or --region, not both")
    if at is not None:
        row, column = _numbers("--at", at, "ROW,COLUMN")
        return row, column, row + 1, column + 1
    if region is not None:
        y0, x0, y1, x1 = _numbers("--region", region, "Y0,X0,Y1,X1")
        return y0, x0, y1, x1
    return None


def _numbers(option: str, text: str, form: str) -> list[int]:
    if not re.fullmatch(",".join([r"\d{1,6}"] * (form.count(",") + 1)), text):
        raise UsageError(f"{option} is {form} in pixels of the reconstruction, not '{text}'")
    return [int(part) for part in text.split(",")]
