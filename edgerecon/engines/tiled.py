"""An engine that runs a frame piece by piece: for graphs of one size, and frames that do not fit the memory whole.

Tiles overlap by twice the halo, the pixels at a tile's border to which the network sees from outside; of each tile only
what is farther inside is kept, but at the borders of the frame, where there is nothing outside.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgerecon.core.errors import UsageError
from edgerecon.core.frame import Image
from edgerecon.engines.base import Engine
from edgerecon.engines.wrapped import WrappedEngine


class TiledEngine(WrappedEngine):
    """An engine on tiles of another one; that is closed with it.

    Args:
        tile: rows and columns, multiples of the model's ``size_multiple``. halo: see ``ModelSpec.halo``.

    Raises:
        UsageError: a model with state or without images, or tiles that are no larger than their halo.
    """

    def __init__(self, engine: Engine, tile: tuple[int, int], halo: int) -> None:
        super().__init__(engine)
        model = engine.spec.model
        multiple = model.size_multiple
        self._halo = -(-halo // multiple) * multiple  # so that every tile begins where the network's grid does
        if model.state_channels or model.fixed_output:
            raise UsageError(f"{model.name} carries state or gives no image: it cannot run on tiles")
        if any(length % multiple or length <= 2 * self._halo for length in tile):
            least = 2 * self._halo + multiple
            raise UsageError(
                f"tiles of {tile[0]}×{tile[1]} do not suit {model.name}, whose halo is {self._halo} pixels: take "
                f"multiples of {multiple} from {least} on"
            )
        self.spec = dataclasses.replace(engine.spec, model=dataclasses.replace(model, tile=None, halo=0))
        self._largest, self._fixed = tile, model.tile is not None
        self._tile = tile
        self._shape: tuple[int, ...] = ()

    def run(self, frame: Image, out: Image | None = None) -> Image:
        """See ``edgerecon.engines.base.Engine.run``. ``out`` may be ``frame`` itself when the scale is 1."""
        if not (isinstance(frame, np.ndarray) and frame.ndim == 2 and frame.dtype == np.float32 and frame.size):
            return self._engine.run(frame)  # which refuses it with the reason
        if frame.shape != self._shape:
            self._prepare(frame.shape)
        height, width = frame.shape
        scale = self.spec.model.scale
        result = np.empty((height * scale, width * scale), np.float32) if out is None else out
        self._padded[:height, :width] = frame
        self._padded[height:, :width] = frame[-1]
        self._padded[:, width:] = self._padded[:, width - 1 : width]
        for top, rows in self._rows:
            for left, columns in self._columns:
                np.copyto(self._input, self._padded[top : top + self._tile[0], left : left + self._tile[1]])
                self._engine.run(self._input, self._output)
                kept = self._output[within(rows, top, scale), within(columns, left, scale)]
                np.copyto(result[within(rows, 0, scale), within(columns, 0, scale)], kept)
        return result

    def _prepare(self, shape: tuple[int, ...]) -> None:
        multiple = self.spec.model.size_multiple
        self._tile = self._largest
        if not self._fixed:  # a smaller frame is run as it is
            rows, columns = (-(-length // multiple) * multiple for length in shape)
            self._tile = min(rows, self._largest[0]), min(columns, self._largest[1])
        self._rows, self._columns = (
            spread(length, tile, self._halo, multiple) for length, tile in zip(shape, self._tile, strict=True)
        )
        ends = [places[-1][0] + tile for places, tile in zip((self._rows, self._columns), self._tile, strict=True)]
        self._padded = np.zeros((max(ends[0], shape[0]), max(ends[1], shape[1])), np.float32)
        self._input = np.zeros(self._tile, np.float32)
        self._output = np.zeros(self.spec.model.output_shape(*self._tile), np.float32)
        self._shape = shape


def spread(length: int, tile: int, halo: int, multiple: int) -> list[tuple[int, slice]]:
    """Along one axis: where each tile begins, and what of the frame it gives."""
    begins = [0]
    while begins[-1] + tile < length:
        last = -(-(length - tile) // multiple) * multiple
        begins.append(min(begins[-1] + tile - 2 * halo, last))
    edges = [0, *(begin + halo for begin in begins[1:]), length]
    return [(begin, slice(*edges[at : at + 2])) for at, begin in enumerate(begins)]


def within(kept: slice, begin: int, scale: int) -> slice:
    """Where in the result of a tile that begins there lies what is kept of the frame."""
    return slice((kept.start - begin) * scale, (kept.stop - begin) * scale)
