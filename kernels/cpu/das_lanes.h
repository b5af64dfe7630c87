// Vectors of eight pixels: square root, one turn of the carrier, and the two samples around a delay.
//
//     row, RF   │ s₀ │ s₁ │ s₂ │ …    16 bits; a pair is one load of 32 bits
//     row, IQ   │i₀ q₀│i₁ q₁│ …       a pair is one load of 64 bits; neighbours then change places:
//               i₀ q₀ i₁ q₁  ──►  i₀ i₁ q₀ q₁, so that one pair product is an interpolation
//
// Loads of pairs beat vgatherdps on Zen 3. Read once per instruction set, after lanes.h.

#if USES_AVX2
KERNEL Floats magnitude(Floats a) { return reinterpret_cast<Floats>(_mm256_andnot_ps(_mm256_set1_ps(-0.f), reinterpret_cast<__m256>(a))); }
KERNEL Floats where(SignedInts mask, Floats a) { return reinterpret_cast<Floats>(mask & reinterpret_cast<SignedInts>(a)); }
KERNEL Floats root(Floats a) { return reinterpret_cast<Floats>(_mm256_sqrt_ps(reinterpret_cast<__m256>(a))); }
// NaN becomes `most`.
KERNEL Floats clamped(Floats a, Floats least, Floats most) {
    const __m256 below = _mm256_min_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(most));
    return reinterpret_cast<Floats>(_mm256_max_ps(reinterpret_cast<__m256>(least), below));
}
// 1 / a to 1e-6.
KERNEL Floats reciprocal(Floats a) {
    const Floats near = reinterpret_cast<Floats>(_mm256_rcp_ps(reinterpret_cast<__m256>(a)));
    return near * (all(2.f) - a * near);
}
KERNEL bool any_of(SignedInts mask) { return !_mm256_testz_si256(reinterpret_cast<__m256i>(mask), reinterpret_cast<__m256i>(mask)); }
#else
KERNEL Floats magnitude(Floats a) { return larger(a, -a); }
KERNEL Floats where(SignedInts mask, Floats a) { return mask ? a : all(0.f); }
KERNEL Floats root(Floats a) {
    for (int lane = 0; lane < 8; ++lane) a[lane] = sqrtf(a[lane]);
    return a;
}
KERNEL Floats clamped(Floats a, Floats least, Floats most) { return larger(smaller(a, most), least); }
KERNEL Floats reciprocal(Floats a) { return all(1.f) / a; }
KERNEL bool any_of(SignedInts mask) {
    int found = 0;
    for (int lane = 0; lane < 8; ++lane) found |= mask[lane];
    return found != 0;
}
#endif

// The fractional part of a number of turns, −½ to ½.
KERNEL Floats part_of_turn(Floats turns) {
    const Floats whole = all(12582912.f);  // 1.5 · 2²³: adding it rounds to an integer
    return turns - ((turns + whole) - whole);
}

// Sine of an angle within a quarter of a circle of 0, to 1e-6 (fitted at Chebyshev's nodes).
KERNEL Floats sine_within(Floats angle) {
    const Floats square = angle * angle;
    return angle * (((square * all(-1.85234483e-4f) + all(8.31322508e-3f)) * square - all(0.166656796f)) * square + all(0.999999241f));
}

// cos(π v) of v² from 0 to 1, to 5e-5 (fitted at Chebyshev's nodes).
KERNEL Floats half_cosine(Floats square) {
    return (((square * all(0.178207231f) - all(1.28735635f)) * square + all(4.04196511f)) * square - all(4.93273559f)) * square + all(0.999959021f);
}

// cos(2π turns), sin(2π turns) to 2e-5, from those of half the angle.
KERNEL void turned(Floats turns, Floats& cosine, Floats& sine) {
    const Floats half = part_of_turn(turns) * all(3.14159265f), square = half * half, s = sine_within(half);
    const Floats c = ((square * all(-1.27111e-3f) + all(4.148738e-2f)) * square - all(0.4999121f)) * square + all(0.99999325f);
    cosine = all(1.f) - (s + s) * s;
    sine = (s + s) * c;
}

// A delay in 2⁻¹⁴ samples; NaN is as far as can be.
KERNEL Ints in_parts(Floats delay) {
    const Floats most = all(static_cast<float>(DAS_LONGEST));
    const Floats parts = clamped(delay, -most, most) * all(static_cast<float>(1 << DAS_FRACTION));
    return reinterpret_cast<Ints>(__builtin_convertvector(parts, SignedInts));
}

// The sum of two delays, behind the row's margin. Zeros lie around the samples, so that what is out of reach is nothing:
// what lies before them is, as a number without sign, behind them.
KERNEL Ints within(Ints place, int samples) {
    const Ints last = all(static_cast<int32_t>((samples + DAS_MARGIN) << DAS_FRACTION));
    return place < last ? place : last;
}

// Both weights of an interpolation: DAS_UNIT − f, f.
KERNEL Ints weights_of(Ints place) {
    const Ints part = place & static_cast<uint32_t>(DAS_UNIT);
    return (part << 16) | (part ^ static_cast<uint32_t>(DAS_UNIT));
}

KERNEL Shorts pairs_in(const uint32_t* pairs) { return load_as<Shorts>(pairs); }

KERNEL Floats floats(Ints a) { return __builtin_convertvector(reinterpret_cast<SignedInts>(a), Floats); }

#if USES_AVX2
KERNEL __m128i two_long(const int16_t* row, const uint32_t* place) {
    const __m128d one = _mm_load_sd(reinterpret_cast<const double*>(row + 2 * uint64_t{place[0]}));
    return _mm_castpd_si128(_mm_loadh_pd(one, reinterpret_cast<const double*>(row + 2 * uint64_t{place[1]})));
}
KERNEL void pairs_at(const int16_t* row, const uint32_t* place, Shorts& i, Shorts& q) {
    const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15, 0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
    __m256i a = _mm256_set_m128i(two_long(row, place + 4), two_long(row, place));
    __m256i b = _mm256_set_m128i(two_long(row, place + 6), two_long(row, place + 2));
    a = _mm256_shuffle_epi8(a, order);
    b = _mm256_shuffle_epi8(b, order);
    const __m256 x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);
    i = reinterpret_cast<Shorts>(_mm256_shuffle_ps(x, y, 0x88));
    q = reinterpret_cast<Shorts>(_mm256_shuffle_ps(x, y, 0xDD));
}
#else
KERNEL void pairs_at(const int16_t* row, const uint32_t* place, Shorts& i, Shorts& q) {
    for (int lane = 0; lane < 8; ++lane) {
        const int16_t* at = row + 2 * uint64_t{place[lane]};
        i[2 * lane] = static_cast<uint16_t>(at[0]);
        q[2 * lane] = static_cast<uint16_t>(at[1]);
        i[2 * lane + 1] = static_cast<uint16_t>(at[2]);
        q[2 * lane + 1] = static_cast<uint16_t>(at[3]);
    }
}
#endif
KERNEL uint32_t pair_at(const int16_t* row, uint64_t place) {
    uint32_t pair;
    memcpy(&pair, row + place, sizeof pair);
    return pair;
}
KERNEL Shorts pairs_at(const int16_t* row, const uint32_t* place) {
    return reinterpret_cast<Shorts>(Ints{pair_at(row, place[0]), pair_at(row, place[1]), pair_at(row, place[2]), pair_at(row, place[3]),
                                         pair_at(row, place[4]), pair_at(row, place[5]), pair_at(row, place[6]), pair_at(row, place[7])});
}
