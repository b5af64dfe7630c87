// A first-in first-out queue between two valid/ready streams: DEPTH words in memory and one in the output register.
//
// The memory is read synchronously, so that synthesis can take block RAM. One word a cycle; two cycles of latency.
module stream_fifo #(
    parameter integer WIDTH = 8,
    parameter integer DEPTH = 16  // a power of two
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             in_valid,
    output logic             in_ready,
    input  logic [WIDTH-1:0] in_data,
    output logic             out_valid,
    input  logic             out_ready,
    output logic [WIDTH-1:0] out_data
);
    localparam integer A = $clog2(DEPTH);

    logic [WIDTH-1:0] memory [0:DEPTH-1];
    logic [A:0] written, fetched;  // one bit more than the address tells full from empty

    wire full  = written == {~fetched[A], fetched[A-1:0]};
    wire empty = written == fetched;
    wire fetch = !empty && (!out_valid || out_ready);

    assign in_ready = !full;

    always_ff @(posedge clk) begin
        if (in_valid && !full) memory[written[A-1:0]] <= in_data;
        if (fetch) out_data <= memory[fetched[A-1:0]];
    end

    always_ff @(posedge clk) begin
        if (rst) begin
            written   <= '0;
            fetched   <= '0;
            out_valid <= 1'b0;
        end else begin
            if (in_valid && !full) written <= written + 1'b1;
            if (fetch) fetched <= fetched + 1'b1;
            out_valid <= fetch || (out_valid && !out_ready);
        end
    end
endmodule
