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

// One dimension of Bᵀ d; `to` takes six values. Integers are modulo 2¹⁶; values of at most 481 levels come out exact (range_proof.h).
template <class Vector>
KERNEL void input_transform(Vector d0, Vector d1, Vector d2, Vector d3, Vector d4, Vector d5, Vector* to) {
    if constexpr (HOLDS_FLOATS<Vector>) {
        const Vector a = d4 - 4.f * d2, b = d3 - 4.f * d1, c = d4 - d2, e = d3 - d1;
        to[0] = 4.f * d0 + (d4 - 5.f * d2);
        to[1] = a + b;
        to[2] = a - b;
        to[3] = c + 2.f * e;
        to[4] = c - 2.f * e;
        to[5] = 4.f * d1 + (d5 - 5.f * d3);
    } else {
        const Vector a = d4 - (d2 << 2), b = d3 - (d1 << 2), c = d4 - d2, e = d3 - d1, f = e + e;
        to[0] = ((d0 - d2) << 2) + c;
        to[1] = a + b;
        to[2] = a - b;
        to[3] = c + f;
        to[4] = c - f;
        to[5] = (d5 - d3) - (e << 2);
    }
}

// F(2, 3), in integers whose rows 0 and 3 of G are half as large as the others; made up for in Aᵀ.
template <class Vector>
KERNEL void input_transform(Vector d0, Vector d1, Vector d2, Vector d3, Vector* to) {
    to[0] = d0 - d2;
    to[1] = d1 + d2;
    to[2] = d2 - d1;
    to[3] = d1 - d3;
}
template <class Sums>
KERNEL void output_transform_two(const Sums* m, Sums* y) {
    y[0] = m[0] + m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - (m[3] + m[3]);
}

// One dimension of Aᵀ m: six values become four. Integers are modulo 2³², for products whose rows 1 and 2 lack a factor of
// 4, and row 5 too.
template <class Vector>
KERNEL void output_transform(const Vector* m, Vector* y) {
    if constexpr (HOLDS_FLOATS<Vector>) {
        const Vector s = m[1] + m[2], d = m[1] - m[2], t = m[3] + m[4], e = m[3] - m[4];
        y[0] = m[0] + s + t;
        y[1] = d + 2.f * e;
        y[2] = s + 4.f * t;
        y[3] = d + 8.f * e + m[5];
    } else {
        const Vector s = (m[1] + m[2]) << 2, d = (m[1] - m[2]) << 2, t = m[3] + m[4], half = m[3] - m[4], e = half + half;
        y[0] = m[0] + s + t;
        y[1] = d + e;
        y[2] = s + (t << 2);
        y[3] = d + ((e + m[5]) << 2);
    }
}

// Bᵀ d B of T · S neighbours in one row of tiles of R rows: they share two of six columns, so that columns are transformed
// once. A vector holds the same channels of S tiles, which lie T tiles apart. `rows`: the first cell in each of R + 2
// rows. `pitch`: elements from one cell of the tiles to the next. `to`: product 0 of tile 0; products lie `product` elements
// apart, groups of S tiles `tile`.
template <int R, int T, int S, class Vector, class Element>
KERNEL void transform_tiles(const Element* const* rows, int64_t pitch, Element* to, int64_t product, int64_t tile) {
    Vector columns[8][R + 2];  // column x in place x mod 8: two tiles need ten, and share two
    const int64_t apart = 4 * T * pitch;
    for (int t = 0; t < T; ++t) {
        for (int x = t ? 4 * t + 2 : 0; x < 4 * t + 6; ++x) {
            Vector d[R + 2];
#pragma GCC unroll 6
            for (int i = 0; i < R + 2; ++i) d[i] = load_side_by_side<Vector, S>(rows[i] + x * pitch, apart);
            if constexpr (R == 4) input_transform(d[0], d[1], d[2], d[3], d[4], d[5], columns[x % 8]);
            else
                input_transform(d[0], d[1], d[2], d[3], columns[x % 8]);
        }
        const Vector(*first)[R + 2] = columns + 4 * t % 8, (*last)[R + 2] = columns + (4 * t + 4) % 8;
        for (int i = 0; i < R + 2; ++i) {
            Vector line[6];
            input_transform(first[0][i], first[1][i], first[2][i], first[3][i], last[0][i], last[1][i], line);
#pragma GCC unroll 6
            for (int j = 0; j < 6; ++j) store(to + (6 * i + j) * product + t * tile, line[j]);
        }
    }
}
