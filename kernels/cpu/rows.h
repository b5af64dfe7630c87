// What a kernel is told for one call: pointers to rows, at their column 0, and the shape of the layer.
#pragma once

#include <cstdint>

constexpr int MOST_TILES = 8;    // of one Winograd block: with AVX2 6, whose 6 × 2 sums fill 12 of 16 registers
constexpr int MOST_TAPS = 9;     // of a direct kernel's edge

// Four output rows of a 3×3 convolution, a dilation apart, and the six input rows they see. A row that lies outside the
// picture is zeros when it is read, and a place that nobody reads when it is written.
struct FloatWinograd {
    const float* in[6];
    float* out[4];
    const float* added[4];  // added after the ReLU; null for nothing
    const float* weights;   // in the order of pack_winograd
    const float* bias;
    int columns, dilation, inputs, in_pitch, out_pitch, relu;
};

// What becomes of an integer layer's sums, in the order of in_chunks: see requantise.h.
struct Requantise {
    const int32_t* offset;
    const int32_t* shift;
    const int32_t* gain;
    const float* step;  // not null: float32 instead of levels
    int floor, ceiling, relu;
};

// The same in integers; of tiles of two rows the first two rows written and the first four read count.
struct IntegerWinograd {
    const int16_t* in[6];
    void* out[4];  // int16; float where there is a step
    const int16_t* added[4];
    const int16_t* weights;  // in the order of pack_integers
    Requantise end;
    int columns, dilation, inputs, in_pitch, out_pitch, tile_rows;
};

struct Activate {
    const float* bias;
    int relu;
};

// One output row of a direct convolution; out_step: elements from one output cell to the next.
template <class Element, class End>
struct DirectRow {
    const Element* in[MOST_TAPS];
    char* out;  // Element; float where integers end
    const Element* added;
    const Element* weights;  // in the order of pack_direct or pack_integers
    End end;
    int columns, kernel, stride, dilation, padding, inputs, in_pitch, out_pitch, out_step;
};
using FloatDirect = DirectRow<float, Activate>;
using IntegerDirect = DirectRow<int16_t, Requantise>;

// One row of cells and the rows of pixels that belong to it. frame: null where nothing is added on the way out.
struct EdgeRow {
    const float* frame;
    float* out;
    int64_t frame_pitch, out_pitch;
    int columns, block, cell_pitch;
};

// A row of bytes and the pixels that it becomes: `columns` of them, of which `margin` repeat the first and the rest the last.
struct BytesIn {
    const uint8_t* levels;
    float* pixels;
    int width, margin, columns;
};

// A row of what the network made and the bytes that it becomes; pixels: what it was made of. tissue: null for everywhere.
struct BytesOut {
    const float *made, *pixels;
    const uint8_t *frame, *tissue;
    uint8_t* out;
    int width;
    float strength;
};
