// What the integer lanes of every instruction set of this processor make of the same numbers: compared with each other
// here, and by the sum that is printed with other processors.
#include <cstdio>
#include <random>
#include <vector>

#include "../nlm_kernels.h"

namespace {

using Numbers = std::vector<int16_t>;

// Every operation on 16 shorts each of a, b, and the sums that they make; results as bytes.
#define RESULTS_OF(set, TARGET_OF_IT)                                                                        \
    TARGET_OF_IT std::vector<int32_t> results_of_##set(const int16_t* a, const int16_t* b, const int32_t* shift) { \
        std::vector<int32_t> all(9 * 8);                                                                     \
        const auto x = set::load(a), y = set::load(b);                                                       \
        const auto sums = set::pair_products(x, y), others = set::pair_products(x, x);                       \
        set::store(all.data(), sums);                                                                        \
        set::store(all.data() + 8, set::shifted(sums, set::load(shift)));                                    \
        set::store(all.data() + 16, set::larger(set::widened_first(x), set::widened_second(y)));             \
        set::store(all.data() + 24, set::widened_second(x));                                                 \
        const auto least = set::all(int16_t{-300}), most = set::all(int16_t{481});                           \
        set::store(reinterpret_cast<int16_t*>(all.data() + 32), set::narrowed(sums, others, least, most));   \
        const auto half = set::all(int16_t{0x7FFF});                                                         \
        set::store(reinterpret_cast<int16_t*>(all.data() + 40), set::upper_product(x, y));                   \
        set::store(reinterpret_cast<int16_t*>(all.data() + 48), set::rounded_product(x & half, y & half));   \
        set::store(reinterpret_cast<int16_t*>(all.data() + 56), set::distance(x, y));                        \
        auto added = others;                                                                                 \
        set::add_pair_products(added, x, y);                                                                 \
        set::store(all.data() + 64, added);                                                                  \
        return all;                                                                                          \
    }
RESULTS_OF(portable, )
#if defined(__x86_64__)
RESULTS_OF(avx2, __attribute__((target("avx2,fma"))))
// What alone differs from AVX2 there.
__attribute__((target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl,avx512vnni"))) bool same_by_vnni(const int16_t* a, const int16_t* b, const int32_t* expected) {
    int32_t found[8];
    auto sums = vnni::pair_products(vnni::load(a), vnni::load(a));
    vnni::add_pair_products(sums, vnni::load(a), vnni::load(b));
    vnni::store(found, sums);
    return !memcmp(found, expected, sizeof found);
}
#elif defined(__aarch64__)
RESULTS_OF(neon, )
#endif

}  // namespace

int main() {
    std::mt19937 random(5);  // the standard says what it gives
    uint64_t sum = 0;
    for (int round = 0; round < 2000; ++round) {
        int16_t a[16], b[16];
        int32_t shift[8];
        const int bits = round % 16 + 1;  // small numbers and large ones; never −32 768
        for (int i = 0; i < 16; ++i) {
            a[i] = static_cast<int16_t>(std::max(-32767, static_cast<int16_t>(random()) >> (16 - bits)));
            b[i] = static_cast<int16_t>(std::max(-32767, static_cast<int16_t>(random()) >> (16 - bits)));
        }
        for (int i = 0; i < 8; ++i) shift[i] = static_cast<int>(random() % 31);
        const std::vector<int32_t> expected = results_of_portable(a, b, shift);
#if defined(__x86_64__)
        if (__builtin_cpu_supports("avx2") && results_of_avx2(a, b, shift) != expected) return 1;
        if (has_vnni() && !same_by_vnni(a, b, expected.data() + 64)) return 1;
#elif defined(__aarch64__)
        if (results_of_neon(a, b, shift) != expected) return 1;
#endif
        for (int32_t value : expected) sum = sum * 0x9E3779B97F4A7C15u + static_cast<uint32_t>(value);
    }
    printf("%016llx\n", static_cast<unsigned long long>(sum));
    return 0;
}
