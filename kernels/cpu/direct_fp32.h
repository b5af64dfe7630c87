// A convolution in float32 tap by tap, for one row: what Winograd's F(4×4) does not fit (kernels of other sizes, strides).
// A transposed convolution whose kernel is its stride is one 1×1 convolution a tap, whose outputs lie a stride apart.
//
//     in:   │x₀ … │ … │x₁ … │      6 outputs × 16 channels stay in registers; each weight vector is read once for six
//            tap 0      tap 1      outputs, each input value is spread over the lanes
//
// Floor: kernel² · K fused multiply-adds a cell and output channel. Read once per instruction set.

template <class Sums, int P, int N>
KERNEL void direct_block(const FloatDirect& job, const float* weights, int column, int chunk) {
    constexpr int L = LANES<Sums>;
    Sums sum[P][N];
#pragma GCC unroll 16
    for (int t = 0; t < P; ++t)
#pragma GCC unroll 2
        for (int n = 0; n < N; ++n) sum[t][n] = load_as<Sums>(job.end.bias + chunk + L * n);
    const int64_t apart = static_cast<int64_t>(job.stride) * job.in_pitch;
    for (int ky = 0; ky < job.kernel; ++ky) {
        for (int kx = 0; kx < job.kernel; ++kx) {
            const int64_t cell = static_cast<int64_t>(column) * job.stride + kx * job.dilation - job.padding;
            const float* x = job.in[ky] + cell * job.in_pitch;
            for (int k = 0; k < job.inputs; ++k, weights += L * N) {
                Sums weight[N];
#pragma GCC unroll 2
                for (int n = 0; n < N; ++n) weight[n] = load_as<Sums>(weights + L * n);
#pragma GCC unroll 16
                for (int t = 0; t < P; ++t) {
                    const auto value = in_all_lanes(x + t * apart + k);
#pragma GCC unroll 2
                    for (int n = 0; n < N; ++n) add_products(sum[t][n], value, weight[n]);
                }
            }
        }
    }
    const Sums floor = Sums{} + (job.end.relu ? 0.f : -INFINITY);
#pragma GCC unroll 16
    for (int t = 0; t < P; ++t) {
        const int64_t at = static_cast<int64_t>(column + t) * job.out_step + chunk;
#pragma GCC unroll 2
        for (int n = 0; n < N; ++n) {
            Sums value = larger(sum[t][n], floor);
            if (job.added) value += load_as<Sums>(job.added + at + L * n);
            store(reinterpret_cast<float*>(job.out) + at + L * n, value);
        }
    }
}

template <class Sums, int N>
KERNEL void direct_chunk(const FloatDirect& job, const float* weights, int chunk) {
    constexpr int B = LANES<WideFloats> == 16 ? 16 : 6;
    int column = 0;
    for (; column + B <= job.columns; column += B) direct_block<Sums, B, N>(job, weights, column, chunk);
    for (; column < job.columns; ++column) direct_block<Sums, 1, N>(job, weights, column, chunk);
}

ENTRY void convolve_direct(const FloatDirect& job) {
    const float* weights = job.weights;
    int chunk = 0;
    for (; chunk + 16 <= job.out_pitch; chunk += 16, weights += job.kernel * job.kernel * job.inputs * 16)
        direct_chunk<WideFloats, 16 / LANES<WideFloats>>(job, weights, chunk);
    if (chunk < job.out_pitch) direct_chunk<Floats, 1>(job, weights, chunk);
}
