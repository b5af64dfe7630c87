// Non-local means (Buades, Coll & Morel, CVPR 2005): a pixel becomes the mean of its window, each pixel of which counts
// exp(−d / h²), d being the mean squared difference of the patches around the two. Beyond the border the image is mirrored.
//
//     image ─► levels (16 bits), values (15 bits), with margins
//           ─► blocks of rows, one a thread at a time ─► for each shift of half the window: nlm_rows.h
//                                                     ─► sums / weights ─► out
//
// A shift's distances serve both pixels of a pair, which halves the work (Darbon et al., ISBI 2008).
//
// Floor, 7×7 in 23×23 at 512²: 264 shifts × 16 384 vectors × 17 loads at two a cycle: 37 million cycles.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <vector>

#include "nlm_kernels.h"
#include "thread_pool.h"

// From the beginning of a cache line on.
class AlignedShorts {
public:
    void resize(size_t count) { memory_.assign(count + LINE, 0); }
    void clear() { std::fill(memory_.begin(), memory_.end(), uint16_t{0}); }
    size_t size() const { return memory_.size() - LINE; }
    uint16_t* data() { return memory_.data() + (-reinterpret_cast<uintptr_t>(memory_.data()) % (2 * LINE)) / 2; }
    const uint16_t* data() const { return const_cast<AlignedShorts*>(this)->data(); }

private:
    static constexpr size_t LINE = 32;
    std::vector<uint16_t> memory_;
};

class NonLocalMeans {
public:
    NonLocalMeans(int height, int width, int patch, int search, float strength, int threads, const NlmKernels& kernels)
        : height_(height), width_(width), patch_(patch), reach_(search / 2), kernels_(kernels), pool_(threads) {
        if (height < 1 || width < 1 || threads < 1) throw std::invalid_argument("sizes and threads start at 1");
        if (patch < 1 || patch % 2 == 0 || search < 1 || search % 2 == 0) throw std::invalid_argument("sides of patch and window are odd");
        if (!(strength > 0)) throw std::invalid_argument("the strength is above 0");
        limit_ = patch <= 7 ? 8192 : 4096;  // a sum of `patch` of them has 16 bits
        // |p − q| · scale, squared, over 2¹⁵ is the pixel's part of d / h² in units of 8 / limit.
        scale_ = std::sqrt(static_cast<float>(limit_) * (1 << 12)) / (static_cast<float>(patch) * strength);
        while (scale_ > 65535) scale_ /= 2, ++doublings_;
        lanes_ = kernels.lanes;
        halo_ = reach_ + patch / 2;
        strip_ = std::max((width + 2 * reach_ + lanes_ - 1) / lanes_, reach_);
        pitch_ = static_cast<int64_t>(strip_ + 2 * halo_) * lanes_;
        levels_.resize(pitch_ * (height + 2 * halo_));
        values_.resize(levels_.size());
        for (int worker = 0; worker < threads; ++worker) memories_.push_back(std::make_unique<Memory>(*this));
    }

    bool of_this_process() const { return pool_.of_this_process(); }

    void run(const float* image, float* out) {
        const ThreadPool::Work quantise = [&](int worker, int row) { quantise_row(*memories_[worker], image, row); };
        pool_.run(height_ + 2 * halo_, quantise);
        const ThreadPool::Work filter = [&](int worker, int block) { filter_block(*memories_[worker], block * ROWS, out); };
        pool_.run((height_ + ROWS - 1) / ROWS, filter);
    }

private:
    static constexpr int ROWS = 64;  // of a block: what a worker holds of it fits the second cache

    struct Memory {
        AlignedShorts weights, sums, rows, stopped;
        std::vector<uint16_t> levels, values;  // of one row, from left to right
        std::vector<int32_t> all_weights, all_sums;

        explicit Memory(const NonLocalMeans& of) {
            weights.resize(of.pitch_ * (ROWS + 2 * of.reach_ + 2));
            sums.resize(of.pitch_ * (ROWS + 2 * of.reach_ + 2));
            rows.resize((of.strip_ + of.patch_ - 1) * of.lanes_ * (of.patch_ + 1) * NLM_SHIFTS);
            stopped.resize(of.pitch_ + of.patch_ * of.lanes_);
            levels.resize(of.strip_ * of.lanes_ + 2 * of.halo_);
            values.resize(levels.size());
            all_weights.resize(of.strip_ * of.lanes_ * ROWS);
            all_sums.resize(all_weights.size());
        }
    };

    static int mirrored(int at, int count) {
        if (count == 1) return 0;
        at = std::abs(at) % (2 * count - 2);
        return at < count ? at : 2 * count - 2 - at;
    }

