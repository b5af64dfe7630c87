// A warp's share of a 3×3 convolution over a tile in shared memory, as an implicit matrix product on tensor cores.
//
// The tile is stored in planes of 16 channels (or of 4), cell by cell, row by row: a cell is 4 quads of 4 channels
// (or one quad), so that the 32 lanes of a load, 8 cells × 4 quads, read consecutive bytes and no bank twice, but where
// a row of the tile ends.
//
//     plane of 16, halves    | quad 0 | quad 1 | quad 2 | quad 3 | quad 0 | …       a quad is 8 bytes
//                              cell (0, 0), 32 bytes               cell (0, 1)
//
// A product takes 16 cells (rows of A) by 8 output channels (columns of B). Its depth is made of units: one quad from
// each of the four lanes of a group. A plane of 16 has 9 units, tap by tap, lane t bringing quad t of the tap's cell. A
// plane of 4 has 3, row of taps by row of taps, lane t bringing the cell at tap column t, the fourth having zero
// weights. Halves multiply one unit at a time, bytes two. Which of a unit's depths a channel stands at does not matter
// as long as A and B agree: hence a lane's four channels are neighbours in memory and come with a single load.
//
// Output channel c of a group of 16 is column 2·(c / 4) + c % 2 of block (c % 4) / 2, so that a lane ends up with four
// neighbouring channels of a cell and stores them at once: the layout of the next layer's input.
//
// Each warp computes two rows that lie a dilation apart: of the four rows of taps they need, two are shared and are
// read once. Shared memory, not the tensor cores, is what would otherwise set the pace.
//
// Several parts may add up in the same sums: planes of more channels, or the upper and lower halves of numbers that
// are kept as two (Ootomo & Yokota, "Recovering single precision accuracy from Tensor Cores", 2022).
#pragma once

#include "mma.h"

constexpr int ROWS = 2;

// Step and offset that turn a sum into a value.
struct alignas(8) Scale {
    float step, offset;
};

// Where a convolution takes place, in cells. The input region is larger by the dilation on every side.
struct Region {
    int rows, cols, dilation;
    CORE int in_cols() const { return cols + 2 * dilation; }
    CORE int in_cells() const { return (rows + 2 * dilation) * in_cols(); }
};

// The input: `planes` planes of `plane_cells` cells each. Part p multiplies plane p % planes.
template <class Quad>
struct Planes {
    const Quad* first;
    int plane_cells, planes, parts;
};

template <class Quad>
struct Sums {
    typedef float type;
};
template <>
struct Sums<ByteQuad> {
    typedef int type;
};

// Registers of a lane. TAPS: units in a row of taps, 3 or 1. BLOCKS: of 8 output channels, 2 or 1.
template <class Quad, int TAPS, int BLOCKS>
struct Registers {
    static constexpr int UNITS = 3 * TAPS;
    static constexpr int STORED = sizeof(Quad) == sizeof(ByteQuad) ? (UNITS + 1) / 2 * 2 : UNITS;
    Quad a[(ROWS + 2) * TAPS][2];
    Quad b[STORED][BLOCKS];
    typename Sums<Quad>::type c[ROWS][BLOCKS][2][2];
    int y[2], x[2];
    Scale scale[2 * BLOCKS];
};

// Quads of packed weights for one part and one group of output channels; see edgerecon.cuda.kernels.packing.
template <class Quad, int TAPS, int BLOCKS>
CORE constexpr int packed_quads() {
    return Registers<Quad, TAPS, BLOCKS>::STORED * BLOCKS * 32;
}

// n / by for 0 ≤ n and n·by < 2^20, without dividing.
struct Divider {
    uint32_t magic;
    CORE explicit Divider(int by) : magic(((1u << 20) + by - 1) / by) {}
    CORE int of(int n) const { return static_cast<int>((static_cast<uint64_t>(n) * magic) >> 20); }
};

#ifdef __CUDA_ARCH__

