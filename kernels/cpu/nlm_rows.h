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

// The next row of squares into the ring, in place of the oldest; column sums run on. stopped: column sums, at most the limit.
KERNEL void sum_columns(const NlmBlock& block, const uint16_t* p, const uint16_t* q, int count, uint16_t* squares, uint16_t* columns) {
    const Shorts farthest = all(static_cast<int16_t>(block.farthest)), limit = all(static_cast<int16_t>(block.limit));
    uint16_t* stopped = block.stopped;
    const int doublings = block.doublings;
    for (int x = 0; x < count; x += 16) {
        Shorts far = smaller(distance(load(p + x), load(q + x)), farthest);
        for (int doubling = 0; doubling < doublings; ++doubling) far = smaller(far + far, farthest);
        const Shorts square = rounded_product(far, far), sum = load(columns + x) - load(squares + x) + square;
        store(squares + x, square);
        store(columns + x, sum);
        store(stopped + x, smaller(sum, limit));
    }
}

KERNEL void weigh_row(const NlmBlock& block, const uint16_t* columns, int patch, int count, int64_t p, int64_t q) {
    const Shorts limit = all(static_cast<int16_t>(block.limit - 1));
    const int octaves = block.limit == 8192 ? 3 : 4;
    const uint16_t *value_p = block.values + p, *value_q = block.values + q;
    uint16_t *weight_p = block.weights + p, *weight_q = block.weights + q, *sum_p = block.sums + p, *sum_q = block.sums + q;
    for (int x = 0; x < count; x += 16) {
        Shorts sum = load(columns + x);
#pragma GCC unroll 8
        for (int column = 1; column < patch; ++column) sum += load(columns + x + column);
        const Shorts w = weights_of(smaller(sum, limit) << octaves), of_q = rounded_product(w, load(value_q + x)), of_p = rounded_product(w, load(value_p + x));
        store(weight_p + x, load(weight_p + x) + w);
        store(sum_p + x, load(sum_p + x) + of_q);
        store(weight_q + x, load(weight_q + x) + w);
        store(sum_q + x, load(sum_q + x) + of_p);
    }
}

// One row of p: levels of the row `patch / 2` below it join the column sums, which are then weighed unless they only begin.
// Rows of p begin with a whole vector. memory: of this shift; turn: row of the ring that is the oldest.
KERNEL void nlm_shift_row(const NlmBlock& block, int row, int down, int right, int patch, int turn, uint16_t* memory) {
    const int half = patch / 2, first = right > 0 ? -(right + 15) / 16 * 16 : 0, last = block.width + (right < 0 ? -right : 0);
    const int64_t shift = down * block.pitch + right, p = row * block.pitch + first;
    const uint16_t* levels = block.levels + p + half * block.pitch - 16;
    sum_columns(block, levels, levels + shift, last + half - first + 16, memory + turn * block.pitch, memory + patch * block.pitch);
    if (row >= -down) weigh_row(block, block.stopped + 16 - half, patch, last - first, p, p + shift);
}

// `count` shifts down by `down` ≥ 0 rows and right by `right`, `right` + 1, … columns: rows that they share stay in the cache.
KERNEL void nlm_shift_by(const NlmBlock& block, int down, int right, int count, int patch) {
    const int64_t memory = (patch + 1) * block.pitch;
    std::fill(block.memory, block.memory + count * memory, uint16_t{0});
    for (int row = -down - patch + 1, turn = 0; row < block.rows; ++row, turn = turn + 1 == patch ? 0 : turn + 1)
        for (int one = 0; one < count; ++one) nlm_shift_row(block, row, down, right + one, patch, turn, block.memory + one * memory);
}

ENTRY void nlm_shift(const NlmBlock& block, int down, int right, int count) {
    if (block.patch == 7) nlm_shift_by(block, down, right, count, 7);
    else if (block.patch == 5)
        nlm_shift_by(block, down, right, count, 5);
    else
        nlm_shift_by(block, down, right, count, block.patch);
}

// Adds the short sums to the long ones and begins the short ones anew.
ENTRY void nlm_collect(uint16_t* shorts, int count, int32_t* longs) {
    for (int x = 0; x < count; x += 8) {
        typedef uint16_t EightShorts __attribute__((vector_size(16), aligned(2), may_alias));
        EightShorts* eight = reinterpret_cast<EightShorts*>(shorts + x);
        store(longs + x, load(longs + x) + __builtin_convertvector(*eight, Ints));
        *eight = EightShorts{};
    }
}
