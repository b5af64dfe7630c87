// A network as a list of layers over numbered maps, with its weights in the order the kernels read them.
//
//     map 0: the frame    layer 0: unshuffle 0 → 1    layer 1: convolution 1 → 2    …    last layer: shuffle n → frame
//
// A layer reads `source` and, after its ReLU, adds `added`; it writes `target`. Every map is written by one layer, before
// it is read; the last layer is the shuffle. Channels are padded with zeros: to 8 floats; to 8 or to whole vectors of 16 shorts,
// pixels to 4.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "edgerecon_cpu.h"
#include "packing.h"
#include "range_proof.h"
#include "rows.h"

struct Layer {
    edgerecon_layer shape;
    bool integer = false;
    int tile_rows = 0;  // of Winograd's tiles; 0: tap by tap
    std::vector<float> weights, bias, step;
    std::vector<int16_t> integers;
    std::vector<int32_t> offset, shift, gain;
    size_t tap = 0;  // of a transposed convolution: elements from the weights of one tap to the next
};

struct Map {
    int channels = 0, pitch = 0, element = 4;  // pitch: channels with padding; element: bytes of one
    Levels levels = {0, 0};                    // of integers
    bool integer() const { return element == 2; }
};

struct Network {
    std::vector<Layer> layers;
    std::vector<Map> maps;
};

inline int padded(int channels, int whole) { return (channels + whole - 1) / whole * whole; }
inline int integer_pitch(int channels) { return channels <= 8 ? 8 : padded(channels, 16); }

[[noreturn]] inline void refuse(int layer, const std::string& why) {
    throw std::invalid_argument("layer " + std::to_string(layer) + " " + why);
}

inline void check_shape(const edgerecon_layer& layer, int number, const Network& network, bool last) {
    const int maps = static_cast<int>(network.maps.size());
    const bool first = layer.kind == EDGERECON_UNSHUFFLE, ends = layer.kind == EDGERECON_SHUFFLE;
    if (layer.kind < EDGERECON_UNSHUFFLE || layer.kind > EDGERECON_SHUFFLE) refuse(number, "is of an unknown kind");
    if (first != (layer.source == 0) || layer.source < 0 || layer.source >= maps) refuse(number, "reads no map");
    if (ends != last) refuse(number, last ? "does not write the frame" : "writes the frame before the last layer");
    if (!ends && layer.target != maps) refuse(number, "does not write the next map");
    if (layer.inputs < 1 || layer.outputs < 1 || layer.kernel < 1 || layer.stride < 1 || layer.dilation < 1 || layer.padding < 0)
        refuse(number, "has an impossible shape");
    if (layer.inputs > 1024 || layer.outputs > 1024 || layer.dilation > 1024 || layer.kernel > MOST_TAPS)
        refuse(number, "is too large");
    if (layer.padding >= layer.kernel * layer.dilation || layer.stride > MOST_TAPS) refuse(number, "is too large");
    if (!first && network.maps[layer.source].channels != layer.inputs) refuse(number, "does not fit what it reads");
    if (ends && layer.inputs != layer.kernel * layer.kernel) refuse(number, "does not shuffle into one channel");
    if (first && layer.outputs != layer.kernel * layer.kernel) refuse(number, "does not unshuffle one channel");
    if (layer.kind == EDGERECON_TRANSPOSED && layer.kernel != layer.stride) refuse(number, "has outputs that overlap");
    if (!ends && layer.added > 0 && (layer.added >= maps || network.maps[layer.added].channels != layer.outputs))
        refuse(number, "adds what does not fit");
}

