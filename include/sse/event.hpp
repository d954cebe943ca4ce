// The vocabulary: what was received, what is sent, and a span of time. Layer 0.
//
//     void use(const sse::event_view& event);
//     sse::message hello{.event = "greeting", .data = "hello", .retry = 10s};
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#if defined(__cpp_lib_constexpr_string) && __cpp_lib_constexpr_string >= 201907L
#define SSE_CONSTEXPR_STRING constexpr
#else
#define SSE_CONSTEXPR_STRING
#endif

namespace sse {

namespace detail {

/// std::chrono::duration, known by its shape: including <chrono> would double the cost of this header.
template <class T>
concept duration = requires(const T duration) {
    typename T::rep;
    T::period::num;
    T::period::den;
    T(duration.count());
};

/// `count * num / den` towards zero, held at the ends of the range: counts come off the wire.
constexpr std::int64_t scale(std::int64_t count, std::int64_t num, std::int64_t den) noexcept {
    constexpr auto lowest = std::numeric_limits<std::int64_t>::min();
    constexpr auto highest = std::numeric_limits<std::int64_t>::max();
    const std::int64_t whole = count / den;
    const std::int64_t rest = count % den * num / den;
    if (whole > highest / num || (whole == highest / num && rest > highest % num)) return highest;
    if (whole < lowest / num || (whole == lowest / num && rest < lowest % num)) return lowest;
    return whole * num + rest;
}

/// The value of `To` nearest to `value`; 0 for NaN.
template <class To, class From>
constexpr To clamp_to(From value) noexcept {
    using limits = std::numeric_limits<To>;
    if constexpr (std::floating_point<From>) {
        if (!(value == value)) return To{};
        if (value >= static_cast<From>(limits::max())) return limits::max();
        if (value <= static_cast<From>(limits::lowest())) return limits::lowest();
    } else {
        if (std::cmp_greater(value, limits::max())) return limits::max();
        if (std::cmp_less(value, limits::lowest())) return limits::lowest();
    }
    return static_cast<To>(value);
}

}  // namespace detail

/// A span of time in milliseconds, the unit of the `retry` field: a signed 64-bit count.
///
/// Converts from and to any `std::chrono::duration`: implicitly where nothing is lost, else explicitly and
/// towards zero. What does not fit is held at the largest or smallest value, never wrapped, since a peer
/// chooses the number.
class milliseconds {
public:
    constexpr milliseconds() noexcept = default;
    constexpr explicit milliseconds(std::int64_t count) noexcept : count_(count) {}

    template <detail::duration Duration>
    constexpr explicit(std::floating_point<typename Duration::rep> || Duration::period::num * 1000 % Duration::period::den != 0)
        milliseconds(const Duration& duration) noexcept {
        using period = typename Duration::period;
        if constexpr (std::floating_point<typename Duration::rep>) {
            count_ = detail::clamp_to<std::int64_t>(duration.count() * period::num * 1000 / period::den);
        } else {
            const auto count = detail::clamp_to<std::int64_t>(duration.count());
            if constexpr (period::den % 1000 == 0) count_ = detail::scale(count, period::num, period::den / 1000);
            else count_ = detail::scale(count, period::num * 1000, period::den);
        }
    }

    template <detail::duration Duration>
    constexpr explicit(!std::floating_point<typename Duration::rep> && Duration::period::den % (Duration::period::num * 1000) != 0)
    operator Duration() const noexcept {
        using rep = typename Duration::rep;
        using period = typename Duration::period;
        if constexpr (std::floating_point<rep>) {
            return Duration(static_cast<rep>(count_) * period::den / (rep{1000} * period::num));
        } else if constexpr (period::den % 1000 == 0) {
            return Duration(detail::clamp_to<rep>(detail::scale(count_, period::den / 1000, period::num)));
        } else {
            return Duration(detail::clamp_to<rep>(detail::scale(count_, period::den, period::num * 1000)));
        }
    }

    constexpr std::int64_t count() const noexcept { return count_; }

    static constexpr milliseconds max() noexcept {
        return milliseconds(std::numeric_limits<std::int64_t>::max());
    }

    friend constexpr auto operator<=>(milliseconds, milliseconds) noexcept = default;

private:
    std::int64_t count_ = 0;
};

/// What goes on the wire as one event. Absent fields are not sent; empty ones are, and mean something else.
///
/// Not owning: the strings must live until it is encoded.
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
struct message {
    std::optional<std::string_view> event{};  ///< the type; absent or empty, receivers say "message"
    std::optional<std::string_view> data{};   ///< absent: no event is dispatched, but `id` and `retry` count
    std::optional<std::string_view> id{};     ///< empty: clears the receiver's last event ID
    std::optional<milliseconds> retry{};      ///< the pause before the receiver connects again
};

/// An event as a receiver dispatches it, in views: see whoever hands it out for how long they live.
///
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage
struct event_view {
    std::string_view type = "message";
    std::string_view data{};           ///< its lines joined by LF
    std::string_view last_event_id{};  ///< the latest id of the stream, not only of this event

    /// A message that, wherever it is sent, is received as this event again: its id is always written,
    /// since a receiver would otherwise carry on the one before it.
    constexpr operator message() const noexcept {
        return {.event = type == "message" ? std::nullopt : std::optional(type),
                .data = data,
                .id = last_event_id,
                .retry = {}};
    }

    friend constexpr bool operator==(const event_view&, const event_view&) noexcept = default;
};

/// An event that owns its strings.
struct event {
    std::string type = "message";
    std::string data{};
    std::string last_event_id{};

    event() = default;
    SSE_CONSTEXPR_STRING explicit event(const event_view& view)
        : type(view.type), data(view.data), last_event_id(view.last_event_id) {}

    /// \post The views live as long as this event is neither changed nor destroyed.
    SSE_CONSTEXPR_STRING operator event_view() const noexcept { return {type, data, last_event_id}; }
    SSE_CONSTEXPR_STRING operator message() const noexcept { return event_view(*this); }

    friend SSE_CONSTEXPR_STRING bool operator==(const event&, const event&) = default;
};

}  // namespace sse

#undef SSE_CONSTEXPR_STRING
