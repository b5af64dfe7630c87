"""Launches of frontend.cu, the frame's way onto the GPU and back. Addresses are of GPU memory, streams are handles."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from typing import Literal

from edgerecon.core.errors import UsageError
from edgerecon.cuda.kernels.load import Module

Size = tuple[int, int]
Mode = Literal["bilinear", "area"]

LARGEST_SIDE = 16_384
_BLOCK = (32, 8, 1)
_THREADS = 256


class SectorStruct(ctypes.Structure):
    """``frontend::Sector`` of frontend_core.h."""

    _fields_ = [
        ("samples", ctypes.c_int),
        ("lines", ctypes.c_int),
        ("apex_x", ctypes.c_float),
        ("apex_z", ctypes.c_float),
        ("start_angle", ctypes.c_float),
        ("angle_step", ctypes.c_float),
        ("start_depth", ctypes.c_float),
        ("depth_step", ctypes.c_float),
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
        ("left", ctypes.c_float),
        ("top", ctypes.c_float),
        ("step_x", ctypes.c_float),
        ("step_z", ctypes.c_float),
    ]


@dataclass(frozen=True)
class Sector:
    """Scan lines that spread from an apex at equal angles, and the picture to make of them.

    Attributes:
        polar: (samples, lines) of what was recorded, rows being depth. apex: its (x, z) in mm, z pointing down.
        angles: of the first and the last line, in radians from the z axis towards +x.
        depths: of the first and the last sample, in mm from the apex.
        size: (H, W) of the picture. corner: (x, z) of the centre of its first pixel, in mm; spacing: (x, z) between
            pixels, in mm.
    """

    polar: Size
    apex: tuple[float, float]
    angles: tuple[float, float]
    depths: tuple[float, float]
    size: Size
    corner: tuple[float, float]
    spacing: tuple[float, float]

    def __post_init__(self) -> None:
        _check(self.polar, self.size)
        if min(self.polar) < 2:
            raise UsageError(f"scan conversion needs two lines of two samples at least, not {self.polar}")
        if not -math.pi <= self.angles[0] < self.angles[1] <= math.pi:
            raise UsageError(f"scan conversion needs angles that grow within ±π, not {self.angles}")
        if not 0 <= self.depths[0] < self.depths[1] < math.inf or not 0 < min(self.spacing) < math.inf:
            raise UsageError(f"scan conversion needs depths that grow and spacings above 0, not {self}")

    def struct(self) -> SectorStruct:
        """As the kernel takes it."""
        angle_step = (self.angles[1] - self.angles[0]) / (self.polar[1] - 1)
        depth_step = (self.depths[1] - self.depths[0]) / (self.polar[0] - 1)
        return SectorStruct(
            *self.polar,
            *self.apex,
            self.angles[0],
            angle_step,
            self.depths[0],
            depth_step,
            *self.size,
            *self.corner,
            *self.spacing,
        )


class Frontend:
    """The kernels of one GPU. Wants its context to be current."""

    def __init__(self, module: Module) -> None:
        self._resize = {mode: module.function(f"frontend_{mode}") for mode in ("bilinear", "area")}
        self._log, self._scan = module.function("frontend_log"), module.function("frontend_scan")
        self._bytes = module.function("frontend_bytes")

    def resize(self, image: int, size: Size, out: int, out_size: Size, *, mode: Mode = "bilinear", stream: int) -> None:
        """uint8 (H, W) → float32 in [0, 1] of another size; OpenCV's INTER_LINEAR, or INTER_AREA, which only shrinks.

        Raises:
            UsageError: sizes or mode. EngineError: the driver refused.
        """
        _check(size, out_size)
        if mode not in self._resize:
            raise UsageError(f"frames are resized 'bilinear' or by 'area', not '{mode}'")
        if mode == "area" and any(target > side for side, target in zip(size, out_size, strict=True)):
            raise UsageError(f"frames are not enlarged by area: {size} to {out_size}; take 'bilinear'")
        arguments = [_at(image), *map(ctypes.c_int, size), _at(out), *map(ctypes.c_int, out_size)]
        self._resize[mode].launch(_grid(out_size), _BLOCK, arguments, stream, f"{_spelt(size)} to {_spelt(out_size)}")

    def log(self, iq: int, count: int, out: int, *, reference: float, range_db: float, stream: int) -> None:
        """IQ, float32 pairs → 1 + 20·log10(envelope / reference) / range_db, float32, clipped to [0, 1].

        Raises:
            UsageError: a reference or a range that is not above 0. EngineError: the driver refused.
        """
        if not (0 < reference < math.inf and 0 < range_db < math.inf):
            raise UsageError(
                f"log compression needs a reference and a range above 0, not {reference} and {range_db} dB"
            )
        arguments = [_at(iq), ctypes.c_longlong(count), ctypes.c_float(1 / reference), ctypes.c_float(1 / range_db)]
        self._log.launch(_line(count), (_THREADS, 1, 1), [*arguments, _at(out)], stream, f"{count} IQ samples")

    def scan(self, polar: int, sector: Sector, out: int, *, stream: int) -> None:
        """Polar float32 → the sector's picture, float32, 0 outside the sector; bilinear."""
        shapes = f"{_spelt(sector.polar)} to {_spelt(sector.size)}"
        self._scan.launch(_grid(sector.size), _BLOCK, [_at(polar), sector.struct(), _at(out)], stream, shapes)

    def bytes(self, image: int, count: int, out: int, *, stream: int) -> None:
        """float32 in [0, 1] → uint8, halves to even; what is beyond is clipped, NaN is 0."""
        arguments = [_at(image), ctypes.c_longlong(count), _at(out)]
        self._bytes.launch(_line(count), (_THREADS, 1, 1), arguments, stream, f"{count} pixels")


def _check(*sizes: Size) -> None:
    for size in sizes:
        if not all(1 <= side <= LARGEST_SIDE for side in size):
            raise UsageError(f"frames have sides of 1 to {LARGEST_SIDE} pixels, not {_spelt(size)}")


def _grid(size: Size) -> tuple[int, int, int]:
    return -(-size[1] // _BLOCK[0]), -(-size[0] // _BLOCK[1]), 1


def _line(count: int) -> tuple[int, int, int]:
    if not 1 <= count <= _THREADS * (2**31 - 1):
        raise UsageError(f"there are {count} pixels to work on")
    return -(-count // _THREADS), 1, 1


def _at(address: int) -> ctypes.c_void_p:
    return ctypes.c_void_p(address)


def _spelt(size: Size) -> str:
    return "×".join(map(str, size))
