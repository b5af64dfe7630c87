// The 3×3 taps of a dilated convolution: three shift registers of 2·DILATION + 1 cells, zero outside of the image.
//
// taps holds tap (ky, kx) at cell 3·ky + kx. The taps do not change between two shifts.
module window #(
    parameter integer WIDTH    = 64,
    parameter integer DILATION = 1
) (
    input  logic               clk,
    input  logic               shift,
    input  logic [WIDTH-1:0]   above,
    input  logic [WIDTH-1:0]   middle,
    input  logic [WIDTH-1:0]   below,
    input  logic [2:0]         inside_rows,     // of the taps above, in the middle, below (bit 0, 1, 2), given at shift
    input  logic [2:0]         inside_columns,  // of the taps on the left, in the middle, on the right
    output logic [9*WIDTH-1:0] taps
);
    localparam integer SPAN = 2 * DILATION + 1;

    logic [2:0] rows, columns;
    logic [3*WIDTH-1:0] column [0:SPAN-1];  // the newest first, which is the rightmost

    always_ff @(posedge clk) if (shift) begin
        rows      <= inside_rows;
        columns   <= inside_columns;
        column[0] <= {below, middle, above};
    end

    genvar s, ky, kx;
    generate
        for (s = 1; s < SPAN; s = s + 1) begin : g_shift
            always_ff @(posedge clk) if (shift) column[s] <= column[s-1];
        end
        for (ky = 0; ky < 3; ky = ky + 1) begin : g_row
            for (kx = 0; kx < 3; kx = kx + 1) begin : g_column
                assign taps[(3*ky+kx)*WIDTH +: WIDTH] =
                    rows[ky] && columns[kx] ? column[(2-kx)*DILATION][ky*WIDTH +: WIDTH] : '0;
            end
        end
    endgenerate
endmodule
