// What two threads can be over one on this machine, without memory: independent products in registers, each followed by its sum
// in integers, fused in float32. Two virtual processors may be one core, or share its clock.
//
//     g++ -O2 -mavx2 -mfma -pthread machine_ceiling.cpp && ./a.out        prints  int16 RATIO / fp32 RATIO, a line each
//
// A round takes some milliseconds, as a frame does; the shortest of many counts, so that other programs matter little.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

namespace {

constexpr int ROUNDS = 60, TURNS = 1'000'000;

#define ALL "ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9", "ymm10", "ymm11", "ymm12"
#define TEN(each) each(2) each(3) each(4) each(5) each(6) each(7) each(8) each(9) each(10) each(11)
#define PAIR(n) "vpmaddwd %%ymm0, %%ymm1, %%ymm12\n vpaddd %%ymm12, %%ymm" #n ", %%ymm" #n "\n"
#define FUSED(n) "vfmadd231ps %%ymm0, %%ymm1, %%ymm" #n "\n"

void int16() {
    for (int turn = 0; turn < TURNS; ++turn) asm volatile(TEN(PAIR)::: ALL);
}
void fp32() {
    for (int turn = 0; turn < TURNS; ++turn) asm volatile(TEN(FUSED)::: ALL);
}

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double two_over_one(void (*work)()) {
    double one = 1e9, two = 1e9;
    for (int round = 0; round < ROUNDS; ++round) {
        double begin = seconds();
        work();
        one = std::min(one, seconds() - begin);
        std::atomic<bool> ready{false}, go{false};
        std::thread other([&] {
            ready = true;
            while (!go) {}
            work();
        });
        while (!ready) {}
        begin = seconds();
        go = true;
        work();
        other.join();
        two = std::min(two, seconds() - begin);
    }
    return 2 * one / two;
}

}  // namespace

int main() { printf("int16 %.3f\nfp32 %.3f\n", two_over_one(int16), two_over_one(fp32)); }
