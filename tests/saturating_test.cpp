// Sums that end at the largest value.
#include <sse/detail/saturating.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>

using sse::detail::add_saturating;

static_assert(add_saturating(std::size_t{1}, std::size_t{2}) == 3);

TEST_CASE("a sum that does not fit is the largest value, and any other is exact") {
    CHECK(add_saturating(std::size_t{0}, SIZE_MAX) == SIZE_MAX);
    CHECK(add_saturating(SIZE_MAX, std::size_t{0}) == SIZE_MAX);
    CHECK(add_saturating(SIZE_MAX - 3, std::size_t{2}) == SIZE_MAX - 1);
    CHECK(add_saturating(SIZE_MAX - 3, std::size_t{3}) == SIZE_MAX);
    CHECK(add_saturating(SIZE_MAX - 3, std::size_t{4}) == SIZE_MAX);
    CHECK(add_saturating(SIZE_MAX, SIZE_MAX) == SIZE_MAX);

    CHECK(add_saturating(INT64_MAX - 3, std::int64_t{2}) == INT64_MAX - 1);
    CHECK(add_saturating(INT64_MAX - 3, std::int64_t{3}) == INT64_MAX);
    CHECK(add_saturating(INT64_MAX - 3, std::int64_t{4}) == INT64_MAX);
    CHECK(add_saturating(INT64_MAX, INT64_MAX) == INT64_MAX);
    CHECK(add_saturating(INT64_MIN, INT64_MAX) == -1);
}
