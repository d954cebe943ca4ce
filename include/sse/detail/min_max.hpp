// The smaller and the larger of two values, as in <algorithm>, which costs a fifth of <string>.
#pragma once

namespace sse::detail {

template <class T>
constexpr T smaller(T left, T right) noexcept {
    return right < left ? right : left;
}
template <class T>
constexpr T larger(T left, T right) noexcept {
    return left < right ? right : left;
}

}  // namespace sse::detail
