// Each value of a byte, and the kinds of ASCII characters, spelled out.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace test {

/// Each of the 256 values of a byte.
inline constexpr std::array<char, 256> all_bytes = [] {
    std::array<char, 256> all{};
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(static_cast<unsigned char>(i));
    return all;
}();

constexpr bool is_one_of(char byte, std::string_view set) { return set.find(byte) != std::string_view::npos; }

inline constexpr std::string_view lower = "abcdefghijklmnopqrstuvwxyz";
inline constexpr std::string_view upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
inline constexpr std::string_view digits = "0123456789";

constexpr bool is_alphanumeric(char byte) {
    return is_one_of(byte, lower) || is_one_of(byte, upper) || is_one_of(byte, digits);
}

}  // namespace test
