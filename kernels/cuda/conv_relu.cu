// Convolution 3×3 of any dilation, bias, residual and ReLU in one pass: out = ρ(w ∗ x + b + r), SAME zero padding.
//
// Pictures are NHWC, C_in and C_out in {1, 4, 8, 16, 32, 64}. The code depends on two things, which are the template's
// arguments: up to 4 input channels are one plane of quads and else planes of 16, and up to 8 output channels are one
// block of a product and else pairs of blocks (conv_tile.h). A block of threads brings a tile with its halo
// from NHWC into planes in shared memory, once, and its warps share the output channels and the cells of the tile:
//
//     NHWC   pixel: | quad 0 … quad 3 | quad 4 … quad 7 | …    →    plane 0: | cell 0, quads 0 … 3 | cell 1 | …
//                     channels 0 … 15   channels 16 … 31            plane 1: | cell 0, quads 4 … 7 | cell 1 | …
//
// Halves multiply on tensor cores and add up in float32. Bytes multiply on tensor cores and add up in int32; a sum
// becomes a byte by round(sum · step + offset), halves to even, saturated, with step = s_in·s_w/s_out and
// offset = b/s_out rounded once (fma): what QuantizeLinear of the convolution of dequantised numbers is, in exact
// arithmetic. Floats multiply on the ordinary cores.
#include "conv_relu_core.h"

namespace {

constexpr int THREADS = 128;

template <class Quad, int TAPS, int BLOCKS>
__device__ __forceinline__ void run(const Convolution& conv) {
    extern __shared__ __align__(16) char shared[];
    Quad* planes = reinterpret_cast<Quad*>(shared);
    load_tile<Quad, TAPS>(conv, blockIdx.x, planes, threadIdx.x, THREADS);
    __syncthreads();
    convolve_tile<Quad, TAPS, BLOCKS>(conv, blockIdx.x, planes, threadIdx.x / 32, THREADS / 32);
}

}  // namespace

#define KERNEL(name, quad, taps, blocks)                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS) name(const __grid_constant__ Convolution conv) { \
        run<quad, taps, blocks>(conv);                                                                \
    }

KERNEL(conv_relu_fp16_4_8, HalfQuad, 1, 1)
KERNEL(conv_relu_fp16_4_16, HalfQuad, 1, 2)
KERNEL(conv_relu_fp16_16_8, HalfQuad, 3, 1)
KERNEL(conv_relu_fp16_16_16, HalfQuad, 3, 2)
KERNEL(conv_relu_int8_4_8, ByteQuad, 1, 1)
KERNEL(conv_relu_int8_4_16, ByteQuad, 1, 2)
KERNEL(conv_relu_int8_16_8, ByteQuad, 3, 1)
KERNEL(conv_relu_int8_16_16, ByteQuad, 3, 2)

extern "C" __global__ void __launch_bounds__(THREADS) conv_relu_fp32(const __grid_constant__ Convolution conv) {
    const int64_t index = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (index < float_items(conv)) convolve_floats(conv, index);
}
