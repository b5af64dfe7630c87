// A 3×3 convolution in exact integers by Winograd's F(4×4), for four rows of one row phase.
//
//     activations: int16 of a few hundred levels                   u, v: int16, exact        sums: int32 modulo 2³²
//     │c0 … c15│  ──►  v: 36 × tiles × K  ──►  pairs of channels: v0·u0 + v1·u1  ──►  576·y + 16·offset, exact
//                                                                                    ──►  levels (requantise.h)
//
// Sums may wrap on their way; the result cannot (range_proof.h), so it is exact. Bias and rounding are one number,
// `offset`, added to product 7, whose factor is 4·4 in all 16 outputs.
//
//     a chunk of 16 output channels, so that two vectors of sums narrow to one in order:   │0–3  8–11│  │4–7  12–15│
//
// Floor: 2.25 K multiply-adds a cell and output channel, 16 of them an instruction; with the addition that follows
// 78.9 GMAC/s on one Zen 3 core. Read once per instruction set.

template <int T, int N>
KERNEL void multiply(const int16_t* v, int pitch, int pairs, const int16_t* u, const int32_t* offset, int32_t* m) {
    for (int p = 0; p < 36; ++p) {
        Ints sum[T][N];
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n) sum[t][n] = p == 7 ? load(offset + 8 * n) : Ints{};
        const int16_t* factor = v + p * T * pitch;
#pragma GCC unroll 8
        for (int k = 0; k < pairs; ++k, u += 16 * N) {
            Shorts weight[N];
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n) weight[n] = load(u + 16 * n);
#pragma GCC unroll 8
            for (int t = 0; t < T; ++t) {
                const Shorts x = all_pairs(factor + t * pitch + 2 * k);
#pragma GCC unroll 2
                for (int n = 0; n < N; ++n) {
                    sum[t][n] += pair_products(x, weight[n]);
                    KEEP_IN_REGISTER(sum[t][n]);
                }
            }
        }
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n) store(m + ((p * T + t) * N + n) * 8, sum[t][n]);
    }
}

// Aᵀ m A of one vector of channels of a tile: y[row][column].
template <int T, int N>
KERNEL void output_tile(const int32_t* m, int t, int n, Ints (*y)[4]) {
    Ints half[6][4], product[6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) {
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) product[i] = load(m + (((6 * i + j) * T + t) * N + n) * 8);
        output_transform(product, 1, half[j]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) output_transform(&half[0][i], 4, y[i]);
}

KERNEL int columns_inside(const IntegerWinograd& job, int column) {
    return std::min(4, (job.columns - column + job.dilation - 1) / job.dilation);
}

template <int T>
KERNEL void narrow_tiles(const IntegerWinograd& job, const int32_t* m, int first, int chunk) {
    const Channels c = channels_of(job.end, chunk);
    for (int t = 0; t < T; ++t) {
        const int column = first + 4 * job.dilation * t, inside = columns_inside(job, column);
        Ints y[2][4][4];
        output_tile<T, 2>(m, t, 0, y[0]);
        output_tile<T, 2>(m, t, 1, y[1]);
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
            const int64_t at = static_cast<int64_t>(column) * job.out_pitch + chunk;
            const int64_t step = static_cast<int64_t>(job.dilation) * job.out_pitch;
            int16_t* to = static_cast<int16_t*>(job.out[i]) + at;
            if (job.added[i])
                for (int j = 0; j < inside; ++j)
                    store(to + j * step, requantised(c, y[0][i][j], y[1][i][j], job.added[i] + at + j * step));
            else
                for (int j = 0; j < inside; ++j) store(to + j * step, requantised(c, y[0][i][j], y[1][i][j]));
        }
    }
}

template <int T>
KERNEL void scale_tiles(const IntegerWinograd& job, const int32_t* m, int first, int chunk) {
    const Floats step = load(job.end.step + chunk);
    for (int t = 0; t < T; ++t) {
        const int column = first + 4 * job.dilation * t, inside = columns_inside(job, column);
        Ints y[4][4];
        output_tile<T, 1>(m, t, 0, y);
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
            float* to = static_cast<float*>(job.out[i]) + static_cast<int64_t>(column) * job.out_pitch + chunk;
            for (int j = 0; j < inside; ++j)
                store(to + static_cast<int64_t>(j) * job.dilation * job.out_pitch,
                      scaled(y[i][j], step));
        }
    }
}

template <int T>
TARGET __attribute__((noinline)) void convolve_tiles(const IntegerWinograd& job, int first, int16_t* scratch) {
    const int pitch = job.in_pitch, pairs = (job.inputs + 1) / 2;
    int32_t* m = reinterpret_cast<int32_t*>(scratch + 36 * T * pitch);
    const int16_t* rows[6];
    for (int c = 0; c < job.inputs; c += 16) {
        for (int i = 0; i < 6; ++i) rows[i] = job.in[i] + static_cast<int64_t>(first - job.dilation) * pitch + c;
        transform_tiles<Shorts>(rows, T, static_cast<int64_t>(job.dilation) * pitch, scratch + c, T * pitch, pitch);
    }
    const int16_t* u = job.weights;
    for (int chunk = 0; chunk < job.out_pitch; chunk += job.end.step ? 8 : 16) {
        if (job.end.step) {
            multiply<T, 1>(scratch, pitch, pairs, u, job.end.offset + chunk, m);
            scale_tiles<T>(job, m, first, chunk);
            u += 36 * pairs * 16;
        } else {
            multiply<T, 2>(scratch, pitch, pairs, u, job.end.offset + chunk, m);
            narrow_tiles<T>(job, m, first, chunk);
            u += 36 * pairs * 32;
        }
    }
}

// Blocks of as many tiles as registers hold, then pairs, then one; the result of a tile does not depend on its block.
ENTRY void convolve_winograd(const IntegerWinograd& job, int16_t* scratch) {
    const int apart = 4 * job.dilation;
    for (int phase = 0; phase < job.dilation && phase < job.columns; ++phase) {
        int left = (job.columns - phase + apart - 1) / apart, first = phase;
        for (; left >= BLOCK_TILES; left -= BLOCK_TILES, first += apart * BLOCK_TILES) convolve_tiles<BLOCK_TILES>(job, first, scratch);
        for (; left >= 2; left -= 2, first += apart * 2) convolve_tiles<2>(job, first, scratch);
        if (left) convolve_tiles<1>(job, first, scratch);
    }
}
