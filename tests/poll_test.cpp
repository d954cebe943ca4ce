// What a poll() loop asks.
#include <sse/adapters/detail/poll.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <optional>

TEST_CASE("the time left is never below zero, and never less than there is") {
    using namespace std::chrono_literals;
    using sse::detail::milliseconds_until;
    const auto now = std::chrono::steady_clock::now();
    CHECK(milliseconds_until(std::nullopt) == INT_MAX);
    CHECK(milliseconds_until(now - 1h) == 0);
    CHECK(milliseconds_until(now + std::chrono::hours(24 * 365)) == INT_MAX);
    const auto later = now + 1h + 1ns;
    const std::chrono::milliseconds left(milliseconds_until(later));
    CHECK(left <= 3'600'001ms);
    CHECK(left >= later - std::chrono::steady_clock::now());  // otherwise a loop would turn without rest
}

TEST_CASE("a call may be made again if there was nothing to do, or if a signal interrupted it") {
    for (const int error : {EAGAIN, EWOULDBLOCK, EINTR}) {
        CHECK(sse::detail::would_block(error));
        errno = error;
        CHECK(sse::detail::would_block());
    }
    for (const int error : {0, EINVAL, ECONNRESET}) CHECK_FALSE(sse::detail::would_block(error));
    errno = ECONNRESET;
    CHECK_FALSE(sse::detail::would_block());
}
