// What Server-Sent Events ask of HTTP: URLs, heads, the media type, statuses, Last-Event-ID. Layer 3.
//
//     const auto url = sse::parse_url("https://example.org/stream");
//     if (!url) return url.error();
#pragma once

#include "detail/macros.hpp"
#include "error.hpp"
#include "event.hpp"

#include <charconv>
#include <chrono>
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

namespace detail {

constexpr char to_lower(char byte) noexcept {
    return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte - 'A' + 'a') : byte;
}

constexpr bool is_digit(char byte) noexcept { return byte >= '0' && byte <= '9'; }

constexpr bool is_alpha(char byte) noexcept {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

constexpr bool is_hex_digit(char byte) noexcept {
    return is_digit(byte) || (to_lower(byte) >= 'a' && to_lower(byte) <= 'f');
}

/// ASCII control characters, of which none may be part of a URL or of most values.
constexpr bool is_control(char byte) noexcept {
    return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7F;
}

constexpr bool is_token_character(char byte) noexcept {
    constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
    return is_alpha(byte) || is_digit(byte) || marks.find(byte) != std::string_view::npos;
}

constexpr bool is_token(std::string_view text) noexcept {
    for (const char byte : text) {
        if (!is_token_character(byte)) return false;
    }
    return !text.empty();
}

/// By default of what may stand around a field's value.
/// \spec RFC 9110, section 5.6.3
constexpr std::string_view trim(std::string_view text, std::string_view space = " \t") noexcept {
    const std::size_t begin = text.find_first_not_of(space);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(space) + 1 - begin);
}

}  // namespace detail

/// Whether two names of fields, hosts or media types are the same but for the case of ASCII letters.
constexpr bool equal_ignoring_case(std::string_view left, std::string_view right) noexcept {
    if (left.size() != right.size()) return false;
    for (std::size_t i = 0; i < left.size(); ++i) {
        if (detail::to_lower(left[i]) != detail::to_lower(right[i])) return false;
    }
    return true;
}

/// \return the value of the last field of that name, in any case; nothing where there is none. The view lives
///         as long as the field.
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

/// \return `errc::header_name_invalid` or `errc::header_value_invalid` where a field could forge another one
/// \spec RFC 9110, section 5.1 and 5.5
constexpr error check_header(std::string_view name, std::string_view value) noexcept {
    if (!detail::is_token(name)) return errc::header_name_invalid;
    for (const char byte : value) {
        if (detail::is_control(byte) && byte != '\t') return errc::header_value_invalid;
    }
    return {};
}

// URLs

/// An http or https URL, split into what a client needs of it.
struct url {
    std::string scheme;      ///< "http" or "https"
    std::string host;        ///< in lower case; an IPv6 address in its brackets
    std::uint16_t port = 0;  ///< that of the scheme where the URL names none
    std::string target;      ///< path and query, from the first slash on, without the fragment

    friend bool operator==(const url&, const url&) = default;
};

/// Host and port, as in a Host field: the port only where it is not that of the scheme.
inline std::string authority(const url& url) {
    const bool is_default = url.port == (url.scheme == "https" ? 443 : 80);
    return is_default ? url.host : url.host + ':' + std::to_string(url.port);
}

