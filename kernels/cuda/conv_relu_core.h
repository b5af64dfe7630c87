// One convolution on one tile; what it does and why is told in conv_relu.cu.
#pragma once

#include "conv_tile.h"

// One call. Pictures are images × height × width × channels, floats, halves or bytes.
struct Convolution {
    const void* input;
    const void* residual;  // added before the ReLU, of the output's shape and type; may be null
    void* output;
    const char* weights;
    const Scale* scales;  // of the output channels, padded to whole groups
    int images, height, width, before, after, dilation, relu, tile_rows, tile_cols;
    float residual_step;  // of a residual of bytes, over the step of the output; else 1

    CORE int tiles_across() const { return (width + tile_cols - 1) / tile_cols; }
    CORE int tiles_down() const { return (height + tile_rows - 1) / tile_rows; }
    CORE int tiles() const { return images * tiles_down() * tiles_across(); }
    CORE int planes() const { return (before + 15) / 16; }
    // Whether pixel (y, x) exists, and its place among the pixels of all images.
    CORE bool inside(int y, int x) const {
        return static_cast<unsigned>(y) < static_cast<unsigned>(height) &&
               static_cast<unsigned>(x) < static_cast<unsigned>(width);
    }
    CORE int64_t pixel(int image, int y, int x) const { return (static_cast<int64_t>(image) * height + y) * width + x; }
};

struct Corner {
    int image, y, x;
};

CORE Corner corner_of(const Convolution& conv, int tile) {
    const int across = conv.tiles_across(), each = conv.tiles_down() * across, index = tile % each;
    return {tile / each, index / across * conv.tile_rows, index % across * conv.tile_cols};
}

CORE HalfQuad single(const void* from, int64_t at, HalfQuad) { return {static_cast<const uint16_t*>(from)[at], 0}; }
CORE ByteQuad single(const void* from, int64_t at, ByteQuad) { return {static_cast<const uint8_t*>(from)[at]}; }

CORE float value_at(const void* from, int64_t at, HalfQuad) { return half_of(static_cast<const uint16_t*>(from)[at], 0); }
CORE float value_at(const void* from, int64_t at, ByteQuad) { return static_cast<const int8_t*>(from)[at]; }

CORE void put_at(void* to, int64_t at, float value, HalfQuad) {
    static_cast<uint16_t*>(to)[at] = static_cast<uint16_t>(pack_halves(value, 0));
}
CORE void put_at(void* to, int64_t at, float value, ByteQuad) {
    static_cast<int8_t*>(to)[at] = static_cast<int8_t>(round_to_byte(value));
}
CORE void put_quad(void* to, int64_t at, const float* v, HalfQuad) {
    static_cast<HalfQuad*>(to)[at / 4] = {pack_halves(v[0], v[1]), pack_halves(v[2], v[3])};
}
CORE void put_quad(void* to, int64_t at, const float* v, ByteQuad) {
    static_cast<ByteQuad*>(to)[at / 4] = {pack_bytes(v[0], v[1], v[2], v[3])};
}

// Bring a tile and its halo into shared memory as planes; what is outside the image and channels that are not there are
// zero. A plane of 4 (TAPS 1) holds one quad a cell, a plane of 16 four.
template <class Quad, int TAPS>
CORE void load_tile(const Convolution& conv, int tile, Quad* planes, int thread, int threads) {
    constexpr int QUADS = TAPS == 1 ? 1 : 4;
    const Corner corner = corner_of(conv, tile);
    const Region at = {conv.tile_rows, conv.tile_cols, conv.dilation};
    const int cells = at.in_cells(), all = QUADS * conv.planes(), there = conv.before / 4;
    for (int index = thread; index < cells * all; index += threads) {
        const int cell = index / all, quad = index % all;
        const int y = corner.y + cell / at.in_cols() - conv.dilation, x = corner.x + cell % at.in_cols() - conv.dilation;
        Quad value = {};
        if (conv.inside(y, x)) {
            const int64_t pixel = conv.pixel(corner.image, y, x);
            if (conv.before == 1)
                value = quad == 0 ? single(conv.input, pixel, Quad()) : value;
            else if (quad < there)
                value = static_cast<const Quad*>(conv.input)[pixel * there + quad];
        }
        planes[(quad / QUADS * cells + cell) * QUADS + quad % QUADS] = value;
    }
}

