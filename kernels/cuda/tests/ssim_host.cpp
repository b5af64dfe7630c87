// Runs ssim_core.h block by block on the CPU.
//   ssim PLANES HEIGHT WIDTH BORDER ROWS TYPE A B FLOW OUT     TYPE: f32 or f16, FLOW may be empty
// OUT: map, the three derivatives, one total a block, then the gradient of A; all fp32.
#include <cstdint>
#include <memory>
#include <string>

#include "../ssim_core.h"
#include "raw_file.h"

// IEEE binary16 as the tests need it: finite values, and stores rounded by the test instead.
struct Half {
    uint16_t bits;
    operator float() const {
        const uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31u, fraction = bits & 1023u;
        if (exponent == 0) return (sign ? -1.0f : 1.0f) * static_cast<float>(fraction) * 0x1p-24f;
        const uint32_t whole = sign | (exponent + 112u) << 23 | fraction << 13;
        float value;
        std::memcpy(&value, &whole, 4);
        return value;
    }
};

template <class Kind>
struct HostBlock {
    std::vector<ssim::Thread<Kind>> threads = std::vector<ssim::Thread<Kind>>(ssim::COLUMNS);
    template <class F>
    void each(F work) {
        for (int index = 0; index < ssim::COLUMNS; ++index) work(index, threads[index]);
    }
    void barrier() {}
};

template <class F>
void each_strip(int planes, ssim::Plane source, int rows, F work) {
    for (int plane = 0; plane < planes; ++plane)
        for (int top = 0; top < source.rows(); top += rows)
            for (int left = 0; left < source.columns(); left += ssim::COLUMNS) work(ssim::Strip{plane, top, left, rows});
}

template <class T>
std::vector<float> gradient_of(int planes, ssim::Plane pixels, int rows, const std::vector<T>& a,
                               const std::vector<T>& b, const std::vector<float>& derivatives, long long apart,
                               const std::vector<float>& flow) {
    const std::vector<float> own(a.begin(), a.end()), other(b.begin(), b.end());
    std::vector<float> gradient(a.size(), -1e30f);
    const ssim::Plane windows{pixels.rows(), pixels.columns(), ssim::SIZE - 1 - pixels.border};
    each_strip(planes, windows, rows, [&](ssim::Strip strip) {
        HostBlock<ssim::Flows> block;
        auto lines = std::make_unique<ssim::Flows::Pixel[][2][ssim::LINE]>(1);
        ssim::backward(block, lines[0], pixels, strip, own.data(), other.data(), derivatives.data(), apart,
                       flow.empty() ? nullptr : flow.data(), 1.0f, gradient.data());
    });
    return gradient;
}

template <class T>
void run(char** argv) {
    const int planes = std::atoi(argv[1]), rows = std::atoi(argv[5]);
    const ssim::Plane source{std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4])};
    const auto a = read_file<T>(argv[7]), b = read_file<T>(argv[8]);
    const auto flow = read_file<float>(argv[9]);
    const long long apart = static_cast<long long>(planes) * source.rows() * source.columns();
    std::vector<float> map(apart, -1e30f), derivatives(3 * apart, -1e30f), totals;
    each_strip(planes, source, rows, [&](ssim::Strip strip) {
        HostBlock<ssim::Moments> block;
        auto lines = std::make_unique<ssim::Moments::Pixel[][2][ssim::LINE]>(1);
        float sums[ssim::COLUMNS], total;
        ssim::forward(block, lines[0], sums, source, strip, a.data(), b.data(), map.data(), derivatives.data(), apart,
                      &total);
        totals.push_back(total);
    });
    std::vector<float> gradient = gradient_of(planes, source, rows, a, b, derivatives, apart, flow);
    for (const auto* part : {&derivatives, &totals, &gradient}) map.insert(map.end(), part->begin(), part->end());
    write_file(argv[10], map);
}

int main(int argc, char** argv) {
    if (argc != 11) return std::fprintf(stderr, "ssim: wrong arguments\n"), 2;
    std::string(argv[6]) == "f16" ? run<Half>(argv) : run<float>(argv);
}
