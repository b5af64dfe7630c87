// Unsigned numbers of 16 bits, sixteen or (AVX-512) thirty-two: distances, and the upper half of a product. All forms
// give the same bits. Read once per instruction set, after lanes.h, but for AVX-512.

KERNEL Shorts load(const uint16_t* from) { return load_as<Shorts>(from); }

#if USES_VNNI
KERNEL Shorts all(int16_t value) { return reinterpret_cast<Shorts>(_mm512_set1_epi16(value)); }
KERNEL Shorts excess(Shorts a, Shorts b) {
    return reinterpret_cast<Shorts>(_mm512_subs_epu16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}
KERNEL Shorts upper_product(Shorts a, Shorts b) {
    return reinterpret_cast<Shorts>(_mm512_mulhi_epu16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}
KERNEL Shorts rounded_product(Shorts a, Shorts b) {
    return reinterpret_cast<Shorts>(_mm512_mulhrs_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}
KERNEL Shorts smaller(Shorts a, Shorts b) {
    return reinterpret_cast<Shorts>(_mm512_min_epu16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}
#elif USES_AVX2
// a − b, or 0 where b is larger.
KERNEL Shorts excess(Shorts a, Shorts b) {
    return reinterpret_cast<Shorts>(_mm256_subs_epu16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}
// a · b / 2¹⁶, towards zero.
KERNEL Shorts upper_product(Shorts a, Shorts b) {
    return reinterpret_cast<Shorts>(_mm256_mulhi_epu16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}
// a · b / 2¹⁵, to the nearest; both below 2¹⁵.
KERNEL Shorts rounded_product(Shorts a, Shorts b) {
    return reinterpret_cast<Shorts>(_mm256_mulhrs_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}
#elif USES_NEON
KERNEL uint16x8_t upper_product(uint16x8_t a, uint16x8_t b) {
    const uint32x4_t low = vmull_u16(vget_low_u16(a), vget_low_u16(b)), high = vmull_high_u16(a, b);
    return vuzp2q_u16(vreinterpretq_u16_u32(low), vreinterpretq_u16_u32(high));
}
KERNEL uint16x8_t rounded_product(uint16x8_t a, uint16x8_t b) {
    return vreinterpretq_u16_s16(vqrdmulhq_s16(vreinterpretq_s16_u16(a), vreinterpretq_s16_u16(b)));
}
KERNEL Shorts excess(Shorts a, Shorts b) {
    const auto x = halves<uint16x8_t>(a), y = halves<uint16x8_t>(b);
    return joined<Shorts>(vqsubq_u16(x.low, y.low), vqsubq_u16(x.high, y.high));
}
KERNEL Shorts upper_product(Shorts a, Shorts b) {
    const auto x = halves<uint16x8_t>(a), y = halves<uint16x8_t>(b);
    return joined<Shorts>(upper_product(x.low, y.low), upper_product(x.high, y.high));
}
KERNEL Shorts rounded_product(Shorts a, Shorts b) {
    const auto x = halves<uint16x8_t>(a), y = halves<uint16x8_t>(b);
    return joined<Shorts>(rounded_product(x.low, y.low), rounded_product(x.high, y.high));
}
#else
KERNEL Shorts excess(Shorts a, Shorts b) { return (a - b) & reinterpret_cast<Shorts>(a > b); }
KERNEL Shorts upper_product(Shorts a, Shorts b) {
    Shorts upper;
    for (int lane = 0; lane < 16; ++lane) upper[lane] = static_cast<uint16_t>((uint32_t{a[lane]} * b[lane]) >> 16);
    return upper;
}
KERNEL Shorts rounded_product(Shorts a, Shorts b) {
    Shorts product;
    for (int lane = 0; lane < 16; ++lane) product[lane] = static_cast<uint16_t>((uint32_t{a[lane]} * b[lane] + (1 << 14)) >> 15);
    return product;
}
#endif

#if !USES_VNNI
KERNEL Shorts smaller(Shorts a, Shorts b) { return a < b ? a : b; }
#endif
KERNEL Shorts distance(Shorts a, Shorts b) { return excess(a, b) | excess(b, a); }
