"""Reads what an ONNX file says of itself, and refuses it before any runtime sees it.

Field numbers: onnx.proto3 of ONNX 1.16 (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgerecon.core.errors import ModelError
from edgerecon.core.files import read
from edgerecon.core.json import parse
from edgerecon.modelfile.protobuf import Corrupt, parts
from edgerecon.modelfile.spec import LABELS, PROBABILITY, ModelSpec

MAX_BYTES = 256 * 1024 * 1024
PREFIX = "edgerecon."
FORMAT_VERSION = 3
"""1: the keys of the first release. 2: with ``tile`` and ``halo``. 3: with ``channels``. The least that a file needs is
written."""

_MODEL_METADATA = 14
_EXTERNAL_DATA = 13
# Message → {field number: message found there}; every way from a model to a tensor.
_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_MAX_DEPTH = 64
_OTHER_FORMATS = {b"ORTM": "a file of ONNX Runtime's own format", b"TFL3": "a TensorFlow Lite file"}
"""FlatBuffers identifiers, at offset 4. A runtime that finds its own reads the bytes by it, past what was checked."""


@dataclass(frozen=True)
class ModelFile:
    """A model that may be handed to a runtime: ``content`` is the whole file, as it was checked."""

    path: Path
    spec: ModelSpec
    content: bytes


@dataclass(frozen=True)
class OnnxContent:
    """The bytes of any ONNX file, before anything is asked of its metadata.

    Attributes:
        metadata: all of it, keys as they stand. external: a file that one of its tensors asks for, or None.
    """

    path: Path
    content: bytes
    metadata: dict[str, str]
    external: str | None

    @property
    def adopted(self) -> bool:
        """Whether it has metadata of ours."""
        return PREFIX + "format" in self.metadata


def read_onnx(path: str | Path) -> OnnxContent:
    """Read any ONNX file within the limit.

    Raises:
        ModelError: missing, no plain file, empty, corrupt or too large; or of another format as well.
    """
    path = Path(path)
    try:
        content = read(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.EFBIG:
            raise ModelError(f"{path} is too large for a model: {getattr(error, 'strerror', '')}") from None
        raise ModelError(f"cannot read the model {path}: {getattr(error, 'strerror', None) or error}") from None
    if not content:
        raise ModelError(f"{path} is empty: copy or export it again")
    if name := _OTHER_FORMATS.get(content[4:8]):
        raise ModelError(f"{path} reads as {name} as well, which some runtimes would take it for: export it as ONNX")
    try:
        metadata = _metadata(content)
        external = _external_reference(memoryview(content), "model", 0)
    except (Corrupt, UnicodeDecodeError):
        raise ModelError(f"{path} is not an ONNX file, or it is corrupt: copy or export it again") from None
    return OnnxContent(path, content, metadata, external)


def read_model(path: str | Path) -> ModelFile:
    """Read and check an ONNX file of ours.

    Raises:
        ModelError: see ``read_onnx``; not made by edgerecon; or its weights are in another file. A model of ours is one
            file, so any reference to another is refused, inside its folder or outside.
    """
    file = read_onnx(path)
    if not file.adopted:
        raise ModelError(f"{path} was not made by edgerecon (no metadata): take it in with  edgerecon adopt {path}")
    if file.external is not None:
        raise ModelError(f"{path} keeps weights in another file ('{file.external}'): export it as one file")
    try:
        return ModelFile(file.path, _spec(file.metadata), file.content)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} has broken metadata ({error}): export it again") from None


def _spec(metadata: dict[str, str]) -> ModelSpec:
    """Typed metadata; ValueError, KeyError or TypeError when it makes no sense."""
    facts = {key.removeprefix(PREFIX): value for key, value in metadata.items() if key.startswith(PREFIX)}
    if int(facts["format"]) > FORMAT_VERSION:
        raise ValueError(f"format {facts['format']} is newer than this edgerecon")
    scale, multiple = int(facts["scale"]), int(facts["size_multiple"])
    if not (1 <= scale <= 16 and 1 <= multiple <= 1024):
        raise ValueError(f"scale {scale}, size multiple {multiple}")
    channels, divisor = _state(facts.get("state", "[]"), multiple)
    return ModelSpec(
        name=facts["name"],
        task=facts["task"],
        scale=scale,
        size_multiple=multiple,
        recipe_hash=facts["recipe_hash"],
        precision=facts["precision"],
        quality={str(key): float(value) for key, value in parse(facts.get("quality", "{}")).items()},
        receptive_field=int(facts.get("receptive_field", 0)),
        macs_per_pixel=float(facts.get("macs_per_pixel", 0)),
        form=facts.get("form", ""),
        fixed_output=_fixed_output(facts.get("output", "null")),
        overlay=_overlay(facts.get("overlay", "")),
        state_channels=channels,
        state_divisor=divisor,
        **_tile(facts),
        **_channels(facts),
    )


def _state(text: str, multiple: int) -> tuple[int, int]:
    """Channels and divisor of ``[{"name": "state", "channels": C, "divisor": d}]``; (0, 1) of ``[]``."""
    states = parse(text)
    if not states:
        return 0, 1
    if len(states) != 1 or states[0]["name"] != "state":
        raise ValueError(f"state {text}: one tensor named state is known")
    channels, divisor = int(states[0]["channels"]), int(states[0]["divisor"])
    if not (1 <= channels <= 4096 and divisor >= 1 and multiple % divisor == 0):
        raise ValueError(f"state of {channels} channels at 1/{divisor} of the size")
    return channels, divisor


def _fixed_output(text: str) -> tuple[int, int] | None:
    """``[rows, columns]``, or None of ``null``."""
    if (shape := parse(text)) is None:
        return None
    rows, columns = map(int, shape)
    if not (rows >= 1 and columns >= 1):
        raise ValueError(f"output {text}")
    return rows, columns


def _overlay(text: str) -> str:
    if text not in ("", PROBABILITY, LABELS):
        raise ValueError(f"overlay {text}: {PROBABILITY} and {LABELS} are known")
    return text


def _tile(facts: dict[str, str]) -> dict[str, Any]:
    """``tile`` is ``[rows, columns]``, ``halo`` a number that leaves some of it."""
    tile, halo = _fixed_output(facts.get("tile", "null")), int(facts.get("halo", 0))
    if tile is None:
        return {}
    if not 0 <= 2 * halo < min(tile):
        raise ValueError(f"a tile of {tile[0]}×{tile[1]} with a halo of {halo}")
    return {"tile": tile, "halo": halo}


def _channels(facts: dict[str, str]) -> dict[str, Any]:
    """``channels`` is an even number, ``f_number`` a positive one."""
    channels, f_number = int(facts.get("channels", 1)), float(facts.get("f_number", 0))
    if channels == 1:
        return {}
    if not (2 <= channels <= 256 and channels % 2 == 0 and 0 < f_number <= 20):
        raise ValueError(f"{channels} channels of an aperture of F-number {f_number:g}")
    return {"channels": channels, "f_number": f_number}


def _metadata(content: bytes) -> dict[str, str]:
    entries = (value for field, value in parts(memoryview(content)) if field == _MODEL_METADATA)
    return dict(_entry(entry) for entry in entries)


def _entry(message: memoryview) -> tuple[str, str]:
    """A StringStringEntryProto: key = 1, value = 2."""
    pair = {field: bytes(value).decode() for field, value in parts(message)}
    return pair.get(1, ""), pair.get(2, "")


def _external_reference(message: memoryview, kind: str, depth: int) -> str | None:
    """The first file that a tensor asks for, anywhere in the model."""
    if depth > _MAX_DEPTH:
        raise Corrupt
    for field, value in parts(message):
        if kind == "tensor" and field == _EXTERNAL_DATA:
            return _entry(value)[1] or "?"
        child = _CHILDREN[kind].get(field)
        found = _external_reference(value, child, depth + 1) if child else None
        if found is not None:
            return found
    return None