template <int TAPS, int BLOCKS>
CORE void multiply(PerLane<Registers<HalfQuad, TAPS, BLOCKS>>& lanes, int row, int unit, int block) {
    auto& l = lanes.own;
    const auto& a = l.a[unit + row * TAPS];
    mma_sync(l.c[row][block][0], l.c[row][block][1], a[0], a[1], l.b[unit][block]);
}

template <int TAPS, int BLOCKS>
CORE void multiply(PerLane<Registers<ByteQuad, TAPS, BLOCKS>>& lanes, int row, int unit, int block) {
    auto& l = lanes.own;
    const int next = unit + 1 < 3 * TAPS ? unit + 1 : unit;  // the tenth unit has zero weights
    const auto &a = l.a[unit + row * TAPS], &after = l.a[next + row * TAPS];
    mma_sync(l.c[row][block][0], l.c[row][block][1], a[0], a[1], after[0], after[1], l.b[unit][block],
             l.b[unit + 1][block]);
}

#else

PLAIN_LOOP void place(HalfQuad a0, HalfQuad a1, HalfQuad, HalfQuad, HalfQuad b, HalfQuad, uint32_t* a, uint32_t* to) {
    a[0] = a0.x, a[1] = a1.x, a[2] = a0.y, a[3] = a1.y, to[0] = b.x, to[1] = b.y;
}
PLAIN_LOOP void place(ByteQuad a0, ByteQuad a1, ByteQuad a2, ByteQuad a3, ByteQuad b0, ByteQuad b1, uint32_t* a,
                  uint32_t* to) {
    a[0] = a0.x, a[1] = a1.x, a[2] = a2.x, a[3] = a3.x, to[0] = b0.x, to[1] = b1.x;
}

template <class Quad, int TAPS, int BLOCKS>
PLAIN_LOOP void multiply(PerLane<Registers<Quad, TAPS, BLOCKS>>& lanes, int row, int unit, int block) {
    typedef Registers<Quad, TAPS, BLOCKS> Lane;
    const int next = unit + 1 < Lane::UNITS ? unit + 1 : unit, next_b = unit + 1 < Lane::STORED ? unit + 1 : unit;
    uint32_t a[32][4], b[32][2];
    typename Sums<Quad>::type c[32][4];
    for (int lane = 0; lane < 32; ++lane) {
        const Lane& l = lanes.all[lane];
        const auto &now = l.a[unit + row * TAPS], &after = l.a[next + row * TAPS];
        place(now[0], now[1], after[0], after[1], l.b[unit][block], l.b[next_b][block], a[lane], b[lane]);
        memcpy(c[lane], l.c[row][block], sizeof c[lane]);
    }
    mma_sync(a, b, c);
    for (int lane = 0; lane < 32; ++lane) memcpy(lanes.all[lane].c[row][block], c[lane], sizeof c[lane]);
}

#endif

// Load the weights of one part into a lane's registers.
template <class Quad, int TAPS, int BLOCKS>
CORE void load_weights(Registers<Quad, TAPS, BLOCKS>& l, const Quad* packed, int lane) {
    UNROLL for (int unit = 0; unit < l.STORED; ++unit)
        UNROLL for (int block = 0; block < BLOCKS; ++block) l.b[unit][block] = packed[(unit * BLOCKS + block) * 32 + lane];
}

// Load the cells under the taps of a lane's two rows of A.
template <class Quad, int TAPS, int BLOCKS>
CORE void load_cells(Registers<Quad, TAPS, BLOCKS>& l, const Quad* plane, const Region& at, int lane) {
    const int t = lane % 4, last = at.rows + 2 * at.dilation - 1;
    UNROLL for (int half = 0; half < 2; ++half)
        UNROLL for (int i = 0; i < ROWS + 2; ++i) {
            const int y = l.y[half] + i * at.dilation;
            const int cell = (y < last ? y : last) * at.in_cols() + l.x[half];  // rows past the end are not stored
            UNROLL for (int tap = 0; tap < TAPS; ++tap)
                l.a[i * TAPS + tap][half] = TAPS == 1 ? plane[cell + (t < 2 ? t : 2) * at.dilation]
                                                      : plane[(cell + tap * at.dilation) * 4 + t];
        }
}

