// The beamformer's C interface, made of C++; included by edgerecon_cpu.cpp.
#pragma once

#include <type_traits>

#include "das.h"

namespace {

#if defined(__clang__)
#define VECTORISED  // at -O2, too
#else
#define VECTORISED __attribute__((optimize("O3")))
#endif

// Numbers at any stride as float32; the usual strides are known when this is compiled, so that vectors are made of them.
template <class Number>
VECTORISED void convert(const Number* __restrict from, int64_t stride, int count, float* __restrict to) {
    if (stride == 1) {
        for (int n = 0; n < count; ++n) to[n] = static_cast<float>(from[n]);
    } else if (stride == 2) {
        for (int n = 0; n < count; ++n) to[n] = static_cast<float>(from[2 * int64_t{n}]);
    } else {
        for (int n = 0; n < count; ++n) to[n] = static_cast<float>(from[n * stride]);
    }
}
#undef VECTORISED

// A row's samples from −half · step on as float32, dealt into `step` parts; samples outside are zeros.
template <class Number>
void deal(const Number* from, int64_t stride, const DasFilter& filter, int pitch, float* to) {
    std::fill(to, to + size_t(pitch) * filter.step, 0.f);
    for (int first = 0; first < filter.step && first < filter.samples_in; ++first) {
        const int place = filter.half + first, count = (filter.samples_in - first + filter.step - 1) / filter.step;
        float* part = to + place % filter.step * pitch + place / filter.step;
        convert(from + first * stride, stride * filter.step, count, part);
    }
}

// Which parts of a filter are not 0; see DasFilter.
inline std::vector<uint8_t> uses_of(const edgerecon_das_filter& filter) {
    std::vector<uint8_t> found(size_t(filter.phases) * filter.step, 0);
    for (int number = 0; number < filter.phases * filter.taps; ++number) {
        uint8_t& part = found[number / filter.taps * filter.step + number % filter.taps % filter.step];
        if (filter.real[number] != 0) part |= DAS_USES_REAL;
        if (filter.imag[number] != 0) part |= DAS_USES_IMAG;
    }
    return found;
}

struct DasLoad {
    Beamformer& to;
    const edgerecon_das_filter* filter;
    const void* data;
    int32_t kind;
    int64_t wave, element, sample;
    int32_t samples_in;
    float gain;
    int16_t* rows;
    std::vector<uint8_t> uses;  // of the filter, see das_job.h

    template <class Number>
    float row(int number, std::vector<float>& memory) const {
        const edgerecon_das& told = to.told();
        const Number* from = static_cast<const Number*>(data) + number / told.elements * wave + number % told.elements * element;
        int16_t* out = rows + number * to.row();
        const int margin = DAS_MARGIN * to.parts();
        if (filter) {  // what lies outside the reach stays 0
            const int last = to.reach().last / filter->phases + 1;  // of a phase
            const int heard = std::min(samples_in, last * filter->step + filter->half + 1);
            const DasFilter bound = {filter->phases, filter->step, filter->taps, filter->half, heard, told.samples,
                                     filter->real, filter->imag, filter->cosine, filter->sine, uses.data()};
            const int pitch = std::max((heard + filter->half) / filter->step, last) + filter->taps + 32;
            memory.resize(size_t(pitch) * filter->step);
            deal(from, sample, bound, pitch, memory.data());
            return to.kernels().demodulate(bound, to.reach(), memory.data(), pitch, gain, out + margin);
        }
        memset(out, 0, to.row() * sizeof(int16_t));
        const int parts = to.parts(), count = std::min(samples_in, told.samples);
        if (std::is_same_v<Number, int16_t> && gain == 1 && sample == 1 && parts == 1) {
            memcpy(out + margin, from, count * sizeof(int16_t));
            return 0;
        }
        memory.resize(size_t(count) * parts + 8);
        if (sample == parts) convert(from, 1, count * parts, memory.data());
        else
            for (int n = 0; n < count; ++n)
                for (int part = 0; part < parts; ++part) memory[n * parts + part] = static_cast<float>(from[n * sample + part]);
        to.kernels().round(memory.data(), count * parts, gain, out + margin);
        return 0;
    }
};

// One row of every frame: its first samples, its second ones, …; a sample is a number or a pair (i, q). Lanes without a
// frame are 0.
template <class Sample>
void side_by_side(const int16_t* const* frames, int count, int lanes, int64_t first, int64_t samples, int16_t* to) {
    constexpr int parts = sizeof(Sample) / sizeof(int16_t);
    if (count < lanes) memset(to, 0, samples * lanes * sizeof(Sample));
    constexpr int64_t block = 16;  // of samples: what a frame holds of them is a line of the cache
    for (int64_t begin = 0; begin < samples; begin += block) {
        const int64_t end = std::min(begin + block, samples);
        for (int lane = 0; lane < count; ++lane) {
            const int16_t* from = frames[lane] + first;
            for (int64_t at = begin; at < end; ++at) memcpy(to + (at * lanes + lane) * parts, from + at * parts, sizeof(Sample));
        }
    }
}

}  // namespace

