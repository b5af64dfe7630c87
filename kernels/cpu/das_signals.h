// RF to IQ: s(t) · exp(−2πi f t) through a low pass, as one polyphase filter of complex taps and one turn a sample.
//
//     samples ──► every step-th (decimation) ──► Σ taps · sample, eight outputs at once ──► · turn ──► 16 bits
//
// Read once per instruction set.

KERNEL int16_t rounded(float value) {
    value = value < 32767.f ? value : 32767.f;
    return static_cast<int16_t>(lrintf(value > -32767.f ? value : -32767.f));
}

// in: the row's samples from −half · step on, dealt into `step` parts of `pitch` samples each. out: the row behind its margin.
ENTRY void das_demodulate(const DasFilter& filter, const float* in, int pitch, float gain, int16_t* out) {
    alignas(32) float real[8], imag[8];
    for (int phase = 0; phase < filter.phases; ++phase) {
        const float* taps_real = filter.real + phase * filter.taps;
        const float* taps_imag = filter.imag + phase * filter.taps;
        for (int at = 0; at * filter.phases + phase < filter.samples; at += 8) {
            Floats i{}, q{};
            for (int tap = 0; tap < filter.taps; ++tap) {
                const Floats x = load(in + (tap % filter.step) * pitch + tap / filter.step + at);
                i += x * all(taps_real[tap]);
                q += x * all(taps_imag[tap]);
            }
            store(real, i * all(gain));
            store(imag, q * all(gain));
            for (int lane = 0; lane < 8; ++lane) {
                const int to = (at + lane) * filter.phases + phase;
                if (to >= filter.samples) break;
                out[2 * to] = rounded(real[lane] * filter.cosine[to] - imag[lane] * filter.sine[to]);
                out[2 * to + 1] = rounded(real[lane] * filter.sine[to] + imag[lane] * filter.cosine[to]);
            }
        }
    }
}

ENTRY void das_round(const float* in, int count, float gain, int16_t* out) {
    for (int at = 0; at < count; ++at) out[at] = rounded(in[at] * gain);
}
