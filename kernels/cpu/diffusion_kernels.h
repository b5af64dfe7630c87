// The kernel of diffusion once per instruction set.
#pragma once

#include "each_lanes.h"

// A step from one picture to the next, for rows `first` to `last` − 1. Between two pixels flows step · d · 2^(scale · d²), d
// being their difference. Rows lie `pitch` numbers apart, at least nine more than `width`. down, right: memory of a row
// each; before `right` is a number that is zero.
struct DiffusionRows {
    const float* from;
    float* to;
    int64_t pitch;
    int first, last, height, width;
    float scale, step;
    float *down, *right;
};

struct DiffusionKernels {
    void (*rows)(const DiffusionRows&);
};

#define KERNELS "diffusion_set.h"
#include "each_set.h"

inline const DiffusionKernels& find_diffusion_kernels(const char* set) { return find_kernels<DiffusionKernels>({OF_EACH_SET(DIFFUSION)}, set); }
