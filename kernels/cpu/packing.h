// Weights in the order in which the kernels read them, from output × input × height × width.
//
//     winograd, float32    [chunk of 16 or 8 outputs][product][input][output of the chunk]
//     direct, float32      [chunk][tap][input][output];  transposed: [tap][chunk][input][output]
//     int16                [chunk of 16, or of 8 (chunk_of)][product or tap][pair of inputs][output][of the pair]
//                          transposed: [tap][chunk][pair][output][of the pair]
#pragma once

#include <cstdint>
#include <vector>

#include "edgerecon_cpu.h"

template <class Value>
std::vector<Value> padded_copy(const Value* values, int count, int whole) {
    std::vector<Value> all((count + whole - 1) / whole * whole);
    std::copy(values, values + count, all.begin());
    return all;
}

// L g Rᵀ of a 3×3 kernel.
template <int Rows, class Value, class Weight>
void transform_kernel(const Value (&L)[Rows][3], const Value (&R)[6][3], const Weight* kernel, Value* products) {
    for (int i = 0; i < Rows; ++i)
        for (int j = 0; j < 6; ++j) {
            Value sum = 0;
            for (int y = 0; y < 3; ++y)
                for (int x = 0; x < 3; ++x) sum += L[i][y] * R[j][x] * static_cast<Value>(kernel[3 * y + x]);
            products[6 * i + j] = sum;
        }
}

constexpr double G_FLOAT[6][3] = {{1. / 4, 0, 0},
                                  {-1. / 6, -1. / 6, -1. / 6},
                                  {-1. / 6, 1. / 6, -1. / 6},
                                  {1. / 24, 1. / 12, 1. / 6},
                                  {1. / 24, -1. / 12, 1. / 6},
                                  {0, 0, 1}};
constexpr int64_t G_INTEGER[6][3] = {{6, 0, 0}, {-1, -1, -1}, {-1, 1, -1}, {1, 2, 4}, {1, -2, 4}, {0, 0, 6}};
constexpr int64_t G_TWO_ROWS[4][3] = {{1, 0, 0}, {1, 1, 1}, {1, -1, 1}, {0, 0, 1}};

// How an integer layer is computed: in tiles of 4×4 or 2×4 by Winograd, or tap by tap (0 rows). The result is `unit` times
// the convolution plus `grain` times the offset.
struct IntegerForm {
    int tile_rows, unit, grain;
    int products() const { return 6 * (tile_rows + 2); }
    void transform(const int16_t* kernel, int64_t* products) const {
        if (tile_rows == 4) transform_kernel(G_INTEGER, G_INTEGER, kernel, products);
        if (tile_rows == 2) transform_kernel(G_TWO_ROWS, G_INTEGER, kernel, products);
    }
};
constexpr IntegerForm FOUR_ROWS = {4, 576, 16}, TWO_ROWS = {2, 48, 4}, TAP_BY_TAP = {0, 1, 1};

// Calls use(first output, outputs of the chunk) for chunks of 16, then one of 8.
template <class Use>
void for_chunks(int outputs, Use use) {
    const int all = (outputs + 7) / 8 * 8;
    for (int first = 0; first < all; first += 16) use(first, all - first >= 16 ? 16 : 8);
}

inline std::vector<float> pack_winograd(const edgerecon_layer& layer) {
    std::vector<float> packed;
    for_chunks(layer.outputs, [&](int first, int chunk) {
        const size_t start = packed.size();
        packed.resize(start + size_t{36} * layer.inputs * chunk);
        for (int o = 0; o < chunk && first + o < layer.outputs; ++o)
            for (int k = 0; k < layer.inputs; ++k) {
                double products[36];
                transform_kernel(G_FLOAT, G_FLOAT, layer.weights + (size_t(first + o) * layer.inputs + k) * 9, products);
                for (int p = 0; p < 36; ++p)
                    packed[start + (size_t(p) * layer.inputs + k) * chunk + o] = static_cast<float>(products[p]);
            }
    });
    return packed;
}

// Place of an output channel among 16, such that two vectors of sums narrow to one in order (lanes.h, narrowed).
inline int place_in_chunk(int output) {
    static const int quarter[4] = {0, 2, 1, 3};
    return 4 * quarter[output / 4 % 4] + output % 4;
}

// A value an output, each at its place in its chunk of 16, or in order where chunks have 8.
inline std::vector<int32_t> in_chunks(const int32_t* values, int count, int chunk) {
    if (chunk == 8) return padded_copy(values, count, 8);
    std::vector<int32_t> all((count + 15) / 16 * 16);
    for (int i = 0; i < count; ++i) all[i / 16 * 16 + place_in_chunk(i % 16)] = values[i];
    return all;
}

inline std::vector<int16_t> pack_integers(const edgerecon_layer& layer, const IntegerForm& form, int chunk, size_t& tap_size) {
    const bool transposed = layer.kind == EDGERECON_TRANSPOSED;
    const int chunks = (layer.outputs + chunk - 1) / chunk, pairs = (layer.inputs + 1) / 2;
    const int size = layer.kernel * layer.kernel, taps = form.tile_rows ? form.products() : size;
    std::vector<int16_t> packed(size_t(chunks) * taps * pairs * chunk * 2);
    for (int o = 0; o < layer.outputs; ++o)
        for (int k = 0; k < layer.inputs; ++k) {
            const size_t kernel = transposed ? size_t(k) * layer.outputs + o : size_t(o) * layer.inputs + k;
            const int16_t* weights = layer.integers + kernel * size;
            int64_t products[36];
            form.transform(weights, products);
            const int place = chunk == 8 ? o % 8 : place_in_chunk(o % 16);
            for (int tap = 0; tap < taps; ++tap) {
                const size_t row = transposed ? size_t(tap) * chunks + o / chunk : size_t(o / chunk) * taps + tap;
                packed[((row * pairs + k / 2) * chunk + place) * 2 + k % 2] =
                    form.tile_rows ? static_cast<int16_t>(products[tap]) : weights[tap];
            }
        }
    tap_size = packed.size() / taps;
    return packed;
}

inline std::vector<float> pack_direct(const edgerecon_layer& layer) {
    const int taps = layer.kernel * layer.kernel;
    std::vector<float> packed;
    for_chunks(layer.outputs, [&](int first, int chunk) {
        for (int tap = 0; tap < taps; ++tap)
            for (int k = 0; k < layer.inputs; ++k)
                for (int o = first; o < first + chunk; ++o)
                    packed.push_back(o < layer.outputs ? layer.weights[(size_t(o) * layer.inputs + k) * taps + tap] : 0.f);
    });
    return packed;
}

// From input × output × height × width, as ONNX has it.
inline std::vector<float> pack_transposed(const edgerecon_layer& layer, size_t& tap_size) {
    const int taps = layer.kernel * layer.kernel;
    std::vector<float> packed;
    for (int tap = 0; tap < taps; ++tap)
        for_chunks(layer.outputs, [&](int first, int chunk) {
            for (int k = 0; k < layer.inputs; ++k)
                for (int o = first; o < first + chunk; ++o)
                    packed.push_back(o < layer.outputs ? layer.weights[(size_t(k) * layer.outputs + o) * taps + tap] : 0.f);
        });
    tap_size = packed.size() / taps;
    return packed;
}
