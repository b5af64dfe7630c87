// A network bound to one size of frame: rings and scratch of every thread, the plan, and the walk over its steps.
//
//     run: bands ── thread pool ──► for each step of the band: rows of the rings in, rows of the rings out, by one kernel
//
// Rows of a seam (plan.h) lie in memory of their own, which both bands beside it read.
#pragma once

#include <vector>

#include "network_kernels.h"
#include "network.h"
#include "plan.h"
#include "ring.h"
#include "thread_pool.h"

class Runner {
public:
    // Throws std::invalid_argument, std::bad_alloc, std::system_error.
    Runner(const Network& network, int height, int width, int threads, const NetworkKernels& kernels)
        : network_(network), kernels_(kernels), plan_(make_plan(network, height, width, threads)),
          pool_(std::min(threads, static_cast<int>(plan_.bands.size()))), seams_(plan_.bands.size()) {
        size_t scratch = 0, block = 0;
        for (const Layer& layer : network.layers) block = std::max(block, sizeof(float) * layer.shape.kernel * plan_.columns.back());
        for (const Map& map : network.maps) scratch = std::max(scratch, size_t{36} * MOST_TILES * (map.pitch + 16) * 4);
        for (int worker = 0; worker < std::min(threads, static_cast<int>(plan_.bands.size())); ++worker)
            places_.push_back({make_rings(), allocate(scratch), allocate(block), allocate(block), 0});
        for (size_t band = 0; band < seams_.size(); ++band) seams_[band].maps = make_seam(plan_.bands[band]);
    }

    bool of_this_process() const { return pool_.of_this_process(); }

    void run(const float* frame, float* out) {
        frame_ = frame;
        out_ = out;
        picture_ = nullptr;
        make_bands();
    }

    // Throws std::invalid_argument.
    void run(const edgerecon_picture& picture) {
        const int rows = plan_.rows[0], columns = plan_.columns[0];
        if (rows != plan_.rows.back() || columns != plan_.columns.back()) throw std::invalid_argument("the network changes the size of a frame");
        const auto fits = [&](int side, int bound) { return side >= 1 && picture.margin >= 0 && picture.margin <= bound - side; };
        if (!fits(picture.height, rows) || !fits(picture.width, columns)) throw std::invalid_argument("the frame and its margin are larger than what was bound");
        picture_ = &picture;
        make_bands();
    }

private:
    // Rows that a band shares with the one above it, by map; null where it shares none.
    struct Seam {
        std::vector<std::unique_ptr<Ring>> maps;
        Signal made;
    };

    struct Place {  // of one thread
        std::vector<Ring> rings;  // ring of map m at m − 1
        Memory scratch, pixels, picture;  // the latter two: rows of float32 between bytes and cells
        int band;                         // that it makes
        template <class Element>
        Element* memory() { return reinterpret_cast<Element*>(scratch.get()); }
    };

    Ring make_ring(int map, int slots) const {
        int left = 0, right = 0;
        for (const Layer& layer : network_.layers) {
            const edgerecon_layer& s = layer.shape;
            if (s.source != map || s.kind != EDGERECON_CONVOLUTION) continue;
            left = std::max(left, s.padding);
            right = std::max(right, layer.tile_rows ? 5 * s.dilation : s.padding + s.kernel * s.dilation);
        }
        const Map& shape = network_.maps[map];
        return {plan_.rows[map], plan_.columns[map], slots, left, right, size_t(shape.pitch) * shape.element};
    }

    std::vector<Ring> make_rings() const {
        std::vector<Ring> rings;
        for (int map = 1; map < static_cast<int>(network_.maps.size()); ++map) rings.push_back(make_ring(map, plan_.capacity[map]));
        return rings;
    }

    std::vector<std::unique_ptr<Ring>> make_seam(const Band& band) const {
        std::vector<std::unique_ptr<Ring>> seam(network_.maps.size());
        for (int map = 1; map < static_cast<int>(seam.size()); ++map) {
            const int rows = band.seam[map].end - band.seam[map].first;
            if (rows > 0) seam[map] = std::make_unique<Ring>(make_ring(map, rows));
        }
        return seam;
    }

    // Where a row of a map lies for a band: in the seam above it, in the one below it, or in its own ring.
    Ring& rows(Place& place, int map, int row) const {
        const Band& band = plan_.bands[place.band];
        if (row < band.seam[map].end && seams_[place.band].maps[map]) return *seams_[place.band].maps[map];
        const size_t below = place.band + 1;
        if (below < plan_.bands.size() && row >= plan_.bands[below].seam[map].first && seams_[below].maps[map]) return *seams_[below].maps[map];
        return place.rings[map - 1];
    }
    template <class Element>
    const Element* read(Place& place, int map, int row) const { return rows(place, map, row).template read<Element>(row); }
    template <class Element>
    Element* write(Place& place, int map, int row) const { return rows(place, map, row).template write<Element>(row); }

