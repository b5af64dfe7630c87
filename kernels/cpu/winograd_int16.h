// A 3×3 convolution in exact integers by Winograd's F(4×4) or F(2×4), for four or two rows of one row phase.
//
//     activations: int16 of a few hundred levels                   u, v: int16, exact        sums: int32 modulo 2³²
//     │c0 … c15│  ──►  v: 36 × tiles × K  ──►  pairs of channels: v0·u0 + v1·u1  ──►  576·y + 16·offset, exact
//                                                                                    ──►  levels (requantise.h)
//
// Sums may wrap on their way; the result cannot (range_proof.h), so it is exact. Bias and rounding are one number,
// `offset`, added to product 7, whose factor is the same in all outputs: 4·4, or 1·4 in tiles of two rows (R = 2), which
// have 24 products and 48·y + 4·offset.
//
//     a chunk of 16 output channels, so that two vectors of sums narrow to one in order:   │0–3  8–11│  │4–7  12–15│
//     of 8 output channels two cells narrow to one vector:                                 │ cell 0 │ cell 1 │
//
// Maps of up to 8 or up to 4 channels are read S = 2 or 4 tiles at a time, side by side in a vector.
//
// Floor: 2.25 K or 3 K multiply-adds a cell and output channel, 16 of them an instruction; with the addition that follows
// 78.9 GMAC/s on one Zen 3 core. Read once per instruction set.

// Products of one pair of input channels with N vectors of output channels, for T tiles.
template <int T, int N>
KERNEL void add_pair(const int16_t* factor, int pitch, const int16_t* u, Ints (&sum)[T][N]) {
    Shorts weight[N];
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) weight[n] = load(u + 16 * n);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
        const Shorts x = all_pairs(factor + t * pitch);
#pragma GCC unroll 2
        for (int n = 0; n < N; ++n) add_pair_products(sum[t][n], x, weight[n]);
    }
}

// P: the pitch where it is known, so that places are constants; 0 where it is not.
template <int R, int T, int N, int P>
KERNEL void multiply_at(const int16_t* v, int any_pitch, int pairs, const int16_t* u, const int32_t* offset, int32_t* m) {
    const int pitch = P ? P : any_pitch;
    for (int p = 0; p < 6 * (R + 2); ++p, v += T * pitch, m += 8 * T * N) {
        Ints sum[T][N];
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n) sum[t][n] = p == 7 ? load(offset + 8 * n) : Ints{};
        int k = 0;
        for (; k + 4 <= pairs; k += 4, u += 64 * N)
#pragma GCC unroll 4
            for (int next = 0; next < 4; ++next) add_pair<T, N>(v + 2 * (k + next), pitch, u + 16 * N * next, sum);
        for (; k + 2 <= pairs; k += 2, u += 32 * N)
#pragma GCC unroll 2
            for (int next = 0; next < 2; ++next) add_pair<T, N>(v + 2 * (k + next), pitch, u + 16 * N * next, sum);
        if (k < pairs) add_pair<T, N>(v + 2 * k, pitch, u, sum), u += 16 * N;
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n) store(m + (t * N + n) * 8, sum[t][n]);
    }
}

template <int R, int T, int N, int S>
KERNEL void multiply(const int16_t* v, int pitch, int pairs, const int16_t* u, const int32_t* offset, int32_t* m) {
    if (S > 1) multiply_at<R, T, N, 16 / S>(v, pitch, pairs, u, offset, m);
    else if (T > 1 && pitch == 16)
        multiply_at<R, T, N, 16>(v, pitch, pairs, u, offset, m);
    else if (T > 1 && pitch == 32)
        multiply_at<R, T, N, 32>(v, pitch, pairs, u, offset, m);
    else
        multiply_at<R, T, N, 0>(v, pitch, pairs, u, offset, m);
}

// The vertical half of Aᵀ m A for one vector of channels of a tile: half[row][product's column].
template <int R, int T, int N>
KERNEL void output_columns(const int32_t* m, int t, int n, Ints (&half)[R][6]) {
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) {
        Ints product[R + 2], y[R];
#pragma GCC unroll 6
        for (int i = 0; i < R + 2; ++i) product[i] = load(m + (((6 * i + j) * T + t) * N + n) * 8);
        if constexpr (R == 4) output_transform(product, 1, y);
        else
            output_transform_two(product, y);
#pragma GCC unroll 4
        for (int i = 0; i < R; ++i) half[i][j] = y[i];
    }
}

