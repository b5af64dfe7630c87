// A convolution in exact integers tap by tap, for one row: what Winograd's F(4×4) does not fit. Transposed convolutions as
// in direct_fp32.h.
//
//     in:   │x₀x₁ … │ … │x₀x₁ … │      6 outputs × 16 channels stay in registers; each pair of input channels is spread
//             tap 0        tap 1        over the lanes, and meets two weights in each:  x₀·w₀ + x₁·w₁
//
// Floor: kernel² · K multiply-adds a cell and output channel, 16 of them an instruction. Read once per instruction set.

template <class Sums, int P, int N>
KERNEL void direct_sums(const IntegerDirect& job, const int16_t* weights, int column, int chunk, Sums (&sum)[P][N]) {
    constexpr int L = LANES<Sums>;
#pragma GCC unroll 16
    for (int t = 0; t < P; ++t)
#pragma GCC unroll 2
        for (int n = 0; n < N; ++n) sum[t][n] = load_as<Sums>(job.end.offset + chunk + L * n);
    const int64_t apart = static_cast<int64_t>(job.stride) * job.in_pitch;
    for (int ky = 0; ky < job.kernel; ++ky) {
        for (int kx = 0; kx < job.kernel; ++kx) {
            const int64_t cell = static_cast<int64_t>(column) * job.stride + kx * job.dilation - job.padding;
            const int16_t* x = job.in[ky] + cell * job.in_pitch;
            for (int k = 0; k < job.inputs; k += 2, weights += 2 * L * N) {
                Sums weight[N];
#pragma GCC unroll 2
                for (int n = 0; n < N; ++n) weight[n] = load_as<Sums>(weights + 2 * L * n);
#pragma GCC unroll 16
                for (int t = 0; t < P; ++t) {
                    const auto pair = in_all_lanes(x + t * apart + k);
#pragma GCC unroll 2
                    for (int n = 0; n < N; ++n) add_products(sum[t][n], pair, weight[n]);
                }
            }
        }
    }
}

// Sums of C channels to levels; a vector that narrows with that of the next cell does so alone where there is none.
template <class Sums, int C, int P>
KERNEL void direct_cells(const IntegerDirect& job, const int16_t* weights, int column, int chunk) {
    Sums sum[P][1];
    direct_sums(job, weights, column, chunk, sum);
    const auto c = cell_channels_of<Sums, C>(job.end, chunk);
    const int64_t first = static_cast<int64_t>(column) * job.out_step + chunk;
    int16_t* to = reinterpret_cast<int16_t*>(job.out) + first;
#pragma GCC unroll 16
    for (int t = 0; t < P; ++t)
        if (job.added) sum[t][0] = with_added(c, sum[t][0], job.added + first + t * job.out_step, 0);
#pragma GCC unroll 16
    for (int t = 0; t < P; t += 2) {
        const int next = std::min(t + 1, P - 1);
        store_cells<C>(to + t * job.out_step, 0, next == t ? 0 : job.out_step, requantised(c, sum[t][0], sum[next][0]));
    }
}

// Two vectors of sums a cell.
template <int P>
KERNEL void direct_pairs(const IntegerDirect& job, const int16_t* weights, int column, int chunk) {
    Ints sum[P][2];
    direct_sums(job, weights, column, chunk, sum);
    const Channels c = channels_of(job.end, chunk);
#pragma GCC unroll 16
    for (int t = 0; t < P; ++t) {
        const int64_t at = static_cast<int64_t>(column + t) * job.out_step + chunk;
        const Shorts levels = job.added ? requantised(c, sum[t][0], sum[t][1], job.added + at) : requantised(c, sum[t][0], sum[t][1]);
        store(reinterpret_cast<int16_t*>(job.out) + at, levels);
    }
}

template <int P>
KERNEL void direct_levels(const IntegerDirect& job, const int16_t* weights, int column, int chunk) {
    if constexpr (LANES<WideInts> == 16) direct_cells<WideInts, 16, P>(job, weights, column, chunk);
    else
        direct_pairs<P>(job, weights, column, chunk);
}

template <int P>
KERNEL void direct_end(const IntegerDirect& job, const int16_t* weights, int column, int chunk) {
    Ints sum[P][1];
    direct_sums(job, weights, column, chunk, sum);
    const Floats step = load(job.end.step + chunk);
#pragma GCC unroll 16
    for (int t = 0; t < P; ++t)
        store(reinterpret_cast<float*>(job.out) + static_cast<int64_t>(column + t) * job.out_step + chunk, scaled(sum[t][0], step));
}

// A chunk of output channels of all columns, B at a time, which are as many sums as registers hold.
template <int B>
KERNEL int direct_columns(const IntegerDirect& job, const int16_t* weights, int column, int chunk) {
    for (; column + B <= job.columns; column += B) {
        if (job.end.step) direct_end<B>(job, weights, column, chunk);
        else if (job.out_pitch == 8)
            direct_cells<Ints, 8, B>(job, weights, column, chunk);
        else
            direct_levels<B>(job, weights, column, chunk);
    }
    return column;
}

ENTRY void convolve_direct(const IntegerDirect& job) {
    constexpr int B = LANES<WideInts> == 16 ? 16 : 6;
    const int taps = job.kernel * job.kernel, pairs = (job.inputs + 1) / 2, width = job.end.step || job.out_pitch == 8 ? 8 : 16;
    const int16_t* weights = job.weights;
    for (int chunk = 0; chunk < job.out_pitch; chunk += width, weights += taps * pairs * 2 * width)
        direct_columns<1>(job, weights, direct_columns<B>(job, weights, 0, chunk), chunk);
}
