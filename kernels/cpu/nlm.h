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
        margin_ = (search / 2 + patch / 2 + 2 * LANES) / LANES * LANES;
        pitch_ = (width + 2 * margin_ + 2 * LANES) / LANES * LANES;
        const size_t size = static_cast<size_t>(pitch_) * (height + 2 * margin_ + 1);
        levels_.resize(size);
        values_.resize(size);
        for (int worker = 0; worker < threads; ++worker) memories_.push_back(std::make_unique<Memory>(*this));
    }

    bool of_this_process() const { return pool_.of_this_process(); }

    void run(const float* image, float* out) {
        const ThreadPool::Work quantise = [&](int, int row) { quantise_row(image, row); };
        pool_.run(height_ + 2 * margin_, quantise);
        const ThreadPool::Work filter = [&](int worker, int block) { filter_block(*memories_[worker], block * ROWS, out); };
        pool_.run((height_ + ROWS - 1) / ROWS, filter);
    }

private:
    static constexpr int LANES = 16;
    static constexpr int ROWS = 64;  // of a block: what a worker holds of it fits the second cache

    struct Memory {
        std::vector<uint16_t> weights, sums, rows, stopped;
        std::vector<int32_t> all_weights, all_sums;

        explicit Memory(const NonLocalMeans& of)
            : weights(of.pitch_ * (ROWS + 2 * of.reach_ + 2)), sums(weights.size()),
              rows(of.pitch_ * (of.patch_ + 1) * NLM_SHIFTS), stopped(of.pitch_),
              all_weights(of.pitch_ * ROWS), all_sums(all_weights.size()) {}
    };

    static int mirrored(int at, int count) {
        if (count == 1) return 0;
        at = std::abs(at) % (2 * count - 2);
        return at < count ? at : 2 * count - 2 - at;
    }

    void quantise_row(const float* image, int row) {
        const float* from = image + static_cast<int64_t>(mirrored(row - margin_, height_)) * width_;
        uint16_t *levels = levels_.data() + row * pitch_, *values = values_.data() + row * pitch_;
        for (int x = 0; x < width_; ++x) {
            const float level = std::min(std::max(0.f, from[x]), 1.f);
            levels[margin_ + x] = static_cast<uint16_t>(level * scale_ + 0.5f);
            values[margin_ + x] = static_cast<uint16_t>(level * TOP + 0.5f);
        }
        for (int x = 1; x <= margin_; ++x) {
            for (const int at : {-x, width_ - 1 + x}) {
                levels[margin_ + at] = levels[margin_ + mirrored(at, width_)];
                values[margin_ + at] = values[margin_ + mirrored(at, width_)];
            }
        }
    }

    void filter_block(Memory& memory, int first, float* out) const {
        const int64_t origin = (first + margin_) * pitch_ + margin_, short_origin = (reach_ + 1) * pitch_ + margin_;
        const int rows = std::min(ROWS, height_ - first);
        const NlmBlock block = {levels_.data() + origin, values_.data() + origin, pitch_, rows, width_, patch_, doublings_,
                                static_cast<int>(std::sqrt(limit_ * 32768.)), limit_, memory.weights.data() + short_origin,
                                memory.sums.data() + short_origin, memory.rows.data(), memory.stopped.data()};
        std::fill(memory.weights.begin(), memory.weights.end(), uint16_t{0});
        std::fill(memory.sums.begin(), memory.sums.end(), uint16_t{0});
        std::fill(memory.all_weights.begin(), memory.all_weights.end(), 0);
        std::fill(memory.all_sums.begin(), memory.all_sums.end(), 0);
        for (int down = 0; down <= reach_; ++down) {
            for (int right = down ? -reach_ : 1; right <= reach_; right += NLM_SHIFTS) {
                kernels_.shift(block, down, right, std::min(NLM_SHIFTS, reach_ + 1 - right));
                collect(block, memory);
            }
        }
        for (int row = 0; row < rows; ++row) {
            const int32_t *weights = memory.all_weights.data() + row * pitch_, *sums = memory.all_sums.data() + row * pitch_;
            const uint16_t* centre = block.values + row * pitch_;
            float* to = out + static_cast<int64_t>(first + row) * width_;
            for (int x = 0; x < width_; ++x) {
                const float own = static_cast<float>(centre[x]) * (NLM_CENTRE / TOP);
                to[x] = (static_cast<float>(sums[x]) + own) / static_cast<float>(weights[x] + NLM_CENTRE);
            }
        }
    }

    void collect(const NlmBlock& block, Memory& memory) const {
        for (int row = 0; row < block.rows; ++row) {
            kernels_.collect(block.weights + row * pitch_, width_, memory.all_weights.data() + row * pitch_);
            kernels_.collect(block.sums + row * pitch_, width_, memory.all_sums.data() + row * pitch_);
        }
    }

    static constexpr float TOP = 32767;  // of values

    int height_, width_, patch_, reach_, margin_, limit_, doublings_ = 0;
    float scale_;
    int64_t pitch_;
    const NlmKernels& kernels_;
    std::vector<uint16_t> levels_, values_;
    std::vector<std::unique_ptr<Memory>> memories_;
    ThreadPool pool_;
};