// The tiles of a block, S of them side by side: tile t lies at this column. `inside`: of its four columns, those that are
// in the picture.
template <int T, int S>
KERNEL int column_of(const IntegerWinograd& job, int first, int t) {
    return first + 4 * job.dilation * (t % S * (T / S) + t / S);
}

KERNEL int columns_inside(const IntegerWinograd& job, int column) {
    return std::min(4, (job.columns - column + job.dilation - 1) / job.dilation);
}

template <int R, int T, int S>
KERNEL void narrow_tiles(const IntegerWinograd& job, const int32_t* m, int first, int chunk) {
    const Channels c = channels_of(job.end, chunk);
    const int64_t step = static_cast<int64_t>(job.dilation) * job.out_pitch;
    for (int t = 0; t < T; ++t) {
        const int column = column_of<T, S>(job, first, t), inside = columns_inside(job, column);
        Ints half[2][R][6];
        output_columns<R, T, 2>(m, t, 0, half[0]);
        output_columns<R, T, 2>(m, t, 1, half[1]);
        for (int i = 0; i < R; ++i) {
            const int64_t at = static_cast<int64_t>(column) * job.out_pitch + chunk;
            int16_t* to = static_cast<int16_t*>(job.out[i]) + at;
            const int16_t* added = job.added[i] ? job.added[i] + at : nullptr;
            Ints y[2][4];
            output_transform(half[0][i], 1, y[0]);
            output_transform(half[1][i], 1, y[1]);
            if (inside == 4 && !added) {
#pragma GCC unroll 4
                for (int j = 0; j < 4; ++j) store(to + j * step, requantised(c, y[0][j], y[1][j]));
            } else if (inside == 4) {
#pragma GCC unroll 4
                for (int j = 0; j < 4; ++j) store(to + j * step, requantised(c, y[0][j], y[1][j], added + j * step));
            } else {
                for (int j = 0; j < inside; ++j)
                    store(to + j * step, added ? requantised(c, y[0][j], y[1][j], added + j * step) : requantised(c, y[0][j], y[1][j]));
            }
        }
    }
}

// Of eight output channels: two cells to a vector; where the second lies outside the picture, the first fills both halves.
template <int R, int T, int S>
KERNEL void narrow_tiles_of_8(const IntegerWinograd& job, const int32_t* m, int first) {
    const EightChannels c = eight_channels_of(job.end, 0);
    const int64_t step = int64_t{8} * job.dilation;
    for (int t = 0; t < T; ++t) {
        const int column = column_of<T, S>(job, first, t), inside = columns_inside(job, column);
        Ints half[R][6];
        output_columns<R, T, 1>(m, t, 0, half);
        for (int i = 0; i < R; ++i) {
            int16_t* to = static_cast<int16_t*>(job.out[i]) + int64_t{8} * column;
            Ints y[4];
            output_transform(half[i], 1, y);
            if (job.added[i])
                for (int j = 0; j < inside; ++j) y[j] = with_added(c, y[j], job.added[i] + int64_t{8} * column + j * step);
            store_halves(inside > 1 ? to + step : to, to, requantised(c, inside > 1 ? y[1] : y[0], y[0]));
            if (inside > 2) store_halves(inside > 3 ? to + 3 * step : to + 2 * step, to + 2 * step, requantised(c, inside > 3 ? y[3] : y[2], y[2]));
        }
    }
}

template <int R, int T, int S>
KERNEL void scale_tiles(const IntegerWinograd& job, const int32_t* m, int first, int chunk) {
    const Floats step = load(job.end.step + chunk);
    const int64_t apart = static_cast<int64_t>(job.dilation) * job.out_pitch;
    for (int t = 0; t < T; ++t) {
        const int column = column_of<T, S>(job, first, t), inside = columns_inside(job, column);
        Ints half[R][6];
        output_columns<R, T, 1>(m, t, 0, half);
        for (int i = 0; i < R; ++i) {
            float* to = static_cast<float*>(job.out[i]) + static_cast<int64_t>(column) * job.out_pitch + chunk;
            Ints y[4];
            output_transform(half[i], 1, y);
            if (inside == 4)
#pragma GCC unroll 4
                for (int j = 0; j < 4; ++j) store(to + j * apart, scaled(y[j], step));
            else
                for (int j = 0; j < inside; ++j) store(to + j * apart, scaled(y[j], step));
        }
    }
}

