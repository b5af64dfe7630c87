"""Denoising of real recordings, which nothing was trained on and which have no target: measured against themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgerecon.core.frame import Image
from edgerecon.quality.datasets.recordings import load_recordings
from edgerecon.quality.evaluate.sweep import file_means, measure_outputs
from edgerecon.quality.regions import find_regions
from edgerecon.study.comparison import Method
from edgerecon.study.context import Context
from edgerecon.study.results import Metric, Row, Table, measured

METRICS = (
    Metric("snr_gain_db", "speckle SNR gained, dB", "higher", 2),
    Metric("edge", "edge preservation", "higher", 3),
    Metric("cnr", "CNR", "higher", 2),
    Metric("gcnr", "gCNR", "higher", 3),
)


def real_frames(ctx: Context, methods: Sequence[Method]) -> None:
    """Adds a table: each method as it was tuned or trained on simulated scenes, on the recordings of the context.

    Raises:
        DataError: the folder holds nothing readable.
    """
    assert ctx.recordings is not None
    side = ctx.profile.pick(smoke=64, quick=256, full=512)
    loaded, left_out = load_recordings(ctx.recordings, ctx.profile.pick(smoke=1, quick=1, full=4))
    frames = {name: [_middle(image, side) for image in images] for name, images in loaded.items()}
    regions = {name: [find_regions(image) for image in images] for name, images in frames.items()}
    rows = []
    for done, method in enumerate(methods):
        ctx.progress(f"{ctx.result.name}: real frames, {method.name}", done, len(methods))
        outputs = {name: [method.run(image) for image in images] for name, images in frames.items()}
        figures = measure_outputs(frames, regions, outputs)
        values = {metric.key: file_means(figures, metric.key) for metric in METRICS[1:]}
        # In decibels, since a patch that comes out flat has a ratio in the thousands, which no mean survives.
        values["snr_gain_db"] = list(20 * np.log10(file_means(figures, "snr_ratio")))
        rows.append(Row(method.name, method.kind, measured(values), note=method.note))
    data = (
        f"{len(frames)} real recordings, the middle {side}×{side} pixels; there is no target: speckle SNR and contrast "
        "are to be read beside edge preservation, the correlation with the input's own edges. Nothing was trained or "
        "tuned on them."
    )
    ctx.result.tables.append(Table("Denoising of real recordings", METRICS, tuple(rows), data))
    ctx.result.notes += left_out


def _middle(image: Image, side: int) -> Image:
    top, left = (max(0, (length - side) // 2) for length in image.shape)
    return image[top : top + side, left : left + side].copy()
