// How the few functions that throw do so.
#pragma once

#include "../error.hpp"

#include <cstdlib>
#include <system_error>

namespace sse::detail {

/// Throws, or aborts where exceptions are switched off.
[[noreturn]] inline void raise(error error) {
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
    throw std::system_error(error);
#else
    static_cast<void>(error);
    std::abort();
#endif
}

}  // namespace sse::detail
