// The kernel's tiles on the CPU: conv_relu_host FORM before after images height width dilation relu tile_rows tile_cols
// shared residual_step residual(0 or 1) input weights scales residual out. The files are raw; `shared` is the size of a
// block's memory, which is full of ones before each tile.
#include <string>

#include "../conv_relu_core.h"
#include "raw_file.h"

template <class Quad, int TAPS, int BLOCKS>
static void run(const Convolution& conv, size_t shared_bytes) {
    std::vector<char> shared(shared_bytes);
    constexpr int THREADS = 128, WARPS = 4;
    Quad* planes = reinterpret_cast<Quad*>(shared.data());
    for (int tile = 0; tile < conv.tiles(); ++tile) {
        std::fill(shared.begin(), shared.end(), '\xff');
        for (int thread = THREADS - 1; thread >= 0; --thread) load_tile<Quad, TAPS>(conv, tile, planes, thread, THREADS);
        for (int warp = WARPS - 1; warp >= 0; --warp) convolve_tile<Quad, TAPS, BLOCKS>(conv, tile, planes, warp, WARPS);
    }
}

template <class Quad>
static void choose(const Convolution& conv, size_t shared) {
    if (conv.before <= 4)
        conv.after <= 8 ? run<Quad, 1, 1>(conv, shared) : run<Quad, 1, 2>(conv, shared);
    else
        conv.after <= 8 ? run<Quad, 3, 1>(conv, shared) : run<Quad, 3, 2>(conv, shared);
}

int main(int count, char** argument) {
    if (count != 19) return 2;
    const std::string form = argument[1];
    Convolution conv = {};
    int* const numbers[] = {&conv.before,   &conv.after, &conv.images,    &conv.height,   &conv.width,
                            &conv.dilation, &conv.relu,  &conv.tile_rows, &conv.tile_cols};
    for (int i = 0; i < 9; ++i) *numbers[i] = std::atoi(argument[2 + i]);
    conv.residual_step = static_cast<float>(std::atof(argument[12]));
    const auto input = read_file<char>(argument[14]), weights = read_file<char>(argument[15]);
    const auto scales = read_file<Scale>(argument[16]);
    const auto residual = read_file<char>(argument[17]);
    const size_t each = form == "fp32" ? 4 : form == "fp16" ? 2 : 1;
    std::vector<char> out(each * conv.images * conv.height * conv.width * conv.after, '\xff');
    conv.input = input.data();
    conv.weights = weights.data();
    conv.scales = scales.data();
    conv.residual = std::atoi(argument[13]) ? residual.data() : nullptr;
    conv.output = out.data();
    const size_t shared = static_cast<size_t>(std::atol(argument[11]));
    if (form == "fp16") choose<HalfQuad>(conv, shared);
    if (form == "int8") choose<ByteQuad>(conv, shared);
    if (form == "fp32")
        for (int64_t index = 0; index < float_items(conv); ++index) convolve_floats(conv, index);
    write_file(argument[18], out);
}
