// dot_product with weights that never change: no multipliers, all OUT·N products at once. 3 + $clog2(N) cycles.
module dot_constant #(
    parameter integer N   = 72,
    parameter integer OUT = 8,
    parameter integer SUM = 17 + $clog2(N),
    parameter [OUT*N*8-1:0] WEIGHTS = '0  // weight i of channel o is byte o·N + i
) (
    input  logic               clk,
    input  logic [N*8-1:0]     activations,
    output logic [OUT*SUM-1:0] sums
);
    genvar o, i;
    generate
        for (o = 0; o < OUT; o = o + 1) begin : g_out
            logic [N*17-1:0] products;
            for (i = 0; i < N; i = i + 1) begin : g_tap
                multiply_constant #(.WEIGHT(WEIGHTS[(o*N+i)*8 +: 8])) multiplier (
                    .clk, .activation(activations[i*8 +: 8]), .product(products[i*17 +: 17])
                );
            end
            logic signed [SUM-1:0] sum;
            adder_tree #(.N(N), .WIDTH(17)) tree (.clk, .terms(products), .sum);
            assign sums[o*SUM +: SUM] = sum;
        end
    endgenerate
endmodule
