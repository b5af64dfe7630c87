"""The toolkit's own CUDA kernels (kernels/cuda/*.cu): built with nvcc, loaded and launched without torch."""
