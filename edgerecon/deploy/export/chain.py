"""``edgerecon export RECIPE``: checkpoint → (pruned) → fp32, fp16 and int8 files → engines, each gated, then shipped.

Everything is made in a work folder. Only when every gate is passed are the files copied to where they ship, so that
what was there before stays untouched by a chain that fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from edgerecon.core.errors import DataError, EdgereconError, GateError
from edgerecon.core.files import write
from edgerecon.deploy.export.card import Figure, precision_table
from edgerecon.deploy.export.export import trace, write_sums
from edgerecon.deploy.export.measure import Material, Measured, material, measure_all, quality
from edgerecon.deploy.export.precisions import make_converted, make_int8, make_int16
from edgerecon.deploy.export.report import REPORT, ExportReport
from edgerecon.deploy.export.speed_gate import slower_than_parent
from edgerecon.deploy.export.steps import Facts, Steps, file_hash
from edgerecon.engines import open_engine
from edgerecon.hardware.host import host_profile
from edgerecon.measure.row import Row
from edgerecon.measure.verdict import best
from edgerecon.modelfile.variants import VARIANTS, variant
from edgerecon.quality.measures.measure import loss_violations, main_measures, picture_violations
from edgerecon.quality.measures.restoration import Restoration, violations
from edgerecon.workshop.compress.quantise import Form
from edgerecon.workshop.recipe import Recipe

Progress = Callable[[str, int, int], None]
LABELS = {
    "validation_psnr_db": "PSNR, validation scenes (dB)",
    "validation_ssim": "SSIM, validation scenes",
    "sample_gcnr": "gCNR, built-in cine",
}
"""Figures that every file of a recipe has, measured alike."""


@dataclass
class Chain:
    """One run over a recipe. ``out``: folder to ship to. ``work``: folder for everything on the way.

    ``timing_s``: about how long all engines together are timed.
    """

    recipe: Recipe
    checkpoint: Path
    out: Path
    work: Path
    recipe_name: str
    figures: Sequence[Figure] = ()
    timing_s: float = 15.0
    on_step: Callable[[str, str], None] = lambda name, state: None
    on_progress: Progress = lambda what, done, total: None
    report: ExportReport = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.recipe.model.name
        self.report = ExportReport(self.recipe_name, self.recipe.sha256(), self.name)
        self.steps = Steps(self.work, self._step)
        self.weights = self.checkpoint

    def run(self) -> ExportReport:
        """Make, measure, gate and ship.

        Raises:
            GateError: a gate refused; the report says by how much and nothing was shipped. DataError: missing weights,
            training or calibration data. EdgereconError: see the steps; a folder cannot be written.
        """
        self._require_data()
        try:
            self._prune()
            frames = material(self.recipe)
            self._fp32(frames)
            files = [self._path(""), *self._derived(frames)]
            self.report.engines = self._engines()
            measured = self._measure(files, frames)
            self.report.rows = [self._gated(one, measured[0]) for one in measured]
            self._latency_gate()
            if not self.report.refusals:
                self.report.left_out = slower_than_parent(self.report.rows, self.name)
                self._ship([path for path in files if path.stem not in self.report.left_out])
        except GateError as error:
            self.report.refusals.append(str(error))
        self.report.write(self.work)
        if self.report.refusals:
            more = f" (and {len(self.report.refusals) - 1} more)" if len(self.report.refusals) > 1 else ""
            raise GateError(f"nothing shipped: {self.report.refusals[0]}{more}; see {self.work / REPORT}")
        return self.report

    def _require_data(self) -> None:
        """Before the work, not after half of it."""
        recipe = self.recipe
        for path in (recipe.data.file, recipe.calibration.file):
            if recipe.targets.precisions and path is not None and not path.exists():
                made = f", made by  {recipe.data.simulate}" if recipe.data.simulate else ""
                raise DataError(f"{path} does not exist: calibration and gates need it{made}")

    def _step(self, name: str, state: str) -> None:
        self.report.steps[name] = state
        self.on_step(name, state)

    def _path(self, suffix: str) -> Path:
        return self.work / f"{self.name}{suffix}.onnx"

    def _table(self, *names: str) -> dict[str, Any]:
        """The recipe's tables that a step depends on."""
        return {name: getattr(self.recipe, name).model_dump(mode="json") for name in names}

    def _prune(self) -> None:
        if not self.recipe.prune.ratio:
            return
        from edgerecon.workshop.compress.pruned import prune_recipe
        from edgerecon.workshop.train.checkpoint import load_checkpoint

        if done := load_checkpoint(self.checkpoint).get("pruning"):  # it ships as pruning left it
            self.report.pruning = _pruning_facts(done)
            return
        self.weights = self.work / "pruned.pt"

        def work() -> Facts:
            report = prune_recipe(
                self.recipe,
                self.checkpoint,
                self.weights,
                on_step=lambda p: self.on_progress("pruning and fine-tuning", p.step, p.steps),
            )
            return _pruning_facts(report.to_json())

        inputs = {
            "weights": file_hash(self.checkpoint),
            "data": file_hash(self.recipe.data.file),
            **self._table("model", "data", "augment", "train", "prune"),
        }
        self.report.pruning = self.steps.run("prune", inputs, ["pruned.pt"], work)

    def _fp32(self, frames: Material) -> None:
        def work() -> Facts:
            target = self._path("")
            made = trace(self.recipe, self.weights, self.recipe_name)
            made.write(target, self.figures)
            with closing(open_engine(target, "onnxruntime")) as engine:
                measured = quality(engine.run, frames)
            command = f"edgerecon export {self.recipe_name}"
            own = [
                Figure(key, LABELS[key], round(value, 4), command)
                for key, value in measured.items()
                if math.isfinite(value)
            ]
            made.write(target, (*self.figures, *own))
            return {"max_abs_error": made.max_abs_error}

        inputs = {
            "weights": file_hash(self.weights),
            "recipe": self.recipe.sha256(),
            "name": self.recipe_name,
            "figures": [asdict(figure) for figure in self.figures],
            "data": file_hash(self.recipe.data.file),
        }
        self.steps.run("fp32", inputs, [f"{self.name}.onnx", f"{self.name}.md"], work)

    def _derived(self, frames: Material) -> Iterator[Path]:
        """fp16, bf16, int8, po2 and int16 files, as [targets] asks."""
        source, targets = self._path(""), self.recipe.targets
        inputs = {"fp32": file_hash(source), "data": file_hash(self.recipe.data.file), **self._table("gates")}
        for kind in VARIANTS:
            if kind.convert and kind.key in targets.precisions:
                out = self._path(kind.suffix)
                work = partial(make_converted, kind, self.recipe, source, out, frames)
                self.steps.run(kind.key, inputs, [out.name], work)
                yield out
        file = self.recipe.calibration.file
        seen = inputs | {
            "calibration": file and file_hash(file),
            **self._table("calibration", "data", "augment", "train"),
        }
        if "int16" in targets.precisions:
            out = self._path(variant("int16").suffix)
            self.steps.run(
                "int16", seen, [out.name], lambda: make_int16(self.recipe, source, out, frames, self.on_progress)
            )
            yield out
        outputs: dict[Form, Path] = {
            one.form: self._path(one.suffix)  # type: ignore[misc]
            for one in VARIANTS
            if one.precision == "int8" and ("po2" if one.form == "po2" else "int8") in targets.precisions
        }
        if outputs:
            facts = self.steps.run(
                "int8",
                seen | {"qat_steps": targets.qat_steps},
                [path.name for path in outputs.values()],
                lambda: make_int8(self.recipe, source, outputs, frames, self.on_progress),
            )
            self.report.int8 = facts
            yield from outputs.values()

    def _engines(self) -> dict[str, str]:
        """One engine for each device and file; why there is none, where it cannot be built here."""
        if not self.recipe.targets.devices:
            return {}
        from edgerecon.deploy.export.device_engines import build_for

        return {
            device: build_for(device, self.work, self.name, self.recipe.shapes)
            for device in self.recipe.targets.devices
        }

    def _measure(self, files: list[Path], frames: Material) -> list[Measured]:
        shape, gates = self.recipe.shapes.timed, self.recipe.gates
        measured = sorted({*gates.picture, *(main_measures() if gates.max_measure_loss else ())})

        def work() -> Facts:
            found = measure_all(
                files,
                frames,
                shape,
                self.recipe.targets.backends,
                self.timing_s,
                self.on_progress,
                measured,
            )
            return {"rows": [asdict(one) | {"row": one.row.to_json()} for one in found]}

        host = {key: value for key, value in host_profile().items() if key in ("cpu", "cores_logical", "packages")}
        inputs = {
            "files": {path.name: file_hash(path) for path in files},
            "shape": shape,
            "host": host,
            "data": file_hash(self.recipe.data.file),
            "seconds": self.timing_s,
            "picture": measured,
            "backends": self.recipe.targets.backends,
        }
        rows = self.steps.run("measure", inputs, [], work)["rows"]
        return [_measured(row) for row in rows]

    def _gated(self, one: Measured, reference: Measured) -> Row:
        """The row with the verdict of its gates; what an engine here lacks the means to run refuses nothing."""
        row, gates = one.row, self.recipe.gates
        if not row.ok:
            return row
        if one.picture:
            self.report.picture[f"{row.setup.model}, {row.name}"] = one.picture
        found = picture_violations(one.picture, gates.picture)
        if one.restoration is None:
            pass
        elif row.setup.precision == "fp32":
            wrong = row.quality.max_abs_error > gates.max_abs_error
            limit = f"differs by {row.quality.max_abs_error:.2g}, allowed is {gates.max_abs_error:.2g}"
            found += [limit] if wrong else []
        else:
            found += violations(one.restoration, gates)
            found += loss_violations(one.picture, reference.picture, gates.max_measure_loss)
        if not found:
            return row
        self.report.refusals += [f"{row.setup.model} on {row.setup.backend}: {reason}" for reason in found]
        return replace(row, status="; ".join(found))

    def _latency_gate(self) -> None:
        limit, fastest = self.recipe.gates.max_latency_ms, best(self.report.rows)
        if limit is None or fastest is None or fastest.speed.latency_ms["p99"] <= limit:
            return
        p99 = fastest.speed.latency_ms["p99"]
        self.report.refusals.append(
            f"p99 of the fastest, {fastest.name}, is {p99:.1f} ms, allowed is {limit:g}: {p99 - limit:.1f} ms too much"
        )

    def _ship(self, measured: Sequence[Path]) -> None:
        """Copy the files that this run measured, whole and under their final names; what else lies there stays."""
        card = self.work / f"{self.name}.md"
        text = card.read_text(encoding="utf-8")
        ways = {
            f"{self.name}{one.suffix}.onnx": self.report.int8[one.form]
            for one in VARIANTS
            if one.form in self.report.int8
        }
        text = text.replace(
            "\n## Limits", f"\n{precision_table(self.report.rows, self.recipe_name, ways)}\n## Limits", 1
        )
        files = {path.name: path.read_bytes() for path in measured}
        files |= {card.name: text.encode(), f"{self.name}.pt": self.weights.read_bytes()}
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgereconError(f"cannot write {self.out}: {error.strerror or error}") from None
        for name, content in files.items():
            write(self.out / name, content)
        write_sums(self.out)
        self.report.shipped = sorted(files)


def _measured(plain: dict[str, Any]) -> Measured:
    found = plain["restoration"]
    return Measured(Row.from_json(plain["row"]), Restoration(**found) if found else None, plain["picture"])


def _pruning_facts(report: Facts) -> Facts:
    """Of ``PruneReport.to_json``: what the export report shows."""
    first, last = report["steps"][0], report["steps"][-1]
    return {
        "macs_before": first["macs"],
        "macs_after": last["macs"],
        "macs_left": last["macs_left"],
        "parameters_before": first["parameters"],
        "parameters_after": last["parameters"],
        "channels_after": list(last["channels"]),
    }
