// The kernels of non-local means once per instruction set.
#pragma once

#include "each_lanes.h"
#include "nlm_job.h"

struct NlmKernels {
    void (*shift)(const NlmBlock&, int, int, int);
    void (*collect)(uint16_t*, int, int32_t*);
};

#define KERNELS "nlm_set.h"
#include "each_set.h"

inline const NlmKernels& find_nlm_kernels(const char* set) { return find_kernels<NlmKernels>({OF_EACH_SET(NLM)}, set); }
