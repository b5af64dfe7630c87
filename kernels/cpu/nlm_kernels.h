// The kernels of non-local means once per instruction set, as instruction_sets.h has those of the networks.
#pragma once

#include "instruction_sets.h"
#include "nlm_job.h"

namespace portable {
#define TARGET
#define USES_AVX2 0
#include "nlm_lanes.h"
#include "nlm_rows.h"
#undef USES_AVX2
#undef TARGET
}  // namespace portable

#if defined(__x86_64__)
namespace avx2 {
#define TARGET __attribute__((target("avx2,fma")))
#define USES_AVX2 1
#include "nlm_lanes.h"
#include "nlm_rows.h"
#undef USES_AVX2
#undef TARGET
}  // namespace avx2
#elif defined(__aarch64__)
namespace neon {
#define TARGET
#define USES_NEON 1
#include "nlm_lanes.h"
#include "nlm_rows.h"
#undef USES_NEON
#undef TARGET
}  // namespace neon
#endif

struct NlmKernels {
    const char* name;
    void (*shift)(const NlmBlock&, int, int, int);
    void (*collect)(uint16_t*, int, int32_t*);
};

inline const NlmKernels NLM_KERNELS[] = {
#if defined(__x86_64__)
    {"vnni", avx2::nlm_shift, avx2::nlm_collect},
    {"avx2", avx2::nlm_shift, avx2::nlm_collect},
#elif defined(__aarch64__)
    {"neon", neon::nlm_shift, neon::nlm_collect},
#endif
    {"portable", portable::nlm_shift, portable::nlm_collect},
};

// Those of the set of that name, or of the fastest that this processor has; null when it lacks the set.
inline const NlmKernels* find_nlm_kernels(const char* name) {
    const InstructionSet* set = find_instruction_set(name);
    for (const NlmKernels& one : NLM_KERNELS)
        if (set && !strcmp(one.name, set->name)) return &one;
    return set && !*name ? &NLM_KERNELS[sizeof NLM_KERNELS / sizeof *NLM_KERNELS - 1] : nullptr;
}
