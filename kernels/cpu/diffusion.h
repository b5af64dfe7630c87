// Diffusion that stops at gradients: Perona & Malik, IEEE Trans. Pattern Anal. Mach. Intell. 12(7), 1990, with the
// conductance exp(−(gradient / kappa)²). Nothing flows across the border.
//
//     image ─► picture ─► rows, some a thread at a time ─► other picture ─► … as often as asked ─► out
//
// Floor, ten steps of 512²: 655 360 vectors of exponentials, 12 instructions each at three a cycle: 2.6 million cycles.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <vector>

#include "diffusion_kernels.h"
#include "thread_pool.h"

class Diffusion {
public:
    Diffusion(int height, int width, int iterations, float kappa, float step, int threads, const DiffusionKernels& kernels)
        : height_(height), width_(width), iterations_(iterations), step_(step), kernels_(kernels), pool_(threads) {
        if (height < 1 || width < 1 || threads < 1 || iterations < 1) throw std::invalid_argument("sizes, steps and threads start at 1");
        if (!(kappa > 0) || !(step > 0)) throw std::invalid_argument("kappa and the step are above 0");
        scale_ = -static_cast<float>(M_LOG2E) / (kappa * kappa);
        pitch_ = (width + 23) / 8 * 8;
        for (std::vector<float>& picture : pictures_) picture.resize(pitch_ * height + 16);
        for (int worker = 0; worker < threads; ++worker) memories_.push_back(std::make_unique<std::vector<float>>(2 * pitch_ + 8));
    }

    bool of_this_process() const { return pool_.of_this_process(); }

    void run(const float* image, float* out) {
        for (int row = 0; row < height_; ++row)
            for (int x = 0; x < width_; ++x) pictures_[0][row * pitch_ + x] = std::min(std::max(0.f, image[row * int64_t{width_} + x]), 1.f);
        for (int turn = 0; turn < iterations_; ++turn) {
            const ThreadPool::Work step = [&](int worker, int piece) { step_rows(*memories_[worker], turn, piece * ROWS); };
            pool_.run((height_ + ROWS - 1) / ROWS, step);
        }
        const std::vector<float>& last = pictures_[iterations_ % 2];
        for (int row = 0; row < height_; ++row)
            for (int x = 0; x < width_; ++x) out[row * int64_t{width_} + x] = std::min(std::max(0.f, last[row * pitch_ + x]), 1.f);
    }

private:
    static constexpr int ROWS = 64;  // of a piece: one row in so many is computed twice

    void step_rows(std::vector<float>& memory, int turn, int first) {
        kernels_.rows({pictures_[turn % 2].data(), pictures_[1 - turn % 2].data(), pitch_, first, std::min(first + ROWS, height_), height_, width_, scale_,
                 step_, memory.data() + pitch_ + 8, memory.data() + 8});
    }

    int height_, width_, iterations_;
    float scale_, step_;
    int64_t pitch_;
    const DiffusionKernels& kernels_;
    std::vector<float> pictures_[2];
    std::vector<std::unique_ptr<std::vector<float>>> memories_;
    ThreadPool pool_;
};
