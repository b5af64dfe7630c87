// One product of a uint8 activation and an int8 weight. Three cycles, as multiply_pair.
module multiply (
    input  logic               clk,
    input  logic [7:0]         activation,
    input  logic signed [7:0]  weight,
    output logic signed [16:0] product
);
    logic signed [7:0]  factor;
    logic signed [8:0]  operand;
    logic signed [16:0] first;

    always_ff @(posedge clk) begin
        factor  <= weight;
        operand <= $signed({1'b0, activation});
        first   <= factor * operand;
        product <= first;
    end
endmodule
