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

// m = u · v for T tiles and a chunk of N vectors of output channels.
template <int T, int N>
KERNEL void multiply(const float* v, int pitch, int inputs, const float* u, const float* bias, float* m) {
    for (int p = 0; p < 36; ++p) {
        Floats sum[T][N];
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n) sum[t][n] = p == 7 ? load(bias + 8 * n) : Floats{};
        const float* factor = v + p * T * pitch;
#pragma GCC unroll 4
        for (int k = 0; k < inputs; ++k, u += 8 * N) {
            Floats weight[N];
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n) weight[n] = load(u + 8 * n);
#pragma GCC unroll 8
            for (int t = 0; t < T; ++t) {
                const Floats x = all(factor[t * pitch + k]);
#pragma GCC unroll 2
                for (int n = 0; n < N; ++n) sum[t][n] += x * weight[n];
            }
        }
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n) store(m + ((p * T + t) * N + n) * 8, sum[t][n]);
    }
}

// Aᵀ m A, ReLU, what is added, and the store of those cells that lie inside the picture.
template <int T, int N>
KERNEL void finish_tiles(const FloatWinograd& job, const float* m, int first, int chunk) {
    const Floats floor = all(job.relu ? 0.f : -INFINITY);
    const int64_t step = static_cast<int64_t>(job.dilation) * job.out_pitch;
    for (int t = 0; t < T; ++t) {
        const int column = first + 4 * job.dilation * t;
        const int inside = std::min(4, (job.columns - column + job.dilation - 1) / job.dilation);
        for (int n = 0; n < N; ++n) {
            Floats half[4][6];
#pragma GCC unroll 6
            for (int j = 0; j < 6; ++j) {
                Floats product[6], y[4];
#pragma GCC unroll 6
                for (int i = 0; i < 6; ++i) product[i] = load(m + (((6 * i + j) * T + t) * N + n) * 8);
                output_transform(product, 1, y);
#pragma GCC unroll 4
                for (int i = 0; i < 4; ++i) half[i][j] = y[i];
            }
            for (int i = 0; i < 4; ++i) {
                const int64_t at = static_cast<int64_t>(column) * job.out_pitch + chunk + 8 * n;
                float* to = job.out[i] + at;
                const float* added = job.added[i] ? job.added[i] + at : nullptr;
                Floats y[4];
                output_transform(half[i], 1, y);
                if (inside == 4 && !added) {
#pragma GCC unroll 4
                    for (int j = 0; j < 4; ++j) store(to + j * step, larger(y[j], floor));
                } else {
                    for (int j = 0; j < inside; ++j) {
                        const Floats value = larger(y[j], floor);
                        store(to + j * step, added ? value + load(added + j * step) : value);
                    }
                }
            }
        }
    }
}

template <int T>
TARGET __attribute__((noinline)) void convolve_tiles(const FloatWinograd& job, int first, float* scratch) {
    const int pitch = job.in_pitch, inputs = job.inputs;
    float* m = scratch + 36 * T * pitch;
    const float* rows[6];
    for (int c = 0; c < inputs; c += 8) {
        for (int i = 0; i < 6; ++i) rows[i] = job.in[i] + static_cast<int64_t>(first - job.dilation) * pitch + c;
        transform_tiles<4, 1, Floats>(rows, T, static_cast<int64_t>(job.dilation) * pitch, scratch + c, T * pitch, pitch);
    }
    const float* u = job.weights;
    int chunk = 0;
    for (; chunk + 16 <= job.out_pitch; chunk += 16, u += 36 * inputs * 16) {
        multiply<T, 2>(scratch, pitch, inputs, u, job.bias + chunk, m);
        finish_tiles<T, 2>(job, m, first, chunk);
    }
    if (chunk < job.out_pitch) {
        multiply<T, 1>(scratch, pitch, inputs, u, job.bias + chunk, m);
        finish_tiles<T, 1>(job, m, first, chunk);
    }
}

// Blocks of as many tiles as registers hold, then pairs, then one; the result of a tile does not depend on its block.
ENTRY void convolve_winograd(const FloatWinograd& job, float* scratch) {
    const int apart = 4 * job.dilation;
    for (int phase = 0; phase < job.dilation && phase < job.columns; ++phase) {
        int left = (job.columns - phase + apart - 1) / apart, first = phase;
        for (; left >= BLOCK_TILES; left -= BLOCK_TILES, first += apart * BLOCK_TILES) convolve_tiles<BLOCK_TILES>(job, first, scratch);
        for (; BLOCK_TILES > 2 && left >= 2; left -= 2, first += apart * 2) convolve_tiles<std::min(2, BLOCK_TILES)>(job, first, scratch);
        for (; left; --left, first += apart) convolve_tiles<1>(job, first, scratch);
    }
}
