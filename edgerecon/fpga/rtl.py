"""Integer network → SystemVerilog: a top module with its memory files beside the parametric modules that it is made of.

What is written is data and wiring only; the arithmetic stands in kernels/hls/rtl/. That it is the function of the
integer reference is tested by vectors (make fpga), not by construction.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgerecon.core.files import write
from edgerecon.core.shipped import resource_dir
from edgerecon.fpga.budget import QUEUE, Fold, Plan, max_columns, power_of_two, residual_depth
from edgerecon.fpga.integer_ir import CELL_CHANNELS, IntegerLayer, IntegerNetwork

TOP = "compact_stream"
"""Name of the top module: AXI4-Stream in and out, 8 bits a beat."""
SUM_BITS = 25
"""The width of the accumulators in bits: sums stay below 2^24 (integer_ir)."""


def write_rtl(network: IntegerNetwork, plan: Plan, folder: Path) -> list[Path]:
    """The top module, the memory files and copies of the modules that it needs, ready for synthesis or simulation.

    The memory files are named without a folder: run the tools in ``folder``, or add them to the project.

    Args:
        folder: exists.

    Returns:
        The files written.

    Raises:
        EdgereconError: the folder cannot be written.
    """
    contents = {path.name: path.read_text(encoding="utf-8") for path in sorted(module_folder().glob("*.sv"))}
    contents[f"{TOP}.sv"] = top_module(network, plan)
    for number, (layer, fold) in enumerate(zip(network.layers, plan.folds, strict=True), 1):
        contents[f"layer{number}_weights.mem"] = weight_words(layer, fold)
        contents[f"layer{number}_rounding.mem"] = rounding_words(layer, fold)
    for name, text in contents.items():
        write(folder / name, text.encode())
    return [folder / name for name in contents]


def module_folder() -> Path:
    """Where the parametric modules are."""
    return resource_dir("kernels") / "hls" / "rtl"


def weight_words(layer: IntegerLayer, fold: Fold) -> str:
    """One hexadecimal word a cycle of the fold: weight i of tap t of channel o is byte (o·9 + t)·in_step + i.

    Input groups change fastest, so that the sum of a group of outputs is complete before the next one begins.
    """
    taps = layer.weight.reshape(layer.outputs, layer.inputs, 9).transpose(0, 2, 1)  # out, tap, in
    words = []
    for out in range(0, layer.outputs, fold.out_step):
        for first in range(0, layer.inputs, fold.in_step):
            group = taps[out : out + fold.out_step, :, first : first + fold.in_step]
            words.append(np.ascontiguousarray(group).tobytes()[::-1].hex())
    return "\n".join(words) + "\n"


def _constants(layer: IntegerLayer) -> str:
    """Weights as a parameter: all of them are one word of ``weight_words``."""
    word = weight_words(layer, Fold(layer.inputs, layer.outputs)).strip()
    return f"\n        .DISTRIBUTED(1), .CONSTANTS({8 * layer.weight.size}'h{word}),"


def rounding_words(layer: IntegerLayer, fold: Fold) -> str:
    """One word a group of outputs: for each channel 25 bits of bias and, above them, 5 of shift."""
    entries = [
        int(shift) << SUM_BITS | int(bias) & (1 << SUM_BITS) - 1
        for bias, shift in zip(layer.bias, layer.shift, strict=True)
    ]
    bits = SUM_BITS + 5
    words = []
    for out in range(0, layer.outputs, fold.out_step):
        group = entries[out : out + fold.out_step]
        word = sum(entry << bits * place for place, entry in enumerate(group))
        words.append(f"{word:0{-(-bits * fold.out_step // 4)}x}")
    return "\n".join(words) + "\n"


def top_module(network: IntegerNetwork, plan: Plan) -> str:
    """AXI4-Stream → unshuffle → convolutions → shuffle → AXI4-Stream, the frame beside them to the last convolution."""
    columns = max_columns(network)
    last = len(network.layers)
    wires = "\n".join(
        f"    logic s{n}_valid, s{n}_ready;\n    logic [{8 * layer.outputs - 1}:0] s{n}_data;"
        for n, layer in enumerate(network.layers, 1)
    )
    layers = "\n".join(
        _LAYER.format(
            n=n,
            before=n - 1,
            inputs=layer.inputs,
            outputs=layer.outputs,
            in_step=fold.in_step,
            out_step=fold.out_step,
            constants=_constants(layer) if plan.distributed else "",
            dilation=layer.dilation,
            columns=columns,
            packed=int(plan.packed),
            queue=QUEUE,
            residual=int(n == last),
            valid="s0_valid && way_ready" if n == 1 else f"s{n - 1}_valid",
            ready="layer_ready" if n == 1 else f"s{n - 1}_ready",
            way_ready="way_out_ready" if n == last else "",
            way="way_out_data" if n == last else f"{8 * layer.outputs}'d0",
        )
        for n, (layer, fold) in enumerate(zip(network.layers, plan.folds, strict=True), 1)
    )
    return _TOP.format(
        name=network.name,
        top=TOP,
        pace=f"{plan.cycles_per_pixel:g}",
        macs=plan.macs_per_cycle,
        width=2 * columns,
        columns=columns,
        cell=8 * CELL_CHANNELS - 1,
        queue=power_of_two(columns),
        residual=residual_depth(network),
        wires=wires,
        layers=layers,
        last=last,
    )


_LAYER = """
    conv3x3 #(
        .IN({inputs}), .OUT({outputs}), .IN_STEP({in_step}), .OUT_STEP({out_step}), .DILATION({dilation}),
        .MAX_COLUMNS({columns}), .PACKED({packed}), .QUEUE({queue}), .RESIDUAL({residual}),{constants}
        .WEIGHTS("layer{n}_weights.mem"), .ROUNDING("layer{n}_rounding.mem")
    ) layer{n} (
        .clk, .rst, .columns, .rows,
        .in_valid({valid}), .in_ready({ready}), .in_data(s{before}_data),
        .residual_ready({way_ready}), .residual_data({way}),
        .out_valid(s{n}_valid), .out_ready(s{n}_ready), .out_data(s{n}_data)
    );"""

_TOP = """// {name} as a stream of pixels, 8 bits a beat: {pace} cycles a pixel, {macs} multiplications a cycle.
//
// Written by edgerecon; the modules beside it hold the arithmetic. Frames may follow each other without a pause. width
// (1 to {width}) and height (1 to 65535) keep their values while a frame is inside: reset after changing them.
// m_axis_tlast ends a frame. misaligned: s_axis_tlast was not where width and height say; it stays until the reset.
module {top} (
    input  logic        aclk,
    input  logic        aresetn,
    input  logic [15:0] width,
    input  logic [15:0] height,
    input  logic        s_axis_tvalid,
    output logic        s_axis_tready,
    input  logic [7:0]  s_axis_tdata,
    input  logic        s_axis_tlast,
    output logic        m_axis_tvalid,
    input  logic        m_axis_tready,
    output logic [7:0]  m_axis_tdata,
    output logic        m_axis_tlast,
    output logic        misaligned
);
    wire clk = aclk;
    logic rst;
    always_ff @(posedge clk) rst <= !aresetn;

    logic [15:0] columns, rows;  // of cells
    always_ff @(posedge clk) begin
        columns <= {{1'b0, width[15:1]}} + {{15'd0, width[0]}};
        rows    <= {{1'b0, height[15:1]}} + {{15'd0, height[0]}};
    end

    logic in_ready, in_last;
    assign s_axis_tready = in_ready && !rst;
    always_ff @(posedge clk) begin
        if (rst) misaligned <= 1'b0;
        else if (s_axis_tvalid && in_ready && s_axis_tlast != in_last) misaligned <= 1'b1;
    end

    // The cells of a row come in half of its time: the queue spreads them evenly.
    logic pixels_valid, pixels_ready, s0_valid, s0_ready;
    logic [{cell}:0] pixels_data, s0_data;
    unshuffle #(.MAX_COLUMNS({columns})) cells (
        .clk, .rst, .width, .height, .in_valid(s_axis_tvalid && !rst), .in_ready, .in_data(s_axis_tdata), .in_last,
        .out_valid(pixels_valid), .out_ready(pixels_ready), .out_data(pixels_data)
    );
    stream_fifo #(.WIDTH({cell} + 1), .DEPTH({queue})) spread (
        .clk, .rst, .in_valid(pixels_valid), .in_ready(pixels_ready), .in_data(pixels_data),
        .out_valid(s0_valid), .out_ready(s0_ready), .out_data(s0_data)
    );

    // The frame's own way, as long as the layers are behind.
    logic way_ready, layer_ready, way_out_valid, way_out_ready;
    logic [{cell}:0] way_out_data;
    assign s0_ready = way_ready && layer_ready;
    stream_fifo #(.WIDTH({cell} + 1), .DEPTH({residual})) way (
        .clk, .rst, .in_valid(s0_valid && layer_ready), .in_ready(way_ready), .in_data(s0_data),
        .out_valid(way_out_valid), .out_ready(way_out_ready), .out_data(way_out_data)
    );

{wires}
{layers}

    logic gathered_valid, gathered_ready;
    logic [{cell}:0] gathered_data;
    stream_fifo #(.WIDTH({cell} + 1), .DEPTH({queue})) gather (
        .clk, .rst, .in_valid(s{last}_valid), .in_ready(s{last}_ready), .in_data(s{last}_data),
        .out_valid(gathered_valid), .out_ready(gathered_ready), .out_data(gathered_data)
    );
    shuffle #(.MAX_COLUMNS({columns})) pixels (
        .clk, .rst, .width, .height, .in_valid(gathered_valid), .in_ready(gathered_ready), .in_data(gathered_data),
        .out_valid(m_axis_tvalid), .out_ready(m_axis_tready), .out_data(m_axis_tdata), .out_last(m_axis_tlast)
    );
endmodule
"""
