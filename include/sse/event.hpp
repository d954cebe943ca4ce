// The vocabulary: what was received, what is sent, and a span of time. Layer 0.
//
//     void use(const sse::event_view& event);
//     sse::message hello{.event = "greeting", .data = "hello", .retry = 10s};
#pragma once

#include "detail/macros.hpp"

#include <compare>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sse {

namespace detail {

/// std::chrono::duration, known by its shape: including <chrono> would double the cost of this header.
template <class T>
concept duration = requires(const T duration) {
    typename T::rep;
    T::period::num;
    T::period::den;
    T(duration.count());
    (T::min)();  // in parentheses, here and below: min and max may be macros
    (T::max)();
};

template <class Duration>
concept is_float = duration<Duration> && std::floating_point<typename Duration::rep>;

/// Whether each of its values is a whole number of milliseconds.
template <class Duration>
concept fits_milliseconds = duration<Duration> && !is_float<Duration> &&
                            (Duration::period::num * 1000 % Duration::period::den == 0);

/// Whether each number of milliseconds is one of its values, given the room.
template <class Duration>
concept holds_milliseconds = is_float<Duration> ||
                             (duration<Duration> &&
                              Duration::period::den % (Duration::period::num * 1000) == 0);

/// `count * num / den` towards zero, held between `lowest` and `highest`: counts come off the wire.
template <class To, class Count>
constexpr To scale(Count count, std::int64_t num, std::int64_t den, To lowest, To highest) noexcept {
    if constexpr (std::floating_point<Count>) {
        const Count scaled = count * static_cast<Count>(num) / static_cast<Count>(den);
        if (scaled >= static_cast<Count>(highest)) return highest;
        if (scaled > static_cast<Count>(lowest)) return static_cast<To>(scaled);
        return scaled <= static_cast<Count>(lowest) ? lowest : To{};  // zero where it is no number
    } else {
        const bool negative = std::cmp_less(count, 0);
        const auto bits = static_cast<std::uint64_t>(count);
        const std::uint64_t size = negative ? 0 - bits : bits;
        const auto times = static_cast<std::uint64_t>(num);
        const auto parts = static_cast<std::uint64_t>(den);
        const std::uint64_t rest = size % parts * times / parts;
        const bool overflows = size / parts > (UINT64_MAX - rest) / times;
        const std::uint64_t scaled = overflows ? UINT64_MAX : size / parts * times + rest;
        if (negative && scaled >= 0 - static_cast<std::uint64_t>(lowest)) return lowest;
        if (!negative && scaled >= static_cast<std::uint64_t>(highest)) return highest;
        return static_cast<To>(negative ? 0 - scaled : scaled);
    }
}

}  // namespace detail

/// A span of time in milliseconds, the unit of the `retry` field: a signed 64-bit count.
///
/// Converts from and to any `std::chrono::duration`: implicitly where nothing is lost, else explicitly and
/// towards zero. What does not fit is held at the largest or smallest value, never wrapped, since a peer
/// chooses the number.
///
///     std::chrono::milliseconds pause = *parser.reconnection_time();
class milliseconds {
public:
    constexpr milliseconds() noexcept = default;
    constexpr explicit milliseconds(std::int64_t count) noexcept : count_(count) {}

    template <detail::duration Duration>
    constexpr explicit(!detail::fits_milliseconds<Duration>) milliseconds(const Duration& duration) noexcept {
        constexpr std::int64_t num = Duration::period::num;
        constexpr std::int64_t den = Duration::period::den;
        constexpr bool finer = den % 1000 == 0;
        count_ = detail::scale(duration.count(), finer ? num : num * 1000, finer ? den / 1000 : den,
                               INT64_MIN, INT64_MAX);
    }

    template <detail::duration Duration>
    constexpr explicit(!detail::holds_milliseconds<Duration>) operator Duration() const noexcept {
        constexpr std::int64_t num = Duration::period::num;
        constexpr std::int64_t den = Duration::period::den;
        if constexpr (detail::is_float<Duration>) {
            using rep = typename Duration::rep;
            return Duration(static_cast<rep>(count_) * den / (rep{1000} * num));
        } else {
            constexpr bool finer = den % 1000 == 0;
            return Duration(detail::scale(count_, finer ? den / 1000 : den, finer ? num : num * 1000,
                                          (Duration::min)().count(), (Duration::max)().count()));
        }
    }

    constexpr std::int64_t count() const noexcept { return count_; }

    static constexpr milliseconds(max)() noexcept { return milliseconds(INT64_MAX); }

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

    /// \throws what the allocator throws
    SSE_CONSTEXPR_STRING explicit event(const event_view& view)
        : type(view.type), data(view.data), last_event_id(view.last_event_id) {}

    /// \post The views live as long as this event is neither changed nor destroyed.
    SSE_CONSTEXPR_STRING operator event_view() const noexcept SSE_LIFETIMEBOUND {
        return {type, data, last_event_id};
    }
    SSE_CONSTEXPR_STRING operator message() const noexcept SSE_LIFETIMEBOUND { return event_view(*this); }

    friend SSE_CONSTEXPR_STRING bool operator==(const event&, const event&) = default;
};

}  // namespace sse
