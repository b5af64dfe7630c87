"""What a model says of a frame, drawn over it: a map of probabilities or classes in colour, class scores as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Colour, Image, to_rgb, to_uint8
from edgerecon.engines.base import Engine
from edgerecon.engines.wrapped import WrappedEngine
from edgerecon.stream.picture.strength import AdjustableStrength

PALETTE = np.array(
    [
        (0, 0, 0),
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
    ],
    np.uint8,
)
"""Colours of the classes, over and over but for class 0, the background, which is not drawn. Told apart by the colour
blind (Okabe & Ito, Color Universal Design, 2008)."""
OPACITY = 0.5
"""The opacity of what is drawn over the frame, at full strength."""
_SURE, _TOLD = 0.5, 3
"""Probability above which a pixel is drawn, and classes that are told of scores, the likeliest first."""
_TEXT_HEIGHT, _MARGIN = 0.03, 4


class AnnotatingEngine(AdjustableStrength, WrappedEngine):
    """An engine that gives no picture: the frame passes as it came, and what is said of it is drawn over it.

    Args:
        engine: gives a map or class scores, see ``ModelSpec``; is closed with this one.
        strength: 1 draws as strongly as ``OPACITY`` says, 0 nothing; see ``AdjustableStrength``.

    Attributes:
        spec: as of a model that gives pictures. overlay: of the last frame.
    """

    def __init__(self, engine: Engine, strength: float = 1.0) -> None:
        super().__init__(engine)
        model = engine.spec.model
        self._kind = model.overlay
        self.spec = replace(engine.spec, model=replace(model, scale=1, fixed_output=None, overlay=""))
        self.strength = strength
        self.overlay: Colour | None = None

    def run(self, frame: Image, out: Image | None = None) -> Image:
        """See ``edgerecon.engines.base.Engine.run``; gives the frame."""
        said = self._engine.run(frame)
        opacity = OPACITY * self._strength
        self.overlay = _drawn_map(frame, said, self._kind, opacity) if self._kind else _written(frame, said, opacity)
        if out is None:
            return frame.copy()
        np.copyto(out, frame)
        return out


def _drawn_map(frame: Image, said: Image, kind: str, opacity: float) -> Colour:
    """A map over the frame: each class in its colour, a probability the more the surer."""
    if said.shape != frame.shape:
        said = np.asarray(cv2.resize(said, frame.shape[::-1], interpolation=cv2.INTER_NEAREST), np.float32)
    values = to_uint8(said)
    if kind == "labels":
        shares = np.where(np.arange(256) > 0, opacity, 0.0)
        colours = PALETTE[(np.arange(256) - 1) % (len(PALETTE) - 1) + 1]
    else:
        levels = np.arange(256) / 255
        shares = np.where(levels > _SURE, opacity * levels, 0.0)
        colours = np.broadcast_to(PALETTE[1], (256, 3))
    # grey · (1 − share) + colour · share, both by a table of the 256 values
    tint = np.asarray(colours * shares[:, None], np.float32).reshape(256, 1, 3)
    rgb = np.asarray(cv2.LUT(cv2.merge([values] * 3), tint), np.float32)
    kept = cv2.LUT(values, np.asarray(255 * (1 - shares), np.float32))
    rgb += cv2.merge([frame * kept] * 3)
    where = cv2.LUT(values, np.where(shares > 0, 255, 0).astype(np.uint8))
    return Colour(np.asarray(cv2.convertScaleAbs(rgb), np.uint8), np.asarray(where, np.uint8))


def _written(frame: Image, scores: Image, opacity: float) -> Colour:
    """The likeliest classes in the frame's lower left corner."""
    rgb = to_rgb(frame, None)
    where = np.zeros(frame.shape, np.uint8)
    if opacity:
        _write(rgb, where, said_of(scores))
    return Colour(rgb, where)


def said_of(scores: Image) -> list[str]:
    """Lines of text for class scores (1, K) in [0, 1], the likeliest first.

    Examples:
        >>> said_of(np.float32([[0.25, 0.75]]))
        ['class 1: 75 %', 'class 0: 25 %']
    """
    values = scores.ravel()
    best = np.argsort(-values, kind="stable")[:_TOLD]
    return [f"class {index}: {100 * float(values[index]):.0f} %" for index in best]


def _write(rgb: NDArray[np.uint8], where: NDArray[np.uint8], lines: Sequence[str]) -> None:
    height, width = where.shape
    line = max(10, round(_TEXT_HEIGHT * height))
    size = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_SIMPLEX, line)
    for number, text in enumerate(lines[::-1]):
        bottom = height - _MARGIN - round(1.5 * number * line)
        for image, colour, thick in ((rgb, (0, 0, 0), 3), (rgb, tuple(map(int, PALETTE[4])), 1), (where, 255, 3)):
            cv2.putText(image, text, (_MARGIN, bottom), cv2.FONT_HERSHEY_SIMPLEX, size, colour, thick)
