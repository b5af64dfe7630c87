// The rows of one map that are still to be read, in memory that never grows.
//
//     row r lives in slot r mod slots:   │ margin: zeros │ cell 0 │ cell 1 │ … │ last cell │ margin: zeros │
//
// The margins are a layer's zero padding, and are never written. Rows lie 11 cache lines apart, modulo a page, so that the
// six rows of a tile do not fall into one set of the cache.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

constexpr size_t CACHE_LINE = 64, PAGE = 4096;

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<char, Free>;

// Zeroed, at a cache line. Throws std::bad_alloc.
inline Memory allocate(size_t bytes) {
    const size_t whole = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE + CACHE_LINE;
    Memory memory(static_cast<char*>(std::aligned_alloc(CACHE_LINE, whole)));
    if (!memory) throw std::bad_alloc();
    std::memset(memory.get(), 0, whole);
    return memory;
}

class Ring {
public:
    // rows: of the map. left, right: cells of margin. cell: bytes of one.
    Ring(int rows, int columns, int slots, int left, int right, size_t cell) : rows_(rows), slots_(slots), start_(left * cell) {
        apart_ = (cell * (size_t(left) + columns + right) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
        while (slots > 1 && apart_ % PAGE != 11 * CACHE_LINE) apart_ += CACHE_LINE;
        memory_ = allocate(apart_ * (size_t(slots) + 2));
    }
    // Column 0 of a row to read; rows outside the map are zero.
    template <class Element>
    const Element* read(int row) const {
        return reinterpret_cast<const Element*>(row < 0 || row >= rows_ ? slot(slots_) : slot(row % slots_));
    }
    // Column 0 of a row to write; rows past the last go where nobody reads.
    template <class Element>
    Element* write(int row) {
        return reinterpret_cast<Element*>(row >= rows_ ? slot(slots_ + 1) : slot(row % slots_));
    }

private:
    char* slot(int number) const { return memory_.get() + number * apart_ + start_; }

    int rows_, slots_;
    size_t start_, apart_;
    Memory memory_;
};
