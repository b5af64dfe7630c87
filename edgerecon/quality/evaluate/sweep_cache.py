"""The classical sweep, kept between runs: it takes minutes, and does not depend on the model that is evaluated."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from edgerecon.core.cache import cache_folder
from edgerecon.core.cluster import Spread
from edgerecon.core.frame import Image
from edgerecon.core.json import parse
from edgerecon.quality.evaluate.sweep import Frames, Setting, classical_sweep
from edgerecon.quality.filters.filter import filters
from edgerecon.quality.regions import Regions

_log = logging.getLogger(__name__)
_CODE = ("filters/*.py", "measures/*.py", "regions.py", "evaluate/sweep.py")


def cached_sweep(
    frames: Frames,
    regions: dict[str, list[Regions]],
    methods: Sequence[str],
    on_progress: Callable[[str, int, int], None] | None = None,
    spread: Spread = map,
) -> list[Setting]:
    """``sweep.classical_sweep``, file by file, from the user's cache where a file was swept before.

    So an interrupted evaluation goes on where it was. A file counts as swept when its frames, its regions, the filters
    and the code that measures them are the same. A cache that cannot be read or written costs time and nothing else.

    Args:
        on_progress: called with (file, done, total) before each file and at the end.
        spread: ``map``, or what sweeps the files elsewhere; the cache is kept here.
    """
    progress = on_progress or (lambda what, done, total: None)
    places = {name: _place(images, regions[name], methods) for name, images in frames.items()}
    kept = {name: _read(place, name) for name, place in places.items()}
    missing = [name for name, settings in kept.items() if settings is None]
    swept = spread(partial(_sweep, methods), [(name, frames[name], regions[name]) for name in missing])
    parts: list[list[Setting]] = []
    for done, name in enumerate(frames):
        progress(f"classical filters on {name}", done, len(frames))
        settings = kept[name]
        if settings is None:
            settings = next(swept)
            _keep(places[name], name, settings)
        parts.append(settings)
    progress("classical filters", len(frames), len(frames))
    return [
        Setting(same[0].method, same[0].parameters, {name: rows for one in same for name, rows in one.rows.items()})
        for same in zip(*parts, strict=True)
    ]


def _sweep(methods: Sequence[str], file: tuple[str, list[Image], list[Regions]]) -> list[Setting]:
    name, images, regions = file
    return classical_sweep({name: images}, {name: regions}, methods)


def _place(images: list[Image], regions: list[Regions], methods: Sequence[str]) -> Path:
    return cache_folder() / "classical" / f"{_fingerprint(images, regions, methods)}.json"


def _read(path: Path, name: str) -> list[Setting] | None:
    try:
        kept = parse(path.read_text(encoding="utf-8"))
        return [Setting(one["method"], one["parameters"], {name: one["rows"]}) for one in kept]
    except (OSError, ValueError, KeyError, TypeError):  # absent or damaged: made anew
        return None


def _keep(path: Path, name: str, settings: list[Setting]) -> None:
    content: list[dict[str, Any]] = [
        {"method": s.method, "parameters": s.parameters, "rows": s.rows[name]} for s in settings
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(f"{path}.{os.getpid()}.part")
        part.write_text(json.dumps(content), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        _log.info("the classical sweep of %s is not kept: %s", name, error)


def _fingerprint(images: list[Image], regions: list[Regions], methods: Sequence[str]) -> str:
    grids = {method: filters()[method].grid for method in methods}
    digest = hashlib.sha256(json.dumps([grids, [asdict(one) for one in regions]]).encode())
    folder = Path(__file__).parents[1]
    for module in sorted(path for pattern in _CODE for path in folder.glob(pattern)):
        digest.update(module.read_bytes())
    for image in images:
        digest.update(str(image.shape).encode() + image.tobytes())
    return digest.hexdigest()[:32]
