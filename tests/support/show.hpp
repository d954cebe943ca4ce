// Bytes as text that can be read in a failure message and pasted into a test.
//
//     CAPTURE(test::show(stream));
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace test {

/// The bytes as a C++ string literal; all but the first `limit` of them are only counted.
inline std::string show(std::string_view bytes, std::size_t limit = 2000) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    std::string literal = "\"";
    bool after_hex = false;
    for (const char c : bytes.substr(0, limit)) {
        const auto byte = static_cast<unsigned char>(c);
        const bool is_hex_digit = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
        if (after_hex && is_hex_digit) literal += "\"\"";  // else the digit would belong to the escape
        after_hex = false;
        if (c == '\n') literal += "\\n";
        else if (c == '\r') literal += "\\r";
        else if (c == '\t') literal += "\\t";
        else if (c == '"' || c == '\\') literal.append({'\\', c});
        else if (byte >= 0x20 && byte < 0x7F) literal += c;
        else {
            literal.append({'\\', 'x', hex[byte >> 4], hex[byte & 0xF]});
            after_hex = true;
        }
    }
    literal += '"';
    if (bytes.size() > limit) literal += " and " + std::to_string(bytes.size() - limit) + " bytes more";
    return literal;
}

}  // namespace test
