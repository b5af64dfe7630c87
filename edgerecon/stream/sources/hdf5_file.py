"""HDF5 files of somebody else's: only what lies in the file itself is read, and no more than was reckoned with."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EdgereconError, SourceError, needed
from edgerecon.stream.sources.files.hdf5_chunks import check_chunks, read
from edgerecon.stream.sources.files.hdf5_superblock import UnclosedFile

if TYPE_CHECKING:
    import h5py

_LINKS_AT_MOST = 200_000
_DEEPEST = 32  # groups within groups: HDF5 takes the square of their number to look through them
_LOOKED_S = 3.0  # processor time for which links are looked through
_ATTRIBUTE_AT_MOST = 64  # values
_TABLE_AT_MOST = 64 << 20  # bytes of a table that is read whole


@contextmanager
def one_line_errors(name: str) -> Iterator[None]:
    """Turn what h5py and pyuff say of damaged files into one line.

    Raises:
        SourceError: the body raised something that is no EdgereconError.
    """
    try:
        yield
    except EdgereconError:
        raise
    except Exception as error:  # they fail in many ways
        raise SourceError(f"{name} cannot be read as HDF5: {' '.join(str(error).split())}") from error


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, also while it is written and when its writer was killed.

    HDF5's own mode for these (SWMR) reads whatever is damaged again and again, for hours.

    Raises:
        SourceError: it is damaged.
    """
    with needed("stream", "h5py"):
        import h5py
    try:
        with ExitStack() as stack:
            unclosed = stack.enter_context(closing(UnclosedFile(path)))
            file = stack.enter_context(h5py.File(unclosed if unclosed.is_unclosed else path, "r"))
            kept = stack.pop_all()
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read as HDF5: it is damaged or truncated") from error
    with kept:
        yield file


def refuse_other_files(file: h5py.File) -> None:
    """Refuse a file that leads to others, before any of its links is followed.

    HDF5 opens what a link names as soon as it is met: a soft link through an external one shows another file's data,
    and one to a pipe waits for ever.

    Raises:
        SourceError: an external link anywhere, or more or deeper links than can be looked through in a moment.
    """
    import h5py

    seen, begun_s = 0, time.thread_time()

    def look(name: str, link: object) -> str | None:
        """Why to refuse the file; h5py may lose what is raised here."""
        nonlocal seen
        seen += 1
        if seen > _LINKS_AT_MOST:
            return f" holds more than {_LINKS_AT_MOST:,} objects: no recording does"
        if name.count("/") >= _DEEPEST:
            return f" holds groups within groups, more than {_DEEPEST} deep: no recording does"
        if time.thread_time() - begun_s > _LOOKED_S:
            return f" holds more objects than can be looked through in {_LOOKED_S:g} s"
        if isinstance(link, h5py.ExternalLink):
            return f": '{name}' lies in another file: only data of the file itself are read"
        return None

    why = file.visititems_links(look)
    if why is not None:
        raise SourceError(_name(file) + why)


def group(file: h5py.Group, key: str) -> h5py.Group:
    """A group of the file.

    Raises:
        SourceError: it is absent, or something else.
    """
    import h5py

    found = file.get(key)
    if not isinstance(found, h5py.Group):
        raise SourceError(f"{_name(file)} holds no group '{key}'")
    return found


def dataset(file: h5py.Group, key: str) -> h5py.Dataset:
    """A dataset whose values lie in this very file, to be read by ``hdf5_chunks``.

    Raises:
        SourceError: it is absent, the file refers to others (a recording must not make us read other files), or its
            chunks are larger than frames need.
    """
    import h5py

    name, found = _name(file), file.get(key)
    if not isinstance(found, h5py.Dataset):
        raise SourceError(f"{name} holds no dataset '{key}'")
    if found.shape is None:
        raise SourceError(f"{name}: '{key}' is empty")
    if found.external or found.is_virtual:
        where = "is put together of other datasets (virtual)" if found.is_virtual else "lies in another file"
        raise SourceError(f"{name}: '{key}' {where}: only data of the file itself are read, so copy them into it")
    check_chunks(found, name)
    return found


def table(file: h5py.Group, key: str) -> NDArray[Any]:
    """A small dataset, whole.

    Raises:
        SourceError: see ``dataset``; or it is larger than any description of a recording.
    """
    found = dataset(file, key)
    size = found.size * found.dtype.itemsize
    if size > _TABLE_AT_MOST:
        raise SourceError(f"{_name(file)}: '{key}' declares {size >> 20} MB, at most {_TABLE_AT_MOST >> 20} are read")
    return read(found, 0, found.shape[0]) if found.shape else np.asarray(found[()])


def numbers(file: h5py.Group, key: str, shape: tuple[int | None, ...] | None = None) -> NDArray[np.float64]:
    """A small table of numbers, whole.

    Args:
        shape: that it must have, None for an axis of any length; default: any.

    Raises:
        SourceError: see ``table``; or it holds no numbers, or has another shape. The message names it.
    """
    found = dataset(file, key)
    is_text = found.dtype.kind in "OSU" or text(attribute(found, "MATLAB_class")) == "char"  # MATLAB's are words
    if is_text or found.dtype.kind not in "buif":
        what = "text" if is_text else found.dtype
        raise SourceError(f"{_name(file)}: '{key}' holds {what}, no numbers")
    if shape is not None and (
        len(shape) != found.ndim or any(want not in (None, is_) for want, is_ in zip(shape, found.shape, strict=True))
    ):
        wanted = "×".join("any" if one is None else str(one) for one in shape)
        raise SourceError(f"{_name(file)}: '{key}' has the shape {found.shape}, not {wanted}")
    return np.asarray(table(file, key), np.float64)


def references(file: h5py.Group, key: str) -> list[h5py.Reference] | None:
    """What a cell or an array of structures of MATLAB's refers to; None when the dataset holds values.

    Raises:
        SourceError: see ``dataset``; or it refers to more than any recording does.
    """
    import h5py

    found = dataset(file, key)
    if h5py.check_ref_dtype(found.dtype) is None:
        return None
    if found.size > _LINKS_AT_MOST:
        raise SourceError(f"{_name(file)}: '{key}' refers to more than {_LINKS_AT_MOST:,} objects: no recording does")
    return list(found[()].ravel())


def scalar(file: h5py.Group, key: str, default: float | None = None) -> float | None:
    """A number, however many axes of length 1 it is wrapped in; ``default`` when it is absent or not finite.

    Raises:
        SourceError: see ``numbers``; or it holds several that differ.
    """
    if key not in file:
        return default
    values = numbers(file, key).ravel()
    if np.any(values != values[:1]) and not np.all(np.isnan(values)):
        raise SourceError(f"{_name(file)}: '{key}' holds {values.size} values that differ: one is needed")
    return float(values[0]) if values.size and np.isfinite(values[0]) else default


def attribute(found: h5py.Group | h5py.Dataset, key: str) -> Any:
    """An attribute of a few values; None when it is absent, or holds more or none."""
    shape = found.attrs.get_id(key).shape if key in found.attrs else None  # None as well: of an empty one
    return None if shape is None or math.prod(shape) > _ATTRIBUTE_AT_MOST else found.attrs[key]


def text(value: Any) -> str:
    """MATLAB writes a class's name as bytes, Python as text or as an array of it."""
    value = value.flat[0] if isinstance(value, np.ndarray) and value.size else value
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _name(file: h5py.Group) -> str:
    return Path(file.file.filename).name
