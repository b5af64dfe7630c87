// RF to IQ: s(t) · exp(−2πi f t) through a low pass, as one polyphase filter of complex taps and one turn a sample.
//
//     samples ──► every step-th (decimation) ──► Σ taps · sample, 16 outputs at once ──► · turn ──► 16 bits
//
// At four samples a carrier period every second tap is real and the others are imaginary: parts of the filter that are 0
// are left out.
//
// Read once per instruction set.

// To the nearest integer within 16 bits, in the low halves of the lanes.
KERNEL Ints rounded(Floats value) {
    return reinterpret_cast<Ints>(clamped(value, all(-32767.f), all(32767.f)) + all(12582912.f));
}

// Adds every step-th tap from `part` on, times its samples, to 16 outputs: a tap is broadcast once for two vectors.
KERNEL void add_taps(const DasFilter& filter, const float* taps, int part, const float* from, Floats* sums) {
    for (int tap = part; tap < filter.taps; tap += filter.step, ++from) {
        const Floats factor = all(taps[tap]);
        sums[0] += load(from) * factor;
        sums[1] += load(from + 8) * factor;
    }
}

// One phase's outputs from `at` on, 16 of them.
KERNEL void filtered(const DasFilter& filter, int phase, const float* in, int pitch, int at, Floats* i, Floats* q) {
    for (int half = 0; half < 2; ++half) i[half] = q[half] = Floats{};
    for (int part = 0; part < filter.step; ++part) {
        const float* from = in + part * pitch + at;
        const uint8_t uses = filter.uses[phase * filter.step + part];
        if (uses & DAS_USES_REAL) add_taps(filter, filter.real + phase * filter.taps, part, from, i);
        if (uses & DAS_USES_IMAG) add_taps(filter, filter.imag + phase * filter.taps, part, from, q);
    }
}

// in: the row's samples from −half · step on, dealt into `step` parts of `pitch` samples each. out: the row behind its margin,
// of which the samples that are read are made. Returns the largest of i and q before they are clipped to 16 bits.
ENTRY float das_demodulate(const DasFilter& filter, const DasReach& reach, const float* in, int pitch, float gain, int16_t* out) {
    const int turns = ((filter.samples + filter.phases - 1) / filter.phases + 15) / 16 * 16;
    const int least = reach.first / filter.phases / 16 * 16, most = (reach.last + filter.phases - 1) / filter.phases;
    Floats peak{};
    for (int phase = 0; phase < filter.phases; ++phase) {
        const float *cosine = filter.cosine + phase * turns, *sine = filter.sine + phase * turns;
        for (int at = least; at < most; at += 16) {
            Floats i[2], q[2];
            alignas(32) int32_t pairs[16];
            filtered(filter, phase, in, pitch, at, i, q);
            for (int half = 0; half < 2; ++half) {
                const Floats c = load(cosine + at + 8 * half) * all(gain), s = load(sine + at + 8 * half) * all(gain);
                const Floats real = i[half] * c - q[half] * s, imag = i[half] * s + q[half] * c;
                peak = larger(peak, larger(magnitude(real), magnitude(imag)));
                store(pairs + 8 * half, (rounded(real) & 0xFFFFu) | (rounded(imag) << 16));
            }
            int16_t* to = out + 2 * (at * filter.phases + phase);
            if (filter.phases == 1 && at + 16 <= most) {
                memcpy(to, pairs, sizeof pairs);
                continue;
            }
            const int left = (filter.samples - at * filter.phases - phase + filter.phases - 1) / filter.phases;
            for (int lane = 0; lane < 16 && lane < left; ++lane) memcpy(to + 2 * lane * filter.phases, pairs + lane, 4);
        }
    }
    float largest = 0;
    for (int lane = 0; lane < 8; ++lane) largest = peak[lane] > largest ? peak[lane] : largest;
    return largest;
}

ENTRY void das_round(const float* in, int count, float gain, int16_t* out) {
    const Shorts least = all(int16_t{-32767}), most = all(int16_t{32767});
    const Ints rounding = reinterpret_cast<Ints>(all(12582912.f));
    const auto values = [&](int at) TARGET { return rounded(load(in + at) * all(gain)) - rounding; };  // `in` is filled up to a whole vector
    int at = 0;
    for (; at + 16 <= count; at += 16) store(out + at, narrowed_in_order(values(at), values(at + 8), least, most));
    for (; at < count; at += 8) {
        alignas(32) int32_t eight[8];
        store(eight, values(at));
        for (int lane = 0; lane < 8 && at + lane < count; ++lane) out[at + lane] = static_cast<int16_t>(eight[lane]);
    }
}