extern "C" {

void* edgerecon_cpu_das_open(const edgerecon_das* told, const char* set, char* error, int32_t size) {
    return guarded(error, size, [&] {
        return new Beamformer(*told, find_das_kernels(set));
    });
}

float edgerecon_cpu_das_load(void* beamformer, const edgerecon_das_filter* filter, const void* data, int32_t kind, int64_t wave,
                             int64_t element, int64_t sample, int32_t samples_in, float gain, int16_t* rows) {
    Beamformer& to = *static_cast<Beamformer*>(beamformer);
    const DasLoad load = {to, filter, data, kind, wave, element, sample, samples_in, gain, rows, filter ? uses_of(*filter) : std::vector<uint8_t>()};
    std::vector<float> peaks(to.told().threads, 0.f);
    const ThreadPool::Work one = [&](int worker, int number) {
        std::vector<float>& memory = to.memory_of(worker);
        const float peak = kind == EDGERECON_INT16 ? load.row<int16_t>(number, memory) : load.row<float>(number, memory);
        peaks[worker] = std::max(peaks[worker], peak);
    };
    to.pool().run(to.told().waves * to.told().elements, one);
    return *std::max_element(peaks.begin(), peaks.end());
}

void edgerecon_cpu_das_run(void* beamformer, const int16_t* rows, float scale, float* out) {
    static_cast<Beamformer*>(beamformer)->run(rows, scale, out);
}

void edgerecon_cpu_das_aperture(void* beamformer, const int16_t* rows, float scale, int32_t first, int32_t count, float* out) {
    static_cast<Beamformer*>(beamformer)->aperture(rows, scale, first, count, out);
}

void edgerecon_cpu_das_split(void* beamformer, const int16_t* rows, float scale, int32_t parts, float* out) {
    static_cast<Beamformer*>(beamformer)->split(rows, scale, parts, out);
}

void edgerecon_cpu_das_interleave(void* beamformer, const int16_t* const* frames, int32_t count, int32_t lanes, int16_t* rows) {
    Beamformer& of = *static_cast<Beamformer*>(beamformer);
    const ThreadPool::Work one = [&](int, int number) {
        const int64_t first = number * of.row();
        int16_t* to = rows + first * lanes;
        if (of.parts() == 2) side_by_side<uint32_t>(frames, count, lanes, first, of.row() / 2, to);
        else side_by_side<int16_t>(frames, count, lanes, first, of.row(), to);
    };
    of.pool().run(of.told().waves * of.told().elements, one);
}

void edgerecon_cpu_das_batch(void* beamformer, const int16_t* rows, float scale, int32_t frames, int32_t lanes, float* out) {
    static_cast<Beamformer*>(beamformer)->batch(rows, scale, frames, lanes, out);
}

void edgerecon_cpu_das_close(void* beamformer) {
    if (static_cast<Beamformer*>(beamformer)->pool().of_this_process()) delete static_cast<Beamformer*>(beamformer);
}

}  // extern "C"
