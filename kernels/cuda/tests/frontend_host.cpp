// Runs frontend_core.h pixel by pixel on the CPU.
//   frontend bilinear|area HEIGHT WIDTH ROWS COLUMNS IMAGE OUT
//   frontend log INVERSE_REFERENCE INVERSE_RANGE IQ OUT
//   frontend bytes IMAGE OUT
//   frontend scan SECTOR POLAR OUT               SECTOR: the struct's bytes
#include <string>

#include "../frontend_core.h"
#include "raw_file.h"

void resize(char** argv, bool area) {
    const int height = std::atoi(argv[2]), width = std::atoi(argv[3]), rows = std::atoi(argv[4]),
              columns = std::atoi(argv[5]);
    const auto image = read_file<uint8_t>(argv[6]);
    std::vector<float> out;
    for (int row = 0; row < rows; ++row)
        for (int column = 0; column < columns; ++column)
            out.push_back((area ? frontend::area(image.data(), height, width, row, column, rows, columns)
                                : frontend::bilinear(image.data(), width, frontend::between(row, height, rows),
                                                     frontend::between(column, width, columns))) /
                          255.0f);
    write_file(argv[7], out);
}

void scan(char** argv) {
    const auto sector = read_file<frontend::Sector>(argv[2]).at(0);
    const auto polar = read_file<float>(argv[3]);
    std::vector<float> out;
    for (int row = 0; row < sector.height; ++row)
        for (int column = 0; column < sector.width; ++column)
            out.push_back(frontend::scan_converted(sector, polar.data(), row, column));
    write_file(argv[4], out);
}

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    if ((what == "bilinear" || what == "area") && argc == 8) {
        resize(argv, what == "area");
    } else if (what == "scan" && argc == 5) {
        scan(argv);
    } else if (what == "log" && argc == 6) {
        const auto iq = read_file<float>(argv[4]);
        std::vector<float> out;
        for (size_t at = 0; at + 1 < iq.size(); at += 2)
            out.push_back(frontend::log_compressed(iq[at], iq[at + 1], std::strtof(argv[2], nullptr),
                                                   std::strtof(argv[3], nullptr)));
        write_file(argv[5], out);
    } else if (what == "bytes" && argc == 4) {
        std::vector<uint8_t> out;
        for (const float value : read_file<float>(argv[2])) out.push_back(frontend::to_byte(value));
        write_file(argv[3], out);
    } else {
        return std::fprintf(stderr, "frontend: wrong arguments\n"), 2;
    }
}
