// A sum over 2^shift, halves rounded to even, plus the residual, clipped to uint8 (which is the ReLU). Two cycles.
//
// The residual counts in whole steps of the result and takes part in what is even: round((sum + residual·2^shift) / 2^shift).
module requantise #(
    parameter integer SUM = 25
) (
    input  logic                  clk,
    input  logic signed [SUM-1:0] sum,
    input  logic [4:0]            shift,  // 0 to 16
    input  logic [7:0]            residual,
    output logic [7:0]            level
);
    logic signed [SUM+15:0] shifted;
    logic signed [SUM+1:0]  quotient;
    logic        [15:0]     fraction;

    assign shifted = $signed({sum, 16'd0}) >>> shift;

    always_ff @(posedge clk) begin
        quotient <= $signed(shifted[SUM+15:16]) + $signed({1'b0, residual});
        fraction <= shifted[15:0];
    end

    wire up = fraction[15] && (fraction[14:0] != 15'd0 || quotient[0]);
    wire signed [SUM+1:0] rounded = quotient + $signed({1'b0, up});

    always_ff @(posedge clk) level <= rounded < 0 ? 8'd0 : rounded > 255 ? 8'd255 : rounded[7:0];
endmodule
