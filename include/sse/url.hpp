// http and https URLs, and the references that lead from one to another. Layer 3.
//
//     const auto url = sse::parse_url("https://example.org/stream");
//     if (!url) return url.error();
#pragma once

#include "detail/ascii.hpp"
#include "detail/macros.hpp"
#include "error.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

// Functions that return strings or URLs throw what the allocator throws, and nothing else.

namespace sse {

/// An http or https URL, split into what a client needs of it.
struct url {
    std::string scheme;      ///< "http" or "https"
    std::string host;        ///< in lower case; an IPv6 address in its brackets
    std::uint16_t port = 0;  ///< that of the scheme if the URL names none
    std::string target;      ///< path and query, from the first slash on, without the fragment

    friend bool operator==(const url&, const url&) = default;
};

/// Host and port, as in a Host field: the port only if it is not that of the scheme.
inline std::string authority(const url& url) {
    const bool is_default = url.port == (url.scheme == "https" ? 443 : 80);
    return is_default ? url.host : url.host + ':' + std::to_string(url.port);
}

/// The host as getaddrinfo() takes it: an IPv6 address without its brackets.
/// \post the view lives as long as the URL
inline std::string_view host_name(const url& url SSE_LIFETIMEBOUND) noexcept {
    const std::string_view host = url.host;
    return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

/// Scheme, host and port, as in an event's `origin`: "https://example.org".
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

/// A rough check of an IPv6 address in brackets: connecting to it does the rest.
constexpr bool is_bracketed_address(std::string_view host) noexcept {
    if (host.size() < 4 || !host.ends_with(']')) return false;
    for (const char byte : host.substr(1, host.size() - 2)) {
        if (!is_hex_digit(byte) && byte != ':' && byte != '.') return false;
    }
    return host.find(':') != std::string_view::npos;
}

/// Splits an authority into host and port. The target of the result is empty.
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

/// Percent-encodes the characters that a target may not hold, except those for which a URL is refused.
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

/// Splits an absolute URL. Spaces around it are ignored. Dot segments are removed. Percent-encoding stays as
/// it is, and what path and query may not hold is percent-encoded: spaces too, because servers send them in
/// Location and browsers follow.
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
/// Without this limit each redirect in a row could lead to a longer URL than the one before, because a byte
/// that must be encoded becomes three.
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
        else if (path.empty() && !reference.starts_with('/'))
            kept = "/";  // otherwise it would continue the host
        else if (!reference.starts_with('/')) kept = path.substr(0, path.rfind('/') + 1);
        absolute = origin(base).append(kept);
    }
    result<url> resolved = parse_url(absolute.append(reference));
    if (resolved && to_string(*resolved).size() > max_url_bytes) return errc::url_invalid;
    return resolved;
}

}  // namespace sse