// T tiles, read S side by side. A single tile of a narrow map is read with what lies beside it, which no product uses.
template <int R, int T, int S>
TARGET __attribute__((noinline)) void convolve_tiles(const IntegerWinograd& job, int first, int16_t* scratch) {
    const int pairs = (job.inputs + 1) / 2, pitch = S > 1 ? 16 / S : std::max(16, job.in_pitch);
    int32_t* m = reinterpret_cast<int32_t*>(scratch + 6 * (R + 2) * T * pitch);
    const int16_t* rows[R + 2];
    for (int c = 0; c < job.inputs; c += 16) {
        for (int i = 0; i < R + 2; ++i) rows[i] = job.in[i] + static_cast<int64_t>(first - job.dilation) * job.in_pitch + c;
        transform_tiles<R, S, Shorts>(rows, T / S, static_cast<int64_t>(job.dilation) * job.in_pitch, scratch + c, T * pitch, S * pitch);
    }
    const int16_t* u = job.weights;
    const int products = 6 * (R + 2);
    if (job.end.step) {
        for (int chunk = 0; chunk < job.out_pitch; chunk += 8, u += products * pairs * 16) {
            multiply<R, T, 1, S>(scratch, pitch, pairs, u, job.end.offset + chunk, m);
            scale_tiles<R, T, S>(job, m, first, chunk);
        }
    } else if (job.out_pitch == 8) {
        multiply<R, T, 1, S>(scratch, pitch, pairs, u, job.end.offset, m);
        narrow_tiles_of_8<R, T, S>(job, m, first);
    } else {
        for (int chunk = 0; chunk < job.out_pitch; chunk += 16, u += products * pairs * 32) {
            multiply<R, T, 2, S>(scratch, pitch, pairs, u, job.end.offset + chunk, m);
            narrow_tiles<R, T, S>(job, m, first, chunk);
        }
    }
}

// A row of tiles, B at a time, then F. A block that would reach past the end begins earlier, over tiles that are done: the
// result of a tile does not depend on its block. A row shorter than a block goes tile by tile.
template <int R, int B, int F, int S>
KERNEL void convolve_phase(const IntegerWinograd& job, int phase, int16_t* scratch) {
    const int apart = 4 * job.dilation, tiles = (job.columns - phase + apart - 1) / apart;
    for (int done = 0; done < tiles;) {
        const int left = tiles - done;
        if (tiles >= B && left >= B - 1 && (left <= B || left > B + F - 2)) {
            done = std::min(done, tiles - B);
            convolve_tiles<R, B, S>(job, phase + apart * done, scratch);
            done += B;
        } else if (tiles >= F) {
            done = std::min(done, tiles - F);
            convolve_tiles<R, F, S>(job, phase + apart * done, scratch);
            done += F;
        } else {
            convolve_tiles<R, 1, 1>(job, phase + apart * done++, scratch);
        }
    }
}

// Blocks have as many tiles as registers hold.
template <int R>
KERNEL void convolve_rows(const IntegerWinograd& job, int16_t* scratch) {
    constexpr int B = BLOCK_TILES, F = std::min(B, 4);
    for (int phase = 0; phase < job.dilation && phase < job.columns; ++phase) {
        if (F == 4 && job.in_pitch == 4) convolve_phase<R, F, F, F == 4 ? 4 : 1>(job, phase, scratch);
        else if (F == 4 && job.in_pitch == 8)
            convolve_phase<R, B, B, F == 4 ? 2 : 1>(job, phase, scratch);
        else
            convolve_phase<R, B, F, 1>(job, phase, scratch);
    }
}

ENTRY void convolve_winograd(const IntegerWinograd& job, int16_t* scratch) {
    if (job.tile_rows == 4) convolve_rows<4>(job, scratch);
    else
        convolve_rows<2>(job, scratch);
}
