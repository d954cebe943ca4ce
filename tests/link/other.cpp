#include <sse/fmt.hpp>
#include <sse/sse.hpp>
#ifndef _WIN32
#include <sse/adapters/posix.hpp>
#endif
#ifdef SSE_TEST_CURL
#include <sse/adapters/curl.hpp>
#endif

const std::error_category* category_seen_by_other() { return &sse::category(); }
