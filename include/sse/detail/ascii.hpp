// The kinds of ASCII characters that URLs and heads consist of, and comparing texts without their case.
#pragma once

#include <cstddef>
#include <string_view>

namespace sse::detail {

constexpr char to_lower(char byte) noexcept {
    return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte - 'A' + 'a') : byte;
}

constexpr bool is_digit(char byte) noexcept { return byte >= '0' && byte <= '9'; }

constexpr bool is_alpha(char byte) noexcept {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

constexpr bool is_hex_digit(char byte) noexcept {
    return is_digit(byte) || (to_lower(byte) >= 'a' && to_lower(byte) <= 'f');
}

/// No URL and no field's value may hold one; see `has_control` for the tab.
constexpr bool is_control(char byte) noexcept {
    return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7F;
}

/// Whether a text holds a control character that may not stand in a field's value: any but the tab.
/// \spec RFC 9110, section 5.5
constexpr bool has_control(std::string_view text) noexcept {
    for (const char byte : text) {
        if (is_control(byte) && byte != '\t') return true;
    }
    return false;
}

/// \spec RFC 9110, section 5.6.2
constexpr bool is_token_character(char byte) noexcept {
    constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
    return is_alpha(byte) || is_digit(byte) || marks.find(byte) != std::string_view::npos;
}

constexpr bool is_token(std::string_view text) noexcept {
    for (const char byte : text) {
        if (!is_token_character(byte)) return false;
    }
    return !text.empty();
}

/// The text without the space around it: by default, the space that a recipient takes off a field's value.
/// \spec RFC 9110, section 5.6.3
constexpr std::string_view trim(std::string_view text, std::string_view space = " \t") noexcept {
    const std::size_t begin = text.find_first_not_of(space);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(space) + 1 - begin);
}

constexpr bool equal_ignoring_case(std::string_view left, std::string_view right) noexcept {
    if (left.size() != right.size()) return false;
    for (std::size_t i = 0; i < left.size(); ++i) {
        if (to_lower(left[i]) != to_lower(right[i])) return false;
    }
    return true;
}

}  // namespace sse::detail
