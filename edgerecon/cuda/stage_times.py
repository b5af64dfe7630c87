"""Times of a frame's stages on a GPU, by CUDA events (CUDA C++ Programming Guide, "Events"): copies apart from work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edgerecon.core.errors import EngineError, first_line
from edgerecon.cuda.driver import CudaError
from edgerecon.cuda.memory import Gpu

STAGES = ("to_device", "compute", "to_host")


def stage_times(gpu: Gpu, stream: Any, works: Sequence[Callable[[], None]]) -> dict[str, float]:
    """Milliseconds of each of ``STAGES``, whose ``works`` are queued on the stream between events, without a graph.

    Events have a resolution of about half a microsecond. The works hold no buffer by a name of their own: an exception
    would keep it until the GPU is current no more.

    Raises:
        EngineError: the driver refused, or the GPU failed.
    """
    try:
        with gpu.current():
            marks = [gpu.driver.Event() for _ in range(len(works) + 1)]
            marks[0].record(stream)
            for mark, work in zip(marks[1:], works, strict=True):
                work()
                mark.record(stream)
            stream.synchronize()
            spans = [float(start.time_till(end)) for start, end in zip(marks, marks[1:], strict=False)]
        return dict(zip(STAGES, spans, strict=True))
    except (gpu.driver.Error, CudaError, EngineError) as error:
        reason = first_line(error)
    raise EngineError(f"the stages cannot be timed: {reason}")
