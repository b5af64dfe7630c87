// The widest vectors of a set: 64 bytes where it has AVX-512 (USES_VNNI), else those of lanes.h. A vector of sums holds the
// 16 or 8 channels of one cell, or in 64 bytes 8 channels of the same cell in two tiles that lie side by side:
//
//     WideInts   │ c0–3 c8–11 c4–7 c12–15 │   or   │ tile 0: c0–7 │ tile 1: c0–7 │         16 channels: packing.h's places
//     Ints       │ c0–7 │
//
// Functions of cells are templates of C, the channels. Read once per instruction set.

// The values of C channels, once for every tile of a vector that is like the one given.
template <int C>
KERNEL Ints per_channel(const Ints&, const int32_t* values) { return load(values); }
template <int C>
KERNEL Floats per_channel(const Floats&, const float* values) { return load(values); }
// Levels of a cell of each tile; a second tile lies `beside` elements from the first.
template <int C>
KERNEL Ints levels_of_cells(const Ints&, const int16_t* cell, int64_t) { return widened(cell); }
// The levels of two cells, clipped: first all of a, then all of b, channels in order.
template <int C>
KERNEL Shorts narrowed_cells(Ints a, Ints b, Shorts floor, Shorts ceiling) { return narrowed_in_order(a, b, floor, ceiling); }
// A cell of each tile, and then those that lie `apart` elements after them.
template <int C>
KERNEL void store_cells(int16_t* to, int64_t, int64_t apart, Shorts both) { store_halves(to, to + apart, both); }
KERNEL void store_floats(float* to, int64_t, Floats cell) { store(to, cell); }
KERNEL Floats scaled(Ints sum, Floats step) { return __builtin_convertvector(reinterpret_cast<SignedInts>(sum), Floats) * step; }

#if USES_VNNI
typedef float WideFloats __attribute__((vector_size(64)));
typedef uint32_t WideInts __attribute__((vector_size(64)));
typedef uint16_t WideShorts __attribute__((vector_size(64)));
typedef int32_t WideSignedInts __attribute__((vector_size(64)));
typedef int64_t WideLongs __attribute__((vector_size(64)));

template <class Half, class Wide>
KERNEL Half lower_half(Wide all) {
    const WideLongs longs = reinterpret_cast<WideLongs>(all);
    return reinterpret_cast<Half>(__builtin_shufflevector(longs, longs, 0, 1, 2, 3));
}
template <class Half, class Wide>
KERNEL Half upper_half(Wide all) {
    const WideLongs longs = reinterpret_cast<WideLongs>(all);
    return reinterpret_cast<Half>(__builtin_shufflevector(longs, longs, 4, 5, 6, 7));
}

