// Winograd's minimal filtering F(4×4, 3×3) (Lavin & Gray, CVPR 2016): 16 outputs of a 3×3 convolution by 36 products
// instead of 144.     y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A
//
//      d: 6×6 inputs                 36 products                y: 4×4 outputs
//     ┌─────────────┐     Bᵀ d B    ┌─────────────┐    Aᵀ m A   ┌─────────┐
//     │ · · · · · · │   ─────────►  │ p0 … p5     │  ─────────► │ · · · · │      A tile of a layer of dilation D takes
//     │ · · · · · · │   additions   │ …  summed   │   additions │ · · · · │      every D-th cell: the layer is D × D
//     │ …           │               │ …  over     │             │ …       │      ordinary ones, interleaved.
//     │ · · · · · · │               │ p30 … p35   │             └─────────┘
//     └─────────────┘               └─────────────┘
//
// In float32, G is the textbook's. In integers its rows are 24 times as large or 6 times, the latter made up for in Aᵀ:
// every factor is whole, and the result is exactly 24² = 576 times the convolution.
//
// Floor: 36/16 = 2.25 products a cell and pair of channels, against 9. Read once per instruction set.

// One dimension of Bᵀ d; `to` takes six values, `apart` vectors from each other.
KERNEL void input_transform(Floats d0, Floats d1, Floats d2, Floats d3, Floats d4, Floats d5, Floats* to, int apart) {
    const Floats a = d4 - 4.f * d2, b = d3 - 4.f * d1, c = d4 - d2, e = d3 - d1;
    to[0] = 4.f * d0 + (d4 - 5.f * d2);
    to[apart] = a + b;
    to[2 * apart] = a - b;
    to[3 * apart] = c + 2.f * e;
    to[4 * apart] = c - 2.f * e;
    to[5 * apart] = 4.f * d1 + (d5 - 5.f * d3);
}

// The same modulo 2¹⁶; values of at most 481 levels come out exact (range_proof.h).
KERNEL void input_transform(Shorts d0, Shorts d1, Shorts d2, Shorts d3, Shorts d4, Shorts d5, Shorts* to, int apart) {
    const Shorts a = d4 - (d2 << 2), b = d3 - (d1 << 2), c = d4 - d2, e = d3 - d1, f = e + e;
    to[0] = ((d0 - d2) << 2) + c;
    to[apart] = a + b;
    to[2 * apart] = a - b;
    to[3 * apart] = c + f;
    to[4 * apart] = c - f;
    to[5 * apart] = (d5 - d3) - (e << 2);
}

// One dimension of Aᵀ m: six values, `apart` vectors from each other, become four.
KERNEL void output_transform(const Floats* m, int apart, Floats* y) {
    const Floats s = m[apart] + m[2 * apart], d = m[apart] - m[2 * apart];
    const Floats t = m[3 * apart] + m[4 * apart], e = m[3 * apart] - m[4 * apart];
    y[0] = m[0] + s + t;
    y[1] = d + 2.f * e;
    y[2] = s + 4.f * t;
    y[3] = d + 8.f * e + m[5 * apart];
}

// The same for products whose rows 1 and 2 lack a factor of 4, and row 5 too; modulo 2³².
KERNEL void output_transform(const Ints* m, int apart, Ints* y) {
    const Ints s = (m[apart] + m[2 * apart]) << 2, d = (m[apart] - m[2 * apart]) << 2;
    const Ints t = m[3 * apart] + m[4 * apart], half = m[3 * apart] - m[4 * apart], e = half + half;
    y[0] = m[0] + s + t;
    y[1] = d + e;
    y[2] = s + (t << 2);
    y[3] = d + ((e + m[5 * apart]) << 2);
}

// Bᵀ d B of `tiles` neighbours in one row of tiles: they share two of six columns, so that columns are transformed once.
// `rows`: the first cell's vector in each of six rows. `pitch`: elements from one cell of the tiles to the next.
// `to`: the vector of product 0 and tile 0; products lie `product` elements apart, tiles `tile`.
template <class Vector, class Element>
KERNEL void transform_tiles(const Element* const* rows, int tiles, int64_t pitch, Element* to, int64_t product, int64_t tile) {
    Vector columns[4 * MOST_TILES + 2][6];
    for (int x = 0; x < 4 * tiles + 2; ++x) {
        const int64_t at = x * pitch;
        input_transform(load(rows[0] + at), load(rows[1] + at), load(rows[2] + at), load(rows[3] + at), load(rows[4] + at),
                        load(rows[5] + at), columns[x], 1);
    }
    for (int t = 0; t < tiles; ++t) {
        for (int i = 0; i < 6; ++i) {
            Vector line[6];
            const auto& c = columns + 4 * t;
            input_transform(c[0][i], c[1][i], c[2][i], c[3][i], c[4][i], c[5][i], line, 1);
#pragma GCC unroll 6
            for (int j = 0; j < 6; ++j) store(to + (6 * i + j) * product + t * tile, line[j]);
        }
    }
}
