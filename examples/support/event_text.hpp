// Events as text for people: the type and the id on one line, the data below it.
//
//     support::event_text text(STDOUT_FILENO);
//     text.event(event);  // appends to text.out
//
// On a terminal, lines are folded at its width and control characters are shown, not obeyed. Elsewhere the
// bytes go out as they came.
#pragma once

#include "safe_text.hpp"

#include <sse/event.hpp>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <string>
#include <string_view>

namespace support {

// The cells of a terminal that a character takes: rather one too many than one too few.
constexpr std::size_t cells(char32_t code) noexcept {
    const bool wide = (code >= 0x1100 && code < 0x1160) || (code >= 0x2E80 && code < 0xD7B0) ||
                      (code >= 0xF900 && code < 0xFB00) || (code >= 0xFE30 && code < 0xFFE7) ||
                      code >= 0x1F000;
    return wide ? 2 : 1;
}

class event_text {
public:
    std::string out;

    explicit event_text(int file) {
        if (::isatty(file) == 0) return;
        winsize size{};
        const bool usable = ::ioctl(file, TIOCGWINSZ, &size) == 0 && size.ws_col >= indent + escape_cells;
        columns_ = usable ? size.ws_col : 80;
        const char* no_color = std::getenv("NO_COLOR");
        colours_ = no_color == nullptr || *no_color == '\0';
    }

    // As on a terminal of that width; 0: on none.
    event_text(std::size_t columns, bool colours) noexcept : columns_(columns), colours_(colours) {}

    bool on_terminal() const noexcept { return columns_ != 0; }
    std::size_t columns() const noexcept { return columns_; }
    bool colours() const noexcept { return colours_; }

    void event(const sse::event_view& event) {
        paint("1;36", event.type);
        if (!event.last_event_id.empty()) paint("2", fmt::format("  {}", event.last_event_id));
        end_line();
        if (!event.data.empty()) data(event.data, indent);
    }

    void data(std::string_view text, std::size_t margin = 0) {
        for (std::size_t start = 0; start <= text.size();) {
            const auto end = std::min(text.find('\n', start), text.size());
            if (end != start) {
                move_to(margin);
                put(text.substr(start, end - start), margin);
            }
            end_line();
            start = end + 1;
        }
    }

    void comment(std::string_view text) {
        paint("2", text.empty() ? ":" : fmt::format(": {}", text), indent);
        end_line();
    }

private:
    static constexpr std::size_t indent = 2;

    void paint(std::string_view colour, std::string_view text, std::size_t margin = 0) {
        if (colours_) fmt::format_to(std::back_inserter(out), "\x1B[{}m", colour);
        put(text, margin);
        if (colours_) out += "\x1B[m";
    }

    // With a margin, text that is too long for its line is folded there. Without one the terminal does that,
    // and text that is copied from it has no line breaks of ours.
    void put(std::string_view text, std::size_t margin = 0) {
        if (!on_terminal()) {
            out += text;
            return;
        }
        while (!text.empty()) {
            const character next = take_character(text);
            const std::size_t width = is_unsafe(next.code) ? escape_cells : cells(next.code);
            if (margin != 0 && used_ + width > columns_) {
                end_line();
                move_to(margin);
            }
            if (is_unsafe(next.code)) append_escape(out, next);
            else out += next.bytes;
            used_ += width;
        }
    }

    void move_to(std::size_t column) {
        if (used_ >= column) return;
        out.append(column - used_, ' ');
        used_ = column;
    }

    void end_line() {
        out += '\n';
        used_ = 0;
    }

    std::size_t columns_ = 0;  // 0: not a terminal
    bool colours_ = false;
    std::size_t used_ = 0;  // cells of the line so far
};

}  // namespace support
