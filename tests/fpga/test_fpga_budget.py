"""Folding and its cost: against the published figures, the open synthesis, and arithmetic done another way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.fpga_tools import cells_cost, find_tools, within
from edgerecon.core.errors import GateError
from edgerecon.fpga.budget import Cost, Fold, block_rams, fit_plan, plan_of, plans, residual_depth
from edgerecon.fpga.integer_ir import IntegerLayer, IntegerNetwork
from edgerecon.fpga.rtl import module_folder, rounding_words, top_module, weight_words, write_rtl
from edgerecon.hardware.device import Fpga, load_device

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "fpga.json"


def network(hidden: int = 8, dilations: tuple[int, ...] = (1, 2, 3, 3, 2, 1), width: int = 1920) -> IntegerNetwork:
    rng = np.random.default_rng(1)
    ends = [4, *[hidden] * (len(dilations) - 1), 4]
    layers = []
    for number, dilation in enumerate(dilations):
        weight = rng.integers(-128, 128, (ends[number + 1], ends[number], 3, 3)).astype(np.int8)
        bias, shift = rng.integers(-20000, 60000, len(weight)), rng.integers(0, 17, len(weight))
        layers.append(IntegerLayer(f"l{number}", weight, bias.astype(np.int32), shift.astype(np.int32), dilation, -8))
    return IntegerNetwork("random", tuple(layers), width)


def part(name: str) -> Fpga:
    found = load_device(name).fpga
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("board", "cycles", "dsp"), [("pynq-z2", 3, 220), ("zcu104", 1, 1000), ("kria-kv260", 1, 1248)]
)
def test_boards_reach_the_figures(board: str, cycles: float, dsp: int) -> None:
    plan = fit_plan(network(), part(board), board)
    assert plan.cycles_per_pixel <= cycles
    assert plan.cost.dsp <= dsp
    if board == "zcu104":
        assert plan.frames_per_second(512, 512) >= 550


def test_the_first_pixel_leaves_within_five_rows_a_layer() -> None:
    plan = fit_plan(network(), part("zcu104"), "zcu104")
    assert plan.first_output_cycles(512) <= 5 * 512 * len(plan.folds)


def test_faster_plans_come_first_and_have_more_multipliers() -> None:
    made = list(plans(network(), packed=True))
    assert [plan.interval for plan in made] == sorted({plan.interval for plan in made})
    assert [plan.cost.dsp for plan in made] == sorted((plan.cost.dsp for plan in made), reverse=True)


def test_every_product_of_a_cell_has_its_cycle() -> None:
    made = network()
    for plan in plans(made, packed=False):
        for layer, fold in zip(made.layers, plan.folds, strict=True):
            cycles = layer.inputs // fold.in_step * (layer.outputs // fold.out_step)
            assert cycles * 9 * fold.in_step * fold.out_step == layer.macs
            assert cycles <= max(2, plan.interval)


def test_channels_that_do_not_fold_are_named() -> None:
    made = network(hidden=6, dilations=(1, 1))
    with pytest.raises(GateError, match=r"layer 2 \('l1'\) has 6 channels in .* steps of 4 and 2"):
        plan_of(made, (Fold(4, 2), Fold(4, 2)), packed=True)


def test_a_part_that_is_too_small_hears_what_is_missing() -> None:
    with pytest.raises(GateError, match=r"does not fit tiny: folded to .* 36-kbit block RAMs of 2"):
        fit_plan(network(), Fpga(lut=200000, bram36=2, dsp=100, dsp_products=2), "tiny")


def test_a_part_without_multipliers_gets_the_form_without_them() -> None:
    plan = fit_plan(network(), replace(part("zcu104"), dsp=1), "zcu104-without")
    assert plan.distributed
    assert plan.cost.dsp == 0
    assert plan.cycles_per_pixel == 2
    assert "DISTRIBUTED(1)" in top_module(network(), plan)


def test_weight_words_hold_each_weight_where_the_module_looks() -> None:
    layer, fold = network().layers[1], Fold(4, 2)
    words = [bytes.fromhex(word)[::-1] for word in weight_words(layer, fold).split()]
    groups = layer.inputs // fold.in_step
    for out, channel, tap in np.ndindex(layer.outputs, layer.inputs, 9):
        word = words[out // fold.out_step * groups + channel // fold.in_step]
        byte = word[(out % fold.out_step * 9 + tap) * fold.in_step + channel % fold.in_step]
        assert np.uint8(byte).astype(np.int8) == layer.weight[out, channel, tap // 3, tap % 3]


def test_rounding_words_hold_bias_and_shift() -> None:
    layer = network().layers[2]
    for number, word in enumerate(rounding_words(layer, Fold(8, 2)).split()):
        for place in range(2):
            entry = int(word, 16) >> 30 * place & (1 << 30) - 1
            bias = entry & (1 << 25) - 1
            assert (bias - (1 << 25) if bias >> 24 else bias, entry >> 25) == (
                layer.bias[2 * number + place],
                layer.shift[2 * number + place],
            )


def test_the_frame_waits_for_all_layers() -> None:
    made = network(width=512)
    assert residual_depth(made) >= sum(layer.dilation * 257 for layer in made.layers) + 6 * 17
    assert residual_depth(made) & (residual_depth(made) - 1) == 0


@pytest.mark.parametrize(
    ("width", "depth", "blocks"), [(72, 512, 1), (36, 512, 0.5), (128, 960, 4), (128, 64, 0), (9, 4096, 1)]
)
def test_block_rams_of_a_memory(width: int, depth: int, blocks: float) -> None:
    assert block_rams(width, depth) == blocks


def test_what_is_written_names_only_files_that_are_there(tmp_path: Path) -> None:
    made = network()
    names = {path.name for path in write_rtl(made, fit_plan(made, part("pynq-z2"), "pynq-z2"), tmp_path)}
    assert {path.name for path in tmp_path.iterdir()} == names
    top = (tmp_path / "compact_stream.sv").read_text()
    assert all(f'"layer{number}_{kind}.mem"' in top for number in range(1, 7) for kind in ("weights", "rounding"))
    assert {path.name for path in module_folder().glob("*.sv")} < names


def test_cells_of_a_synthesis_become_resources() -> None:
    cells = {
        "LUT2": 10,
        "LUT6": 5,
        "SRL16E": 2,
        "RAM32M": 1,
        "FDRE": 7,
        "DSP48E1": 3,
        "RAMB18E1": 3,
        "RAMB36E1": 1,
        "CARRY4": 9,
    }
    assert cells_cost(cells) == Cost(3, 2.5, 21, 7)


def test_a_budget_that_is_exceeded_names_the_resource() -> None:
    with pytest.raises(GateError, match="board takes 21 lut, and its budget is 20"):
        within(Cost(1, 1.0, 21, 1), {"dsp": 1, "bram36": 1, "lut": 20, "ff": 1}, "board")


def test_tools_that_are_not_there_are_not_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGERECON_FPGA_TOOLS", str(tmp_path))
    assert find_tools() is None


@pytest.mark.skipif(not RESULTS.is_file(), reason="make fpga has not been run")
def test_estimates_are_near_what_yosys_made() -> None:
    for board, row in json.loads(RESULTS.read_text())["boards"].items():
        cost = fit_plan(network(), part(board), board).cost
        assert cost.dsp == row["measured"]["dsp"]
        outside = 91 * cost.dsp if row["family"] == "xcup" else 0  # registers that Yosys does not put into a DSP48E2
        row["measured"]["ff"] -= outside
        for key in ("bram36", "lut", "ff"):
            assert getattr(cost, key) == pytest.approx(row["measured"][key], rel=0.15), (board, key)
