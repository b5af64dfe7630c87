// Delay-and-sum of IQ (Perrot et al., Ultrasonics 111, 2021): one thread a pixel, transmits and elements compounded in registers.
//
//     warp: 32 neighbours of a row of pixels ──► nearly the same samples of an element: their pairs share lines of the cache
//
// A point costs two loads of 4 bytes from the L1 cache, an interpolation and a turn; an element's geometry is the same for the whole
// block and is broadcast. Floor, 16 bits: 8 bytes a point from L1, 128 bytes a cycle and multiprocessor: 16 points. Not measured.
#include "das_core.h"

extern "C" __global__ void __launch_bounds__(256) das_iq(
    const das::Pair* rows, const float* x, const float* z, const float* elements, const float* transmit, const float* turns,
    int pixels, int count, int waves, int samples, float cycles, float slope, float level, float swing, float flat, float scale,
    das::Value* out) {
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    const das::Job job = {rows, x, z, elements, transmit, turns, pixels, count, waves, samples, cycles, slope, level, swing, flat};
    const das::Value sum = das::pixel_of(job, pixel);
    out[pixel] = {sum.real * scale, sum.imag * scale};
}
