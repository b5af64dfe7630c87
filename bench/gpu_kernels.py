"""The toolkit's CUDA kernels on the GPU that is here: correct on fresh random inputs, then how fast, against the floor.

Outputs are poisoned before they are written, and compared with float64 by ‖out − ref‖ / ‖ref‖. Times are medians of
CUDA-graph replays over more data than L2 holds; a floor is the bytes that must move over the bandwidth of a copy,
measured in the same run. --check leaves the times out, for compute-sanitizer.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.das_kernel import check_das, time_das
from bench.kernel_rivals import ssim_rivals
from bench.kernel_timing import Bench, Timing, address, relative, sets_beyond, ssim_truth
from bench.network_kernels import check_compact, check_convolution, time_compact, time_convolution, time_host_to_host
from bench.network_rivals import network_rivals
from edgerecon.core.errors import EdgereconError
from edgerecon.cuda.kernels.load import load
from edgerecon.cuda.kernels.ssim import Border, Images, Ssim
from edgerecon.cuda.memory import open_gpu
from edgerecon.hardware.device import host_profile

LIMIT = 1e-5
"""Relative error of fp32 arithmetic."""
HALF_LIMIT = 1e-3
"""Of results stored as fp16."""
CHECKED = [(1, 1, 11, 11), (2, 3, 37, 131), (1, 1, 512, 512), (1, 2, 129, 255)]
TIMED = [(1, 1, 512, 512), (1, 1, 1080, 1920), (1, 1, 4096, 4096)]

Error = tuple[str, float, float]
"""What was checked, its relative error, and the largest that passes."""


def check_ssim(bench: Bench) -> Iterator[Error]:
    module = load("ssim")
    kernels, rng = Ssim(module), np.random.default_rng()
    borders: tuple[Border, Border] = ("valid", "same")
    for images in (Images(shape, half, border) for shape in CHECKED for half in (False, True) for border in borders):
        kind = np.float16 if images.half else np.float32
        planes = (images.planes, *images.shape[2:])
        a, b = (rng.random(planes).astype(kind) for _ in range(2))
        flow = rng.standard_normal((images.planes, *images.windows)).astype(np.float32)
        expected, gradient = ssim_truth(a, b, images.border, flow)
        on_gpu, flow_gpu = [bench.upload(x) for x in (a, b)], bench.upload(flow)
        found, derivatives = bench.poisoned(flow.nbytes), bench.poisoned(3 * flow.nbytes)
        totals, means = bench.poisoned(4 * kernels.totals(images)), bench.poisoned(4 * images.shape[0])
        out = bench.poisoned(a.nbytes)
        pair, stream = [address(x) for x in on_gpu], bench.stream.handle
        kernels.forward(
            images, *pair, map=address(found), derivatives=address(derivatives), totals=address(totals), stream=stream
        )
        kernels.mean(images, address(totals), address(means), stream=stream)
        kernels.backward(images, *pair, address(derivatives), address(out), flow=address(flow_gpu), stream=stream)
        module.wait(stream)
        per_image = expected.reshape(images.shape[0], -1).mean(axis=1)
        yield f"ssim map {images}", relative(bench.download(found, flow.shape), expected), LIMIT
        yield f"ssim mean {images}", relative(bench.download(means, per_image.shape), per_image), LIMIT
        yield (
            f"ssim gradient {images}",
            relative(bench.download(out, a.shape, kind), gradient),
            HALF_LIMIT if images.half else LIMIT,
        )


def check_torch(bench: Bench) -> Iterator[Error]:
    """The operators, where torch has a GPU: zero-copy, and from autograd's own threads."""
    if find_spec("torch") is None:
        return
    import torch

    if not torch.cuda.is_available():
        return
    from edgerecon.workshop.train.ssim_kernel import ssim_mean

    a, b = (torch.rand(2, 3, 65, 140, device="cuda") for _ in range(2))
    a.requires_grad_()
    found = ssim_mean(a, b, "same")
    found.sum().backward()
    flow = np.full((6, 65, 140), 1 / (3 * 65 * 140))
    planes = [x.detach().cpu().numpy().reshape(6, 65, 140) for x in (a, b)]
    value, gradient = ssim_truth(*planes, "same", flow)
    assert a.grad is not None
    yield "torch ssim mean", relative(found.detach().cpu().numpy(), value.reshape(2, -1).mean(axis=1)), LIMIT
    yield "torch ssim gradient", relative(a.grad.cpu().numpy().reshape(6, 65, 140), gradient), LIMIT


