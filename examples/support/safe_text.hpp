// Text that a terminal shows and does not obey: whatever a server, a file's name or an argument says.
//
//     support::write_out(support::safe_text(event.data) + "\n");
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

namespace support {

// The code of a byte that belongs to no character.
inline constexpr char32_t ill_formed = 0xFFFFFFFF;

struct character {
    std::string_view bytes;
    char32_t code;
};

// Takes one character off the front of UTF-8, or one byte if it is ill-formed.
constexpr character take_character(std::string_view& text) noexcept {
    const auto byte_at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte_at(0);
    std::size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    bool is_valid = (lead < 0x80 || lead >= 0xC0) && lead < 0xF8 && size <= text.size();
    char32_t code = size == 1 ? lead : lead & (0xFFU >> (size + 1));
    for (std::size_t i = 1; is_valid && i < size; ++i) {
        is_valid = (byte_at(i) & 0xC0) == 0x80;
        code = code << 6 | (byte_at(i) & 0x3FU);
    }
    constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};  // fewer bytes would do for less
    if (!is_valid || code < least[size] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
        size = 1;
        code = ill_formed;
    }
    const std::string_view bytes = text.substr(0, size);
    text.remove_prefix(size);
    return {bytes, code};
}

// Whether a terminal may act on it: the controls C0 and C1, DEL, what ends a line, what turns the direction
// of writing, and a byte that belongs to no character: some terminals take it for a C1.
constexpr bool is_unsafe(char32_t code) noexcept {
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x061C || code == 0x200E ||
           code == 0x200F || (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) ||
           code == ill_formed;
}

// The characters that `append_escape` adds, at most.
inline constexpr std::size_t escape_cells = 6;

inline void append_escape(std::string& out, const character& unsafe) {
    if (unsafe.code == ill_formed) {
        const unsigned byte = static_cast<unsigned char>(unsafe.bytes.front());
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    } else {
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(unsafe.code));
    }
}

// All that is unsafe is escaped, but the characters that are kept.
inline std::string safe_text(std::string_view text, std::string_view kept = "\n\t") {
    std::string result;
    result.reserve(text.size());
    while (!text.empty()) {
        const character next = take_character(text);
        const bool is_kept = kept.find(next.bytes) != std::string_view::npos;
        if (is_unsafe(next.code) && !is_kept) append_escape(result, next);
        else result += next.bytes;
    }
    return result;
}

inline std::string safe_line(std::string_view text) { return safe_text(text, ""); }

}  // namespace support
