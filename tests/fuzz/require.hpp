// What a fuzz target does where its invariant is breached.
//
//     require(part == sse::http_part::none);
#pragma once

#include <cstdio>
#include <cstdlib>

namespace test {

/// std::source_location is not there with Clang 14.
inline void require(bool holds, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    if (holds) return;
    std::fprintf(stderr, "%s:%d: the invariant is breached\n", file, line);
    std::abort();
}

}  // namespace test
