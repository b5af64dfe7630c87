// The inner loops of the beamformer on vectors of 64 bytes, 16 pixels at once, with AVX-512 and VNNI.
//
//     IQ: two loads of 8 pixels each   i₀ q₀ i₁ q₁ │ …      gathered by 64 bits: even pixels, odd pixels
//         change places                i₀ i₁ q₀ q₁ │ …      and are blended to the i and to the q of 16 pixels
//
// Gathers beat loads one by one where the processor has these, unlike on Zen 3. Numbers are those of das_tile.h. Read in
// the set `vnni`.

KERNEL __m512 wide(float value) { return _mm512_set1_ps(value); }

// cos(2π turns), sin(2π turns) to 2e-5, as `turned` of das_lanes.h.
KERNEL void turned(__m512 turns, __m512& cosine, __m512& sine) {
    const __m512 part = _mm512_sub_ps(turns, _mm512_roundscale_ps(turns, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    const __m512 half = _mm512_mul_ps(part, wide(3.14159265f)), square = _mm512_mul_ps(half, half);
    __m512 s = _mm512_fmadd_ps(square, wide(-1.85234483e-4f), wide(8.31322508e-3f));
    s = _mm512_fmadd_ps(s, square, wide(-0.166656796f));
    s = _mm512_mul_ps(half, _mm512_fmadd_ps(s, square, wide(0.999999241f)));
    __m512 c = _mm512_fmadd_ps(square, wide(-1.27111e-3f), wide(4.148738e-2f));
    c = _mm512_fmadd_ps(c, square, wide(-0.4999121f));
    c = _mm512_fmadd_ps(c, square, wide(0.99999325f));
    const __m512 twice = _mm512_add_ps(s, s);
    cosine = _mm512_fnmadd_ps(twice, s, wide(1.f));
    sine = _mm512_mul_ps(twice, c);
}

// The window of das_tile.h, of `part` of the way to the aperture's edge.
KERNEL __m512 window(const DasShape& shape, __m512 part) {
    const __m512 beyond = _mm512_mul_ps(_mm512_sub_ps(part, wide(shape.flat)), wide(shape.stretch));
    const __m512 within = _mm512_max_ps(wide(0.f), _mm512_min_ps(beyond, wide(1.f))), square = _mm512_mul_ps(within, within);
    __m512 cosine = _mm512_fmadd_ps(square, wide(0.178207231f), wide(-1.28735635f));
    cosine = _mm512_fmadd_ps(cosine, square, wide(4.04196511f));
    cosine = _mm512_fmadd_ps(cosine, square, wide(-4.93273559f));
    cosine = _mm512_fmadd_ps(cosine, square, wide(0.999959021f));
    return _mm512_fmadd_ps(cosine, wide(shape.swing), wide(shape.level));
}

// Which of 16 pixels lie in the aperture of an element, and their weights.
template <bool TILTED>
KERNEL __mmask16 aperture(const DasShape& shape, const DasElement& element, __m512 dx, __m512 dz, __m512& weight) {
    __m512 across = _mm512_mul_ps(dx, wide(shape.slope)), along = dz;
    if (TILTED) {
        across = _mm512_mul_ps(_mm512_fmsub_ps(dx, wide(element.cosine), _mm512_mul_ps(dz, wide(element.sine))), wide(shape.slope));
        along = _mm512_fmadd_ps(dx, wide(element.sine), _mm512_mul_ps(dz, wide(element.cosine)));
    }
    const __m512 lateral = _mm512_abs_ps(across);
    __mmask16 inside = _mm512_cmp_ps_mask(lateral, along, _CMP_LE_OQ);
    if (!shape.whole) {
        inside &= _mm512_cmp_ps_mask(across, _mm512_mul_ps(along, wide(shape.first)), _CMP_GE_OQ);
        inside &= _mm512_cmp_ps_mask(across, _mm512_mul_ps(along, wide(shape.last)), _CMP_LT_OQ);
    }
    if (shape.swing != 0 && inside) weight = window(shape, _mm512_div_ps(lateral, _mm512_max_ps(along, wide(1e-6f))));
    weight = _mm512_maskz_mov_ps(inside, weight);
    return inside;
}

template <bool TILTED>
KERNEL bool hear(const DasShape& shape, const DasElement& element, const DasPixels& pixels, bool iq, DasHeard& heard) {
    const __m512 most = wide(static_cast<float>(DAS_LONGEST)), parts = wide(static_cast<float>(1 << DAS_FRACTION));
    bool found = false;
    for (int at = 0; at < pixels.count; at += 16) {
        const __m512 dx = _mm512_sub_ps(_mm512_load_ps(pixels.x + at), wide(element.x));
        const __m512 dz = _mm512_sub_ps(_mm512_load_ps(pixels.z + at), wide(element.z));
        __m512 weight = wide(1.f), cosine, sine;
        const bool any = shape.slope <= 0 || aperture<TILTED>(shape, element, dx, dz, weight);
        heard.any[at / 8] = heard.any[at / 8 + 1] = any;
        if (!any) continue;
        found = true;
        const __m512 delay = _mm512_add_ps(_mm512_sqrt_ps(_mm512_fmadd_ps(dx, dx, _mm512_mul_ps(dz, dz))), wide(element.lens));
        const __m512 clamped = _mm512_max_ps(_mm512_sub_ps(wide(0.f), most), _mm512_min_ps(delay, most));  // NaN becomes `most`
        _mm512_store_si512(heard.place + at, _mm512_cvttps_epi32(_mm512_mul_ps(clamped, parts)));
        if (!iq) {
            _mm512_store_ps(heard.real + at, weight);
            continue;
        }
        turned(_mm512_mul_ps(delay, wide(shape.cycles)), cosine, sine);
        _mm512_store_ps(heard.real + at, _mm512_mul_ps(weight, cosine));
        _mm512_store_ps(heard.imag + at, _mm512_mul_ps(weight, sine));
    }
    return found;
}

ENTRY bool das_hear(const DasShape& shape, const DasElement& element, const DasPixels& pixels, bool iq, DasHeard& heard) {
    return element.sine == 0 ? hear<false>(shape, element, pixels, iq, heard) : hear<true>(shape, element, pixels, iq, heard);
}

// Where the samples of 16 pixels lie, in 2⁻¹⁴ samples: `within` of das_lanes.h.
KERNEL __m512i place_of(const DasShape& shape, const int32_t* heard, const int32_t* transmit) {
    const __m512i place = _mm512_add_epi32(_mm512_load_si512(heard), _mm512_load_si512(transmit));
    return _mm512_min_epu32(place, _mm512_set1_epi32((shape.samples + DAS_MARGIN) << DAS_FRACTION));
}

// The low half of every lane in both halves; then `weights_of` of das_lanes.h by one logic instruction, (a ^ b) & c.
KERNEL __m512i weights_of(__m512i place) {
    const __m512i low_twice = _mm512_set4_epi32(0x0D0C0D0C, 0x09080908, 0x05040504, 0x01000100);
    const __m512i flipped = _mm512_set1_epi32(DAS_UNIT), kept = _mm512_set1_epi32(DAS_UNIT << 16 | DAS_UNIT);
    return _mm512_ternarylogic_epi32(_mm512_shuffle_epi8(place, low_twice), flipped, kept, 0x28);
}

ENTRY void das_add_rf(const DasShape& shape, const int16_t* row, const DasHeard& heard, const int32_t* transmit, int count, DasValues& sums) {
    for (int at = 0; at < count; at += 16) {
        if (!heard.any[at / 8]) continue;
        const __m512i place = place_of(shape, heard.place + at, transmit + at);
        const __m512i pairs = _mm512_i32gather_epi32(_mm512_srli_epi32(place, DAS_FRACTION), row, 2);
        const __m512 value = _mm512_cvtepi32_ps(_mm512_madd_epi16(pairs, weights_of(place)));
        _mm512_store_ps(sums.real + at, _mm512_fmadd_ps(value, _mm512_load_ps(heard.real + at), _mm512_load_ps(sums.real + at)));
    }
}

ENTRY void das_add_iq(const DasShape& shape, const int16_t* row, const DasHeard& heard, const int32_t* transmit, int count, DasValues& sums) {
    const __m512i i_first = _mm512_set4_epi32(0x0F0E0B0A, 0x0D0C0908, 0x07060302, 0x05040100);
    const __m512i q_first = _mm512_set4_epi32(0x0D0C0908, 0x0F0E0B0A, 0x05040100, 0x07060302);
    for (int at = 0; at < count; at += 16) {
        if (!heard.any[at / 8]) continue;
        const __m512i place = place_of(shape, heard.place + at, transmit + at), weights = weights_of(place);
        __m512i even = _mm512_i64gather_epi64(_mm512_maskz_srli_epi32(0x5555, place, DAS_FRACTION), row, 4);
        __m512i odd = _mm512_i64gather_epi64(_mm512_srli_epi64(place, 32 + DAS_FRACTION), row, 4);
        even = _mm512_shuffle_epi8(even, i_first);
        odd = _mm512_shuffle_epi8(odd, q_first);
        const __m512i pair_i = _mm512_mask_mov_epi32(even, 0xAAAA, odd);
        const __m512i pair_q = _mm512_shuffle_epi32(_mm512_mask_mov_epi32(odd, 0xAAAA, even), _MM_PERM_CDAB);
        const __m512 i = _mm512_cvtepi32_ps(_mm512_madd_epi16(pair_i, weights)), q = _mm512_cvtepi32_ps(_mm512_madd_epi16(pair_q, weights));
        const __m512 real = _mm512_load_ps(heard.real + at), imag = _mm512_load_ps(heard.imag + at);
        _mm512_store_ps(sums.real + at, _mm512_fnmadd_ps(q, imag, _mm512_fmadd_ps(i, real, _mm512_load_ps(sums.real + at))));
        _mm512_store_ps(sums.imag + at, _mm512_fmadd_ps(q, real, _mm512_fmadd_ps(i, imag, _mm512_load_ps(sums.imag + at))));
    }
}

KERNEL void add_to(float* sums, __m512i value) {
    _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_loadu_ps(sums), _mm512_cvtepi32_ps(value)));
}

