// Points in time that are some milliseconds away, which may be any number.
#pragma once

#include "../event.hpp"

#include <chrono>
#include <optional>

namespace sse::detail {

/// When a pause is over that begins now; never, where it is none.
constexpr std::optional<std::chrono::steady_clock::time_point> after(
    std::chrono::steady_clock::time_point now, milliseconds pause) noexcept {
    using time_point = std::chrono::steady_clock::time_point;
    if (pause.count() <= 0) return std::nullopt;
    // From before the clock's epoch its end may be further away than a duration can say.
    const auto left = (time_point::max)() - (now < time_point() ? time_point() : now);
    const auto max = std::chrono::floor<std::chrono::milliseconds>(left);
    return now + (std::chrono::milliseconds(pause) < max ? std::chrono::milliseconds(pause) : max);
}

}  // namespace sse::detail