/// The host as getaddrinfo() takes it: an IPv6 address without its brackets. Lives as long as the URL.
inline std::string_view host_name(const url& url SSE_LIFETIMEBOUND) noexcept {
    const std::string_view host = url.host;
    return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

/// As in an event's `origin`: "https://example.org".
inline std::string origin(const url& url) { return url.scheme + "://" + authority(url); }

inline std::string to_string(const url& url) { return origin(url) + url.target; }

/// \spec https://html.spec.whatwg.org/multipage/browsers.html#same-origin
inline bool same_origin(const url& left, const url& right) noexcept {
    return left.scheme == right.scheme && left.host == right.host && left.port == right.port;
}

namespace detail {

/// The scheme that a reference begins with, if it does.
/// \spec RFC 3986, section 3.1
constexpr std::optional<std::string_view> scheme_of(std::string_view reference) noexcept {
    for (std::size_t i = 0; i < reference.size(); ++i) {
        const char byte = reference[i];
        if (byte == ':' && i > 0) return reference.substr(0, i);
        const bool may_follow = is_digit(byte) || byte == '+' || byte == '-' || byte == '.';
        if (!is_alpha(byte) && !(i > 0 && may_follow)) break;
    }
    return std::nullopt;
}

constexpr bool is_host_name(std::string_view host) noexcept {
    for (const char byte : host) {
        if (!is_alpha(byte) && !is_digit(byte) && byte != '-' && byte != '.' && byte != '_') return false;
    }
    return !host.empty();
}

/// Roughly: whether it really is one, whoever connects finds out.
constexpr bool is_bracketed_address(std::string_view host) noexcept {
    if (host.size() < 4 || !host.ends_with(']')) return false;
    for (const char byte : host.substr(1, host.size() - 2)) {
        if (!is_hex_digit(byte) && byte != ':' && byte != '.') return false;
    }
    return host.find(':') != std::string_view::npos;
}

/// What an authority says of a URL; its target is empty.
/// \spec RFC 3986, section 3.2
inline result<url> split_authority(std::string scheme, std::string_view authority) {
    url parsed;
    parsed.scheme = std::move(scheme);
    if (authority.find('@') != std::string_view::npos) return errc::url_has_credentials;
    std::size_t end = authority.find(':');
    if (authority.starts_with('[')) {
        end = authority.find(']');
        if (end != std::string_view::npos) ++end;
        if (!is_bracketed_address(authority.substr(0, end))) return errc::url_host_invalid;
    } else if (!is_host_name(authority.substr(0, end))) {
        return errc::url_host_invalid;
    }
    for (const char byte : authority.substr(0, end)) parsed.host += to_lower(byte);

    parsed.port = parsed.scheme == "https" ? 443 : 80;
    authority.remove_prefix(parsed.host.size());
    if (authority.empty() || authority == ":") return parsed;
    const char* const last = authority.data() + authority.size();
    const auto [parsed_to, failure] = std::from_chars(authority.data() + 1, last, parsed.port);
    const bool is_port = authority.front() == ':' && failure == std::errc() && parsed_to == last;
    if (!is_port || parsed.port == 0) return errc::url_port_invalid;
    return parsed;
}

constexpr bool is_dot(std::string_view segment) noexcept {
    return segment == "." || equal_ignoring_case(segment, "%2e");
}

constexpr bool is_dot_dot(std::string_view segment) noexcept {
    return segment == ".." || equal_ignoring_case(segment, ".%2e") || equal_ignoring_case(segment, "%2e.") ||
           equal_ignoring_case(segment, "%2e%2e");
}

/// \spec RFC 3986, section 5.2.4
inline std::string without_dot_segments(std::string_view path) {
    std::string result;
    while (!path.empty()) {
        const std::size_t end = path.find('/', 1);
        const std::string_view segment = path.substr(0, end);  // with the slash before it
        path.remove_prefix(segment.size());
        if (is_dot_dot(segment.substr(1))) {
            if (!result.empty()) result.erase(result.rfind('/'));
        } else if (!is_dot(segment.substr(1))) {
            result += segment;
            continue;
        }
        if (path.empty()) result += '/';
    }
    return result;
}

/// Percent-encodes what may not stand in a target but is no reason to refuse it.
/// \spec RFC 3986, section 3.3 and 3.4
inline std::string encode_target(std::string_view target) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    constexpr std::string_view encoded = " \"<>[]^`{|}";
    std::string result;
    for (const char byte : target) {
        const auto value = static_cast<unsigned char>(byte);
        if (value < 0x80 && encoded.find(byte) == std::string_view::npos) result += byte;
        else (result += '%') += {digits[value / 16], digits[value % 16]};
    }
    return result;
}

}  // namespace detail

