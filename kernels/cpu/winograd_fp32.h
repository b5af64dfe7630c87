// A 3×3 convolution in float32 by Winograd's F(4×4), for four rows of one row phase.
//
//     cells, NHWC            v: 36 products × 6 tiles × K          m: 36 × 6 tiles × 16            cells, NHWC
//     │c0 … c15│c0 … │  ──►  │ p0: t0 k0 k1 …│t1 …│ p1 …  ──►  for each p: v[6×K] · u[K×16]  ──►  │c0 … c15│
//                                                                 12 sums stay in registers
//
// Output channels go in chunks of 16 (the last may be one of 8), input channels one at a time: any width runs, and what
// fills a chunk up has weights of zero. The bias is added to product 7, whose factor is 1 in all 16 outputs.
//
// Floor: 2.25 K fused multiply-adds a cell and output channel, 8 of them an instruction, two instructions a cycle. Read
// once per instruction set.

// m = u · v for T tiles and a chunk of N vectors of output channels. P: the pitch where it is known, so that places are
// constants; 0 where it is not.
template <class Sums, int T, int N, int P>
APART void multiply_at(const float* v, int any_pitch, int inputs, const float* u, const float* bias, float* m) {
    constexpr int L = LANES<Sums>;
    const int pitch = P ? P : any_pitch;
    for (int p = 0; p < 36; ++p) {
        Sums sum[T][N];
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n) sum[t][n] = p == 7 ? load_as<Sums>(bias + L * n) : Sums{};
        const float* factor = v + p * T * pitch;
#pragma GCC unroll 4
        for (int k = 0; k < inputs; ++k, u += L * N) {
            Sums weight[N];
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n) weight[n] = load_as<Sums>(u + L * n);
#pragma GCC unroll 8
            for (int t = 0; t < T; ++t) {
                const auto x = in_all_lanes(factor + t * pitch + k);
#pragma GCC unroll 2
                for (int n = 0; n < N; ++n) add_products(sum[t][n], x, weight[n]);
            }
        }
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n) store(m + ((p * T + t) * N + n) * L, sum[t][n]);
    }
}

template <class Sums, int T, int N>
KERNEL void multiply(const float* v, int pitch, int inputs, const float* u, const float* bias, float* m) {
    if (T > 1 && pitch == 8) multiply_at<Sums, T, N, 8>(v, pitch, inputs, u, bias, m);
    else if (T > 1 && pitch == 16)
        multiply_at<Sums, T, N, 16>(v, pitch, inputs, u, bias, m);
    else if (T > 1 && pitch == 32)
        multiply_at<Sums, T, N, 32>(v, pitch, inputs, u, bias, m);
    else
        multiply_at<Sums, T, N, 0>(v, pitch, inputs, u, bias, m);
}

// A vector of C channels of each tile, with what is added, where it lies inside the picture. `added`: from the place of the
// first tile; null for nothing.
template <int C, class Sums>
KERNEL void finish_cells(float* to, const float* added, int64_t beside, Sums value, const int* inside, int j) {
    float values[LANES<Sums>];
    store(values, value);
    for (int piece = 0; piece < LANES<Sums> / 8; ++piece) {
        if (j >= inside[C == 8 ? piece : 0]) continue;
        const Floats cell = load(values + 8 * piece);
        store(to + piece * beside, added ? cell + load(added + piece * beside) : cell);
    }
}

