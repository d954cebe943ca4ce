// Points in time that are some milliseconds away, also where the clock's range ends before.
#include <sse/detail/after.hpp>

#include <doctest/doctest.h>

#include <chrono>

namespace {

using namespace std::chrono_literals;
using sse::detail::after;
using time_point = std::chrono::steady_clock::time_point;

constexpr auto first = (time_point::min)();
constexpr auto last = (time_point::max)();
constexpr auto longest = (sse::milliseconds::max)();

// In constant expressions the compiler refuses what overflows.
static_assert(after(time_point(), 5ms) == time_point(5ms));
static_assert(after(first, longest) <= time_point());
static_assert(after(time_point(-5s), longest) > time_point(100 * 8766h));
static_assert(after(last - 5ms, 6ms) == last && after(last, 5ms) == last);

}  // namespace

TEST_CASE("a pause ends so much later, and never if it is none") {
    CHECK((after(time_point(), 5ms) == time_point(5ms)));
    CHECK((after(time_point(-5s), 5ms) == time_point(-4995ms)));
    CHECK((after(first, 5ms) == first + 5ms));
    CHECK_FALSE(after(first, 0ms));
    CHECK_FALSE(after(time_point(), -1ms));
}

TEST_CASE("a pause that would end after the clock's last moment ends there, and none overflows") {
    CHECK((after(last - 5ms, 4ms) == last - 1ms));
    CHECK((after(last - 5ms, 6ms) == last));
    CHECK((after(last, 5ms) == last));
    // From before the clock's epoch, so that the time left is longer than a duration can say.
    CHECK((after(time_point(-5s), longest) > time_point(100 * 8766h)));
    CHECK((after(first, longest) <= time_point()));
}
