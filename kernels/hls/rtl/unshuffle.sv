// Pixels, row by row, to cells of 2×2 pixels: channel 2·dy + dx is byte 2·dy + dx. One pixel a cycle.
//
// Where the height or the width is odd, the last row or column is repeated.
module unshuffle #(
    parameter integer MAX_COLUMNS = 960  // cells in a row
) (
    input  logic        clk,
    input  logic        rst,
    input  logic [15:0] width,   // of the frame in pixels, 1 to 2·MAX_COLUMNS
    input  logic [15:0] height,
    input  logic        in_valid,
    output logic        in_ready,
    input  logic [7:0]  in_data,
    output logic        in_last,  // the pixel that is taken ends the frame
    output logic        out_valid,
    input  logic        out_ready,
    output logic [31:0] out_data
);
    localparam integer A = MAX_COLUMNS > 1 ? $clog2(MAX_COLUMNS) : 1;

    logic [15:0] memory [0:MAX_COLUMNS-1];  // pairs of the upper row
    logic [15:0] x, y, pair, upper;
    logic [7:0]  left;
    logic        single;                    // the cell has no lower row

    wire take = in_valid && in_ready;
    wire row_ends = x + 16'd1 == width;
    wire [15:0] new_pair = x[0] ? {in_data, left} : {in_data, in_data};
    wire pair_ends = x[0] || row_ends;

    assign in_last  = row_ends && y + 16'd1 == height;
    assign in_ready = !out_valid || out_ready;
    assign out_data = {pair, single ? pair : upper};

    always_ff @(posedge clk) if (take) begin
        left <= in_data;
        if (pair_ends && !y[0]) memory[x[A:1]] <= new_pair;
        upper <= memory[x[A:1]];
        pair   <= new_pair;
        single <= !y[0];
    end

    always_ff @(posedge clk) begin
        if (rst) begin
            {x, y}    <= '0;
            out_valid <= 1'b0;
        end else begin
            if (take) begin
                x <= row_ends ? 16'd0 : x + 16'd1;
                if (row_ends) y <= in_last ? 16'd0 : y + 16'd1;
            end
            out_valid <= (take && pair_ends && (y[0] || y + 16'd1 == height)) || (out_valid && !out_ready);
        end
    end
endmodule
