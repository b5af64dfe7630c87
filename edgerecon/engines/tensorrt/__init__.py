"""The runtime tensorrt. What runs a frame is in ``engine.py``, imported when an engine is opened."""

from __future__ import annotations

from edgerecon.engines.backend import Backend
from edgerecon.engines.base import Engine
from edgerecon.modelfile.file import ModelFile


def _open(file: ModelFile, device: str | None, threads: int, precision: str) -> Engine:
    from edgerecon.engines.tensorrt.engine import open_model

    return open_model(file, device, threads, precision)


def _probe() -> str:
    from edgerecon.engines.tensorrt.builder import installed

    return "" if installed() else "tensorrt or tensorrt_rtx not installed"


BACKEND = Backend(
    name="tensorrt",
    title="TensorRT",
    kind="gpu",
    runs=("fp32", "fp16", "int8-trt"),
    open=_open,  # takes minutes where no engine is in the cache, hence by name only
    probe=_probe,
    remedy="run  pip install tensorrt-rtx-cu13; on a Jetson it comes with JetPack",
    extra="nvidia",
    packages=("tensorrt", "tensorrt-rtx-cu13", "pycuda"),
)
