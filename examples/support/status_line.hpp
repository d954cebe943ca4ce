// A line at the bottom of a terminal that stays below what is printed.
//
//     support::status_line status(text);
//     support::write_out(status.around(text.out, {"open", "3 events"}));
#pragma once

#include "event_text.hpp"
#include "safe_text.hpp"

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

    // What to write so that the line gives way to `text`, and stands below it again: the first of its fields,
    // cut if it must be, and those of the others that fit. Without fields there is no line.
    std::string around(std::string text, const std::vector<std::string>& fields) {
        if (columns_ == 0) return text;
        if (std::exchange(is_shown_, !fields.empty())) text.insert(0, "\r\x1B[K");
        if (fields.empty()) return text;
        if (colours_) text += "\x1B[2m";
        std::size_t used = 0;
        for (const std::string& field : fields) {
            const bool is_first = used == 0;
            const printable shown = print(is_first ? field : " | " + field, columns_ - used - 1);
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
    static printable print(std::string_view text, std::size_t max_cells) {
        printable result;
        while (!text.empty()) {
            const character next = take_character(text);
            const std::size_t width = is_unsafe(next.code) ? escape_cells : cells(next.code);
            result.is_cut = result.cells + width > max_cells;
            if (result.is_cut) break;
            result.cells += width;
            if (is_unsafe(next.code)) append_escape(result.text, next);
            else result.text += next.bytes;
        }
        return result;
    }

    std::size_t columns_;
    bool colours_;
    bool is_shown_ = false;
};

}  // namespace support
