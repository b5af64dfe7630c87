// What a warp does together, so that the GPU and a host test execute the same source.
//
// On the GPU each thread is one lane. On the host one thread plays all 32 lanes, one after the other between two
// products, and `mma_sync` is a plain loop over the fragments as the PTX ISA lays them out ("Warp-level matrix
// instructions"): register i of lane 4·g + t holds, E values a register (2 halves or 4 bytes),
//
//     A: row g + 8·(i % 2), k = E·t + 4E·(i / 2) + e     B: column g, k = E·t + 4E·i + e
//     C: row g + 8·(i / 2), column 2·t + i % 2
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "host_device.h"

#ifdef __CUDACC__
#include <cuda_fp16.h>
#else
#include <cmath>
#endif

#ifdef __CUDA_ARCH__
#define EACH_LANE(lane) for (int lane = threadIdx.x % 32, once = 1; once; once = 0)
#else
#define EACH_LANE(lane) for (int lane = 0; lane < 32; ++lane)
#endif

#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#define LOOP _Pragma("unroll 1")
#else
#define UNROLL
#define LOOP
#endif

// A variable that every lane has for itself.
template <class T>
struct PerLane {
#ifdef __CUDA_ARCH__
    T own;
    CORE T& operator[](int) { return own; }
#else
    T all[32];
    CORE T& operator[](int lane) { return all[lane]; }
#endif
};

// Four channels of one cell, side by side in memory: what one lane contributes to half of a product's depth or to all.
struct alignas(8) HalfQuad {
    uint32_t x, y;
};
struct alignas(4) ByteQuad {
    uint32_t x;
};

CORE uint32_t pack_halves(float low, float high) {
#ifdef __CUDACC__
    __half2 pair = __floats2half2_rn(low, high);
#else
    _Float16 pair[2] = {static_cast<_Float16>(low), static_cast<_Float16>(high)};
#endif
    uint32_t bits;
    memcpy(&bits, &pair, sizeof bits);
    return bits;
}

CORE float half_of(uint32_t bits, int which) {
    const uint16_t word = static_cast<uint16_t>(bits >> 16 * which);
#ifdef __CUDACC__
    __half value;
#else
    _Float16 value;
#endif
    memcpy(&value, &word, sizeof value);
    return static_cast<float>(value);
}

// To the nearest whole number, halves to even, and into [-128, 127]; what is no number becomes -128.
CORE int round_to_byte(float value) {
    const float inside = value > -128.0f ? (value < 127.0f ? value : 127.0f) : -128.0f;
    return static_cast<int>(rintf(inside));
}

CORE uint32_t pack_bytes(float a, float b, float c, float d) {
    const uint32_t mask = 255;
    return (round_to_byte(a) & mask) | (round_to_byte(b) & mask) << 8 | (round_to_byte(c) & mask) << 16 |
           (round_to_byte(d) & mask) << 24;
}

#ifdef __CUDA_ARCH__

// c += A·B with 16×16 and 16×8 halves; before sm_80 as two products of half the depth, whose fragments are these.
__device__ __forceinline__ void mma_sync(float (&low)[2], float (&high)[2], HalfQuad a0, HalfQuad a1, HalfQuad b) {
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(low[0]), "+f"(low[1]), "+f"(high[0]), "+f"(high[1])
        : "r"(a0.x), "r"(a1.x), "r"(a0.y), "r"(a1.y), "r"(b.x), "r"(b.y));
#else
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
        : "+f"(low[0]), "+f"(low[1]), "+f"(high[0]), "+f"(high[1]) : "r"(a0.x), "r"(a1.x), "r"(b.x));
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
        : "+f"(low[0]), "+f"(low[1]), "+f"(high[0]), "+f"(high[1]) : "r"(a0.y), "r"(a1.y), "r"(b.y));
#endif
}

// c += A·B with 16×32 and 32×8 bytes; before sm_80 as four products of a quarter, whose fragments are these.
__device__ __forceinline__ void mma_sync(int (&low)[2], int (&high)[2], ByteQuad a0, ByteQuad a1, ByteQuad a2,
                                         ByteQuad a3, ByteQuad b0, ByteQuad b1) {
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(low[0]), "+r"(low[1]), "+r"(high[0]), "+r"(high[1])
        : "r"(a0.x), "r"(a1.x), "r"(a2.x), "r"(a3.x), "r"(b0.x), "r"(b1.x));
#else
#define EIGHT(c, a, b)                                                                       \
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"       \
        : "+r"((c)[0]), "+r"((c)[1]) : "r"((a).x), "r"((b).x))
    EIGHT(low, a0, b0);
    EIGHT(low, a2, b1);
    EIGHT(high, a1, b0);
    EIGHT(high, a3, b1);
#undef EIGHT
#endif
}

#else

// Stays out of the sanitizers, which would slow it down thirtyfold: it works on fixed arrays alone.
#ifdef __CUDACC__
#define PLAIN_LOOP inline
#else
#define PLAIN_LOOP __attribute__((optimize("O3"), noinline, no_sanitize("address", "undefined"))) inline
#endif

// All halves as floats: a compiler without F16C calls a function for each.
inline const float* half_table() {
    static float table[65536];
    static const bool ready = [] {
        for (uint32_t bits = 0; bits < 65536; ++bits) table[bits] = half_of(bits, 0);
        return true;
    }();
    return ready ? table : nullptr;
}

PLAIN_LOOP void take(const uint32_t* bits, int count, float* to) {
    const float* table = half_table();
    for (int i = 0; i < count; ++i) to[2 * i] = table[bits[i] & 0xffff], to[2 * i + 1] = table[bits[i] >> 16];
}
PLAIN_LOOP void take(const uint32_t* bits, int count, int* to) {
    int8_t bytes[16];
    memcpy(bytes, bits, 4 * count);
    for (int e = 0; e < 4 * count; ++e) to[e] = bytes[e];
}

// The product on the host: registers a[lane][4], b[lane][2] and sums c[lane][4]; `Sum` is float or int.
template <class Sum>
PLAIN_LOOP void mma_sync(const uint32_t (&a)[32][4], const uint32_t (&b)[32][2], Sum (&c)[32][4]) {
    constexpr int E = std::is_same<Sum, int>::value ? 4 : 2;
    Sum left[16][8 * E], right[8 * E][8], sums[16][8] = {}, values[4 * E];
    for (int lane = 0; lane < 32; ++lane) {
        const int g = lane / 4, t = lane % 4;
        take(a[lane], 4, values);
        for (int i = 0; i < 4; ++i)
            for (int e = 0; e < E; ++e) left[g + 8 * (i % 2)][E * t + 4 * E * (i / 2) + e] = values[i * E + e];
        take(b[lane], 2, values);
        for (int i = 0; i < 2; ++i)
            for (int e = 0; e < E; ++e) right[E * t + 4 * E * i + e][g] = values[i * E + e];
    }
    for (int row = 0; row < 16; ++row)
        for (int k = 0; k < 8 * E; ++k)
            for (int column = 0; column < 8; ++column) sums[row][column] += left[row][k] * right[k][column];
    for (int lane = 0; lane < 32; ++lane)
        for (int i = 0; i < 4; ++i) c[lane][i] += sums[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2];
}

#endif
