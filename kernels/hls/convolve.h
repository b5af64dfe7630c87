// One layer: 3×3 convolution, bias, rounding to uint8. The arithmetic is that of edgerecon/fpga/integer_reference.py.
#pragma once

#include "stream.h"
#include "window.h"

// What a generated layer states (weights.h): IN, OUT, DILATION, IN_STEP, OUT_STEP, and WEIGHTS, BIASES and SHIFTS in the
// order in which they are used. Each cycle forms 9·IN_STEP·OUT_STEP products, so a cell takes FOLDS cycles: for every
// OUT_STEP output channels all groups of IN_STEP input channels in turn.

// sum / 2^shift, halves to even, clipped: the lower end is the ReLU.
inline uint8_t requantise(int32_t sum, int shift) {
#pragma HLS INLINE
    const int32_t odd = (sum >> shift) & 1;
    const int32_t half = (int32_t(1) << shift) >> 1;
    const int32_t rounded = (sum + (shift ? half - 1 + odd : 0)) >> shift;
    return rounded < 0 ? 0 : rounded > 255 ? 255 : uint8_t(rounded);
}

// One cycle's products of one output channel.
template <int COUNT> int32_t products(const int8_t (&weights)[COUNT], const uint8_t (&seen)[COUNT]) {
#pragma HLS INLINE
    int32_t sum = 0;
    for (int k = 0; k < COUNT; k++) {
#pragma HLS UNROLL
        sum += weights[k] * seen[k];
    }
    return sum;
}

// What is added where the layer is not the last one: nothing.
template <int CHANNELS> struct Nothing {
    Cell<CHANNELS> read() { return {}; }
};

// What the window shows, a group of IN_STEP channels at nine taps after the other, with zeros beyond the border.
template <class L, int MAX_COLUMNS>
void look(const Window<L::IN, L::DILATION, MAX_COLUMNS>& window, uint8_t (&seen)[L::IN / L::IN_STEP][9 * L::IN_STEP],
          int row, int column, int rows, int columns) {
#pragma HLS INLINE
    for (int tap = 0; tap < 9; tap++) {
#pragma HLS UNROLL
        const int y = row + (tap / 3 - 1) * L::DILATION, x = column + (tap % 3 - 1) * L::DILATION;
        const uint8_t mask = y >= 0 && y < rows && x >= 0 && x < columns ? 255 : 0;
        for (int i = 0; i < L::IN; i++) {
            seen[i / L::IN_STEP][tap * L::IN_STEP + i % L::IN_STEP] = window.at(tap / 3, tap % 3, i) & mask;
        }
    }
}

// A picture of rows × columns cells. The stage runs on for DILATION rows and cells when all cells have come in.
template <class L, int MAX_COLUMNS, class Way>
void convolve_with(hls::stream<Cell<L::IN>>& in, Way& way, hls::stream<Cell<L::OUT>>& out, int rows, int columns) {
#pragma HLS INLINE
    static_assert(L::IN % L::IN_STEP == 0 && L::OUT % L::OUT_STEP == 0, "the channels do not fold into these steps");
    constexpr int D = L::DILATION, GROUPS = L::IN / L::IN_STEP, FOLDS = GROUPS * (L::OUT / L::OUT_STEP);
#pragma HLS ARRAY_PARTITION variable = L::WEIGHTS dim = 2 complete
#pragma HLS ARRAY_PARTITION variable = L::WEIGHTS dim = 3 complete
    Window<L::IN, D, MAX_COLUMNS> window;
#pragma HLS ARRAY_PARTITION variable = window.lines_ dim = 1 complete
#pragma HLS ARRAY_RESHAPE variable = window.lines_ dim = 3 complete
#pragma HLS ARRAY_PARTITION variable = window.taps_ dim = 0 complete
    uint8_t seen[GROUPS][9 * L::IN_STEP];
#pragma HLS ARRAY_PARTITION variable = seen dim = 0 complete
    int32_t sums[L::OUT_STEP] = {};
#pragma HLS ARRAY_PARTITION variable = sums complete
    Cell<L::OUT> result = {}, added = {};
    const int cells = rows * columns;
    const int behind = D * columns + D;
    int step = 0, fold = 0, group = 0, channel = 0, column = 0, out_row = 0, out_column = 0;
    for (int cycle = 0; cycle < (cells + behind) * FOLDS; cycle++) {
#pragma HLS PIPELINE II = 1
        if (fold == 0) {
            Cell<L::IN> cell = {};
            if (step < cells) cell = in.read();
            window.take(cell, column);
            column = column + 1 == columns ? 0 : column + 1;
            if (step >= behind) {
                look<L, MAX_COLUMNS>(window, seen, out_row, out_column, rows, columns);
                added = way.read();
            }
        }
        if (step >= behind) {
            for (int o = 0; o < L::OUT_STEP; o++) {
#pragma HLS UNROLL
                const int shift = L::SHIFTS[channel + o];
                const int32_t start = L::BIASES[channel + o] + (int32_t(added.value[channel + o]) << shift);
                sums[o] = (group == 0 ? start : sums[o]) + products(L::WEIGHTS[fold][o], seen[group]);
                if (group + 1 == GROUPS) result.value[channel + o] = requantise(sums[o], shift);
            }
            if (fold + 1 == FOLDS) {
                out.write(result);
                out_column = out_column + 1 == columns ? 0 : out_column + 1;
                if (out_column == 0) out_row++;
            }
        }
        group = group + 1 == GROUPS ? 0 : group + 1;
        if (group == 0) channel += L::OUT_STEP;
        if (++fold == FOLDS) {
            fold = channel = 0;
            step++;
        }
    }
}

template <class L, int MAX_COLUMNS>
void convolve(hls::stream<Cell<L::IN>>& in, hls::stream<Cell<L::OUT>>& out, int rows, int columns) {
    Nothing<L::OUT> nothing;
    convolve_with<L, MAX_COLUMNS>(in, nothing, out, rows, columns);
}

// The last layer, which adds the frame.
template <class L, int MAX_COLUMNS>
void convolve(hls::stream<Cell<L::IN>>& in, hls::stream<Cell<L::OUT>>& way, hls::stream<Cell<L::OUT>>& out, int rows,
              int columns) {
    convolve_with<L, MAX_COLUMNS>(in, way, out, rows, columns);
}
