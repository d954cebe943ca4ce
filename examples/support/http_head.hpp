// The head of an HTTP/1.1 message, taken apart: as much as these examples need, and strictly.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace support {

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == lower(y); });
}

constexpr std::string_view trim(std::string_view text) noexcept {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

constexpr bool is_control(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
}

constexpr bool is_token(std::string_view text) noexcept {
    return !text.empty() && text.find_first_not_of(
                                "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string_view::npos;
}

// Views into the text that was parsed.
struct http_head {
    std::string_view start_line;
    std::vector<std::pair<std::string_view, std::string_view>> fields;

    std::size_t count(std::string_view name) const {
        return static_cast<std::size_t>(std::count_if(fields.begin(), fields.end(), [name](const auto& each) {
            return equal_ignoring_case(each.first, name);
        }));
    }

    // The value of the first field of that name.
    std::optional<std::string_view> field(std::string_view name) const {
        for (const auto& [key, value] : fields)
            if (equal_ignoring_case(key, name)) return value;
        return std::nullopt;
    }
};

// `text` is the head without the empty line at its end; nothing comes back where it is malformed.
inline std::optional<http_head> parse_http_head(std::string_view text) {
    const auto take_line = [&text] {
        const auto end = text.find("\r\n");
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
        return line;
    };
    http_head head{.start_line = take_line(), .fields = {}};
    if (std::any_of(head.start_line.begin(), head.start_line.end(), is_control)) return std::nullopt;
    while (!text.empty()) {
        const std::string_view line = take_line();
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return std::nullopt;
        const std::string_view value = trim(line.substr(colon + 1));
        if (std::any_of(value.begin(), value.end(), [](char c) { return is_control(c) && c != '\t'; }))
            return std::nullopt;
        head.fields.emplace_back(line.substr(0, colon), value);
    }
    return head;
}

}  // namespace support
