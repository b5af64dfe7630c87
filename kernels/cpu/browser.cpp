// The CPU engine in a browser: WebAssembly that runs one network on pictures of 8 bits, on one thread. Workers that share a
// picture have an instance each, and a band of its rows.
//
//     network = browser_open(image, layers)         the layers as edgerecon_layer of 32-bit pointers, from the image's start
//     picture = browser_bind(network, height, width)
//     browser_pixels(picture)                       where the frame is written, and read when it has run
//     browser_run(picture, strength)                strength · network + (1 − strength) · frame
//
// What throws ends the module, since nothing here can catch: sizes and layers are those that the page has checked.
#include <cstdlib>
#include <cstring>

#include "network.h"
#include "runner.h"

#define BROWSER_API(result, name) extern "C" __attribute__((export_name(#name))) result name

extern "C" {
void* __cxa_allocate_exception(size_t) noexcept { std::abort(); }
void __cxa_throw(void*, void*, void (*)(void*)) { std::abort(); }
}

namespace {

struct Picture {
    Picture(const Network& network, int height, int width)
        : runner(network, height, width, 1, find_network_kernels("")), pixels(size_t(height) * width), frame(pixels.size()), result(pixels.size()) {}
    Runner runner;
    std::vector<uint8_t> pixels;
    std::vector<float> frame, result;
};

template <class Value>
void point_into(char* image, const Value*& place) {
    if (place) place = reinterpret_cast<const Value*>(image + reinterpret_cast<uintptr_t>(place));
}

}  // namespace

BROWSER_API(char*, browser_reserve)(size_t bytes) { return static_cast<char*>(std::malloc(bytes)); }

BROWSER_API(Network*, browser_open)(char* image, int32_t count) {
    edgerecon_layer* layers = reinterpret_cast<edgerecon_layer*>(image);
    for (edgerecon_layer* one = layers; one != layers + count; ++one) {
        point_into(image, one->weights);
        point_into(image, one->bias);
        point_into(image, one->integers);
        point_into(image, one->offset);
        point_into(image, one->shift);
        point_into(image, one->gain);
        point_into(image, one->step);
    }
    return make_network(layers, count).release();
}

BROWSER_API(Picture*, browser_bind)(const Network* network, int32_t height, int32_t width) { return new Picture(*network, height, width); }
BROWSER_API(void, browser_unbind)(Picture* picture) { delete picture; }
BROWSER_API(uint8_t*, browser_pixels)(Picture* picture) { return picture->pixels.data(); }

BROWSER_API(void, browser_run)(Picture* picture, float strength) {
    const size_t count = picture->pixels.size();
    for (size_t i = 0; i < count; ++i) picture->frame[i] = picture->pixels[i] / 255.f;
    picture->runner.run(picture->frame.data(), picture->result.data());
    for (size_t i = 0; i < count; ++i) {
        const float level = 255.f * (picture->frame[i] + strength * (picture->result[i] - picture->frame[i]));
        picture->pixels[i] = static_cast<uint8_t>(std::min(std::max(level, 0.f), 255.f) + .5f);
    }
}
