// Delay-and-sum over one tile of pixels: what an element hears is reckoned once and used for every transmit.
//
//     element ──► DasHeard (delays, weights, carrier's turn) ──► for each transmit: two samples a pixel, weighted sum
//
// Floor: 8 bytes (IQ) or 4 (RF) of samples a point from the first cache. Read once per instruction set.

template <bool TILTED>
KERNEL bool hear(const DasShape& shape, const DasElement& element, const DasPixels& pixels, bool iq, DasHeard& heard) {
    bool found = false;
    for (int at = 0; at < pixels.count; at += 8) {
        const Floats dx = load(pixels.x + at) - all(element.x), dz = load(pixels.z + at) - all(element.z);
        Floats weight = all(1.f);
        heard.any[at / 8] = 1;
        if (shape.slope > 0) {
            Floats across = dx * all(shape.slope), along = dz;
            if (TILTED) {
                across = (dx * all(element.cosine) - dz * all(element.sine)) * all(shape.slope);
                along = dx * all(element.sine) + dz * all(element.cosine);
            }
            const Floats lateral = magnitude(across);
            SignedInts inside = lateral <= along;
            if (!shape.whole) inside = inside & (across >= along * all(shape.first)) & (across < along * all(shape.last));
            if (!(heard.any[at / 8] = any_of(inside))) continue;
            if (shape.swing != 0) {
                const Floats part = (lateral * reciprocal(larger(along, all(1e-6f))) - all(shape.flat)) * all(shape.stretch);
                const Floats beyond_flat = clamped(part, all(0.f), all(1.f));
                weight = all(shape.level) + all(shape.swing) * half_cosine(beyond_flat * beyond_flat);
            }
            weight = where(inside, weight);
        }
        found = true;
        const Floats delay = root(dx * dx + dz * dz) + all(element.lens);
        store(heard.place + at, in_parts(delay));
        if (!iq) {
            store(heard.real + at, weight);
            continue;
        }
        Floats cosine, sine;
        turned(delay * all(shape.cycles), cosine, sine);
        store(heard.real + at, weight * cosine);
        store(heard.imag + at, weight * sine);
    }
    return found;
}

// Returns whether the element hears any pixel.
ENTRY bool das_hear(const DasShape& shape, const DasElement& element, const DasPixels& pixels, bool iq, DasHeard& heard) {
    return element.sine == 0 ? hear<false>(shape, element, pixels, iq, heard) : hear<true>(shape, element, pixels, iq, heard);
}

// Where a transmit's samples lie for the pixels of a tile, and the pair of weights of each. Reckoned for the whole tile before
// any sample is loaded: a load that waits for the address just written stalls everything behind it.
struct DasAddresses {
    alignas(32) uint32_t place[DAS_TILE];
    alignas(32) uint32_t weights[DAS_TILE];
};

KERNEL void reckon(const DasShape& shape, const DasHeard& heard, const int32_t* transmit, int count, DasAddresses& to) {
    for (int at = 0; at < count; at += 8) {
        if (!heard.any[at / 8]) continue;
        const Ints place = within(load(heard.place + at) + load(transmit + at), shape.samples);
        *reinterpret_cast<Ints*>(to.place + at) = place >> DAS_FRACTION;
        *reinterpret_cast<Ints*>(to.weights + at) = weights_of(place);
    }
}

ENTRY void das_add_rf(const DasShape& shape, const int16_t* row, const DasHeard& heard, const int32_t* transmit, int count, DasValues& sums) {
    DasAddresses to;
    reckon(shape, heard, transmit, count, to);
    for (int at = 0; at < count; at += 8) {
        if (!heard.any[at / 8]) continue;
        const Floats value = floats(pair_products(pairs_at(row, to.place + at), pairs_in(to.weights + at)));
        store(sums.real + at, load(sums.real + at) + load(heard.real + at) * value);
    }
}

ENTRY void das_add_iq(const DasShape& shape, const int16_t* row, const DasHeard& heard, const int32_t* transmit, int count, DasValues& sums) {
    DasAddresses to;
    reckon(shape, heard, transmit, count, to);
    for (int at = 0; at < count; at += 8) {
        if (!heard.any[at / 8]) continue;
        const Shorts weights = pairs_in(to.weights + at);
        Shorts pair_i, pair_q;
        pairs_at(row, to.place + at, pair_i, pair_q);
        const Floats i = floats(pair_products(pair_i, weights)), q = floats(pair_products(pair_q, weights));
        const Floats real = load(heard.real + at), imag = load(heard.imag + at);
        store(sums.real + at, load(sums.real + at) + i * real - q * imag);
        store(sums.imag + at, load(sums.imag + at) + i * imag + q * real);
    }
}

// Places of a transmit's delays, and exp(2πi (cycles · delay + turns)) · weight of every pixel.
ENTRY void das_transmit(const DasShape& shape, const float* weight, float turns, int count, DasTransmit& to) {
    for (int at = 0; at < count; at += 8) {
        const Floats delay = load(to.delay + at);
        store(to.place + at, in_parts(delay) + all(static_cast<int32_t>(DAS_MARGIN << DAS_FRACTION)));
        Floats cosine, sine;
        turned(delay * all(shape.cycles) + all(turns), cosine, sine);
        const Floats scale = weight ? load(weight + at) : all(1.f);
        store(to.turn.real + at, cosine * scale);
        store(to.turn.imag + at, sine * scale);
    }
}

// total += sums · turn, complex.
ENTRY void das_compound(const DasValues& sums, const DasValues& turn, int count, DasValues& total) {
    for (int at = 0; at < count; at += 8) {
        const Floats real = load(sums.real + at), imag = load(sums.imag + at);
        const Floats cosine = load(turn.real + at), sine = load(turn.imag + at);
        store(total.real + at, load(total.real + at) + real * cosine - imag * sine);
        store(total.imag + at, load(total.imag + at) + real * sine + imag * cosine);
    }
}

// One element's signal, compounded over the transmits, added the way of the method.
ENTRY void das_fold(int method, const DasHeard& heard, const DasValues& signal, int count, DasSums& total) {
    for (int at = 0; at < count; at += 8) {
        if (!heard.any[at / 8]) continue;
        Floats real = load(signal.real + at), imag = load(signal.imag + at), energy = real * real + imag * imag, second;
        if (method == EDGERECON_DMAS) {
            const Floats shrink = all(1.f) / root(root(larger(energy, all(1e-30f))));
            real *= shrink;
            imag *= shrink;
            energy = real * real - imag * imag;
            second = all(2.f) * real * imag;
        } else {
            const Floats weight = load(heard.real + at), turn = load(heard.imag + at);
            second = (weight * weight + turn * turn) > all(0.f) ? all(1.f) : all(0.f);
        }
        store(total.real + at, load(total.real + at) + real);
        store(total.imag + at, load(total.imag + at) + imag);
        store(total.energy + at, load(total.energy + at) + energy);
        store(total.second + at, load(total.second + at) + second);
    }
}
