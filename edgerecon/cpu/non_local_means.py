"""Non-local means of the CPU kernels: its C interface (kernels/cpu/nlm_interface.h) by ctypes."""

from __future__ import annotations

import ctypes

import numpy as np

from edgerecon.core.errors import EngineError
from edgerecon.core.frame import Image
from edgerecon.cpu.library import Library

_ERROR_BYTES = 300
_NUMBER, _POINTER, _TEXT = ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p


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
        for name, result, arguments in (
            ("open", _POINTER, (*(_NUMBER,) * 4, ctypes.c_float, _NUMBER, _TEXT, _TEXT, _NUMBER)),
            ("run", None, (_POINTER,) * 3),
            ("close", None, (_POINTER,)),
        ):
            function = library.call(f"nlm_{name}")
            function.restype, function.argtypes = result, arguments
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        self._handle = library.call("nlm_open")(
            *shape, patch, search, h, threads, instruction_set.encode(), error, _ERROR_BYTES
        )
        if not self._handle:
            raise EngineError(f"the CPU kernels cannot filter this: {error.value.decode()}")

    def run(self, image: Image) -> Image:
        """float32 (H, W) in [0, 1] → the same, another array.

        Raises:
            EngineError: a frame of another size.
        """
        if image.shape != self.shape:
            raise EngineError(f"the filter is made for frames of {self.shape[0]}×{self.shape[1]}")
        frame, out = np.ascontiguousarray(image, np.float32), np.empty(self.shape, np.float32)
        self._library.call("nlm_run")(self._handle, frame.ctypes.data, out.ctypes.data)
        return out

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.call("nlm_close")(self._handle)
