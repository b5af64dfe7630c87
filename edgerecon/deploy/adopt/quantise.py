"""``edgerecon export NAME.onnx``: int8 after training, without torch, behind a gate of quality and one of speed.

The layers that cost most quality stay in float until the gate holds. A file that is no faster than its parent on the
runtimes of this machine that run both is not written: int8 is slower than fp32 for small networks on some runtimes.
``edgerecon.deploy.export.speed_gate`` says why our own kernels, which run no int8, do not count.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EdgereconError, GateError, ModelError, UsageError, first_line, needed
from edgerecon.core.files import write
from edgerecon.core.frame import Image
from edgerecon.deploy.adopt.foreign import ModelProto, onnx
from edgerecon.deploy.adopt.frames import centre_crop, trial_frames
from edgerecon.engines import backends, open_engine
from edgerecon.measure.timing import interleave
from edgerecon.modelfile.file import PREFIX, ModelFile, read_model
from edgerecon.modelfile.ports import INPUT
from edgerecon.modelfile.spec import ModelSpec
from edgerecon.modelfile.variants import sibling, variant

GREATEST_RMS = 1 / 255
"""Between the pictures of the int8 file and of its parent: one grey level."""
_FASTER = 0.97
"""The share of the parent's time that an int8 file may take at most."""
_LAYERS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
_OLDEST_OPSET = 13
"""The oldest opset whose QuantizeLinear has a scale a channel."""
_SECONDS = 4.0
_SIZE = (256, 320)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Quantised:
    """What came of it.

    Attributes:
        rms: between its pictures and those of its parent, levels in [0, 1]. kept: layers that stayed in float.
        ms: median time of a frame by runtime, for the parent and for it.
    """

    path: Path
    rms: float
    layers: int
    kept: tuple[str, ...]
    ms: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return asdict(self) | {"path": str(self.path)}


def export_int8(
    path: Path, out: Path | None = None, data: Path | None = None, on_progress: Progress | None = None
) -> Quantised:
    """Quantise an fp32 file of ours and write NAME-int8.onnx.

    Args:
        out: folder; default: that of the file. data: frames to calibrate on; default: the built-in cine.

    Raises:
        UsageError: the file is not fp32, or recurrent. GateError: with most layers in float it is not good enough; or
        it is not faster than its parent on any runtime of this machine.
    """
    progress = on_progress or (lambda what, done, total: None)
    file = read_model(path)
    if reason := _refusal(file.spec):
        raise UsageError(f"{path.name} {reason}: int8 wants an fp32 file that gives a picture for a frame")
    frames = [_sized(frame, file) for frame in trial_frames(data)]
    with TemporaryDirectory(prefix="edgerecon-int8-") as folder:
        search = _Search(file, frames, Path(folder), progress)
        candidate, rms, kept = search.first_that_passes()
        ms = _timed(path, candidate, frames[0], progress)
        both = ms["int8"].keys() & ms["fp32"].keys()
        best = {name: min((ms[name][runtime] for runtime in both), default=math.inf) for name in ms}
        if not both or best["int8"] > _FASTER * best["fp32"]:
            raise GateError(
                f"int8 takes {best['int8']:.2f} ms for a frame here and fp32 {best['fp32']:.2f} ms: it is not written, "
                "keep the fp32 file"
            )
        target = sibling((out or path.parent) / path.name, variant("int8"))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgereconError(f"cannot write {target}: {error.strerror or error}") from None
        write(target, candidate.read_bytes())
    return Quantised(target, rms, len(search.layers), kept, ms)


def _refusal(spec: ModelSpec) -> str:
    """Why a file is not quantised; empty where it is."""
    if spec.precision != "fp32":
        return f"is {spec.precision}"
    if spec.state_channels:
        return "is recurrent"
    return "" if spec.makes_images else "gives a map or scores"


