// The kernels of non-local means once per instruction set.
#pragma once

#include "each_lanes.h"
#include "nlm_job.h"

// lanes: pixels of one vector, which is how many strips a row has.
struct NlmKernels {
    int lanes;
    void (*shift)(const NlmBlock&, int, int, int);
    void (*collect)(uint16_t*, int64_t, int32_t*);
};

#define KERNELS "nlm_set.h"
#include "each_set.h"

inline const NlmKernels& find_nlm_kernels(const char* set) { return find_kernels<NlmKernels>({OF_EACH_SET(NLM)}, set); }
