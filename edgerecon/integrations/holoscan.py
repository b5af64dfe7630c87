"""A Holoscan operator: a frame in, its reconstruction out, in an application of the Holoscan SDK.

reconstruct = ReconstructOp(self, model="compact-despeckle", name="reconstruct")
self.add_flow(source, reconstruct, {("out", "frame")})
self.add_flow(reconstruct, viewer, {("picture", "receivers")})
"""

from __future__ import annotations

from typing import Any

import numpy as np
from holoscan.core import Operator, OperatorSpec

from edgerecon.integrations.frame_filter import FrameFilter


class ReconstructOp(Operator):
    """Runs a model on each frame that arrives at ``frame`` and emits it at ``picture``.

    A frame is an array of NumPy or a tensor of Holoscan in the host's memory, (H, W) or (H, W, C), uint8, uint16 or
    float32 in [0, 1]; what leaves is an array of NumPy of that type, (H·scale, W·scale). For the newest
    frame to win, give the input a queue policy of POP, as for every operator of Holoscan.

    Args:
        fragment: the application, as for every operator.
        model, backend, strength, protect: see ``FrameFilter``.
    """

    def __init__(
        self,
        fragment: Any,
        *args: Any,
        model: str = "compact-despeckle",
        backend: str = "auto",
        strength: float = 1.0,
        protect: str = "auto",
        **kwargs: Any,
    ) -> None:
        self._options = (model, backend, strength, protect)
        self._filter: FrameFilter | None = None
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input("frame")
        spec.output("picture")

    def start(self) -> None:
        self._filter = FrameFilter(*self._options)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        assert self._filter is not None, "Holoscan starts an operator before it computes"
        frame = op_input.receive("frame")
        if isinstance(frame, dict):  # a message of Holoscan's own operators: one tensor under a name
            (frame,) = frame.values()
        op_output.emit(self._filter(np.asarray(frame)), "picture")

    def stop(self) -> None:
        if self._filter is not None:
            self._filter.close()
        self._filter = None
