"""U-Net reconstruction of undersampled MRI, sparse-view and low-dose CT, and ultrasound with few lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgerecon.engines import open_engine
from edgerecon.measure.timing import interleave
from edgerecon.study import sparse_lines
from edgerecon.study.context import Context
from edgerecon.study.results import Claim
from edgerecon.study.systems import ct, mri

TITLE = "U-Net reconstruction of MRI, CT and ultrasound"
PAPER = (
    "U-Net reconstruction from undersampled data with residual blocks, MSE + SSIM loss and adaptive undersampling, "
    "against filtered back-projection, zero filling and total-variation compressed sensing (SSIM 0.92, PSNR 35 dB)."
)
SLICE = 512
THREADS = 2


def run(ctx: Context) -> None:
    """Simulate, train, measure and report the system; its outcome is added to ``ctx.result``."""
    ct.run(ctx)
    mri.run(ctx)
    if ctx.has_time(sparse_lines.NETWORK):
        sparse_lines.run(ctx)
    if ctx.has_time(ct.MAIN):
        _time_a_slice(ctx)
    if ctx.profile.name in ("smoke", "quick"):
        ctx.result.notes.append(
            "Networks of this profile see about a thousand slices in a few hundred steps, and work at half resolution: "
            "that is the likeliest reason where they stay behind total variation or the paper's figures, but only the "
            "full profile can tell: it has slices of 256×256 and learns from 460 times as many."
        )


def _time_a_slice(ctx: Context) -> None:
    """A full-resolution slice through the file that ships, on two cores."""
    model = next(model for model in ctx.result.models if model.name == "study-ct-sparse")
    engine = open_engine(Path(model.file), threads=THREADS)
    frame = ctx.rng("slice").random((SLICE, SLICE), dtype=np.float32)
    out = np.empty_like(frame)
    seconds = ctx.profile.pick(smoke=0.2, quick=4.0, full=20.0)
    timing = interleave({"slice": lambda: engine.run(frame, out)}, seconds=seconds, at_least=5, warm_up=2)["slice"]
    backend = engine.spec.backend
    engine.close()
    times = timing.summary()
    shown = (
        f"p50 {times['p50']:.0f} ms, p99 {times['p99']:.0f} ms over {len(timing.ms)} runs ({backend}, {THREADS} "
        f"threads, {model.macs_per_pixel:.0f} multiply-accumulates a pixel)"
    )
    ctx.result.claims.append(
        Claim(
            f"A {SLICE}×{SLICE} CT slice through the U-Net in under 1 s on {THREADS} CPU cores",
            times["p99"] < 1000,
            shown,
        )
    )
