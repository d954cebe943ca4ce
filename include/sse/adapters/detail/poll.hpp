// What a poll() loop asks: how long to wait, and whether a call failed only for now.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <optional>

namespace sse::detail {

/// How long poll() may wait: rounded up, because a loop that wakes too early would turn without rest.
inline int milliseconds_until(std::optional<std::chrono::steady_clock::time_point> time) {
    if (!time) return INT_MAX;
    const auto left = *time - std::chrono::steady_clock::now();
    const auto count = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return static_cast<int>(std::clamp<decltype(count)>(count, 0, INT_MAX));
}

/// Whether a call that failed with this error found nothing to do now, and may be made again later.
inline bool would_block(int error = errno) noexcept {
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

}  // namespace sse::detail
