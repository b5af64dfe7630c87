// Drives compact_stream (compiled by Verilator) with frames from a file and compares what comes out, byte for byte.
//
//   stream_bench FRAMES EXPECTED WIDTH HEIGHT COUNT STALL_IN STALL_OUT GAP SEED
//
// Stalls are in percent of the cycles, drawn at random on either side; GAP cycles pass between two frames. Prints one
// line of JSON: mismatching bytes, the cycle of the first and of each frame's last pixel out, the cycles in all. A valid
// word that changes before it is taken, a last in the wrong place, or a stream that stands still count as failures.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "Vcompact_stream.h"
#include "verilated.h"

static std::vector<uint8_t> bytes_of(const char* path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int main(int argc, char** argv) {
    if (argc != 10) return std::fprintf(stderr, "nine arguments, see the source\n"), 2;
    const std::vector<uint8_t> in = bytes_of(argv[1]), expected = bytes_of(argv[2]);
    const size_t width = std::atoi(argv[3]), height = std::atoi(argv[4]), count = std::atoi(argv[5]);
    const unsigned stall_in = std::atoi(argv[6]), stall_out = std::atoi(argv[7]);
    const uint64_t gap = std::strtoull(argv[8], nullptr, 10);
    std::mt19937 random(std::atoi(argv[9]));
    const size_t pixels = width * height;
    if (in.size() != pixels * count || expected.size() != in.size()) return std::fprintf(stderr, "file sizes\n"), 2;

    VerilatedContext context;
    Vcompact_stream dut(&context);
    dut.width = width;
    dut.height = height;
    dut.s_axis_tvalid = dut.m_axis_tready = 0;
    for (int i = 0; i < 16; i++) {  // reset
        dut.aresetn = i > 8;
        dut.aclk = 0, dut.eval(), dut.aclk = 1, dut.eval();
    }

    size_t sent = 0, received = 0, mismatches = 0, broken = 0;
    uint64_t cycle = 0, idle = 0, not_before = 0, first_out = 0;
    bool offered = false, held = false;
    uint8_t held_data = 0;
    std::vector<uint64_t> ends;
    while (received < expected.size() && idle < 200000 + gap) {
        dut.aclk = 0;
        if (!offered) offered = sent < in.size() && cycle >= not_before && random() % 100 >= stall_in;
        dut.s_axis_tvalid = offered;
        dut.s_axis_tdata = offered ? in[sent] : random();
        dut.s_axis_tlast = offered && (sent + 1) % pixels == 0;
        dut.m_axis_tready = random() % 100 >= stall_out;
        dut.eval();
        const bool took = offered && dut.s_axis_tready, gave = dut.m_axis_tvalid && dut.m_axis_tready;
        if (held && (!dut.m_axis_tvalid || dut.m_axis_tdata != held_data)) broken++;
        held = dut.m_axis_tvalid && !dut.m_axis_tready;
        held_data = dut.m_axis_tdata;
        if (gave) {
            mismatches += dut.m_axis_tdata != expected[received];
            if (received++ == 0) first_out = cycle;
            const bool ends_frame = received % pixels == 0;
            broken += dut.m_axis_tlast != ends_frame;
            if (ends_frame) ends.push_back(cycle);
        }
        if (took) {
            offered = false;
            if (++sent % pixels == 0) not_before = cycle + 1 + gap;
        }
        idle = took || gave ? 0 : idle + 1;
        dut.aclk = 1;
        dut.eval();
        cycle++;
    }
    broken += dut.misaligned + (received < expected.size());
    std::printf("{\"bytes\": %zu, \"mismatches\": %zu, \"broken\": %zu, \"first_out\": %llu, \"ends\": [", received,
                mismatches, broken, (unsigned long long)first_out);
    for (size_t i = 0; i < ends.size(); i++) std::printf("%s%llu", i ? ", " : "", (unsigned long long)ends[i]);
    std::printf("], \"cycles\": %llu}\n", (unsigned long long)cycle);
    return mismatches || broken ? 1 : 0;
}
