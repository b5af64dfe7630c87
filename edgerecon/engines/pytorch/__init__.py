"""The runtime pytorch: the reference. What runs a frame is in ``engine.py``, imported when an engine is opened."""

from __future__ import annotations

from edgerecon.engines.backend import Backend, missing
from edgerecon.engines.base import Engine
from edgerecon.modelfile.file import ModelFile


def _open(file: ModelFile, device: str | None, threads: int, precision: str) -> Engine:
    from edgerecon.engines.pytorch.engine import open_model

    return open_model(file, device, threads, precision)


BACKEND = Backend(
    name="pytorch",
    title="PyTorch",
    kind="reference",
    runs=("fp32", "fp16", "bf16", "int8", "int8-trt", "po2"),
    open=_open,
    probe=lambda: missing("torch", "onnx"),
    remedy="run  pip install 'edgerecon[train]'",
    extra="train",
    packages=("torch", "onnx"),
)
