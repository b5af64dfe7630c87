// Delay-and-sum of many frames of the same geometry, which lie side by side: one place and one set of factors serve all.
//
//     RF: sample n     │ frame 0 … 15 │ 16 … 31 │      16 bits
//         sample n + 1 │ frame 0 … 15 │ 16 … 31 │      interleaved, so that one pair product is an interpolation
//     IQ: sample n     │ i₀ q₀ i₁ q₁ … i₇ q₇ │ …      pairs of a frame: one pair product is the real or the imaginary part of
//                                                   a sample times its turn
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

// Two factors of 16 bits side by side, rounded.
KERNEL Ints factors(Floats low, Floats high) {
    const Floats rounding = all(12582912.f);
    return (reinterpret_cast<Ints>(high + rounding) << 16) | (reinterpret_cast<Ints>(low + rounding) & 0xFFFFu);
}

// Where one element's samples lie for each pixel of a tile, and their factors; a transmit's turn is real in RF.
ENTRY void das_place(const DasShape& shape, const DasHeard& heard, const DasTransmit& transmit, bool iq, int count, DasPlaces& to) {
    for (int at = 0; at < count; at += 8) {
        if (!heard.any[at / 8]) {
            for (int32_t* one : {to.place, to.real, to.next_real, to.imag, to.next_imag}) store(one + at, Ints{});
            continue;
        }
        const Ints place = within(load(heard.place + at) + load(transmit.place + at), shape.samples);
        store(to.place + at, place >> DAS_FRACTION);
        const Ints part = place & static_cast<uint32_t>(DAS_UNIT);
        const Floats next = floats(part) * all(DAS_BATCH_UNIT / (1 << DAS_FRACTION)), first = all(DAS_BATCH_UNIT) - next;
        const Floats real = load(heard.real + at), cosine = load(transmit.turn.real + at);
        if (!iq) {
            store(to.real + at, factors(real * cosine * first, real * cosine * next));
            continue;
        }
        const Floats imag = load(heard.imag + at), sine = load(transmit.turn.imag + at);
        const Floats c = real * cosine - imag * sine, s = real * sine + imag * cosine;
        store(to.real + at, factors(c * first, -s * first));
        store(to.next_real + at, factors(c * next, -s * next));
        store(to.imag + at, factors(s * first, c * first));
        store(to.next_imag + at, factors(s * next, c * next));
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
            Ints real[2]{}, imag[2]{};
            for (int e = 0; e < elements; ++e) {
                const DasPlaces& to = places[e];
                if (!to.real[at] && !to.next_real[at]) continue;
                const int16_t* row = rows[e] + 2 * (int64_t{to.place[at]} * lanes + lane);
                const Shorts to_real = all_weights(to.real[at]), to_imag = all_weights(to.imag[at]);
                const Shorts next_to_real = all_weights(to.next_real[at]), next_to_imag = all_weights(to.next_imag[at]);
                for (int half = 0; half < 2; ++half) {
                    const Shorts first = load(row + 16 * half), next = load(row + 2 * lanes + 16 * half);
                    real[half] += pair_products(first, to_real) + pair_products(next, next_to_real);
                    imag[half] += pair_products(first, to_imag) + pair_products(next, next_to_imag);
                }
            }
            for (int half = 0; half < 2; ++half) {
                add_to(sums + lane + 8 * half, real[half]);
                add_to(sums + lanes + lane + 8 * half, imag[half]);
            }
        }
    }
}
