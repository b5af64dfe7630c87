"""Evaluate a model on real recordings, which have no targets: every measure of the picture against the input itself.

The model acts as in a stream, on tissue alone (see ``edgerecon.stream.picture.protect``).

Cost: the classical sweep (see ``sweep``), in proportion to the area that is measured, the middle of large frames; it is
kept (see ``sweep_cache``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgerecon.core.cluster import Spread
from edgerecon.core.errors import UsageError
from edgerecon.core.frame import Image
from edgerecon.engines.base import Engine
from edgerecon.measure.bootstrap import interval
from edgerecon.quality.datasets.recordings import load_clips, load_recordings
from edgerecon.quality.evaluate import sweep, tradeoff
from edgerecon.quality.evaluate.evaluation import Evaluation, MethodResult, Progress
from edgerecon.quality.evaluate.structure_front import comparable, structure_front
from edgerecon.quality.evaluate.sweep_cache import cached_sweep
from edgerecon.quality.filters.filter import filters
from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.measure import main_measures, measure_frame, measures
from edgerecon.quality.regions import Regions, find_regions, read_regions
from edgerecon.stream.picture.protect import ProtectedEngine

BLENDS = (0.25, 0.5, 0.75, 1.0)
FRAMES_PER_FILE = 2
SIDE = 512
"""Greatest side of what is measured of a frame, in pixels: a whole screen takes ten times as long and says no more."""
GAIN_MATCHED = ("speckle_snr", "snr_ratio", "edge", "cnr", "gcnr", "gcnr_change", "fwhm_px")


def evaluate_recordings(
    engine: Engine,
    data: Path,
    methods: list[str],
    limit: int | None,
    regions_file: Path | None,
    on_progress: Progress,
    spread: Spread = map,
) -> Evaluation:
    """See ``evaluate.evaluate``."""
    given = read_regions(regions_file) if regions_file else None
    frames, notes = load_recordings(data, limit or FRAMES_PER_FILE)
    if given is None:  # its boxes are of whole frames
        frames, cut = _middles(frames)
        notes += [f"measured in the middle {SIDE}×{SIDE} pixels: {', '.join(cut)}"] if cut else []
    regions = _regions(frames, given)
    protected = ProtectedEngine(engine)
    outputs, times = _reconstruct(protected, frames, on_progress)
    curve = {blend: sweep.measure_outputs(frames, regions, outputs, blend) for blend in BLENDS}
    settings = cached_sweep(frames, regions, methods, on_progress, spread) if methods else []
    speckle = sweep.structure_point(curve[1.0])[1]
    chosen = {method: comparable([s for s in settings if s.method == method], speckle) for method in methods}

    model = _with_all_measures(sweep.with_times(curve[1.0], times), frames, outputs, _clips(protected, data, frames))
    measured: dict[str, sweep.Rows] = {"input": sweep.measure_outputs(frames, regions, frames), "model": model}
    measured |= {method: setting.rows for method, setting in chosen.items()}
    parameters = {method: setting.parameters for method, setting in chosen.items()}
    table = [
        MethodResult(name, parameters.get(name, {}), {m: interval(sweep.file_means(rows, m)) for m in _names(rows)})
        for name, rows in measured.items()
    ]
    spec = engine.spec
    return Evaluation(
        spec.model.name,
        spec.backend,
        spec.precision,
        str(data),
        "recordings",
        table,
        _flat(measured),
        front=structure_front(curve, settings),
        tradeoff=_tradeoff(curve, settings, list(frames)),
        regions="file" if given else "automatic",
        notes=_notes(regions, methods) + notes,
        panels=_panels(frames, outputs, chosen),
    )


def _middles(frames: sweep.Frames) -> tuple[sweep.Frames, list[str]]:
    """The middle of frames larger than ``SIDE``, and the names of the files that have such."""
    cut = [name for name, images in frames.items() if any(max(image.shape) > SIDE for image in images)]
    return {name: [_middle(image) for image in images] for name, images in frames.items()}, cut


def _middle(image: Image) -> Image:
    rows, columns = (slice((size - min(size, SIDE)) // 2, (size + min(size, SIDE)) // 2) for size in image.shape)
    return np.ascontiguousarray(image[rows, columns])


def _regions(frames: sweep.Frames, given: Regions | None) -> dict[str, list[Regions]]:
    if given is None:
        return {name: [find_regions(image) for image in images] for name, images in frames.items()}
    for images in frames.values():
        for image in images:
            given.check_inside(image.shape)
    return {name: [given] * len(images) for name, images in frames.items()}


def _reconstruct(
    engine: Engine, frames: sweep.Frames, on_progress: Progress
) -> tuple[sweep.Frames, dict[str, list[float]]]:
    """What the model makes of every frame, and the milliseconds that each took."""

    def run(image: Image) -> Image:
        engine.reset()  # the frames picked are far apart
        output = engine.run(image)
        if output.shape != image.shape:
            raise UsageError(
                f"the model turns {image.shape} into {output.shape}; evaluate needs one that keeps the size"
            )
        return output

    outputs: sweep.Frames = {}
    times: dict[str, list[float]] = {}
    for done, (name, images) in enumerate(frames.items()):
        on_progress("model", done, len(frames))
        run(images[0])  # a new size costs time once
        one, took = sweep.run_timed(run, {name: images})
        outputs |= one
        times |= took
    return outputs, times


def _clips(engine: Engine, data: Path, frames: sweep.Frames) -> dict[str, tuple[Image, Image]]:
    """Consecutive frames of each recording before and after, (T, H, W) each; files too short for it are left out."""
    clips = {}
    for name, images in load_clips(data, list(frames)).items():
        engine.reset()
        shown = _middle(images[0])
        if frames[name][0].shape in (images[0].shape, shown.shape):
            parts = [_middle(image) if frames[name][0].shape == shown.shape else image for image in images]
            clips[name] = np.stack(parts), np.stack([np.array(engine.run(part)) for part in parts])
    return clips


def _with_all_measures(
    rows: sweep.Rows, frames: sweep.Frames, outputs: sweep.Frames, clips: dict[str, tuple[Image, Image]]
) -> sweep.Rows:
    """The model's rows with every measure of the picture."""
    others = [key for key in measures() if key not in main_measures()]
    return {
        name: [
            {**row, **measure_frame(BeforeAfter(image, output, clips.get(name)), others)}
            for row, image, output in zip(of, frames[name], outputs[name], strict=True)
        ]
        for name, of in rows.items()
    }


