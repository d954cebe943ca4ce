// Sums that end at the largest value instead of overflowing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sse::detail {

constexpr std::size_t add_saturating(std::size_t left, std::size_t right) noexcept {
    return left > SIZE_MAX - right ? SIZE_MAX : left + right;
}

/// \pre `right` is not negative
constexpr std::int64_t add_saturating(std::int64_t left, std::int64_t right) noexcept {
    return left > INT64_MAX - right ? INT64_MAX : left + right;
}

}  // namespace sse::detail
