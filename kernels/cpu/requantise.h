// What becomes of the exact sums of an integer layer, two vectors at a time.
//
//     z ──► z >> shift ──► clip to floor … ceiling ──► int16           z = sum with its offset, rounding included
//     z ──► ρ(z) + gain·added + 2^shift/2 ──► >> shift ──► clip ──► int16         where a map is added
//     z ──► z · step ──► float32                                       where the integers end
//
// Each channel has its own shift, gain and step. Floor: 3 instructions a vector of sums. Read once per instruction set.

struct Channels {
    Ints shift[2], gain[2], half[2], least;
    Shorts floor, ceiling;
};

KERNEL Channels channels_of(const Requantise& end, int chunk) {
    Channels c;
    for (int n = 0; n < 2; ++n) {
        c.shift[n] = load(end.shift + chunk + 8 * n);
        c.gain[n] = end.gain ? load(end.gain + chunk + 8 * n) : Ints{};
        c.half[n] = (all(int32_t{1}) << c.shift[n]) >> 1;
    }
    c.least = all(end.relu ? int32_t{0} : INT32_MIN);
    c.floor = all(static_cast<int16_t>(end.floor));
    c.ceiling = all(static_cast<int16_t>(end.ceiling));
    return c;
}

KERNEL Shorts requantised(const Channels& c, Ints first, Ints second) {
    return narrowed(shifted(first, c.shift[0]), shifted(second, c.shift[1]), c.floor, c.ceiling);
}

KERNEL Shorts requantised(const Channels& c, Ints first, Ints second, const int16_t* added) {
    const Shorts levels = load(added);
    first = larger(first, c.least) + widened_first(levels) * c.gain[0] + c.half[0];
    second = larger(second, c.least) + widened_second(levels) * c.gain[1] + c.half[1];
    return requantised(c, first, second);
}

// The same where a vector holds whole cells of C channels, of one tile or of two.
template <class Sums, int C>
struct CellChannels {
    Sums shift, gain, half, least;
    ShortsLike<Sums> floor, ceiling;
};

template <class Sums, int C>
KERNEL CellChannels<Sums, C> cell_channels_of(const Requantise& end, int chunk) {
    CellChannels<Sums, C> c;
    c.shift = per_channel<C>(Sums{}, end.shift + chunk);
    c.gain = end.gain ? per_channel<C>(Sums{}, end.gain + chunk) : Sums{};
    c.half = ((Sums{} + 1) << c.shift) >> 1;
    c.least = Sums{} + static_cast<uint32_t>(end.relu ? 0 : INT32_MIN);
    c.floor = ShortsLike<Sums>{} + static_cast<uint16_t>(end.floor);
    c.ceiling = ShortsLike<Sums>{} + static_cast<uint16_t>(end.ceiling);
    return c;
}

// Two cells of each tile.
template <class Sums, int C>
KERNEL ShortsLike<Sums> requantised(const CellChannels<Sums, C>& c, Sums first, Sums second) {
    return narrowed_cells<C>(shifted(first, c.shift), shifted(second, c.shift), c.floor, c.ceiling);
}

template <class Sums, int C>
KERNEL Sums with_added(const CellChannels<Sums, C>& c, Sums sum, const int16_t* cell, int64_t beside) {
    return larger(sum, c.least) + levels_of_cells<C>(Sums{}, cell, beside) * c.gain + c.half;
}
