// The whole compact network on one tile; what it does and why is told in compact_fused.cu.
#pragma once

#include "conv_tile.h"

constexpr int LAYERS = 6;

// How numbers are kept between layers.
struct Half {};   // fp16
struct Split {};  // float32 as the sum of two halves, 22 of its 24 bits
struct Bytes {};  // int8
struct Mixed {};  // int8, but what enters the first layer and what enters the last is Split

// One call. Sizes are in pixels, tiles in cells of 2×2 pixels.
struct Compact {
    const float* frame;  // images × height × width
    float* out;          // the same, and another place
    const char* weights;
    const Scale* scales;  // of the output channels of every layer
    int images, height, width, tile_rows, tile_cols;
    int second;  // bytes from the first buffer in shared memory to the second
    int dilation[LAYERS];
    float step;  // of the frame where it is rounded to bytes, else 1

    CORE int rows() const { return (height + 1) / 2; }
    CORE int cols() const { return (width + 1) / 2; }
    CORE int tiles_down() const { return (rows() + tile_rows - 1) / tile_rows; }
    CORE int tiles_across() const { return (cols() + tile_cols - 1) / tile_cols; }
    CORE int tiles() const { return images * tiles_down() * tiles_across(); }
};

// Where a region of a tile lies in its image.
struct Place {
    int image, y, x, rows, cols;  // the cell at its upper left corner, may be outside; rows and columns of the image
    CORE bool inside(int dy, int dx) const {
        return static_cast<unsigned>(y + dy) < static_cast<unsigned>(rows) &&
               static_cast<unsigned>(x + dx) < static_cast<unsigned>(cols);
    }
};

CORE Place place_of(const Compact& net, int tile, int margin) {
    const int across = net.tiles_across(), each = net.tiles_down() * across, index = tile % each;
    return {tile / each, index / across * net.tile_rows - margin, index % across * net.tile_cols - margin, net.rows(),
            net.cols()};
}

// Four values on their way into shared memory: planes of halves, of upper and lower halves, or of bytes.
struct Target {
    void* first;
    int plane_quads, groups;

    CORE void put(Half, int group, int at, const float* v) const {
        static_cast<HalfQuad*>(first)[group * plane_quads + at] = {pack_halves(v[0], v[1]), pack_halves(v[2], v[3])};
    }
    CORE void put(Split, int group, int at, const float* v) const {
        const HalfQuad upper = {pack_halves(v[0], v[1]), pack_halves(v[2], v[3])};
        HalfQuad* to = static_cast<HalfQuad*>(first) + group * plane_quads + at;
        to[0] = upper;
        to[groups * plane_quads] = {
            pack_halves(v[0] - half_of(upper.x, 0), v[1] - half_of(upper.x, 1)),
            pack_halves(v[2] - half_of(upper.y, 0), v[3] - half_of(upper.y, 1)),
        };
    }
    CORE void put(Bytes, int group, int at, const float* v) const {
        static_cast<ByteQuad*>(first)[group * plane_quads + at] = {pack_bytes(v[0], v[1], v[2], v[3])};
    }
};

// ReLU, and zero outside the image: the next layer's padding, which a cell computed from its neighbours is not.
template <class Kept>
struct Hidden {
    Target to;
    Place place;
    int cols;
    CORE void operator()(int group, int y, int x, int t, float* v) const {
        const bool inside = place.inside(y, x);
        UNROLL for (int j = 0; j < 4; ++j) v[j] = !inside || v[j] < 0 ? 0.0f : v[j];
        to.put(Kept(), group, (y * cols + x) * 4 + t, v);
    }
};

// Pixel-shuffle and residual: lanes 0 and 1 of four have the upper and the lower pair of pixels of a cell.
struct Shown {
    const Compact& net;
    Place place;
    CORE void operator()(int, int y, int x, int t, const float* v) const {
        const int row = 2 * (place.y + y) + t, col = 2 * (place.x + x);
        if (t > 1 || row >= net.height || col >= net.width) return;
        const int64_t at = (static_cast<int64_t>(place.image) * net.height + row) * net.width + col;
        net.out[at] = net.frame[at] + v[0];
        if (col + 1 < net.width) net.out[at + 1] = net.frame[at + 1] + v[1];
    }
};

// Pixel-unshuffle: the input region of the first layer, pixels past an odd edge repeated, cells outside zero.
template <class Kept>
CORE void load_frame(const Compact& net, int tile, int margin, void* to, int warp, int warps) {
    const Place place = place_of(net, tile, margin);
    const int cols = net.tile_cols + 2 * margin, cells = (net.tile_rows + 2 * margin) * cols;
    const Target target = {to, cells, 1};
    const float* frame = net.frame + static_cast<int64_t>(place.image) * net.height * net.width;
    EACH_LANE(lane) for (int cell = warp * 32 + lane; cell < cells; cell += warps * 32) {
        const int y = cell / cols, x = cell % cols;
        float v[4] = {0, 0, 0, 0};
        if (place.inside(y, x)) UNROLL for (int j = 0; j < 4; ++j) {
            const int row = 2 * (place.y + y) + j / 2, col = 2 * (place.x + x) + j % 2;
            v[j] = frame[static_cast<int64_t>(row < net.height ? row : net.height - 1) * net.width +
                         (col < net.width ? col : net.width - 1)] / net.step;
        }
        target.put(Kept(), 0, cell, v);
    }
}

