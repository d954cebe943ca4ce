// By when a socket has to take what it is offered: the time is passed in.
#include <sse/detail/send_deadline.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace {

using namespace std::chrono_literals;
using sse::milliseconds;
using sse::detail::send_deadline;
using time_point = send_deadline::time_point;

constexpr time_point start{1h};
constexpr milliseconds timeout{10'000};
constexpr std::size_t kib = 1024;

static_assert(sizeof(send_deadline) <= 24);

}  // namespace

TEST_CASE("the deadline is the timeout after the first offer, however often the bytes are offered") {
    send_deadline deadline;
    for (const auto time : {0s, 1s, 9s, 10s, 11s, 1000s}) {
        CHECK(deadline.offer(100, start + time, timeout) == start + 10s);
    }
}

TEST_CASE("neither what is sent nor what is added puts it off, until all that was offered first is sent") {
    send_deadline deadline;
    CHECK(deadline.offer(100, start, timeout) == start + 10s);
    deadline.sent(99);
    CHECK(deadline.offer(501, start + 5s, timeout) == start + 10s);
    deadline.sent(0);
    CHECK(deadline.offer(501, start + 6s, timeout) == start + 10s);
    deadline.sent(1);
    CHECK(deadline.offer(500, start + 7s, timeout) == start + 17s);
    deadline.sent(500);
    CHECK(deadline.offer(1, start + 1000s, timeout) == start + 1010s);
}

TEST_CASE("more may be sent than was offered first") {
    send_deadline deadline;
    CHECK(deadline.offer(100, start, timeout) == start + 10s);
    CHECK(deadline.offer(200, start + 1s, timeout) == start + 10s);
    deadline.sent(150);
    CHECK(deadline.offer(50, start + 2s, timeout) == start + 12s);
    deadline.sent(SIZE_MAX);
    CHECK(deadline.offer(50, start + 3s, timeout) == start + 13s);
}

TEST_CASE("at most 64 KiB are waited for at once") {
    send_deadline deadline;
    CHECK(deadline.offer(1000 * kib, start, timeout) == start + 10s);
    deadline.sent(64 * kib - 1);
    CHECK(deadline.offer(936 * kib + 1, start + 9s, timeout) == start + 10s);
    deadline.sent(1);
    CHECK(deadline.offer(936 * kib, start + 9s, timeout) == start + 19s);
}

TEST_CASE("what has left the log is not waited for") {
    send_deadline deadline;
    CHECK(deadline.offer(100, start, timeout) == start + 10s);
    CHECK(deadline.offer(10, start + 1s, timeout) == start + 10s);
    CHECK(deadline.offer(100, start + 2s, timeout) == start + 10s);
    deadline.sent(10);
    CHECK(deadline.offer(90, start + 3s, timeout) == start + 13s);
}

TEST_CASE("without a timeout there is no deadline, and it may be any number of milliseconds away") {
    send_deadline deadline;
    for (const milliseconds none : {milliseconds(0), milliseconds(-1), milliseconds(INT64_MIN)}) {
        CHECK_FALSE(deadline.offer(1, start, none).has_value());
        CHECK_FALSE(deadline.offer(1, (time_point::max)(), none).has_value());
    }
    CHECK(deadline.offer(1, start, (milliseconds::max)()) > start + 24h * 365 * 200);
    CHECK(deadline.offer(1, start + 1s, milliseconds(1)) == start + 1ms);
}

TEST_CASE("if there was nothing to offer meanwhile, the time begins again at the deadline, once") {
    send_deadline deadline;
    CHECK(deadline.offer(1, start, timeout) == start + 10s);
    deadline.idle();
    CHECK(deadline.offer(1, start + 10s - 1ms, timeout) == start + 10s);  // not before
    CHECK(deadline.offer(1, start + 12s, timeout) == start + 22s);
    deadline.idle();
    CHECK(deadline.offer(1, start + 22s - 1ms, timeout) == start + 22s);
    CHECK(deadline.offer(1, start + 22s, timeout) == start + 22s);
    CHECK(deadline.offer(1, start + 100s, timeout) == start + 22s);
}

TEST_CASE("at the deadline itself too") {
    send_deadline deadline;
    CHECK(deadline.offer(1, start, timeout) == start + 10s);
    deadline.idle();
    CHECK(deadline.offer(1, start + 10s, timeout) == start + 20s);
}

TEST_CASE("each deadline has its own extension, for what comes after its start") {
    send_deadline deadline;
    deadline.idle();
    CHECK(deadline.offer(1, start, timeout) == start + 10s);
    CHECK(deadline.offer(1, start + 11s, timeout) == start + 10s);
    deadline.idle();
    CHECK(deadline.offer(1, start + 12s, timeout) == start + 22s);
    deadline.sent(1);
    deadline.idle();
    CHECK(deadline.offer(1, start + 30s, timeout) == start + 40s);
    CHECK(deadline.offer(1, start + 40s, timeout) == start + 40s);
    deadline.idle();
    CHECK(deadline.offer(1, start + 41s, timeout) == start + 51s);
}
