// A whole file, for host programs.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <vector>

inline std::vector<char> read_file(const char* path) {
    std::FILE* file = std::fopen(path, "rb");
    if (!file) std::exit(3);
    std::fseek(file, 0, SEEK_END);
    std::vector<char> content(static_cast<size_t>(std::ftell(file)));
    std::rewind(file);
    if (std::fread(content.data(), 1, content.size(), file) != content.size()) std::exit(3);
    std::fclose(file);
    return content;
}
