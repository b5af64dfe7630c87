// The kernel's tile on the CPU: compact_fused_host FORM WIDTH images height width tile_rows tile_cols second shared
// d1 … d6 step WARPS frame weights scales out. The files are raw; `shared` is the size of a block's memory, which is full of
// NaN before each tile; WARPS take turns, the last one first when it is negative.
#include <string>

#include "../compact_fused_core.h"
#include "raw_file.h"

template <int WIDTH, class Form>
static void run(const Compact& net, size_t shared_bytes, int warps) {
    const int count = std::abs(warps);
    std::vector<char> shared(shared_bytes);
    for (int tile = 0; tile < net.tiles(); ++tile) {
        std::fill(shared.begin(), shared.end(), '\xff');
        for (int s = 0; s <= LAYERS; ++s)
            for (int turn = 0; turn < count; ++turn)
                step<WIDTH, Form>(net, tile, s, shared.data(), warps < 0 ? count - 1 - turn : turn, count);
    }
}

int main(int count, char** argument) {
    if (count != 22) return 2;
    const std::string form = argument[1];
    const int width = std::atoi(argument[2]), warps = std::atoi(argument[17]);
    const auto frame = read_file<float>(argument[18]);
    const auto weights = read_file<char>(argument[19]);
    const auto scales = read_file<Scale>(argument[20]);
    std::vector<float> out(frame.size(), NAN);
    Compact net = {};
    net.frame = frame.data();
    net.out = out.data();
    net.weights = weights.data();
    net.scales = scales.data();
    int* const numbers[] = {&net.images, &net.height, &net.width, &net.tile_rows, &net.tile_cols, &net.second};
    for (int i = 0; i < 6; ++i) *numbers[i] = std::atoi(argument[3 + i]);
    const size_t shared = static_cast<size_t>(std::atol(argument[9]));
    for (int i = 0; i < LAYERS; ++i) net.dilation[i] = std::atoi(argument[10 + i]);
    net.step = static_cast<float>(std::atof(argument[16]));
    if (form == "fp16") width == 16 ? run<16, Half>(net, shared, warps) : run<32, Half>(net, shared, warps);
    if (form == "fp32") width == 16 ? run<16, Split>(net, shared, warps) : run<32, Split>(net, shared, warps);
    if (form == "mixed") width == 16 ? run<16, Mixed>(net, shared, warps) : run<32, Mixed>(net, shared, warps);
    if (form == "int8") width == 16 ? run<16, Bytes>(net, shared, warps) : run<32, Bytes>(net, shared, warps);
    write_file(argument[21], out);
}
