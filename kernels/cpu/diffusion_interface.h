// The C interface of diffusion, in the manner of edgerecon_cpu.h.
//
//     filter = edgerecon_cpu_diffusion_open(height, width, 10, 0.1, 0.1, 2, "", error, size)      buffers and threads of one stream
//     edgerecon_cpu_diffusion_run(filter, image, out)                                            allocates nothing; one call at a time
//     edgerecon_cpu_diffusion_close(filter)
#pragma once

#include <stdint.h>

#include "edgerecon_cpu.h"

#ifdef __cplusplus
extern "C" {
#endif

// iterations: steps. kappa: gradient in levels a pixel. step: of time, stable up to 0.25.
EDGERECON_API void* edgerecon_cpu_diffusion_open(int32_t height, int32_t width, int32_t iterations, float kappa, float step,
                                                 int32_t threads, const char* set, char* error, int32_t size);
// image, out: height × width float32 in [0, 1], contiguous; they may be the same.
EDGERECON_API void edgerecon_cpu_diffusion_run(void* filter, const float* image, float* out);
EDGERECON_API void edgerecon_cpu_diffusion_close(void* filter);

#ifdef __cplusplus
}
#endif