/// Splits an absolute URL. What is percent-encoded stays so; dot segments are removed, and what may not stand
/// in path and query is percent-encoded: spaces too, for servers send them in Location, and browsers follow.
/// Those around the URL are no part of it.
///
/// \return `errc::url_invalid`, `errc::url_scheme_unsupported`, `errc::url_has_credentials`,
///         `errc::url_host_invalid`, `errc::url_port_invalid`
/// \note Deviation: a browser would guess what is meant by control characters and backslashes, and translate
///       the name of a host that is not ASCII. Here they are errors.
/// \spec RFC 3986
inline result<url> parse_url(std::string_view text) {
    text = detail::trim(text, " ");
    for (const char byte : text) {
        if (detail::is_control(byte) || byte == '\\') return errc::url_invalid;
    }
    const std::optional<std::string_view> scheme = detail::scheme_of(text);
    if (!scheme) return errc::url_invalid;
    std::string lower;
    for (const char byte : *scheme) lower += detail::to_lower(byte);
    if (lower != "http" && lower != "https") return errc::url_scheme_unsupported;

    text = text.substr(0, text.find('#')).substr(scheme->size() + 1);
    if (!text.starts_with("//")) return errc::url_invalid;
    text.remove_prefix(2);
    const std::string_view authority = text.substr(0, text.find_first_of("/?"));
    result<url> parsed = detail::split_authority(std::move(lower), authority);
    if (!parsed) return parsed;

    text.remove_prefix(authority.size());
    const std::string_view path = text.substr(0, text.find('?'));
    const std::string_view query = text.substr(path.size());
    parsed->target = path.empty() ? "/" : detail::encode_target(detail::without_dot_segments(path));
    parsed->target += detail::encode_target(query);
    return parsed;
}

/// The longest URL that a reference may lead to: eight times what RFC 9110 wants everybody to support.
/// Without a bound each of a row of redirects could lead to a longer one than the last, by three bytes for
/// each that was sent and has to be encoded.
inline constexpr std::size_t max_url_bytes = std::size_t{64} << 10;

/// Resolves a reference, such as the value of a Location field, against the URL that it came from.
///
/// \return as `parse_url`; an empty reference, and one that leads to more than `max_url_bytes`, is
///         `errc::url_invalid`
/// \spec RFC 3986, section 5.2.2
inline result<url> resolve_url(const url& base, std::string_view reference) {
    reference = detail::trim(reference, " ");
    if (reference.empty()) return errc::url_invalid;
    std::string absolute;
    if (reference.starts_with("//")) {
        absolute = base.scheme + ':';
    } else if (!detail::scheme_of(reference)) {
        const std::string_view target = base.target;
        const std::string_view path = target.substr(0, target.find('?'));
        std::string_view kept;  // of the base
        if (reference.starts_with('#')) kept = target;
        else if (reference.starts_with('?')) kept = path;
        else if (path.empty() && !reference.starts_with('/')) kept = "/";  // else the host would go on
        else if (!reference.starts_with('/')) kept = path.substr(0, path.rfind('/') + 1);
        absolute = origin(base).append(kept);
    }
    result<url> resolved = parse_url(absolute.append(reference));
    if (resolved && to_string(*resolved).size() > max_url_bytes) return errc::url_invalid;
    return resolved;
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

/// Where a list parts for the first time: at a comma that is in no quoted string. Its size if nowhere.
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

/// Whether a Content-Type names an event stream: its essence does, in any case and with any parameters. Of
/// several, joined by commas, the last counts that is a media type: as in browsers.
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
    /// Such as "https://example.org", byte for byte as browsers send it; "*" for any. None: only pages of the
    /// server's own origin.
    std::vector<std::string> origins{};

    /// Whether requests may come with what recognises the user, such as cookies. "*" then does not count: any
    /// page on the web could read what is meant for that user.
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
    headers result{{"Vary", "Origin"}};  // also where it is refused: a cache must not give this to others
    if (!is_named) return result;
    result.push_back({"Access-Control-Allow-Origin", std::string(from)});
    if (cors.credentials) result.push_back({"Access-Control-Allow-Credentials", "true"});
    return result;
}

