// The inner products of N activations with the weights of OUT channels: N·OUT multiplications a cycle.
//
// PACKED: two channels share the multipliers, one DSP for two multiplications; an odd last channel has its own.
// 3 + $clog2(N) cycles.
module dot_product #(
    parameter integer N      = 72,
    parameter integer OUT    = 2,
    parameter integer PACKED = 1,
    parameter integer SUM    = 17 + $clog2(N)
) (
    input  logic                 clk,
    input  logic [N*8-1:0]       activations,
    input  logic [OUT*N*8-1:0]   weights,  // weight i of channel o is byte o·N + i
    output logic [OUT*SUM-1:0]   sums
);
    localparam integer PAIRS = PACKED != 0 ? OUT / 2 : 0;

    genvar p, o, i;
    generate
        for (p = 0; p < PAIRS; p = p + 1) begin : g_pair
            logic [N*17-1:0] low, high;
            logic [N*2-1:0]  borrow;
            for (i = 0; i < N; i = i + 1) begin : g_tap
                multiply_pair multiplier (
                    .clk, .activation(activations[i*8 +: 8]),
                    .weight_0(weights[(2*p*N+i)*8 +: 8]), .weight_1(weights[((2*p+1)*N+i)*8 +: 8]),
                    .product_0(low[i*17 +: 17]), .high(high[i*17 +: 17]), .borrow(borrow[2*i])
                );
                assign borrow[2*i+1] = 1'b0;
            end
            logic signed [SUM-1:0] low_sum, high_sum;
            logic signed [2+$clog2(N)-1:0] borrows;
            adder_tree #(.N(N), .WIDTH(17)) low_tree (.clk, .terms(low), .sum(low_sum));
            adder_tree #(.N(N), .WIDTH(17)) high_tree (.clk, .terms(high), .sum(high_sum));
            adder_tree #(.N(N), .WIDTH(2)) borrow_tree (.clk, .terms(borrow), .sum(borrows));
            assign sums[2*p*SUM +: SUM] = low_sum;
            wire signed [SUM-1:0] corrected = high_sum + borrows;
            assign sums[(2*p+1)*SUM +: SUM] = corrected;
        end
        for (o = 2 * PAIRS; o < OUT; o = o + 1) begin : g_single
            logic [N*17-1:0] products;
            for (i = 0; i < N; i = i + 1) begin : g_tap
                multiply multiplier (
                    .clk, .activation(activations[i*8 +: 8]), .weight(weights[(o*N+i)*8 +: 8]),
                    .product(products[i*17 +: 17])
                );
            end
            logic signed [SUM-1:0] sum;
            adder_tree #(.N(N), .WIDTH(17)) tree (.clk, .terms(products), .sum);
            assign sums[o*SUM +: SUM] = sum;
        end
    endgenerate
endmodule