inline Map integer_convolution(Layer& layer, int number, const Levels& read, const Levels* added) {
    const edgerecon_layer& s = layer.shape;
    if (added && (s.step || !s.gain)) refuse(number, "has no integer form of its sum");
    const IntegerForm form = layer.tile_rows ? choose_form(read) : TAP_BY_TAP;
    const int chunk = s.step ? 8 : integer_pitch(s.outputs) == 8 ? 8 : 16;
    layer.tile_rows = form.tile_rows;
    prove_range(s, form, read, added, number);
    layer.integers = pack_integers(s, form, chunk, layer.tap);
    if (s.step) {
        layer.offset = padded_copy(s.offset, s.outputs, 8);
        layer.step = padded_copy(s.step, s.outputs, 8);
        return {s.outputs, padded(s.outputs, 8), 4};
    }
    layer.offset = in_chunks(s.offset, s.outputs, chunk);
    layer.shift = in_chunks(s.shift, s.outputs, chunk);
    if (added) layer.gain = in_chunks(s.gain, s.outputs, chunk);
    return {s.outputs, integer_pitch(s.outputs), 2, {s.floor, s.ceiling}};
}

inline void check_numbers(const float* values, size_t count, int number) {
    if (values && !std::all_of(values, values + count, [](float value) { return std::isfinite(value); }))
        refuse(number, "has weights that are NaN or infinite");
}

inline Map convolution(Layer& layer, int number, const std::vector<Map>& maps) {
    const edgerecon_layer& s = layer.shape;
    const Map& source = maps[s.source];
    const Map* added = s.added > 0 ? &maps[s.added] : nullptr;
    layer.integer = s.integers != nullptr;
    if (layer.integer != source.integer() || (added && layer.integer != added->integer()))
        refuse(number, "reads numbers of another kind");
    check_numbers(s.weights, size_t(s.inputs) * s.outputs * s.kernel * s.kernel, number);
    check_numbers(s.bias, s.outputs, number);
    check_numbers(s.step, s.outputs, number);
    const bool same = s.kernel == 3 && s.stride == 1 && s.padding == s.dilation;
    layer.tile_rows = s.kind == EDGERECON_CONVOLUTION && same ? 4 : 0;
    if (layer.integer) return integer_convolution(layer, number, source.levels, added ? &added->levels : nullptr);
    layer.bias = padded_copy(s.bias, s.outputs, 8);
    if (layer.tile_rows) layer.weights = pack_winograd(s);
    else if (s.kind == EDGERECON_TRANSPOSED) layer.weights = pack_transposed(s, layer.tap);
    else layer.weights = pack_direct(s);
    return {s.outputs, padded(s.outputs, 8), 4};
}

// What is added has the pitch of what it is added to.
inline Map pixels_map(const edgerecon_layer* layers, int count, bool integer) {
    const int channels = layers[0].outputs;
    if (!integer) return {channels, padded(channels, 8), 4};
    const bool added = std::any_of(layers, layers + count - 1, [&](const edgerecon_layer& one) { return one.added == layers[0].target; });
    return {channels, channels <= 4 && !added ? 4 : integer_pitch(channels), 2, {0, 255}};
}

// Throws std::invalid_argument, whose text names the layer.
inline std::unique_ptr<Network> make_network(const edgerecon_layer* layers, int count) {
    auto network = std::make_unique<Network>();
    network->maps.push_back({1, 1, 4});
    const bool integer = count > 1 && layers[1].integers;
    for (int number = 0; number < count; ++number) {
        Layer layer{};
        layer.shape = layers[number];
        check_shape(layer.shape, number, *network, number == count - 1);
        if (layer.shape.kind == EDGERECON_UNSHUFFLE)
            network->maps.push_back(pixels_map(layers + number, count - number, integer));
        else if (layer.shape.kind != EDGERECON_SHUFFLE)
            network->maps.push_back(convolution(layer, number, network->maps));
        else if (network->maps[layer.shape.source].integer())
            refuse(number, "reads numbers of another kind");
        // What was given belongs to the caller.
        layer.shape.weights = layer.shape.bias = layer.shape.step = nullptr;
        layer.shape.integers = nullptr;
        layer.shape.offset = layer.shape.shift = layer.shape.gain = nullptr;
        network->layers.push_back(std::move(layer));
    }
    if (count < 2) throw std::invalid_argument("a network has at least two layers");
    return network;
}
