// Events as text for people: the type and the id on one line, the data below it.
//
//     support::event_text text(STDOUT_FILENO);
//     text.event(event);  // appends to text.out
//
// On a terminal, lines are folded at its width and control characters are shown, not obeyed; the events must
// then come from a parser with `sse::invalid_utf8::replace`. Elsewhere the bytes go out as they came.
#pragma once

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

// Takes one character off the front of UTF-8.
inline std::string_view take_character(std::string_view& text) noexcept {
    std::size_t size = 1;
    while (size < 4 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) ++size;
    const std::string_view character = text.substr(0, size);
    text.remove_prefix(size);
    return character;
}

inline char32_t code_point(std::string_view character) noexcept {
    const auto lead = static_cast<unsigned char>(character.front());
    char32_t code = character.size() == 1 ? lead : lead & (0xFFU >> (character.size() + 1));
    for (const char c : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3FU);
    return code;
}

// Whether a terminal may act on it: the controls C0 and C1, DEL, and what turns the direction of writing.
constexpr bool is_unsafe(char32_t code) noexcept {
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x061C || code == 0x200E ||
           code == 0x200F || (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

inline void append_escape(std::string& out, char32_t code) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(code));
}

// The cells of a terminal that a character takes: rather one too many than one too few.
constexpr std::size_t cells(char32_t code) noexcept {
    const bool wide = (code >= 0x1100 && code < 0x1160) || (code >= 0x2E80 && code < 0xD7B0) ||
                      (code >= 0xF900 && code < 0xFB00) || (code >= 0xFE30 && code < 0xFFE7) ||
                      code >= 0x1F000;
    return wide ? 2 : 1;
}

inline constexpr std::size_t escape_cells = 6;

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
            const std::string_view character = take_character(text);
            const char32_t code = code_point(character);
            const std::size_t width = is_unsafe(code) ? escape_cells : cells(code);
            if (margin != 0 && used_ + width > columns_) {
                end_line();
                move_to(margin);
            }
            if (is_unsafe(code)) append_escape(out, code);
            else out += character;
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
