// The sum of N signed numbers, a register after each level: $clog2(N) cycles, one sum a cycle.
module adder_tree #(
    parameter integer N     = 9,
    parameter integer WIDTH = 17,
    parameter integer LEVELS = N > 1 ? $clog2(N) : 0,
    parameter integer SUM = WIDTH + LEVELS
) (
    input  logic                     clk,
    input  logic [N*WIDTH-1:0]       terms,
    output logic signed [SUM-1:0]    sum
);
    genvar l, i;
    generate
        for (l = 0; l <= LEVELS; l = l + 1) begin : g_level
            localparam integer COUNT = (N + (1 << l) - 1) >> l;
            logic signed [WIDTH+l-1:0] value [0:COUNT-1];
            if (l == 0) begin : g_terms
                for (i = 0; i < COUNT; i = i + 1) begin : g_term
                    assign value[i] = $signed(terms[i*WIDTH +: WIDTH]);
                end
            end else begin : g_sums
                for (i = 0; i < COUNT; i = i + 1) begin : g_sum
                    if (2 * i + 1 < (N + (1 << (l - 1)) - 1) >> (l - 1)) begin : g_two
                        always_ff @(posedge clk) value[i] <= g_level[l-1].value[2*i] + g_level[l-1].value[2*i+1];
                    end else begin : g_one
                        always_ff @(posedge clk) value[i] <= g_level[l-1].value[2*i];
                    end
                end
            end
        end
    endgenerate
    assign sum = g_level[LEVELS].value[0];
endmodule
