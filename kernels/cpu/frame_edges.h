// The frame's way into cells and back: pixel-unshuffle and pixel-shuffle of block b, the residual added on the way out.
//
//     frame, b = 2     │a0 a1│a2 a3│     cells, NHWC     │a0 a1 b0 b1 0 0 0 0│a2 a3 b2 b3 0 0 0 0│
//                      │b0 b1│b2 b3│
//
// Pixels outside [0, 1] are clipped and NaN counts as 0, so that nothing but a number in [0, 1] enters a network; integer
// networks take the nearest of 255 levels. The residual is what entered, in float32.
//
// Floor: 4 bytes a pixel read, 4 written. Read once per instruction set.

KERNEL float clipped(float pixel) { return pixel > 0.f ? (pixel < 1.f ? pixel : 1.f) : 0.f; }

KERNEL int16_t level_of(float pixel) {
    return static_cast<int16_t>(rounded_product(clipped(pixel) * 255.f) + .5f);
}

#if USES_AVX2
// Blocks of two, four cells at a time. Vectors of two rows of eight pixels, and cells 0 and 2 above cells 1 and 3:
//
//     │a0 a1 a2 a3│a4 a5 a6 a7│         │a0 a1 b0 b1│a4 a5 b4 b5│
//     │b0 b1 b2 b3│b4 b5 b6 b7│   ◄──►  │a2 a3 b2 b3│a6 a7 b6 b7│
KERNEL Floats low_pairs(Floats a, Floats b) {
    return reinterpret_cast<Floats>(_mm256_unpacklo_pd(reinterpret_cast<__m256d>(a), reinterpret_cast<__m256d>(b)));
}
KERNEL Floats high_pairs(Floats a, Floats b) {
    return reinterpret_cast<Floats>(_mm256_unpackhi_pd(reinterpret_cast<__m256d>(a), reinterpret_cast<__m256d>(b)));
}
KERNEL Floats clipped(Floats pixels) { return smaller(larger(pixels, Floats{}), all(1.f)); }
KERNEL Ints levels_of(Floats pixels) {
    const Floats scaled = rounded_product(clipped(pixels) * all(255.f));
    return reinterpret_cast<Ints>(__builtin_convertvector(scaled + all(.5f), SignedInts));
}
KERNEL Floats load_halves(const float* first, const float* second) {
    return reinterpret_cast<Floats>(load_halves(reinterpret_cast<const int16_t*>(first), reinterpret_cast<const int16_t*>(second)));
}
KERNEL void store_halves(float* first, float* second, Floats value) {
    store_halves(reinterpret_cast<int16_t*>(first), reinterpret_cast<int16_t*>(second), reinterpret_cast<Shorts>(value));
}

KERNEL int unshuffle_fours(const EdgeRow& job, float* cells) {
    int x = 0;
    for (; x + 4 <= job.columns; x += 4, cells += 4 * job.cell_pitch) {
        const Floats a = clipped(load(job.frame + 2 * x)), b = clipped(load(job.frame + job.frame_pitch + 2 * x));
        store_halves(cells, cells + 2 * job.cell_pitch, low_pairs(a, b));
        store_halves(cells + job.cell_pitch, cells + 3 * job.cell_pitch, high_pairs(a, b));
    }
    return x;
}
KERNEL int unshuffle_fours(const EdgeRow& job, int16_t* cells) {
    int x = 0;
    for (; job.cell_pitch == 4 && x + 4 <= job.columns; x += 4) {
        const Ints a = levels_of(load(job.frame + 2 * x)), b = levels_of(load(job.frame + job.frame_pitch + 2 * x));
        const __m256i rows = _mm256_packs_epi32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b));
        store(cells + 4 * x, reinterpret_cast<Shorts>(_mm256_shuffle_epi32(rows, 0xD8)));  // │a0 a1│b0 b1│a2 a3│b2 b3│ …
    }
    return x;
}
KERNEL int shuffle_fours(const EdgeRow& job, const float* cells) {
    int x = 0;
    for (; x + 4 <= job.columns; x += 4, cells += 4 * job.cell_pitch) {
        const Floats even = load_halves(cells, cells + 2 * job.cell_pitch);
        const Floats odd = load_halves(cells + job.cell_pitch, cells + 3 * job.cell_pitch);
        Floats above = low_pairs(even, odd), below = high_pairs(even, odd);
        if (job.frame) {
            above += clipped(load(job.frame + 2 * x));
            below += clipped(load(job.frame + job.frame_pitch + 2 * x));
        }
        store(job.out + 2 * x, above);
        store(job.out + job.out_pitch + 2 * x, below);
    }
    return x;
}
#else
template <class Cells>
KERNEL int unshuffle_fours(const EdgeRow&, Cells*) { return 0; }
KERNEL int shuffle_fours(const EdgeRow&, const float*) { return 0; }
#endif

template <class Cells>
KERNEL void unshuffle_cells(const EdgeRow& job, Cells* cells) {
    const int block = job.block, first = block == 2 ? unshuffle_fours(job, cells) : 0;
    for (int by = 0; by < block; ++by) {
        const float* pixel = job.frame + by * job.frame_pitch + first * block;
        Cells* to = cells + by * block + int64_t{first} * job.cell_pitch;
        for (int x = first; x < job.columns; ++x, to += job.cell_pitch)
            for (int bx = 0; bx < block; ++bx, ++pixel) {
                if constexpr (std::is_same_v<Cells, float>) to[bx] = clipped(*pixel);
                else
                    to[bx] = level_of(*pixel);
            }
    }
}

// Asks for rows of pixels that will be needed when some more rows of cells are made: a frame is larger than the second-level
// cache, and layers keep the processor busy until then. Addresses past the end do no harm.
KERNEL void ask_for(const float* pixels, int64_t pitch, const EdgeRow& job) {
    constexpr int ROWS_AHEAD = 8;
    for (int row = 0; row < job.block; ++row) {
        const float* from = pixels + (int64_t{ROWS_AHEAD} * job.block + row) * pitch;
        for (int x = 0; x < job.columns * job.block; x += 16) __builtin_prefetch(from + x, 0, 2);
    }
}

ENTRY void unshuffle_row(const EdgeRow& job, float* cells) {
    ask_for(job.frame, job.frame_pitch, job);
    unshuffle_cells(job, cells);
}
ENTRY void unshuffle_row(const EdgeRow& job, int16_t* cells) {
    ask_for(job.frame, job.frame_pitch, job);
    unshuffle_cells(job, cells);
}

ENTRY void shuffle_row(const EdgeRow& job, const float* cells) {
    const int block = job.block, first = block == 2 ? shuffle_fours(job, cells) : 0;
    ask_for(job.out, job.out_pitch, job);
    for (int by = 0; by < block; ++by) {
        float* pixel = job.out + by * job.out_pitch + first * block;
        const float* from = cells + by * block + int64_t{first} * job.cell_pitch;
        const float* residual = job.frame ? job.frame + by * job.frame_pitch + first * block : nullptr;
        for (int x = first; x < job.columns; ++x, from += job.cell_pitch)
            for (int bx = 0; bx < block; ++bx) *pixel++ = from[bx] + (residual ? clipped(*residual++) : 0.f);
    }
}
