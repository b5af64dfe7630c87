// Frames of bytes on their way in and out, a row at a time: float32 rows stay in the first-level cache, so that a frame is
// read and written once.
//
//     bytes ── / 255, border repeated ──► pixels ──► cells … cells ──► pixels ── blended ── · 255, rounded ──► bytes
//                                                                              where the tissue is not: the frame's byte
//
// It is what the float32 way through edgerecon.core.frame and edgerecon.stream.picture makes: halves go to the even level,
// as OpenCV rounds. No product is fused with a sum, so that every instruction set gives the same bytes.
//
// Floor: 2 bytes a pixel read, 1 written; 3 with a mask. Read once per instruction set.

typedef uint8_t Bytes __attribute__((vector_size(8), aligned(1), may_alias));

KERNEL Floats pixels_of(const uint8_t* levels) { return __builtin_convertvector(*reinterpret_cast<const Bytes*>(levels), Floats) * all(1.f / 255.f); }

ENTRY void expand_row(const BytesIn& job) {
    float* to = job.pixels + job.margin;
    int x = 0;
    for (; x + 8 <= job.width; x += 8) store(to + x, pixels_of(job.levels + x));
    for (; x < job.width; ++x) to[x] = static_cast<float>(job.levels[x]) * (1.f / 255.f);
    for (int i = 0; i < job.margin; ++i) job.pixels[i] = to[0];
    for (int i = job.margin + job.width; i < job.columns; ++i) job.pixels[i] = to[job.width - 1];
}

// The float whose lowest byte is that of a whole number from 0 to 255 that is added to it.
constexpr float WHOLE = 12582912.f;

template <class Value>
KERNEL Value blended(Value made, Value pixel, Value strength, Value rest) {
    return rounded_product(made * strength) + rounded_product(pixel * rest);
}

ENTRY void finish_row(const BytesOut& job) {
    const bool all_of_it = job.strength == 1.f;
    const float strength = job.strength, rest = 1.f - job.strength;
    int x = 0;
    for (; x + 8 <= job.width; x += 8) {
        Floats made = smaller(larger(load(job.made + x), Floats{}), all(1.f));
        if (!all_of_it) made = blended(made, load(job.pixels + x), all(strength), all(rest));
        const Floats whole = rounded_product(made * all(255.f)) + all(WHOLE);
        Bytes levels = __builtin_convertvector(reinterpret_cast<Ints>(whole), Bytes);
        if (job.tissue) {
            const Bytes outside = *reinterpret_cast<const Bytes*>(job.tissue + x) == 0;
            levels = (levels & ~outside) | (*reinterpret_cast<const Bytes*>(job.frame + x) & outside);
        }
        *reinterpret_cast<Bytes*>(job.out + x) = levels;
    }
    for (; x < job.width; ++x) {
        float made = clipped(job.made[x]);
        if (!all_of_it) made = blended(made, job.pixels[x], strength, rest);
        const float whole = rounded_product(made * 255.f) + WHOLE;
        uint32_t bits;
        memcpy(&bits, &whole, sizeof bits);
        job.out[x] = job.tissue && !job.tissue[x] ? job.frame[x] : static_cast<uint8_t>(bits);
    }
}