// Aᵀ m A, ReLU, what is added, and the store of those cells that lie inside the picture. A vector holds C channels of one
// tile or of two, or a part of them.
template <class Sums, int C, int T, int S>
APART void finish_tiles(const FloatWinograd& job, const float* m, int first, int chunk) {
    constexpr int L = LANES<Sums>, N = std::max(1, C / L), U = std::max(1, L / C);
    const Sums floor = Sums{} + (job.relu ? 0.f : -INFINITY);
    constexpr int APART_BY = S > 1 ? T / S : 1;  // tiles from one to the next in a vector
    const int64_t step = static_cast<int64_t>(job.dilation) * job.out_pitch, beside = U == 2 ? 4 * APART_BY * step : 8;
    const bool whole = first + (4 * T - 1) * job.dilation < job.columns;
    for (int t = 0; t < T; t += U) {
        const int column = first + 4 * job.dilation * (t % S * (T / S) + t / S);
        int inside[2] = {4, 4};
        for (int u = 0; u < U && !whole; ++u)
            inside[u] = std::min(4, (job.columns - column - u * 4 * APART_BY * job.dilation + job.dilation - 1) / job.dilation);
        for (int n = 0; n < N; ++n) {
            Sums half[4][6];
#pragma GCC unroll 6
            for (int j = 0; j < 6; ++j) {
                Sums product[6], y[4];
#pragma GCC unroll 6
                for (int i = 0; i < 6; ++i) product[i] = load_as<Sums>(m + (6 * i + j) * T * C + t * C + n * L);
                output_transform(product, y);
#pragma GCC unroll 4
                for (int i = 0; i < 4; ++i) half[i][j] = y[i];
            }
            const int64_t at = static_cast<int64_t>(column) * job.out_pitch + chunk + n * L;
            for (int i = 0; i < 4; ++i) {
                float* to = job.out[i] + at;
                const float* added = job.added[i] ? job.added[i] + at : nullptr;
                Sums y[4];
                output_transform(half[i], y);
#pragma GCC unroll 4
                for (int j = 0; j < 4; ++j) {
                    const Sums value = larger(y[j], floor);
                    if (whole && !added) store_floats(to + j * step, beside, value);
                    else
                        finish_cells<C>(to + j * step, added ? added + j * step : nullptr, beside, value, inside, j);
                }
            }
        }
    }
}

// T tiles, read pieces of W channels at a time, side by side where that is all the channels there are.
template <int T, int W, bool All>
APART void convolve_tiles(const FloatWinograd& job, int first, float* scratch) {
    constexpr int S = All ? LANES<WideFloats> / W : 1;
    using Read = std::conditional_t<S * W == LANES<WideFloats>, WideFloats, Floats>;
    using Eights = std::conditional_t<T == 1, Floats, WideFloats>;  // of 8 channels
    const int pitch = job.in_pitch, inputs = job.inputs;
    float* m = scratch + 36 * T * pitch;
    const float* rows[6];
    for (int c = 0; c < inputs; c += W) {
        for (int i = 0; i < 6; ++i) rows[i] = job.in[i] + static_cast<int64_t>(first - job.dilation) * pitch + c;
        transform_tiles<4, T / S, S, Read>(rows, static_cast<int64_t>(job.dilation) * pitch, scratch + c, T * pitch, S * pitch);
    }
    const float* u = job.weights;
    int chunk = 0;
    for (; chunk + 16 <= job.out_pitch; chunk += 16, u += 36 * inputs * 16) {
        multiply<WideFloats, T, 16 / LANES<WideFloats>>(scratch, pitch, inputs, u, job.bias + chunk, m);
        finish_tiles<WideFloats, 16, T, S>(job, m, first, chunk);
    }
    if (chunk < job.out_pitch) {
        multiply<Floats, T, 1>(scratch, pitch, inputs, u, job.bias + chunk, m);
        finish_tiles<Eights, 8, T, S>(job, m, first, chunk);
    }
}

// Blocks of as many tiles as registers hold, of all column phases, which read the same cache lines; then pairs, then one. The
// result of a tile does not depend on its block.
template <int W, bool All>
KERNEL void convolve_phases(const FloatWinograd& job, float* scratch) {
    constexpr int B = BLOCK_TILES, PAIR = std::min(2, B);
    const int apart = 4 * job.dilation;
    for (int start = 0; start < job.columns; start += apart * B)
        for (int phase = 0; phase < job.dilation && start + phase < job.columns; ++phase) {
            int first = start + phase, left = std::min(B, (job.columns - first + apart - 1) / apart);
            if (left == B) {
                convolve_tiles<B, W, All>(job, first, scratch);
                continue;
            }
            for (; B > 2 && left >= 2; left -= 2, first += apart * 2) convolve_tiles<PAIR, W, All && PAIR == 2>(job, first, scratch);
            for (; left; --left, first += apart) convolve_tiles<1, 8, false>(job, first, scratch);
        }
}

ENTRY void convolve_winograd(const FloatWinograd& job, float* scratch) {
    constexpr int WIDEST = LANES<WideFloats>;
    if (WIDEST == 16 && job.in_pitch == 8) convolve_phases<8, WIDEST == 16>(job, scratch);
    else if (job.in_pitch % WIDEST == 0)
        convolve_phases<WIDEST, false>(job, scratch);
    else
        convolve_phases<8, false>(job, scratch);
}
