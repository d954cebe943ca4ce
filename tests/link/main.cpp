#include <sse/fmt.hpp>
#include <sse/sse.hpp>
#ifndef _WIN32
#include <sse/adapters/posix.hpp>
#endif
#ifdef SSE_TEST_CURL
#include <sse/adapters/curl.hpp>
#endif

const std::error_category* category_seen_by_other();  // NOLINT(misc-use-internal-linkage): other.cpp has it

int main() {
    // Codes of one translation unit must be recognised in another.
    return &sse::category() == category_seen_by_other() ? 0 : 1;
}
