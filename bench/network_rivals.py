"""What else runs the compact network and a convolution on a GPU: torch.compile, cuDNN under a CUDA graph, TensorRT."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from edgerecon.core.errors import EdgereconError
from edgerecon.engines import open_engine

SIZE = (512, 512)
MODEL = "compact-despeckle-small-fp16"
DILATIONS = (1, 2, 3, 3, 2, 1)
REPLAYS = 31

Row = dict[str, Any]


def network_rivals() -> Iterator[Row]:
    """{rival, us, status}: medians of a launch at 512×512, batch 1, fp16, inputs beyond L2 in turn."""
    yield _tensorrt()
    if find_spec("torch") is None:
        yield {"rival": "torch", "status": "torch is not installed"}
        return
    import torch

    if not torch.cuda.is_available():
        yield {"rival": "torch", "status": "torch has no GPU"}
        return
    from edgerecon.workshop.models.compact import Compact

    torch.backends.cudnn.benchmark = True
    model = Compact(16, 6, DILATIONS).half().cuda().eval().to(memory_format=torch.channels_last)
    frames = [torch.rand(1, 1, *SIZE, device="cuda", dtype=torch.float16) for _ in range(128)]
    compiled = torch.compile(model, mode="max-autotune-no-cudagraphs")  # the graph is ours, the same for all
    yield from _rows(torch, {"cuDNN under a CUDA graph": model, "torch.compile(max-autotune)": compiled}, frames)
    weight = torch.rand(16, 16, 3, 3, device="cuda", dtype=torch.float16).to(memory_format=torch.channels_last)
    bias = torch.zeros(16, device="cuda", dtype=torch.float16)
    pictures = [
        torch.rand(1, 16, *SIZE, device="cuda", dtype=torch.float16).to(memory_format=torch.channels_last)
        for _ in range(16)
    ]

    def fused(x: Any) -> Any:
        return torch.cudnn_convolution_relu(x, weight, bias, (1, 1), (1, 1), (1, 1), 1)

    yield from _rows(torch, {"cuDNN convolution and ReLU, 16 → 16": fused}, pictures)


def _rows(torch: Any, rivals: dict[str, Callable[[Any], Any]], inputs: list[Any]) -> Iterator[Row]:
    for name, work in rivals.items():
        try:
            yield {"rival": name, "us": _graph_us(torch, work, inputs), "status": "ok"}
        except RuntimeError as error:  # torch's own, of a compiler or a library that is not there
            yield {"rival": name, "status": (str(error).splitlines() or ["failed"])[0]}


def _graph_us(torch: Any, work: Callable[[Any], Any], inputs: list[Any]) -> float:
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(3):
            work(inputs[0])
        stream.synchronize()
        with torch.cuda.graph(graph, stream=stream):
            held = [work(x) for x in inputs]
    times = []
    for _ in range(REPLAYS + 3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(1000 * start.elapsed_time(end) / len(inputs))
    del held
    return float(np.median(times[3:]))


def _tensorrt() -> Row:
    """Its inference alone, by events, without the graph."""
    try:
        engine: Any = open_engine(MODEL, "tensorrt")
    except EdgereconError as error:
        return {"rival": "TensorRT", "status": str(error)}
    try:
        engine.run(np.random.default_rng().random(SIZE, dtype=np.float32))
        times = [engine.stage_times()["compute"] for _ in range(200)]
    finally:
        engine.close()
    return {"rival": "TensorRT", "us": 1000 * float(np.median(times)), "status": "ok"}
