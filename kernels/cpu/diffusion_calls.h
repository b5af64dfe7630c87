// The C interface of diffusion, made of C++; included by edgerecon_cpu.cpp.
#pragma once

#include "diffusion.h"
#include "diffusion_interface.h"

extern "C" {

void* edgerecon_cpu_diffusion_open(int32_t height, int32_t width, int32_t iterations, float kappa, float step, int32_t threads,
                                   const char* set, char* error, int32_t size) {
    return guarded(error, size, [&] {
        return new Diffusion(height, width, iterations, kappa, step, threads, find_diffusion_kernels(set));
    });
}

void edgerecon_cpu_diffusion_run(void* filter, const float* image, float* out) { static_cast<Diffusion*>(filter)->run(image, out); }

void edgerecon_cpu_diffusion_close(void* filter) {
    if (static_cast<Diffusion*>(filter)->of_this_process()) delete static_cast<Diffusion*>(filter);
}

}  // extern "C"
