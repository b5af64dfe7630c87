// Arithmetic of frontend.cu, for the GPU and for the CPU alike; the design is in frontend.cu.
#pragma once

#include <math.h>
#include <stdint.h>

#include "host_device.h"

namespace frontend {

// Half-pixel centres: output i looks at (i + ½)·source/target − ½, clamped. Integers, so that no position is rounded;
// sides are at most 16384.
struct Between {
    int first, second;
    float weight;  // of the second
};

CORE Between between(int index, int source, int target) {
    const int doubled = 2 * target, position = (2 * index + 1) * source - target;
    if (position <= 0) return {0, 0, 0.0f};
    const int first = position / doubled;
    if (first >= source - 1) return {source - 1, source - 1, 0.0f};
    return {first, first + 1, static_cast<float>(position - first * doubled) / static_cast<float>(doubled)};
}

CORE float mix(float first, float second, float weight) { return first + weight * (second - first); }

// [0, 255] at the centre of an output pixel.
CORE float bilinear(const uint8_t* image, int width, Between row, Between column) {
    const uint8_t *upper = image + static_cast<int64_t>(row.first) * width,
                  *lower = image + static_cast<int64_t>(row.second) * width;
    return mix(mix(upper[column.first], upper[column.second], column.weight),
               mix(lower[column.first], lower[column.second], column.weight), row.weight);
}

// How much of source pixel k lies under output i, which covers [i, i + 1]·source/target: in parts of 1/source.
CORE int overlap(int k, int index, int source, int target) {
    const int start = k * target > index * source ? k * target : index * source;
    const int end = (k + 1) * target < (index + 1) * source ? (k + 1) * target : (index + 1) * source;
    return end - start;
}

// [0, 255], the mean over what an output pixel covers; the image is not enlarged.
CORE float area(const uint8_t* image, int height, int width, int row, int column, int rows, int columns) {
    float sum = 0;
    for (int y = row * height / rows; y * rows < (row + 1) * height; ++y) {
        float line = 0;
        for (int x = column * width / columns; x * columns < (column + 1) * width; ++x)
            line += static_cast<float>(overlap(x, column, width, columns)) *
                    static_cast<float>(image[static_cast<int64_t>(y) * width + x]);
        sum += static_cast<float>(overlap(y, row, height, rows)) * line;
    }
    return sum / (static_cast<float>(height) * static_cast<float>(width));
}

CORE float clamp_unit(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }  // NaN → 0

// 1 + 20·log10(|I + jQ| / reference) / range, in [0, 1]; range in dB.
CORE float log_compressed(float i, float q, float inverse_reference, float inverse_range) {
    const float u = i * inverse_reference, v = q * inverse_reference;
    return clamp_unit(1.0f + 10.0f * log10f(u * u + v * v) * inverse_range);
}

// [0, 1] → 0 … 255, halves to even; saturates, NaN → 0.
CORE uint8_t to_byte(float x) { return static_cast<uint8_t>(rintf(clamp_unit(x) * 255.0f)); }

// A sector: lines at equal angles from an apex, each sampled at equal depths; and the Cartesian picture of it.
struct Sector {
    int samples, lines;                // of the polar image, (samples, lines), rows being depth
    float apex_x, apex_z;              // mm
    float start_angle, angle_step;     // radians from the z axis, towards +x; one line to the next
    float start_depth, depth_step;     // mm from the apex; one sample to the next
    int height, width;                 // of the picture
    float left, top, step_x, step_z;   // mm: centre of its first pixel, and from one to the next
};

// A pixel of the picture; outside the sector it is 0.
CORE float scan_converted(const Sector& sector, const float* polar, int row, int column) {
    const float x = sector.left + static_cast<float>(column) * sector.step_x - sector.apex_x;
    const float z = sector.top + static_cast<float>(row) * sector.step_z - sector.apex_z;
    const float sample = (sqrtf(x * x + z * z) - sector.start_depth) / sector.depth_step;
    const float line = (atan2f(x, z) - sector.start_angle) / sector.angle_step;
    const float last_sample = static_cast<float>(sector.samples - 1), last_line = static_cast<float>(sector.lines - 1);
    if (!(sample >= 0 && sample <= last_sample && line >= 0 && line <= last_line)) return 0;
    const int s = static_cast<int>(sample), l = static_cast<int>(line);
    const int below = s + 1 < sector.samples ? s + 1 : s, beside = l + 1 < sector.lines ? l + 1 : l;
    const float* first = polar + static_cast<int64_t>(s) * sector.lines;
    const float* second = polar + static_cast<int64_t>(below) * sector.lines;
    const float weight = line - static_cast<float>(l);
    return mix(mix(first[l], first[beside], weight), mix(second[l], second[beside], weight),
               sample - static_cast<float>(s));
}

}  // namespace frontend
