"""The classical sweep, kept between runs: it takes minutes, and does not depend on the model that is evaluated."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgerecon.engines.cache import cache_folder
from edgerecon.frame import Image
from edgerecon.quality import classical
from edgerecon.quality.regions import Regions
from edgerecon.quality.sweep import Frames, Setting, classical_sweep

_log = logging.getLogger(__name__)
_CODE = ("classical", "no_reference", "regions", "speckle", "full_reference", "sweep")


def cached_sweep(
    frames: Frames,
    regions: dict[str, list[Regions]],
    methods: Sequence[str],
    on_progress: Callable[[str, int, int], None] | None = None,
) -> list[Setting]:
    """``sweep.classical_sweep``, file by file, from the user's cache where a file was swept before.

    So an interrupted evaluation goes on where it was. A file counts as swept when its frames, its regions, the filters
    and the code that measures them are the same. A cache that cannot be read or written costs time and nothing else.

    Args:
        on_progress: called with (file, done, total) before each file and at the end.
    """
    progress = on_progress or (lambda what, done, total: None)
    parts: list[list[Setting]] = []
    for done, (name, images) in enumerate(frames.items()):
        progress(f"classical filters on {name}", done, len(frames))
        parts.append(_of_file(name, images, regions[name], methods))
    progress("classical filters", len(frames), len(frames))
    return [
        Setting(same[0].method, same[0].parameters, {name: rows for one in same for name, rows in one.rows.items()})
        for same in zip(*parts, strict=True)
    ]


def _of_file(name: str, images: list[Image], regions: list[Regions], methods: Sequence[str]) -> list[Setting]:
    path = cache_folder() / "classical" / f"{_fingerprint(images, regions, methods)}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return [Setting(one["method"], one["parameters"], {name: one["rows"]}) for one in kept]
    except (OSError, ValueError, KeyError, TypeError):  # absent or damaged: made below
        settings = classical_sweep({name: images}, {name: regions}, methods)
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
    return settings


def _fingerprint(images: list[Image], regions: list[Regions], methods: Sequence[str]) -> str:
    grids = {method: classical.GRIDS[method] for method in methods}
    digest = hashlib.sha256(json.dumps([grids, [asdict(one) for one in regions]]).encode())
    for module in _CODE:
        digest.update(Path(__file__).with_name(f"{module}.py").read_bytes())
    for image in images:
        digest.update(str(image.shape).encode() + image.tobytes())
    return digest.hexdigest()[:32]
