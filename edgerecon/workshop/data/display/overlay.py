"""What is on a scanner's screen besides tissue: identical over the shown and the expected frame, so it is left alone.

An overlay is (opacity, level), float32 in [0, 1], both (side, side).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from edgerecon.workshop.data.display.fields import Map, smooth_noise

Overlay = tuple[Map, Map]
_LETTERS = list("ABCDEFGHIKLMNOPRSTUVXZabcdeghilmnorst0123456789.:%/-")
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_DUPLEX)


def random_overlays(rng: np.random.Generator, view: Map) -> list[Overlay]:
    """Surroundings of the field of view first, then in some frames margins, text, rulers, boxes and traces.

    Args:
        view: 1 where the display shows tissue.
    """
    side = len(view)
    around = _surroundings(rng)
    overlays = [(1 - view, np.full((side, side), around, np.float32))] if view.min() < 1 else []
    for draw, chance in (
        (_margin, 0.2),
        (_text, 0.2),
        (_ruler, 0.1),
        (_marks, 0.07),
        (_colour_box, 0.06),
        (_trace, 0.04),
    ):
        if rng.random() < chance:
            overlays.append(draw(rng, side))
    return overlays


def put(frame: Map, overlays: list[Overlay]) -> Map:
    """The frame under all overlays, in order."""
    for opacity, level in overlays:
        frame = frame + opacity * (level - frame)
    return frame


def _surroundings(rng: np.random.Generator) -> float:
    """Black in most scanners, else white or a grey."""
    return 0.0 if rng.random() < 0.78 else float(rng.choice([0.03, 0.06, 0.12, 0.2, 0.5, 0.85, 1.0]))


def _margin(rng: np.random.Generator, side: int) -> Overlay:
    """A straight border of the field of view, with what lies beyond."""
    opacity = np.zeros((side, side), np.float32)
    opacity[: int(rng.integers(1, int(side // 2.5)))] = 1
    level = np.full((side, side), _surroundings(rng), np.float32)
    return np.rot90(opacity, int(rng.integers(4))).copy(), level


def _text(rng: np.random.Generator, side: int) -> Overlay:
    drawn = np.zeros((side, side), np.uint8)
    font, height, weight = _FONTS[int(rng.integers(3))], rng.uniform(0.3, 0.9), int(rng.choice([1, 1, 1, 2]))
    for _ in range(int(rng.integers(1, 6))):
        text = "".join(rng.choice(_LETTERS, int(rng.integers(1, 12))))
        cv2.putText(drawn, text, _point(rng, side), font, height, 255, weight, cv2.LINE_AA)
    return _flat(drawn, rng.uniform(0.4, 1))


def _ruler(rng: np.random.Generator, side: int) -> Overlay:
    """Depth marks at equal distances, some longer."""
    drawn = np.zeros((side, side), np.uint8)
    x, step, length = int(rng.integers(side)), rng.uniform(5, 30), int(rng.integers(1, 8))
    for mark, y in enumerate(np.arange(rng.uniform(0, step), side, step)):
        reach = length * (2 if mark % 5 == 0 else 1)
        cv2.line(drawn, (x, int(y)), (x + reach, int(y)), 255, 1)
    return _flat(drawn if rng.random() < 0.7 else np.ascontiguousarray(drawn.T), rng.uniform(0.4, 1))


def _marks(rng: np.random.Generator, side: int) -> Overlay:
    """Calipers, dotted lines, focus marks and discs."""
    drawn = np.zeros((side, side), np.uint8)
    for _ in range(int(rng.integers(1, 5))):
        x, y = _point(rng, side)
        size = int(rng.integers(2, 7))
        kind = rng.integers(4)
        if kind == 0:
            cv2.drawMarker(drawn, (x, y), 255, int(rng.choice([cv2.MARKER_CROSS, cv2.MARKER_TILTED_CROSS])), 2 * size)
        elif kind == 1:
            cv2.circle(drawn, (x, y), size, 255, -1, cv2.LINE_AA)
        elif kind == 2:
            cv2.fillPoly(drawn, [np.array([[x, y], [x + 2 * size, y - size], [x + 2 * size, y + size]])], 255)
        else:
            end = rng.integers(0, side, 2)
            for t in np.linspace(0, 1, int(rng.integers(8, 40))):
                drawn[int(y + t * (end[1] - y)), int(x + t * (end[0] - x))] = 255
    return _flat(drawn, rng.uniform(0.4, 1))


def _colour_box(rng: np.random.Generator, side: int) -> Overlay:
    """The frame of a colour box and patches of flow in it, as luminance."""
    drawn = np.zeros((side, side), np.uint8)
    corners: Any = np.sort(rng.integers(0, side, (2, 2)), axis=0)
    (left, top), (right, bottom) = corners.tolist()
    cv2.rectangle(drawn, (left, top), (right, bottom), 255, 1)
    opacity, level = _flat(drawn, rng.uniform(0.5, 1))
    flow = smooth_noise(rng, (side, side), 20, 30) > 0.6
    flow[:top], flow[bottom:], flow[:, :left], flow[:, right:] = False, False, False, False
    speed = 0.3 + 0.12 * smooth_noise(rng, (side, side), 6, 6)
    return np.where(flow, 1, opacity).astype(np.float32), np.where(flow, np.clip(speed, 0, 1), level).astype(np.float32)


def _trace(rng: np.random.Generator, side: int) -> Overlay:
    """An electrocardiogram."""
    drawn = np.zeros((side, side), np.uint8)
    beats = np.arange(side) % int(rng.integers(30, 120))
    height = rng.uniform(8, 40)
    wave = height * np.exp(-(((beats - 12) / 1.5) ** 2)) + 0.2 * height * np.exp(-(((beats - 24) / 4.0) ** 2))
    points = np.stack([np.arange(side), rng.uniform(0.3, 0.95) * side - wave], 1)
    cv2.polylines(drawn, [points.astype(np.int32)], False, 255, 1, cv2.LINE_AA)
    return _flat(drawn, rng.uniform(0.4, 1))


def _flat(drawn: Any, level: float) -> Overlay:
    opacity = drawn.astype(np.float32) / 255
    return opacity, np.full_like(opacity, level)


def _point(rng: np.random.Generator, side: int) -> tuple[int, int]:
    return int(rng.integers(side)), int(rng.integers(side))
