// The beamforming kernels once per instruction set, as instruction_sets.h has those of the networks.
#pragma once

#include "das_interface.h"
#include "das_job.h"
#include "instruction_sets.h"

namespace portable {
#define TARGET
#define USES_AVX2 0
#include "das_lanes.h"
#include "das_tile.h"
#include "das_batch.h"
#include "das_signals.h"
#undef USES_AVX2
#undef TARGET
}  // namespace portable

#if defined(__x86_64__)
namespace avx2 {
#define TARGET __attribute__((target("avx2,fma")))
#define USES_AVX2 1
#include "das_lanes.h"
#include "das_tile.h"
#include "das_batch.h"
#include "das_signals.h"
#undef USES_AVX2
#undef TARGET
}  // namespace avx2
#endif

struct DasKernels {
    const char* name;
    bool (*hear)(const DasShape&, const DasElement&, const DasPixels&, bool, DasHeard&);
    void (*add_rf)(const DasShape&, const int16_t*, const DasHeard&, const float*, int, DasValues&);
    void (*add_iq)(const DasShape&, const int16_t*, const DasHeard&, const float*, int, DasValues&);
    void (*transmit_turn)(const DasShape&, const float*, const float*, float, int, DasValues&);
    void (*compound)(const DasValues&, const DasValues&, int, DasValues&);
    void (*fold)(int, const DasHeard&, const DasValues&, int, DasSums&);
    void (*place)(const DasShape&, const DasHeard&, const DasTransmit&, bool, int, DasPlaces&);
    void (*batch_rf)(const int16_t* const*, const DasPlaces*, int, int, int, float*);
    void (*batch_iq)(const int16_t* const*, const DasPlaces*, int, int, int, float*);
    void (*demodulate)(const DasFilter&, const float*, int, float, int16_t*);
    void (*round)(const float*, int, float, int16_t*);
};

#define DAS_KERNELS_OF(set)                                                                                          \
    set::das_hear, set::das_add_rf, set::das_add_iq, set::das_transmit_turn, set::das_compound, set::das_fold,       \
        set::das_place, set::das_batch_rf, set::das_batch_iq, set::das_demodulate, set::das_round

inline const DasKernels DAS_KERNELS[] = {
#if defined(__x86_64__)
    {"vnni", DAS_KERNELS_OF(avx2)},
    {"avx2", DAS_KERNELS_OF(avx2)},
#endif
    {"portable", DAS_KERNELS_OF(portable)},
};

// Those of the set of that name, or of the fastest that this processor has; null when it lacks the set.
inline const DasKernels* find_das_kernels(const char* name) {
    const InstructionSet* set = find_instruction_set(name);
    for (const DasKernels& one : DAS_KERNELS)
        if (set && !strcmp(one.name, set->name)) return &one;
    return set && !*name ? &DAS_KERNELS[sizeof DAS_KERNELS / sizeof *DAS_KERNELS - 1] : nullptr;
}
