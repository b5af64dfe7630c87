// The 3×3 cells around one place of a stream of cells, row after row: line buffers for what lies above, registers beside.
#pragma once

#include "cell.h"

// Taps are DILATION cells apart, so 2·DILATION rows are kept. The centre is DILATION rows and DILATION cells behind the
// newest cell, whatever the width. Taps beyond the border hold leftovers: whoever reads them has to mask them.
template <int IN, int DILATION, int MAX_COLUMNS> class Window {
  public:
    static constexpr int SPAN = 2 * DILATION + 1;

    // The next cell of the stream, in this column. Columns count up from 0 to the width of the picture, again and again.
    void take(const Cell<IN>& cell, int column) {
#pragma HLS INLINE
        if (column == 0) slot_ = slot_ + 1 == 2 * DILATION ? 0 : slot_ + 1;
        const int half = slot_ >= DILATION ? slot_ - DILATION : slot_ + DILATION;
        for (int row = 0; row < 3; row++) {
#pragma HLS UNROLL
            for (int place = 0; place < SPAN - 1; place++) {
#pragma HLS UNROLL
                for (int i = 0; i < IN; i++) taps_[row][place][i] = taps_[row][place + 1][i];
            }
        }
        for (int i = 0; i < IN; i++) {
#pragma HLS UNROLL
            taps_[0][SPAN - 1][i] = lines_[slot_][column][i];  // of 2·DILATION rows ago, overwritten now
            taps_[1][SPAN - 1][i] = lines_[half][column][i];
            taps_[2][SPAN - 1][i] = cell.value[i];
            lines_[slot_][column][i] = cell.value[i];
        }
    }

    uint8_t at(int row, int column, int channel) const { return taps_[row][column * DILATION][channel]; }

    uint8_t lines_[2 * DILATION][MAX_COLUMNS][IN];  // block RAM; public for the pragmas of whoever holds it
    uint8_t taps_[3][SPAN][IN] = {};                // registers

  private:
    int slot_ = 2 * DILATION - 1;
};
