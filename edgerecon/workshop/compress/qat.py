"""Quantisation-aware fine-tuning: what to do when quantisation after training misses a gate.

The fp32 file's own graph runs in torch with every rounding of ``quantise`` in its place and gradients that pass
straight through it (Bengio et al., arXiv:1308.3432; Jacob et al., CVPR 2018), cut off where a value leaves its range.
The steps of the activations are trained along, as logarithms (Jain et al., MLSys 2020); the po2 form rounds these to
whole numbers, again straight through. Because the graph, the plan and the grids are those of the file, pruned networks
need nothing of their own, and ``quantise`` on the result, without moments, gives the network that was trained.

The target is the fp32 network's output, not the clean image (distillation: Mishra & Marr, ICLR 2018): the gates compare
with the fp32 file too, and what it learnt from long training with augmentation is not put at risk by a short one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgerecon.core.errors import EdgereconError, UsageError
from edgerecon.engines.pytorch.operators import OPERATORS
from edgerecon.workshop.compress import graph as g
from edgerecon.workshop.compress.calibration import Calibration, Range, Ranges
from edgerecon.workshop.compress.graph import ModelProto, NodeProto, onnx
from edgerecon.workshop.compress.quantise import (
    WEIGHT_LIMIT,
    Form,
    Grid,
    grids_of,
    integer_weights,
    plan,
    weight_scales,
)
from edgerecon.workshop.data.datasets import training_data
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.recipe_tables import LossTable
from edgerecon.workshop.train.loop import schedule
from edgerecon.workshop.train.losses import ReconstructionLoss

RATE: dict[Form, float] = {"unsigned": 0.03, "signed": 0.03, "po2": 0.1}
"""Learning rate over that of the recipe's training: the weights start where quantisation after training left them.

Steps that are powers of two leave more to be learnt.
"""
STEP_RATE = 1.0
"""The same for the logarithms of the activations' steps."""
VALIDATIONS = 10
VALIDATION_FRAMES = 16


