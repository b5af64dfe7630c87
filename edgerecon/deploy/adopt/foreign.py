"""Reads a foreign ONNX file: bounded, whole, and in an opset and IR version that ONNX Runtime takes."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgerecon.core.errors import ModelError, UsageError, first_line, needed
from edgerecon.core.files import read
from edgerecon.deploy.adopt.bfloat16 import has_bfloat16_ports, widen
from edgerecon.deploy.adopt.graph_parts import every_tensor
from edgerecon.modelfile.file import MAX_BYTES, read_onnx

with needed("adopt", "onnx"):
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import ModelProto, TensorProto

_OLDEST_IR = 8
_WEIGHTS_APART = 4
"""IR version from which weights need not be inputs too; what is written has our inputs alone."""
_OLDEST_OPSET = 11
"""Below it, Clip and Pad have their limits in attributes, and nobody exports so any more."""


@dataclass
class ForeignModel:
    """A foreign network in memory, its weights inside.

    Attributes:
        sha256: of the file as it was read. notes: what was changed to make it readable, one line each.
    """

    path: Path
    model: ModelProto
    sha256: str
    notes: list[str] = field(default_factory=list)

    @property
    def opset(self) -> int:
        """Of the ONNX operators."""
        return next((one.version for one in self.model.opset_import if one.domain in ("", "ai.onnx")), 1)


def read_foreign(path: str | Path) -> ForeignModel:
    """Read a file, take in weights that lie beside it, and lower its opset where the runtime asks for that.

    Raises:
        ModelError: see ``read_onnx``; weights anywhere but beside the file; ONNX Runtime refuses the graph, for an
            operator that it does not have, or for anything else. UsageError: the file is one of ours.
    """
    file = read_onnx(path)
    if file.adopted:
        raise UsageError(f"{path} has edgerecon's metadata already: give it to  edgerecon stream SOURCE {path}")
    try:
        model = ModelProto.FromString(file.content)
    except DecodeError:
        raise ModelError(f"{path} is not an ONNX file, or it is corrupt: copy or export it again") from None
    if not model.graph.node:
        raise ModelError(f"{path} holds no operator: export it again")
    found = ForeignModel(file.path, model, hashlib.sha256(file.content).hexdigest())
    if file.external is not None:
        _take_in_weights(found)
    _make_runnable(found)
    return found


def _take_in_weights(found: ForeignModel) -> None:
    contents: dict[str, bytes] = {}
    left = MAX_BYTES
    for tensor in every_tensor(found.model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        facts = {entry.key: entry.value for entry in tensor.external_data}
        name = facts.get("location", "")
        if name not in contents:
            contents[name] = _read_beside(found.path, name, left)
            left -= len(contents[name])
        tensor.raw_data = _part(found.path, name, contents[name], facts)
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
    found.notes.append(f"weights taken in from {', '.join(sorted(contents))}")


def _read_beside(path: Path, name: str, limit: int) -> bytes:
    """A plain file in the folder of the model; no path, and no link that leads elsewhere.

    Raises:
        ModelError: anything else, or it is too large.
    """
    place = path.parent / name
    if not name or Path(name).name != name or name in (".", "..") or "\0" in name:
        raise ModelError(f"{path} asks for weights in '{name}', which is not beside it: export it as one file")
    if place.is_symlink():
        raise ModelError(f"{place} is a link, which may lead anywhere: put the file itself beside {path.name}")
    try:
        return read(place, limit)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ModelError(f"cannot read the weights {place} of {path.name}: {why}") from None


def _part(path: Path, name: str, content: bytes, facts: dict[str, str]) -> bytes:
    try:
        offset = int(facts.get("offset") or 0)
        length = int(facts.get("length") or len(content) - offset)
    except ValueError:
        offset = length = -1
    if not (0 <= offset and 0 <= length and offset + length <= len(content)):
        raise ModelError(f"{path} asks for bytes that {name} does not have: copy both again")
    return content[offset : offset + length]


def _make_runnable(found: ForeignModel) -> None:
    """Raise an old IR version; lower a new one, then the opset, until ONNX Runtime opens the file."""
    if found.model.ir_version < _WEIGHTS_APART:
        found.notes.append(f"IR version {found.model.ir_version} lists weights as inputs: raised to {_WEIGHTS_APART}")
        found.model.ir_version = _WEIGHTS_APART
    if found.opset < _OLDEST_OPSET:
        _convert(found, _OLDEST_OPSET)
        found.notes.append(f"its opset is too old for what is added: converted to opset {_OLDEST_OPSET}")
    error = refusal(found.model)
    stated = found.model.ir_version
    while error and "IR version" in error and found.model.ir_version > _OLDEST_IR:
        found.model.ir_version -= 1
        error = refusal(found.model)
    if found.model.ir_version != stated:
        found.notes.append(f"IR version {stated} is newer than ONNX Runtime: lowered to {found.model.ir_version}")
    stated = found.opset
    while error and "opset" in error.lower() and found.opset > _OLDEST_OPSET:
        _convert(found, min(found.opset - 1, onnx.defs.onnx_opset_version()))
        error = refusal(found.model)
    if found.opset != stated:
        found.notes.append(f"opset {stated} is newer than ONNX Runtime: converted to opset {found.opset}")
    if "bfloat16" in error or has_bfloat16_ports(found.model):
        widen(found.model)
        found.notes.append("ONNX Runtime computes no bfloat16 on a CPU: taken as float32")
        error = refusal(found.model)
    if error:
        raise ModelError(f"{found.path} cannot be run: {error}")


def _convert(found: ForeignModel, opset: int) -> None:
    try:
        found.model = onnx.version_converter.convert_version(found.model, opset)
    except Exception as error:  # noqa: BLE001 - the converter raises RuntimeError and its own kinds
        newer = "newer than ONNX Runtime" if opset < found.opset else "too old"
        raise ModelError(
            f"{found.path}: opset {found.opset} is {newer} and cannot be converted to {opset} ({first_line(error)}): "
            "export it with opset 18"
        ) from None


def refusal(model: ModelProto) -> str:
    """Why ONNX Runtime does not open a graph, in one line; "" where it does."""
    try:
        open_session(model)
    except ModelError as error:
        return str(error)
    return ""


def open_session(model: ModelProto, threads: int = 0) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU that says nothing on the screen.

    Raises:
        ModelError: ONNX Runtime refuses the graph; an operator that it does not have is named.
    """
    with needed("stream", "onnxruntime"):
        import onnxruntime as ort
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # noqa: BLE001 - the runtime's exceptions share no base
        raise ModelError(_said(error)) from None


def _said(error: Exception) -> str:
    text = first_line(error)
    if unknown := re.search(r"No Op registered for (\S+)|Fatal error: (\S+)\(-?\d+\) is not a registered", text):
        return f"onnxruntime has no operator {unknown[1] or unknown[2]}"
    return f"onnxruntime refuses it ({text.rpartition(' : ')[2] or text})"
