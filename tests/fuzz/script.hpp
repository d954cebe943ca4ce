// Inputs that people can read: lines of text, in which `|` stands for LF, `~` for CR, `^` for NUL.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>

namespace test {

inline std::string_view take_line(std::string_view& script) {
    const std::string_view line = script.substr(0, script.find('\n'));
    script.remove_prefix(std::min(line.size() + 1, script.size()));
    return line;
}

inline std::string unescaped(std::string_view text) {
    std::string result(text);
    std::replace(result.begin(), result.end(), '|', '\n');
    std::replace(result.begin(), result.end(), '~', '\r');
    std::replace(result.begin(), result.end(), '^', '\0');
    return result;
}

/// The most there is, where there are too many digits.
template <class Number = std::uint64_t>
Number number_of(std::string_view digits) {
    Number value = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return parsed.ec == std::errc::result_out_of_range ? (std::numeric_limits<Number>::max)() : value;
}

}  // namespace test
