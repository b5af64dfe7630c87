"""Integer network → C++ for Vitis HLS: the top function and its weights beside the templates that they are made of.

What is written is data and wiring only; the arithmetic stands in kernels/hls/. That it is the function of the integer
reference is tested by vectors, not by construction.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.shipped import resource_dir
from edgerecon.fpga.budget import Fold, Plan, max_columns, power_of_two, residual_depth
from edgerecon.fpga.integer_ir import CELL, CELL_CHANNELS, IntegerLayer, IntegerNetwork

TOP = "compact_top"
_SYNTHESISED = ("stream.h", "cell.h", "window.h", "convolve.h", "shuffle.h")
_AROUND = {"testbench": "testbench.cpp", "host": "host.cpp"}
_LINE = 110


def cpp_sources(network: IntegerNetwork, plan: Plan, around: str = "testbench") -> dict[str, str]:
    """File name → text of everything that a C++ compiler needs.

    Args:
        around: what calls the top function: "testbench" for golden vectors, "host" for the engine.

    Raises:
        FileNotFoundError: see ``resource_dir``.
    """
    names = (*_SYNTHESISED, _AROUND[around])
    files = {name: (source_folder() / name).read_text(encoding="utf-8") for name in names}
    files["weights.h"] = weights_header(network, plan)
    files[f"{TOP}.h"] = _HEADER.format(name=network.name, width=CELL * max_columns(network), top=TOP)
    files[f"{TOP}.cpp"] = top_function(network)
    return files


def source_folder() -> Path:
    """kernels/hls/."""
    return resource_dir("kernels") / "hls"


def weights_header(network: IntegerNetwork, plan: Plan) -> str:
    """One struct a layer, as ``convolve.h`` wants it."""
    pairs = zip(network.layers, plan.folds, strict=True)
    layers = "".join(_layer(number, layer, fold) for number, (layer, fold) in enumerate(pairs, 1))
    return f"// Weights of {network.name}, written by edgerecon.\n#pragma once\n\n#include <cstdint>\n{layers}"


def _layer(number: int, layer: IntegerLayer, fold: Fold) -> str:
    groups = (layer.outputs // fold.out_step, fold.out_step, layer.inputs // fold.in_step, fold.in_step, 9)
    used = layer.weight.reshape(groups).transpose(0, 2, 1, 4, 3)  # fold (outputs, inputs), channel, tap, input
    return _LAYER.format(
        number=number,
        inputs=layer.inputs,
        outputs=layer.outputs,
        dilation=layer.dilation,
        in_step=fold.in_step,
        out_step=fold.out_step,
        weights=_numbers(used),
        biases=_numbers(layer.bias),
        shifts=_numbers(layer.shift),
    )


def _numbers(values: NDArray[np.integer]) -> str:
    """Comma-separated, in lines of a readable length."""
    lines = [""]
    for value in values.ravel().tolist():
        if len(lines[-1]) > _LINE:
            lines.append("")
        lines[-1] += f"{value}, "
    return "\n        ".join(line.rstrip() for line in lines)


def top_function(network: IntegerNetwork) -> str:
    """unshuffle → convolutions → shuffle, the frame beside them to the last one; all of them run at once."""
    last = len(network.layers)
    row = power_of_two(max_columns(network))
    streams, pragmas, calls = [], [], []
    for number, layer in enumerate(network.layers, 1):
        streams.append(f'    hls::stream<Cell<{layer.outputs}>> s{number}("s{number}");')
        depth = row if number == last else 16
        pragmas.append(f"#pragma HLS STREAM variable = s{number} depth = {depth}")
        ends = f"s{number - 1}, way, s{number}" if number == last else f"s{number - 1}, s{number}"
        calls.append(f"    convolve<Layer{number}, MAX_COLUMNS>({ends}, rows, columns);")
    return _TOP.format(
        name=network.name,
        top=TOP,
        cell=CELL,
        channels=CELL_CHANNELS,
        row=row,
        residual=residual_depth(network),
        streams="\n".join(streams),
        pragmas="\n".join(pragmas),
        calls="\n".join(calls),
        last=last,
    )


_LAYER = """
struct Layer{number} {{
    static constexpr int IN = {inputs}, OUT = {outputs}, DILATION = {dilation};
    static constexpr int IN_STEP = {in_step}, OUT_STEP = {out_step};
    static constexpr int8_t WEIGHTS[(OUT / OUT_STEP) * (IN / IN_STEP)][OUT_STEP][9 * IN_STEP] = {{
        {weights}
    }};
    static constexpr int32_t BIASES[OUT] = {{
        {biases}
    }};
    static constexpr uint8_t SHIFTS[OUT] = {{
        {shifts}
    }};
}};
"""

_HEADER = """// {name} as a stream of pixels, written by edgerecon.
#pragma once

#include "shuffle.h"

constexpr int MAX_WIDTH = {width};  // of a frame, in pixels: the line buffers end there
constexpr int MAX_COLUMNS = MAX_WIDTH / CELL;

// One frame of height × width pixels, 1 to 65535 rows and 1 to MAX_WIDTH columns.
void {top}(hls::stream<Beat>& in, hls::stream<Beat>& out, uint16_t height, uint16_t width);
"""

_TOP = """// {name} as a stream of pixels, written by edgerecon. All stages run at once, each on its part of a frame.
#include "{top}.h"

#include "convolve.h"
#include "weights.h"

void {top}(hls::stream<Beat>& in, hls::stream<Beat>& out, uint16_t height, uint16_t width) {{
#pragma HLS INTERFACE axis port = in
#pragma HLS INTERFACE axis port = out
#pragma HLS INTERFACE s_axilite port = height
#pragma HLS INTERFACE s_axilite port = width
#pragma HLS INTERFACE s_axilite port = return
#pragma HLS DATAFLOW
    const int rows = (height + 1) / CELL, columns = (width + 1) / CELL;
    hls::stream<Cell<CELL_CHANNELS>> s0("s0"), way("way");
{streams}
    // The cells of a row come in half of its time, and go out in half of it: these queues spread them.
#pragma HLS STREAM variable = s0 depth = {row}
{pragmas}
    // The frame's own way is as long as all layers together are behind; a shorter one would stop the stream for good.
#pragma HLS STREAM variable = way depth = {residual}
    unshuffle<MAX_COLUMNS>(in, s0, way, height, width);
{calls}
    shuffle<MAX_COLUMNS>(s{last}, out, height, width);
}}
"""
