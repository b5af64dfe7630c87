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
// F(2×4, 3×3) has F(2, 3) in the vertical: 2×4 outputs by 24 products, 2 · 24 = 48 times the convolution. Its transform
// makes numbers less large, so that it takes four times as many levels; every second kind of row is F(2, 3)'s below.
//
// Floor: 36/16 = 2.25 or 24/8 = 3 products a cell and pair of channels, against 9. Read once per instruction set.

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

// F(2, 3), in integers whose rows 0 and 3 of G are half as large as the others; made up for in Aᵀ.
KERNEL void input_transform(Shorts d0, Shorts d1, Shorts d2, Shorts d3, Shorts* to) {
    to[0] = d0 - d2;
    to[1] = d1 + d2;
    to[2] = d2 - d1;
    to[3] = d1 - d3;
}
KERNEL void output_transform_two(const Ints* m, Ints* y) {
    y[0] = m[0] + m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - (m[3] + m[3]);
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

// Bᵀ d B of `tiles` neighbours in one row of tiles of R rows: they share two of six columns, so that columns are transformed
// once. A vector holds the same channels of S tiles, which lie `tiles` tiles apart. `rows`: the first cell in each of R + 2
// rows. `pitch`: elements from one cell of the tiles to the next. `to`: product 0 of tile 0; products lie `product` elements
// apart, tiles `tile`.
template <int R, int S, class Vector, class Element>
KERNEL void transform_tiles(const Element* const* rows, int tiles, int64_t pitch, Element* to, int64_t product, int64_t tile) {
    Vector columns[4 * MOST_TILES + 2][R + 2];
    const int64_t apart = 4 * tiles * pitch;
    for (int x = 0; x < 4 * tiles + 2; ++x) {
        const int64_t at = x * pitch;
        Vector d[R + 2];
#pragma GCC unroll 6
        for (int i = 0; i < R + 2; ++i) d[i] = load_side_by_side<S>(rows[i] + at, apart);
        if constexpr (R == 4) input_transform(d[0], d[1], d[2], d[3], d[4], d[5], columns[x], 1);
        else
            input_transform(d[0], d[1], d[2], d[3], columns[x]);
    }
    for (int t = 0; t < tiles; ++t) {
        for (int i = 0; i < R + 2; ++i) {
            Vector line[6];
            const auto& c = columns + 4 * t;
            input_transform(c[0][i], c[1][i], c[2][i], c[3][i], c[4][i], c[5][i], line, 1);
#pragma GCC unroll 6
            for (int j = 0; j < 6; ++j) store(to + (6 * i + j) * product + t * tile, line[j]);
        }
    }
}
