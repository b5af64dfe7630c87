"""Pictures of a study: images side by side under their labels."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edgerecon.core.errors import EdgereconError
from edgerecon.core.frame import to_uint8
from edgerecon.study.results import Picture

CAPTION = 18
LEAST_PANEL = 192
"""Pixels; smaller panels are enlarged without interpolation, so that their pixels can be seen."""


def png(picture: Picture) -> bytes:
    """The panels side by side under their labels, as PNG."""
    tiles = []
    for label, image in picture.panels:
        pixels = np.clip(np.asarray(image, np.float32), 0, 1)
        grey = (
            cv2.cvtColor(to_uint8(pixels), cv2.COLOR_GRAY2BGR)
            if pixels.ndim == 2
            else np.rint(255 * pixels[..., ::-1]).astype(np.uint8)
        )
        factor = max(1, math.ceil(LEAST_PANEL / grey.shape[0]))
        large = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
        band = np.full((CAPTION, large.shape[1], 3), 255, np.uint8)
        cv2.putText(band, label, (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 32, 22), 1, cv2.LINE_AA)
        tiles.append(np.vstack([band, large]))
    height = max(tile.shape[0] for tile in tiles)
    padded = [np.pad(tile, ((0, height - tile.shape[0]), (0, 4), (0, 0)), constant_values=255) for tile in tiles]
    done, content = cv2.imencode(".png", np.hstack(padded))
    if not done:
        raise EdgereconError(f"cannot encode the picture '{picture.title}'")
    return bytes(content.tobytes())
