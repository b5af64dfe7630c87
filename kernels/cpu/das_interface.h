// The C interface of the beamformer, in the manner of edgerecon_cpu.h. Lengths are in samples of path: metres times
// sampling rate over speed of sound. Delays and turns are counted from the first sample.
//
//     beamformer = edgerecon_cpu_das_open(told, "", error, size)                  arrays are copied
//     edgerecon_cpu_das_load(beamformer, filter, data, …, rows)                   samples become 16-bit rows
//     edgerecon_cpu_das_run(beamformer, rows, scale, out)                         allocates nothing; one call at a time
//     edgerecon_cpu_das_close(beamformer)
#pragma once

#include <stdint.h>

#include "edgerecon_cpu.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { EDGERECON_DAS, EDGERECON_COHERENCE, EDGERECON_DMAS };
enum { EDGERECON_INT16, EDGERECON_FLOAT32 };

typedef struct {
    int32_t height, width, elements, waves;
    int32_t samples;  // of a row, without its margins
    int32_t iq;       // rows hold i and q in turn
    int32_t method, threads;
    float cycles;                          // of the carrier in a sample; 0 in RF
    float slope, level, swing, flat;       // of the aperture, see das_job.h
    const float *x, *z;                    // of the pixels
    const float *element_x, *element_z, *element_sine, *element_cosine, *element_lens;
    const float* transmit;                 // waves × pixels: from the first sample to the wave's arrival at the pixel
    const float* transmit_weight;          // waves × pixels, at most 1; null for 1
    const float* turns;                    // waves: of the carrier, added
} edgerecon_das;

// From RF to IQ; see das_job.h.
typedef struct {
    int32_t phases, step, taps, half, samples;
    const float *real, *imag, *cosine, *sine;
} edgerecon_das_filter;

EDGERECON_API void* edgerecon_cpu_das_open(const edgerecon_das* told, const char* set, char* error, int32_t size);
// data: (waves, elements, samples_in), int16 or float32, at any strides (in numbers; parts lie side by side where there is
// no filter). gain: numbers to 16 bits. rows: waves × elements rows with their margins, zeros before their first use: of what
// is filtered, only the samples that some pixel hears are made. Returns the largest of i and q that a filter made, before it
// was clipped to 32767; 0 without a filter.
EDGERECON_API float edgerecon_cpu_das_load(void* beamformer, const edgerecon_das_filter* filter, const void* data, int32_t kind,
                                           int64_t wave, int64_t element, int64_t sample, int32_t samples_in, float gain, int16_t* rows);
EDGERECON_API void edgerecon_cpu_das_run(void* beamformer, const int16_t* rows, float scale, float* out);
EDGERECON_API void edgerecon_cpu_das_aperture(void* beamformer, const int16_t* rows, float scale, int32_t first, int32_t count, float* out);
// Delay-and-sum of each of `parts` parts of the aperture, IQ with an F-number: 2 · parts × pixels, real parts first.
EDGERECON_API void edgerecon_cpu_das_split(void* beamformer, const int16_t* rows, float scale, int32_t parts, float* out);
// Frames of rows become rows of lanes, a multiple of 16.
EDGERECON_API void edgerecon_cpu_das_interleave(void* beamformer, const int16_t* const* frames, int32_t count, int32_t lanes, int16_t* rows);
EDGERECON_API void edgerecon_cpu_das_batch(void* beamformer, const int16_t* rows, float scale, int32_t frames, int32_t lanes, float* out);
EDGERECON_API void edgerecon_cpu_das_close(void* beamformer);

#ifdef __cplusplus
}
#endif
