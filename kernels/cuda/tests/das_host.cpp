// Runs das_core.h pixel by pixel on the CPU.
//   das PIXELS ELEMENTS WAVES SAMPLES CYCLES SLOPE LEVEL SWING FLAT ROWS X Z ELEMENTS TRANSMIT TURNS OUT
// OUT: real and imaginary part of every pixel, fp32.
#include "../das_core.h"
#include "raw_file.h"

int main(int count, char** argv) {
    if (count != 17) return 2;
    const auto rows = read_file<das::Pair>(argv[10]);
    const auto x = read_file<float>(argv[11]), z = read_file<float>(argv[12]), elements = read_file<float>(argv[13]);
    const auto transmit = read_file<float>(argv[14]), turns = read_file<float>(argv[15]);
    const auto real = [&](int at) { return static_cast<float>(std::atof(argv[at])); };
    const das::Job job = {rows.data(), x.data(), z.data(), elements.data(), transmit.data(), turns.data(),
                          std::atoi(argv[1]), std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]),
                          real(5), real(6), real(7), real(8), real(9)};
    std::vector<das::Value> out(x.size());
    for (int pixel = 0; pixel < job.pixels; ++pixel) out[pixel] = das::pixel_of(job, pixel);
    write_file(argv[16], out);
    return 0;
}
