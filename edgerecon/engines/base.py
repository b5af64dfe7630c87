"""The one small interface behind which every runtime stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeGuard, runtime_checkable

from edgerecon.core.frame import GreyLevels, Image
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
    """Runs one frame at a time; not thread-safe; one instance a stream.

    Attributes:
        spec: the model, and on what it was opened.

    Examples:
        >>> import numpy as np
        >>> from edgerecon.engines import open_engine
        >>> engine = open_engine("compact-despeckle-small", "onnxruntime")
        >>> engine.run(np.zeros((240, 320), np.float32)).shape, engine.spec.precision
        ((240, 320), 'fp32')
        >>> engine.close()
    """

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


class ByteEngine(Engine, Protocol):
    """An engine that can read and write bytes itself, so that a frame is read and written once."""

    takes_bytes: bool
    """Whether it can with its model: see ``takes_bytes``."""

    def run_bytes(
        self,
        seen: GreyLevels,
        out: GreyLevels,
        *,
        frame: GreyLevels | None = None,
        tissue: GreyLevels | None = None,
        strength: float = 1.0,
    ) -> None:
        """Reconstruct one frame as ``run`` does, from bytes to bytes.

        Args:
            seen: uint8 (H, W), by the model. out: uint8 (H, W), in memory of its own; rows of both may lie apart.
            frame: what ``out`` takes where ``tissue`` is 0; ``seen`` when None. tissue: everywhere when None.
            strength: in [0, 1]: out = strength · model + (1 − strength) · seen, rounded.

        Raises:
            EngineError: as ``run``, and where ``out`` overlaps what is read.
        """
        ...


def takes_bytes(engine: Engine) -> TypeGuard[ByteEngine]:
    """Whether an engine has ``run_bytes`` for its model."""
    return bool(getattr(engine, "takes_bytes", False))
