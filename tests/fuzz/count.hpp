// What a fuzz target allocates. Nothing under libFuzzer, whose own operator new must stay.
#pragma once

#ifdef SSE_LIBFUZZER

#include <cstddef>

namespace test {

struct count {
    std::size_t bytes() const { return 0; }
    std::size_t peak_bytes() const { return 0; }
};

}  // namespace test

#else
#include "../support/heap.hpp"
#endif
