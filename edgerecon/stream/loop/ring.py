"""The ring that frames travel in: preallocated slots, and mailboxes of one slot between the threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Colour, GreyLevels, Image, RawImage, Status, to_gray
from edgerecon.core.pose import Pose
from edgerecon.stream.picture.colour import find_colour

SLOTS = 5
"""One being captured, one waiting for the engine, one in it, one waiting for the sinks, one in them."""


@dataclass(slots=True)
class Slot:
    """Buffers of one frame, allocated once per frame size, and what is known of the frame on its way.

    Attributes:
        scale: output height = input height × scale.
        raw: as captured, grey, (H, W). unit: the same as float32 in [0, 1]. out: the engine's, (H·scale, W·scale).
        levels: what an engine made of bytes, (H, W), before it is in ``out``.
        colour: what is drawn in colour in the capture, or None. overlay: what the model draws over it, or None.
        shown: what the sinks get: ``out``, or ``unit`` when nothing was reconstructed.
        spacing_mm, pose: of what is shown, or None. time_s: see ``Frame``.
        sequence: see ``Frame``. restart: whether this frame does not follow the one before it (a recording that starts
            anew, frames lost, another geometry).
        fault: why the capture itself is doubtful, or None. raw_why: why it is shown as captured, of few kinds.
        stages_ms: what the source and the filters before the model spent on it, by step, or None. after_ms: the same of
            the filters after the model.
        delivery_ns: how long the source took. The others are ``perf_counter_ns`` stamps, in the order of the stages.
    """

    scale: int = 1
    raw: NDArray[np.generic] = field(default_factory=lambda: np.empty((0, 0), np.uint8))
    unit: Image = field(default_factory=lambda: np.empty((0, 0), np.float32))
    out: Image = field(default_factory=lambda: np.empty((0, 0), np.float32))
    levels: GreyLevels = field(default_factory=lambda: np.empty((0, 0), np.uint8))
    shown: Image = field(default_factory=lambda: np.empty((0, 0), np.float32))
    colour: Colour | None = None
    overlay: Colour | None = None
    status: Status = Status.OK
    spacing_mm: tuple[float, float] | None = None
    pose: Pose | None = None
    time_s: float | None = None
    sequence: int = 0
    restart: bool = False
    fault: str | None = None
    raw_why: str | None = None
    stages_ms: Mapping[str, float] | None = None
    after_ms: Mapping[str, float] | None = None
    delivery_ns: int = 0
    captured_ns: int = 0
    taken_ns: int = 0
    checked_ns: int = 0
    inferred_ns: int = 0
    processed_ns: int = 0
    handed_ns: int = 0

    def hold(self, image: RawImage, colour: Colour | None = None) -> None:
        """Copy a captured image in, so that the source may reuse its own memory.

        Args:
            colour: what is drawn in colour; None: the image says it.

        Raises:
            ValueError: unusable shape or type, or an empty image.
        """
        image = np.asarray(image)
        if self.raw.shape != image.shape[:2] or self.raw.dtype != image.dtype:
            self._fit(image.shape[:2], image.dtype.newbyteorder("="))
        to_gray(image, out=self.raw)
        self.colour = find_colour(image) if colour is None else colour

    def prepare(self, image: RawImage) -> None:
        """Allocate and touch the buffers for images like this one. Raises as ``hold`` does."""
        self.hold(image)
        self.unit.fill(0.0)
        self.out.fill(0.0)
        self.levels.fill(0)

    def duplicate(self) -> Slot:
        """Another slot with the same capture: this one's buffers are in the hands of a call that does not return."""
        twin = Slot(self.scale)
        twin.hold(self.raw)
        twin.spacing_mm, twin.sequence, twin.restart, twin.fault = (
            self.spacing_mm,
            self.sequence,
            self.restart,
            self.fault,
        )
        twin.pose, twin.time_s, twin.stages_ms = self.pose, self.time_s, self.stages_ms
        twin.colour = self.colour
        twin.delivery_ns, twin.captured_ns = self.delivery_ns, self.captured_ns
        return twin

    def spans(self, end_ns: int = 0) -> list[tuple[str, int, int]]:
        """The stages it went through, each (name, begin, end), for the trace; ``end_ns``: when the sinks had it."""
        taken = self.taken_ns or end_ns
        stages = [("capture", self.captured_ns - self.delivery_ns, self.captured_ns)]
        stages += _steps(self.stages_ms, self.captured_ns)
        stages.append(("wait for engine", self.captured_ns, taken))
        if self.taken_ns:
            stages += [
                ("preprocess", self.taken_ns, self.checked_ns),
                ("infer", self.checked_ns, self.inferred_ns),
                *_steps(self.after_ms, self.inferred_ns),
                ("postprocess", self.inferred_ns, self.processed_ns),
                ("wait for sinks", self.processed_ns, self.handed_ns or end_ns),
            ]
        if self.handed_ns:
            stages.append(("present", self.handed_ns, end_ns))
        return stages

    def _fit(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        if self.raw.shape != shape or self.raw.dtype != dtype:
            self.raw = np.empty(shape, dtype)
        if self.unit.shape != shape:
            self.unit = np.empty(shape, np.float32)
            self.out = np.empty([side * self.scale for side in shape], np.float32)
            self.levels = np.empty(shape, np.uint8)


def _steps(spent_ms: Mapping[str, float] | None, end_ns: int) -> list[tuple[str, int, int]]:
    """Spans of steps that followed each other and ended then."""
    spans: list[tuple[str, int, int]] = []
    for name, took_ms in list((spent_ms or {}).items())[::-1]:
        begin_ns = end_ns - round(took_ms * 1e6)
        spans.insert(0, (name, begin_ns, end_ns))
        end_ns = begin_ns
    return spans


def ring(scale: int) -> deque[Slot]:
    """The slots of one stream, all free. Taking and giving back are atomic: ``pop`` and ``append``.

    What was given back last is taken first: its buffers are in the cache.
    """
    return deque(Slot(scale) for _ in range(SLOTS))


class Mailbox:
    """Hands slots from one thread to the next; holds one at most.

    Locks serve as binary semaphores: a waiting thread is woken by one release, which costs a third of what a condition
    variable does.

    Args:
        overtake: policy `latest` - a waiting slot gives way to a newer one; else policy `every` - ``put`` waits.
    """

    def __init__(self, overtake: bool) -> None:
        self._overtake = overtake
        self._lock = threading.Lock()
        self._full, self._room = threading.Lock(), threading.Lock()  # held: nothing to take, no room to put
        self._full.acquire()
        self._slot: Slot | None = None
        self._closed = False

    def put(self, slot: Slot) -> Slot | None:
        """Leave a slot for the next thread. Returns the one that is lost, which the caller counts and frees: the one it
        overtook, or itself when the mailbox is closed."""
        if not self._overtake:
            self._room.acquire()
        with self._lock:
            if self._closed:
                self._make_room()
                return slot
            overtaken, self._slot = self._slot, slot
            if overtaken is None:
                self._full.release()
        return overtaken

    def get(self) -> Slot | None:
        """Wait for the next slot. None when the mailbox is closed and empty."""
        self._full.acquire()
        with self._lock:
            slot, self._slot = self._slot, None
            if self._closed:
                self._full.release()  # nobody waits for ever
            if slot is not None:
                self._make_room()
        return slot

    @property
    def empty(self) -> bool:
        """Whether no frame waits."""
        return self._slot is None

    def close(self) -> None:
        """No slot comes after the one that may still wait; from whichever side, at any time."""
        with self._lock:
            if not self._closed and self._slot is None and self._full.locked():
                self._full.release()
            self._closed = True
            self._make_room()

    def _make_room(self) -> None:
        if not self._overtake and self._room.locked():
            self._room.release()
