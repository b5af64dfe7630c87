// Reads the file that KERNELS names once per instruction set, inside a namespace of each. It has no include guard, since
// every group of kernels is read by an include of its own; nor has a file that is read so.
//
//     #define KERNELS "nlm_set.h"
//     #include "each_set.h"              portable::…, avx2::…, vnni::…   or neon::…   or wasm::…
//
// The file finds in TARGET the attribute of its functions, and in USES_AVX2, USES_VNNI, USES_NEON or USES_WASM what it may
// use; what it leaves out where USES_VNNI is set is avx2's there. KERNEL marks a function that is inlined everywhere, ENTRY
// one that is called from elsewhere, APART one that has the registers for itself. BLOCK_TILES: Winograd tiles whose sums
// stay in the set's registers, of so many products of the transform as PRODUCTS_AT_ONCE says.
#include "instruction_sets.h"

#ifndef KERNEL
#define KERNEL TARGET static inline __attribute__((always_inline))
#define ENTRY TARGET static
#define APART TARGET __attribute__((noinline))
#endif

namespace portable {
#define TARGET
#define BLOCK_TILES 1
#define PRODUCTS_AT_ONCE 1
#include KERNELS
#undef BLOCK_TILES
#undef PRODUCTS_AT_ONCE
#undef TARGET
}  // namespace portable

#if defined(__x86_64__)
#define USES_AVX2 1
namespace avx2 {
#define TARGET __attribute__((target("avx2,fma")))
#define BLOCK_TILES 6
#define PRODUCTS_AT_ONCE 1
#include KERNELS
#undef BLOCK_TILES
#undef PRODUCTS_AT_ONCE
#undef TARGET
}  // namespace avx2
namespace vnni {
using namespace avx2;  // what this namespace declares itself comes first
#define TARGET __attribute__((target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")))
#define USES_VNNI 1
#define BLOCK_TILES 8
#define PRODUCTS_AT_ONCE 2
#include KERNELS
#undef BLOCK_TILES
#undef PRODUCTS_AT_ONCE
#undef USES_VNNI
#undef TARGET
}  // namespace vnni
#undef USES_AVX2
#elif defined(__aarch64__)
namespace neon {
#define TARGET
#define USES_NEON 1
#define BLOCK_TILES 4
#define PRODUCTS_AT_ONCE 1
#include KERNELS
#undef BLOCK_TILES
#undef PRODUCTS_AT_ONCE
#undef USES_NEON
#undef TARGET
}  // namespace neon
#elif defined(__wasm_simd128__)
namespace wasm {
#define TARGET
#define USES_WASM 1
#define BLOCK_TILES 4
#define PRODUCTS_AT_ONCE 1
#include KERNELS
#undef BLOCK_TILES
#undef PRODUCTS_AT_ONCE
#undef USES_WASM
#undef TARGET
}  // namespace wasm
#endif

#undef KERNELS
