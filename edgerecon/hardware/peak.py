"""This host's own roof: the arithmetic rate and memory bandwidth that its libraries reach, measured in two seconds.

What it is: the best of several interleaved rounds of a large matrix product (single precision by NumPy's BLAS; u8 × s8
by ONNX Runtime) and of a large copy, on all cores this process may use. What it is not: the data-sheet peak, which no
library reaches, nor a promise for other kernels: a network of narrow convolutions reaches less, and one whose tensors
stay in cache meets no memory bandwidth. On a busy host it is what the others left. A GPU is not measured.

The roofline that stands on it: Williams, Waterman & Patterson, Commun. ACM 52(4), 2009. Bytes of a copy are counted as
STREAM does (McCalpin, 1995): read once and written once, without the line fetched before a write.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import numpy as np

from edgerecon.hardware.host import usable_cores

SIDE = 1024
"""The side of the square matrices: 2.1·10⁹ operations, far more arithmetic than memory traffic."""
COPY_BYTES = 128 * 1024 * 1024
"""The size of one array of the copy, well beyond a last-level cache."""
SECONDS = 1.5
AT_LEAST = 3


@dataclass(frozen=True)
class HostPeak:
    """peak: precision → 10⁹ operations a second, a multiply-accumulate being two. bandwidth_gbs: 10⁹ bytes a second,
    read and written together. threads: how many worked."""

    peak: dict[Literal["fp32", "fp16", "bf16", "int8"], float]
    bandwidth_gbs: float
    threads: int


@lru_cache(maxsize=1)
def measure_host() -> HostPeak:
    """Measure once a process; later calls return the same figures."""
    threads = usable_cores()
    with ThreadPoolExecutor(threads) as pool:
        best = _best({"fp32": _float_product(), "int8": _integer_product(threads), "copy": _copy(pool, threads)})
    operations = 2 * SIDE**3 / 1e9
    return HostPeak(
        peak={"fp32": operations / best["fp32"], "int8": operations / best["int8"]},
        bandwidth_gbs=2 * COPY_BYTES / best["copy"] / 1e9,
        threads=threads,
    )


def _best(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Shortest time of each in seconds, over rounds in which every one has its turn; the first round only warms up."""
    for run in runs.values():
        run()
    best = dict.fromkeys(runs, float("inf"))
    start, rounds = time.perf_counter(), 0
    while rounds < AT_LEAST or time.perf_counter() - start < SECONDS:
        for name, run in runs.items():
            before = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - before)
        rounds += 1
    return best


def _float_product() -> Callable[[], object]:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, SIDE, SIDE), dtype=np.float32)
    return partial(np.matmul, a, b, out=np.empty_like(a))


def _integer_product(threads: int) -> Callable[[], object]:
    """u8 × s8 → s32 through ONNX Runtime, whose kernels use VNNI, AMX or Arm's dot product where the CPU has them."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    session = ort.InferenceSession(integer_product_model(), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    a = rng.integers(0, 128, (SIDE, SIDE), dtype=np.uint8)
    b = rng.integers(-64, 64, (SIDE, SIDE), dtype=np.int8)
    return partial(session.run, None, {"a": a, "b": b})


def _copy(pool: ThreadPoolExecutor, threads: int) -> Callable[[], object]:
    source, target = np.ones(COPY_BYTES, np.uint8), np.zeros(COPY_BYTES, np.uint8)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    return lambda: list(pool.map(lambda part: np.copyto(*part), parts))


def integer_product_model() -> bytes:
    """An ONNX file with one MatMulInteger, ``a`` (u8) × ``b`` (s8) → ``c`` (s32), any sizes.

    Written straight in protocol buffers, since the device install has no onnx package (field numbers: onnx.proto3 of
    ONNX 1.16).
    """
    uint8, int8, int32 = 2, 3, 6
    node = _bytes(1, b"a") + _bytes(1, b"b") + _bytes(2, b"c") + _bytes(4, b"MatMulInteger")
    inputs = _bytes(11, _matrix(b"a", uint8)) + _bytes(11, _matrix(b"b", int8))
    graph = _bytes(1, node) + _bytes(2, b"product") + inputs + _bytes(12, _matrix(b"c", int32))
    ir_version, opset = _number(1, 8), _bytes(8, _number(2, 13))
    return ir_version + _bytes(7, graph) + opset


def _matrix(name: bytes, element: int) -> bytes:
    """A ValueInfoProto of rank 2 with free dimensions."""
    shape = b"".join(_bytes(1, _bytes(2, name + axis)) for axis in (b"0", b"1"))
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, element) + _bytes(2, shape)))


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3, value])


def _bytes(field: int, value: bytes) -> bytes:
    """A length-delimited field; one length byte holds up to 127, two up to 16383."""
    length = [len(value)] if len(value) < 128 else [len(value) & 0x7F | 0x80, len(value) >> 7]
    return bytes([field << 3 | 2, *length]) + value
