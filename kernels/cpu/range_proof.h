// Why an integer layer cannot overflow. It is proved for the weights at hand when a network is opened, and what fails is
// refused with its number.
//
//   inputs      0 … c. A row of Bᵀ has positive and negative factors of at most (5, 5) or (2, 8); in two dimensions the
//               largest sum on one side is 2·2 + 8·8 = 68. So 68·c ≤ 32 767, c ≤ 481. Steps on the way may wrap: additions
//               modulo 2¹⁶ end at the right value when the right value fits.
//   weights     36 transformed values of each kernel, computed here, must fit int16 and not be −32 768.
//   pairs       two products of int16 that are not −32 768 stay below 2³¹.
//   result      576·y + 16·offset for the worst inputs: c on every positive weight, or on every negative one.
//               Sums modulo 2³² end at it, so it alone has to fit int32.
#pragma once

#include <stdexcept>
#include <string>

#include "edgerecon_cpu.h"
#include "packing.h"

constexpr int MOST_LEVELS = 481;

inline void prove_range(const edgerecon_layer& layer, int number) {
    const auto fail = [&](const std::string& why) {
        throw std::invalid_argument("layer " + std::to_string(number) + " fails the range proof: " + why);
    };
    if (layer.source_ceiling < 1 || layer.source_ceiling > MOST_LEVELS) fail("its inputs have more than 481 levels");
    if (!layer.step && (layer.ceiling < 1 || layer.ceiling > MOST_LEVELS)) fail("its outputs have more than 481 levels");
    for (int o = 0; o < layer.outputs; ++o) {
        int64_t most = 0, least = 0;
        for (int k = 0; k < layer.inputs; ++k) {
            const int16_t* kernel = layer.integers + (size_t(o) * layer.inputs + k) * 9;
            int64_t products[36];
            transform_kernel(G_INTEGER, kernel, products);
            for (int64_t product : products)
                if (product > 32767 || product < -32767) fail("a transformed weight of output " + std::to_string(o) + " exceeds 16 bits");
            for (int tap = 0; tap < 9; ++tap) (kernel[tap] > 0 ? most : least) += kernel[tap];
        }
        const int64_t offset = int64_t{16} * layer.offset[o];
        most = 576 * layer.source_ceiling * most + offset;
        least = 576 * layer.source_ceiling * least + offset;
        if (std::max(most, offset) > INT32_MAX || std::min(least, offset) < INT32_MIN)
            fail("the sum of output " + std::to_string(o) + " can exceed 32 bits");
        if (!layer.step && (layer.shift[o] < 0 || layer.shift[o] > 31)) fail("a shift is not one of 0 to 31");
    }
}
