// The kernels of the beamformer of one instruction set; read by each_set.h.
#if USES_VNNI
#include "das_avx512.h"
#else
#include "das_lanes.h"
#include "das_tile.h"
#include "das_batch.h"
#include "das_signals.h"
#endif
static constexpr DasKernels DAS = {das_hear,  das_add_rf,   das_add_iq,   das_transmit,   das_compound, das_fold,
                                   das_place, das_batch_rf, das_batch_iq, das_demodulate, das_round};
