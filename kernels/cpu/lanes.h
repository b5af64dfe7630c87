// Vectors of 32 bytes, written once for every processor: GCC's and Clang's vector extension, which becomes one AVX2
// register, two of SSE2, NEON or WebAssembly, or plain code; AVX-512's of 64 bytes are in lanes_wide.h. Where a product has no
// operator (pairs of 16-bit factors, saturation, shifts by lane), it is spelled out for each set, and all forms give the
// same bits.
//
//     Floats   │ f0 │ f1 │ f2 │ f3 │ f4 │ f5 │ f6 │ f7 │
//     Ints     │ i0 │ i1 │ i2 │ i3 │ i4 │ i5 │ i6 │ i7 │
//     Shorts   │s0 s1│s2 s3│s4 s5│s6 s7│s8 s9│ …  │ s14 s15 │
//
// Read by each_set.h, as are the files that say "once per instruction set".

typedef float Floats __attribute__((vector_size(32)));
typedef uint32_t Ints __attribute__((vector_size(32)));  // unsigned: sums are modulo 2³²
typedef uint16_t Shorts __attribute__((vector_size(32)));
typedef int32_t SignedInts __attribute__((vector_size(32)));

// Vectors of the kind that is named, from and to memory of any alignment.
template <class Vector, class Element>
KERNEL Vector load_as(const Element* from) {
    Vector value;
    memcpy(&value, from, sizeof value);
    return value;
}
KERNEL Floats load(const float* from) { return load_as<Floats>(from); }
KERNEL Ints load(const int32_t* from) { return load_as<Ints>(from); }
KERNEL Shorts load(const int16_t* from) { return load_as<Shorts>(from); }
template <class Element, class Vector>
KERNEL void store(Element* to, Vector value) { memcpy(to, &value, sizeof value); }

template <class Vector>
constexpr int LANES = sizeof(Vector) / 4;

KERNEL Floats all(float value) { return Floats{value, value, value, value, value, value, value, value}; }
KERNEL Floats larger(Floats a, Floats b) { return a > b ? a : b; }
KERNEL Floats smaller(Floats a, Floats b) { return a < b ? a : b; }

