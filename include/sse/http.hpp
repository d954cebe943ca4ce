// What Server-Sent Events need of HTTP: heads, the media type, statuses, CORS, Last-Event-ID. Layer 3.
//
//     if (const auto id = sse::find_header(request.headers, "Last-Event-ID")) resume_after(*id);
#pragma once

#include "detail/ascii.hpp"
#include "detail/http_date.hpp"
#include "detail/macros.hpp"
#include "error.hpp"
#include "event.hpp"
#include "url.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

// Functions that return strings or fields throw what the allocator throws, and nothing else.

namespace sse {

/// The media type of an event stream, in lower case.
inline constexpr std::string_view media_type = "text/event-stream";

// Header fields

/// A field of a request's or a response's head.
struct header {
    std::string name;
    std::string value;

    friend bool operator==(const header&, const header&) = default;
};

using headers = std::vector<header>;

/// Whether two names (of fields, hosts or media types) differ in nothing but the case of ASCII letters.
using detail::equal_ignoring_case;

/// \return the value of the last field of that name, in any case; nothing if there is none
/// \post the view lives as long as the field
/// \complexity linear in the number of fields
inline std::optional<std::string_view> find_header(const headers& fields SSE_LIFETIMEBOUND,
                                                   std::string_view name) noexcept {
    for (auto field = fields.rbegin(); field != fields.rend(); ++field) {
        if (equal_ignoring_case(field->name, name)) return field->value;
    }
    return std::nullopt;
}

/// Removes all fields of that name, in any case, and adds this one at the end. Name and value may be views
/// into `fields`.
/// \throws what the allocator throws; `fields` is then as it was
/// \complexity linear in the number of fields
inline void set_header(headers& fields, std::string_view name, std::string_view value) {
    header added{std::string(name), std::string(value)};  // before the views die
    std::erase_if(fields, [&](const header& field) { return equal_ignoring_case(field.name, added.name); });
    fields.push_back(std::move(added));
}

/// \return `errc::header_name_invalid` or `errc::header_value_invalid` if a field could forge another one
/// \spec RFC 9110, section 5.1 and 5.5
constexpr error check_header(std::string_view name, std::string_view value) noexcept {
    if (!detail::is_token(name)) return errc::header_name_invalid;
    if (detail::has_control(value)) return errc::header_value_invalid;
    return {};
}

/// Whether a header is only for the origin to which it was sent, judged by its name: it is Host, or it ends,
/// in any case, in one of `key`, `token`, `secret`, `password`, `signature`, `auth`, `authorization`,
/// `authentication`, `credential`, `credentials`, `passphrase`, `assertion`, `cookie`, `csrf`, `xsrf`, `jwt`,
/// `dpop`, `session`, `session-id` or `sessionid`.
///
/// So these are: Authorization, Cookie, Proxy-Authorization, X-API-Key, X-Goog-Api-Key, xi-api-key,
/// Ocp-Apim-Subscription-Key, X-Functions-Key, X-Auth-Token, X-Amz-Security-Token, X-Vault-Token,
/// Private-Token, X-CSRF-Token, X-Client-Secret, Mcp-Session-Id. A list of names would always lack one.
/// The rule also takes a few headers that hold no secret, such as Idempotency-Key.
constexpr bool is_secret_header(std::string_view name) noexcept {
    for (const std::string_view end :
         {"key",        "token",         "secret",         "password",   "signature",
          "auth",       "authorization", "authentication", "credential", "credentials",
          "passphrase", "assertion",     "cookie",         "csrf",       "xsrf",
          "jwt",        "dpop",          "session",        "session-id", "sessionid"}) {
        if (name.size() < end.size()) continue;
        if (equal_ignoring_case(name.substr(name.size() - end.size()), end)) return true;
    }
    return equal_ignoring_case(name, "Host");
}

// Heads

/// What is sent to open a stream.
struct request {
    std::string method = "GET";
    sse::url url{};
    sse::headers headers{};
    std::string body{};
};

/// The head of a response.
struct response {
    int status = 0;
    std::string reason{};
    sse::headers headers{};
};

// Responses

namespace detail {

/// The position of the first comma of a list that is not in a quoted string; the list's size if there is
/// none.
/// \spec https://fetch.spec.whatwg.org/#header-value-get-decode-and-split
constexpr std::size_t find_comma(std::string_view list) noexcept {
    bool quoted = false;
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (list[i] == ',' && !quoted) return i;
        if (list[i] == '"') quoted = !quoted;
        if (list[i] == '\\' && quoted) ++i;
    }
    return list.size();
}

constexpr bool is_media_type(std::string_view essence) noexcept {
    const std::size_t slash = essence.find('/');
    return slash != std::string_view::npos && is_token(essence.substr(0, slash)) &&
           is_token(essence.substr(slash + 1));
}

}  // namespace detail

/// Whether a Content-Type names an event stream, in any case and with any parameters. Of several media types,
/// joined by commas, the last counts, as in browsers.
/// \spec https://fetch.spec.whatwg.org/#concept-header-extract-mime-type
constexpr bool is_event_stream(std::string_view content_type) noexcept {
    bool result = false;
    while (!content_type.empty()) {
        const std::size_t size = detail::find_comma(content_type);
        const std::string_view type = content_type.substr(0, size);
        content_type.remove_prefix(size < content_type.size() ? size + 1 : size);
        const std::string_view essence = detail::trim(type.substr(0, type.find(';')), " \t\r\n");
        if (!detail::is_media_type(essence) || essence == "*/*") continue;
        result = equal_ignoring_case(essence, media_type);
    }
    return result;
}

/// Which pages of other origins may read a stream.
struct cors_options {
    /// Such as "https://example.org", byte for byte as browsers send it; "*" for any. If there is none,
    /// only pages of the server's own origin may read it.
    std::vector<std::string> origins{};

