"""Bytes that lie encoded in a file (zlib, gzip, bzip2, text, hexadecimal), decoded as they are read."""

from __future__ import annotations

import bz2
import io
import zlib
from abc import abstractmethod
from pathlib import Path
from typing import IO, Literal

import numpy as np

from edgerecon.core.errors import SourceError

Encoding = Literal["raw", "zlib", "bzip2", "text", "hex"]

SKIPPED_AT_MOST = 64 << 20
"""Bytes that a header may ask to pass over where they cannot be jumped over."""

_PIECE = 1 << 16
_SILENT_AT_MOST = 1 << 20  # bytes read of a compressed stream that give none: a name in a gzip header has no end
_VALUES_AT_MOST = 4_000_000  # numbers of a frame in text
_TOKEN_AT_MOST = 64  # characters of a number


def open_at(path: Path, offset: int, encoding: Encoding = "raw", dtype: np.dtype | None = None) -> IO[bytes]:
    """The bytes of a file from ``offset`` on, decoded.

    Args:
        encoding: "zlib" is also gzip, which it tells by its header. dtype: what the numbers of "text" become.
    """
    file = path.open("rb")
    file.seek(offset)
    return decoded(file, encoding, dtype)


def decoded(file: IO[bytes], encoding: Encoding, dtype: np.dtype | None = None) -> IO[bytes]:
    """See ``open_at``; the file is closed with what is given back."""
    if encoding == "zlib":
        return io.BufferedReader(Inflated(file), _PIECE)
    if encoding == "bzip2":
        return bz2.BZ2File(file)
    if encoding == "text":
        return io.BufferedReader(_Text(file, np.dtype(dtype)), _PIECE)
    if encoding == "hex":
        return io.BufferedReader(_Hexadecimal(file), _PIECE)
    return file


def skip_bytes(stream: IO[bytes], count: int) -> None:
    """Pass over decoded bytes.

    Raises:
        ValueError: there are more than ``SKIPPED_AT_MOST`` of them.
    """
    if count > SKIPPED_AT_MOST:
        raise ValueError(f"{count} decoded bytes are to be skipped: at most {SKIPPED_AT_MOST} are")
    while count > 0 and (piece := stream.read(min(count, _PIECE))):
        count -= len(piece)


def skip_lines(file: IO[bytes], count: int) -> None:
    """Pass over lines.

    Raises:
        ValueError: they are longer than ``SKIPPED_AT_MOST``, or the file ends before.
    """
    start = file.tell()
    for _ in range(count):
        while not (piece := file.readline(_PIECE)).endswith(b"\n"):
            if not piece or file.tell() - start > SKIPPED_AT_MOST:
                raise ValueError(f"it has no {count} lines to skip")
        if file.tell() - start > SKIPPED_AT_MOST:
            raise ValueError(f"the {count} lines to be skipped are too long")


def refuse_long_text(name: str, encoding: Encoding, values: int) -> None:
    """Refuse frames that would take minutes to read.

    Raises:
        SourceError: a frame has more than ``_VALUES_AT_MOST`` numbers in text.
    """
    if encoding == "text" and values > _VALUES_AT_MOST:
        raise SourceError(
            f"{name} holds frames of {values:,} numbers in text, more than {_VALUES_AT_MOST:,}: save it in binary"
        )


class _Decoder(io.RawIOBase):
    """Gives pieces as ``_next`` makes them, however many bytes are asked for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._ready:
            self._ready = self._next(len(buffer))
        given = self._ready[: len(buffer)]
        self._ready = self._ready[len(given) :]
        buffer[: len(given)] = given
        return len(given)

    @abstractmethod
    def _next(self, wanted: int) -> bytes:
        """Decoded bytes, not many more than ``wanted``; b"" at the end."""

    def close(self) -> None:
        self._file.close()
        super().close()


class Inflated(_Decoder):
    """Bytes of a zlib or gzip stream; gzip members that follow one another are one stream, as in the gzip standard."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._inflate = _inflater()

    def _next(self, wanted: int) -> bytes:
        silent = 0
        while silent <= _SILENT_AT_MOST:
            packed = self._inflate.unconsumed_tail or self._inflate.unused_data or self._file.read(_PIECE)
            if self._inflate.eof:
                if not packed.startswith(b"\x1f"):
                    return b""
                self._inflate = _inflater()
            inflated = self._inflate.decompress(packed, wanted)
            if inflated or not packed:
                return inflated
            silent += len(packed)
        raise ValueError(f"{silent} bytes of it inflate to nothing")


def _inflater() -> zlib._Decompress:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: tells zlib from gzip by its header


class _Text(_Decoder):
    """Numbers, apart by white space or commas, as the bytes of a type."""

    def __init__(self, file: IO[bytes], dtype: np.dtype) -> None:
        super().__init__(file)
        self._dtype = dtype
        self._rest = b""

    def _next(self, wanted: int) -> bytes:
        while True:
            text = self._file.read(_PIECE)
            whole = self._rest + text.replace(b",", b" ")
            cut = len(whole) if not text else max(whole.rfind(space) for space in (b" ", b"\n", b"\t", b"\r")) + 1
            tokens, self._rest = whole[:cut].split(), whole[cut:]
            if len(self._rest) > _TOKEN_AT_MOST:
                raise ValueError(f"it holds a number of more than {_TOKEN_AT_MOST} characters")
            if tokens:
                return self._bytes(tokens)
            if not text:
                return b""

    def _bytes(self, tokens: list[bytes]) -> bytes:
        try:
            values = np.array(tokens).astype(np.float64)
        except ValueError:
            raise ValueError("it holds text that is no number") from None
        if self._dtype.kind in "ui":
            limits = np.iinfo(self._dtype)
            if not np.all((values >= limits.min) & (values <= limits.max)):
                raise ValueError(f"it holds a number beyond {limits.min} … {limits.max}")
        with np.errstate(over="ignore"):
            return values.astype(self._dtype).tobytes()


class _Hexadecimal(_Decoder):
    """Pairs of hexadecimal digits, wherever white space lies."""

    _rest = b""

    def _next(self, wanted: int) -> bytes:
        while text := self._file.read(_PIECE):
            digits = self._rest + b"".join(text.split())
            whole = len(digits) // 2 * 2
            self._rest = digits[whole:]
            if whole:
                return bytes.fromhex(digits[:whole].decode("ascii"))
        return b""
