#include "compact_fused_core.h"

namespace {

constexpr int THREADS = 512;

template <int WIDTH, class Form>
__device__ __forceinline__ void run(const Compact& net) {
    extern __shared__ __align__(16) char shared[];
    const int warp = threadIdx.x / 32, warps = THREADS / 32;
    for (int tile = blockIdx.x; tile < net.tiles(); tile += gridDim.x) {
#pragma unroll 1
        for (int s = 0; s <= LAYERS; ++s) {
            step<WIDTH, Form>(net, tile, s, shared, warp, warps);
            __syncthreads();
        }
    }
}

}  // namespace

#define KERNEL(name, width, form) \
    extern "C" __global__ void __launch_bounds__(THREADS, 1) name(const __grid_constant__ Compact net) { run<width, form>(net); }

KERNEL(compact_fused_fp16_16, 16, Half)
KERNEL(compact_fused_fp16_32, 32, Half)
KERNEL(compact_fused_fp32_16, 16, Split)
KERNEL(compact_fused_fp32_32, 32, Split)
KERNEL(compact_fused_mixed_16, 16, Mixed)
KERNEL(compact_fused_mixed_32, 32, Mixed)
KERNEL(compact_fused_int8_16, 16, Bytes)
KERNEL(compact_fused_int8_32, 32, Bytes)
