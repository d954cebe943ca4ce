#include <sse/adapters/posix.hpp>
#include <sse/fmt.hpp>
#include <sse/sse.hpp>
#ifdef SSE_TEST_CURL
#include <sse/adapters/curl.hpp>
#endif

const std::error_category* category_seen_by_other();

int main() {
    // Codes of one translation unit must be recognised in another.
    return &sse::category() == category_seen_by_other() ? 0 : 1;
}
