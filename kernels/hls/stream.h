// hls::stream and hls::axis as Vitis HLS has them, for any other C++ compiler: a queue that has no end.
#pragma once

#ifdef __VITIS_HLS__
#include <ap_axi_sdata.h>
#include <hls_stream.h>
#else

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hls {

template <typename T> class stream {
  public:
    explicit stream(const char* = "") {}
    bool empty() const { return first_ == items_.size(); }
    void write(const T& item) { items_.push_back(item); }
    T read() {
        assert(!empty() && "a stage reads what no stage has written");
        const T item = items_[first_++];
        if (empty()) {
            items_.clear();
            first_ = 0;
        }
        return item;
    }

  private:
    std::vector<T> items_;
    std::size_t first_ = 0;
};

template <typename T, int USER, int ID, int DEST> struct axis {
    T data;
    std::uint8_t keep, strb, last;
};

}  // namespace hls
#endif