// Convolve a region with the `group`-th 16 (or 8) output channels; this is warp `warp` of `warps` that share the work.
// `store(group, y, x, t, values)` gets 2·BLOCKS channels, scaled, from 4·t on (2·t where BLOCKS is 1).
template <int TAPS, int BLOCKS, class Quad, class Store>
CORE void convolve(const Planes<Quad>& in, const Region& at, const Quad* weights, int groups, int group,
                   const Scale* scales, int warp, int warps, const Store& store) {
    typedef Registers<Quad, TAPS, BLOCKS> Lane;
    constexpr int CHANNELS = 8 * BLOCKS, STRIDE = sizeof(Quad) == sizeof(ByteQuad) ? 2 : 1;
    const int bases = (at.rows + ROWS * at.dilation - 1) / (ROWS * at.dilation) * at.dilation, cells = bases * at.cols;
    const Divider by_cols(at.cols), by_dilation(at.dilation);
    const int part_quads = groups * packed_quads<Quad, TAPS, BLOCKS>();
    const Quad* packed = weights + group * packed_quads<Quad, TAPS, BLOCKS>();
    PerLane<Lane> lanes;
    EACH_LANE(lane) {
        UNROLL for (int j = 0; j < 2 * BLOCKS; ++j)
            lanes[lane].scale[j] = scales[group * CHANNELS + lane % 4 * 2 * BLOCKS + j];
        if (in.parts == 1) load_weights(lanes[lane], packed, lane);
    }
    LOOP for (int first = warp * 16; first < cells; first += warps * 16) {
        EACH_LANE(lane) {
            Lane& l = lanes[lane];
            UNROLL for (int half = 0; half < 2; ++half) {
                const int wanted = first + lane / 4 + 8 * half, m = wanted < cells ? wanted : cells - 1;
                const int base = by_cols.of(m), turn = by_dilation.of(base);
                l.x[half] = m - base * at.cols;
                l.y[half] = base + turn * (ROWS - 1) * at.dilation;
            }
            UNROLL for (int row = 0; row < ROWS; ++row)
                UNROLL for (int j = 0; j < 4 * BLOCKS; ++j) l.c[row][j / 4][j / 2 % 2][j % 2] = 0;
        }
        LOOP for (int part = 0; part < in.parts; ++part) {
            const int plane = part < in.planes ? part : part % in.planes;
            EACH_LANE(lane) {
                if (in.parts > 1) load_weights(lanes[lane], packed + part * part_quads, lane);
                load_cells(lanes[lane], in.first + plane * in.plane_cells * (TAPS == 1 ? 1 : 4), at, lane);
            }
            UNROLL for (int unit = 0; unit < Lane::UNITS; unit += STRIDE)
                UNROLL for (int row = 0; row < ROWS; ++row)
                    UNROLL for (int block = 0; block < BLOCKS; ++block) multiply(lanes, row, unit, block);
        }
        EACH_LANE(lane) {
            Lane& l = lanes[lane];
            UNROLL for (int half = 0; half < 2; ++half)
                UNROLL for (int row = 0; row < ROWS; ++row) {
                    const int y = l.y[half] + row * at.dilation;
                    if (y >= at.rows || first + lane / 4 + 8 * half >= cells) continue;
                    float values[2 * BLOCKS];
                    UNROLL for (int j = 0; j < 2 * BLOCKS; ++j)
                        values[j] = fmaf(static_cast<float>(l.c[row][j / 2][half][j % 2]), l.scale[j].step, l.scale[j].offset);
                    store(group, y, l.x[half], lane % 4, values);
                }
        }
    }
}
