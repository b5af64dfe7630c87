// A 3×3 convolution with its rounding, from a stream of cells (IN channels of uint8) to one of OUT channels.
//
// Folding: IN_STEP input and OUT_STEP output channels a cycle, 9·IN_STEP·OUT_STEP multiplications, one cell in
// (IN/IN_STEP)·(OUT/OUT_STEP) cycles, at least 2. The data path never stalls: a cell enters only when the queue at the
// output has room for what it will give.
module conv3x3 #(
    parameter integer IN          = 8,
    parameter integer OUT         = 8,
    parameter integer IN_STEP     = 8,
    parameter integer OUT_STEP    = 2,
    parameter integer DILATION    = 1,
    parameter integer MAX_COLUMNS = 960,
    parameter integer RESIDUAL    = 0,    // 1: adds a cell of OUT channels, taken with residual_ready, to each one
    parameter integer PACKED      = 1,
    parameter integer DISTRIBUTED = 0,    // 1: no multipliers, weights are CONSTANTS; IN_STEP is IN, OUT_STEP is OUT
    parameter integer QUEUE       = 16,
    parameter [OUT*IN*72-1:0] CONSTANTS = '0,
    parameter         WEIGHTS     = "weights.mem",   // word a cycle: weight i, tap t, channel o is byte (o·9 + t)·IN_STEP + i
    parameter         ROUNDING    = "rounding.mem"   // word a group of OUT_STEP channels: 5 bits of shift, 25 of bias each
) (
    input  logic             clk,
    input  logic             rst,
    input  logic [15:0]      columns,
    input  logic [15:0]      rows,
    input  logic             in_valid,
    output logic             in_ready,
    input  logic [IN*8-1:0]  in_data,
    output logic             residual_ready,
    input  logic [OUT*8-1:0] residual_data,
    output logic             out_valid,
    input  logic             out_ready,
    output logic [OUT*8-1:0] out_data
);
    localparam integer IN_GROUPS  = DISTRIBUTED != 0 ? 8 : IN / IN_STEP;  // or the bits, the highest first
    localparam integer OUT_GROUPS = OUT / OUT_STEP;
    localparam integer FOLDS      = IN_GROUPS * OUT_GROUPS;
    localparam integer INTERVAL   = FOLDS > 2 ? FOLDS : 2;
    localparam integer N          = 9 * IN_STEP;
    localparam integer SUM        = 25;

    // Cells in DILATION rows, by shifts and adds: the multipliers are for the pixels.
    localparam integer BITS = $clog2(DILATION + 1);
    logic [31:0] span;
    logic [31:0] partial_span [0:BITS];
    assign partial_span[0] = 32'd0;
    genvar b;
    generate
        for (b = 0; b < BITS; b = b + 1) begin : g_span
            assign partial_span[b+1] = partial_span[b] + ((DILATION >> b) % 2 == 1 ? {16'd0, columns} << b : 32'd0);
        end
    endgenerate
    always_ff @(posedge clk) span <= partial_span[BITS];

    // A place in the queue is taken when a cell is going to be given, and freed when it has left.
    logic [$clog2(QUEUE+1)-1:0] taken;
    logic step, gives, give_now;
    logic [2:0] inside_rows, inside_columns;
    wire left = out_valid && out_ready;
    wire room = taken != QUEUE[$clog2(QUEUE+1)-1:0];

    conv_control #(.DILATION(DILATION), .INTERVAL(INTERVAL)) control (
        .clk, .rst, .columns, .rows, .span, .in_valid, .in_ready, .room, .step, .gives, .inside_rows, .inside_columns
    );

    always_ff @(posedge clk) begin
        if (rst) taken <= '0;
        else if (gives && !left) taken <= taken + 1'b1;
        else if (!gives && left) taken <= taken - 1'b1;
    end

    // Cycle 1: the column of cells; cycle 2: the window stands still for INTERVAL cycles.
    logic [IN*8-1:0] above, middle, below;
    line_buffer #(.WIDTH(IN*8), .DILATION(DILATION), .MAX_COLUMNS(MAX_COLUMNS)) lines (
        .clk, .rst, .span, .step, .cell_in(in_data), .above, .middle, .below
    );

    logic stepped, given;
    logic [2:0] rows_1, columns_1;
    always_ff @(posedge clk) begin
        stepped <= step && !rst;
        given   <= gives && !rst;
        rows_1     <= inside_rows;
        columns_1  <= inside_columns;
    end

    logic [9*IN*8-1:0] taps;
    window #(.WIDTH(IN*8), .DILATION(DILATION)) taps_of (
        .clk, .shift(stepped), .above, .middle, .below,
        .inside_rows(rows_1), .inside_columns(columns_1), .taps
    );

    // The folds of a cell, one a cycle.
    logic [7:0] in_group, out_group, fold;
    logic       folding;
    wire last_in  = in_group == IN_GROUPS[7:0] - 8'd1;
    wire last_out = out_group == OUT_GROUPS[7:0] - 8'd1;
    always_ff @(posedge clk) begin
        if (rst) folding <= 1'b0;
        else if (given) folding <= 1'b1;
        else if (last_in && last_out) folding <= 1'b0;
        if (given) {in_group, out_group, fold} <= '0;
        else if (folding) begin
            fold <= fold + 8'd1;
            in_group <= last_in ? 8'd0 : in_group + 8'd1;
            if (last_in) out_group <= last_out ? 8'd0 : out_group + 8'd1;
        end
    end

    localparam integer PARTIAL = 17 + $clog2(N);
    localparam integer LATENCY = DISTRIBUTED != 0 ? 1 + $clog2((N + 5) / 6) : 3 + $clog2(N);
    logic [OUT_STEP*PARTIAL-1:0] partial;

    genvar t, g, o;
    generate
        if (DISTRIBUTED != 0) begin : g_distributed
            logic [N-1:0] bits;
            for (t = 0; t < N; t = t + 1) begin : g_tap
                always_ff @(posedge clk) bits[t] <= taps[{t[12:0], ~in_group[2:0]}];
            end
            dot_distributed #(.N(N), .OUT(OUT), .WEIGHTS(CONSTANTS)) dot (.clk, .bits, .sums(partial));
        end else begin : g_product
            logic [N*8-1:0] activations;
            logic [OUT_STEP*N*8-1:0] weights;
            logic [OUT_STEP*N*8-1:0] weight_rom [0:FOLDS-1];
            initial $readmemh(WEIGHTS, weight_rom);
            always_ff @(posedge clk) weights <= weight_rom[fold];
            for (t = 0; t < 9; t = t + 1) begin : g_tap
                integer i;
                always_ff @(posedge clk) for (i = 0; i < IN_GROUPS; i = i + 1)
                    if (in_group == i[7:0])
                        activations[t*IN_STEP*8 +: IN_STEP*8] <= taps[(t*IN + i*IN_STEP)*8 +: IN_STEP*8];
            end
            dot_product #(.N(N), .OUT(OUT_STEP), .PACKED(PACKED)) dot (.clk, .activations, .weights, .sums(partial));
        end
    endgenerate

    // What the folds are travels beside them.
    localparam integer DELAY = 1 + LATENCY;
    logic [10:0] tag [0:DELAY];  // out_group, first of its sum, last of its sum, valid
    assign tag[0] = {out_group, in_group == 0, last_in, folding};
    genvar d;
    generate
        for (d = 1; d <= DELAY; d = d + 1) begin : g_tag
            always_ff @(posedge clk) tag[d] <= rst ? 11'd0 : tag[d-1];
        end
    endgenerate
    wire [7:0] group = tag[DELAY][10:3];
    wire first = tag[DELAY][2];
    wire last  = tag[DELAY][1];

    logic [OUT_STEP*30-1:0] rounding_rom [0:OUT_GROUPS-1];
    initial $readmemh(ROUNDING, rounding_rom);
    logic [OUT_STEP*30-1:0] rounding;
    always_ff @(posedge clk) rounding <= rounding_rom[tag[DELAY-1][10:3]];

    logic [7:0] group_1, group_2, group_3;
    logic       done_1, done_2, done_3;
    always_ff @(posedge clk) begin
        {group_1, group_2, group_3} <= {group, group_1, group_2};
        {done_1, done_2, done_3} <= rst ? 3'b000 : {tag[DELAY][1] && tag[DELAY][0], done_1, done_2};
    end

    // A cell of the residual has waited since it entered the network: it is there long before it is needed.
    assign residual_ready = RESIDUAL != 0 && done_1 && group_1 == OUT_GROUPS[7:0] - 8'd1;

    logic [OUT_STEP*8-1:0] levels;
    generate
        for (o = 0; o < OUT_STEP; o = o + 1) begin : g_out
            logic signed [SUM-1:0] sum;
            logic [4:0] shift;
            wire signed [SUM-1:0] bias = $signed(rounding[o*30 +: SUM]);
            wire signed [PARTIAL-1:0] term = $signed(partial[o*PARTIAL +: PARTIAL]);
            wire signed [SUM-1:0] so_far = DISTRIBUTED == 0 ? (first ? bias : sum)
                : (first ? '0 : sum <<< 1) + (last ? bias : '0);
            always_ff @(posedge clk) begin
                sum   <= so_far + term;
                shift <= rounding[o*30+SUM +: 5];
            end
            logic [7:0] residual;
            integer r;
            always_comb begin
                residual = 8'd0;
                for (r = 0; r < OUT_GROUPS; r = r + 1)
                    if (RESIDUAL != 0 && group_1 == r[7:0]) residual = residual_data[(r*OUT_STEP + o)*8 +: 8];
            end
            requantise #(.SUM(SUM)) rounder (.clk, .sum, .shift, .residual, .level(levels[o*8 +: 8]));
        end
    endgenerate

    // The groups of a cell gather, and the whole cell enters the queue.
    logic [OUT*8-1:0] gathered;
    logic             whole;
    generate
        for (g = 0; g < OUT_GROUPS; g = g + 1) begin : g_gather
            always_ff @(posedge clk)
                if (done_3 && group_3 == g) gathered[g*OUT_STEP*8 +: OUT_STEP*8] <= levels;
        end
    endgenerate
    always_ff @(posedge clk) whole <= !rst && done_3 && group_3 == OUT_GROUPS[7:0] - 8'd1;

    /* verilator lint_off PINCONNECTEMPTY */
    stream_fifo #(.WIDTH(OUT*8), .DEPTH(QUEUE)) queue (
        .clk, .rst, .in_valid(whole), .in_ready(), .in_data(gathered), .out_valid, .out_ready, .out_data
    );
    /* verilator lint_on PINCONNECTEMPTY */
endmodule
