// The C interface of non-local means, in the manner of edgerecon_cpu.h.
//
//     filter = edgerecon_cpu_nlm_open(height, width, 7, 23, 0.1, 2, "", error, size)      buffers and threads of one stream
//     edgerecon_cpu_nlm_run(filter, image, out)                                          allocates nothing; one call at a time
//     edgerecon_cpu_nlm_close(filter)
#pragma once

#include <stdint.h>

#include "edgerecon_cpu.h"

#ifdef __cplusplus
extern "C" {
#endif

// patch, search: odd sides of the compared patches and of the window, in pixels. strength: in levels of [0, 1].
EDGERECON_API void* edgerecon_cpu_nlm_open(int32_t height, int32_t width, int32_t patch, int32_t search, float strength,
                                           int32_t threads, const char* set, char* error, int32_t size);
// image, out: height × width float32 in [0, 1], contiguous; they may be the same.
EDGERECON_API void edgerecon_cpu_nlm_run(void* filter, const float* image, float* out);
EDGERECON_API void edgerecon_cpu_nlm_close(void* filter);

#ifdef __cplusplus
}
#endif
