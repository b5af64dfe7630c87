// A beamformer bound to one geometry: tiles of pixels go to the threads, each tile to every element.
//
//     rows, 16 bits ─► [tile: for 12 transmits, for each element: hear once, add 12 times] ─► picture, complex in IQ
//
// Nothing of the size pixels × elements is kept: an element's delays are reckoned for a tile and used for its transmits;
// 4 bytes a pixel and transmit lie ready.
#pragma once

#include <stdexcept>
#include <string>

#include "das_kernels.h"
#include "das_work.h"
#include "thread_pool.h"

class Beamformer {
public:
    // Throws std::invalid_argument, std::bad_alloc, std::system_error.
    Beamformer(const edgerecon_das& told, const DasKernels& kernels) : told_(told), kernels_(kernels), pool_(told.threads), work_(told.threads) {
        if (std::min({told.height, told.width, told.elements, told.waves, told.samples, told.threads}) < 1)
            throw std::invalid_argument("sizes and threads start at 1");
        if (told.samples > DAS_LONGEST) throw std::invalid_argument("more samples than delays can count");
        const size_t pixels = size_t(told.height) * told.width;
        x_.assign(told.x, told.x + pixels);
        z_.assign(told.z, told.z + pixels);
        transmit_.assign(told.transmit, told.transmit + pixels * told.waves);
        if (told.transmit_weight) weight_.assign(told.transmit_weight, told.transmit_weight + pixels * told.waves);
        turns_.assign(told.turns, told.turns + told.waves);
        for (int e = 0; e < told.elements; ++e)
            elements_.push_back({told.element_x[e], told.element_z[e], told.element_sine[e], told.element_cosine[e], told.element_lens[e]});
        shape_ = {told.iq ? told.cycles : 0, told.slope, told.level, told.swing, told.flat, told.flat < 1 ? 1 / (1 - told.flat) : 0, told.samples};
        for (DasWork& work : work_) work.transmits.resize(told.waves);
        find_reach();
    }

    const edgerecon_das& told() const { return told_; }
    const DasKernels& kernels() const { return kernels_; }
    ThreadPool& pool() { return pool_; }
    std::vector<float>& memory_of(int worker) { return work_[worker].memory; }
    int parts() const { return told_.iq ? 2 : 1; }
    const DasReach& reach() const { return reach_; }
    int64_t row() const { return int64_t{told_.samples + 2 * DAS_MARGIN} * parts(); }

    void run(const int16_t* rows, float scale, float* out) {
        scale /= DAS_UNIT;
        over_tiles(0, told_.height, DAS_TILE_EDGE, DAS_TILE_EDGE, [&](DasWork& work) {
            DasWork::clear(work.total, work.pixels.count);
            if (told_.method == EDGERECON_DAS) sum_waves(work, rows, shape_);
            else
                sum_elements(work, rows, [&](int) { kernels_.fold(told_.method, work.heard, work.sums[0], work.pixels.count, work.total); });
            work.each(told_.width, [&](int at, size_t pixel) { write(work.total, at, scale, out + pixel * parts()); });
        });
    }

    // The sums over each part of the pixel's aperture, from its one edge to the other: parts × pixels of real parts, then
    // of imaginary ones. A part that no element lies in is 0.
    void split(const int16_t* rows, float scale, int count, float* out) {
        scale /= DAS_UNIT;
        const size_t pixels = size_t(told_.height) * told_.width;
        over_tiles(0, told_.height, DAS_TILE_EDGE, DAS_TILE_EDGE, [&](DasWork& work) {
            for (int part = 0; part < count; ++part) {
                DasWork::clear(work.total, work.pixels.count);
                sum_waves(work, rows, shape_of(part, count));
                work.each(told_.width, [&](int at, size_t pixel) {
                    out[part * pixels + pixel] = work.total.real[at] * scale;
                    out[(count + part) * pixels + pixel] = work.total.imag[at] * scale;
                });
            }
        });
    }

    // Every element's delayed and weighted signal, compounded over the transmits: count × width × elements, complex.
    void aperture(const int16_t* rows, float scale, int first, int count, float* out) {
        scale /= DAS_UNIT;
        const size_t before = size_t(first) * told_.width;
        memset(out, 0, size_t(count) * told_.width * told_.elements * 2 * sizeof(float));
        over_tiles(first, first + count, DAS_TILE_EDGE, DAS_TILE_EDGE, [&](DasWork& work) {
            sum_elements(work, rows, [&](int element) {
                work.each(told_.width, [&](int at, size_t pixel) {
                    if (!work.heard.any[at / 8]) return;
                    float* to = out + 2 * ((pixel - before) * told_.elements + element);
                    to[0] = work.sums[0].real[at] * scale;
                    to[1] = work.sums[0].imag[at] * scale;
                });
            });
        });
    }

