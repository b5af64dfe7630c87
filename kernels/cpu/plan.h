// In which order the rows of all maps are made, so that a frame passes through the caches once.
//
//     map 1   ░░░▓▓▓▓▓▓              A row is made when a later layer asks for it, and forgotten when none will: a map is a
//     map 2      ░░▓▓▓▓▓▓            ring of a few rows (ring.h).
//     map 3         ░░▓▓▓
//     out     ░░░░░░░░░░█
//
// Bands are for threads. No row is made twice: a band makes all that its own rows of the result need above them, and the
// band above ends where that begins. What both read is the seam, a few rows that stay until the end of the frame:
//
//     map 1  ─ upper band ────┤seam├────── lower band ─       The lower band makes the seam first, the upper one needs it
//     map 2  ─────────────────────┤seam├────────────────      last: it waits only when the lower one began late.
//     out    ─────────────────────────────┤─────────────      So bands begin from the lowest on.
//
// Layers make groups of rows: a tile's, 4 or 2, times the dilation for Winograd, one else. Groups start at multiples of
// their size whatever the band, so that the same tiles are computed, and the bytes do not depend on the number of threads.
#pragma once

#include <algorithm>
#include <climits>
#include <vector>

#include "network.h"

struct Step {
    int layer, row;  // the layer makes its group that starts at this row
};

struct Span {
    int first, end;
};

// The rows of a frame's result that one thread makes, and what of every map it needs for them.
struct Band {
    std::vector<Step> steps;
    std::vector<Span> made, seam;    // of each map: the rows that it makes, and those of them that the band above reads too
    int seam_after = 0;              // steps after which the seam is made
    int waits_before = INT_MAX;      // the first step that reads the seam of the band below
};

struct Plan {
    std::vector<int> rows, columns;   // of each map, in cells; map 0 is the frame, the last entry the result
    std::vector<int> capacity;        // rows that a map's ring has to hold
    std::vector<Band> bands;          // from the top of the frame
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

    // The band that makes rows `span` of what the shuffle reads; `below`: the one below it, planned before, or null.
    Band band(Span span, Band* below) {
        below_ = below;
        need_.assign(maps_, {INT_MAX, INT_MIN});
        const Layer& last = network_.layers.back();
        widen(last.shape.source, span);
        for (int number = static_cast<int>(network_.layers.size()) - 2; number >= 0; --number) {
            const Layer& layer = network_.layers[number];
            Span& made = need_[layer.shape.target];
            if (made.first > made.end) continue;
            const int group = group_rows(layer);
            made = {made.first / group * group, std::min(plan_.rows[layer.shape.target], (made.end + group - 1) / group * group)};
            if (below) share(layer.shape.target, made);
            for (int row = made.first; row < made.end; row += group) widen(layer.shape.source, rows_read(layer, row));
            if (layer.shape.added > 0) widen(layer.shape.added, made);
        }
        made_.clear();
        band_ = {};
        for (const Span& one : need_) {
            made_.push_back(one.first);
            band_.seam.push_back({one.first, one.first});
        }
        band_.made = need_;
        for (int row = span.first; row < span.end; ++row) emit(static_cast<int>(network_.layers.size()) - 1, row);
        return band_;
    }

private:
    void widen(int map, Span span) {
        if (map == 0) return;
        Span& need = need_[map];
        need.first = std::min(need.first, std::max(0, span.first));
        need.end = std::max(need.end, std::min(plan_.rows[map], span.end));
    }

    // Leaves to the band below what that makes anyway.
    void share(int map, Span& made) {
        Span& seam = below_->seam[map];
        seam.end = std::max(seam.end, made.end);
        made.end = std::min(made.end, seam.first);
        made.first = std::min(made.first, made.end);
    }

    bool in_seam(int map, int end) const { return below_ && std::min(end, plan_.rows[map]) > below_->seam[map].first; }

    void emit(int number, int row) {
        const Layer& layer = network_.layers[number];
        const Span read = rows_read(layer, row), own = {row, row + group_rows(layer)};
        if (layer.shape.source > 0) make(layer.shape.source, read.end);
        const bool adds = layer.shape.added > 0 && layer.shape.kind != EDGERECON_SHUFFLE;
        if (adds) make(layer.shape.added, own.end);
        if (layer.shape.source > 0) hold(layer.shape.source, read.first);
        if (adds) hold(layer.shape.added, own.first);
        const int step = static_cast<int>(band_.steps.size());
        const bool waits = (layer.shape.source > 0 && in_seam(layer.shape.source, read.end)) || (adds && in_seam(layer.shape.added, own.end));
        if (waits) band_.waits_before = std::min(band_.waits_before, step);
        band_.steps.push_back({number, row});
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
    Band* below_ = nullptr;
    Band band_;
    std::vector<Span> need_;
    std::vector<int> made_;
};

// Multiply-adds of a layer, about: what bands are to have alike.
inline double work_of(const Layer& layer, const Plan& plan) {
    const edgerecon_layer& s = layer.shape;
    const double area = double(plan.rows[s.target]) * plan.columns[s.target], products = s.kind == EDGERECON_TRANSPOSED ? 1 : s.kernel * s.kernel;
    return area * s.inputs * s.outputs * (layer.tile_rows == 4 ? 2.25 : layer.tile_rows == 2 ? 3 : products);
}

// Rows of the result by which a band's work begins above its own first row, on average.
inline double lead(const Network& network, const Plan& plan, const Band& band, int first, int rows) {
    double led = 0, all = 0;
    for (size_t number = 1; number + 1 < network.layers.size(); ++number) {
        const int map = network.layers[number].shape.target;
        if (band.made[map].first > band.made[map].end) continue;
        const double work = work_of(network.layers[number], plan);
        led += work * (first - double(band.made[map].first) * rows / plan.rows[map]);
        all += work;
    }
    return all > 0 ? led / all : 0;
}

// Cuts the result into so many bands of the same work; false when a band would be lower than what its neighbours share.
inline bool cut(const Network& network, Plan& plan, int count) {
    const int rows = plan.rows[network.layers.back().shape.source];
    plan.capacity.assign(network.maps.size(), 1);
    Planner planner(network, plan);
    const double above = count == 1 ? 0 : lead(network, plan, planner.band({rows / 2, rows}, nullptr), rows / 2, rows);
    plan.capacity.assign(network.maps.size(), 1);
    plan.bands.assign(count, {});
    for (int band = count - 1, end = rows; band >= 0; --band) {
        const int first = band ? static_cast<int>(double(rows) * band / count + above + .5) : 0;
        if (first >= end) return false;
        Band* below = band + 1 < count ? &plan.bands[band + 1] : nullptr;
        plan.bands[band] = planner.band({first, end}, below);
        for (size_t map = 1; below && map < network.maps.size(); ++map)
            if (below->seam[map].end > std::max(below->seam[map].first, below->made[map].end)) return false;
        end = first;
    }
    for (Band& band : plan.bands)
        for (size_t step = 0; step < band.steps.size(); ++step) {
            const int target = network.layers[band.steps[step].layer].shape.target;
            if (target > 0 && band.steps[step].row < band.seam[target].end) band.seam_after = static_cast<int>(step) + 1;
        }
    return true;
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
    constexpr int LOWEST = 16;  // rows of a band that is worth waking a thread for
    int bands = std::max(1, std::min(threads, plan.rows[network.layers.back().shape.source] / LOWEST));
    while (!cut(network, plan, bands)) --bands;
    return plan;
}