// What a convolution reads: numbers kept in a way, in `GROUPS` groups of 16 channels. Two halves times two halves are
// three products, the smallest being left out.
template <class Kept, int GROUPS>
struct Input {
    typedef HalfQuad Quad;
    static constexpr int PLANES = GROUPS, PARTS = GROUPS;
};
template <int GROUPS>
struct Input<Split, GROUPS> {
    typedef HalfQuad Quad;
    static constexpr int PLANES = 2 * GROUPS, PARTS = 3 * GROUPS;
};
template <int GROUPS>
struct Input<Bytes, GROUPS> {
    typedef ByteQuad Quad;
    static constexpr int PLANES = GROUPS, PARTS = GROUPS;
};

// What enters the first and the last layer, and what enters those between.
template <class Form>
struct Keeping {
    typedef Form Ends, Middle;
};
template <>
struct Keeping<Mixed> {
    typedef Split Ends;
    typedef Bytes Middle;
};

// One layer over one tile; `margin`: cells around the tile that later layers still need.
template <class From, class To, int TAPS, int BLOCKS, int IN, int OUT>
CORE void layer(const Compact& net, int tile, int index, int margin, const void* from, void* to, const char* weights,
                const Scale* scales, int warp, int warps) {
    typedef Input<From, IN> In;
    typedef typename In::Quad Quad;
    const Region at = {net.tile_rows + 2 * margin, net.tile_cols + 2 * margin, net.dilation[index]};
    const Planes<Quad> in = {static_cast<const Quad*>(from), at.in_cells(), In::PLANES, In::PARTS};
    const Quad* packed = reinterpret_cast<const Quad*>(weights);
    const Place place = place_of(net, tile, margin);
    if constexpr (BLOCKS == 1) {
        convolve<TAPS, 1>(in, at, packed, OUT, warp % OUT, scales, warp / OUT, warps / OUT, Shown{net, place});
    } else {
        const Hidden<To> store = {{to, at.rows * at.cols * 4, OUT}, place, at.cols};
        convolve<TAPS, 2>(in, at, packed, OUT, warp % OUT, scales, warp / OUT, warps / OUT, store);
    }
}

// Step 0 brings the frame, step s is layer s - 1. All warps finish a step before any begins the next.
template <int WIDTH, class Form>
CORE void step(const Compact& net, int tile, int s, char* shared, int warp, int warps) {
    constexpr int G = WIDTH / 16;
    typedef typename Keeping<Form>::Ends Ends;
    typedef typename Keeping<Form>::Middle Middle;
    typedef typename Input<Ends, 1>::Quad Outer;
    typedef typename Input<Middle, G>::Quad Inner;
    constexpr int FIRST = Input<Ends, 1>::PARTS * G * packed_quads<Outer, 1, 2>() * static_cast<int>(sizeof(Outer));
    constexpr int EACH = Input<Middle, G>::PARTS * G * packed_quads<Inner, 3, 2>() * static_cast<int>(sizeof(Inner));
    constexpr bool same = std::is_same<Ends, Middle>::value;  // one copy of the code does for all inner layers
    int margin = 0;
    for (int later = s; later < LAYERS; ++later) margin += net.dilation[later];
    void *to = shared + s % 2 * net.second, *from = shared + (s + 1) % 2 * net.second;
    const char* weights = net.weights + (s < 2 ? 0 : FIRST + (s - 2) * EACH);
    const Scale* scales = net.scales + (s < 1 ? 0 : s - 1) * WIDTH;
    if (s == 0)
        load_frame<Ends>(net, tile, margin, to, warp, warps);
    else if (s == 1)
        layer<Ends, Middle, 1, 2, 1, G>(net, tile, 0, margin, from, to, weights, scales, warp, warps);
    else if (s < LAYERS - 1 || (same && s < LAYERS))
        layer<Middle, Middle, 3, 2, G, G>(net, tile, s - 1, margin, from, to, weights, scales, warp, warps);
    else if (s == LAYERS - 1)
        layer<Middle, Ends, 3, 2, G, G>(net, tile, s - 1, margin, from, to, weights, scales, warp, warps);
    else
        layer<Ends, Ends, 3, 1, G, 1>(net, tile, s - 1, margin, from, nullptr, weights, scales, warp, warps);
}
