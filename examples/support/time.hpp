// Deadlines, as poll() and epoll_wait() take them.
#pragma once

#include <algorithm>
#include <chrono>
#include <climits>
#include <optional>

namespace support {

// Rounded up: a wait that ends too early would only be followed by another one.
inline int milliseconds_until(std::chrono::steady_clock::time_point time) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left.count(), 0, INT_MAX));
}

// -1, which waits for ever, if there is no such time.
inline int milliseconds_until(std::optional<std::chrono::steady_clock::time_point> time) {
    return time ? milliseconds_until(*time) : -1;
}

}  // namespace support
