// The kernel of diffusion of one instruction set; read by each_set.h.
#if !USES_VNNI
#include "diffusion_rows.h"
static constexpr DiffusionKernels DIFFUSION = {diffuse_rows};
#endif
