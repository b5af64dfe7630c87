// In which order the rows of all maps are made, so that a frame passes through the caches once.
//
//     map 1   ░░░▓▓▓▓▓▓              A row is made when a later layer asks for it, and forgotten when none will: a map is a
//     map 2      ░░▓▓▓▓▓▓            ring of a few rows (ring.h). Bands share nothing: each makes the rows above and below
//     map 3         ░░▓▓▓            it anew (the halo), so that threads never wait for each other.
//     out     ░░░░░░░░░░█
//
// Layers make groups of rows: a tile's, 4 or 2, times the dilation for Winograd, one else. Groups start at multiples of their size whatever the band,
// so that the same tiles are computed, and the bytes do not depend on the number of threads.
//
// Floor: no row twice. With bands the halo is: 12 rows of cells and the rounding to groups, on either side of an edge.
#pragma once

#include <algorithm>
#include <climits>
#include <vector>

#include "network.h"

struct Step {
    int layer, row;  // the layer makes its group that starts at this row
};

struct Plan {
    std::vector<int> rows, columns;   // of each map, in cells; map 0 is the frame, the last entry the result
    std::vector<int> capacity;        // rows that a map's ring has to hold
    std::vector<std::vector<Step>> bands;
};

struct Span {
    int first, end;
};

inline int group_rows(const Layer& layer) {
    if (layer.shape.kind == EDGERECON_TRANSPOSED) return layer.shape.stride;
    return layer.tile_rows ? layer.tile_rows * layer.shape.dilation : 1;
}

// Source rows that the group of target rows from `row` on reads; they may lie outside the map.
inline Span rows_read(const Layer& layer, int row) {
    const edgerecon_layer& s = layer.shape;
    if (s.kind == EDGERECON_SHUFFLE || s.kind == EDGERECON_UNSHUFFLE) return {row, row + 1};
    if (s.kind == EDGERECON_TRANSPOSED) return {row / s.stride, row / s.stride + 1};
    if (layer.tile_rows) return {row - s.dilation, row + (layer.tile_rows + 1) * s.dilation};
    const int first = row * s.stride - s.padding;
    return {first, first + (s.kernel - 1) * s.dilation + 1};
}

inline int length_after(const edgerecon_layer& s, int length) {
    if (s.kind == EDGERECON_TRANSPOSED) return length * s.stride;
    if (s.kind == EDGERECON_CONVOLUTION) {
        const int room = length + 2 * s.padding - s.dilation * (s.kernel - 1) - 1;
        return room < 0 ? 0 : room / s.stride + 1;
    }
    return s.kind == EDGERECON_UNSHUFFLE ? length / s.kernel : length;
}

class Planner {
public:
    Planner(const Network& network, Plan& plan) : network_(network), plan_(plan), maps_(static_cast<int>(network.maps.size())) {}

    // Steps for rows `span` of what the shuffle reads.
    std::vector<Step> band(Span span) {
        need_.assign(maps_, {INT_MAX, INT_MIN});
        const Layer& last = network_.layers.back();
        widen(last.shape.source, span);
        for (int number = static_cast<int>(network_.layers.size()) - 2; number >= 0; --number) {
            const Layer& layer = network_.layers[number];
            Span& made = need_[layer.shape.target];
            if (made.first > made.end) continue;
            const int group = group_rows(layer);
            made = {made.first / group * group, std::min(plan_.rows[layer.shape.target], (made.end + group - 1) / group * group)};
            for (int row = made.first; row < made.end; row += group) widen(layer.shape.source, rows_read(layer, row));
            if (layer.shape.added > 0) widen(layer.shape.added, made);
        }
        made_.clear();
        for (const Span& one : need_) made_.push_back(one.first);
        steps_.clear();
        for (int row = span.first; row < span.end; ++row) emit(static_cast<int>(network_.layers.size()) - 1, row);
        return steps_;
    }

private:
    void widen(int map, Span span) {
        if (map == 0) return;
        Span& need = need_[map];
        need.first = std::min(need.first, std::max(0, span.first));
        need.end = std::max(need.end, std::min(plan_.rows[map], span.end));
    }

    void emit(int number, int row) {
        const Layer& layer = network_.layers[number];
        const Span read = rows_read(layer, row), own = {row, row + group_rows(layer)};
        if (layer.shape.source > 0) make(layer.shape.source, read.end);
        const bool adds = layer.shape.added > 0 && layer.shape.kind != EDGERECON_SHUFFLE;
        if (adds) make(layer.shape.added, own.end);
        if (layer.shape.source > 0) hold(layer.shape.source, read.first);
        if (adds) hold(layer.shape.added, own.first);
        steps_.push_back({number, row});
    }

    // Makes rows of a map until `end`.
    void make(int map, int end) {
        const int number = writer(map), group = group_rows(network_.layers[number]);
        end = std::min(end, need_[map].end);
        while (made_[map] < end) {
            emit(number, made_[map]);
            made_[map] += group;
        }
    }

    int writer(int map) const { return map - 1; }  // every layer but the shuffle writes the map of its number plus one

    void hold(int map, int first) {
        const int top = std::min(made_[map], plan_.rows[map]);
        plan_.capacity[map] = std::max(plan_.capacity[map], top - std::max(first, 0));
    }

    const Network& network_;
    Plan& plan_;
    int maps_;
    std::vector<Span> need_;
    std::vector<int> made_;
    std::vector<Step> steps_;
};

// Bands of a picture: one a thread, but none so low that its halo outweighs it.
inline int count_bands(int rows, int threads) {
    constexpr int LOWEST = 24;
    return std::max(1, std::min(threads, rows / LOWEST));
}

// Throws std::invalid_argument when a frame of that size cannot run.
inline Plan make_plan(const Network& network, int height, int width, int threads) {
    Plan plan;
    plan.rows = {height};
    plan.columns = {width};
    for (size_t number = 0; number < network.layers.size(); ++number) {
        const edgerecon_layer& s = network.layers[number].shape;
        const int rows = plan.rows[s.source], columns = plan.columns[s.source];
        if (s.kind == EDGERECON_UNSHUFFLE && (rows % s.kernel || columns % s.kernel))
            throw std::invalid_argument("the frame is not a multiple of the block");
        const int factor = s.kind == EDGERECON_SHUFFLE ? s.kernel : 1;
        plan.rows.push_back(length_after(s, rows) * factor);
        plan.columns.push_back(length_after(s, columns) * factor);
        if (plan.rows.back() < 1 || plan.columns.back() < 1) throw std::invalid_argument("the frame is too small");
        if (s.added > 0 && s.kind != EDGERECON_SHUFFLE &&
            (plan.rows[s.added] != plan.rows.back() || plan.columns[s.added] != plan.columns.back()))
            refuse(static_cast<int>(number), "adds a map of another size");
        if (s.kind == EDGERECON_SHUFFLE && s.added && (plan.rows.back() != height || plan.columns.back() != width))
            refuse(static_cast<int>(number), "adds the frame to a result of another size");
    }
    plan.capacity.assign(network.maps.size(), 1);
    Planner planner(network, plan);
    const int rows = plan.rows[network.layers.back().shape.source], bands = count_bands(rows, threads);
    for (int band = 0; band < bands; ++band) {
        const auto edge = [&](int number) { return static_cast<int>(int64_t{rows} * number / bands); };
        plan.bands.push_back(planner.band({edge(band), edge(band + 1)}));
    }
    return plan;
}
