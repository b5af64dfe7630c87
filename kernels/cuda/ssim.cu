// Structural similarity (Wang et al., IEEE Trans. Image Process. 13(4), 2004), forward and backward, fused.
//
// Window: Gaussian 11×11, σ = 1.5; C₁ = 0.01², C₂ = 0.03², for images in [0, 1]; population covariance. Borders: "valid"
// (windows inside the image) or "same" (zeros beyond it). Images are (planes, height, width), contiguous, fp32 or fp16;
// everything inside is fp32.
//
// A block of 128 threads walks down a strip of 128 columns. Each thread owns a column of windows:
//
//        one line of pixels in shared memory            registers of thread t
//        ┌──────────────────────────────┬────┐
//        │ 0 … t t+1 … t+10 …       127 │ 10 │   →   5 sums across (11 taps)
//        └──────────────────────────────┴────┘       added to 11 windows under way (55 accumulators);
//          the next line is being fetched            the one that ends here is complete: emit, slide
//
// Every pixel is read from global memory once (and 10 of 128 + 10 of `rows` again by the neighbours); no intermediate
// leaves the SM but the derivatives ∂SSIM/∂(E[a], E[a²], E[ab]) that the backward pass asks for. That one filters those
// three maps by the same walk:  ∂/∂a = w∗(g·∂₁) + 2a·w∗(g·∂₂) + b·w∗(g·∂₃).
//
// Bytes a pixel, fp32: mean 8, mean and derivatives 20, backward 24. FMAs: 132 and 66. The mean is summed in a fixed
// order: thread, block, then ssim_mean over blocks in float64.
#include <cuda_fp16.h>

#include "ssim_core.h"

namespace {

template <class Kind>
struct GpuBlock {
    ssim::Thread<Kind> thread;
    template <class F>
    __device__ __forceinline__ void each(F work) { work(static_cast<int>(threadIdx.x), thread); }
    __device__ __forceinline__ void barrier() { __syncthreads(); }
};

__device__ ssim::Strip strip_of_block(int rows) {
    return {static_cast<int>(blockIdx.z), static_cast<int>(blockIdx.y) * rows,
            static_cast<int>(blockIdx.x) * ssim::COLUMNS, rows};
}

template <class T>
__device__ void forward(ssim::Plane source, int rows, const T* a, const T* b, float* map, float* derivatives,
                        float* totals) {
    __shared__ ssim::Moments::Pixel lines[2][ssim::LINE];
    __shared__ float sums[ssim::COLUMNS];
    GpuBlock<ssim::Moments> block;
    const long long block_index = (static_cast<long long>(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    ssim::forward(block, lines, sums, source, strip_of_block(rows), a, b, map, derivatives,
                  static_cast<long long>(gridDim.z) * source.rows() * source.columns(),
                  totals ? totals + block_index : nullptr);
}

// scales: one for each image of `channels` planes.
template <class T>
__device__ void backward(ssim::Plane pixels, int rows, const T* a, const T* b, const float* derivatives,
                         const float* flow, const float* scales, int channels, float factor, T* gradient) {
    __shared__ ssim::Flows::Pixel lines[2][ssim::LINE];
    GpuBlock<ssim::Flows> block;
    const float scale = scales ? factor * scales[blockIdx.z / channels] : factor;
    ssim::backward(block, lines, pixels, strip_of_block(rows), a, b, derivatives,
                   static_cast<long long>(gridDim.z) * pixels.rows() * pixels.columns(), flow, scale, gradient);
}

}  // namespace

// Grid: (columns / 128, rows of windows or pixels / rows, planes), rounded up. Block: 128.
#define SSIM_KERNELS(NAME, T)                                                                                           \
    extern "C" __global__ void __launch_bounds__(ssim::COLUMNS)                                                         \
        ssim_forward_##NAME(int height, int width, int border, int rows, const T* a, const T* b, float* map,            \
                            float* derivatives, float* totals) {                                                        \
        forward<T>({height, width, border}, rows, a, b, map, derivatives, totals);                                      \
    }                                                                                                                   \
    extern "C" __global__ void __launch_bounds__(ssim::COLUMNS)                                                         \
        ssim_backward_##NAME(int height, int width, int border, int rows, const T* a, const T* b,                       \
                             const float* derivatives, const float* flow, const float* scales, int channels,            \
                             float factor, T* gradient) {                                                               \
        backward<T>({height, width, border}, rows, a, b, derivatives, flow, scales, channels, factor, gradient);        \
    }
SSIM_KERNELS(f32, float)
SSIM_KERNELS(f16, __half)

// means[image] = factor · the sum of its `count` totals. Grid: images. Block: 256.
extern "C" __global__ void __launch_bounds__(256)
    ssim_mean(const float* totals, int count, double factor, float* means) {
    __shared__ double sums[256];
    const float* own = totals + static_cast<long long>(blockIdx.x) * count;
    double sum = 0;
    for (int index = threadIdx.x; index < count; index += 256) sum += own[index];
    sums[threadIdx.x] = sum;
    for (int half = 128; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) means[blockIdx.x] = static_cast<float>(factor * sums[0]);
}
