// When a convolution takes a cell, when it gives one, and which of its taps lie inside of the image.
//
// The cell in the middle of the window is LAG = DILATION·(columns + 1) cells behind the one that enters, so that a step
// takes a cell and gives another one, across the ends of rows and, when frames follow each other closely, of frames:
// not one cycle is lost. After a frame that none follows for PATIENCE cycles, empty cells push its last cells out.
module conv_control #(
    parameter integer DILATION = 1,
    parameter integer INTERVAL = 4,    // cycles between two steps, at least 2
    parameter integer PATIENCE = 64
) (
    input  logic        clk,
    input  logic        rst,
    input  logic [15:0] columns,
    input  logic [15:0] rows,
    input  logic [31:0] span,         // DILATION·columns
    input  logic        in_valid,
    output logic        in_ready,
    input  logic        room,         // for one more cell at the output
    output logic        step,         // a cell, or an empty one, enters
    output logic        gives,        // and one is given
    output logic [2:0]  inside_rows,  // of its taps
    output logic [2:0]  inside_columns
);
    logic [15:0] in_column, in_row, column, row;
    logic [31:0] behind;       // cells that entered and were not given: up to LAG
    logic [31:0] lag;
    logic [15:0] whole;        // frames that entered whole and were not given whole
    logic [$clog2(PATIENCE+1)-1:0] waited;
    logic [$clog2(INTERVAL+1)-1:0] pause;
    logic        flushing;

    always_ff @(posedge clk) lag <= span + DILATION;

    wire between = in_column == 0 && in_row == 0;
    wire full    = behind == lag;
    wire may     = pause == 0 && (!full || room);
    wire flush   = flushing || (between && whole != 0 && waited == PATIENCE[$clog2(PATIENCE+1)-1:0] && !in_valid);
    wire take    = may && !flush && in_valid;

    assign in_ready = may && !flush;
    assign step     = may && (flush || in_valid);
    assign gives    = step && full;

    wire in_row_ends = in_column + 16'd1 == columns;
    wire in_ends     = take && in_row_ends && in_row + 16'd1 == rows;
    wire row_ends    = column + 16'd1 == columns;
    wire out_ends    = gives && row_ends && row + 16'd1 == rows;

    localparam logic [15:0] D = DILATION[15:0];
    assign inside_columns = {{1'b0, column} + D < {1'b0, columns}, 1'b1, column >= D};
    assign inside_rows    = {{1'b0, row} + D < {1'b0, rows}, 1'b1, row >= D};

    always_ff @(posedge clk) begin
        if (rst) begin
            {in_column, in_row, column, row} <= '0;
            behind   <= '0;
            whole    <= '0;
            waited   <= '0;
            pause    <= '0;
            flushing <= 1'b0;
        end else begin
            if (step) pause <= INTERVAL[$clog2(INTERVAL+1)-1:0] - 1'b1;
            else if (pause != 0) pause <= pause - 1'b1;

            if (take) begin
                in_column <= in_row_ends ? 16'd0 : in_column + 16'd1;
                if (in_row_ends) in_row <= in_ends ? 16'd0 : in_row + 16'd1;
            end
            if (gives) begin
                column <= row_ends ? 16'd0 : column + 16'd1;
                if (row_ends) row <= out_ends ? 16'd0 : row + 16'd1;
            end
            if (step && !gives) behind <= behind + 32'd1;
            whole <= whole + {15'd0, in_ends} - {15'd0, out_ends};

            if (!between || in_valid || whole == 0) waited <= '0;
            else if (waited != PATIENCE[$clog2(PATIENCE+1)-1:0]) waited <= waited + 1'b1;

            if (step && flush) flushing <= 1'b1;
            if (flush && out_ends && whole == 1) begin
                flushing <= 1'b0;
                behind   <= '0;  // what is still in the window are empty cells
            end
        end
    end
endmodule
