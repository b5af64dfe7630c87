// Runs random networks on every instruction set and with one to three threads, and compares: integers with a plain
// convolution, bit for bit; float32 within 1e-4 of it and bit for bit between numbers of threads; bytes with float32.
// Meant for sanitizers.
#include <sys/wait.h>

#include <cstdio>
#include <random>

#include "../edgerecon_cpu.cpp"

namespace {

std::mt19937 random_bits(7);

int between(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_bits); }
float fraction() { return std::uniform_real_distribution<float>(-1.f, 1.f)(random_bits); }

constexpr int CEILINGS[] = {480, 2000, 5000};  // four rows, two rows, tap by tap

struct Chain {
    std::vector<edgerecon_layer> layers;
    std::vector<std::vector<float>> floats;
    std::vector<std::vector<int16_t>> shorts;
    std::vector<std::vector<int32_t>> ints;
    int block = 1;
};

Chain make_chain(bool integer) {
    Chain chain;
    chain.block = between(1, 2);
    const int depth = between(1, 4), ends = chain.block * chain.block;
    std::vector<int> widths{ends};
    for (int i = 1; i < depth; ++i) widths.push_back(between(1, 33));
    widths.push_back(ends);
    chain.layers.push_back({EDGERECON_UNSHUFFLE, 0, 0, 1, 1, ends, chain.block, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    for (int i = 0; i < depth; ++i) {
        const int in = widths[i], out = widths[i + 1], kernel = integer ? 3 : 2 * between(0, 2) + 1, dilation = between(1, 4);
        edgerecon_layer layer{EDGERECON_CONVOLUTION, i + 1, 0, i + 2, in, out, kernel, 1, dilation, kernel / 2 * dilation,
                              i + 1 < depth, 0, CEILINGS[between(0, 2)], 0, 0, 0, 0, 0, 0, 0};
        const size_t count = size_t(out) * in * kernel * kernel;
        if (integer) {
            chain.shorts.emplace_back(count);
            for (int16_t& weight : chain.shorts.back()) weight = static_cast<int16_t>(between(-9, 9));
            layer.integers = chain.shorts.back().data();
            chain.ints.emplace_back(2 * out);
            for (int o = 0; o < out; ++o) {
                chain.ints.back()[o] = between(-9999, 9999);
                chain.ints.back()[out + o] = between(11, 15);
            }
            layer.offset = chain.ints.back().data();
            layer.shift = layer.offset + out;
            if (i + 1 == depth) {
                chain.floats.emplace_back(out, 1e-7f);
                layer.step = chain.floats.back().data();
            }
        } else {
            chain.floats.emplace_back(count + out);
            for (float& weight : chain.floats.back()) weight = fraction() / in;
            layer.weights = chain.floats.back().data();
            layer.bias = layer.weights + count;
        }
        chain.layers.push_back(layer);
    }
    chain.layers.push_back({EDGERECON_SHUFFLE, depth + 1, 1, 0, ends, 1, chain.block, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    return chain;
}

using Maps = std::vector<std::vector<double>>;  // [channel][row · columns + column]

double tap(const std::vector<double>& map, int rows, int columns, int y, int x) {
    return y < 0 || x < 0 || y >= rows || x >= columns ? 0. : map[size_t(y) * columns + x];
}

Maps convolve(const edgerecon_layer& s, int ceiling, const Maps& in, int rows, int columns) {
    const IntegerForm form = choose_form({0, ceiling});
    Maps out(s.outputs, std::vector<double>(size_t(rows) * columns));
    for (int o = 0; o < s.outputs; ++o)
        for (int y = 0; y < rows; ++y)
            for (int x = 0; x < columns; ++x) {
                double sum = 0;
                for (int k = 0; k < s.inputs; ++k)
                    for (int t = 0; t < s.kernel * s.kernel; ++t) {
                        const size_t at = (size_t(o) * s.inputs + k) * s.kernel * s.kernel + t;
                        sum += (s.integers ? s.integers[at] : s.weights[at]) *
                               tap(in[k], rows, columns, y + t / s.kernel * s.dilation - s.padding, x + t % s.kernel * s.dilation - s.padding);
                    }
                double& value = out[o][size_t(y) * columns + x];
                if (s.integers) {
                    const int64_t whole = form.unit * static_cast<int64_t>(sum) + int64_t{form.grain} * s.offset[o];
                    value = s.step ? static_cast<float>(whole) * s.step[o]
                                   : static_cast<double>(std::min<int64_t>(s.ceiling, std::max<int64_t>(0, whole >> s.shift[o])));
                } else {
                    value = sum + s.bias[o];
                    if (s.relu && value < 0) value = 0;
                }
            }
    return out;
}

std::vector<float> reference(const Chain& chain, const std::vector<float>& frame, int rows, int columns) {
    const int b = chain.block, width = columns * b;
    const bool integer = chain.layers[1].integers;
    Maps maps(b * b, std::vector<double>(size_t(rows) * columns));
    for (int c = 0; c < b * b; ++c)
        for (int y = 0; y < rows; ++y)
            for (int x = 0; x < columns; ++x) {
                const float pixel = frame[size_t(y * b + c / b) * width + x * b + c % b];
                maps[c][size_t(y) * columns + x] = integer ? static_cast<int>(pixel * 255.f + .5f) : static_cast<double>(pixel);
            }
    for (size_t i = 1; i + 1 < chain.layers.size(); ++i)
        maps = convolve(chain.layers[i], i == 1 ? 255 : chain.layers[i - 1].ceiling, maps, rows, columns);
    std::vector<float> out = frame;
    for (int c = 0; c < b * b; ++c)
        for (int y = 0; y < rows; ++y)
            for (int x = 0; x < columns; ++x)
                out[size_t(y * b + c / b) * width + x * b + c % b] += static_cast<float>(maps[c][size_t(y) * columns + x]);
    return out;
}

bool check(bool integer) {
    const Chain chain = make_chain(integer);
    const int rows = between(1, 70), columns = between(1, 30), height = rows * chain.block, width = columns * chain.block;
    std::vector<float> frame(size_t(height) * width);
    for (float& pixel : frame) pixel = (fraction() + 1) / 2;
    const std::vector<float> expected = reference(chain, frame, rows, columns);
    char error[200] = "";
    void* network = edgerecon_cpu_open(chain.layers.data(), static_cast<int32_t>(chain.layers.size()), error, sizeof error);
    bool right = network != nullptr;
    const char* set;
    for (int index = 0; right && (set = edgerecon_cpu_instruction_set(index)); ++index) {
        std::vector<float> first;
        for (int threads = 1; threads <= 3; ++threads) {
            void* runner = edgerecon_cpu_bind(network, height, width, threads, set, error, sizeof error);
            if (!runner) return fprintf(stderr, "%s\n", error), false;
            std::vector<float> out(frame.size());
            for (int again = 0; again < 2; ++again) edgerecon_cpu_run(runner, frame.data(), out.data());
            edgerecon_cpu_unbind(runner);
            if (first.empty()) first = out;
            right = right && out == first;
            for (size_t i = 0; i < out.size(); ++i)
                right = right && (integer ? out[i] == expected[i] : std::fabs(out[i] - expected[i]) < 1e-4f);
        }
    }
    edgerecon_cpu_close(network);
    if (!right) fprintf(stderr, "%s network of %d×%d frames differs. %s\n", integer ? "int16" : "fp32", height, width, error);
    return right;
}

// From bytes to bytes: what the float32 way gives, rounded, where tissue is, and the frame elsewhere.
bool check_bytes() {
    const Chain chain = make_chain(between(0, 1));
    const int rows = between(1, 70), columns = between(1, 30), height = rows * chain.block, width = columns * chain.block;
    const int margin = between(0, (std::min(height, width) - 1) / 2), inner_height = between(1, height - 2 * margin), inner_width = width - 2 * margin;
    const size_t pitch = size_t(inner_width) + between(0, 3), bytes = pitch * (inner_height - 1) + inner_width;
    std::vector<uint8_t> seen(bytes), frame(bytes), tissue(bytes), out(bytes), first;
    for (size_t i = 0; i < bytes; ++i) {
        seen[i] = static_cast<uint8_t>(between(0, 255));
        frame[i] = static_cast<uint8_t>(between(0, 255));
        tissue[i] = static_cast<uint8_t>(between(0, 2));
    }
    std::vector<float> pixels(size_t(height) * width), made(pixels.size());
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const int row = std::min(std::max(y - margin, 0), inner_height - 1), column = std::min(std::max(x - margin, 0), inner_width - 1);
            pixels[size_t(y) * width + x] = static_cast<float>(seen[row * pitch + column]) * (1.f / 255.f);
        }
    const float strengths[] = {0.f, 1.f, .25f};
    const float strength = strengths[between(0, 2)];
    const int64_t apart = static_cast<int64_t>(pitch);
    const edgerecon_picture picture = {seen.data(), frame.data(), tissue.data(), out.data(), apart, apart, apart, apart, inner_height, inner_width, margin, strength};
    char error[200] = "";
    void* network = edgerecon_cpu_open(chain.layers.data(), static_cast<int32_t>(chain.layers.size()), error, sizeof error);
    bool right = network != nullptr;
    const char* set;
    for (int index = 0; right && (set = edgerecon_cpu_instruction_set(index)); ++index) {
        void* runner = edgerecon_cpu_bind(network, height, width, between(1, 3), set, error, sizeof error);
        edgerecon_cpu_run(runner, pixels.data(), made.data());
        right = edgerecon_cpu_run_bytes(runner, &picture, error, sizeof error) == 0;
        edgerecon_cpu_unbind(runner);
        for (int y = 0; y < inner_height; ++y)
            for (int x = 0; x < inner_width; ++x) {
                const size_t at = size_t(y) * pitch + x, padded = size_t(y + margin) * width + margin + x;
                const float share = std::min(1.f, std::max(0.f, made[padded])) * strength, rest = pixels[padded] * (1.f - strength);
                const float whole = (share + rest) * 255.f;
                right = right && out[at] == (tissue[at] ? static_cast<uint8_t>(std::nearbyint(whole)) : frame[at]);
            }
    }
    edgerecon_cpu_close(network);
    if (!right) fprintf(stderr, "bytes of %d×%d frames differ. %s\n", height, width, error);
    return right;
}

// A forked child runs its parent's runner and unbinds it, although the parent's threads are not there.
bool check_fork() {
    const Chain chain = make_chain(true);
    const int height = 64 * chain.block, width = 8 * chain.block;
    const std::vector<float> frame(size_t(height) * width, .5f);
    char error[200] = "";
    void* network = edgerecon_cpu_open(chain.layers.data(), static_cast<int32_t>(chain.layers.size()), error, sizeof error);
    void* runner = edgerecon_cpu_bind(network, height, width, 2, "", error, sizeof error);
    std::vector<float> out(frame.size()), again(frame.size());
    edgerecon_cpu_run(runner, frame.data(), out.data());
    const pid_t child = fork();
    if (child == 0) {
        alarm(30);
        edgerecon_cpu_run(runner, frame.data(), again.data());
        edgerecon_cpu_unbind(runner);
        _exit(out == again ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    edgerecon_cpu_unbind(runner);
    edgerecon_cpu_close(network);
    if (status) fprintf(stderr, "a forked child ends with %d\n", status);
    return status == 0;
}

}  // namespace

int main(int count, char** arguments) {
    const int rounds = count > 1 ? atoi(arguments[1]) : 20;
    for (int round = 0; round < rounds; ++round)
        if (!check(false) || !check(true) || !check_bytes()) return 1;
    if (!check_fork()) return 1;
    edgerecon_layer broken{};
    char error[200];
    if (edgerecon_cpu_open(&broken, 1, error, sizeof error)) return 1;  // refused, nothing thrown
    return 0;
}
