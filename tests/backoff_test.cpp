#include <sse/backoff.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t most_random = UINT64_MAX;

/// What would be next: only the copy goes on.
sse::milliseconds next_of(sse::backoff backoff, std::uint64_t random, const sse::attempt& last = {}) {
    return backoff.next(random, last);
}

/// The most that the n-th pause adds, found by trying.
std::int64_t max_jitter(sse::backoff backoff, const sse::attempt& last = {}) {
    std::int64_t most = 0;
    std::mt19937_64 random(1);
    const std::int64_t least = next_of(backoff, 0, last).count();
    for (int i = 0; i < 20'000; ++i) {
        const std::int64_t added = next_of(backoff, random(), last).count() - least;
        if (added > most) most = added;
    }
    return most;
}

}  // namespace

TEST_CASE("the reconnection time is always waited, and what is added doubles up to its most") {
    sse::backoff backoff;
    std::vector<std::int64_t> most;
    for (int failure = 0; failure < 8; ++failure) {
        CHECK(next_of(backoff, 0) == sse::milliseconds(3000));
        most.push_back(max_jitter(backoff));
        static_cast<void>(backoff.next(0));
    }
    const std::vector<std::int64_t> limits{1000, 2000, 4000, 8000, 16'000, 30'000, 30'000, 30'000};
    for (std::size_t i = 0; i < limits.size(); ++i) {
        CAPTURE(i);
        CHECK(most[i] <= limits[i]);
        CHECK(most[i] > limits[i] * 99 / 100);  // of 20,000 even ones, some come that near
    }
}

TEST_CASE("what is added is evenly distributed, both ends included") {
    const sse::backoff backoff({.reconnection_time = 0ms, .max_first_jitter = 3ms});
    std::vector<int> count(4);
    for (std::uint64_t random = 0; random < 4000; ++random) {
        const auto pause = next_of(backoff, random).count();
        REQUIRE(pause <= 3);
        ++count[static_cast<std::size_t>(pause)];
    }
    CHECK(count == std::vector<int>{1000, 1000, 1000, 1000});
}

TEST_CASE("the server's retry takes the place of the reconnection time") {
    sse::backoff backoff;
    backoff.set_reconnection_time(10s);
    CHECK(backoff.next(0) == sse::milliseconds(10'000));
    backoff.set_reconnection_time(0ms);
    CHECK(backoff.next(0) == sse::milliseconds(0));
}

TEST_CASE("a retry of zero is no storm: pauses grow nevertheless") {
    sse::backoff backoff;
    backoff.set_reconnection_time(0ms);
    std::mt19937_64 random(7);
    std::int64_t waited = 0;
    int attempts = 0;
    for (; waited < 10 * 60 * 1000; ++attempts) waited += backoff.next(random()).count();
    CHECK(attempts < 60);  // in ten minutes; half of 30 s each, but for the first few
}

TEST_CASE("Retry-After is waited where it is longer, and something is added to it too") {
    const sse::backoff backoff;
    CHECK(next_of(backoff, 0, {.retry_after = 60s}) == sse::milliseconds(60'000));
    CHECK(next_of(backoff, 1000, {.retry_after = 60s}) == sse::milliseconds(61'000));
    CHECK(next_of(backoff, 0, {.retry_after = 1s}) == sse::milliseconds(3000));
    sse::backoff after(backoff);
    static_cast<void>(after.next(0, {.retry_after = 60s}));
    CHECK(after.next(0) == sse::milliseconds(3000));  // it counts once
}

TEST_CASE("no server makes a client wait for longer than it allows") {
    sse::backoff backoff({.max_reconnection_time = 1h});
    backoff.set_reconnection_time((sse::milliseconds::max)());
    CHECK(backoff.next(0) == sse::milliseconds(3'600'000));
    CHECK(backoff.next(0, {.retry_after = (sse::milliseconds::max)()}) == sse::milliseconds(3'600'000));
}

TEST_CASE("only a stream that stayed open ends a row of failures") {
    sse::backoff backoff({.stable_after = 10s});
    for (int i = 0; i < 4; ++i) static_cast<void>(backoff.next(0, {.open_for = 9999ms}));
    CHECK(backoff.failures() == 4);
    static_cast<void>(backoff.next(0, {.open_for = 10s}));
    CHECK(backoff.failures() == 1);
    static_cast<void>(backoff.next(0));
    CHECK(backoff.failures() == 2);
    backoff.reset();
    CHECK(backoff.failures() == 0);

    // Even where any stream counts as stable, an attempt without one does not.
    sse::backoff lenient({.stable_after = 0s});
    static_cast<void>(lenient.next(0));
    static_cast<void>(lenient.next(0));
    CHECK(lenient.failures() == 2);
    static_cast<void>(lenient.next(0, {.open_for = 0s}));
    CHECK(lenient.failures() == 1);
}

TEST_CASE("what is so by default") {
    const sse::backoff_options options;
    CHECK(options.reconnection_time == sse::milliseconds(3'000));
    CHECK(options.max_first_jitter == sse::milliseconds(1'000));
    CHECK(options.max_jitter == sse::milliseconds(30'000));
    CHECK(options.max_reconnection_time == sse::milliseconds(86'400'000));  // a day
    CHECK(options.stable_after == sse::milliseconds(10'000));
    CHECK_FALSE(sse::attempt().open_for);
    CHECK_FALSE(sse::attempt().retry_after);
}

TEST_CASE("no options and no number of failures make it overflow or go below zero") {
    constexpr sse::milliseconds extremes[] = {sse::milliseconds(INT64_MIN), sse::milliseconds(-1),
                                              sse::milliseconds(0), sse::milliseconds(1),
                                              sse::milliseconds(INT64_MAX)};
    for (const auto time : extremes) {
        for (const auto first : extremes) {
            for (const auto most : extremes) {
                for (const auto longest : extremes) {
                    sse::backoff backoff({.reconnection_time = time,
                                          .max_first_jitter = first,
                                          .max_jitter = most,
                                          .max_reconnection_time = longest,
                                          .stable_after = 1ms});
                    for (int failure = 0; failure < 70; ++failure) {
                        for (const auto random : {std::uint64_t{0}, std::uint64_t{INT64_MAX}, most_random}) {
                            const auto pause = next_of(backoff, random, {.retry_after = time});
                            REQUIRE(pause.count() >= 0);
                        }
                        static_cast<void>(backoff.next(most_random, {.retry_after = time}));
                    }
                }
            }
        }
    }
}

static_assert([] {
    sse::backoff backoff(
        {.reconnection_time = sse::milliseconds(5), .max_first_jitter = sse::milliseconds(0)});
    return backoff.next(most_random).count() == 5 && backoff.next(most_random).count() == 5;
}());
