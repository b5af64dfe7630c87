// Delay-and-sum of many frames of the same geometry, which lie side by side: one place and one pair of weights serve all.
//
//     sample n     │ frame 0 … 15 │ 16 … 31 │      16 bits; IQ: all i, then all q
//     sample n + 1 │ frame 0 … 15 │ 16 … 31 │      interleaved, so that one pair product is an interpolation
//
// Sums of eight elements stay in 32-bit registers: 2¹⁵ · 2¹² · √2 · 8 < 2³¹. Floor: 12 instructions for 32 frames of RF.
// Read once per instruction set.

#if USES_AVX2
KERNEL Shorts interleaved_low(Shorts a, Shorts b) {
    return reinterpret_cast<Shorts>(_mm256_unpacklo_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}
KERNEL Shorts interleaved_high(Shorts a, Shorts b) {
    return reinterpret_cast<Shorts>(_mm256_unpackhi_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}
#else
KERNEL Shorts interleaved(Shorts a, Shorts b, int first) {
    Shorts both;
    for (int lane = 0; lane < 8; ++lane) {
        const int from = lane % 4 + 8 * (lane / 4) + first;
        both[2 * lane] = a[from];
        both[2 * lane + 1] = b[from];
    }
    return both;
}
KERNEL Shorts interleaved_low(Shorts a, Shorts b) { return interleaved(a, b, 0); }
KERNEL Shorts interleaved_high(Shorts a, Shorts b) { return interleaved(a, b, 4); }
#endif

// Both weights of an interpolation, times a factor, rounded to 16 bits.
KERNEL Ints weighted(Floats fraction, Floats factor) {
    const Floats scaled = factor * all(DAS_BATCH_UNIT), rounding = all(12582912.f);
    const Ints upper = reinterpret_cast<Ints>(fraction * scaled + rounding);
    const Ints lower = reinterpret_cast<Ints>((all(1.f) - fraction) * scaled + rounding);
    return (upper << 16) | (lower & 0xFFFFu);
}

// Where one element's samples lie for each pixel of a tile, and their weights; a transmit's turn is real in RF.
ENTRY void das_place(const DasShape& shape, const DasHeard& heard, const DasTransmit& transmit, bool iq, int count, DasPlaces& to) {
    for (int at = 0; at < count; at += 8) {
        if (!heard.any[at / 8]) {
            store(to.real + at, Ints{});
            store(to.imag + at, Ints{});
            continue;
        }
        Floats delay = load(heard.delay + at) + load(transmit.delay + at);
        delay = larger(smaller(delay, all(static_cast<float>(shape.samples))), all(-static_cast<float>(DAS_MARGIN)));
        delay += all(static_cast<float>(DAS_MARGIN));
        const SignedInts place = __builtin_convertvector(delay, SignedInts);
        const Floats fraction = delay - __builtin_convertvector(place, Floats), real = load(heard.real + at), cosine = load(transmit.turn.real + at);
        store(to.place + at, reinterpret_cast<Ints>(place));
        if (!iq) {
            store(to.real + at, weighted(fraction, real * cosine));
            store(to.imag + at, Ints{});
            continue;
        }
        const Floats imag = load(heard.imag + at), sine = load(transmit.turn.imag + at);
        store(to.real + at, weighted(fraction, real * cosine - imag * sine));
        store(to.imag + at, weighted(fraction, real * sine + imag * cosine));
    }
}

KERNEL Shorts all_weights(int32_t pair) {
    const uint32_t both = static_cast<uint32_t>(pair);
    return reinterpret_cast<Shorts>(Ints{both, both, both, both, both, both, both, both});
}

KERNEL void add_to(float* sums, Ints value) { store(sums, load(sums) + floats(value)); }

// rows: of the block's elements. sums: a pixel's lanes are `lanes` floats.
ENTRY void das_batch_rf(const int16_t* const* rows, const DasPlaces* places, int elements, int count, int lanes, float* sums) {
    for (int at = 0; at < count; ++at, sums += lanes) {
        for (int lane = 0; lane < lanes; lane += 16) {
            Ints low{}, high{};
            for (int e = 0; e < elements; ++e) {
                if (!places[e].real[at]) continue;
                const int16_t* row = rows[e] + int64_t{places[e].place[at]} * lanes + lane;
                const Shorts first = load(row), second = load(row + lanes), weights = all_weights(places[e].real[at]);
                low += pair_products(interleaved_low(first, second), weights);
                high += pair_products(interleaved_high(first, second), weights);
            }
            add_to(sums + lane, low);
            add_to(sums + lane + 8, high);
        }
    }
}

ENTRY void das_batch_iq(const int16_t* const* rows, const DasPlaces* places, int elements, int count, int lanes, float* sums) {
    for (int at = 0; at < count; ++at, sums += 2 * lanes) {
        for (int lane = 0; lane < lanes; lane += 16) {
            Ints low_i{}, high_i{}, low_q{}, high_q{};
            for (int e = 0; e < elements; ++e) {
                if (!places[e].real[at] && !places[e].imag[at]) continue;
                const int16_t* row = rows[e] + 2 * int64_t{places[e].place[at]} * lanes + lane;
                const Shorts i = load(row), q = load(row + lanes), next_i = load(row + 2 * lanes), next_q = load(row + 3 * lanes);
                const Shorts cosine = all_weights(places[e].real[at]), sine = all_weights(places[e].imag[at]);
                const Shorts i_low = interleaved_low(i, next_i), q_low = interleaved_low(q, next_q);
                low_i += pair_products(i_low, cosine) - pair_products(q_low, sine);
                low_q += pair_products(i_low, sine) + pair_products(q_low, cosine);
                const Shorts i_high = interleaved_high(i, next_i), q_high = interleaved_high(q, next_q);
                high_i += pair_products(i_high, cosine) - pair_products(q_high, sine);
                high_q += pair_products(i_high, sine) + pair_products(q_high, cosine);
            }
            add_to(sums + lane, low_i);
            add_to(sums + lane + 8, high_i);
            add_to(sums + lanes + lane, low_q);
            add_to(sums + lanes + lane + 8, high_q);
        }
    }
}
