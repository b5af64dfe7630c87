// The CPU engine as one file to compile:  g++ -std=c++17 -O3 -shared -fPIC -pthread -o edgerecon_cpu.so edgerecon_cpu.cpp
#include "edgerecon_cpu.h"

#include <exception>

#include "network.h"
#include "runner.h"

namespace {

void say(char* error, int32_t size, const char* what) {
    if (size < 1) return;
    strncpy(error, what, size - 1);
    error[size - 1] = 0;
}

// What a function gives, or null and the reason.
template <class Make>
void* guarded(char* error, int32_t size, Make make) {
    try {
        return make();
    } catch (const std::exception& failure) {
        say(error, size, failure.what());
        return nullptr;
    }
}

}  // namespace

extern "C" {

int32_t edgerecon_cpu_version(void) { return EDGERECON_CPU_VERSION; }

const char* edgerecon_cpu_instruction_set(int32_t index) {
    for (const InstructionSet& one : INSTRUCTION_SETS)
        if (one.present() && index-- == 0) return one.name;
    return nullptr;
}

void* edgerecon_cpu_open(const edgerecon_layer* layers, int32_t count, char* error, int32_t size) {
    return guarded(error, size, [&] { return make_network(layers, count).release(); });
}

void* edgerecon_cpu_bind(void* network, int32_t height, int32_t width, int32_t threads, const char* set, char* error, int32_t size) {
    return guarded(error, size, [&] {
        const NetworkKernels& kernels = find_network_kernels(set);
        if (height < 1 || width < 1 || threads < 1) throw std::invalid_argument("sizes and threads start at 1");
        return new Runner(*static_cast<Network*>(network), height, width, threads, kernels);
    });
}

void edgerecon_cpu_run(void* runner, const float* frame, float* out) { static_cast<Runner*>(runner)->run(frame, out); }
int32_t edgerecon_cpu_run_bytes(void* runner, const edgerecon_picture* picture, char* error, int32_t size) {
    return guarded(error, size, [&] { return static_cast<Runner*>(runner)->run(*picture), runner; }) ? 0 : -1;
}
void edgerecon_cpu_unbind(void* runner) {
    if (static_cast<Runner*>(runner)->of_this_process()) delete static_cast<Runner*>(runner);
}
void edgerecon_cpu_close(void* network) { delete static_cast<Network*>(network); }

}  // extern "C"

#include "das_calls.h"
#include "diffusion_calls.h"
#include "nlm_calls.h"