    void make_bands() {
        const int bands = static_cast<int>(plan_.bands.size());
        for (Seam& seam : seams_) seam.made.clear();
        const ThreadPool::Work work = [this, bands](int worker, int piece) {
            places_[worker].band = bands - 1 - piece;  // from the lowest on: one that waits does so for one that runs
            make_band(places_[worker]);
        };
        pool_.run(bands, work);
    }

    void make_band(Place& place) {
        const Band& band = plan_.bands[place.band];
        for (int at = 0; at < static_cast<int>(band.steps.size()); ++at) {
            if (at == band.seam_after) seams_[place.band].made.set();
            if (at == band.waits_before) seams_[place.band + 1].made.wait();
            make(place, network_.layers[band.steps[at].layer], band.steps[at].row);
        }
        seams_[place.band].made.set();
    }

    void make(Place& place, const Layer& layer, int row) const {
        if (layer.shape.kind == EDGERECON_UNSHUFFLE) unshuffle(place, layer, row);
        else if (layer.shape.kind == EDGERECON_SHUFFLE) shuffle(place, layer, row);
        else if (layer.tile_rows && layer.integer) integer_winograd(place, layer, row);
        else if (layer.tile_rows) float_winograd(place, layer, row);
        else if (layer.integer) direct(place, layer, row, integer_direct(layer), kernels_.integer_direct);
        else direct(place, layer, row, float_direct(layer), kernels_.float_direct);
    }

    int pitch(int map) const { return network_.maps[map].pitch; }

    void unshuffle(Place& place, const Layer& layer, int row) const {
        const edgerecon_layer& s = layer.shape;
        const int64_t width = plan_.columns[0];
        const EdgeRow job = {pixels(place, row * s.kernel, s.kernel), nullptr, width, 0, plan_.columns[s.target], s.kernel, pitch(s.target)};
        if (network_.maps[s.target].integer()) kernels_.unshuffle_integers(job, write<int16_t>(place, s.target, row));
        else kernels_.unshuffle(job, write<float>(place, s.target, row));
    }

    void shuffle(Place& place, const Layer& layer, int row) const {
        const edgerecon_layer& s = layer.shape;
        const int64_t width = plan_.columns.back();
        const int first = row * s.kernel;
        const float* frame = s.added || picture_ ? pixels(place, first, s.kernel) : nullptr;
        float* out = picture_ ? reinterpret_cast<float*>(place.picture.get()) : out_ + first * width;
        const EdgeRow job = {s.added ? frame : nullptr, out, width, width, plan_.columns[s.source], s.kernel, pitch(s.source)};
        kernels_.shuffle(job, read<float>(place, s.source, row));
        if (picture_) finish(frame, out, first, s.kernel);
    }

    // Rows of the frame, with its margin; of bytes, in memory of the thread.
    const float* pixels(Place& place, int first, int count) const {
        const int width = plan_.columns[0];
        if (!picture_) return frame_ + int64_t{first} * width;
        float* to = reinterpret_cast<float*>(place.pixels.get());
        for (int row = 0; row < count; ++row) {
            const int64_t inside = std::min(std::max(first + row - picture_->margin, 0), picture_->height - 1);
            kernels_.expand({picture_->seen + inside * picture_->seen_pitch, to + int64_t{row} * width, picture_->width, picture_->margin, width});
        }
        return to;
    }

    void finish(const float* pixels, const float* made, int first, int count) const {
        const edgerecon_picture& p = *picture_;
        for (int i = 0; i < count; ++i) {
            const int64_t row = first + i - p.margin, at = int64_t{i} * plan_.columns[0] + p.margin;
            if (row < 0 || row >= p.height) continue;
            const uint8_t* tissue = p.tissue ? p.tissue + row * p.tissue_pitch : nullptr;
            const BytesOut job = {made + at, pixels + at, p.frame + row * p.frame_pitch, tissue, p.out + row * p.out_pitch, p.width, p.strength};
            kernels_.finish(job);
        }
    }

    void float_winograd(Place& place, const Layer& layer, int group) const {
        const edgerecon_layer& s = layer.shape;
        FloatWinograd job{};
        job.weights = layer.weights.data();
        job.bias = layer.bias.data();
        job.columns = plan_.columns[s.target];
        job.dilation = s.dilation;
        job.inputs = s.inputs;
        job.in_pitch = pitch(s.source);
        job.out_pitch = pitch(s.target);
        job.relu = s.relu;
        for (int row = group; row < group + s.dilation && row < plan_.rows[s.target]; ++row) {
            for (int i = 0; i < 6; ++i) job.in[i] = read<float>(place, s.source, row + (i - 1) * s.dilation);
            for (int i = 0; i < 4; ++i) {
                job.out[i] = write<float>(place, s.target, row + i * s.dilation);
                job.added[i] = s.added ? read<float>(place, s.added, row + i * s.dilation) : nullptr;
            }
            kernels_.float_winograd(job, place.memory<float>());
        }
    }

