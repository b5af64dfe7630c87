"""Non-local means of the CPU kernels: its C interface (kernels/cpu/nlm_interface.h) by ctypes."""

from __future__ import annotations

import ctypes

import numpy as np

from edgerecon.core.errors import EngineError
from edgerecon.core.frame import Image
from edgerecon.cpu.library import Functions, Handle, Library

_NUMBER, _POINTER, _TEXT = ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p
_FUNCTIONS: Functions = {
    "nlm_open": (_POINTER, (*(_NUMBER,) * 4, ctypes.c_float, _NUMBER, _TEXT, _TEXT, _NUMBER)),
    "nlm_run": (None, (_POINTER,) * 3),
    "nlm_close": (None, (_POINTER,)),
}


class CpuNonLocalMeans:
    """Non-local means of frames of one size. One call at a time.

    Args:
        shape: (H, W). patch, search: odd sides of the compared patches and of the window, in pixels. h: in levels.

    Raises:
        EngineError: no memory or threads, an even side, an absent instruction set.
    """

    def __init__(
        self,
        library: Library,
        shape: tuple[int, int],
        patch: int,
        search: int,
        h: float,
        threads: int,
        instruction_set: str = "",
    ) -> None:
        self.shape, self._library = shape, library
        library.declare(_FUNCTIONS)
        facts = (*shape, patch, search, h, threads, instruction_set.encode())
        self._handle = Handle(library, "nlm_open", "nlm_close", *facts, refused=_refused)

    def run(self, image: Image) -> Image:
        """float32 (H, W) in [0, 1] → the same, another array.

        Raises:
            EngineError: a frame of another size.
        """
        if image.shape != self.shape:
            raise EngineError(f"the filter is made for frames of {self.shape[0]}×{self.shape[1]}")
        frame, out = np.ascontiguousarray(image, np.float32), np.empty(self.shape, np.float32)
        self._library.call("nlm_run")(self._handle.address, frame.ctypes.data, out.ctypes.data)
        return out


def _refused(reason: str) -> EngineError:
    return EngineError(f"the CPU kernels cannot filter this: {reason}")
