// Pixels to cells of 2×2 and back. Of a frame with an odd side the last row or column is repeated, and left out again.
#pragma once

#include "cell.h"
#include "stream.h"

using Beat = hls::axis<uint8_t, 0, 0, 0>;  // AXI4-Stream: one pixel a beat, TLAST on the last one of a frame

// Cells go two ways: to the first layer, and to the last one, which adds them.
template <int MAX_COLUMNS>
void unshuffle(hls::stream<Beat>& in, hls::stream<Cell<CELL_CHANNELS>>& out, hls::stream<Cell<CELL_CHANNELS>>& way,
               int height, int width) {
    uint8_t above[2 * MAX_COLUMNS];
    const int rows = (height + 1) / CELL, columns = (width + 1) / CELL;
    uint8_t pixel = 0, left = 0;
    for (int y = 0; y < rows * CELL; y++) {
        for (int x = 0; x < columns * CELL; x++) {
#pragma HLS PIPELINE II = 1
            if (y == height) {
                pixel = above[x];
            } else if (x < width) {
                pixel = in.read().data;
            }
            if (y % CELL == 0) {
                above[x] = pixel;
            } else if (x % CELL == 1) {
                const Cell<CELL_CHANNELS> cell = {{above[x - 1], above[x], left, pixel}};
                out.write(cell);
                way.write(cell);
            }
            left = pixel;
        }
    }
}

template <int MAX_COLUMNS>
void shuffle(hls::stream<Cell<CELL_CHANNELS>>& in, hls::stream<Beat>& out, int height, int width) {
    uint8_t below[2 * MAX_COLUMNS];
    const int columns = (width + 1) / CELL;
    Cell<CELL_CHANNELS> cell = {};
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < columns * CELL; x++) {
#pragma HLS PIPELINE II = 1
            if (y % CELL == 0) {
                if (x % CELL == 0) cell = in.read();
                below[x] = cell.value[CELL + x % CELL];
            }
            if (x < width) {
                Beat beat;
                beat.data = y % CELL == 0 ? cell.value[x % CELL] : below[x];
                beat.keep = beat.strb = 1;
                beat.last = y + 1 == height && x + 1 == width;
                out.write(beat);
            }
        }
    }
}