def fine_tune(
    model: bytes | ModelProto,
    calibration: Calibration,
    ranges: Mapping[str, Range],
    recipe: Recipe,
    *,
    form: Form,
    keep: Collection[str] = (),
    steps: int | None = None,
    data: Path | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> tuple[ModelProto, Ranges]:
    """Adapt the weights of an fp32 file to int8; keeps the state that is nearest to the fp32 network on unseen scenes.

    The state before the first step counts too, so the result is no worse there than quantisation after training.

    Args:
        model, ranges, form, keep: as ``quantise`` takes them. calibration: of the model.
        steps: default: the recipe's ``targets.qat_steps``. data: HDF5 pairs; default: the recipe's file.
        on_step: called with (steps done, loss).

    Returns:
        The fp32 file with other weights, and ranges, both for ``quantise`` with the same form and keep but no moments.

    Raises:
        UsageError: an operator that this file cannot run; see also ``quantise``. DataError: see ``load_pairs``.
        EdgereconError: the loss became NaN or infinite.
    """
    table = recipe.train.model_copy(update={"steps": steps or recipe.targets.qat_steps, "warmup": 0})
    sampler, held_out = training_data(recipe, table, data)
    teacher = GraphModule(g.load(model)).requires_grad_(False)
    student = RoundedModule(g.load(model), ranges, form, keep)
    student.start_from(calibration.moments)
    loss_of = ReconstructionLoss(LossTable(edge=0))
    groups = [
        {"params": list(student.values), "rate": RATE[form]},
        {"params": list(student.log_scales), "rate": STEP_RATE},
    ]
    optimizer = torch.optim.Adam(groups)
    unseen = torch.from_numpy(held_out.fields[recipe.data.inputs[0]][:VALIDATION_FRAMES])[:, None].float() / 255

    def distance() -> float:
        with torch.no_grad():
            return float(loss_of(student(unseen), teacher(unseen), unseen))

    least, best = distance(), (student.to_onnx(), student.ranges())
    for step in range(table.steps):
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * table.learning_rate * schedule(step, table)
        source = torch.from_numpy(sampler.draw()[0])
        loss = loss_of(student(source), teacher(source), source)
        if not math.isfinite(value := loss.item()):
            raise EdgereconError(f"fine-tuning diverged at step {step} (non-finite loss): lower train.learning_rate")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), table.clip)
        optimizer.step()
        student.hold_steps()
        last = step + 1 == table.steps
        if (last or (step + 1) % max(1, table.steps // VALIDATIONS) == 0) and (now := distance()) < least:
            least, best = now, (student.to_onnx(), student.ranges())
        if on_step:
            on_step(step + 1, value)
    return best


class GraphModule(nn.Module):
    """An ONNX graph of one input and one output, in torch; its float constants are the parameters.

    Raises:
        UsageError: an operator that is not in ``engines.torch_operators``.
    """

    def __init__(self, model: ModelProto) -> None:
        super().__init__()
        self.model = model
        if unknown := sorted({node.op_type for node in model.graph.node} - set(OPERATORS)):
            raise UsageError(f"quantisation-aware fine-tuning cannot run the operator {unknown[0]}: set qat_steps to 0")
        self._places: dict[str, int] = {}
        self.values = nn.ParameterList()
        for name, value in g.constants(model.graph).items():
            self._places[name] = len(self.values)
            constant = torch.from_numpy(value.copy())
            if constant.ndim == 4:  # the weights' layout decides that of the images; faster, see models.compact
                constant = constant.contiguous(memory_format=torch.channels_last)
            self.values.append(nn.Parameter(constant, requires_grad=constant.is_floating_point()))
        self._steps = [(node, OPERATORS[node.op_type], _attributes(node)) for node in model.graph.node]

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) → what the file gives for it; H and W in multiples of its ``size_multiple``."""
        graph = self.model.graph
        made = {graph.input[0].name: x}
        for node, operator, attributes in self._steps:
            inputs = [self.value(name) if name in self._places else made.get(name) for name in node.input]
            made[node.output[0]] = operator(attributes, *self.inputs(node, inputs))
        return made[graph.output[0].name]

    def value(self, name: str) -> Tensor:
        """A constant of the graph, by its name there."""
        return self.values[self._places[name]]

    def inputs(self, node: NodeProto, inputs: list[Any]) -> list[Any]:
        """What a node really computes with; None for an input that is left out."""
        return inputs

    def to_onnx(self) -> ModelProto:
        """The model with the values that the parameters have now."""
        result = g.load(self.model)
        for tensor in result.graph.initializer:
            value = self.value(tensor.name).detach().cpu().numpy()
            tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
        return result


class RoundedModule(GraphModule):
    """The same with all roundings of ``quantise``, whose arguments it takes.

    Differs from ONNX Runtime on the int8 file by the order of float sums alone. That flips a rounding now and then, by
    one level of an activation.
    """

    def __init__(self, model: ModelProto, ranges: Mapping[str, Range], form: Form, keep: Collection[str] = ()) -> None:
        super().__init__(model)
        self.form = form
        self.plan = plan(model, form, keep)
        self.grids = grids_of(model.graph, self.plan, ranges, form)
        self._outermost: dict[str, tuple[Tensor, Tensor]] = {}
        own = {*g.of_input(model.graph), model.graph.output[0].name}  # whose range is the contract of the file
        self.log_scales = nn.ParameterList(
            nn.Parameter(torch.tensor(math.log2(grid.scale)), requires_grad=name not in own)
            for name, grid in self.grids.items()
        )

    def forward(self, x: Tensor) -> Tensor:
        """See ``GraphModule.forward``; rounded, where the form rounds the picture."""
        name = self.model.graph.output[0].name
        picture = super().forward(x)
        return fake_quantise(picture, *self.grid(name)) if name in self.grids else picture

    def grid(self, name: str) -> tuple[Grid, Tensor]:
        """The levels of a tensor as they are now, and their step with its gradient."""
        exponent = self.log_scales[self.plan.tensors.index(name)]
        step = torch.exp2(_round(exponent) if self.form == "po2" else exponent)
        return replace(self.grids[name], scale=np.float32(step.item())), step

    def ranges(self) -> Ranges:
        """Of the rounded tensors, as ``quantise`` takes them."""
        grids = {name: self.grid(name)[0] for name in self.grids}
        return {
            name: (float(grid.scale) * (grid.low - grid.zero), float(grid.scale) * (grid.high - grid.zero))
            for name, grid in grids.items()
        }

    def inputs(self, node: NodeProto, inputs: list[Any]) -> list[Any]:
        """The inputs of a node, rounded to the int8 grid where the plan says so."""
        if node.name in self.plan.floating:
            return inputs
        rounded = [
            fake_quantise(value, *self.grid(name)) if name in self.grids else value
            for name, value in zip(node.input, inputs, strict=True)
        ]
        if node.name in self.plan.convolutions:
            rounded[1:] = self._weights(self.grid(node.input[0])[0], *inputs[1:])
        return rounded

    @torch.no_grad()
    def start_from(self, moments: Mapping[str, NDArray[np.float64]]) -> None:
        """Put the weights and biases where quantisation after training would."""
        values = {name: _array(self.value(name)) for name in self._places}
        for node in self.model.graph.node:
            if node.name in self.plan.convolutions:
                grid = self.grids[node.input[0]]
                whole, scales, bias = integer_weights(node, values, grid, self.form, moments.get(node.name))
                self.value(node.input[1]).copy_(torch.from_numpy(whole * scales[:, None, None, None]))
                if len(node.input) > 2:
                    self.value(node.input[2]).copy_(torch.from_numpy(bias))
                # A power of two does not follow the greatest weight, so that none has to be held.
                outermost = (np.abs(whole) == WEIGHT_LIMIT[self.form]) & (self.form != "po2")
                bound = (scales * WEIGHT_LIMIT[self.form])[:, None, None, None]
                self._outermost[node.input[1]] = (torch.from_numpy(outermost), torch.from_numpy(bound))

    @torch.no_grad()
    def hold_steps(self) -> None:
        """Keep the step of every channel of weights, which its greatest weight sets.

        Where that one may move, all others are rounded anew with it: training then never settles.
        """
        for name, (outermost, bound) in self._outermost.items():
            weight = self.value(name)
            weight.copy_(torch.where(outermost, weight.sign() * bound, weight.clamp(-bound, bound)))

    def _weights(self, grid: Grid, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, ...]:
        bias = torch.zeros(len(weight), device=weight.device) if bias is None else bias
        scales = weight_scales(_array(weight), _array(bias), grid.scale, self.form)
        steps = torch.from_numpy(scales).to(weight)[:, None, None, None]
        limit = WEIGHT_LIMIT[self.form]
        weight = _round(weight / steps).clamp(-limit, limit) * steps
        if self.form != "signed":
            products = torch.from_numpy(scales * grid.scale).to(bias)
            bias = _round(bias / products) * products
        return weight, bias


def fake_quantise(x: Tensor, grid: Grid, step: Tensor) -> Tensor:
    """The nearest level of the grid; the gradient on x is 1 inside the range and 0 beyond.

    The gradient on the step weighs what rounding costs inside the range against what clipping costs beyond.
    """
    return (_round(x / step) + grid.zero).clamp(grid.low, grid.high).sub(grid.zero) * step


def _round(x: Tensor) -> Tensor:
    """Halves to even, as in ONNX; the gradient passes as if nothing happened."""
    return x + (x.round() - x).detach()


def _attributes(node: NodeProto) -> dict[str, Any]:
    values = ((a.name, onnx.helper.get_attribute_value(a)) for a in node.attribute)
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values}


def _array(x: Tensor) -> Any:
    return x.detach().cpu().numpy()