    /// Whether requests may carry credentials, such as cookies. "*" then does not count, because any page on
    /// the web could read what is meant for that user.
    bool credentials = false;
};

/// The fields by which a response says whether the page that asks may read it.
///
/// \spec https://fetch.spec.whatwg.org/#http-cors-protocol
inline headers cors_headers(const headers& request, const cors_options& cors) {
    if (cors.origins.empty()) return {};
    const std::string_view from = find_header(request, "Origin").value_or(std::string_view());
    bool is_named = false;
    bool any = false;
    for (const std::string& origin : cors.origins) {
        is_named = is_named || (!from.empty() && from != "*" && origin == from);
        any = any || (origin == "*" && !cors.credentials);
    }
    if (any) return {{"Access-Control-Allow-Origin", "*"}};
    headers result{{"Vary", "Origin"}};  // also if it is refused: a cache must not give this to others
    if (!is_named) return result;
    result.push_back({"Access-Control-Allow-Origin", std::string(from)});
    if (cors.credentials) result.push_back({"Access-Control-Allow-Credentials", "true"});
    return result;
}

/// The head that opens a stream: it keeps caches and proxies from holding events back, and says who may read
/// them.
///
/// The caller adds what says where the body ends: over HTTP/1.1, `Connection: close` or
/// `Transfer-Encoding: chunked`.
///
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes
inline response stream_response(const headers& request, const cors_options& cors = {}) {
    response result{.status = 200, .reason = "OK"};
    result.headers = {
        {"Content-Type", std::string(media_type)},
        {"Cache-Control", "no-cache, no-transform"},  // otherwise a proxy may compress, and wait
        {"X-Accel-Buffering", "no"}};                 // nginx
    for (header& field : cors_headers(request, cors)) result.headers.push_back(std::move(field));
    return result;
}

/// What a client does about the head of a response.
enum class response_action : unsigned char {
    open,       ///< it is an event stream: read it
    redirect,   ///< ask for what Location names
    reconnect,  ///< try again later
    stop,       ///< the server asks not to come back
    fail,       ///< give up
};

/// The standard's table of statuses, as a browser has it.
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model
constexpr response_action standard_action(int status, std::string_view content_type) noexcept {
    switch (status) {
        case 200: return is_event_stream(content_type) ? response_action::open : response_action::fail;
        case 204: return response_action::stop;
        case 301:
        case 302:
        case 303:
        case 307:
        case 308: return response_action::redirect;
        default: return response_action::fail;
    }
}

/// The same, except that statuses of an overloaded or restarting server lead to another attempt.
/// \note Deviation: for a browser each of these statuses is final.
constexpr response_action retrying_action(int status, std::string_view content_type) noexcept {
    switch (status) {
        case 429:
        case 500:
        case 502:
        case 503:
        case 504: return response_action::reconnect;
        default: return standard_action(status, content_type);
    }
}

// Retry-After

/// The seconds since 1970 of a date as HTTP writes it: in today's form or in one of the two obsolete ones.
/// The name of the day adds nothing and is not checked.
/// \note Deviation: a year of two digits is 1970 to 2069, whatever the year is now.
/// \spec RFC 9110, section 5.6.7
constexpr std::optional<std::int64_t> parse_http_date(std::string_view date) noexcept {
    return detail::parse_date(date);
}

/// The date in today's form: "Sun, 06 Nov 1994 08:49:37 GMT". Its year has four digits: a time before
/// the year 0 or after 9999 becomes the first or the last second of these years.
/// \spec RFC 9110, section 5.6.7
inline std::string format_http_date(std::int64_t seconds_since_1970) {
    return detail::format_date(seconds_since_1970);
}

/// How long a response asks to wait by Retry-After: seconds, or a date. A date is compared with the
/// response's own Date, because both come from one clock; if there is no Date, the adapters add when the
/// response came.
///
/// \return nothing if the response does not ask, or asks in a way that is not understood; never below zero
/// \spec RFC 9110, section 10.2.3
inline std::optional<milliseconds> retry_after(const response& response) noexcept {
    const std::optional<std::string_view> value = find_header(response.headers, "Retry-After");
    if (!value || value->empty()) return std::nullopt;
    if (value->find_first_not_of("0123456789") == std::string_view::npos) {
        std::int64_t seconds = 0;
        const auto parsed = std::from_chars(value->data(), value->data() + value->size(), seconds);
        constexpr std::int64_t max = INT64_MAX / 1000;
        return milliseconds(parsed.ec != std::errc() || seconds > max ? INT64_MAX : seconds * 1000);
    }
    const std::optional<std::string_view> date = find_header(response.headers, "Date");
    const auto now = parse_http_date(date.value_or(std::string_view()));
    const auto then = parse_http_date(*value);
    if (!now || !then) return std::nullopt;
    return milliseconds(*then > *now ? (*then - *now) * 1000 : 0);
}

// The last event ID

/// The longest last event ID that is sent back by default: servers limit a request's head, often to 8 KiB.
inline constexpr std::size_t default_max_last_event_id_bytes = 4096;

/// Whether an ID can be the value of a Last-Event-ID field: it is not empty, not too long, and holds no
/// control character. A server may send an `id` that cannot be sent back.
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header
constexpr bool is_sendable_id(std::string_view id,
                              std::size_t max_bytes = default_max_last_event_id_bytes) noexcept {
    if (id.empty() || id.size() > max_bytes) return false;
    for (const char byte : id) {
        if (detail::is_control(byte)) return false;
    }
    return id.front() != ' ' && id.back() != ' ';  // a recipient would trim them: another ID
}

}  // namespace sse
