// The C interface of non-local means, made of C++; included by edgerecon_cpu.cpp.
#pragma once

#include "nlm.h"
#include "nlm_interface.h"

extern "C" {

void* edgerecon_cpu_nlm_open(int32_t height, int32_t width, int32_t patch, int32_t search, float strength, int32_t threads,
                             const char* set, char* error, int32_t size) {
    return guarded(error, size, [&] {
        return new NonLocalMeans(height, width, patch, search, strength, threads, find_nlm_kernels(set));
    });
}

void edgerecon_cpu_nlm_run(void* filter, const float* image, float* out) { static_cast<NonLocalMeans*>(filter)->run(image, out); }

void edgerecon_cpu_nlm_close(void* filter) {
    if (static_cast<NonLocalMeans*>(filter)->of_this_process()) delete static_cast<NonLocalMeans*>(filter);
}

}  // extern "C"
