// The version: three numbers, and the same as text.
#include <sse/version.hpp>

#include <doctest/doctest.h>

#include <string>

static_assert(sse::version_major >= 0 && sse::version_minor >= 0 && sse::version_patch >= 0);

// For the preprocessor, in which every version is larger than those before it.
#if !defined(SSE_VERSION) || SSE_VERSION < 100
#error "this is 0.1.0 or a later version"
#endif

TEST_CASE("the macro is the three numbers, two digits for each of the lower ones") {
    CHECK(SSE_VERSION == sse::version_major * 10'000 + sse::version_minor * 100 + sse::version_patch);
    CHECK(SSE_VERSION / 10'000 == sse::version_major);
    CHECK(SSE_VERSION / 100 % 100 == sse::version_minor);
    CHECK(SSE_VERSION % 100 == sse::version_patch);
}

TEST_CASE("the three numbers of the version and its text agree") {
    CHECK(std::string(sse::version) == std::to_string(sse::version_major) + '.' +
                                           std::to_string(sse::version_minor) + '.' +
                                           std::to_string(sse::version_patch));
}
