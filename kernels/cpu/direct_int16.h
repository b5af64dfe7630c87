// A convolution in exact integers tap by tap, for one row: what Winograd's F(4×4) does not fit. Transposed convolutions as
// in direct_fp32.h.
//
//     in:   │x₀x₁ … │ … │x₀x₁ … │      6 outputs × 16 channels stay in registers; each pair of input channels is spread
//             tap 0        tap 1        over the lanes, and meets two weights in each:  x₀·w₀ + x₁·w₁
//
// Floor: kernel² · K multiply-adds a cell and output channel, 16 of them an instruction. Read once per instruction set.

template <int P, int N>
KERNEL void direct_sums(const IntegerDirect& job, const int16_t* weights, int column, int chunk, Ints (&sum)[P][N]) {
#pragma GCC unroll 8
    for (int t = 0; t < P; ++t)
#pragma GCC unroll 2
        for (int n = 0; n < N; ++n) sum[t][n] = load(job.end.offset + chunk + 8 * n);
    const int64_t apart = static_cast<int64_t>(job.stride) * job.in_pitch;
    for (int ky = 0; ky < job.kernel; ++ky) {
        for (int kx = 0; kx < job.kernel; ++kx) {
            const int64_t cell = static_cast<int64_t>(column) * job.stride + kx * job.dilation - job.padding;
            const int16_t* x = job.in[ky] + cell * job.in_pitch;
            for (int k = 0; k < job.inputs; k += 2, weights += 16 * N) {
                Shorts weight[N];
#pragma GCC unroll 2
                for (int n = 0; n < N; ++n) weight[n] = load(weights + 16 * n);
#pragma GCC unroll 8
                for (int t = 0; t < P; ++t) {
                    const Shorts pair = all_pairs(x + t * apart + k);
#pragma GCC unroll 2
                    for (int n = 0; n < N; ++n) add_pair_products(sum[t][n], pair, weight[n]);
                }
            }
        }
    }
}

template <int P>
KERNEL void direct_levels(const IntegerDirect& job, const int16_t* weights, int column, int chunk) {
    Ints sum[P][2];
    direct_sums<P, 2>(job, weights, column, chunk, sum);
    const Channels c = channels_of(job.end, chunk);
#pragma GCC unroll 8
    for (int t = 0; t < P; ++t) {
        const int64_t at = static_cast<int64_t>(column + t) * job.out_step + chunk;
        const Shorts levels = job.added ? requantised(c, sum[t][0], sum[t][1], job.added + at) : requantised(c, sum[t][0], sum[t][1]);
        store(reinterpret_cast<int16_t*>(job.out) + at, levels);
    }
}

// Of eight output channels: two cells to a vector; a last one alone fills both halves.
template <int P>
KERNEL void direct_levels_of_8(const IntegerDirect& job, const int16_t* weights, int column) {
    Ints sum[P][1];
    direct_sums<P, 1>(job, weights, column, 0, sum);
    const EightChannels c = eight_channels_of(job.end, 0);
#pragma GCC unroll 8
    for (int t = 0; t < P; ++t)
        if (job.added) sum[t][0] = with_added(c, sum[t][0], job.added + static_cast<int64_t>(column + t) * job.out_step);
    int16_t* to = reinterpret_cast<int16_t*>(job.out) + static_cast<int64_t>(column) * job.out_step;
#pragma GCC unroll 8
    for (int t = 0; t < P; t += 2) {
        const int next = std::min(t + 1, P - 1);
        store_halves(to + t * job.out_step, to + next * job.out_step, requantised(c, sum[t][0], sum[next][0]));
    }
}

template <int P>
KERNEL void direct_end(const IntegerDirect& job, const int16_t* weights, int column, int chunk) {
    Ints sum[P][1];
    direct_sums<P, 1>(job, weights, column, chunk, sum);
    const Floats step = load(job.end.step + chunk);
#pragma GCC unroll 8
    for (int t = 0; t < P; ++t)
        store(reinterpret_cast<float*>(job.out) + static_cast<int64_t>(column + t) * job.out_step + chunk, scaled(sum[t][0], step));
}

ENTRY void convolve_direct(const IntegerDirect& job) {
    const int taps = job.kernel * job.kernel, pairs = (job.inputs + 1) / 2, width = job.end.step || job.out_pitch == 8 ? 8 : 16;
    const int16_t* weights = job.weights;
    for (int chunk = 0; chunk < job.out_pitch; chunk += width, weights += taps * pairs * 2 * width) {
        int column = 0;
        if (job.end.step) {
            for (; column + 6 <= job.columns; column += 6) direct_end<6>(job, weights, column, chunk);
            for (; column < job.columns; ++column) direct_end<1>(job, weights, column, chunk);
        } else if (width == 8) {
            for (; column + 6 <= job.columns; column += 6) direct_levels_of_8<6>(job, weights, column);
            for (; column < job.columns; ++column) direct_levels_of_8<1>(job, weights, column);
        } else {
            for (; column + 6 <= job.columns; column += 6) direct_levels<6>(job, weights, column, chunk);
            for (; column < job.columns; ++column) direct_levels<1>(job, weights, column, chunk);
        }
    }
}
