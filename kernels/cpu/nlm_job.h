// What the kernels of non-local means are told: one block of rows of the image.
#pragma once

#include <cstdint>

constexpr int NLM_CENTRE = (1 << 12) - 2;  // the weight of distance 0, as nlm_rows.h rounds it
constexpr int NLM_SHIFTS = 8;              // until short sums are full: each adds at most NLM_CENTRE twice

// Pointers are to the block's first pixel; `pitch` numbers lie between rows, and there are margins all around.
// levels: |p − q|, doubled so often but at most `farthest`, squared, over 2¹⁵, is what a pixel adds to a patch distance.
// values: what is averaged, in 15 bits. memory: for each of NLM_SHIFTS shifts
// `patch` rows of squares and one of column sums. stopped: one row.
struct NlmBlock {
    const uint16_t *levels, *values;
    int64_t pitch;
    int rows, width, patch, doublings, farthest, limit;
    uint16_t *weights, *sums, *memory, *stopped;
};
