"""The integer form of a compact network: what hardware computes, bit for bit what its po2 ONNX file says.

    cells = unshuffle(frame)                                     (H, W) → 4 × (H/2, W/2), channel 2·dy + dx
    a_0 = cells;  a_k = clip(round((Σ w·a_{k−1} + bias) / 2^shift), 0, 255)
    last layer: Σ w·a + bias + cells · 2^shift in place of the sum;  picture = shuffle(a_L)

Everything that is stored between layers is uint8 with zero point 0; weights are int8, sums int32, halves round to even.
A ReLU is the lower end of the clipping. A frame's level g stands for g / 256: the quantiser of the file turns a grey
level x in [0, 1] into clip(round(256 x), 0, 255), and what comes out is divided by 256 again.

Such arithmetic and that of the file's floats agree exactly as long as every scale is a power of two and every sum stays
below 2^24, the integers that float32 holds; both are checked here, and anything else is refused by name.
Rounding: Jacob et al., CVPR 2018, with shifts in place of multipliers (Jain et al., MLSys 2020).
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.config import read_json
from edgerecon.core.errors import ModelError
from edgerecon.core.files import write

FORMAT = 1
FRAME_EXPONENT = -8
"""A level of the frame, and of the picture, is 2 to this power."""
MAX_LEVEL = 255
SUM_LIMIT = 2**24
SHIFT_LIMIT = 16
WIDTH = 1920
"""Widest frame, in pixels, that the line buffers hold unless it is said otherwise."""
CELL = 2
CELL_CHANNELS = CELL * CELL


@dataclass(frozen=True)
class IntegerLayer:
    """A 3×3 convolution with its rounding.

    Attributes:
        name: of the tensor that its rounding puts out in the ONNX file.
        weight: int8 (out, in, 3, 3), a cross-correlation as in ONNX, zeros beyond the border.
        bias: int32 (out,), in units of the sum. shift: (out,), of 0 to ``SHIFT_LIMIT`` bits.
        dilation: cells between neighbouring taps. exponent: a level it puts out is 2 to this power.
    """

    name: str
    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    shift: NDArray[np.int32]
    dilation: int
    exponent: int

    @property
    def inputs(self) -> int:
        """Channels that it takes."""
        return int(self.weight.shape[1])

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return int(self.weight.shape[0])

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one cell of 2×2 pixels."""
        return int(self.weight.size)


@dataclass(frozen=True)
class IntegerNetwork:
    """A compact network in integers.

    Attributes:
        name: of the model. model_sha256: of its ONNX file; "" when made by hand.
        layers: from the first to the last, which adds the frame.
        width: widest frame in pixels, which sizes the line buffers.
    """

    name: str
    layers: tuple[IntegerLayer, ...]
    width: int = WIDTH
    model_sha256: str = ""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def macs_per_pixel(self) -> float:
        """Multiply-accumulates for one pixel of the frame."""
        return sum(layer.macs for layer in self.layers) / CELL_CHANNELS

    @property
    def sum_bits(self) -> int:
        """Bits, sign included, that hold any sum of any layer."""
        return 1 + max(math.ceil(math.log2(bound + 1)) for bound in map(self._bound, range(len(self.layers))))

    def _bound(self, index: int) -> int:
        """Greatest magnitude that a sum of a layer can have on its way, whatever the order of its terms."""
        layer = self.layers[index]
        weights = np.abs(layer.weight.astype(np.int64)).reshape(layer.outputs, -1).sum(axis=1)
        sums = weights * MAX_LEVEL + np.abs(layer.bias.astype(np.int64))
        if index == len(self.layers) - 1:
            sums += MAX_LEVEL << layer.shift.astype(np.int64)
        return int(sums.max())

    def to_json(self) -> dict[str, Any]:
        """Plain values, see kernels/hls/README.md."""
        return {
            "format": FORMAT,
            "name": self.name,
            "model_sha256": self.model_sha256,
            "width": self.width,
            "cell": CELL,
            "frame_exponent": FRAME_EXPONENT,
            "sum_bits": self.sum_bits,
            "layers": [
                {
                    key: value.tolist() if isinstance(value, np.ndarray) else value
                    for key, value in {
                        **asdict(layer),
                        "inputs": layer.inputs,
                        "outputs": layer.outputs,
                        "residual": index == len(self.layers) - 1,
                    }.items()
                }
                for index, layer in enumerate(self.layers)
            ],
        }

    def write(self, path: Path) -> None:
        """As JSON.

        Raises:
            EdgereconError: the folder cannot be written.
        """
        write(path, (json.dumps(self.to_json()) + "\n").encode())


def read_ir(path: Path) -> IntegerNetwork:
    """What ``IntegerNetwork.write`` has written.

    Raises:
        ModelError: missing, damaged, of another format, or out of the ranges that hardware has.
    """
    try:
        plain = read_json(path, ModelError, f"the integer form {path}")
        if plain["format"] != FORMAT:
            raise ModelError(f"{path}: format {plain['format']} of the integer form is not known here")
        layers = tuple(_layer(values) for values in plain["layers"])
        return IntegerNetwork(plain["name"], layers, int(plain["width"]), plain["model_sha256"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ModelError(f"{path} is no integer form of a network ({error!r}): write it again") from None


def _layer(plain: dict[str, Any]) -> IntegerLayer:
    def whole(key: str, kind: type[np.integer[Any]]) -> Any:
        values = np.array(plain[key])
        if values.dtype.kind != "i" or values.min() < np.iinfo(kind).min or values.max() > np.iinfo(kind).max:
            raise ValueError(f"{key} of {plain['name']} holds what {kind.__name__} does not")
        return values.astype(kind)

    return IntegerLayer(
        plain["name"],
        whole("weight", np.int8),
        whole("bias", np.int32),
        whole("shift", np.int32),
        int(plain["dilation"]),
        int(plain["exponent"]),
    )


def _check(network: IntegerNetwork) -> None:
    """Raises ModelError, the layer named, when the arithmetic above would not hold."""
    if not network.layers:
        raise ModelError(f"{network.name} has no layer")
    if not CELL <= network.width <= 16384:
        raise ModelError(f"{network.name}: a width of {network.width} pixels: give 2 to 16384")
    before = CELL_CHANNELS
    for index, layer in enumerate(network.layers):
        who = f"{network.name}, layer {index + 1} ('{layer.name}')"
        if layer.weight.ndim != 4 or layer.weight.shape[2:] != (3, 3) or layer.inputs != before:
            raise ModelError(f"{who}: weights of {layer.weight.shape}, not (out, {before}, 3, 3)")
        if layer.bias.shape != (layer.outputs,) or layer.shift.shape != (layer.outputs,) or layer.dilation < 1:
            raise ModelError(f"{who}: it needs {layer.outputs} biases and shifts, and a dilation from 1 on")
        if layer.shift.min() < 0 or layer.shift.max() > SHIFT_LIMIT:
            raise ModelError(f"{who}: shifts from {layer.shift.min()} to {layer.shift.max()}, not 0 to {SHIFT_LIMIT}")
        if (bound := network._bound(index)) >= SUM_LIMIT:
            raise ModelError(f"{who}: a sum can reach {bound}, and float32 is exact below {SUM_LIMIT} only")
        before = layer.outputs
    last = network.layers[-1]
    if before != CELL_CHANNELS or last.exponent != FRAME_EXPONENT:
        raise ModelError(
            f"{network.name}: '{last.name}' has {before} channels in steps of 2^{last.exponent}, and the "
            f"picture wants {CELL_CHANNELS} in steps of 2^{FRAME_EXPONENT}"
        )
