// RF to IQ: s(t) · exp(−2πi f t) through a low pass, as one polyphase filter of complex taps and one turn a sample.
//
//     samples ──► every step-th (decimation) ──► Σ taps · sample, eight outputs at once ──► · turn ──► 16 bits
//
// Read once per instruction set.

// To the nearest integer within 16 bits, in the low halves of the lanes.
KERNEL Ints rounded(Floats value) {
    return reinterpret_cast<Ints>(clamped(value, all(-32767.f), all(32767.f)) + all(12582912.f));
}

// in: the row's samples from −half · step on, dealt into `step` parts of `pitch` samples each. out: the row behind its margin.
ENTRY void das_demodulate(const DasFilter& filter, const float* in, int pitch, float gain, int16_t* out) {
    alignas(32) int32_t pairs[8];
    alignas(32) float cosine[8], sine[8];
    for (int phase = 0; phase < filter.phases; ++phase) {
        const float* taps_real = filter.real + phase * filter.taps;
        const float* taps_imag = filter.imag + phase * filter.taps;
        for (int at = 0; at * filter.phases + phase < filter.samples; at += 8) {
            Floats i{}, q{};
            for (int part = 0; part < filter.step; ++part) {
                const float* from = in + part * pitch + at;
                for (int tap = part; tap < filter.taps; tap += filter.step, ++from) {
                    const Floats x = load(from);
                    i += x * all(taps_real[tap]);
                    q += x * all(taps_imag[tap]);
                }
            }
            const int first = at * filter.phases + phase, left = (filter.samples - first + filter.phases - 1) / filter.phases;
            const int count = left < 8 ? left : 8;
            for (int lane = 0; lane < count; ++lane) {
                cosine[lane] = filter.cosine[first + lane * filter.phases] * gain;
                sine[lane] = filter.sine[first + lane * filter.phases] * gain;
            }
            const Floats c = load(cosine), s = load(sine);
            store(pairs, (rounded(i * c - q * s) & 0xFFFFu) | (rounded(i * s + q * c) << 16));
            for (int lane = 0; lane < count; ++lane) memcpy(out + 2 * (first + lane * filter.phases), pairs + lane, 4);
        }
    }
}

ENTRY void das_round(const float* in, int count, float gain, int16_t* out) {
    alignas(32) int32_t values[8];
    for (int at = 0; at < count; at += 8) {
        store(values, rounded(load(in + at) * all(gain)));  // `in` is filled up to a whole vector
        for (int lane = 0; lane < 8 && at + lane < count; ++lane) out[at + lane] = static_cast<int16_t>(values[lane]);
    }
}
