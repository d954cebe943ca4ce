// How long to wait before the next attempt to connect. Layer 3.
//
//     sse::backoff backoff;
//     const sse::milliseconds pause = backoff.next(random(), {.open_for = 90s});
#pragma once

#include "detail/saturating.hpp"
#include "event.hpp"

#include <cstdint>
#include <optional>

namespace sse {

struct backoff_options {
    /// The reconnection time, until the server sends one: it is always waited, as the standard says.
    milliseconds reconnection_time{3000};

    /// So that clients do not come back all at once, something random is added: up to this after the first
    /// failure, up to twice as much after each further one, but never more than `max_jitter`. With 0 here and
    /// above, the next attempt is made at once.
    milliseconds max_first_jitter{1000};
    milliseconds max_jitter{30'000};

    /// A server that asks for more, by `retry` or Retry-After, gets this.
    milliseconds max_reconnection_time{std::int64_t{24} * 60 * 60 * 1000};

    /// A stream that was open for less counts as a failure: else a server that closes at once would be asked
    /// again and again without rest.
    milliseconds stable_after{10'000};
};

/// What came of an attempt to connect.
struct attempt {
    std::optional<milliseconds> open_for{};     ///< how long the stream was open, if it ever was
    std::optional<milliseconds> retry_after{};  ///< how long the response asked to wait
};

/// The pauses between attempts: what the server asks for, and exponential backoff with full jitter on top.
///
/// Pure: it knows no clock, and randomness is passed in. Whatever the options and the server say, nothing
/// overflows and no pause is below zero.
///
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#reestablish-the-connection
class backoff {
public:
    constexpr backoff() noexcept : backoff(backoff_options{}) {}
    constexpr explicit backoff(const backoff_options& options) noexcept
        : options_(options), reconnection_time_(options.reconnection_time) {}

    /// What the server sent as `retry`.
    constexpr void set_reconnection_time(milliseconds time) noexcept { reconnection_time_ = time; }

    /// \param random evenly distributed over all its values
    /// \return how long to wait after an attempt that failed, or whose stream has ended
    constexpr milliseconds next(std::uint64_t random, const attempt& last = {}) noexcept {
        if (last.open_for && *last.open_for >= options_.stable_after) failures_ = 0;
        if (failures_ < UINT32_MAX) ++failures_;

        milliseconds asked = reconnection_time_;
        if (last.retry_after && *last.retry_after > asked) asked = *last.retry_after;
        const std::int64_t waited = within(asked.count(), options_.max_reconnection_time.count());
        const std::int64_t max = added();
        const auto values = static_cast<std::uint64_t>(max) + 1;
        const auto jitter = static_cast<std::int64_t>(random % values);
        return milliseconds(detail::add_saturating(waited, jitter));
    }

    /// How many attempts in a row have failed.
    constexpr std::uint32_t failures() const noexcept { return failures_; }

    /// Begins anew: the network has changed, or somebody cannot wait. The reconnection time stays.
    constexpr void reset() noexcept { failures_ = 0; }

private:
    static constexpr std::int64_t within(std::int64_t value, std::int64_t max) noexcept {
        if (value > max) value = max;
        return value > 0 ? value : 0;
    }

    /// The max that is added after so many failures.
    constexpr std::int64_t added() const noexcept {
        const std::int64_t max = within(options_.max_jitter.count(), INT64_MAX);
        std::int64_t value = within(options_.max_first_jitter.count(), max);
        for (std::uint32_t i = 1; i < failures_ && value != 0 && value < max; ++i) {
            value = value > max / 2 ? max : 2 * value;
        }
        return value;
    }

    backoff_options options_;
    milliseconds reconnection_time_;
    std::uint32_t failures_ = 0;
};

}  // namespace sse
