"""Engine files: which engine fits, and why another is refused before any runtime sees its bytes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgerecon.core.cache import cache_folder
from edgerecon.core.errors import EngineError, UsageError
from edgerecon.core.sealed_file import Refused, read_sealed, write_sealed

SUFFIX = ".engine"
_KIND = "engine"

Size = tuple[int, int]


@dataclass(frozen=True)
class Shapes:
    """Frame sizes, (height, width) in pixels, that an engine takes: from min to max, fastest at opt."""

    min: Size = (1, 1)
    opt: Size = (512, 512)
    max: Size = (2048, 2048)

    def __post_init__(self) -> None:
        for low, mid, high in zip(self.min, self.opt, self.max, strict=True):
            if not 1 <= low <= mid <= high <= 16_384:
                raise UsageError(f"shapes must hold 1 ≤ min ≤ opt ≤ max ≤ 16384, not {self}")

    def __str__(self) -> str:
        return ", ".join(f"{name} {size[0]}×{size[1]}" for name, size in asdict(self).items())

    def padded(self, multiple: int) -> Shapes:
        """The sizes that the graph sees of these: rounded up to multiples."""
        return Shapes(*((h + -h % multiple, w + -w % multiple) for h, w in (self.min, self.opt, self.max)))


@dataclass(frozen=True)
class EngineFacts:
    """What decides the bytes of an engine, and where it may run.

    Attributes:
        model: SHA-256 of the ONNX file. precision: of the same.
        runtime: module, "tensorrt" or "tensorrt_rtx". version: of it.
        compute_capability: of the GPU, e.g. "8.6". gpu: its name; "" when any of that compute capability will do.
        shapes: as the graph sees them, padded.
    """

    model: str
    precision: str
    runtime: str
    version: str
    compute_capability: str
    gpu: str
    shapes: Shapes

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def cache_path(model: Path, facts: EngineFacts) -> Path:
    """File of the cache for an engine: the model's name, then a digest of all facts."""
    digest = hashlib.sha256(json.dumps(facts.to_json(), sort_keys=True).encode()).hexdigest()
    return cache_folder() / f"{model.stem}.{digest[:24]}{SUFFIX}"


def candidates(model: Path) -> list[Path]:
    """Files that may hold an engine of a model: beside it, then in the cache; the newest first."""
    folders = (model.parent, cache_folder())
    found = [path for folder in folders for path in sorted(folder.glob("*" + SUFFIX), key=_age)]
    return [path for path in found if path.name.startswith(model.stem + ".")]


def write_engine(path: Path, facts: EngineFacts, engine: bytes) -> None:
    """Write an engine file; under its name there is never half of one.

    Raises:
        EngineError: see ``write_sealed``.
    """
    write_sealed(path, _KIND, facts.to_json(), engine)


def read_engine(path: Path, expected: EngineFacts, *, any_shapes: bool = False) -> tuple[EngineFacts, bytes]:
    """Facts and bytes of an engine that fits.

    Args:
        expected: the engine must be of these facts. any_shapes: its shapes may be others.

    Raises:
        EngineError: the file is missing, not ours, damaged, or an engine of another model, GPU, runtime version,
            precision or, unless ``any_shapes``, of other shapes; the message is the reason.
    """
    try:
        plain, engine = read_sealed(path, _KIND)
        facts = _facts(plain)
        if reason := _mismatch(facts, expected, any_shapes):
            raise Refused(reason)
    except Refused as reason:
        raise EngineError(f"{path} is refused: {reason}; build it again with  edgerecon build") from None
    return facts, engine


def _facts(plain: dict[str, Any]) -> EngineFacts:
    try:
        sizes = {name: tuple(int(side) for side in size) for name, size in plain["shapes"].items()}
        return EngineFacts(**{**plain, "shapes": Shapes(**sizes)})  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, AttributeError, UsageError):
        raise Refused("its header is corrupt") from None


def _mismatch(found: EngineFacts, expected: EngineFacts, any_shapes: bool) -> str:
    """Why an engine does not fit, the weightiest reason first; "" when it does."""
    if found.model != expected.model:
        return f"it was built from another model (SHA-256 {found.model[:12]}…, not {expected.model[:12]}…)"
    if found.precision != expected.precision:
        return f"it is {found.precision}, not {expected.precision}"
    if found.compute_capability != expected.compute_capability:
        return (
            f"it was built for compute capability {found.compute_capability}, "
            f"and this GPU has {expected.compute_capability}"
        )
    if found.gpu != expected.gpu:
        return f"it was built on {found.gpu or 'no GPU'}, and this is {expected.gpu or 'for any GPU'}"
    if (found.runtime, found.version) != (expected.runtime, expected.version):
        return f"it was built by {found.runtime} {found.version}, and here is {expected.runtime} {expected.version}"
    if found.shapes != expected.shapes and not any_shapes:
        return f"it takes frames of {found.shapes}, not {expected.shapes}"
    return ""


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:  # it has gone since it was listed
        return 0.0