// Two factors of 16 bits side by side, rounded: `factors` of das_batch.h.
KERNEL __m512i factors(__m512 low, __m512 high) {
    const __m512 rounding = wide(12582912.f);
    const __m512i first = _mm512_castps_si512(_mm512_add_ps(low, rounding)), second = _mm512_castps_si512(_mm512_add_ps(high, rounding));
    return _mm512_mask_mov_epi16(first, 0xAAAAAAAA, _mm512_slli_epi32(second, 16));
}

KERNEL void place_iq(const DasHeard& heard, const DasValues& turn, int at, __m512 first, __m512 next, DasPlaces& to) {
    const __m512 real = _mm512_load_ps(heard.real + at), imag = _mm512_load_ps(heard.imag + at);
    const __m512 cosine = _mm512_load_ps(turn.real + at), sine = _mm512_load_ps(turn.imag + at);
    const __m512 c = _mm512_fmsub_ps(real, cosine, _mm512_mul_ps(imag, sine)), s = _mm512_fmadd_ps(real, sine, _mm512_mul_ps(imag, cosine));
    const __m512 c_first = _mm512_mul_ps(c, first), s_first = _mm512_mul_ps(s, first), c_next = _mm512_mul_ps(c, next), s_next = _mm512_mul_ps(s, next);
    const __m512 none = _mm512_setzero_ps();
    _mm512_store_si512(to.real + at, factors(c_first, _mm512_sub_ps(none, s_first)));
    _mm512_store_si512(to.next_real + at, factors(c_next, _mm512_sub_ps(none, s_next)));
    _mm512_store_si512(to.imag + at, factors(s_first, c_first));
    _mm512_store_si512(to.next_imag + at, factors(s_next, c_next));
}

