// SplitMix64 (Steele, Lea, Flood 2014): numbers that tell clients or channels apart. Not for secrets.
#pragma once

#include <cstdint>

namespace sse::detail {

/// How far the state moves from one number to the next: odd, so that it takes all values.
inline constexpr std::uint64_t split_mix_step = 0x9E3779B97F4A7C15;

/// \return the number of a state: two states that differ in one bit differ in about half of its bits
constexpr std::uint64_t split_mix(std::uint64_t state) noexcept {
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB;
    return state ^ (state >> 31);
}

}  // namespace sse::detail
