"""The built library: its C interface (kernels/cpu/edgerecon_cpu.h) by ctypes."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EdgereconError, EngineError, ModelError
from edgerecon.core.frame import Image
from edgerecon.cpu.layers import Layer
from edgerecon.cpu.store import Stored, find_built

VERSION = 3
"""The version of the interface, EDGERECON_CPU_VERSION."""
NOT_BUILT = "its kernels are not built for this machine"
REMEDY = "run  edgerecon kernels build --cpu"
_ERROR_BYTES = 300
_NUMBERS = (
    "kind",
    "source",
    "added",
    "target",
    "inputs",
    "outputs",
    "kernel",
    "stride",
    "dilation",
    "padding",
    "relu",
    "floor",
    "ceiling",
)
_ARRAYS = {
    "weights": np.float32,
    "bias": np.float32,
    "integers": np.int16,
    "offset": np.int32,
    "shift": np.int32,
    "gain": np.int32,
    "step": np.float32,
}


class _Layer(ctypes.Structure):
    """edgerecon_layer."""

    _fields_ = [(name, ctypes.c_int32) for name in _NUMBERS] + [(name, ctypes.c_void_p) for name in _ARRAYS]


Bytes = NDArray[np.uint8]


class _Picture(ctypes.Structure):
    """edgerecon_picture."""

    _fields_ = (
        [(name, ctypes.c_void_p) for name in ("seen", "frame", "tissue", "out")]
        + [(f"{name}_pitch", ctypes.c_int64) for name in ("seen", "frame", "tissue", "out")]
        + [(name, ctypes.c_int32) for name in ("height", "width", "margin")]
        + [("strength", ctypes.c_float)]
    )


Functions = Mapping[str, tuple[Any, Sequence[Any]]]
"""Of the interface: short name → types of the result and of the arguments."""
_HANDLE, _TEXT, _NUMBER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32
_FUNCTIONS: Functions = {
    "instruction_set": (_TEXT, (_NUMBER,)),
    "open": (_HANDLE, (ctypes.POINTER(_Layer), _NUMBER, _TEXT, _NUMBER)),
    "bind": (_HANDLE, (_HANDLE, *(_NUMBER,) * 3, _TEXT, _TEXT, _NUMBER)),
    "run": (None, (_HANDLE,) * 3),
    "run_bytes": (_NUMBER, (_HANDLE, ctypes.POINTER(_Picture), _TEXT, _NUMBER)),
    "unbind": (None, (_HANDLE,)),
    "close": (None, (_HANDLE,)),
}


class Library:
    """The kernels, loaded once a process."""

    def __init__(self, stored: Stored) -> None:
        self._c = _load(stored)
        self.declare(_FUNCTIONS)

    def declare(self, functions: Functions) -> None:
        """Tell ctypes the types of functions of the interface."""
        for name, (result, arguments) in functions.items():
            function = self.call(name)
            function.restype, function.argtypes = result, arguments

    def call(self, name: str) -> Any:
        """A function of the interface by its short name."""
        return getattr(self._c, f"edgerecon_cpu_{name}")

    def instruction_sets(self) -> tuple[str, ...]:
        """Those of this processor that have kernels, the fastest first."""
        names, of = list[str](), self.call("instruction_set")
        while name := of(len(names)):
            names.append(name.decode())
        return tuple(names)

    def open(self, layers: Sequence[Layer]) -> Network:
        """A network with its weights packed.

        Raises:
            ModelError: the kernels refuse a layer, which is named.
        """
        return Network(self, layers)


class Handle:
    """An object that the kernels have opened, closed when this one is deleted.

    Args:
        open, close: functions of the interface. arguments: of ``open``, without its last two, the buffer of the error.
        refused: makes the exception that is raised from the kernels' reason.
    """

    def __init__(
        self, library: Library, open: str, close: str, *arguments: Any, refused: Callable[[str], EdgereconError]
    ) -> None:
        self._close = library.call(close)
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        self.address = library.call(open)(*arguments, error, _ERROR_BYTES)
        if not self.address:
            raise refused(error.value.decode())

    def __del__(self) -> None:
        if getattr(self, "address", None):
            self._close(self.address)


class Network:
    """Packed weights, which any number of runners share."""

    def __init__(self, library: Library, layers: Sequence[Layer]) -> None:
        self._library = library
        described, _kept = _described(layers)

        def refused(reason: str) -> ModelError:
            return ModelError(f"backend native refuses the network: {_named(reason, layers)}")

        self.handle = Handle(library, "open", "close", described, len(layers), refused=refused)

    def bind(self, height: int, width: int, threads: int, instruction_set: str = "") -> Runner:
        """Buffers and threads for frames of one size, on the fastest instruction set unless one is named.

        Raises:
            EngineError: no memory or threads, a size that the network does not take, an absent instruction set.
        """
        return Runner(self._library, self, height, width, threads, instruction_set)


class Runner:
    """One stream's buffers and threads. One call at a time."""

    def __init__(
        self, library: Library, network: Network, height: int, width: int, threads: int, instruction_set: str
    ) -> None:
        self._library, self._network, self._shape = library, network, (height, width)

        def refused(reason: str) -> EngineError:
            return EngineError(f"backend native cannot run {height}×{width} frames: {reason}")

        sizes = (height, width, threads, instruction_set.encode())
        self._handle = Handle(library, "bind", "unbind", network.handle.address, *sizes, refused=refused)

    def run(self, frame: Image, out: Image) -> None:
        """float32, contiguous, (H, W) of the bound size into (H·scale, W·scale). Allocates nothing."""
        if frame.dtype != np.float32 or frame.shape[-2:] != self._shape or not frame.flags.c_contiguous:
            raise EngineError(f"backend native is bound to float32 frames of {self._shape[0]}×{self._shape[1]}")
        if out.dtype != np.float32 or not out.flags.c_contiguous:
            raise EngineError("backend native writes contiguous float32")
        self._library.call("run")(self._handle.address, frame.ctypes.data, out.ctypes.data)

    def run_bytes(
        self,
        seen: Bytes,
        out: Bytes,
        *,
        frame: Bytes | None = None,
        tissue: Bytes | None = None,
        strength: float = 1.0,
        margin: int = 0,
    ) -> None:
        """uint8 (H, W) into uint8 (H, W) of another array, 255 being 1; rows may lie apart. Allocates nothing large.

        Args:
            seen: by the network. frame: passes where ``tissue`` is 0; ``seen`` when None.
            strength: in [0, 1], of the network against ``seen``.
            margin: H + 2·margin and W + 2·margin are at most the bound size; the nearest pixel is repeated beyond.

        Raises:
            EngineError: other shapes or types, an ``out`` that overlaps what is read, or see edgerecon_cpu.h.
        """
        arrays = {"seen": seen, "frame": seen if frame is None else frame, "tissue": tissue, "out": out}
        picture = _Picture(height=seen.shape[0], width=seen.shape[1], margin=margin, strength=strength)
        for name, array in arrays.items():
            if array is None:
                continue
            if array.dtype != np.uint8 or array.shape != seen.shape or array.strides[1] != 1:
                raise EngineError("backend native takes bytes of one shape, whose rows are contiguous")
            if name != "out" and np.may_share_memory(array, out):
                raise EngineError("backend native writes bytes to memory that it does not read")
            setattr(picture, name, array.ctypes.data)
            setattr(picture, f"{name}_pitch", array.strides[0])
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        if self._library.call("run_bytes")(self._handle.address, picture, error, _ERROR_BYTES):
            raise EngineError(f"backend native cannot run this frame: {error.value.decode()}")


