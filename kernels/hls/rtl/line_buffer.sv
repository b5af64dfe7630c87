// 2·DILATION rows of cells: one cell in, the column of three cells that are DILATION rows apart out, a cycle later.
//
// One memory word holds the cells of DILATION and 2·DILATION rows ago; it is read, and a cycle later written back moved
// on by one row. `step` must not come in consecutive cycles (a row of one cell would read before it is written).
module line_buffer #(
    parameter integer WIDTH    = 64,  // bits of a cell
    parameter integer DILATION = 1,
    parameter integer MAX_COLUMNS = 256
) (
    input  logic               clk,
    input  logic               rst,
    input  logic [31:0]        span,     // cells in DILATION rows, at most DILATION·MAX_COLUMNS
    input  logic               step,
    input  logic [WIDTH-1:0]   cell_in,
    output logic [WIDTH-1:0]   above,    // 2·DILATION rows ago
    output logic [WIDTH-1:0]   middle,   // DILATION rows ago
    output logic [WIDTH-1:0]   below     // this row
);
    localparam integer DEPTH = DILATION * MAX_COLUMNS;
    localparam integer A = DEPTH > 1 ? $clog2(DEPTH) : 1;

    logic [2*WIDTH-1:0] memory [0:DEPTH-1];
    logic [A-1:0] address, written;
    logic         write;

    wire [31:0] last = span - 32'd1;

    always_ff @(posedge clk) begin
        if (step) {above, middle} <= memory[address];
        if (write) memory[written] <= {middle, below};
    end

    always_ff @(posedge clk) begin
        if (step) begin
            below   <= cell_in;
            written <= address;
        end
        if (rst) begin
            address <= '0;
            write   <= 1'b0;
        end else begin
            write <= step;
            if (step) address <= address == last[A-1:0] ? '0 : address + 1'b1;
        end
    end
endmodule
