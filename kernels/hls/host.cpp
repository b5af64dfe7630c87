// The C++ model for the engine `hls`: the same top function, fed from memory. Not part of the hardware.
#include "compact_top.h"

extern "C" __attribute__((visibility("default"))) void edgerecon_run(const uint8_t* frame, uint8_t* picture, int height, int width) {
    hls::stream<Beat> in, out;
    for (int at = 0; at < height * width; at++) {
        const Beat beat = {frame[at], 1, 1, at + 1 == height * width};
        in.write(beat);
    }
    compact_top(in, out, uint16_t(height), uint16_t(width));
    for (int at = 0; at < height * width; at++) picture[at] = out.read().data;
}