KERNEL Ints all(int32_t value) {
    const uint32_t v = static_cast<uint32_t>(value);
    return Ints{v, v, v, v, v, v, v, v};
}
KERNEL Shorts all(int16_t value) {
    const uint16_t v = static_cast<uint16_t>(value);
    return Shorts{v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
}
// The larger of signed lanes.
KERNEL Ints larger(Ints a, Ints b) {
    const SignedInts x = reinterpret_cast<SignedInts>(a), y = reinterpret_cast<SignedInts>(b);
    return reinterpret_cast<Ints>(x > y ? x : y);
}

#if !USES_AVX2
// A pair of shorts in every lane.
KERNEL Shorts all_pairs(const int16_t* pair) {
    uint32_t both;
    memcpy(&both, pair, sizeof both);
    return reinterpret_cast<Shorts>(Ints{both, both, both, both, both, both, both, both});
}
KERNEL Shorts load_halves(const int16_t* first, const int16_t* second) {
    Shorts both;
    memcpy(&both, first, 16);
    memcpy(reinterpret_cast<char*>(&both) + 16, second, 16);
    return both;
}
KERNEL Shorts load_quarters(const int16_t* from, int64_t apart) {
    Shorts all;
    for (int i = 0; i < 4; ++i) memcpy(reinterpret_cast<char*>(&all) + 8 * i, from + i * apart, 8);
    return all;
}
KERNEL void store_halves(int16_t* first, int16_t* second, Shorts value) {
    memcpy(first, &value, 16);
    memcpy(second, reinterpret_cast<const char*>(&value) + 16, 16);
}
#endif

#if USES_NEON || USES_WASM
// The two registers of a vector.
template <class Register>
struct Halves {
    Register low, high;
};
template <class Register, class Vector>
KERNEL Halves<Register> halves(Vector whole) {
    Halves<Register> two;
    memcpy(&two, &whole, sizeof two);
    return two;
}
template <class Vector, class Register>
KERNEL Vector joined(Register low, Register high) {
    const Halves<Register> two = {low, high};
    Vector whole;
    memcpy(&whole, &two, sizeof whole);
    return whole;
}
#endif

#if USES_AVX2
// As a float, which GCC loads into all lanes at once; an integer goes by way of a general register.
KERNEL Shorts all_pairs(const int16_t* pair) {
    return reinterpret_cast<Shorts>(_mm256_broadcast_ss(reinterpret_cast<const float*>(pair)));
}
// Halves and quarters of a vector, from and to places that need not be neighbours.
KERNEL Shorts load_halves(const int16_t* first, const int16_t* second) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(first));
    return reinterpret_cast<Shorts>(_mm256_inserti128_si256(_mm256_castsi128_si256(low), _mm_loadu_si128(reinterpret_cast<const __m128i*>(second)), 1));
}
KERNEL __m128i two_quarters(const int16_t* first, const int16_t* second) {
    const __m128 low = _mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(first)));
    return _mm_castps_si128(_mm_loadh_pi(low, reinterpret_cast<const __m64*>(second)));
}
KERNEL Shorts load_quarters(const int16_t* from, int64_t apart) {
    return reinterpret_cast<Shorts>(_mm256_set_m128i(two_quarters(from + 2 * apart, from + 3 * apart), two_quarters(from, from + apart)));
}
KERNEL void store_halves(int16_t* first, int16_t* second, Shorts value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(first), _mm256_castsi256_si128(reinterpret_cast<__m256i>(value)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(second), _mm256_extracti128_si256(reinterpret_cast<__m256i>(value), 1));
}
// a0·b0 + a1·b1 of each pair, modulo 2³².
KERNEL Ints pair_products(Shorts a, Shorts b) {
    return reinterpret_cast<Ints>(_mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}
// a >> shift, each lane by its own.
KERNEL Ints shifted(Ints a, Ints shift) {
    return reinterpret_cast<Ints>(_mm256_srav_epi32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(shift)));
}
// Both saturated to 16 bits, in the order a0–a3 b0–b3 a4–a7 b4–b7, then clipped to [floor, ceiling].
KERNEL Shorts narrowed(Ints a, Ints b, Shorts floor, Shorts ceiling) {
    const __m256i both = _mm256_packs_epi32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b));
    const __m256i above = _mm256_max_epi16(both, reinterpret_cast<__m256i>(floor));
    return reinterpret_cast<Shorts>(_mm256_min_epi16(above, reinterpret_cast<__m256i>(ceiling)));
}
// The same in the order a0–a7 b0–b7.
KERNEL Shorts narrowed_in_order(Ints a, Ints b, Shorts floor, Shorts ceiling) {
    const __m256i both = reinterpret_cast<__m256i>(narrowed(a, b, floor, ceiling));
    return reinterpret_cast<Shorts>(_mm256_permute4x64_epi64(both, 0xD8));
}
KERNEL Ints widened(const int16_t* from) {
    return reinterpret_cast<Ints>(_mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}
// The inverse order, with signs: s0–s3 s8–s11, and s4–s7 s12–s15.
KERNEL Ints widened_first(Shorts s) {
    const __m256i twice = _mm256_unpacklo_epi16(reinterpret_cast<__m256i>(s), reinterpret_cast<__m256i>(s));
    return reinterpret_cast<Ints>(_mm256_srai_epi32(twice, 16));
}
KERNEL Ints widened_second(Shorts s) {
    const __m256i twice = _mm256_unpackhi_epi16(reinterpret_cast<__m256i>(s), reinterpret_cast<__m256i>(s));
    return reinterpret_cast<Ints>(_mm256_srai_epi32(twice, 16));
}
// The sum of a rounded product is another number than a fused one, and GCC fuses: an empty use of the product forbids it.
KERNEL float rounded_product(float value) {
    asm("" : "+x"(value));
    return value;
}
KERNEL Floats rounded_product(Floats value) {
    asm("" : "+x"(value));
    return value;
}
// GCC moves integer products out of a loop and spills them, which costs 1.7 times; an empty use of the sum forbids it.
#define KEEP_IN_REGISTER(value) asm("" : "+x"(value))
#elif USES_NEON
KERNEL int32x4_t pair_products(int16x8_t a, int16x8_t b) {
    return vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b));
}
KERNEL Ints pair_products(Shorts a, Shorts b) {
    const auto x = halves<int16x8_t>(a), y = halves<int16x8_t>(b);
    return joined<Ints>(pair_products(x.low, y.low), pair_products(x.high, y.high));
}
KERNEL Ints shifted(Ints a, Ints shift) {
    const auto x = halves<int32x4_t>(a), n = halves<int32x4_t>(shift);
    return joined<Ints>(vshlq_s32(x.low, vnegq_s32(n.low)), vshlq_s32(x.high, vnegq_s32(n.high)));
}
KERNEL Shorts narrowed(Ints a, Ints b, Shorts floor, Shorts ceiling) {
    const auto x = halves<int32x4_t>(a), y = halves<int32x4_t>(b);
    const auto least = halves<int16x8_t>(floor), most = halves<int16x8_t>(ceiling);
    const int16x8_t low = vcombine_s16(vqmovn_s32(x.low), vqmovn_s32(y.low));
    const int16x8_t high = vcombine_s16(vqmovn_s32(x.high), vqmovn_s32(y.high));
    return joined<Shorts>(vminq_s16(vmaxq_s16(low, least.low), most.low), vminq_s16(vmaxq_s16(high, least.high), most.high));
}
KERNEL Shorts narrowed_in_order(Ints a, Ints b, Shorts floor, Shorts ceiling) {
    const auto x = halves<int32x4_t>(a), y = halves<int32x4_t>(b);
    const auto least = halves<int16x8_t>(floor), most = halves<int16x8_t>(ceiling);
    const int16x8_t low = vcombine_s16(vqmovn_s32(x.low), vqmovn_s32(x.high));
    const int16x8_t high = vcombine_s16(vqmovn_s32(y.low), vqmovn_s32(y.high));
    return joined<Shorts>(vminq_s16(vmaxq_s16(low, least.low), most.low), vminq_s16(vmaxq_s16(high, least.high), most.high));
}
KERNEL Ints widened(const int16_t* from) { return joined<Ints>(vmovl_s16(vld1_s16(from)), vmovl_s16(vld1_s16(from + 4))); }
KERNEL Ints widened_first(Shorts s) {
    const auto two = halves<int16x8_t>(s);
    return joined<Ints>(vmovl_s16(vget_low_s16(two.low)), vmovl_s16(vget_low_s16(two.high)));
}
KERNEL Ints widened_second(Shorts s) {
    const auto two = halves<int16x8_t>(s);
    return joined<Ints>(vmovl_high_s16(two.low), vmovl_high_s16(two.high));
}
#define KEEP_IN_REGISTER(value)
#elif USES_WASM
KERNEL Ints pair_products(Shorts a, Shorts b) {
    const auto x = halves<v128_t>(a), y = halves<v128_t>(b);
    return joined<Ints>(wasm_i32x4_dot_i16x8(x.low, y.low), wasm_i32x4_dot_i16x8(x.high, y.high));
}
// No instruction shifts each lane by its own: bits 30 to 61 of a · 2^(30 − shift), which the loop around keeps.
KERNEL v128_t shifted(v128_t a, v128_t factor) {
    const v128_t low = wasm_u64x2_shr(wasm_i64x2_extmul_low_i32x4(a, factor), 30);
    const v128_t high = wasm_u64x2_shr(wasm_i64x2_extmul_high_i32x4(a, factor), 30);
    return wasm_i32x4_shuffle(low, high, 0, 2, 4, 6);
}
KERNEL Ints shifted(Ints a, Ints shift) {
    const auto x = halves<v128_t>(a), factor = halves<v128_t>((all(int32_t{1}) << 30) >> shift);
    return joined<Ints>(shifted(x.low, factor.low), shifted(x.high, factor.high));
}
KERNEL v128_t clipped(v128_t a, v128_t floor, v128_t ceiling) { return wasm_i16x8_min(wasm_i16x8_max(a, floor), ceiling); }
KERNEL Shorts narrowed(Ints a, Ints b, Shorts floor, Shorts ceiling) {
    const auto x = halves<v128_t>(a), y = halves<v128_t>(b), least = halves<v128_t>(floor), most = halves<v128_t>(ceiling);
    return joined<Shorts>(clipped(wasm_i16x8_narrow_i32x4(x.low, y.low), least.low, most.low),
                          clipped(wasm_i16x8_narrow_i32x4(x.high, y.high), least.high, most.high));
}
KERNEL Shorts narrowed_in_order(Ints a, Ints b, Shorts floor, Shorts ceiling) {
    const auto x = halves<v128_t>(a), y = halves<v128_t>(b), least = halves<v128_t>(floor), most = halves<v128_t>(ceiling);
    return joined<Shorts>(clipped(wasm_i16x8_narrow_i32x4(x.low, x.high), least.low, most.low),
                          clipped(wasm_i16x8_narrow_i32x4(y.low, y.high), least.high, most.high));
}
KERNEL Ints widened(const int16_t* from) {
    return joined<Ints>(wasm_i32x4_load16x4(from), wasm_i32x4_load16x4(from + 4));
}
KERNEL Ints widened_first(Shorts s) {
    const auto two = halves<v128_t>(s);
    return joined<Ints>(wasm_i32x4_extend_low_i16x8(two.low), wasm_i32x4_extend_low_i16x8(two.high));
}
KERNEL Ints widened_second(Shorts s) {
    const auto two = halves<v128_t>(s);
    return joined<Ints>(wasm_i32x4_extend_high_i16x8(two.low), wasm_i32x4_extend_high_i16x8(two.high));
}
#define KEEP_IN_REGISTER(value)
#else
KERNEL Ints pair_products(Shorts a, Shorts b) {
    Ints sum;
    for (int lane = 0; lane < 8; ++lane) {
        const int32_t first = static_cast<int16_t>(a[2 * lane]) * static_cast<int16_t>(b[2 * lane]);
        const int32_t second = static_cast<int16_t>(a[2 * lane + 1]) * static_cast<int16_t>(b[2 * lane + 1]);
        sum[lane] = static_cast<uint32_t>(first) + static_cast<uint32_t>(second);
    }
    return sum;
}
KERNEL Ints shifted(Ints a, Ints shift) {
    return reinterpret_cast<Ints>(reinterpret_cast<SignedInts>(a) >> reinterpret_cast<SignedInts>(shift));
}
KERNEL Shorts narrowed(Ints a, Ints b, Shorts floor, Shorts ceiling) {
    Shorts both;
    for (int lane = 0; lane < 4; ++lane) {
        const uint32_t four[4] = {a[lane], b[lane], a[4 + lane], b[4 + lane]};
        for (int part = 0; part < 4; ++part) {
            const int32_t value = static_cast<int32_t>(four[part]);
            const int16_t least = static_cast<int16_t>(floor[4 * part + lane]), most = static_cast<int16_t>(ceiling[4 * part + lane]);
            both[4 * part + lane] = static_cast<uint16_t>(value < least ? least : value > most ? most : value);
        }
    }
    return both;
}
KERNEL Shorts narrowed_in_order(Ints a, Ints b, Shorts floor, Shorts ceiling) {
    Shorts both;
    for (int lane = 0; lane < 16; ++lane) {
        const int32_t value = static_cast<int32_t>(lane < 8 ? a[lane] : b[lane - 8]);
        const int16_t least = static_cast<int16_t>(floor[lane]), most = static_cast<int16_t>(ceiling[lane]);
        both[lane] = static_cast<uint16_t>(value < least ? least : value > most ? most : value);
    }
    return both;
}
KERNEL Ints widened(const int16_t* from) {
    Ints wide;
    for (int lane = 0; lane < 8; ++lane) wide[lane] = static_cast<uint32_t>(int32_t{from[lane]});
    return wide;
}
KERNEL Ints widened_part(Shorts s, int first) {
    Ints wide;
    for (int lane = 0; lane < 8; ++lane) wide[lane] = static_cast<uint32_t>(static_cast<int16_t>(s[first + lane + lane / 4 * 4]));
    return wide;
}
KERNEL Ints widened_first(Shorts s) { return widened_part(s, 0); }
KERNEL Ints widened_second(Shorts s) { return widened_part(s, 4); }
#define KEEP_IN_REGISTER(value)
#endif

#if !USES_AVX2
// As above; the baseline of x86-64 has no fused products.
KERNEL float rounded_product(float value) {
#if defined(__aarch64__)
    asm("" : "+w"(value));
#endif
    return value;
}
KERNEL Floats rounded_product(Floats value) {
#if defined(__aarch64__)
    for (int lane = 0; lane < 8; ++lane) value[lane] = rounded_product(value[lane]);
#endif
    return value;
}
#endif

// sum + a0·b0 + a1·b1 of each pair, modulo 2³².
#if USES_VNNI
KERNEL void add_pair_products(Ints& sum, Shorts a, Shorts b) {
    sum = reinterpret_cast<Ints>(_mm256_dpwssd_epi32(reinterpret_cast<__m256i>(sum), reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}
#else
KERNEL void add_pair_products(Ints& sum, Shorts a, Shorts b) {
    sum += pair_products(a, b);
    KEEP_IN_REGISTER(sum);
}
#endif
#undef KEEP_IN_REGISTER
