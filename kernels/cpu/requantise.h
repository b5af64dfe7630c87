// What becomes of the exact sums of an integer layer, 16 channels of one cell or 8 of two at a time.
//
//     z ──► z >> shift ──► clip to floor … ceiling ──► int16           z = sum with its offset, rounding included
//     z ──► ρ(z) + gain·added + 2^shift/2 ──► >> shift ──► clip ──► int16         where a map is added
//     z ──► z · step ──► float32                                       where the integers end
//
// Each channel has its own shift, gain and step. Floor: 3 instructions a vector of 8 sums. Read once per instruction set.

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

// Eight channels of two cells.
struct EightChannels {
    Ints shift, gain, half, least;
    Shorts floor, ceiling;
};

KERNEL EightChannels eight_channels_of(const Requantise& end, int chunk) {
    const Ints shift = load(end.shift + chunk);
    return {shift,
            end.gain ? load(end.gain + chunk) : Ints{},
            (all(int32_t{1}) << shift) >> 1,
            all(end.relu ? int32_t{0} : INT32_MIN),
            all(static_cast<int16_t>(end.floor)),
            all(static_cast<int16_t>(end.ceiling))};
}

KERNEL Shorts requantised(const EightChannels& c, Ints first, Ints second) {
    return narrowed_in_order(shifted(first, c.shift), shifted(second, c.shift), c.floor, c.ceiling);
}

KERNEL Ints with_added(const EightChannels& c, Ints sum, const int16_t* added) {
    return larger(sum, c.least) + widened(added) * c.gain + c.half;
}

KERNEL Floats scaled(Ints sum, Floats step) { return __builtin_convertvector(reinterpret_cast<SignedInts>(sum), Floats) * step; }
