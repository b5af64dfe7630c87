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
//     a chunk of 16 output channels: one vector of sums of 64 bytes, or two of 32 that narrow to one in order:
//                                                               │0–3  8–11│  │4–7  12–15│
//     of 8 output channels two cells narrow to one vector:      │ cell 0 │ cell 1 │
//
// Maps are read S tiles at a time, side by side in a vector, pieces of W = 4, 8, 16 or 32 channels.
//
// Floor: 2.25 K or 3 K multiply-adds a cell and output channel, 16 of them an instruction of 32 bytes; with the addition that
// follows 78.9 GMAC/s on one Zen 3 core. Read once per instruction set.

// Products of one pair of input channels with N vectors of output channels, for T tiles.
template <class Sums, int T, int N>
KERNEL void add_pair(const int16_t* factor, int pitch, const int16_t* u, Sums (&sum)[T][N]) {
    Sums weight[N];
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) weight[n] = load_as<Sums>(u + 2 * LANES<Sums> * n);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
        const auto x = in_all_lanes(factor + t * pitch);
#pragma GCC unroll 2
        for (int n = 0; n < N; ++n) add_products(sum[t][n], x, weight[n]);
    }
}

// P: the pitch where it is known, so that places are constants; 0 where it is not. Q products are made at once, so that more
// sums are under way than a product takes cycles.
template <class Sums, int R, int T, int N, int P>
APART void multiply_at(const int16_t* v, int any_pitch, int pairs, const int16_t* u, const int32_t* offset, int32_t* m) {
    constexpr int L = LANES<Sums>, PAIR = 2 * L * N, Q = PRODUCTS_AT_ONCE;
    const int pitch = P ? P : any_pitch, product = T * pitch, next = pairs * PAIR;
    for (int p = 0; p < 6 * (R + 2); p += Q, v += Q * product, u += Q * next, m += Q * L * T * N) {
        Sums sum[Q][T][N];
#pragma GCC unroll 2
        for (int q = 0; q < Q; ++q)
#pragma GCC unroll 8
            for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
                for (int n = 0; n < N; ++n) sum[q][t][n] = p + q == 7 ? load_as<Sums>(offset + L * n) : Sums{};
        int k = 0;
        for (; k + 4 <= pairs; k += 4)
#pragma GCC unroll 4
            for (int i = k; i < k + 4; ++i)
#pragma GCC unroll 2
                for (int q = 0; q < Q; ++q) add_pair(v + q * product + 2 * i, pitch, u + q * next + PAIR * i, sum[q]);
        for (; k < pairs; ++k)
#pragma GCC unroll 2
            for (int q = 0; q < Q; ++q) add_pair(v + q * product + 2 * k, pitch, u + q * next + PAIR * k, sum[q]);
#pragma GCC unroll 2
        for (int q = 0; q < Q; ++q) store_sums(m + q * L * T * N, sum[q]);
    }
}

template <class Sums, int R, int T, int N, int W>
KERNEL void multiply(const int16_t* v, int pitch, int pairs, const int16_t* u, const int32_t* offset, int32_t* m) {
    if (W <= 8) multiply_at<Sums, R, T, N, W>(v, pitch, pairs, u, offset, m);
    else if (T > 1 && W == 16 && pitch == 16)
        multiply_at<Sums, R, T, N, 16>(v, pitch, pairs, u, offset, m);
    else if (T > 1 && pitch == 32)
        multiply_at<Sums, R, T, N, 32>(v, pitch, pairs, u, offset, m);
    else
        multiply_at<Sums, R, T, N, 0>(v, pitch, pairs, u, offset, m);
}

// The vertical half of Aᵀ m A for one vector of sums, which begins here: half[row][product's column]. `product`: elements
// from one product to the next.
template <int R, class Sums>
KERNEL void output_columns(const int32_t* m, int product, Sums (&half)[R][6]) {
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) {
        Sums column[R + 2], y[R];
#pragma GCC unroll 6
        for (int i = 0; i < R + 2; ++i) column[i] = load_as<Sums>(m + (6 * i + j) * product);
        if constexpr (R == 4) output_transform(column, y);
        else
            output_transform_two(column, y);
#pragma GCC unroll 4
        for (int i = 0; i < R; ++i) half[i][j] = y[i];
    }
}

