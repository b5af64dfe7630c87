// The kernels of networks of one instruction set; read by each_set.h.
#include "lanes_wide.h"
#include "winograd.h"
#include "winograd_fp32.h"
#include "requantise.h"
#include "winograd_int16.h"
#include "direct_fp32.h"
#include "direct_int16.h"
#if !USES_VNNI
#include "frame_edges.h"
#include "frame_bytes.h"
#endif
static constexpr NetworkKernels NETWORK = {convolve_winograd, convolve_winograd, convolve_direct, convolve_direct, unshuffle_row,
                                           unshuffle_row,     shuffle_row,       expand_row,      finish_row};
