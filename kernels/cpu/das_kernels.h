// The kernels of the beamformer once per instruction set.
#pragma once

#include "das_interface.h"
#include "das_job.h"
#include "each_lanes.h"

struct DasKernels {
    bool (*hear)(const DasShape&, const DasElement&, const DasPixels&, bool, DasHeard&);
    void (*add_rf)(const DasShape&, const int16_t*, const DasHeard&, const int32_t*, int, DasValues&);
    void (*add_iq)(const DasShape&, const int16_t*, const DasHeard&, const int32_t*, int, DasValues&);
    void (*transmit)(const DasShape&, const float*, float, int, DasTransmit&);
    void (*compound)(const DasValues&, const DasValues&, int, DasValues&);
    void (*fold)(int, const DasHeard&, const DasValues&, int, DasSums&);
    void (*place)(const DasShape&, const DasHeard&, const DasTransmit&, bool, int, DasPlaces&);
    void (*batch_rf)(const int16_t* const*, const DasPlaces*, int, int, int, float*);
    void (*batch_iq)(const int16_t* const*, const DasPlaces*, int, int, int, float*);
    float (*demodulate)(const DasFilter&, const DasReach&, const float*, int, float, int16_t*);
    void (*round)(const float*, int, float, int16_t*);
};

#define KERNELS "das_set.h"
#include "each_set.h"

inline const DasKernels& find_das_kernels(const char* set) { return find_kernels<DasKernels>({OF_EACH_SET(DAS)}, set); }
