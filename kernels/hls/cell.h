// A cell: the channels at one place of the picture, what every stream between the stages carries.
#pragma once

#include <cstdint>

template <int CHANNELS> struct Cell {
    uint8_t value[CHANNELS];
};

constexpr int CELL = 2;                     // side of a cell of the frame, in pixels
constexpr int CELL_CHANNELS = CELL * CELL;  // channel 2·dy + dx is the pixel at (dy, dx)