    // The row's first pixel is the one `reach_` + `halo_` left of the image.
    void quantise_row(Memory& memory, const float* image, int row) {
        const float* from = image + static_cast<int64_t>(mirrored(row - halo_, height_)) * width_;
        const int before = reach_ + halo_, count = static_cast<int>(memory.levels.size());
        uint16_t *levels = memory.levels.data(), *values = memory.values.data();
        for (int x = 0; x < width_; ++x) {
            const float level = std::min(std::max(0.f, from[x]), 1.f);
            levels[before + x] = static_cast<uint16_t>(level * scale_ + 0.5f);
            values[before + x] = static_cast<uint16_t>(level * TOP + 0.5f);
        }
        for (int at = 0; at < count; at = at == before - 1 ? before + width_ : at + 1) {
            levels[at] = levels[before + mirrored(at - before, width_)];
            values[at] = values[before + mirrored(at - before, width_)];
        }
        for (int lane = 0; lane < lanes_; ++lane) {
            uint16_t *to_levels = levels_.data() + row * pitch_ + lane, *to_values = values_.data() + row * pitch_ + lane;
            for (int at = 0; at < strip_ + 2 * halo_; ++at) {
                to_levels[at * lanes_] = levels[lane * strip_ + at];
                to_values[at * lanes_] = values[lane * strip_ + at];
            }
        }
    }

    void filter_block(Memory& memory, int first, float* out) const {
        const int64_t origin = (first + halo_) * pitch_ + halo_ * lanes_, short_origin = (reach_ + 1) * pitch_ + halo_ * lanes_;
        const int rows = std::min(ROWS, height_ - first);
        const NlmBlock block = {levels_.data() + origin, values_.data() + origin, pitch_, rows, strip_, patch_, doublings_,
                                static_cast<int>(std::sqrt(limit_ * 32768.)), limit_, memory.weights.data() + short_origin,
                                memory.sums.data() + short_origin, memory.rows.data(), memory.stopped.data() + patch_ * lanes_};
        memory.weights.clear();
        memory.sums.clear();
        std::fill(memory.all_weights.begin(), memory.all_weights.end(), 0);
        std::fill(memory.all_sums.begin(), memory.all_sums.end(), 0);
        for (int down = 0; down <= reach_; ++down) {
            for (int right = down ? -reach_ : 1; right <= reach_; right += NLM_SHIFTS) {
                const int last = std::min(right + NLM_SHIFTS - 1, reach_);
                kernels_.shift(block, down, right, last - right + 1);
                for (int row = 0; row < rows; ++row) {
                    collect(block.weights + row * pitch_, right, last, memory.all_weights.data() + row * strip_ * lanes_);
                    collect(block.sums + row * pitch_, right, last, memory.all_sums.data() + row * strip_ * lanes_);
                }
            }
        }
        for (int row = 0; row < rows; ++row) finish_row(memory, row, block.values + row * pitch_, out + static_cast<int64_t>(first + row) * width_);
    }

    // What lies before a strip is the end of the one in the lane before, what lies behind it the beginning of the next. The
    // lanes at the ends have none: what they take instead lies outside the image.
    void collect(uint16_t* shorts, int first, int last, int32_t* longs) const {
        const int64_t all = strip_ * lanes_, before = std::max(0, -first) * lanes_, behind = std::max(0, last) * lanes_;
        kernels_.collect(shorts, all, longs);
        kernels_.collect(shorts - before + 1, before, longs + all - before);
        kernels_.collect(shorts + all - 1, behind, longs);
    }

    void finish_row(const Memory& memory, int row, const uint16_t* centre, float* to) const {
        const int64_t from = static_cast<int64_t>(row) * strip_ * lanes_;
        for (int x = 0; x < width_; ++x) {
            const int lane = (x + reach_) / strip_, at = (x + reach_) % strip_ * lanes_ + lane;
            const float own = static_cast<float>(centre[at]) * (NLM_CENTRE / TOP);
            to[x] = (static_cast<float>(memory.all_sums[from + at]) + own) / static_cast<float>(memory.all_weights[from + at] + NLM_CENTRE);
        }
    }

    static constexpr float TOP = 32767;  // of values

    int height_, width_, patch_, reach_, halo_, lanes_, strip_, limit_, doublings_ = 0;
    float scale_;
    int64_t pitch_;
    const NlmKernels& kernels_;
    AlignedShorts levels_, values_;
    std::vector<std::unique_ptr<Memory>> memories_;
    ThreadPool pool_;
};