// Where one element's samples lie for each pixel of a tile of many frames, and their factors: `das_place` of das_batch.h.
ENTRY void das_place(const DasShape& shape, const DasHeard& heard, const DasTransmit& transmit, bool iq, int count, DasPlaces& to) {
    const __m512 unit = wide(DAS_BATCH_UNIT);
    for (int at = 0; at < count; at += 16) {
        if (!heard.any[at / 8]) {
            for (int32_t* one : {to.place, to.real, to.next_real, to.imag, to.next_imag}) _mm512_store_si512(one + at, _mm512_setzero_si512());
            continue;
        }
        const __m512i place = place_of(shape, heard.place + at, transmit.place + at), part = _mm512_and_si512(place, _mm512_set1_epi32(DAS_UNIT));
        _mm512_store_si512(to.place + at, _mm512_srli_epi32(place, DAS_FRACTION));
        const __m512 next = _mm512_mul_ps(_mm512_cvtepi32_ps(part), wide(DAS_BATCH_UNIT / (1 << DAS_FRACTION))), first = _mm512_sub_ps(unit, next);
        if (iq) {
            place_iq(heard, transmit.turn, at, first, next, to);
            continue;
        }
        const __m512 weight = _mm512_mul_ps(_mm512_load_ps(heard.real + at), _mm512_load_ps(transmit.turn.real + at));
        _mm512_store_si512(to.real + at, factors(_mm512_mul_ps(weight, first), _mm512_mul_ps(weight, next)));
    }
}

