// What a head says about what follows: where its body ends, and whether the connection is kept.
#pragma once

#include "../error.hpp"
#include "../http.hpp"
#include "ascii.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

namespace sse::detail {

/// Calls `use(element)` for each element of a list. Fields of one name are one list, joined by commas.
/// \spec RFC 9110, section 5.3 and 5.6.1
template <class Use>
void for_each_element(const headers& fields, std::string_view name, Use use) {
    for (const header& field : fields) {
        if (!equal_ignoring_case(field.name, name)) continue;
        std::string_view rest = field.value;
        for (;;) {
            const std::size_t size = rest.find(',');
            use(trim(rest.substr(0, size)));
            if (size == std::string_view::npos) break;
            rest.remove_prefix(size + 1);
        }
    }
}

/// \return the x of HTTP/1.x; -1 if the text is no such version
/// \spec RFC 9112, section 2.3
constexpr int minor_version(std::string_view text) noexcept {
    const bool is_version = text.size() == 8 && text.starts_with("HTTP/1.") && is_digit(text.back());
    return is_version ? text.back() - '0' : -1;
}

/// Whether the sender of a head keeps the connection for another message.
/// \spec RFC 9112, section 9.3
inline bool persists(int minor_version, const headers& fields) {
    bool close = false;
    bool keep_alive = false;
    for_each_element(fields, "Connection", [&](std::string_view option) {
        close = close || equal_ignoring_case(option, "close");
        keep_alive = keep_alive || equal_ignoring_case(option, "keep-alive");
    });
    return !close && (minor_version > 0 || keep_alive);
}

/// What the fields of a head say about where its body ends: in chunks, after so many bytes, or nothing.
/// Never both.
struct body_framing {
    bool chunked = false;
    std::optional<std::uint64_t> length{};
};

/// A proxy may have believed the other of two contradicting fields and taken as body what we would read as
/// the next message (request smuggling). So never guess.
///
/// \return `errc::http_framing`, `errc::http_unsupported`
/// \spec RFC 9112, section 6.3
inline result<body_framing> find_framing(int minor_version, const headers& fields) {
    body_framing found;
    bool coded = false;
    bool only_chunked = true;
    for_each_element(fields, "Transfer-Encoding", [&](std::string_view coding) {
        only_chunked = !coded && equal_ignoring_case(coding, "chunked");
        coded = true;
    });
    bool contradictory = false;
    for_each_element(fields, "Content-Length", [&](std::string_view digits) {
        std::uint64_t length = 0;
        const char* const last = digits.data() + digits.size();
        const auto [parsed_to, failure] = std::from_chars(digits.data(), last, length);
        const bool valid = failure == std::errc() && parsed_to == last;
        // RFC 9110, section 8.6: the same length may be given twice.
        contradictory = contradictory || !valid || length != found.length.value_or(length);
        found.length = length;
    });
    if (coded && (found.length || minor_version == 0)) contradictory = true;  // RFC 9112, section 6.1
    if (contradictory) return errc::http_framing;
    if (!only_chunked) return errc::http_unsupported;
    found.chunked = coded;
    return found;
}

}  // namespace sse::detail
