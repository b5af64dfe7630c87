"""The one small interface behind which every runtime stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edgerecon.core.frame import Image
from edgerecon.modelfile.spec import ModelSpec


@dataclass(frozen=True)
class EngineSpec:
    """A model opened on one backend.

    simulated: its pictures are those of hardware, its time is not. why: ``auto`` took this backend; "" when it had no
    choice or was not asked. parts: of several models that run one after the other, each; else empty.
    """

    model: ModelSpec
    backend: str
    precision: str
    threads: int
    simulated: bool = False
    why: str = ""
    parts: tuple[EngineSpec, ...] = ()


class Engine(Protocol):
    """Runs one frame at a time; not thread-safe; one instance a stream."""

    spec: EngineSpec

    def run(self, frame: Image, out: Image | None = None) -> Image:
        """Reconstruct one frame: float32 (H, W) in [0, 1] → float32 (H·scale, W·scale), clipped to [0, 1].

        A model with ``channels`` takes float32 (channels, H, W) instead, such that 1 is white, and gives amplitudes.
        A model with ``fixed_output`` gives that shape for any frame. A temporal model sees the frame as the one after
        the last; after ``reset``, a failure or a change of size it starts anew. Allocates nothing after the first call
        of a size when ``out`` is given.

        Raises:
            EngineError: the runtime failed, or the frame has an unusable shape or type.
        """
        ...

    def reset(self) -> None:
        """Forget temporal state: the next frame is the first of its sequence. Nothing happens for other models."""
        ...

    def close(self) -> None:
        """Release the runtime's memory; the engine cannot be used afterwards."""
        ...


@runtime_checkable
class StageTimer(Protocol):
    """An engine that can tell its copies from its work: one whose frames go to a device and back."""

    def stage_times(self) -> dict[str, float]:
        """Milliseconds of {to_device, compute, to_host} for the last frame, run again by itself.

        Raises:
            EngineError: no frame has been run, or the device failed.
        """
        ...
