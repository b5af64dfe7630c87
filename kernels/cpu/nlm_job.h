// What the kernels of non-local means are told: one block of rows of the image.
//
// A row is cut into as many strips as a vector has lanes, and vector j of it holds pixel j of every strip:
//
//     strips    a0 a1 a2 … │ b0 b1 b2 … │ …        vectors    a0 b0 … │ a1 b1 … │ a2 b2 … │ …
//
// A shift by columns is then one by whole vectors, all memory is aligned, and the sum of a window runs on from one vector
// to the next, as that of its rows does. Strips go on for `halo` pixels beyond both ends, into those beside them.
#pragma once

#include <cstdint>

constexpr int NLM_CENTRE = (1 << 12) - 2;  // the weight of distance 0, as nlm_rows.h rounds it
constexpr int NLM_SHIFTS = 8;              // until short sums are full: each adds at most NLM_CENTRE twice

// Pointers are to the first vector of the block's first row; `pitch` numbers lie between rows, and there are margins all around.
// levels: |p − q|, doubled so often but at most `farthest`, squared, over 2¹⁵, is what a pixel adds to a patch distance.
// values: what is averaged, in 15 bits. strip: pixels of one. memory: for each of NLM_SHIFTS shifts `patch` rows of
// squares and one of column sums. stopped: one row, with nothing in the `patch` vectors before its first.
struct NlmBlock {
    const uint16_t *levels, *values;
    int64_t pitch;
    int rows, strip, patch, doublings, farthest, limit;
    uint16_t *weights, *sums, *memory, *stopped;
};
