// A line at the bottom of a terminal that stays below what is printed.
//
//     support::status_line status(text);
//     support::write_out(status.around(text.out, "open, 3 events"));
#pragma once

#include "event_text.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace support {

class status_line {
public:
    // Where the text goes; if that is no terminal, there is no line.
    explicit status_line(const event_text& text) noexcept
        : columns_(text.columns()), colours_(text.colours()) {}

    // What to write so that the line gives way to `text`, and stands below it anew.
    std::string around(std::string text, std::string_view line) {
        if (columns_ == 0) return text;
        if (std::exchange(is_shown_, !line.empty())) text.insert(0, "\r\x1B[K");
        if (line.empty()) return text;
        if (colours_) text += "\x1B[2m";
        // One cell stays free: where the last one is taken, some terminals begin a new line.
        for (std::size_t used = 0; !line.empty();) {
            const std::string_view character = take_character(line);
            const char32_t code = code_point(character);
            const std::size_t width = is_unsafe(code) ? escape_cells : cells(code);
            if (used + width >= columns_) break;
            used += width;
            if (is_unsafe(code)) append_escape(text, code);
            else text += character;
        }
        if (colours_) text += "\x1B[m";
        return text;
    }

private:
    std::size_t columns_;
    bool colours_;
    bool is_shown_ = false;
};

}  // namespace support
