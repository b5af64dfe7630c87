// Why an integer layer cannot overflow. It is proved for the weights at hand when a network is opened, and what fails is
// refused with its number.
//
//   inputs      −a … c. A row of Bᵀ has positive and negative factors of at most (5, 5) or (2, 8); in two dimensions the
//               largest sums on the two sides are 2·2 + 8·8 = 68 and 2·2·8 = 32. So 68·max(a, c) + 32·min(a, c) ≤ 32 767;
//               c ≤ 481 without signs. In tiles of two rows one dimension has (1, 1) or (2, 0) instead: 16 and 4, c ≤ 2047.
//               Steps on the way may wrap: additions modulo 2¹⁶ end at the right value when the right value fits.
//               A layer takes the tallest tile that its inputs allow; tap by tap they may be any int16.
//   weights     the transformed values of each kernel, computed here, must fit int16 and not be −32 768.
//   pairs       two products of int16 that are not −32 768 stay below 2³¹.
//   result      unit·y + grain·offset for the worst inputs: c on every positive weight and −a on every negative one, or the other way round;
//               with what is added at its worst. Sums modulo 2³² end at it, so it alone has to fit int32.
#pragma once

#include <stdexcept>
#include <string>

#include "edgerecon_cpu.h"
#include "packing.h"

// What an integer map holds; floor is at most 0, ceiling at least 0.
struct Levels {
    int floor, ceiling;
};

// All sums that a layer can make of some levels, as a span that grows.
struct Reach {
    int64_t least = 0, most = 0;
    void add(int64_t factor, const Levels& levels) {
        most += factor * (factor > 0 ? levels.ceiling : levels.floor);
        least += factor * (factor > 0 ? levels.floor : levels.ceiling);
    }
    void move(int64_t by) { least += by, most += by; }
    bool fits() const { return most <= INT32_MAX && least >= INT32_MIN; }
};

// The form of a 3×3 layer without stride.
inline IntegerForm choose_form(const Levels& read) {
    const int64_t a = -int64_t{read.floor}, c = read.ceiling, more = std::max(a, c), less = std::min(a, c);
    if (68 * more + 32 * less <= INT16_MAX) return FOUR_ROWS;
    return 16 * more + 4 * less <= INT16_MAX ? TWO_ROWS : TAP_BY_TAP;
}

inline void prove_range(const edgerecon_layer& layer, const IntegerForm& form, const Levels& read, const Levels* added, int number) {
    const auto fail = [&](const std::string& why) {
        throw std::invalid_argument("layer " + std::to_string(number) + " fails the range proof: " + why);
    };
    const bool fits = layer.floor <= 0 && layer.floor >= -INT16_MAX && layer.ceiling >= 1 && layer.ceiling <= INT16_MAX;
    if (!layer.step && !fits) fail("its outputs have too many levels");
    const int taps = layer.kernel * layer.kernel;
    for (int o = 0; o < layer.outputs; ++o) {
        const std::string output = " of output " + std::to_string(o);
        Reach reach;
        for (int k = 0; k < layer.inputs; ++k) {
            const bool transposed = layer.kind == EDGERECON_TRANSPOSED;
            const size_t at = transposed ? size_t(k) * layer.outputs + o : size_t(o) * layer.inputs + k;
            const int16_t* kernel = layer.integers + at * taps;
            int64_t products[36] = {};
            form.transform(kernel, products);
            for (int64_t product : products)
                if (product > INT16_MAX || product < -INT16_MAX) fail("a transformed weight" + output + " exceeds 16 bits");
            for (int tap = 0; tap < taps; ++tap) reach.add(int64_t{form.unit} * kernel[tap], read);
        }
        reach.move(int64_t{form.grain} * layer.offset[o]);
        if (!reach.fits()) fail("the sum" + output + " can exceed 32 bits");
        if (layer.step) continue;
        if (layer.shift[o] < 0 || layer.shift[o] > 30) fail("a shift is not one of 0 to 30");
        if (!added) continue;
        if (layer.relu) reach.least = std::max<int64_t>(reach.least, 0), reach.most = std::max<int64_t>(reach.most, 0);
        reach.add(layer.gain[o], *added);
        reach.move((int64_t{1} << layer.shift[o]) / 2);
        if (!reach.fits()) fail("the sum" + output + " and what is added can exceed 32 bits");
    }
}
