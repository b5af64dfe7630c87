"""Our own CPU kernels (kernels/cpu) without torch: compiled, kept in the cache, loaded, fed with a network's layers."""
