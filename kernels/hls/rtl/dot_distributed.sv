// The inner products of N constant weights with one bit of each of N activations, a bit a cycle, without multipliers.
//
// Distributed arithmetic (Peled & Liu 1974; White 1989): GROUP bits address a table of the 2^GROUP sums that their
// weights can have, which is one look-up table for each bit of the sum; a tree adds the groups.
// 1 + $clog2(N / GROUP) cycles.
module dot_distributed #(
    parameter integer N     = 72,
    parameter integer OUT   = 8,
    parameter integer GROUP = 6,
    parameter integer SUM   = 17 + $clog2(N),
    parameter [OUT*N*8-1:0] WEIGHTS = '0  // weight i of channel o is byte o·N + i
) (
    input  logic               clk,
    input  logic [N-1:0]       bits,
    output logic [OUT*SUM-1:0] sums
);
    localparam integer GROUPS = (N + GROUP - 1) / GROUP;
    localparam integer WIDTH  = 16;  // of a table entry, which needs 11: a power of two makes the address a mere shift

    genvar o, g, entry;
    generate
        for (o = 0; o < OUT; o = o + 1) begin : g_out
            logic [GROUPS*WIDTH-1:0] terms;
            for (g = 0; g < GROUPS; g = g + 1) begin : g_group
                localparam integer SIZE = N - g * GROUP < GROUP ? N - g * GROUP : GROUP;
                wire [(WIDTH<<SIZE)-1:0] sums_of;
                assign sums_of[WIDTH-1:0] = '0;
                for (entry = 1; entry < 1 << SIZE; entry = entry + 1) begin : g_entry  // one weight more
                    localparam integer TOP = $clog2(entry + 1) - 1;
                    assign sums_of[entry*WIDTH +: WIDTH] = $signed(sums_of[(entry - (1 << TOP))*WIDTH +: WIDTH])
                        + $signed(WEIGHTS[(o*N + g*GROUP + TOP)*8 +: 8]);
                end
                always_ff @(posedge clk) terms[g*WIDTH +: WIDTH] <= sums_of[bits[g*GROUP +: SIZE]*WIDTH +: WIDTH];
            end
            logic signed [WIDTH+$clog2(GROUPS)-1:0] sum;
            adder_tree #(.N(GROUPS), .WIDTH(WIDTH)) tree (.clk, .terms, .sum);
            wire signed [SUM-1:0] extended = sum;
            assign sums[o*SUM +: SUM] = extended;
        end
    endgenerate
endmodule
