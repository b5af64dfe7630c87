// C simulation: runs the top function over the golden vectors and compares every byte. Returns 0 when all agree.
//
//     g++ -O2 testbench.cpp compact_top.cpp -o testbench && ./testbench vectors
//
// Vectors are pairs of PGM files, NAME_input.pgm and NAME_expected.pgm, named in list.txt.
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "compact_top.h"

struct Picture {
    int height = 0, width = 0;
    std::vector<uint8_t> pixels;
};

static bool load(const std::string& path, Picture& picture) {
    std::ifstream file(path, std::ios::binary);
    std::string magic;
    int white = 0;
    if (!(file >> magic >> picture.width >> picture.height >> white) || magic != "P5" || white != 255) return false;
    file.get();  // the one white space after the header
    picture.pixels.resize(std::size_t(picture.height) * std::size_t(picture.width));
    return bool(file.read(reinterpret_cast<char*>(picture.pixels.data()), std::streamsize(picture.pixels.size())));
}

static long mismatches(const Picture& input, const Picture& expected) {
    hls::stream<Beat> in("in"), out("out");
    const std::size_t count = input.pixels.size();
    for (std::size_t at = 0; at < count; at++) {
        Beat beat;
        beat.data = input.pixels[at];
        beat.keep = beat.strb = 1;
        beat.last = at + 1 == count;
        in.write(beat);
    }
    compact_top(in, out, uint16_t(input.height), uint16_t(input.width));
    long wrong = 0;
    for (std::size_t at = 0; at < count; at++) {
        const Beat beat = out.read();
        wrong += beat.data != expected.pixels[at] || beat.last != (at + 1 == count);
    }
    return wrong + (out.empty() ? 0 : 1);
}

int main(int argc, char** argv) {
    const std::string folder = argc > 1 ? argv[1] : "vectors";
    std::ifstream list(folder + "/list.txt");
    std::string name;
    long wrong = 0;
    int count = 0;
    while (list >> name) {
        Picture input, expected;
        if (!load(folder + "/" + name + "_input.pgm", input) || !load(folder + "/" + name + "_expected.pgm", expected) ||
            input.pixels.size() != expected.pixels.size()) {
            std::printf("%s: not a pair of pictures\n", name.c_str());
            return 2;
        }
        const long found = mismatches(input, expected);
        std::printf("%s, %d x %d: %ld bytes differ\n", name.c_str(), input.width, input.height, found);
        wrong += found;
        count++;
    }
    if (count == 0) std::printf("there are no vectors in %s\n", folder.c_str());
    return wrong || count == 0;
}
