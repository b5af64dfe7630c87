// One layer: 3×3 convolution, bias, rounding to uint8. The arithmetic is that of edgerecon/deploy/integer_reference.py.
#pragma once

#include "stream.h"
#include "window.h"

// What a generated layer states (weights.h): IN, OUT, DILATION, IN_STEP, OUT_STEP, and the functions weight(output, tap,
// input), bias(output) and shift(output). IN_STEP·OUT_STEP·9 products are formed each cycle.

// sum / 2^shift, halves to even, clipped: the lower end is the ReLU.
inline uint8_t requantise(int32_t sum, int shift) {
#pragma HLS INLINE
    const int32_t odd = (sum >> shift) & 1;
    const int32_t half = (int32_t(1) << shift) >> 1;
    const int32_t rounded = (sum + (shift ? half - 1 + odd : 0)) >> shift;
    return rounded < 0 ? 0 : rounded > 255 ? 255 : uint8_t(rounded);
}

// The layer's output for what its window shows; `seen` is masked, `added` goes in at the scale of the output.
template <class L> Cell<L::OUT> output_cell(const uint8_t (&seen)[9][L::IN], const Cell<L::OUT>& added) {
#pragma HLS INLINE
    static_assert(L::IN % L::IN_STEP == 0 && L::OUT % L::OUT_STEP == 0, "the channels do not fold into these steps");
    Cell<L::OUT> result;
    int32_t sums[L::OUT_STEP];
#pragma HLS ARRAY_PARTITION variable = sums complete
    for (int out = 0; out < L::OUT; out += L::OUT_STEP) {
        for (int in = 0; in < L::IN; in += L::IN_STEP) {
#pragma HLS PIPELINE II = 1
            for (int o = 0; o < L::OUT_STEP; o++) {
                int32_t sum = in ? sums[o] : L::bias(out + o) + (int32_t(added.value[out + o]) << L::shift(out + o));
                for (int tap = 0; tap < 9; tap++) {
                    for (int i = 0; i < L::IN_STEP; i++) sum += L::weight(out + o, tap, in + i) * seen[tap][in + i];
                }
                sums[o] = sum;
                if (in + L::IN_STEP == L::IN) result.value[out + o] = requantise(sum, L::shift(out + o));
            }
        }
    }
    return result;
}

// What is added where the layer is not the last one: nothing.
template <int CHANNELS> struct Nothing {
    Cell<CHANNELS> read() { return {}; }
};

// A picture of rows × columns cells. The stage runs on for DILATION rows and cells when all cells have come in.
template <class L, int MAX_COLUMNS, class Way>
void convolve_with(hls::stream<Cell<L::IN>>& in, Way& way, hls::stream<Cell<L::OUT>>& out, int rows, int columns) {
#pragma HLS INLINE
    constexpr int D = L::DILATION;
    Window<L::IN, D, MAX_COLUMNS> window;
#pragma HLS ARRAY_PARTITION variable = window.lines_ dim = 1 complete
#pragma HLS ARRAY_RESHAPE variable = window.lines_ dim = 3 complete
#pragma HLS ARRAY_PARTITION variable = window.taps_ complete
    const int cells = rows * columns;
    const int behind = D * columns + D;
    int column = 0, out_row = 0, out_column = 0;
    for (int step = 0; step < cells + behind; step++) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = MAX_COLUMNS* MAX_COLUMNS
        Cell<L::IN> cell = {};
        if (step < cells) cell = in.read();
        window.take(cell, column);
        column = column + 1 == columns ? 0 : column + 1;
        if (step < behind) continue;
        uint8_t seen[9][L::IN];
#pragma HLS ARRAY_PARTITION variable = seen complete
        for (int tap = 0; tap < 9; tap++) {
#pragma HLS UNROLL
            const int y = out_row + (tap / 3 - 1) * D, x = out_column + (tap % 3 - 1) * D;
            const bool inside = y >= 0 && y < rows && x >= 0 && x < columns;
            const uint8_t mask = inside ? 255 : 0;
            for (int i = 0; i < L::IN; i++) seen[tap][i] = window.at(tap / 3, tap % 3, i) & mask;
        }
        out.write(output_cell<L>(seen, way.read()));
        out_column = out_column + 1 == columns ? 0 : out_column + 1;
        if (out_column == 0) out_row++;
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
