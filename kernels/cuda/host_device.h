// CORE: a function of the GPU that g++ compiles as well, so that tests run the kernels' own arithmetic on the CPU.
#pragma once

#ifdef __CUDACC__
#define CORE __host__ __device__ __forceinline__
#else
#define CORE inline
#endif
