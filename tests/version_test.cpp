// The version: three numbers, and the same as text.
#include <sse/version.hpp>

#include <doctest/doctest.h>

#include <string>

static_assert(sse::version_major >= 0 && sse::version_minor >= 0 && sse::version_patch >= 0);

TEST_CASE("the three numbers of the version and its text agree") {
    CHECK(std::string(sse::version) == std::to_string(sse::version_major) + '.' +
                                           std::to_string(sse::version_minor) + '.' +
                                           std::to_string(sse::version_patch));
}
