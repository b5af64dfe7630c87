// A network bound to one size of frame: rings and scratch of every thread, the plan, and the walk over its steps.
//
//     run: bands ── thread pool ──► for each step of the band: rows of the rings in, rows of the rings out, by one kernel
#pragma once

#include <vector>

#include "instruction_sets.h"
#include "network.h"
#include "plan.h"
#include "ring.h"
#include "thread_pool.h"

class Runner {
public:
    // Throws std::invalid_argument, std::bad_alloc, std::system_error.
    Runner(const Network& network, int height, int width, int threads, const InstructionSet& set)
        : network_(network), set_(set), plan_(make_plan(network, height, width, threads)),
          pool_(std::min(threads, static_cast<int>(plan_.bands.size()))) {
        size_t scratch = 0;
        for (const Map& map : network.maps) scratch = std::max(scratch, size_t{36} * MOST_TILES * (map.pitch + 16) * 4);
        for (int worker = 0; worker < std::min(threads, static_cast<int>(plan_.bands.size())); ++worker)
            places_.push_back({make_rings(), allocate(scratch)});
    }

    bool of_this_process() const { return pool_.of_this_process(); }

    void run(const float* frame, float* out) {
        frame_ = frame;
        out_ = out;
        const ThreadPool::Work work = [this](int worker, int band) {
            for (const Step& step : plan_.bands[band]) make(places_[worker], network_.layers[step.layer], step.row);
        };
        pool_.run(static_cast<int>(plan_.bands.size()), work);
    }

private:
    struct Place {  // of one thread
        std::vector<Ring> rings;  // ring of map m at m − 1
        Memory scratch;
        Ring& ring(int map) { return rings[map - 1]; }
        template <class Element>
        Element* memory() { return reinterpret_cast<Element*>(scratch.get()); }
    };

    std::vector<Ring> make_rings() const {
        std::vector<Ring> rings;
        for (size_t map = 1; map < network_.maps.size(); ++map) {
            int left = 0, right = 0;
            for (const Layer& layer : network_.layers) {
                const edgerecon_layer& s = layer.shape;
                if (s.source != static_cast<int>(map) || s.kind != EDGERECON_CONVOLUTION) continue;
                left = std::max(left, s.padding);
                right = std::max(right, layer.tile_rows ? 5 * s.dilation : s.padding + s.kernel * s.dilation);
            }
            const Map& shape = network_.maps[map];
            rings.emplace_back(plan_.rows[map], plan_.columns[map], plan_.capacity[map], left, right,
                               size_t(shape.pitch) * shape.element);
        }
        return rings;
    }

    void make(Place& place, const Layer& layer, int row) const {
        if (layer.shape.kind == EDGERECON_UNSHUFFLE) unshuffle(place, layer, row);
        else if (layer.shape.kind == EDGERECON_SHUFFLE) shuffle(place, layer, row);
        else if (layer.tile_rows && layer.integer) integer_winograd(place, layer, row);
        else if (layer.tile_rows) float_winograd(place, layer, row);
        else if (layer.integer) direct(place, layer, row, integer_direct(layer), set_.integer_direct);
        else direct(place, layer, row, float_direct(layer), set_.float_direct);
    }

    int pitch(int map) const { return network_.maps[map].pitch; }

    void unshuffle(Place& place, const Layer& layer, int row) const {
        const edgerecon_layer& s = layer.shape;
        const int64_t width = plan_.columns[0];
        const EdgeRow job = {frame_ + int64_t{row} * s.kernel * width, nullptr, width, 0, plan_.columns[s.target], s.kernel, pitch(s.target)};
        if (network_.maps[s.target].integer()) set_.unshuffle_integers(job, place.ring(s.target).write<int16_t>(row));
        else set_.unshuffle(job, place.ring(s.target).write<float>(row));
    }

    void shuffle(Place& place, const Layer& layer, int row) const {
        const edgerecon_layer& s = layer.shape;
        const int64_t width = plan_.columns.back(), first = int64_t{row} * s.kernel * width;
        const EdgeRow job = {s.added ? frame_ + first : nullptr, out_ + first, width, width, plan_.columns[s.source], s.kernel, pitch(s.source)};
        set_.shuffle(job, place.ring(s.source).read<float>(row));
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
            for (int i = 0; i < 6; ++i) job.in[i] = place.ring(s.source).read<float>(row + (i - 1) * s.dilation);
            for (int i = 0; i < 4; ++i) {
                job.out[i] = place.ring(s.target).write<float>(row + i * s.dilation);
                job.added[i] = s.added ? place.ring(s.added).read<float>(row + i * s.dilation) : nullptr;
            }
            set_.float_winograd(job, place.memory<float>());
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
            for (int i = 0; i < layer.tile_rows + 2; ++i) job.in[i] = place.ring(s.source).read<int16_t>(row + (i - 1) * s.dilation);
            for (int i = 0; i < layer.tile_rows; ++i) {
                job.out[i] = place.ring(s.target).write<char>(row + i * s.dilation);
                job.added[i] = s.added ? place.ring(s.added).read<int16_t>(row + i * s.dilation) : nullptr;
            }
            set_.integer_winograd(job, place.memory<int16_t>());
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
            job.in[ky] = place.ring(s.source).template read<Element>(row * s.stride - s.padding + ky * s.dilation);
        job.out = place.ring(s.target).write<char>(row);
        job.added = s.added ? place.ring(s.added).template read<Element>(row) : nullptr;
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
        job.in[0] = place.ring(s.source).template read<Element>(group / s.stride);
        for (int ky = 0; ky < s.stride; ++ky)
            for (int kx = 0; kx < s.stride; ++kx) {
                const int64_t first = int64_t{kx} * job.out_pitch;
                job.weights = weights + (size_t(ky) * s.stride + kx) * layer.tap;
                job.out = place.ring(s.target).write<char>(group + ky) + first * network_.maps[s.target].element;
                job.added = s.added ? place.ring(s.added).template read<Element>(group + ky) + first : nullptr;
                convolve(job);
            }
    }

    const Network& network_;
    const InstructionSet& set_;
    Plan plan_;
    ThreadPool pool_;
    std::vector<Place> places_;
    const float* frame_ = nullptr;
    float* out_ = nullptr;
};
