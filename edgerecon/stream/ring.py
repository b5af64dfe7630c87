"""The ring that frames travel in: preallocated slots, and mailboxes of one slot between the threads."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgerecon.frame import Image, RawImage, Status, to_gray

SLOTS = 5
"""One being captured, one waiting for the engine, one in it, one waiting for the sinks, one in them."""


@dataclass(slots=True)
class Slot:
    """Buffers of one frame, allocated once per frame size, and what is known of the frame on its way.

    Attributes:
        scale: output height = input height × scale.
        raw: as captured, grey, (H, W). unit: the same as float32 in [0, 1]. out: the engine's, (H·scale, W·scale).
        shown: what the sinks get: ``out``, or ``unit`` when nothing was reconstructed.
        sequence: counts captures from 0. restart: whether a recording starts anew with this frame.
        fault: why the capture itself is doubtful, or None.
        delivery_ns: how long the source took. The others are ``perf_counter_ns`` stamps, in the order of the stages.
    """

    scale: int = 1
    raw: NDArray[np.generic] = field(default_factory=lambda: np.empty((0, 0), np.uint8))
    unit: Image = field(default_factory=lambda: np.empty((0, 0), np.float32))
    out: Image = field(default_factory=lambda: np.empty((0, 0), np.float32))
    shown: Image = field(default_factory=lambda: np.empty((0, 0), np.float32))
    status: Status = Status.OK
    sequence: int = 0
    restart: bool = False
    fault: str | None = None
    delivery_ns: int = 0
    captured_ns: int = 0
    taken_ns: int = 0
    checked_ns: int = 0
    inferred_ns: int = 0
    processed_ns: int = 0

    def hold(self, image: RawImage) -> None:
        """Copy a captured image in, so that the source may reuse its own memory.

        Raises:
            ValueError: unusable shape or type, or an empty image.
        """
        image = np.asarray(image)
        dtype = image.dtype.newbyteorder("=")
        if self.raw.shape != image.shape[:2] or self.raw.dtype != dtype:
            self._fit(image.shape[:2], dtype)
        to_gray(image, out=self.raw)

    def _fit(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.raw = np.empty(shape, dtype)
        if self.unit.shape != shape:
            self.unit = np.empty(shape, np.float32)
            self.out = np.empty([side * self.scale for side in shape], np.float32)


def ring(scale: int) -> deque[Slot]:
    """The slots of one stream, all free. Taking and giving back are atomic: ``popleft`` and ``append``."""
    return deque(Slot(scale) for _ in range(SLOTS))


class Mailbox:
    """Hands slots from one thread to the next; holds one at most.

    Args:
        overtake: policy `latest` - a waiting slot gives way to a newer one; else policy `every` - ``put`` waits.
    """

    def __init__(self, overtake: bool) -> None:
        self._overtake = overtake
        self._changed = threading.Condition(threading.Lock())
        self._slot: Slot | None = None
        self._closed = False

    def put(self, slot: Slot) -> Slot | None:
        """Leave a slot for the next thread. Returns the one it overtook, which the caller counts and frees."""
        with self._changed:
            while self._slot is not None and not self._overtake:
                self._changed.wait()
            overtaken, self._slot = self._slot, slot
            self._changed.notify()
        return overtaken

    def get(self) -> Slot | None:
        """Wait for the next slot. None when the mailbox is closed and empty."""
        with self._changed:
            while self._slot is None and not self._closed:
                self._changed.wait()
            slot, self._slot = self._slot, None
            self._changed.notify()
        return slot

    def close(self) -> None:
        """No slot comes after the one that may still wait."""
        with self._changed:
            self._closed = True
            self._changed.notify()
