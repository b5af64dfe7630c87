// The kernels of networks once per instruction set.
#pragma once

#include "each_lanes.h"
#include "rows.h"

struct NetworkKernels {
    void (*float_winograd)(const FloatWinograd&, float*);
    void (*integer_winograd)(const IntegerWinograd&, int16_t*);
    void (*float_direct)(const FloatDirect&);
    void (*integer_direct)(const IntegerDirect&);
    void (*unshuffle)(const EdgeRow&, float*);
    void (*unshuffle_integers)(const EdgeRow&, int16_t*);
    void (*shuffle)(const EdgeRow&, const float*);
    void (*expand)(const BytesIn&);
    void (*finish)(const BytesOut&);
};

#define KERNELS "network_set.h"
#include "each_set.h"

inline const NetworkKernels& find_network_kernels(const char* set) {
    return find_kernels<NetworkKernels>({OF_EACH_SET(NETWORK)}, set);
}