// Residual, ReLU, rounding, and to global memory.
template <class Quad, int BLOCKS>
struct Written {
    const Convolution& conv;
    Corner corner;
    CORE void operator()(int group, int y, int x, int t, float* v) const {
        const int channel = group * 8 * BLOCKS + t * 2 * BLOCKS;
        if (!conv.inside(corner.y + y, corner.x + x) || channel >= conv.after) return;
        const int64_t at = conv.pixel(corner.image, corner.y + y, corner.x + x) * conv.after + channel;
        const int count = conv.after - channel < 2 * BLOCKS ? conv.after - channel : 2 * BLOCKS;
        UNROLL for (int j = 0; j < 2 * BLOCKS; ++j) {
            if (conv.residual && j < count) v[j] = fmaf(conv.residual_step, value_at(conv.residual, at + j, Quad()), v[j]);
            if (conv.relu && v[j] < 0) v[j] = 0;
        }
        if constexpr (BLOCKS == 2) {
            put_quad(conv.output, at, v, Quad());
        } else {
            UNROLL for (int j = 0; j < 2; ++j)
                if (j < count) put_at(conv.output, at + j, v[j], Quad());
        }
    }
};

template <class Quad, int TAPS, int BLOCKS>
CORE void convolve_tile(const Convolution& conv, int tile, const Quad* planes, int warp, int warps) {
    const Region at = {conv.tile_rows, conv.tile_cols, conv.dilation};
    const Planes<Quad> in = {planes, at.in_cells(), conv.planes(), conv.planes()};
    const int groups = BLOCKS == 1 ? 1 : conv.after / 16;
    convolve<TAPS, BLOCKS>(in, at, reinterpret_cast<const Quad*>(conv.weights), groups, warp % groups, conv.scales,
                           warp / groups, warps / groups, Written<Quad, BLOCKS>{conv, corner_of(conv, tile)});
}

// Floats: four pixels of a row and four output channels for each `index`, straight from global memory. Weights are
// tap by tap, input by input, (9, before, after padded to whole quads).
constexpr int PIXELS = 4;

CORE int64_t float_items(const Convolution& conv) {
    return static_cast<int64_t>(conv.images) * conv.height * ((conv.width + PIXELS - 1) / PIXELS) * ((conv.after + 3) / 4);
}

CORE void convolve_floats(const Convolution& conv, int64_t index) {
    const int quads = (conv.after + 3) / 4, strips = (conv.width + PIXELS - 1) / PIXELS, quad = static_cast<int>(index % quads);
    const int x = static_cast<int>(index / quads % strips) * PIXELS;
    const int y = static_cast<int>(index / quads / strips % conv.height);
    const int image = static_cast<int>(index / quads / strips / conv.height);
    const float *input = static_cast<const float*>(conv.input), *weights = reinterpret_cast<const float*>(conv.weights);
    float sums[PIXELS][4] = {};
    for (int tap = 0; tap < 9; ++tap) {
        const int row = y + (tap / 3 - 1) * conv.dilation, first = x + (tap % 3 - 1) * conv.dilation;
        for (int c = 0; c < conv.before; ++c) {
            const float* w = weights + ((tap * conv.before + c) * quads + quad) * 4;
            UNROLL for (int p = 0; p < PIXELS; ++p) {
                const float v = conv.inside(row, first + p) ? input[conv.pixel(image, row, first + p) * conv.before + c] : 0;
                UNROLL for (int j = 0; j < 4; ++j) sums[p][j] = fmaf(v, w[j], sums[p][j]);
            }
        }
    }
    UNROLL for (int p = 0; p < PIXELS; ++p) UNROLL for (int j = 0; j < 4; ++j) {
        const int channel = quad * 4 + j;
        if (x + p >= conv.width || channel >= conv.after) continue;
        const int64_t at = conv.pixel(image, y, x + p) * conv.after + channel;
        float v = fmaf(sums[p][j], conv.scales[channel].step, conv.scales[channel].offset);
        if (conv.residual) v += static_cast<const float*>(conv.residual)[at];
        static_cast<float*>(conv.output)[at] = conv.relu && v < 0 ? 0 : v;
    }
}
