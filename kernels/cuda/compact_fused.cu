// The whole compact network (edgerecon.workshop.models.compact) in one persistent launch: unshuffle, six convolutions, shuffle,
// residual. Activations never leave the multiprocessor:
//
//     frame ─► │ halo tile │ A ─L1─► B ─L2─► A ─L3─► B ─L4─► A ─L5─► B ─L6─► + frame ─► out
//
// A and B are the two buffers of shared memory that layers read and write in turn, one barrier a layer. Each layer's
// region is smaller than its input's by its dilation on every side, so that the last one is the tile: what neighbouring
// tiles both need is computed twice instead of exchanged. A layer is a matrix product on tensor cores (conv_tile.h).
//
// Blocks of 512 threads, as many as the GPU holds, take the tiles in turn. Shared memory is dynamic: both buffers, whose
// sizes edgerecon.cuda.kernels.compact chooses with the tile. WIDTH is the number of channels, narrower networks being padded
// to it, and Form is how numbers are kept between layers (compact_fused_core.h).
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
