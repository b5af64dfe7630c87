"""The runtime cuda: our own kernels. What runs a frame is in ``engine.py``, imported when an engine is opened."""

from __future__ import annotations

from edgerecon.engines.backend import Backend, missing
from edgerecon.engines.base import Engine
from edgerecon.modelfile.file import ModelFile


def _open(file: ModelFile, device: str | None, threads: int, precision: str) -> Engine:
    from edgerecon.engines.cuda.engine import open_model

    return open_model(file, device, threads, precision)


BACKEND = Backend(
    name="cuda",
    title="our CUDA kernels",
    kind="gpu",
    runs=("fp32", "fp16", "int8-trt"),
    open=_open,
    probe=lambda: missing("pycuda"),
    remedy="run  pip install 'edgerecon[nvidia]'",
    extra="nvidia",
    packages=("pycuda",),
)
