// The C interface of the CPU engine. Pictures are float32, row by row, contiguous, or bytes with a pitch. Nothing throws;
// what can fail returns null or −1 and writes one line into `error`.
//
//     network = edgerecon_cpu_open(layers, count, error, size)        weights, packed; shared by any number of runners
//     runner = edgerecon_cpu_bind(network, height, width, threads, "", error, size)     buffers and threads of one stream
//     edgerecon_cpu_run(runner, frame, out)                           allocates nothing; one call at a time a runner
//     edgerecon_cpu_run_bytes(runner, picture, error, size)           the same from bytes to bytes, as a stream shows them
//     edgerecon_cpu_unbind(runner); edgerecon_cpu_close(network)
//
// A forked child may run what its parent bound, on one thread; there unbind leaves the memory to the end of the process.
#pragma once

#include <stdint.h>

#define EDGERECON_CPU_VERSION 3

#ifdef __cplusplus
extern "C" {
#endif

enum { EDGERECON_UNSHUFFLE, EDGERECON_CONVOLUTION, EDGERECON_TRANSPOSED, EDGERECON_SHUFFLE };

// One layer; see network.h. Arrays are read while the network is opened and not kept.
typedef struct {
    int32_t kind;
    int32_t source, added, target;  // maps; added: 0 for nothing, and in a shuffle 1 to add the frame
    int32_t inputs, outputs;        // channels
    int32_t kernel;                 // edge of the kernel, or block of a shuffle
    int32_t stride, dilation, padding;
    int32_t relu;
    int32_t floor, ceiling;         // levels that an integer layer writes; floor is at most 0
    const float* weights;           // float32: outputs × inputs × kernel × kernel (transposed: inputs × outputs × …)
    const float* bias;              // outputs
    const int16_t* integers;        // an integer layer's weights, of the same shape; null in float32. With y their sum:
    const int32_t* offset;          // outputs; z = 576·y + 16·offset or 48·y + 4·offset by Winograd, y + offset else (range_proof.h)
    const int32_t* shift;           // outputs; z >> shift, clipped to floor … ceiling
    const int32_t* gain;            // outputs, where a map is added: ρ(z) + gain·added + 2^shift/2, then the shift
    const float* step;              // outputs; not null: z times this, in float32, instead
} edgerecon_layer;

// A frame of bytes, 255 being 1, and the frame that becomes of it: strength · network + (1 − strength) · seen where tissue
// is, the byte of `frame` elsewhere. `out` overlaps none of the others. Beyond the border the nearest pixel is repeated:
// `margin` pixels above and to the left, as many as are left of what was bound below and to the right.
typedef struct {
    const uint8_t* seen;    // by the network
    const uint8_t* frame;
    const uint8_t* tissue;  // not 0 where tissue is; null: everywhere
    uint8_t* out;
    int64_t seen_pitch, frame_pitch, tissue_pitch, out_pitch;  // bytes from one row to the next
    int32_t height, width, margin;
    float strength;         // 0 to 1
} edgerecon_picture;

#define EDGERECON_API __attribute__((visibility("default")))

EDGERECON_API int32_t edgerecon_cpu_version(void);
// Name of instruction set number `index`, the fastest first, of those this processor has; null past the last.
EDGERECON_API const char* edgerecon_cpu_instruction_set(int32_t index);
EDGERECON_API void* edgerecon_cpu_open(const edgerecon_layer* layers, int32_t count, char* error, int32_t size);
EDGERECON_API void* edgerecon_cpu_bind(void* network, int32_t height, int32_t width, int32_t threads, const char* set, char* error, int32_t size);
EDGERECON_API void edgerecon_cpu_run(void* runner, const float* frame, float* out);
// 0, or −1 for sizes beyond those bound, and for a network that changes a frame's size.
EDGERECON_API int32_t edgerecon_cpu_run_bytes(void* runner, const edgerecon_picture* picture, char* error, int32_t size);
EDGERECON_API void edgerecon_cpu_unbind(void* runner);
EDGERECON_API void edgerecon_cpu_close(void* network);

#ifdef __cplusplus
}
#endif
