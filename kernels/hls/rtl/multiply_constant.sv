// One product with a constant, without a multiplier: an adder for each digit but the first that is not zero.
//
// The digits are those of the non-adjacent form, 0, 1 or -1, no two neighbours other than zero, at most four of nine
// (Reitwiesner 1960): 3·w differs from w, one place up, where a digit is. Three cycles, as multiply.
module multiply_constant #(
    parameter signed [7:0] WEIGHT = 8'sd0
) (
    input  logic               clk,
    input  logic [7:0]         activation,
    output logic signed [16:0] product
);
    localparam signed [10:0] ONCE   = WEIGHT;
    localparam signed [10:0] THRICE = ONCE + ONCE + ONCE;
    localparam [9:0] PLUS  = THRICE[10:1] & ~ONCE[10:1];
    localparam [9:0] MINUS = ~THRICE[10:1] & ONCE[10:1];

    logic signed [16:0] operand, low, high;
    logic signed [16:0] low_sum [0:4];
    logic signed [16:0] high_sum [4:9];
    assign low_sum[0]  = 17'sd0;
    assign high_sum[4] = 17'sd0;

    genvar i;
    generate
        for (i = 0; i < 4; i = i + 1) begin : g_low
            assign low_sum[i+1] = PLUS[i] ? low_sum[i] + (operand <<< i)
                : MINUS[i] ? low_sum[i] - (operand <<< i) : low_sum[i];
        end
        for (i = 4; i < 9; i = i + 1) begin : g_high
            assign high_sum[i+1] = PLUS[i] ? high_sum[i] + (operand <<< i)
                : MINUS[i] ? high_sum[i] - (operand <<< i) : high_sum[i];
        end
    endgenerate

    always_ff @(posedge clk) begin
        operand <= $signed({9'd0, activation});
        low     <= low_sum[4];
        high    <= high_sum[9];
        product <= low + high;
    end
endmodule