def _names(rows: sweep.Rows) -> list[str]:
    """Measures that a method's rows have, those of the picture first, then the gain-matched ones."""
    had = {key for of in rows.values() for row in of for key in row}
    return [key for key in (*measures(), "ms", *GAIN_MATCHED) if key in had]


def _tradeoff(curve: dict[float, sweep.Rows], settings: list[sweep.Setting], files: list[str]) -> dict[str, Any]:
    """The model's curve, the classical points and front, and the model's advantage with its interval over files."""
    points = [setting.point() for setting in settings]
    front = tradeoff.front(points)
    place = sweep.point(curve[1.0])
    result: dict[str, Any] = {
        "model": {"edge": place[0], "snr_ratio": place[1]},
        "curve": [
            {"blend": blend, "edge": at[0], "snr_ratio": at[1]}
            for blend, at in ((blend, sweep.point(rows)) for blend, rows in curve.items())
        ],
        "classical": [
            {"method": s.method, "parameters": s.parameters, "edge": at[0], "snr_ratio": at[1]}
            for s, at in zip(settings, points, strict=True)
        ],
        "front": [{"edge": edge, "snr_ratio": ratio} for edge, ratio in front],
    }
    if settings:
        result["classical_at_edge"] = tradeoff.front_at(front, place[0])
        result["advantage_percent"] = _advantage(curve[1.0], settings, files)
    return result


def _advantage(rows: sweep.Rows, settings: list[sweep.Setting], files: list[str]) -> dict[str, float]:
    """Advantage on the means over files; bounds from resampling files for model and classical filters together."""
    # Axes: file, filter (the model first), (edge, ratio). nan marks a file without homogeneous region.
    places = np.array([[sweep.point(rows, [f]), *(s.point([f]) for s in settings)] for f in files])
    places = places[np.isfinite(places).all(axis=(1, 2))]
    if not len(places):
        return {"mean": float("nan"), "low": float("nan"), "high": float("nan")}

    def of(means: np.ndarray) -> float:
        return tradeoff.advantage_percent(tuple(means[0]), map(tuple, means[1:]))

    draws = np.random.default_rng(0).integers(len(places), size=(500, len(places)))
    low, high = np.percentile([of(places[draw].mean(axis=0)) for draw in draws], (2.5, 97.5))
    bounds = (float(low), float(high)) if len(places) > 1 else (float("nan"), float("nan"))
    return {"mean": float(of(places.mean(axis=0))), "low": bounds[0], "high": bounds[1]}


def _notes(regions: dict[str, list[Regions]], methods: list[str]) -> list[str]:
    notes = [
        "intervals are bootstrap 95 % over files; nothing is matched in gain or offset but for the figures marked "
        "gain-matched, which go with the next release"
    ]
    bare = [name for name, found in regions.items() if not any(r.homogeneous for r in found)]
    if bare:
        notes.append(f"no homogeneous region, so no speckle SNR, in: {', '.join(bare)}")
    if methods:
        notes.append(
            "each classical filter stands in the table at the setting that keeps most structure at no more speckle "
            "left than the model's, or at the one that leaves least"
        )
    return notes


def _flat(measured: dict[str, sweep.Rows]) -> list[dict[str, Any]]:
    return [
        {"file": name, "image": index, "method": method, **figures}
        for method, rows in measured.items()
        for name, row in rows.items()
        for index, figures in enumerate(row)
    ]


def _panels(frames: sweep.Frames, outputs: sweep.Frames, chosen: dict[str, sweep.Setting], shown: int = 6) -> Any:
    return {
        name: {
            "input": frames[name][0],
            "model": outputs[name][0],
            **{method: filters()[method].run(frames[name][0], **s.parameters) for method, s in chosen.items()},
        }
        for name in list(frames)[:shown]
    }
