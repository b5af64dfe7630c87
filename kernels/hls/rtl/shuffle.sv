// Cells of 2×2 pixels to pixels, row by row, the inverse of unshuffle. One pixel a cycle.
//
// The upper pixels of a row of cells leave as the cells come, the lower ones wait in memory.
module shuffle #(
    parameter integer MAX_COLUMNS = 960  // cells in a row
) (
    input  logic        clk,
    input  logic        rst,
    input  logic [15:0] width,   // of the frame in pixels, 1 to 2·MAX_COLUMNS
    input  logic [15:0] height,
    input  logic        in_valid,
    output logic        in_ready,
    input  logic [31:0] in_data,
    output logic        out_valid,
    input  logic        out_ready,
    output logic [7:0]  out_data,
    output logic        out_last  // ends the frame
);
    localparam integer A = MAX_COLUMNS > 1 ? $clog2(MAX_COLUMNS) : 1;

    logic [15:0] memory [0:MAX_COLUMNS-1];  // pairs of the lower row
    logic [15:0] x, y;                      // of the pixel that is given
    logic [15:0] pair, read, written;
    logic [A-1:0] index, next_index;        // of the pair that is loaded next
    logic        lower, bypass;             // it is one of the lower row; it was written a cycle ago

    wire row_ends   = x + 16'd1 == width;
    wire pair_ends  = x[0] || row_ends;
    wire frame_ends = row_ends && y + 16'd1 == height;
    wire free       = !out_valid || (out_ready && pair_ends);
    wire load       = free && (lower || in_valid);

    // The row of the pair that is loaded next is y, or the one after it when a row is about to end.
    logic [15:0] load_row;
    wire last_index = {{(16-A){1'b0}}, index} == (width - 16'd1) >> 1;
    wire last_row   = load_row + 16'd1 == height;
    wire wraps      = load && last_index;

    assign in_ready   = free && !lower;
    assign out_data   = x[0] ? pair[15:8] : pair[7:0];
    assign out_last   = frame_ends;
    assign next_index = !load ? index : last_index ? '0 : index + 1'b1;

    always_ff @(posedge clk) begin
        if (load && !lower) memory[index] <= in_data[31:16];
        read    <= memory[next_index];
        written <= in_data[31:16];
        bypass  <= load && !lower && next_index == index;
        if (load) pair <= !lower ? in_data[15:0] : bypass ? written : read;
    end

    always_ff @(posedge clk) begin
        if (rst) begin
            {x, y, load_row} <= '0;
            index     <= '0;
            lower     <= 1'b0;
            out_valid <= 1'b0;
        end else begin
            out_valid <= load || (out_valid && !free);
            index     <= next_index;
            if (wraps) begin
                load_row <= last_row ? 16'd0 : load_row + 16'd1;
                lower    <= !last_row && !lower;
            end
            if (out_valid && out_ready) begin
                x <= row_ends ? 16'd0 : x + 16'd1;
                if (row_ends) y <= frame_ends ? 16'd0 : y + 16'd1;
            end
        end
    end
endmodule
