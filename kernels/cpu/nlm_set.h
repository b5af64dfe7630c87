// The kernels of non-local means of one instruction set; read by each_set.h.
#if USES_VNNI
namespace wide_shorts {  // vectors of 64 bytes, which the other kernels of this set do not know
typedef uint16_t Shorts __attribute__((vector_size(64), aligned(2), may_alias));
#include "nlm_lanes.h"
#include "nlm_rows.h"
}  // namespace wide_shorts
static constexpr NlmKernels NLM = {32, wide_shorts::nlm_shift, wide_shorts::nlm_collect};
#else
#include "nlm_lanes.h"
#include "nlm_rows.h"
static constexpr NlmKernels NLM = {16, nlm_shift, nlm_collect};
#endif
