// The instruction sets that kernels are compiled for, and the choice of one at run time by CPUID. each_set.h compiles them.
//
//     portable   what the compiler makes of the vector extension for the baseline: SSE2, NEON, plain code
//     avx2       AVX2 and FMA
//     vnni       AVX-512 with VNNI: vectors of 64 bytes; a pair's products and their sum are one instruction
//     neon       of aarch64, whose baseline it is; 32 registers of 16 bytes
//     wasm       of browsers, WebAssembly's vectors of 16 bytes
//
// Integer kernels give the same bits in every set; float32 kernels round differently where a set has no fused product.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif

struct InstructionSet {
    const char* name;
    bool (*present)();
};

#if defined(__x86_64__)
inline bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
inline bool has_vnni() {
    return has_avx2() && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}
#endif
inline bool always() { return true; }

// From the fastest on; the last one runs everywhere. OF_EACH_SET lists the address of a table in each, in the same order.
inline constexpr InstructionSet INSTRUCTION_SETS[] = {
#if defined(__x86_64__)
    {"vnni", has_vnni},
    {"avx2", has_avx2},
#define OF_EACH_SET(table) &vnni::table, &avx2::table, &portable::table
#elif defined(__aarch64__)
    {"neon", always},
#define OF_EACH_SET(table) &neon::table, &portable::table
#elif defined(__wasm_simd128__)
    {"wasm", always},
#define OF_EACH_SET(table) &wasm::table, &portable::table
#else
#define OF_EACH_SET(table) &portable::table
#endif
    {"portable", always},
};
constexpr size_t INSTRUCTION_SET_COUNT = sizeof INSTRUCTION_SETS / sizeof *INSTRUCTION_SETS;

// The table of the set of that name, or of the fastest where the name is empty. Throws std::invalid_argument where this
// processor lacks it.
template <class Kernels>
const Kernels& find_kernels(const Kernels* const (&of_each_set)[INSTRUCTION_SET_COUNT], const char* name) {
    for (size_t number = 0; number < INSTRUCTION_SET_COUNT; ++number) {
        const InstructionSet& one = INSTRUCTION_SETS[number];
        if (one.present() && (!*name || !strcmp(name, one.name))) return *of_each_set[number];
    }
    throw std::invalid_argument(std::string("this processor does not have ") + name);
}
