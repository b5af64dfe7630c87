// The frame's way into cells and back: pixel-unshuffle and pixel-shuffle of block b, the residual added on the way out.
//
//     frame, b = 2     │a0 a1│a2 a3│     cells, NHWC     │a0 a1 b0 b1 0 0 0 0│a2 a3 b2 b3 0 0 0 0│
//                      │b0 b1│b2 b3│
//
// Pixels outside [0, 1] are clipped and NaN counts as 0, so that nothing but a number in [0, 1] enters a network; integer
// networks take the nearest of 255 levels. The residual is what entered, in float32.
//
// Floor: 4 bytes a pixel read, 4 written. Read once per instruction set.

KERNEL float clipped(float pixel) { return pixel > 0.f ? (pixel < 1.f ? pixel : 1.f) : 0.f; }

ENTRY void unshuffle_row(const EdgeRow& job, float* cells) {
    const int block = job.block;
    for (int by = 0; by < block; ++by) {
        const float* pixel = job.frame + by * job.frame_pitch;
        float* to = cells + by * block;
        for (int x = 0; x < job.columns; ++x, to += job.cell_pitch)
            for (int bx = 0; bx < block; ++bx) to[bx] = clipped(*pixel++);
    }
}

ENTRY void unshuffle_row(const EdgeRow& job, int16_t* cells) {
    const int block = job.block;
    for (int by = 0; by < block; ++by) {
        const float* pixel = job.frame + by * job.frame_pitch;
        int16_t* to = cells + by * block;
        for (int x = 0; x < job.columns; ++x, to += job.cell_pitch)
            for (int bx = 0; bx < block; ++bx) to[bx] = static_cast<int16_t>(clipped(*pixel++) * 255.f + .5f);
    }
}

ENTRY void shuffle_row(const EdgeRow& job, const float* cells) {
    const int block = job.block;
    for (int by = 0; by < block; ++by) {
        float* pixel = job.out + by * job.out_pitch;
        const float* from = cells + by * block;
        const float* residual = job.frame ? job.frame + by * job.frame_pitch : nullptr;
        for (int x = 0; x < job.columns; ++x, from += job.cell_pitch)
            for (int bx = 0; bx < block; ++bx) *pixel++ = from[bx] + (residual ? clipped(*residual++) : 0.f);
    }
}
