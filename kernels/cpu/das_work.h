// What one thread of a beamformer works with: a tile of pixels, what an element hears of it, the sums.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "das_interface.h"
#include "das_job.h"

struct DasWork {
    DasPixels pixels;
    DasHeard heard;
    DasValues sums[DAS_WAVES], sum;
    DasSums total;
    std::vector<DasTransmit> transmits;
    alignas(32) float weight[DAS_TILE];
    DasPlaces places[DAS_BLOCK];
    const int16_t* rows[DAS_BLOCK];
    std::vector<float> memory;  // a row of samples while it is loaded, sums of many frames
    int top, left, down, across;  // the tile
    bool by_columns;
    float centre_x, centre_z, radius;
    float least, most;  // places of samples that were heard so far, within the longest row

    // visit(place within the tile, pixel of the picture). Column after column where a tile is summed for one frame: the edge
    // of what an element hears is steep, and most columns lie on one side of it. Row after row where it is summed for many
    // frames: neighbours of a row read the same samples, which fill the cache.
    template <class Visit>
    void each(int width, Visit visit) const {
        for (int column = 0, at = 0; by_columns && column < across; ++column)
            for (int row = 0; row < down; ++row, ++at) visit(at, size_t(top + row) * width + left + column);
        for (int row = 0, at = 0; !by_columns && row < down; ++row)
            for (int column = 0; column < across; ++column, ++at) visit(at, size_t(top + row) * width + left + column);
    }

    // Values of the tile's pixels side by side, the last one repeated up to a whole vector.
    void copy(const float* from, int width, float* to) const {
        each(width, [&](int at, size_t pixel) { to[at] = from[pixel]; });
        for (int at = down * across; at < pixels.count; ++at) to[at] = to[down * across - 1];
    }

    void take(int row, int column, int rows, int columns, bool columns_first, const float* x, const float* z, int width) {
        top = row, left = column, down = rows, across = columns, by_columns = columns_first;
        pixels.count = (down * across + 15) / 16 * 16;
        copy(x, width, pixels.x);
        copy(z, width, pixels.z);
        const auto ends_x = std::minmax_element(pixels.x, pixels.x + pixels.count);
        const auto ends_z = std::minmax_element(pixels.z, pixels.z + pixels.count);
        centre_x = (*ends_x.first + *ends_x.second) / 2;
        centre_z = (*ends_z.first + *ends_z.second) / 2;
        radius = std::hypot(*ends_x.second - *ends_x.first, *ends_z.second - *ends_z.first) / 2;
    }

    // Delays of what is heard, behind those of transmits; NaN is anywhere.
    void widen(float nearest, float farthest) {
        int32_t first = INT32_MAX, last = INT32_MIN;
        for (int at = 0; at < pixels.count; ++at) {
            if (!heard.any[at / 8]) continue;
            first = std::min(first, heard.place[at]), last = std::max(last, heard.place[at]);
        }
        constexpr float part = 1.f / (1 << DAS_FRACTION), longest = DAS_LONGEST;
        const float from = first * part + nearest, to = last * part + farthest;
        least = from > 0 ? std::min(least, from) : 0;
        most = to < longest ? std::max(most, to) : longest;
    }

    static void clear(DasValues& values, int count) {
        for (float* one : {values.real, values.imag}) memset(one, 0, count * sizeof(float));
    }

    static void clear(DasSums& sums, int count) {
        for (float* one : {sums.real, sums.imag, sums.energy, sums.second}) memset(one, 0, count * sizeof(float));
    }
};