    // rows: waves × elements × row × lanes, frames side by side. out: frames × pixels, complex in IQ.
    void batch(const int16_t* rows, float scale, int frames, int lanes, float* out) {
        over_tiles(0, told_.height, DAS_BATCH_DOWN, DAS_BATCH_ACROSS, [&](DasWork& work) {
            work.memory.assign(size_t(work.pixels.count) * lanes * parts(), 0.f);
            for (int wave = 0; wave < told_.waves; ++wave) sum_lanes(work, rows, wave, lanes);
            for (int frame = 0; frame < frames; ++frame) write_frame(work, scale / DAS_BATCH_UNIT, frame, lanes, out);
        });
    }

private:
    template <class Tile>
    void over_tiles(int first, int end, int rows, int columns, Tile tile) {
        const int across = (told_.width + columns - 1) / columns, down = (end - first + rows - 1) / rows;
        const ThreadPool::Work one = [&](int worker, int piece) {
            const int top = first + piece / across * rows, left = piece % across * columns;
            DasWork& work = work_[worker];
            work.take(top, left, std::min(rows, end - top), std::min(columns, told_.width - left), rows == DAS_TILE_EDGE,
                      x_.data(), z_.data(), told_.width);
            tile(work);
        };
        pool_.run(across * down, one);
    }

    // One frame of a tile of many, row after row; its lane is that which interleaving leaves.
    void write_frame(const DasWork& work, float scale, int frame, int lanes, float* out) const {
        const int lane = frame % 16, all_lanes = lanes * parts();
        const float* sums = work.memory.data() + (told_.iq ? frame : frame - lane + lane % 4 + lane / 8 * 4 + lane / 4 % 2 * 8);
        float* picture = out + size_t(frame) * told_.height * told_.width * parts();
        work.each(told_.width, [&](int at, size_t pixel) {
            for (int part = 0; part < parts(); ++part) picture[pixel * parts() + part] = sums[size_t(at) * all_lanes + part * lanes] * scale;
        });
    }

    // Which samples any pixel hears: the others need not be made of RF.
    void find_reach() {
        for (DasWork& work : work_) work.least = told_.samples, work.most = 0;
        over_tiles(0, told_.height, DAS_TILE_EDGE, DAS_TILE_EDGE, [&](DasWork& work) {
            float nearest = INFINITY, farthest = -INFINITY;
            for (int wave = 0; wave < told_.waves; ++wave) {
                work.copy(transmit_.data() + size_t(wave) * told_.height * told_.width, told_.width, work.weight);
                const auto ends = std::minmax_element(work.weight, work.weight + work.pixels.count);
                nearest = std::min(nearest, *ends.first), farthest = std::max(farthest, *ends.second);
            }
            for (int e = 0; e < told_.elements; ++e)
                if (hears(work, e, shape_)) work.widen(nearest, farthest);
        });
        reach_ = {told_.samples, 0};
        for (const DasWork& work : work_) {
            reach_.first = std::min(reach_.first, std::max(0, static_cast<int>(work.least) - 1));
            reach_.last = std::max(reach_.last, std::min(told_.samples, static_cast<int>(work.most) + 3));
        }
    }

    DasShape shape_of(int part, int count) const {
        DasShape shape = shape_;
        shape.whole = false;
        shape.first = 2.f * part / count - 1;
        shape.last = part + 1 < count ? 2.f * (part + 1) / count - 1 : 2;  // what lies on the edge belongs to the last part
        return shape;
    }

    static float length(float x, float y) { return std::sqrt(x * x + y * y); }

    // Whether any pixel of the tile lies in the wedge first · along ≤ lateral · slope ≤ last · along of an element; then
    // what it hears.
    bool hears(DasWork& work, int number, const DasShape& shape) const {
        const DasElement& element = elements_[number];
        const float dx = work.centre_x - element.x, dz = work.centre_z - element.z;
        const float lateral = dx * element.cosine - dz * element.sine, along = dx * element.sine + dz * element.cosine;
        const float most = work.radius + 1e-3f * (std::fabs(lateral) + std::fabs(along));
        if (shape.slope > 0 && (lateral * shape.slope - shape.last * along > most * length(shape.last, shape.slope) ||
                                shape.first * along - lateral * shape.slope > most * length(shape.first, shape.slope)))
            return false;
        return kernels_.hear(shape, element, work.pixels, told_.iq, work.heard);
    }

