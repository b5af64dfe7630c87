// Arithmetic of ssim.cu, for the GPU and for the CPU alike; the design is in ssim.cu.
#pragma once

#include "host_device.h"

namespace ssim {

constexpr int SIZE = 11;              // of the window, σ = 1.5
constexpr int COLUMNS = 128;          // threads of a block; each owns one column of the output
constexpr int LINE = COLUMNS + SIZE - 1;
constexpr float C1 = 0.0001f, C2 = 0.0009f;

// Normalised Gaussian; the window is symmetric.
CORE constexpr float tap(int index) {
    constexpr float taps[6] = {0.001028380123898387f, 0.0075987582094967365f, 0.036000773310661316f,
                               0.10936068743467331f,  0.21300554275512695f,   0.26601171493530273f};
    return taps[index < 6 ? index : SIZE - 1 - index];
}

// One plane of `height`×`width` pixels is filtered to (height − 10 + 2·border)×(width − 10 + 2·border) windows; beyond
// the plane everything is zero. border: 0 "valid", 5 "same"; 10 − border leads from the windows back to the pixels.
struct Plane {
    int height, width, border;
    CORE int rows() const { return height - SIZE + 1 + 2 * border; }
    CORE int columns() const { return width - SIZE + 1 + 2 * border; }
    CORE bool holds(int row, int column) const { return row >= 0 && row < height && column >= 0 && column < width; }
    CORE long long at(int plane, int row, int column) const {
        return (static_cast<long long>(plane) * height + row) * width + column;
    }
};

// What a block works on: `rows` rows and COLUMNS columns of the windows of one plane, from (top, left).
struct Strip {
    int plane, top, left, rows;
};

// Vertical filter by accumulation: pending[i] is the sum so far of the window that ends i rows further down. Writing
// each sum one place up makes the sliding free: an FMA has its own destination register.
template <int N>
struct Column {
    float pending[SIZE][N] = {};
    CORE void push(const float (&across)[N]) {
#pragma unroll
        for (int i = 0; i < SIZE; ++i)
#pragma unroll
            for (int n = 0; n < N; ++n)
                pending[i][n] = (i + 1 < SIZE ? pending[i + 1][n] : 0.0f) + tap(SIZE - 1 - i) * across[n];
    }
};

// Forward: pixels of both images → local means of a, b, a², b², ab.
struct Moments {
    struct Pixel { float a, b; };
    static constexpr int N = 5;
    static CORE void across(const Pixel* line, float (&sums)[N]) {
#pragma unroll
        for (int i = 0; i < SIZE; ++i) {
            const Pixel pixel = line[i];
            const float a = tap(i) * pixel.a, b = tap(i) * pixel.b;
            sums[0] += a;
            sums[1] += b;
            sums[2] += a * pixel.a;
            sums[3] += b * pixel.b;
            sums[4] += a * pixel.b;
        }
    }
};

// Backward: the derivatives of each window, times what flows into it.
struct Flows {
    struct Pixel { float mean, square, product; };
    static constexpr int N = 3;
    static CORE void across(const Pixel* line, float (&sums)[N]) {
#pragma unroll
        for (int i = 0; i < SIZE; ++i) {
            sums[0] += tap(i) * line[i].mean;
            sums[1] += tap(i) * line[i].square;
            sums[2] += tap(i) * line[i].product;
        }
    }
};

struct Similarity {
    float value;                  // SSIM = (A₁A₂) / (B₁B₂)
    float mean, square, product;  // ∂SSIM / ∂ E[a], E[a²], E[ab]
};

CORE Similarity similarity(const float (&m)[Moments::N]) {
    const float a = m[0], b = m[1], ab = a * b, squares = a * a + b * b;
    const float a1 = 2 * ab + C1, a2 = 2 * (m[4] - ab) + C2;
    const float b1 = squares + C1, b2 = m[2] + m[3] - squares + C2;
    const float inverse = 1.0f / (b1 * b2), value = a1 * a2 * inverse;
    return {value, 2 * b * (a2 - a1) * inverse - 2 * a * value * (b2 - b1) * inverse, -value * b1 * inverse,
            2 * a1 * inverse};
}

// What a thread keeps in registers.
template <class Kind>
struct Thread {
    Column<Kind::N> column;
    typename Kind::Pixel next, next_halo;
    float sum = 0.0f;
};

// Walks down a strip. Two lines of pixels in shared memory take turns, so that one barrier a row is enough, and the next
// row is on its way from global memory while this one is filtered. `fetch(row, column)` gives a pixel of the source,
// `emit(row, column, sums, thread)` takes a filtered window that lies inside the result.
template <class Kind, class Block, class Fetch, class Emit>
CORE void walk(Block& block, typename Kind::Pixel (&lines)[2][LINE], Plane source, Strip strip, Fetch fetch,
                    Emit emit) {
    const int top = strip.top - source.border, left = strip.left - source.border;
    const int rows = strip.rows < source.rows() - strip.top ? strip.rows : source.rows() - strip.top;
    const int steps = rows + SIZE - 1;
    const auto prefetch = [&](int step, int index, Thread<Kind>& thread) {
        thread.next = fetch(top + step, left + index);
        if (index < SIZE - 1) thread.next_halo = fetch(top + step, left + COLUMNS + index);
    };
    block.each([&](int index, Thread<Kind>& thread) { prefetch(0, index, thread); });
    for (int step = 0; step < steps; ++step) {
        auto& line = lines[step & 1];
        block.each([&](int index, Thread<Kind>& thread) {
            line[index] = thread.next;
            if (index < SIZE - 1) line[COLUMNS + index] = thread.next_halo;
        });
        block.barrier();
        block.each([&](int index, Thread<Kind>& thread) {
            if (step + 1 < steps) prefetch(step + 1, index, thread);
            float sums[Kind::N] = {};
            Kind::across(line + index, sums);
            thread.column.push(sums);
            if (step >= SIZE - 1 && strip.left + index < source.columns())
                emit(strip.top + step - (SIZE - 1), strip.left + index, thread.column.pending[0], thread);
        });
    }
}

// One block of the forward pass. map, derivatives and total may be null.
//   map (planes, rows, columns); derivatives: three such maps, one after the other, `apart` floats each;
//   total: the sum of the strip's SSIM.
template <class T, class Block>
CORE void forward(Block& block, Moments::Pixel (&lines)[2][LINE], float (&sums)[COLUMNS], Plane source, Strip strip,
                       const T* a, const T* b, float* map, float* derivatives, long long apart, float* total) {
    const Plane windows{source.rows(), source.columns(), 0};
    const auto fetch = [&](int row, int column) -> Moments::Pixel {
        if (!source.holds(row, column)) return {0.0f, 0.0f};
        const long long at = source.at(strip.plane, row, column);
        return {static_cast<float>(a[at]), static_cast<float>(b[at])};
    };
    walk<Moments>(block, lines, source, strip, fetch, [&](int row, int column, auto& moments, auto& thread) {
        const Similarity found = similarity(moments);
        const long long at = windows.at(strip.plane, row, column);
        thread.sum += found.value;
        if (map) map[at] = found.value;
        if (derivatives) {
            derivatives[at] = found.mean;
            derivatives[at + apart] = found.square;
            derivatives[at + 2 * apart] = found.product;
        }
    });
    if (!total) return;
    block.each([&](int index, auto& thread) { sums[index] = thread.sum; });
    for (int half = COLUMNS / 2; half; half /= 2) {
        block.barrier();
        block.each([&](int index, auto&) {
            if (index < half) sums[index] += sums[index + half];
        });
    }
    block.each([&](int index, auto&) {
        if (index == 0) *total = sums[0];
    });
}

// One block of the backward pass: gradient with respect to image a. `pixels`: of the images; the strip is one of pixels.
//   flow: what flows into each window (planes, rows, columns); null: 1 into every window. scale: times everything.
template <class T, class Block>
CORE void backward(Block& block, Flows::Pixel (&lines)[2][LINE], Plane pixels, Strip strip, const T* a, const T* b,
                        const float* derivatives, long long apart, const float* flow, float scale, T* gradient) {
    const Plane windows{pixels.rows(), pixels.columns(), SIZE - 1 - pixels.border};
    const auto fetch = [&](int row, int column) -> Flows::Pixel {
        if (!windows.holds(row, column)) return {0.0f, 0.0f, 0.0f};
        const long long at = windows.at(strip.plane, row, column);
        const float into = flow ? flow[at] : 1.0f;
        return {into * derivatives[at], into * derivatives[at + apart], into * derivatives[at + 2 * apart]};
    };
    walk<Flows>(block, lines, windows, strip, fetch, [&](int row, int column, auto& sums, auto&) {
        const long long at = pixels.at(strip.plane, row, column);
        const float own = static_cast<float>(a[at]), other = static_cast<float>(b[at]);
        gradient[at] = static_cast<T>(scale * (sums[0] + 2 * own * sums[1] + other * sums[2]));
    });
}

}  // namespace ssim
