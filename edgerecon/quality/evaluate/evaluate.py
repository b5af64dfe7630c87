"""The engine behind ``edgerecon evaluate``: one model, one data set, one table."""

from __future__ import annotations

import time
from pathlib import Path

from edgerecon.core.cluster import Spread
from edgerecon.core.errors import DataError, UsageError
from edgerecon.engines.base import Engine
from edgerecon.quality.datasets.recordings import is_recording
from edgerecon.quality.evaluate.evaluation import Evaluation, Progress
from edgerecon.quality.evaluate.with_targets import evaluate_pairs
from edgerecon.quality.evaluate.without_targets import evaluate_recordings
from edgerecon.quality.filters.filter import filters

PAIR_SUFFIXES = (".h5", ".hdf5")


def evaluate(
    engine: Engine,
    data: Path,
    *,
    regions: Path | None = None,
    methods: list[str] | None = None,
    limit: int | None = None,
    tune: Path | None = None,
    fields: tuple[str, str] | None = None,
    on_progress: Progress | None = None,
    spread: Spread = map,
) -> Evaluation:
    """Measure a model beside its input and classical filters.

    Args:
        engine: an open engine whose output has the size of its input.
        data: HDF5 pairs (``.h5``, ``.hdf5``: measured against their targets), any recording that can be streamed
            ("sample", too), or a folder of recordings (measured against the input).
        regions: JSON boxes for recordings (see ``regions.read_regions``); default: found on each input frame.
        methods: classical filters to compare with; default: all; empty: none.
        limit: at most so many samples of a pairs file (default: all), or frames of each recording (default: 2).
        tune: pairs file to tune the classical filters on; default: the first samples of ``data`` itself.
        fields: of a pairs file, the input's and the target's; default: those that ``edgerecon simulate`` makes for the
            model's task.
        on_progress: called with (what, done, total).
        spread: ``map``, or what does the work of the classical filters elsewhere (see
            ``edgerecon.core.cluster``). The model runs here.

    Raises:
        UsageError: impossible combination of arguments, or a model that gives no picture.
        DataError: an unusable file of pairs.
        SourceError: an unusable recording.
        EngineError: the model failed on a frame.
        DependencyError: scikit-image or h5py is absent.
    """
    start = time.perf_counter()
    known = filters()
    methods = list(known) if methods is None else list(dict.fromkeys(methods))
    unknown = [name for name in methods if name not in known]
    if unknown:
        raise UsageError(f"no filter is called '{unknown[0]}': choose from {', '.join(known)}")
    if not engine.spec.model.makes_images:
        raise UsageError(f"{engine.spec.model.name} gives no picture: stream or bench it")
    if limit is not None and limit < 1:
        raise UsageError("the limit must be at least 1")
    if not is_recording(data):
        raise DataError(f"{data} does not exist: give a recording, a folder of them, or pairs of `edgerecon simulate`")
    progress = on_progress or (lambda what, done, total: None)
    if data.suffix.lower() in PAIR_SUFFIXES:
        if regions is not None:
            raise UsageError("regions are for recordings: pairs are measured against their targets")
        result = evaluate_pairs(engine, data, methods, limit, tune, progress, spread, fields)
    else:
        if tune is not None:
            raise UsageError("tuning needs targets: give --tune only with a pairs file (.h5)")
        if fields is not None:
            raise UsageError("only a pairs file (.h5) has fields: leave them out for recordings")
        result = evaluate_recordings(engine, data, methods, limit, regions, progress, spread)
    result.seconds = time.perf_counter() - start
    return result