    void prepare(DasWork& work, int wave, DasTransmit& to) const {
        const size_t first = size_t(wave) * told_.height * told_.width;
        work.copy(transmit_.data() + first, told_.width, to.delay);
        if (!weight_.empty()) work.copy(weight_.data() + first, told_.width, work.weight);
        kernels_.transmit(shape_, weight_.empty() ? nullptr : work.weight, turns_[wave], work.pixels.count, to);
    }

    const int16_t* row_of(const int16_t* rows, int wave, int element) const {
        return rows + (int64_t{wave} * told_.elements + element) * row();
    }

    void add(DasWork& work, const int16_t* row, const DasTransmit& transmit, DasValues& sums) const {
        (told_.iq ? kernels_.add_iq : kernels_.add_rf)(shape_, row, work.heard, transmit.place, work.pixels.count, sums);
    }

    // Each transmit is summed over the elements, then turned and added: the fewest products.
    void sum_waves(DasWork& work, const int16_t* rows, const DasShape& shape) const {
        for (int first = 0; first < told_.waves; first += DAS_WAVES) {
            const int count = std::min(DAS_WAVES, told_.waves - first);
            for (int place = 0; place < count; ++place) {
                prepare(work, first + place, work.transmits[place]);
                DasWork::clear(work.sums[place], work.pixels.count);
            }
            for (int e = 0; e < told_.elements; ++e) {
                if (!hears(work, e, shape)) continue;
                for (int place = 0; place < count; ++place) add(work, row_of(rows, first + place, e), work.transmits[place], work.sums[place]);
            }
            for (int place = 0; place < count; ++place)
                kernels_.compound(work.sums[place], work.transmits[place].turn, work.pixels.count, work.total);
        }
    }

    // Each element is summed over the transmits, then handed on: for what looks at the elements one by one.
    template <class Use>
    void sum_elements(DasWork& work, const int16_t* rows, Use use) const {
        const int count = work.pixels.count;
        for (int wave = 0; wave < told_.waves; ++wave) prepare(work, wave, work.transmits[wave]);
        for (int e = 0; e < told_.elements; ++e) {
            if (!hears(work, e, shape_)) continue;
            DasWork::clear(work.sums[0], count);
            for (int wave = 0; wave < told_.waves; ++wave) {
                DasWork::clear(work.sum, count);
                add(work, row_of(rows, wave, e), work.transmits[wave], work.sum);
                kernels_.compound(work.sum, work.transmits[wave].turn, count, work.sums[0]);
            }
            use(e);
        }
    }

    void sum_lanes(DasWork& work, const int16_t* rows, int wave, int lanes) const {
        DasTransmit& transmit = work.transmits[0];
        prepare(work, wave, transmit);
        for (int e = 0, filled = 0; e <= told_.elements; ++e) {
            if (filled == DAS_BLOCK || (e == told_.elements && filled)) {
                (told_.iq ? kernels_.batch_iq : kernels_.batch_rf)(work.rows, work.places, filled, work.pixels.count, lanes, work.memory.data());
                filled = 0;
            }
            if (e == told_.elements || !hears(work, e, shape_)) continue;
            kernels_.place(shape_, work.heard, transmit, told_.iq, work.pixels.count, work.places[filled]);
            work.rows[filled++] = rows + (int64_t{wave} * told_.elements + e) * row() * lanes;
        }
    }

    // Coherence factor |Σx|² / (n Σ|x|²) (Mallart & Fink, JASA 96, 1994); DMAS ((Σs)² − Σs²) / 2 (Matrone et al., TMI 34,
    // 2015; in baseband: Shen & Hsieh, Ultrasonics 96, 2019).
    void write(const DasSums& sums, int at, float scale, float* out) const {
        float real = sums.real[at], imag = sums.imag[at];
        if (told_.method == EDGERECON_DMAS) {
            const float product = real * real - imag * imag - sums.energy[at];
            imag = (2 * real * imag - sums.second[at]) / 2;
            real = product / 2;
        } else if (told_.method == EDGERECON_COHERENCE) {
            const float whole = sums.second[at] * sums.energy[at], factor = whole > 0 ? (real * real + imag * imag) / whole : 0;
            real *= factor;
            imag *= factor;
        }
        out[0] = real * scale;
        if (told_.iq) out[1] = imag * scale;
    }

    const edgerecon_das told_;
    const DasKernels& kernels_;
    ThreadPool pool_;
    std::vector<DasWork> work_;
    std::vector<DasElement> elements_;
    std::vector<float> x_, z_, transmit_, weight_, turns_;
    DasShape shape_;
    DasReach reach_;
};