// The sums of 16 frames. A product waits 5 cycles for the one before in the same register, so that those of a sample and
// of its neighbour are kept apart.
struct FrameSums {
    __m512i real, imag, next_real, next_imag;
};

// The factors of one element at one pixel.
struct Factors {
    __m512i real, imag, next_real, next_imag;
};

KERNEL void add_frames(const int16_t* row, int lanes, const Factors& by, FrameSums& sums) {
    const __m512i first = _mm512_loadu_si512(row), next = _mm512_loadu_si512(row + 2 * lanes);
    sums.real = _mm512_dpwssd_epi32(sums.real, first, by.real);
    sums.imag = _mm512_dpwssd_epi32(sums.imag, first, by.imag);
    sums.next_real = _mm512_dpwssd_epi32(sums.next_real, next, by.next_real);
    sums.next_imag = _mm512_dpwssd_epi32(sums.next_imag, next, by.next_imag);
}

KERNEL void add_to(float* sums, int lanes, const FrameSums& more) {
    add_to(sums, _mm512_add_epi32(more.real, more.next_real));
    add_to(sums + lanes, _mm512_add_epi32(more.imag, more.next_imag));
}

// 32 frames at once, for which the factors are loaded once, or the last 16 ones; see das_batch.h.
template <bool BOTH>
KERNEL void frames_iq(const int16_t* const* rows, const DasPlaces* places, int elements, int at, int lanes, int lane, float* sums) {
    FrameSums low{}, high{};
    for (int e = 0; e < elements; ++e) {
        const DasPlaces& to = places[e];
        const int16_t* row = rows[e] + 2 * (int64_t{to.place[at]} * lanes + lane);
        const Factors by = {_mm512_set1_epi32(to.real[at]), _mm512_set1_epi32(to.imag[at]), _mm512_set1_epi32(to.next_real[at]),
                            _mm512_set1_epi32(to.next_imag[at])};
        add_frames(row, lanes, by, low);
        if (BOTH) add_frames(row + 32, lanes, by, high);
    }
    add_to(sums + lane, lanes, low);
    if (BOTH) add_to(sums + lane + 16, lanes, high);
}

ENTRY void das_batch_iq(const int16_t* const* rows, const DasPlaces* places, int elements, int count, int lanes, float* sums) {
    for (int at = 0; at < count; ++at, sums += 2 * lanes) {
        int lane = 0;
        for (; lane + 32 <= lanes; lane += 32) frames_iq<true>(rows, places, elements, at, lanes, lane, sums);
        if (lane < lanes) frames_iq<false>(rows, places, elements, at, lanes, lane, sums);
    }
}
