// What a fuzz target allocates: told by the sanitizer that goes with libFuzzer, whose own operator new must stay.
#pragma once

#ifdef SSE_LIBFUZZER

#include <sanitizer/allocator_interface.h>

#include <algorithm>
#include <cstddef>

namespace test {

/// By this thread; libFuzzer has others.
inline thread_local struct {
    std::size_t bytes = 0;
    std::size_t peak_bytes = 0;
} heap;

inline void on_allocation(const volatile void*, std::size_t size) {
    heap.bytes += size;
    heap.peak_bytes = std::max(heap.peak_bytes, heap.bytes);
}
inline void on_release(const volatile void* block) {
    heap.bytes -= __sanitizer_get_allocated_size(const_cast<const void*>(block));
}
inline const int is_told = __sanitizer_install_malloc_and_free_hooks(on_allocation, on_release);

/// Counts what is allocated while it lives.
class count {
public:
    count() : bytes_(heap.bytes) { heap.peak_bytes = heap.bytes; }
    std::size_t bytes() const { return heap.bytes - bytes_; }
    std::size_t peak_bytes() const { return heap.peak_bytes - bytes_; }

private:
    std::size_t bytes_;
};

}  // namespace test

#else
#include "../support/heap.hpp"
#endif
