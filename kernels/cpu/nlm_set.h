// The kernels of non-local means of one instruction set; read by each_set.h.
#if !USES_VNNI
#include "nlm_lanes.h"
#include "nlm_rows.h"
static constexpr NlmKernels NLM = {nlm_shift, nlm_collect};
#endif
