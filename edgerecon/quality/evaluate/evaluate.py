"""The engine behind ``edgerecon evaluate``: one model, one data set, one table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from edgerecon.core.cluster import Spread
from edgerecon.core.errors import DataError, UsageError
from edgerecon.engines.base import Engine
from edgerecon.quality.datasets.recordings import is_recording
from edgerecon.quality.evaluate.enlarged import evaluate_enlarged
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
        engine: an open engine. One that enlarges is measured on frames reduced by area, against the frames.
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

    Examples:
        >>> from edgerecon.engines import open_engine
        >>> found = evaluate(open_engine("compact-despeckle-small"), Path("sample"), methods=[], limit=1)
        >>> found.line("model").measures["speckle_left"]["mean"] < 1
        True
    """
    start = time.perf_counter()
    known = filters()
    named = list(dict.fromkeys(methods or ()))
    methods = list(known) if methods is None else named
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
    if (scale := engine.spec.model.scale) > 1:
        told = {"--method": named, "--regions": regions, "--tune": tune, "--fields": fields}
        _check_enlarging(scale, data, told)
        result = evaluate_enlarged(engine, data, limit, progress)
    elif data.suffix.lower() in PAIR_SUFFIXES:
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


def _check_enlarging(scale: int, data: Path, told: Mapping[str, object]) -> None:
    """See that nothing is asked of a model that enlarges but what can be compared.

    Raises:
        UsageError: there are targets of the input's size, or filters and regions are named.
    """
    if data.suffix.lower() in PAIR_SUFFIXES:
        raise UsageError(
            f"the model enlarges ×{scale}, and the targets of {data.name} are as large as its inputs: give a recording"
        )
    for option, value in told.items():
        if value:
            raise UsageError(f"the model enlarges ×{scale} and is compared with interpolation: leave {option} out")