class _Search:
    """Quantises with some layers left in float, and measures what it costs."""

    def __init__(self, file: ModelFile, frames: Sequence[Image], folder: Path, progress: Progress) -> None:
        self._file, self._frames, self._folder, self._progress = file, frames, folder, progress
        model = _scaled_by_channel(file)
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"{node.op_type}_{number}"
        self._named = folder / "named.onnx"
        self._named.write_bytes(model.SerializeToString())
        self.layers = [node.name for node in model.graph.node if node.op_type in _LAYERS]
        with closing(open_engine(file.path, "onnxruntime")) as engine:
            self._expected = [np.array(engine.run(frame)) for frame in frames]

    def first_that_passes(self) -> tuple[Path, float, tuple[str, ...]]:
        """The file with the fewest layers in float that is good enough, how far off it is, and those layers."""
        candidate, rms = self._measured(self.layers)
        if rms <= GREATEST_RMS:
            return candidate, rms, ()
        alone = {}
        for done, layer in enumerate(self.layers):
            self._progress("quality of each layer", done, len(self.layers))
            alone[layer] = self._measured([layer])[1]
        costly = sorted(self.layers, key=lambda layer: -alone[layer])
        count = 1
        while count < len(costly):
            left = [layer for layer in self.layers if layer not in costly[:count]]
            candidate, rms = self._measured(left)
            if rms <= GREATEST_RMS:
                return candidate, rms, tuple(costly[:count])
            count *= 2
        raise GateError(
            f"int8 is {rms * 255:.1f} grey levels RMS off with {count // 2} of {len(costly)} layers in float, allowed "
            f"is {GREATEST_RMS * 255:.1f}: keep the fp32 file, or give --data like the training data"
        )

    def _measured(self, layers: Sequence[str]) -> tuple[Path, float]:
        """The file with only these layers in int8, and how far its pictures are off, RMS."""
        target = self._folder / f"{self._file.spec.name}-int8.onnx"
        _quantise(self._named, target, self._frames, layers, self._file)
        try:
            engine = open_engine(target, "onnxruntime")
        except ModelError as error:
            raise _unfit(self._file, str(error).removeprefix(f"{target} is corrupt: ")) from None
        with closing(engine):
            found = [np.array(engine.run(frame)) for frame in self._frames]
        squares = [np.mean((a - b) ** 2) for a, b in zip(found, self._expected, strict=True)]
        return target, float(np.sqrt(np.mean(squares)))


def _scaled_by_channel(file: ModelFile) -> ModelProto:
    """Its graph, in an opset whose weights may have one scale a channel."""
    model = ModelProto.FromString(file.content)
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 1)
    if opset >= _OLDEST_OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, _OLDEST_OPSET)
    except Exception as error:  # noqa: BLE001 - the converter raises RuntimeError and its own kinds
        raise _unfit(file, first_line(error)) from None


def _unfit(file: ModelFile, why: str) -> GateError:
    return GateError(f"{file.path.name} cannot be quantised ({why}): keep the fp32 file")


def _quantise(source: Path, target: Path, frames: Sequence[Image], layers: Sequence[str], file: ModelFile) -> None:
    """Explicit Q/DQ around some layers; weights of 7 bits, which no CPU's 16-bit sums overflow with."""
    with needed("adopt", "onnx"):
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds: Iterator[NDArray[np.float32]] = iter([frame[None, None] for frame in frames])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            frame = next(self._feeds, None)
            return None if frame is None else {INPUT: frame}

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it recommends a step that adopted files do not need
    try:
        quantize_static(
            source,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_quantize=list(layers),
        )
    except Exception as error:  # noqa: BLE001 - its passes raise what they meet
        raise _unfit(file, first_line(error)) from None
    finally:
        root.setLevel(level)
    model = onnx.load(target)
    props = {prop.key: prop.value for prop in ModelProto.FromString(file.content).metadata_props}
    props |= {PREFIX + "precision": "int8", PREFIX + "form": "unsigned", PREFIX + "quality": json.dumps({})}
    onnx.helper.set_model_props(model, props)
    target.write_bytes(model.SerializeToString(deterministic=True))


def _timed(parent: Path, candidate: Path, frame: Image, progress: Progress) -> dict[str, dict[str, float]]:
    """Median time of a frame, ms: "fp32" and "int8" → runtime → time; all of them side by side."""
    with ExitStack() as stack:
        runs: dict[str, Callable[[], Any]] = {}
        for name, path in (("fp32", parent), ("int8", candidate)):
            for backend in (one.name for one in backends().values() if one.kind == "cpu" and one.available):
                try:
                    engine = stack.enter_context(closing(open_engine(path, backend)))
                    out = np.array(engine.run(frame))
                except EdgereconError:
                    continue
                runs[f"{name} {backend}"] = lambda engine=engine, out=out: engine.run(frame, out)  # type: ignore[misc]
        times = interleave(runs, seconds=_SECONDS, at_most=200, on_round=lambda done, of: progress("timing", done, of))
    found: dict[str, dict[str, float]] = {"fp32": {}, "int8": {}}
    for key, one in times.items():
        name, backend = key.split(" ")
        found[name][backend] = float(one.summary()["p50"])
    return found


def _sized(frame: Image, file: ModelFile) -> Image:
    """A frame of the size that the graph takes, or of a usual one."""
    multiple = file.spec.size_multiple
    rows, columns = file.spec.tile or (length // multiple * multiple for length in _SIZE)
    return centre_crop(frame, (rows, columns))
