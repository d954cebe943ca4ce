// What a message must fulfil to be written, and which fields of a request the writer makes itself.
#pragma once

#include "../error.hpp"
#include "../http.hpp"
#include "../url.hpp"
#include "ascii.hpp"

#include <string_view>

namespace sse::detail {

/// Neither what no URL can hold nor a fragment: two servers on the way may read a target with one as two
/// different targets.
/// \spec RFC 9112, section 3.2
constexpr bool is_target(std::string_view text) noexcept {
    for (const char byte : text) {
        if (is_control(byte) || byte == ' ' || byte == '#') return false;
    }
    return !text.empty();
}

inline error check_headers(const headers& fields) noexcept {
    for (const header& field : fields) {
        if (const error refused = check_header(field.name, field.value)) return refused;
    }
    return {};
}

inline error check(const request& request) noexcept {
    const sse::url& url = request.url;
    if (!is_token(request.method)) return errc::method_invalid;
    if (!url.target.starts_with('/') || !is_target(url.target)) return errc::url_invalid;
    if (!is_host_name(url.host) && !is_bracketed_address(url.host)) return errc::url_host_invalid;
    if (url.port == 0) return errc::url_port_invalid;
    return check_headers(request.headers);
}

inline error check(const response& response) noexcept {
    const bool is_status = response.status >= 100 && response.status <= 999;
    if (!is_status || has_control(response.reason)) return errc::http_malformed;
    return check_headers(response.headers);
}

/// Whether write_request() writes this field itself, so that the request's own is left out or comes first.
constexpr bool is_written_apart(std::string_view name) noexcept {
    return equal_ignoring_case(name, "Host") || equal_ignoring_case(name, "Content-Length") ||
           equal_ignoring_case(name, "Transfer-Encoding");
}

/// Whether a request says how long its body is: if it has one, or if the method gives an empty body a
/// meaning.
/// \spec RFC 9110, section 8.6
inline bool has_content(const request& request) noexcept {
    const std::string_view method = request.method;
    return !request.body.empty() || method == "POST" || method == "PUT" || method == "PATCH";
}

}  // namespace sse::detail