template <int C>
KERNEL WideInts per_channel(const WideInts&, const int32_t* values) {
    if constexpr (C == 16) return load_as<WideInts>(values);
    else
        return reinterpret_cast<WideInts>(_mm512_maskz_broadcast_i64x4(0xFF, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values))));
}
template <int C>
KERNEL WideFloats per_channel(const WideFloats&, const float* values) {
    if constexpr (C == 16) return load_as<WideFloats>(values);
    else
        return reinterpret_cast<WideFloats>(_mm512_maskz_broadcast_f32x8(0xFFFF, _mm256_loadu_ps(values)));
}
template <int C>
KERNEL WideInts levels_of_cells(const WideInts&, const int16_t* cell, int64_t beside) {
    if constexpr (C == 16) {
        const __m256i levels = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(cell));
        return reinterpret_cast<WideInts>(_mm512_maskz_cvtepi16_epi32(0xFFFF, _mm256_permute4x64_epi64(levels, 0xD8)));
    } else {
        return reinterpret_cast<WideInts>(_mm512_maskz_cvtepi16_epi32(0xFFFF, reinterpret_cast<__m256i>(load_halves(cell, cell + beside))));
    }
}
template <int C>
KERNEL WideShorts narrowed_cells(WideInts a, WideInts b, WideShorts floor, WideShorts ceiling) {
    const __m512i both = _mm512_packs_epi32(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b));
    const __m512i above = _mm512_max_epi16(both, reinterpret_cast<__m512i>(floor));
    const __m512i clipped = _mm512_min_epi16(above, reinterpret_cast<__m512i>(ceiling));
    const __m512i order = C == 16 ? _mm512_setr_epi64(0, 4, 2, 6, 1, 5, 3, 7) : _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    return reinterpret_cast<WideShorts>(_mm512_maskz_permutexvar_epi64(0xFF, order, clipped));
}
template <int C>
KERNEL void store_cells(int16_t* to, int64_t beside, int64_t apart, WideShorts both) {
    const Shorts first = lower_half<Shorts>(both), second = upper_half<Shorts>(both);
    if constexpr (C == 16) {
        store(to, first);
        store(to + apart, second);
    } else {
        store_halves(to, to + beside, first);
        store_halves(to + apart, to + apart + beside, second);
    }
}
KERNEL void store_floats(float* to, int64_t beside, WideFloats cells) {
    store(to, lower_half<Floats>(cells));
    store(to + beside, upper_half<Floats>(cells));
}
KERNEL WideFloats larger(WideFloats a, WideFloats b) {
    return reinterpret_cast<WideFloats>(_mm512_maskz_max_ps(0xFFFF, reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
}
KERNEL WideInts larger(WideInts a, WideInts b) {
    return reinterpret_cast<WideInts>(_mm512_maskz_max_epi32(0xFFFF, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}
KERNEL WideInts shifted(WideInts a, WideInts shift) {
    return reinterpret_cast<WideInts>(_mm512_maskz_srav_epi32(0xFFFF, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(shift)));
}
KERNEL WideFloats scaled(WideInts sum, WideFloats step) {
    return __builtin_convertvector(reinterpret_cast<WideSignedInts>(sum), WideFloats) * step;
}
#else
typedef Floats WideFloats;
typedef Ints WideInts;
typedef Shorts WideShorts;
#endif

template <class Sums>
using ShortsLike = std::conditional_t<sizeof(Sums) == sizeof(Shorts), Shorts, WideShorts>;
template <class Sums>
using FloatsLike = std::conditional_t<sizeof(Sums) == sizeof(Floats), Floats, WideFloats>;

// What an AVX-512 product reads from memory into all lanes costs no instruction of its own.
typedef int32_t PairInMemory __attribute__((may_alias));

// A pair of factors or a factor in all lanes, and what is added of it: its products with a vector of weights.
#if USES_VNNI
KERNEL const float* in_all_lanes(const float* factor) { return factor; }
KERNEL void add_products(Floats& sum, const float* factor, Floats weights) {
    asm("vfmadd231ps %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(weights), "m"(*factor));
}
KERNEL void add_products(WideFloats& sum, const float* factor, WideFloats weights) {
    asm("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(weights), "m"(*factor));
}
KERNEL const int16_t* in_all_lanes(const int16_t* pair) { return pair; }
KERNEL void add_products(Ints& sum, const int16_t* pair, Ints weights) {
    asm("vpdpwssd %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(weights), "m"(*reinterpret_cast<const PairInMemory*>(pair)));
}
KERNEL void add_products(WideInts& sum, const int16_t* pair, WideInts weights) {
    asm("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(weights), "m"(*reinterpret_cast<const PairInMemory*>(pair)));
}
#else
KERNEL Floats in_all_lanes(const float* factor) { return all(*factor); }
KERNEL void add_products(Floats& sum, Floats factor, Floats weights) { sum += factor * weights; }
KERNEL Shorts in_all_lanes(const int16_t* pair) { return all_pairs(pair); }
KERNEL void add_products(Ints& sum, Shorts pair, Ints weights) { add_pair_products(sum, pair, reinterpret_cast<Shorts>(weights)); }
#endif

// S pieces of a vector, from places that lie `apart` elements from each other.
template <class Vector, int S, class Element>
KERNEL Vector load_side_by_side(const Element* from, int64_t apart) {
    if constexpr (S == 1) return load_as<Vector>(from);
    else {
        const auto* shorts = reinterpret_cast<const int16_t*>(from);
        apart *= sizeof(Element) / sizeof(int16_t);
#if USES_VNNI
        if constexpr (sizeof(Vector) == 64) {
            const int64_t half = apart * (S / 2);
            const auto low = load_side_by_side<Shorts, S / 2>(shorts, apart), high = load_side_by_side<Shorts, S / 2>(shorts + half, apart);
            const __m512i whole = _mm512_castsi256_si512(reinterpret_cast<__m256i>(low));
            return reinterpret_cast<Vector>(_mm512_maskz_inserti64x4(0xFF, whole, reinterpret_cast<__m256i>(high), 1));
        } else
#endif
            return reinterpret_cast<Vector>(S == 4 ? load_quarters(shorts, apart) : load_halves(shorts, shorts + apart));
    }
}

template <class Vector>
constexpr bool HOLDS_FLOATS = std::is_same_v<std::decay_t<decltype(std::declval<Vector&>()[0])>, float>;

// Sums of N vectors of each of T tiles, one after the other.
template <int T, int N, class Sums>
KERNEL void store_sums(int32_t* to, const Sums (&sum)[T][N]) {
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
        for (int n = 0; n < N; ++n) store(to + (t * N + n) * LANES<Sums>, sum[t][n]);
}
#if USES_VNNI
// What is read as whole vectors is written so: a load that needs two stores waits for both.
template <int T>
KERNEL void store_sums(int32_t* to, const Ints (&sum)[T][1]) {
#pragma GCC unroll 8
    for (int t = 0; t < T; t += 2) {
        if constexpr (T % 2) {
            store(to + 8 * t, sum[t][0]);
        } else {
            const __m512i first = _mm512_castsi256_si512(reinterpret_cast<__m256i>(sum[t][0]));
            store(to + 8 * t, _mm512_maskz_inserti64x4(0xFF, first, reinterpret_cast<__m256i>(sum[t + 1][0]), 1));
        }
    }
}
#endif
