"""conv_relu.cu and compact_fused.cu on the GPU that is here: checks and times, which gpu_kernels.py runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench import network_truth as truth
from bench.kernel_timing import Bench, Timing, address, relative, sets_beyond
from edgerecon.cuda.graph import Graph
from edgerecon.cuda.kernels.compact import CompactKernel, Layer, pack_network
from edgerecon.cuda.kernels.convolution import ConvRelu, pack_convolution
from edgerecon.cuda.kernels.load import Module, load
from edgerecon.engines.cuda.compact_file import read_compact
from edgerecon.modelfile.catalogue import model_path
from edgerecon.modelfile.file import read_model

SMALL = "compact-despeckle-small"
MODELS = ("compact-compound", SMALL, f"{SMALL}-fp16", f"{SMALL}-int8-trt")
CHECKED = ((1, 1, 1), (2, 37, 131), (1, 512, 512))
PAIRS = ((1, 16), (4, 16), (16, 16), (16, 4), (8, 8), (32, 32), (64, 64), (16, 1))
LIMITS = {"fp32": 1e-5, "fp16": 1e-3, "mixed": 1e-3, "int8": 1e-6}
"""Relative errors; in mixed networks a float sum beside a tie may round the other way."""
SIZE = (512, 512)
_TENSOR_FLOP = {80: 2048, 90: 4096}
"""Halves, multiplied and added, of a multiprocessor in a clock (NVIDIA's architecture papers)."""

Error = tuple[str, float, float]


def layers_of(name: str) -> list[Layer]:
    return read_compact(read_model(model_path(name)))


def wide(layers: list[Layer], rng: np.random.Generator) -> list[Layer]:
    """The same network with 32 channels and fresh weights, in halves."""
    shapes = [(32, 4), *[(32, 32)] * 4, (4, 32)]
    return [
        Layer(
            (rng.standard_normal((*shape, 3, 3)) / np.sqrt(9 * shape[1])).astype(np.float16),
            rng.normal(0, 0.1, shape[0]).astype(np.float32),
            layer.dilation,
        )
        for shape, layer in zip(shapes, layers, strict=True)
    ]


def check_compact(bench: Bench) -> Iterator[Error]:
    module, rng = load("compact_fused"), np.random.default_rng()
    networks = {name: layers_of(name) for name in MODELS}
    networks["width 32"] = wide(networks["compact-compound"], rng)
    for name, layers in networks.items():
        network = pack_network(layers)
        weights, scales = bench.upload(network.weights), bench.upload(network.scales)
        for shape in CHECKED:
            frames = rng.random(shape, dtype=np.float32)
            on_gpu, out = bench.upload(frames), bench.poisoned(frames.nbytes)
            kernel = CompactKernel(module, network, address(weights), address(scales), shape)
            kernel.launch(address(on_gpu), address(out), bench.stream.handle)
            module.wait(bench.stream.handle)
            error = relative(bench.download(out, shape), truth.compact(layers, frames))
            yield f"{network.kernel} {name} {shape}", error, LIMITS[network.form]


def check_convolution(bench: Bench) -> Iterator[Error]:
    module, rng = load("conv_relu"), np.random.default_rng()
    for form, kind in (("fp32", np.float32), ("fp16", np.float16), ("int8", np.int8)):
        for before, after in PAIRS:
            dilation = int(rng.integers(1, 4))
            bias = rng.normal(0, 0.5, after).astype(np.float32)
            x: Any = rng.standard_normal((2, 37, 61, before)).astype(kind)
            weight = (rng.standard_normal((after, before, 3, 3)) / np.sqrt(9 * before)).astype(kind)
            steps = None
            if form == "int8":
                weight = rng.integers(-127, 128, weight.shape).astype(kind)
                x = rng.integers(-128, 128, x.shape).astype(kind)
                steps = rng.uniform(1e-4, 1e-3, after).astype(np.float32)
            conv = pack_convolution(weight, bias, dilation=dilation, steps=steps, before=0.02, after=0.02)
            held = [bench.upload(part) for part in (x, conv.weights, conv.scales)]
            out = bench.poisoned(2 * 37 * 61 * after * x.itemsize)
            launcher = ConvRelu(module, conv, address(held[1]), address(held[2]), (2, 37, 61))
            launcher.launch(address(held[0]), address(out), bench.stream.handle)
            module.wait(bench.stream.handle)
            step, offset = conv.scales[:after].astype(np.float64).T
            expected = np.maximum(truth.convolution(x, weight, dilation) * step + offset, 0)
            expected = truth.byte(expected.astype(np.float32)) if form == "int8" else expected
            limit = {"fp32": 1e-5, "fp16": 1e-3, "int8": 0.0}[form]
            found = bench.download(out, expected.shape, kind)
            yield f"conv_relu {form} {before} → {after}, dilation {dilation}", relative(found, expected), limit


def arithmetic_us(bench: Bench, module: Module, flop: float) -> float:
    """Time of so many operations on halves at the GPU's highest clock; 0 where its rate is not known."""
    kilohertz = bench.driver.Context.get_device().get_attribute(bench.driver.device_attribute.CLOCK_RATE)
    rate = _TENSOR_FLOP.get(module.capability, 0) * module.multiprocessors * kilohertz / 1000
    return flop / rate if rate else 0.0


def time_compact(bench: Bench, bandwidth: float) -> Iterator[Timing]:
    module, rng = load("compact_fused"), np.random.default_rng()
    pixels = SIZE[0] * SIZE[1]
    frames = rng.random((1, *SIZE), dtype=np.float32)
    sets = [(bench.upload(frames), bench.poisoned(frames.nbytes)) for _ in range(sets_beyond(bench.l2, 8 * pixels))]
    for name in MODELS:
        layers = layers_of(name)
        network = pack_network(layers)
        weights, scales = bench.upload(network.weights), bench.upload(network.scales)
        kernel = CompactKernel(module, network, address(weights), address(scales), (1, *SIZE))
        turns = [(address(a), address(b)) for a, b in sets]
        us = bench.median_us([lambda a=a, b=b, k=kernel: k.launch(a, b, bench.stream.handle) for a, b in turns])  # type: ignore[misc]
        flop = 2 * sum(layer.weight.size for layer in layers) * pixels / 4
        yield Timing(
            f"{network.kernel} {name}",
            f"512×512, {kernel.tiling.rows}×{kernel.tiling.cols} cells",
            us,
            max(8 * pixels / bandwidth, arithmetic_us(bench, module, flop)),
        )


def time_convolution(bench: Bench, bandwidth: float) -> Iterator[Timing]:
    module, rng = load("conv_relu"), np.random.default_rng()
    for form, kind in (("fp32", np.float32), ("fp16", np.float16), ("int8", np.int8)):
        steps = np.full(16, 1e-3, np.float32) if form == "int8" else None
        weight = rng.integers(-9, 10, (16, 16, 3, 3)).astype(kind)
        conv = pack_convolution(weight, np.zeros(16, np.float32), steps=steps)
        held = bench.upload(conv.weights), bench.upload(conv.scales)
        picture = rng.integers(-9, 10, (1, *SIZE, 16)).astype(kind)
        sets = [
            (bench.upload(picture), bench.poisoned(picture.nbytes))
            for _ in range(sets_beyond(bench.l2, 2 * picture.nbytes))
        ]
        launcher = ConvRelu(module, conv, address(held[0]), address(held[1]), (1, *SIZE))
        turns = [(address(a), address(b)) for a, b in sets]
        us = bench.median_us([lambda a=a, b=b, k=launcher: k.launch(a, b, bench.stream.handle) for a, b in turns])  # type: ignore[misc]
        flop = 2 * weight.size * SIZE[0] * SIZE[1] if form == "fp16" else 0
        floor = max(2 * picture.nbytes / bandwidth, arithmetic_us(bench, module, flop))
        yield Timing(f"conv_relu {form} 16 → 16", "512×512", us, floor)


def time_host_to_host(bench: Bench, bandwidth: float) -> Iterator[Timing]:
    """A frame from pinned memory through the network back to pinned memory, by wall clock."""
    module, stream = load("compact_fused"), bench.stream
    network = pack_network(layers_of(f"{SMALL}-fp16"))
    held = [bench.upload(part) for part in (network.weights, network.scales)]
    kernel = CompactKernel(module, network, address(held[0]), address(held[1]), (1, *SIZE))
    before, after = (bench.driver.pagelocked_zeros(SIZE, np.float32) for _ in range(2))
    before[...] = np.random.default_rng().random(SIZE, np.float32)
    frame, out = (bench.poisoned(before.nbytes) for _ in range(2))

    def queue() -> None:
        bench.driver.memcpy_htod_async(frame, before, stream)
        kernel.launch(address(frame), address(out), stream.handle)
        bench.driver.memcpy_dtoh_async(after, out, stream)

    yield Timing("host to host", "512×512", _wall_us(queue, bench), 2 * before.nbytes / bandwidth)


def _wall_us(queue: Callable[[], None], bench: Bench) -> float:
    graph, times = Graph(bench.stream.handle, queue), []
    for _ in range(300):
        start = time.perf_counter_ns()
        graph.launch()
        bench.stream.synchronize()
        times.append((time.perf_counter_ns() - start) / 1000)
    graph.close()
    return float(np.median(times[20:]))
