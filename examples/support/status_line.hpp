// A line at the bottom of a terminal that stays below what is printed.
//
//     support::status_line status(text);
//     support::write_out(status.around(text.out, {"open", "3 events"}));
#pragma once

#include "event_text.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace support {

class status_line {
public:
    // Where the text goes; if that is no terminal, there is no line.
    explicit status_line(const event_text& text) noexcept
        : columns_(text.columns()), colours_(text.colours()) {}

    // What to write so that the line gives way to `text`, and stands below it anew: of its parts the first, cut
    // where it must be, and those that fit. Without parts there is no line.
    std::string around(std::string text, const std::vector<std::string>& parts) {
        if (columns_ == 0) return text;
        if (std::exchange(is_shown_, !parts.empty())) text.insert(0, "\r\x1B[K");
        if (parts.empty()) return text;
        if (colours_) text += "\x1B[2m";
        std::size_t used = 0;
        for (const std::string& part : parts) {
            const bool is_first = used == 0;
            const printable shown = print(is_first ? part : " | " + part, columns_ - used - 1);
            if (!is_first && shown.is_cut) continue;
            text += shown.text;
            used += shown.cells;
        }
        if (colours_) text += "\x1B[m";
        return text;
    }

private:
    struct printable {
        std::string text;
        std::size_t cells = 0;
        bool is_cut = false;
    };

    // One cell stays free: where the last one is taken, some terminals begin a new line.
    static printable print(std::string_view text, std::size_t most) {
        printable result;
        while (!text.empty()) {
            const std::string_view character = take_character(text);
            const char32_t code = code_point(character);
            const std::size_t width = is_unsafe(code) ? escape_cells : cells(code);
            result.is_cut = result.cells + width > most;
            if (result.is_cut) break;
            result.cells += width;
            if (is_unsafe(code)) append_escape(result.text, code);
            else result.text += character;
        }
        return result;
    }

    std::size_t columns_;
    bool colours_;
    bool is_shown_ = false;
};

}  // namespace support
