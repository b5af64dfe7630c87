// Two products with one multiplier: activation · (weight_1·2^16 + weight_0).
//
// |activation · weight_0| < 2^15, hence the lower 16 bits are the first product, and the bits above are the second one
// less a borrow where the first is negative: activation · weight_1 = high + borrow. It fits the 25×18 multiplier of a
// DSP48E1 and the 27×18 one of a DSP48E2. Three cycles: operands, product, result.
module multiply_pair (
    input  logic               clk,
    input  logic [7:0]         activation,
    input  logic signed [7:0]  weight_0,
    input  logic signed [7:0]  weight_1,
    output logic signed [16:0] product_0,
    output logic signed [16:0] high,
    output logic               borrow
);
    logic signed [24:0] weights;
    logic signed [8:0]  operand;
    logic signed [33:0] product, result;

    always_ff @(posedge clk) begin
        weights <= $signed({weight_1[7], weight_1, 16'd0}) + weight_0;
        operand <= $signed({1'b0, activation});
        product <= weights * operand;
        result  <= product;
    end

    assign product_0 = $signed({result[15], result[15:0]});
    assign high      = $signed(result[32:16]);
    assign borrow    = result[15];
endmodule