def ssim_bytes(images: Images) -> tuple[int, int]:
    """Bytes that the forward pass with derivatives and the backward pass must move."""
    pixels = images.planes * images.shape[2] * images.shape[3]
    windows = images.planes * images.windows[0] * images.windows[1]
    of_image = 2 if images.half else 4
    return 2 * of_image * pixels + 12 * windows, 3 * of_image * pixels + 12 * windows


def time_ssim(bench: Bench, bandwidth: float) -> Iterator[Timing]:
    kernels, rng, stream = Ssim(load("ssim")), np.random.default_rng(), bench.stream.handle
    for images in (Images(shape, half, "same") for shape in TIMED for half in (False, True)):
        forward, backward = ssim_bytes(images)
        kind = np.float16 if images.half else np.float32
        pair = [rng.random(images.shape, dtype=np.float32).astype(kind) for _ in range(2)]
        sets = []
        for _ in range(sets_beyond(bench.l2, forward)):
            sets.append(
                [
                    *(bench.upload(x) for x in pair),
                    bench.poisoned(12 * pair[0].size),
                    bench.poisoned(4 * kernels.totals(images)),
                    bench.poisoned(4),
                    bench.poisoned(pair[0].nbytes),
                    bench.upload(np.ones(images.shape[0], np.float32)),
                ]
            )
        addresses = [[address(memory) for memory in one] for one in sets]

        def ahead(at: list[int], images: Images = images) -> None:
            kernels.forward(images, at[0], at[1], derivatives=at[2], totals=at[3], stream=stream)
            kernels.mean(images, at[3], at[4], stream=stream)

        def back(at: list[int], images: Images = images) -> None:
            kernels.backward(images, at[0], at[1], at[2], at[5], scales=at[6], stream=stream)

        def both(at: list[int], ahead: Callable[..., None] = ahead, back: Callable[..., None] = back) -> None:
            ahead(at)
            back(at)

        works = (("forward", ahead, forward), ("backward", back, backward), ("both", both, forward + backward))
        for name, work, count in works:
            us = bench.median_us([lambda at=at, work=work: work(at) for at in addresses])  # type: ignore[misc]
            yield Timing(f"ssim {name}", str(images), us, count / bandwidth)


CHECKS: list[Callable[[Bench], Iterator[Error]]] = [
    check_ssim,
    check_torch,
    check_compact,
    check_convolution,
    check_das,
]
TIMES: list[Callable[[Bench, float], Iterator[Timing]]] = [
    time_ssim,
    time_compact,
    time_convolution,
    time_das,
    time_host_to_host,
]


def run(check_only: bool) -> dict[str, Any]:
    """Every check, then every time."""
    gpu = open_gpu()
    result: dict[str, Any] = {
        "gpu": {"name": gpu.name, "compute_capability": gpu.compute_capability},
        "host": host_profile(),
        "checks": [],
        "times": [],
    }
    with gpu.current():
        bench = Bench(gpu)
        for what, error, limit in (found for check in CHECKS for found in check(bench)):
            result["checks"].append({"what": what, "error": error, "limit": limit, "ok": error <= limit})
        if not check_only:
            bandwidth = bench.copy_bandwidth()
            result["copy_bytes_per_us"] = bandwidth
            for timing in (found for measure in TIMES for found in measure(bench, bandwidth)):
                print(timing, flush=True)  # noqa: T201
                result["times"].append(timing.to_json())
            result["rivals"] = [*ssim_rivals(TIMED), *network_rivals()]
            for rival in result["rivals"]:
                print(rival, flush=True)  # noqa: T201
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="Do not measure.")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    try:
        result = run(arguments.check)
    except EdgereconError as error:
        sys.stderr.write(f"bench/gpu_kernels.py: {error}\n")
        return 1
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    wrong = [check for check in result["checks"] if not check["ok"]]
    for check in wrong:
        print(f"WRONG {check['what']}: {check['error']:.3g}, allowed is {check['limit']:g}")  # noqa: T201
    print(f"{len(result['checks']) - len(wrong)} of {len(result['checks'])} checks hold")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
