// Shifts of the window, for one block of the image: what pixels p and q = p + shift are worth to each other.
//
//     levels p, q ─► |p − q| ─► square ─┐ ring of `patch` rows
//                                       ├─► column sums ─► patch sums x ─► w = exp(−x) ─► weights[p] += w, sums[p] += w · q
//                                       ┘                                                weights[q] += w, sums[q] += w · p
//
// x counts in 1/8 of NlmBlock::limit, and stops there: at 8, where w is nothing. What a pixel or a column adds stops
// there, too, so that no sum overflows its 16 bits, and sixteen pixels are one instruction.
// Read once per instruction set.

// exp(−x / 2¹³) in 2⁻¹²: a cubic of x / 16, squared four times. Nothing from x = 8 on: exp(−8) is taken off.
KERNEL Shorts weights_of(Shorts x) {
    Shorts w = all(int16_t{8007}) - upper_product(x, all(int16_t{1062}));
    w = all(int16_t{32731}) - upper_product(x, w);
    w = all(static_cast<int16_t>(-1)) - upper_product(x, w);
    for (int doubling = 0; doubling < 4; ++doubling) w = upper_product(w, w);
    return excess(w, all(int16_t{16})) >> 4;
}

constexpr int NLM_LANES = sizeof(Shorts) / sizeof(uint16_t);

// One row of p and q. The row `patch / 2` below them joins the column sums, in place of the oldest of the ring of squares;
// column sums, at most the limit, run on along the row, and each patch sum is weighed, where asked.
KERNEL void nlm_row(const NlmBlock& block, int64_t row, int64_t shift, int patch, uint16_t* squares, uint16_t* columns, bool weighs) {
    const int half = patch / 2, octaves = patch <= 7 ? 3 : 4, doublings = block.doublings;
    const Shorts farthest = all(static_cast<int16_t>(block.farthest)), limit = all(static_cast<int16_t>(block.limit));
    const Shorts last = all(static_cast<int16_t>(block.limit - 1));
    const uint16_t *level = block.levels + row + half * (block.pitch - NLM_LANES), *value = block.values + row;
    uint16_t *weight = block.weights + row, *sum = block.sums + row, *stopped = block.stopped;
    Shorts patches = all(int16_t{0});
    for (int at = 0, x = 0; at < block.strip + 2 * half; ++at, x += NLM_LANES) {
        Shorts far = smaller(distance(load(level + x), load(level + shift + x)), farthest);
        for (int doubling = 0; doubling < doublings; ++doubling) far = smaller(far + far, farthest);
        const Shorts square = rounded_product(far, far), column = load(columns + x) - load(squares + x) + square;
        store(squares + x, square);
        store(columns + x, column);
        if (!weighs) continue;
        const Shorts newest = smaller(column, limit);
        patches += newest - load(stopped + x - patch * NLM_LANES);
        store(stopped + x, newest);
        if (at < 2 * half) continue;
        const int64_t p = x - 2 * half * NLM_LANES, q = p + shift;
        const Shorts w = weights_of(smaller(patches, last) << octaves), of_q = rounded_product(w, load(value + q)), of_p = rounded_product(w, load(value + p));
        store(weight + p, load(weight + p) + w);
        store(sum + p, load(sum + p) + of_q);
        store(weight + q, load(weight + q) + w);
        store(sum + q, load(sum + q) + of_p);
    }
}

// `count` shifts down by `down` ≥ 0 rows and right by `right`, `right` + 1, … columns: rows that they share stay in the cache.
// The column sums of a row above the first begin with nothing and are not weighed until they are whole.
KERNEL void nlm_shift_by(const NlmBlock& block, int down, int right, int count, int patch) {
    const int64_t pitch = (block.strip + patch - 1) * NLM_LANES, memory = (patch + 1) * pitch;
    std::fill(block.memory, block.memory + count * memory, uint16_t{0});
    for (int row = -down - patch + 1, turn = 0; row < block.rows; ++row, turn = turn + 1 == patch ? 0 : turn + 1) {
        for (int one = 0; one < count; ++one) {
            const int64_t from = row * block.pitch, shift = down * block.pitch + (right + one) * NLM_LANES;
            uint16_t *squares = block.memory + one * memory + turn * pitch, *columns = block.memory + one * memory + patch * pitch;
            if (row >= -down) nlm_row(block, from, shift, patch, squares, columns, true);
            else
                nlm_row(block, from, shift, patch, squares, columns, false);
        }
    }
}

ENTRY void nlm_shift(const NlmBlock& block, int down, int right, int count) {
    if (block.patch == 7) nlm_shift_by(block, down, right, count, 7);
    else if (block.patch == 5)
        nlm_shift_by(block, down, right, count, 5);
    else
        nlm_shift_by(block, down, right, count, block.patch);
}

// Adds `count` short sums to the long ones and begins the short ones anew.
ENTRY void nlm_collect(uint16_t* shorts, int64_t count, int32_t* longs) {
    constexpr int HALF = NLM_LANES / 2;
    typedef uint16_t HalfOfShorts __attribute__((vector_size(2 * HALF), aligned(2), may_alias));
    typedef uint32_t WideInts __attribute__((vector_size(4 * HALF), aligned(4), may_alias));
    for (int64_t x = 0; x < count; x += HALF) {
        *reinterpret_cast<WideInts*>(longs + x) += __builtin_convertvector(*reinterpret_cast<HalfOfShorts*>(shorts + x), WideInts);
        *reinterpret_cast<HalfOfShorts*>(shorts + x) = HalfOfShorts{};
    }
}
