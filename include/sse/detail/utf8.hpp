// Ill-formed UTF-8 becomes U+FFFD, as the Encoding standard's decoder does it.
#pragma once

#include "bytes.hpp"

#include <cstddef>
#include <string_view>

namespace sse::detail {

inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

/// What stands at the front of a text: one code point, or the bytes that one U+FFFD replaces.
struct utf8_unit {
    std::size_t size;
    bool well_formed;
};

/// \pre `text` is not empty
/// \spec https://encoding.spec.whatwg.org/#utf-8-decoder
constexpr utf8_unit front_utf8_unit(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return {1, true};
    if (lead < 0xC2 || lead > 0xF4) return {1, false};

    const std::size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    // The second byte also rules out overlong forms, surrogates, and what lies beyond U+10FFFF.
    unsigned char lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (std::size_t i = 1; i < size; ++i) {
        // The byte that does not fit is not consumed: it may begin a code point of its own.
        if (i == text.size() || byte(i) < lowest || byte(i) > highest) return {i, false};
        lowest = 0x80;
        highest = 0xBF;
    }
    return {size, true};
}

constexpr bool is_well_formed(std::string_view text) noexcept {
    while (!text.empty()) {
        const utf8_unit unit = front_utf8_unit(text);
        if (!unit.well_formed) return false;
        text.remove_prefix(unit.size);
    }
    return true;
}

/// How many bytes longer a text is once its ill-formed parts are replaced; it is never shorter.
constexpr std::size_t replacement_growth(std::string_view text) noexcept {
    std::size_t growth = 0;
    while (!text.empty()) {
        const utf8_unit unit = front_utf8_unit(text);
        if (!unit.well_formed) growth += replacement_character.size() - unit.size;
        text.remove_prefix(unit.size);
    }
    return growth;
}

/// Writes a text to `out` with its ill-formed parts replaced.
///
/// \pre `out` has room for all of that; the text may lie within that room, at its very end:
///      what is written never catches up with what is still to be read.
constexpr void replace_ill_formed(std::string_view text, char* out) noexcept {
    while (!text.empty()) {
        const utf8_unit unit = front_utf8_unit(text);
        const std::string_view written = unit.well_formed ? front(text, unit.size) : replacement_character;
        for (const char c : written) *out++ = c;
        text.remove_prefix(unit.size);
    }
}

}  // namespace sse::detail
