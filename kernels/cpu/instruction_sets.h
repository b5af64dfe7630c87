// The kernels once per instruction set, and the choice of one at run time by CPUID.
//
//     portable   what the compiler makes of the vector extension for the baseline: SSE2, NEON, plain code
//     avx2       AVX2 and FMA
//     vnni       AVX-512 VNNI on vectors of 32 bytes: a pair's products and their sum are one instruction; float32 as in avx2
//     neon       of aarch64, whose baseline it is; 32 registers of 16 bytes
//     wasm       of browsers, WebAssembly's vectors of 16 bytes
//
// Integer kernels give the same bits in every set; float32 kernels round differently where a set has no fused product.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "rows.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif

#define KERNEL TARGET static inline __attribute__((always_inline))
#define ENTRY TARGET static

namespace portable {
#define TARGET
#define USES_AVX2 0
#define BLOCK_TILES 1
#include "lanes.h"
#include "winograd.h"
#include "winograd_fp32.h"
#include "requantise.h"
#include "winograd_int16.h"
#include "direct_fp32.h"
#include "direct_int16.h"
#include "frame_edges.h"
#include "frame_bytes.h"
#undef KEEP_IN_REGISTER
#undef USES_AVX2
#undef BLOCK_TILES
#undef TARGET
}  // namespace portable

#if defined(__x86_64__)
namespace avx2 {
#define TARGET __attribute__((target("avx2,fma")))
#define USES_AVX2 1
#define BLOCK_TILES MOST_TILES
#include "lanes.h"
#include "winograd.h"
#include "winograd_fp32.h"
#include "requantise.h"
#include "winograd_int16.h"
#include "direct_fp32.h"
#include "direct_int16.h"
#include "frame_edges.h"
#include "frame_bytes.h"
#undef KEEP_IN_REGISTER
#undef USES_AVX2
#undef BLOCK_TILES
#undef TARGET
}  // namespace avx2
namespace vnni {
#define TARGET __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")))
#define USES_AVX2 1
#define USES_VNNI 1
#define BLOCK_TILES MOST_TILES
#include "lanes.h"
#include "winograd.h"
#include "requantise.h"
#include "winograd_int16.h"
#include "direct_int16.h"
#undef KEEP_IN_REGISTER
#undef USES_AVX2
#undef USES_VNNI
#undef BLOCK_TILES
#undef TARGET
}  // namespace vnni
#elif defined(__aarch64__)
namespace neon {
#define TARGET
#define USES_NEON 1
#define BLOCK_TILES 4
#include "lanes.h"
#include "winograd.h"
#include "winograd_fp32.h"
#include "requantise.h"
#include "winograd_int16.h"
#include "direct_fp32.h"
#include "direct_int16.h"
#include "frame_edges.h"
#include "frame_bytes.h"
#undef KEEP_IN_REGISTER
#undef USES_NEON
#undef BLOCK_TILES
#undef TARGET
}  // namespace neon
#elif defined(__wasm_simd128__)
namespace wasm {
#define TARGET
#define USES_WASM 1
#define BLOCK_TILES 4
#include "lanes.h"
#include "winograd.h"
#include "winograd_fp32.h"
#include "requantise.h"
#include "winograd_int16.h"
#include "direct_fp32.h"
#include "direct_int16.h"
#include "frame_edges.h"
#include "frame_bytes.h"
#undef KEEP_IN_REGISTER
#undef USES_WASM
#undef BLOCK_TILES
#undef TARGET
}  // namespace wasm
#endif

struct InstructionSet {
    const char* name;
    bool (*present)();
    void (*float_winograd)(const FloatWinograd&, float*);
    void (*integer_winograd)(const IntegerWinograd&, int16_t*);
    void (*float_direct)(const FloatDirect&);
    void (*integer_direct)(const IntegerDirect&);
    void (*unshuffle)(const EdgeRow&, float*);
    void (*unshuffle_integers)(const EdgeRow&, int16_t*);
    void (*shuffle)(const EdgeRow&, const float*);
    void (*expand)(const BytesIn&);
    void (*finish)(const BytesOut&);
};

#if defined(__x86_64__)
inline bool has_vnni() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
#endif

#define KERNELS_OF(set)                                                                                    \
    set::convolve_winograd, set::convolve_winograd, set::convolve_direct, set::convolve_direct, set::unshuffle_row, \
        set::unshuffle_row, set::shuffle_row, set::expand_row, set::finish_row

// From the fastest on; the last one runs everywhere.
inline const InstructionSet INSTRUCTION_SETS[] = {
#if defined(__x86_64__)
    {"vnni", has_vnni, avx2::convolve_winograd, vnni::convolve_winograd, avx2::convolve_direct, vnni::convolve_direct, avx2::unshuffle_row,
     avx2::unshuffle_row, avx2::shuffle_row, avx2::expand_row, avx2::finish_row},
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, KERNELS_OF(avx2)},
#elif defined(__aarch64__)
    {"neon", [] { return true; }, KERNELS_OF(neon)},
#elif defined(__wasm_simd128__)
    {"wasm", [] { return true; }, KERNELS_OF(wasm)},
#endif
    {"portable", [] { return true; }, KERNELS_OF(portable)},
};

// The set of that name, or the fastest where the name is empty; null when this processor lacks it.
inline const InstructionSet* find_instruction_set(const char* name) {
    for (const InstructionSet& one : INSTRUCTION_SETS)
        if (one.present() && (!*name || !strcmp(name, one.name))) return &one;
    return nullptr;
}
