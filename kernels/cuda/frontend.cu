// A frame's way onto the GPU and back: one thread a pixel, everything (height, width), row by row, contiguous.
//
//   scanner, grey   uint8 ──► frontend_bilinear / frontend_area ──┐
//   scanner, IQ     float2 ─► frontend_log ─► frontend_scan ──────┴─► float32 [0, 1] ─► network ─► frontend_bytes ─► uint8
//                             (samples, lines): depth ↓, angle →      (height, width)
//
// Resizing has half-pixel centres, as OpenCV's INTER_LINEAR, in exact integer positions; the area mode is the mean by area,
// as INTER_AREA when shrinking. A pixel costs 5 bytes in and out at equal sizes (bilinear), 12 (log), 8 (scan) and 5
// (bytes); neighbours share their reads through L1.
#include "frontend_core.h"

namespace {
__device__ int row_of_thread() { return static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y); }
__device__ int column_of_thread() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }
__device__ long long index_of_thread() { return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; }
}  // namespace

// Grid: (columns / 32, rows / 8) rounded up. Block: 32×8.
extern "C" __global__ void __launch_bounds__(256)
    frontend_bilinear(const uint8_t* image, int height, int width, float* out, int rows, int columns) {
    const int row = row_of_thread(), column = column_of_thread();
    if (row >= rows || column >= columns) return;
    const auto across = frontend::between(column, width, columns), down = frontend::between(row, height, rows);
    out[static_cast<int64_t>(row) * columns + column] = frontend::bilinear(image, width, down, across) / 255.0f;
}

extern "C" __global__ void __launch_bounds__(256)
    frontend_area(const uint8_t* image, int height, int width, float* out, int rows, int columns) {
    const int row = row_of_thread(), column = column_of_thread();
    if (row >= rows || column >= columns) return;
    out[static_cast<int64_t>(row) * columns + column] =
        frontend::area(image, height, width, row, column, rows, columns) / 255.0f;
}

extern "C" __global__ void __launch_bounds__(256)
    frontend_scan(const float* polar, const __grid_constant__ frontend::Sector sector, float* out) {
    const int row = row_of_thread(), column = column_of_thread();
    if (row >= sector.height || column >= sector.width) return;
    out[static_cast<int64_t>(row) * sector.width + column] = frontend::scan_converted(sector, polar, row, column);
}

// Grid: count / 256 rounded up. Block: 256.
extern "C" __global__ void __launch_bounds__(256)
    frontend_log(const float2* iq, long long count, float inverse_reference, float inverse_range, float* out) {
    const long long index = index_of_thread();
    if (index >= count) return;
    const float2 sample = iq[index];
    out[index] = frontend::log_compressed(sample.x, sample.y, inverse_reference, inverse_range);
}

extern "C" __global__ void __launch_bounds__(256) frontend_bytes(const float* image, long long count, uint8_t* out) {
    const long long index = index_of_thread();
    if (index < count) out[index] = frontend::to_byte(image[index]);
}