    void integer_winograd(Place& place, const Layer& layer, int group) const {
        const edgerecon_layer& s = layer.shape;
        IntegerWinograd job{};
        job.weights = layer.integers.data();
        job.end = requantise(layer);
        job.columns = plan_.columns[s.target];
        job.dilation = s.dilation;
        job.inputs = s.inputs;
        job.in_pitch = pitch(s.source);
        job.out_pitch = pitch(s.target);
        job.tile_rows = layer.tile_rows;
        for (int row = group; row < group + s.dilation && row < plan_.rows[s.target]; ++row) {
            for (int i = 0; i < layer.tile_rows + 2; ++i) job.in[i] = read<int16_t>(place, s.source, row + (i - 1) * s.dilation);
            for (int i = 0; i < layer.tile_rows; ++i) {
                job.out[i] = write<char>(place, s.target, row + i * s.dilation);
                job.added[i] = s.added ? read<int16_t>(place, s.added, row + i * s.dilation) : nullptr;
            }
            kernels_.integer_winograd(job, place.memory<int16_t>());
        }
    }

    static Requantise requantise(const Layer& layer) {
        const float* step = layer.step.empty() ? nullptr : layer.step.data();
        const int32_t* gain = layer.gain.empty() ? nullptr : layer.gain.data();
        const edgerecon_layer& s = layer.shape;
        return {layer.offset.data(), layer.shift.data(), gain, step, s.floor, s.ceiling, s.relu};
    }

    static FloatDirect float_direct(const Layer& layer) {
        FloatDirect job{};
        job.weights = layer.weights.data();
        job.end = {layer.bias.data(), layer.shape.relu};
        return job;
    }

    static IntegerDirect integer_direct(const Layer& layer) {
        IntegerDirect job{};
        job.weights = layer.integers.data();
        job.end = requantise(layer);
        return job;
    }

    template <class Element, class End>
    void direct(Place& place, const Layer& layer, int row, DirectRow<Element, End> job,
                void (*convolve)(const DirectRow<Element, End>&)) const {
        const edgerecon_layer& s = layer.shape;
        job.inputs = s.inputs;
        job.in_pitch = pitch(s.source);
        job.out_pitch = pitch(s.target);
        if (s.kind == EDGERECON_TRANSPOSED) return transposed(place, layer, row, job, convolve);
        job.columns = plan_.columns[s.target];
        job.out_step = job.out_pitch;
        job.kernel = s.kernel;
        job.stride = s.stride;
        job.dilation = s.dilation;
        job.padding = s.padding;
        for (int ky = 0; ky < s.kernel; ++ky)
            job.in[ky] = read<Element>(place, s.source, row * s.stride - s.padding + ky * s.dilation);
        job.out = write<char>(place, s.target, row);
        job.added = s.added ? read<Element>(place, s.added, row) : nullptr;
        convolve(job);
    }

    // Each tap is a 1×1 convolution, whose outputs lie a stride apart.
    template <class Element, class End>
    void transposed(Place& place, const Layer& layer, int group, DirectRow<Element, End> job,
                    void (*convolve)(const DirectRow<Element, End>&)) const {
        const edgerecon_layer& s = layer.shape;
        const Element* weights = job.weights;
        job.kernel = job.stride = job.dilation = 1;
        job.columns = plan_.columns[s.source];
        job.out_step = s.stride * job.out_pitch;
        job.in[0] = read<Element>(place, s.source, group / s.stride);
        for (int ky = 0; ky < s.stride; ++ky)
            for (int kx = 0; kx < s.stride; ++kx) {
                const int64_t first = int64_t{kx} * job.out_pitch;
                job.weights = weights + (size_t(ky) * s.stride + kx) * layer.tap;
                job.out = write<char>(place, s.target, group + ky) + first * network_.maps[s.target].element;
                job.added = s.added ? read<Element>(place, s.added, group + ky) + first : nullptr;
                convolve(job);
            }
    }

    const Network& network_;
    const NetworkKernels& kernels_;
    Plan plan_;
    ThreadPool pool_;
    std::vector<Place> places_;
    std::vector<Seam> seams_;
    const float* frame_ = nullptr;
    float* out_ = nullptr;
    const edgerecon_picture* picture_ = nullptr;
};