@cache
def load_library() -> Library:
    """The library of these sources from the cache.

    Raises:
        EngineError: it is not built, or does not load here.
    """
    stored = find_built()
    if stored is None:
        raise EngineError(f"backend native cannot be used here: {NOT_BUILT}; {REMEDY}")
    return Library(stored)


def _load(stored: Stored) -> ctypes.CDLL:
    """What was verified is what is loaded: from memory, not once more from the disk.

    The file stays open, and its number with it: the loader knows a library by its path, and would give the one loaded
    before for a path that comes back.
    """
    if sys.platform != "linux":
        raise EngineError("backend native needs Linux: choose openvino or onnxruntime")
    try:
        file = os.memfd_create("edgerecon_cpu")
        with os.fdopen(file, "wb", closefd=False) as memory:
            memory.write(stored.content)
        loaded = ctypes.CDLL(f"/proc/self/fd/{file}")
        version = loaded.edgerecon_cpu_version()
    except (OSError, AttributeError) as error:
        raise EngineError(f"{stored.path} does not load here ({error}): delete it and {REMEDY}") from None
    if version != VERSION:
        raise EngineError(f"{stored.path} is of another version: delete it and {REMEDY}")
    return loaded


def _described(layers: Sequence[Layer]) -> tuple[Any, list[Any]]:
    """The layers as C reads them, and the arrays that have to live as long as it does."""
    array, kept = (_Layer * len(layers))(), list[Any]()
    for row, layer in zip(array, layers, strict=True):
        numbers, arrays = layer_fields(layer)
        for name, number in numbers.items():
            setattr(row, name, number)
        for name, values in arrays.items():
            kept.append(values)
            setattr(row, name, values.ctypes.data)
    return array, kept


def layer_fields(layer: Layer) -> tuple[dict[str, int], dict[str, NDArray[Any]]]:
    """(numbers, arrays) of edgerecon_layer, in its order; an array that is null there is left out."""
    facts = {name: getattr(layer, name) for name in (*_NUMBERS, *_ARRAYS) if hasattr(layer, name)}
    facts.pop("integers")
    if form := layer.integers:
        facts |= {"integers": form.weights, "floor": form.floor, "ceiling": form.ceiling}
        facts |= {name: getattr(form, name) for name in ("offset", "shift", "gain", "step")}
    numbers = {name: int(facts.get(name, 0)) for name in _NUMBERS}
    given = {name: facts[name] for name in _ARRAYS if name in facts and facts[name].size}
    return numbers, {name: np.ascontiguousarray(values, _ARRAYS[name]) for name, values in given.items()}


def layers_image(layers: Sequence[Layer]) -> bytes:
    """The layers as a processor of 32 bits reads them, for kernels/cpu/browser.cpp: pointers count from the start."""
    described, arrays = bytearray(), bytearray()
    first = len(layers) * 4 * (len(_NUMBERS) + len(_ARRAYS))
    for layer in layers:
        numbers, given = layer_fields(layer)
        places = dict.fromkeys(_ARRAYS, 0)
        for name, values in given.items():
            places[name] = first + len(arrays)
            arrays += values.astype(values.dtype.newbyteorder("<")).tobytes()
            arrays += bytes(-len(arrays) % 8)
        described += struct.pack(f"<{len(_NUMBERS)}i{len(_ARRAYS)}I", *numbers.values(), *places.values())
    return bytes(described + arrays)


def _named(message: str, layers: Sequence[Layer]) -> str:
    """ "layer 3 …" with the layer's name in the file."""
    word, _, rest = message.partition(" ")
    number, _, rest = rest.partition(" ")
    if word != "layer" or not number.isdigit() or int(number) >= len(layers):
        return message
    return f"layer {number} ({layers[int(number)].name}) {rest}"
