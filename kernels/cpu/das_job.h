// What the beamforming kernels are told: pixels and elements in samples of path, sound travelling one in a sample time.
#pragma once

#include <cstdint>

constexpr int DAS_TILE_EDGE = 16;                        // pixels a side: what an element hears of a tile fits the first cache
constexpr int DAS_TILE = DAS_TILE_EDGE * DAS_TILE_EDGE;  // pixels
constexpr int DAS_WAVES = 12;                            // transmits that share one reckoning of an element's delays
constexpr int DAS_MARGIN = 2;                            // zeros before and behind the samples of an element
constexpr int DAS_FRACTION = 14;                         // bits of a delay behind the point, and of the interpolation's weights
constexpr int DAS_UNIT = (1 << DAS_FRACTION) - 1;        // the sum of both weights
constexpr int DAS_LONGEST = 1 << 16;                     // samples: the sum of two delays stays within 32 bits

// An element: place, direction it looks in, and delay of its lens.
struct DasElement {
    float x, z, sine, cosine, lens;
};

// cycles: of the carrier in a sample. slope: 2 · F-number, or 0 for every element everywhere. The window over the
// aperture is level + swing · cos(π v), v running from 0 at `flat` to 1 at the edge. first, last: of the aperture, from
// −1 to 1, what is summed: lateral · slope in first · along … last · along; whole: all of it.
struct DasShape {
    float cycles, slope, level, swing, flat, stretch;
    int samples;
    bool whole = true;
    float first = -1, last = 1;
};

// The pixels of one tile, side by side and filled up to whole vectors.
struct DasPixels {
    alignas(64) float x[DAS_TILE];
    alignas(64) float z[DAS_TILE];
    int count;
};

// What one element hears of a tile: delays in 2⁻¹⁴ samples, weights (times the carrier's turn in IQ), and per vector of
// pixels whether any of them is heard.
struct DasHeard {
    alignas(64) int32_t place[DAS_TILE];
    alignas(64) float real[DAS_TILE];
    alignas(64) float imag[DAS_TILE];
    uint8_t any[DAS_TILE / 8];
};

// One complex value a pixel: a sum over elements, or the turn of a transmit.
struct DasValues {
    alignas(64) float real[DAS_TILE];
    alignas(64) float imag[DAS_TILE];
};

// A transmit over a tile: delays in samples, the same behind the row's margin in 2⁻¹⁴ samples, and its turn of the carrier
// times its weight.
struct DasTransmit {
    alignas(64) float delay[DAS_TILE];
    alignas(64) int32_t place[DAS_TILE];
    DasValues turn;
};

// The picture's sums, and what the coherence factor and delay-multiply-and-sum need beside them.
struct DasSums : DasValues {
    alignas(32) float energy[DAS_TILE];  // CF: Σ|x|²; DMAS: real part of Σ s², s = x / √|x|
    alignas(32) float second[DAS_TILE];  // CF: how many were heard; DMAS: imaginary part
};

constexpr int DAS_BATCH_DOWN = 8;        // rows of a tile of many frames
constexpr int DAS_BATCH_ACROSS = 16;     // and its columns
constexpr int DAS_BATCH_TILE = DAS_BATCH_DOWN * DAS_BATCH_ACROSS;
constexpr int DAS_BLOCK = 8;             // elements whose sums stay in registers
constexpr float DAS_BATCH_UNIT = 4096.f;  // of the weights of many frames

// Where an element's samples lie, and pairs of 16-bit factors. RF: `real` holds both weights of the interpolation. IQ: of
// a sample (i, q) and of the next one, the factors whose pair product is the real part, and those of the imaginary part.
struct DasPlaces {
    alignas(64) int32_t place[DAS_BATCH_TILE];
    alignas(64) int32_t real[DAS_BATCH_TILE], next_real[DAS_BATCH_TILE];
    alignas(64) int32_t imag[DAS_BATCH_TILE], next_imag[DAS_BATCH_TILE];
};

// From RF to IQ: taps of `phases` polyphase filters (up-sampling) over every `step`-th sample (decimation); one of the
// two is 1. cosine, sine: of the carrier at every sample that comes out, phase by phase, each filled up to a multiple of 16.
struct DasFilter {
    int phases, step, taps, half, samples_in, samples;
    const float *real, *imag;  // phases × taps
    const float *cosine, *sine;
    const uint8_t* uses;  // phases × step: whether any of the taps with a place in the step has a real, an imaginary part
};
constexpr uint8_t DAS_USES_REAL = 1, DAS_USES_IMAG = 2;

// The samples of a row that some pixel hears: first … last − 1.
struct DasReach {
    int first, last;
};