/// The head that opens a stream: what keeps caches and proxies from holding it back, and who may read it.
///
/// It is for the caller to add what says where the body ends: over HTTP/1.1 `Connection: close`, or
/// `Transfer-Encoding: chunked`.
///
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes
inline response stream_response(const headers& request, const cors_options& cors = {}) {
    response result{.status = 200, .reason = "OK"};
    result.headers = {{"Content-Type", std::string(media_type)},
                      {"Cache-Control", "no-cache, no-transform"},  // else a proxy may compress, and wait
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

/// The same, but trying again where the server is but overloaded or restarting.
/// \note Deviation: for a browser each of these is final.
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

namespace detail {

inline constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// Reads a date without its day's name. In the form stand y, d, h, m and s for digits, `***` for the name of
/// the month, and all else for itself.
constexpr std::optional<std::int64_t> read_date(std::string_view date, std::string_view form) noexcept {
    if (date.size() != form.size()) return std::nullopt;
    int year = 0, day = 0, hour = 0, minute = 0, second = 0;
    for (std::size_t i = 0; i < form.size(); ++i) {
        int* number = nullptr;
        switch (form[i]) {
            case 'y': number = &year; break;
            case 'd': number = &day; break;
            case 'h': number = &hour; break;
            case 'm': number = &minute; break;
            case 's': number = &second; break;
            case '*': continue;
        }
        if (number ? !is_digit(date[i]) : date[i] != form[i]) return std::nullopt;
        if (number) *number = *number * 10 + (date[i] - '0');
    }
    if (form.find("yyyy") == std::string_view::npos) year += year < 70 ? 2000 : 1900;

    const std::size_t month_at = months.find(date.substr(form.find("***"), 3));
    if (month_at == std::string_view::npos || month_at % 3 != 0) return std::nullopt;
    const std::chrono::year_month_day ymd(std::chrono::year(year),
                                          std::chrono::January + std::chrono::months(month_at / 3),
                                          std::chrono::day(static_cast<unsigned>(day)));
    if (!ymd.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
    const auto days = std::int64_t{std::chrono::sys_days(ymd).time_since_epoch().count()};
    return ((days * 24 + hour) * 60 + minute) * 60 + second;
}

}  // namespace detail

/// The seconds since 1970 of a date as HTTP writes it: in today's form, or in one of the two of old. The name
/// of the day, which adds nothing, is not looked at.
/// \note Deviation: a year of two digits is 1970 to 2069, whatever the year is now.
/// \spec RFC 9110, section 5.6.7
constexpr std::optional<std::int64_t> parse_http_date(std::string_view date) noexcept {
    const std::size_t name_size = date.find_first_of(", ");
    if (name_size == std::string_view::npos) return std::nullopt;
    date.remove_prefix(name_size);
    for (const std::string_view form : {", dd *** yyyy hh:mm:ss GMT", ", dd-***-yy hh:mm:ss GMT",
                                        " *** dd hh:mm:ss yyyy", " ***  d hh:mm:ss yyyy"}) {
        if (const std::optional<std::int64_t> seconds = detail::read_date(date, form)) return seconds;
    }
    return std::nullopt;
}

/// The date in today's form: "Sun, 06 Nov 1994 08:49:37 GMT". Its year has four digits: time outside the years
/// 0 to 9999 is held at their first or their last second.
/// \spec RFC 9110, section 5.6.7
inline std::string format_http_date(std::int64_t seconds_since_1970) {
    constexpr std::int64_t first = -62'167'219'200, last = 253'402'300'799;
    const std::int64_t early = seconds_since_1970 < last ? seconds_since_1970 : last;
    const std::int64_t seconds = early > first ? early : first;
    const auto days = std::chrono::floor<std::chrono::days>(std::chrono::seconds(seconds));
    const std::chrono::year_month_day date{std::chrono::sys_days(days)};
    const auto time = static_cast<int>(seconds - std::int64_t{days.count()} * 86'400);
    constexpr std::string_view names = "ThuFriSatSunMonTueWed";  // day 0 was a Thursday

    std::string result;
    const auto put = [&](int number, const char* behind) {
        if (number < 10) result += '0';
        result.append(std::to_string(number)).append(behind);
    };
    const auto weekday = static_cast<std::size_t>((days.count() % 7 + 7) % 7);
    result.append(names.substr(3 * weekday, 3)).append(", ");
    put(static_cast<int>(unsigned{date.day()}), " ");
    const auto month = std::size_t{unsigned{date.month()}};
    result.append(detail::months.substr(3 * month - 3, 3)).append(" ");
    const int year = int{date.year()};
    put(year / 100, "");
    put(year % 100, " ");
    put(time / 3600, ":");
    put(time / 60 % 60, ":");
    put(time % 60, " GMT");
    return result;
}

/// How long a response asks to wait, by Retry-After: seconds, or a date, which is held against the response's
/// own Date, for these two come from one clock. Without that a date says nothing; the adapters then add when
/// the response came.
///
/// \return nothing where it does not ask, or not in a way that can be understood; never below zero
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

/// The longest last event ID that is sent back unless one says otherwise: servers bound a request's head,
/// often at 8 KiB.
inline constexpr std::size_t default_max_last_event_id_bytes = 4096;

/// Whether an ID can be the value of a Last-Event-ID field: neither empty nor too long, and without control
/// characters. What a server sent as `id` may be neither.
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