// The tiles of a block, S of them side by side: tile t lies at this column.
template <int T, int S>
KERNEL int column_of(const IntegerWinograd& job, int first, int t) {
    return first + 4 * job.dilation * (t % S * (T / S) + t / S);
}

// Of a tile's four columns, those that are in the picture.
KERNEL int columns_inside(const IntegerWinograd& job, int column) {
    return std::min(4, (job.columns - column + job.dilation - 1) / job.dilation);
}

// The tiles whose sums a vector holds: two where their C channels are half of it.
struct TilesOfVector {
    int column, inside[2];
    int64_t beside;  // columns from the first to the second
    bool whole;      // all of them are in the picture
};
template <int T, int S>
KERNEL TilesOfVector tiles_of_vector(const IntegerWinograd& job, int first, int t) {
    const bool whole = first + (4 * T - 1) * job.dilation < job.columns;
    TilesOfVector tiles = {column_of<T, S>(job, first, t), {4, 4}, int64_t{4} * (S > 1 ? T / S : 1) * job.dilation, whole};
    if (!whole) {
        tiles.inside[0] = columns_inside(job, tiles.column);
        tiles.inside[1] = columns_inside(job, tiles.column + static_cast<int>(tiles.beside));
    }
    return tiles;
}

// Two vectors of sums a tile, which narrow to one.
template <int R, int T, int S>
APART void narrow_pairs(const IntegerWinograd& job, const int32_t* m, int first, int chunk) {
    const Channels c = channels_of(job.end, chunk);
    const int64_t step = static_cast<int64_t>(job.dilation) * job.out_pitch;
    for (int t = 0; t < T; ++t) {
        const int column = column_of<T, S>(job, first, t), inside = columns_inside(job, column);
        Ints half[2][R][6];
        output_columns<R>(m + 16 * t, 16 * T, half[0]);
        output_columns<R>(m + 16 * t + 8, 16 * T, half[1]);
        for (int i = 0; i < R; ++i) {
            const int64_t at = static_cast<int64_t>(column) * job.out_pitch + chunk;
            int16_t* to = static_cast<int16_t*>(job.out[i]) + at;
            const int16_t* added = job.added[i] ? job.added[i] + at : nullptr;
            Ints y[2][4];
            output_transform(half[0][i], y[0]);
            output_transform(half[1][i], y[1]);
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

// To a row of four cells what is added, from the last one inside the picture where a cell lies outside.
template <class Sums, int C>
KERNEL void add_cells(const IntegerWinograd& job, const CellChannels<Sums, C>& c, const TilesOfVector& tiles, const int16_t* added, Sums (&y)[4]) {
    for (int j = 0; j < 4; ++j) {
        const int first = std::min(j, tiles.inside[0] - 1), second = std::min(j, tiles.inside[1] - 1);
        const int64_t column = tiles.column + int64_t{first} * job.dilation, beside = tiles.beside + (second - first) * job.dilation;
        y[j] = with_added(c, y[j], added + column * job.out_pitch, beside * job.out_pitch);
    }
}

// Those of cells j and j + 1 that lie inside the picture.
template <int C, class Levels>
KERNEL void store_cells_inside(int16_t* to, int64_t beside, int64_t apart, Levels both, const TilesOfVector& tiles, int j) {
    constexpr int U = sizeof(Levels) / (4 * C);
    int16_t levels[sizeof(Levels) / 2];
    store(levels, both);
    for (int u = 0; u < U; ++u)
        for (int cell = 0; cell < 2 && j + cell < tiles.inside[u]; ++cell)
            memcpy(to + u * beside + cell * apart, levels + (cell * U + u) * C, 2 * C);
}

// Vectors of whole cells of C channels: two cells narrow to one vector.
template <class Sums, int C, int R, int T, int S>
APART void narrow_cells(const IntegerWinograd& job, const int32_t* m, int first, int chunk) {
    const auto c = cell_channels_of<Sums, C>(job.end, chunk);
    const int64_t step = static_cast<int64_t>(job.dilation) * job.out_pitch;
    for (int t = 0; t < T; t += LANES<Sums> / C) {
        const TilesOfVector tiles = tiles_of_vector<T, S>(job, first, t);
        const int64_t at = static_cast<int64_t>(tiles.column) * job.out_pitch + chunk, beside = tiles.beside * job.out_pitch;
        Sums half[R][6];
        output_columns<R>(m + C * t, C * T, half);
        for (int i = 0; i < R; ++i) {
            Sums y[4];
            output_transform(half[i], y);
            if (job.added[i]) add_cells(job, c, tiles, job.added[i] + chunk, y);
            int16_t* to = static_cast<int16_t*>(job.out[i]) + at;
#pragma GCC unroll 2
            for (int j = 0; j < 4; j += 2) {
                const auto both = requantised(c, y[j], y[j + 1]);
                if (tiles.whole) store_cells<C>(to + j * step, beside, step, both);
                else
                    store_cells_inside<C>(to + j * step, beside, step, both, tiles, j);
            }
        }
    }
}

// Those that lie inside the picture, 8 channels of column j of each tile.
template <class Values>
KERNEL void store_floats_inside(float* to, int64_t beside, Values cells, const TilesOfVector& tiles, int j) {
    float values[LANES<Values>];
    store(values, cells);
    for (int u = 0; u < LANES<Values> / 8; ++u)
        if (j < tiles.inside[u]) memcpy(to + u * beside, values + 8 * u, 32);
}

template <class Sums, int R, int T, int S>
APART void scale_tiles(const IntegerWinograd& job, const int32_t* m, int first, int chunk) {
    const auto scale = per_channel<8>(FloatsLike<Sums>{}, job.end.step + chunk);
    const int64_t step = static_cast<int64_t>(job.dilation) * job.out_pitch;
    for (int t = 0; t < T; t += LANES<Sums> / 8) {
        const TilesOfVector tiles = tiles_of_vector<T, S>(job, first, t);
        const int64_t at = static_cast<int64_t>(tiles.column) * job.out_pitch + chunk, beside = tiles.beside * job.out_pitch;
        Sums half[R][6];
        output_columns<R>(m + 8 * t, 8 * T, half);
        for (int i = 0; i < R; ++i) {
            float* to = static_cast<float*>(job.out[i]) + at;
            Sums y[4];
            output_transform(half[i], y);
#pragma GCC unroll 4
            for (int j = 0; j < 4; ++j) {
                if (tiles.whole) store_floats(to + j * step, beside, scaled(y[j], scale));
                else
                    store_floats_inside(to + j * step, beside, scaled(y[j], scale), tiles, j);
            }
        }
    }
}

template <int R, int T, int S>
KERNEL void narrow_tiles(const IntegerWinograd& job, const int32_t* m, int first, int chunk) {
    if constexpr (LANES<WideInts> == 16) narrow_cells<WideInts, 16, R, T, S>(job, m, first, chunk);
    else
        narrow_pairs<R, T, S>(job, m, first, chunk);
}

// T tiles, read pieces of W channels at a time, side by side where that is all the channels there are. A single tile of a narrow map is read with what lies beside it, which no
// product uses.
template <int R, int T, int W, bool All>
APART void convolve_tiles(const IntegerWinograd& job, int first, int16_t* scratch) {
    constexpr int WIDEST = 2 * LANES<WideInts>, S = All ? std::min(T, WIDEST / W) : 1;
    using Read = std::conditional_t<S * W == WIDEST, WideShorts, Shorts>;
    using Eights = std::conditional_t<T == 1, Ints, WideInts>;  // of 8 channels
    const int pairs = (job.inputs + 1) / 2, pitch = W < 16 ? W : std::max(16, job.in_pitch);
    int32_t* m = reinterpret_cast<int32_t*>(scratch + 6 * (R + 2) * T * pitch);
    const int16_t* rows[R + 2];
    for (int c = 0; c < job.inputs; c += W) {
        for (int i = 0; i < R + 2; ++i) rows[i] = job.in[i] + static_cast<int64_t>(first - job.dilation) * job.in_pitch + c;
        transform_tiles<R, T / S, S, Read>(rows, static_cast<int64_t>(job.dilation) * job.in_pitch, scratch + c, T * pitch, S * pitch);
    }
    const int16_t* u = job.weights;
    const int products = 6 * (R + 2);
    if (job.end.step) {
        for (int chunk = 0; chunk < job.out_pitch; chunk += 8, u += products * pairs * 16) {
            multiply<Ints, R, T, 1, W>(scratch, pitch, pairs, u, job.end.offset + chunk, m);
            scale_tiles<Eights, R, T, S>(job, m, first, chunk);
        }
    } else if (job.out_pitch == 8) {
        multiply<Ints, R, T, 1, W>(scratch, pitch, pairs, u, job.end.offset, m);
        narrow_cells<Eights, 8, R, T, S>(job, m, first, 0);
    } else {
        for (int chunk = 0; chunk < job.out_pitch; chunk += 16, u += products * pairs * 32) {
            multiply<WideInts, R, T, 16 / LANES<WideInts>, W>(scratch, pitch, pairs, u, job.end.offset + chunk, m);
            narrow_tiles<R, T, S>(job, m, first, chunk);
        }
    }
}

// Tiles `done` to `end` of a row of one column phase, B at a time, then F. A block that would reach past the last tile begins
// earlier, over tiles that are done: the result of a tile does not depend on its block. A row shorter than a block goes tile
// by tile.
template <int R, int B, int F, int W, bool All>
KERNEL void convolve_stretch(const IntegerWinograd& job, int phase, int done, int end, int16_t* scratch) {
    const int apart = 4 * job.dilation, tiles = (job.columns - phase + apart - 1) / apart;
    while (done < std::min(tiles, end)) {
        const int left = tiles - done;
        if (tiles >= B && left >= B - 1 && (left <= B || left > B + F - 2)) {
            done = std::min(done, tiles - B);
            convolve_tiles<R, B, W, All>(job, phase + apart * done, scratch);
            done += B;
        } else if (tiles >= F) {
            done = std::min(done, tiles - F);
            convolve_tiles<R, F, W, All>(job, phase + apart * done, scratch);
            done += F;
        } else {
            convolve_tiles<R, 1, 16, false>(job, phase + apart * done++, scratch);
        }
    }
}

// A stretch of all column phases, then the next: they read the same cache lines.
template <int R, int B, int F, int W, bool All>
KERNEL void convolve_phases(const IntegerWinograd& job, int16_t* scratch) {
    for (int done = 0; 4 * job.dilation * done < job.columns; done += B)
        for (int phase = 0; phase < job.dilation && phase < job.columns; ++phase) convolve_stretch<R, B, F, W, All>(job, phase, done, done + B, scratch);
}

// Blocks have as many tiles as registers hold.
template <int R>
KERNEL void convolve_rows(const IntegerWinograd& job, int16_t* scratch) {
    constexpr int B = BLOCK_TILES, F = std::min(B, 4), FOURS = B == 6 ? F : B, EIGHTS = B == 6 ? B : F;
    constexpr bool SIDE_BY_SIDE = F == 4, WIDE = LANES<WideInts> == 16;
    if (SIDE_BY_SIDE && job.in_pitch == 4) convolve_phases<R, FOURS, F, SIDE_BY_SIDE ? 4 : 16, SIDE_BY_SIDE>(job, scratch);
    else if (SIDE_BY_SIDE && job.in_pitch == 8)
        convolve_phases<R, B, EIGHTS, SIDE_BY_SIDE ? 8 : 16, SIDE_BY_SIDE>(job, scratch);
    else if (WIDE && job.in_pitch == 16)
        convolve_phases<R, B, F, 16, WIDE>(job, scratch);
    else if (WIDE && job.in_pitch % 32 == 0)
        convolve_phases<R, B, F, WIDE ? 32 : 16, false>(job, scratch);
    else
        convolve_phases<R, B, F, 16, false>(job, scratch);
}

ENTRY void convolve_winograd(const IntegerWinograd& job, int16_t* scratch) {
    if (job.tile_rows == 4) convolve_rows<4>(job, scratch);
    else
        convolve_rows<2>(job, scratch);
}
