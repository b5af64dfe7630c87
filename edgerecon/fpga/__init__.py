"""The compact network in whole numbers, and what is made of it for kernels/hls: folding, C++, SystemVerilog."""
