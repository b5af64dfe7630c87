// Delay-and-sum of one pixel, as the GPU and the tests on the CPU do it.
//
//     for each transmit, for each element that hears the pixel:  two 16-bit IQ samples, interpolated, turned, weighted, added
//
// Lengths are in samples of path (metres · rate / speed of sound); rows are (transmits, elements, MARGIN + samples + MARGIN) pairs
// of i and q, zeros in the margins. A pixel hears an element when |lateral| · slope ≤ along; its weight there is
// level + swing · cos(π v), v running from 0 at `flat` to 1 at the edge (kernels/cpu/das_job.h has the same).
#pragma once

#include "host_device.h"

#ifndef __CUDACC__
#include <cmath>
#endif

namespace das {

constexpr int MARGIN = 2;

struct Pair {  // one IQ sample: 4 bytes, one load
    short i, q;
};

struct Value {
    float real, imag;
};

// elements: x, z, sine and cosine of the normal, lens; each `elements` numbers, one behind the other.
struct Job {
    const Pair* rows;
    const float *x, *z, *elements, *transmit, *turns;
    int pixels, count, waves, samples;
    float cycles, slope, level, swing, flat;
};

// exp(2πi turns): the whole turns are taken off first, in float32, so that fast sines see small angles.
CORE Value turned(float turns) {
    const float part = 2.0f * (turns - rintf(turns));
    Value found;
#ifdef __CUDA_ARCH__
    sincospif(part, &found.imag, &found.real);
#else
    found.real = cosf(3.14159265f * part);
    found.imag = sinf(3.14159265f * part);
#endif
    return found;
}

CORE float weight_of(const Job& job, float lateral, float along) {
    if (job.slope <= 0.0f) return 1.0f;
    if (!(lateral * job.slope <= along)) return 0.0f;
    if (job.swing == 0.0f) return job.level;
    const float part = (lateral * job.slope / fmaxf(along, 1e-6f) - job.flat) / fmaxf(1.0f - job.flat, 1e-6f);
    return job.level + job.swing * turned(0.5f * fminf(fmaxf(part, 0.0f), 1.0f)).real;
}

CORE Value pixel_of(const Job& job, int pixel) {
    const float x = job.x[pixel], z = job.z[pixel];
    const long long row = job.samples + 2 * MARGIN;
    Value sum = {0.0f, 0.0f};
    for (int element = 0; element < job.count; ++element) {
        const float* facts = job.elements + element;
        const float dx = x - facts[0], dz = z - facts[job.count], sine = facts[2 * job.count], cosine = facts[3 * job.count];
        const float weight = weight_of(job, fabsf(dx * cosine - dz * sine), dx * sine + dz * cosine);
        if (weight == 0.0f) continue;
        const float back = sqrtf(dx * dx + dz * dz) + facts[4 * job.count];
        for (int wave = 0; wave < job.waves; ++wave) {
            const float delay = back + job.transmit[static_cast<long long>(wave) * job.pixels + pixel];
            const float place = fmaxf(fminf(delay, static_cast<float>(job.samples)), -static_cast<float>(MARGIN)) + MARGIN;
            const int first = static_cast<int>(place);
            const Pair* at = job.rows + (static_cast<long long>(wave) * job.count + element) * row + first;
            const Pair near = at[0], next = at[1];
            const float part = place - first, i = near.i + part * (next.i - near.i), q = near.q + part * (next.q - near.q);
            const Value turn = turned(delay * job.cycles + job.turns[wave]);
            sum.real += weight * (i * turn.real - q * turn.imag);
            sum.imag += weight * (i * turn.imag + q * turn.real);
        }
    }
    return sum;
}

}  // namespace das
