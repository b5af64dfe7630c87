"""Filters of the CPU kernels, which make one frame of another: their C interfaces by ctypes."""

from __future__ import annotations

import ctypes

import numpy as np

from edgerecon.core.errors import EngineError
from edgerecon.core.frame import Image
from edgerecon.cpu.library import Functions, Handle, Library

_NUMBER, _REAL, _POINTER, _TEXT = ctypes.c_int32, ctypes.c_float, ctypes.c_void_p, ctypes.c_char_p


class CpuFrameFilter:
    """A filter for frames of one size. One call at a time.

    Args:
        name: of the C interface, kernels/cpu/NAME_interface.h. shape: (H, W).
        values: of the filter, in the order of the interface; whole numbers and floats are passed as such.

    Raises:
        EngineError: no memory or threads, values that the filter does not take, an absent instruction set.
    """

    def __init__(
        self,
        library: Library,
        name: str,
        shape: tuple[int, int],
        values: tuple[int | float, ...],
        threads: int,
        instruction_set: str = "",
    ) -> None:
        self.shape = shape
        kinds = [_REAL if isinstance(value, float) else _NUMBER for value in values]
        functions: Functions = {
            f"{name}_open": (_POINTER, (_NUMBER, _NUMBER, *kinds, _NUMBER, _TEXT, _TEXT, _NUMBER)),
            f"{name}_run": (None, (_POINTER,) * 3),
            f"{name}_close": (None, (_POINTER,)),
        }
        library.declare(functions)
        self._run = library.call(f"{name}_run")
        facts = (*shape, *values, threads, instruction_set.encode())
        self._handle = Handle(library, f"{name}_open", f"{name}_close", *facts, refused=_refused)

    def run(self, image: Image) -> Image:
        """float32 (H, W) in [0, 1] → the same, another array.

        Raises:
            EngineError: a frame of another size.
        """
        if image.shape != self.shape:
            raise EngineError(f"the filter is made for frames of {self.shape[0]}×{self.shape[1]}")
        frame, out = np.ascontiguousarray(image, np.float32), np.empty(self.shape, np.float32)
        self._run(self._handle.address, frame.ctypes.data, out.ctypes.data)
        return out


def _refused(reason: str) -> EngineError:
    return EngineError(f"the CPU kernels cannot filter this: {reason}")
