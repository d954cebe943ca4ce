// What can go wrong, as a value. Layer 0.
//
//     if (sse::error error = sse::encode_to(out, message)) log(error.message());
#pragma once

#include "detail/macros.hpp"

#include <cassert>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace sse {

/// Every way in which a call of this library fails.
///
/// A malformed stream is not among them: the standard gives each byte of it a meaning.
enum class errc {
    ok = 0,
    event_too_large,         ///< parser, channel: larger than `max_event_bytes`, than `max_bytes` allows
    called_from_handler,     ///< parser: called from inside its own handler; nothing was done
    event_has_line_break,    ///< encoder: `event` holds CR or LF
    id_has_line_break,       ///< encoder: `id` holds CR or LF
    id_has_nul,              ///< encoder: `id` holds NUL
    retry_negative,          ///< encoder: `retry` is below zero
    buffer_too_small,        ///< encoder: the message does not fit in the span, which is not shortened
    sink_failed,             ///< encoder: the sink refused the bytes, or took only a part of them
    source_failed,           ///< events(): the source reported a failure without saying which
    url_invalid,             ///< client: the URL is not an absolute one, or holds what none can
    url_scheme_unsupported,  ///< client: the URL is neither http nor https
    url_has_credentials,     ///< client: the URL holds a user's name or password
    url_host_invalid,        ///< client: the URL's host is neither a name nor an address
    url_port_invalid,        ///< client: the URL's port is not a number from 1 to 65535
    header_name_invalid,     ///< client, server: a header's name is no token
    header_value_invalid,    ///< client, server: a header's value holds a control character
    method_invalid,          ///< client: the method is no token, has no response to read, or no body
    last_event_id_invalid,   ///< client: the ID to begin with is too long, or holds what no header can
    status_refused,          ///< client: a status that is neither success nor a redirect
    no_content,              ///< client: 204, by which the server asks not to come back
    not_event_stream,        ///< client: a successful response of another media type
    redirect_invalid,        ///< client: a redirect to nowhere
    redirect_insecure,       ///< client: a redirect from https to http
    too_many_redirects,      ///< client: more in a row than `max_redirects`
    tls_unavailable,         ///< client: the URL is https, and the adapter has no TLS
    connection_ended,        ///< client: the response is complete, or the connection was closed
    timed_out,               ///< client: silent for longer than `response_timeout` or `idle_timeout`
    already_running,         ///< client: `run` inside a run, or a listener, of the same source
    http_malformed,          ///< http1: a start line, a field or a chunk is not as HTTP/1.1 has it
    http_head_too_large,     ///< http1: a head exceeds `max_head_bytes` or `max_headers`
    http_framing,            ///< http1: fields contradict each other on where the body ends
    http_unsupported,        ///< http1, client: a coding other than chunked, or another protocol
    http_cut_off,            ///< http1: the connection ended before the message did
    channel_closed,          ///< channel: nothing can be published any more
    no_randomness,  ///< channel: the system gives no random bytes, which IDs of the caller's own need
    id_reserved,    ///< channel: `id` begins as the IDs that the channel makes
};

namespace detail {

constexpr std::string_view describe(errc code) noexcept {
    switch (code) {
        case errc::ok: return "no error";
        case errc::event_too_large: return "event: larger than max_event_bytes or a channel's bytes allow";
        case errc::called_from_handler: return "parser: called from inside its own handler";
        case errc::event_has_line_break: return "event: contains CR or LF, which would end the field";
        case errc::id_has_line_break: return "id: contains CR or LF, which would end the field";
        case errc::id_has_nul: return "id: contains NUL, for which receivers ignore the field";
        case errc::retry_negative: return "retry: negative, but only digits can be sent";
        case errc::buffer_too_small: return "buffer: too small for the encoded message";
        case errc::sink_failed: return "sink: did not take all the bytes";
        case errc::source_failed: return "source: could not be read";
        case errc::url_invalid: return "url: not an absolute URL, or with characters that none can hold";
        case errc::url_scheme_unsupported: return "url: does not begin with http:// or https://";
        case errc::url_has_credentials: return "url: holds a user name; send an Authorization header instead";
        case errc::url_host_invalid: return "url: the host is neither an ASCII name nor an address";
        case errc::url_port_invalid: return "url: the port is not a number from 1 to 65535";
        case errc::header_name_invalid: return "header: the name is not a token";
        case errc::header_value_invalid: return "header: the value contains a control character or line end";
        case errc::method_invalid: return "method: not a token, HEAD or CONNECT, or GET with a body";
        case errc::last_event_id_invalid: return "last event id: too long, or with what no header can hold";
        case errc::status_refused: return "response: refused because of its status";
        case errc::no_content: return "response: 204, the server asks not to come back";
        case errc::not_event_stream: return "response: the media type is not text/event-stream";
        case errc::redirect_invalid: return "redirect: without a Location that could be followed";
        case errc::redirect_insecure: return "redirect: from https to http";
        case errc::too_many_redirects: return "redirect: one too many in a row";
        case errc::tls_unavailable: return "url: https, for which this adapter has no TLS";
        case errc::connection_ended: return "connection: ended";
        case errc::timed_out: return "connection: silent for too long";
        case errc::already_running: return "run: the event source is running already";
        case errc::http_malformed: return "http: a start line, header or chunk is not as HTTP/1.1 has it";
        case errc::http_head_too_large: return "http: larger than max_head_bytes or max_headers allows";
        case errc::http_framing: return "http: the headers contradict each other on where the body ends";
        case errc::http_unsupported: return "http: a coding other than chunked, or another protocol";
        case errc::http_cut_off: return "http: the connection ended before the message did";
        case errc::channel_closed: return "channel: closed";
        case errc::no_randomness: return "channel: the system gives no random bytes";
        case errc::id_reserved: return "id: begins as the channel's own IDs do";
    }
    return "unknown error";
}

}  // namespace detail

/// The category of this library's codes; its name is "sse".
///
/// Its codes compare equal to the std::errc nearest in meaning (`invalid_argument`, `message_size`,
/// `no_buffer_space`, `io_error`, `bad_message`, `protocol_error`, `protocol_not_supported`,
/// `connection_reset`, `timed_out`, `operation_not_permitted`, `operation_in_progress`, `broken_pipe`).
const std::error_category& category() noexcept;

std::error_code make_error_code(errc code) noexcept;

/// The outcome of a call: true where something went wrong.
///
///     if (sse::error error = parser.feed(bytes, use)) return error;
///
/// A literal type, so that what returns it works in constant expressions; it converts to
/// `std::error_code`, which is none.
class [[nodiscard]] error {
public:
    constexpr error() noexcept = default;
    constexpr error(errc code) noexcept : code_(code) {}

    constexpr explicit operator bool() const noexcept { return code_ != errc::ok; }
    constexpr errc code() const noexcept { return code_; }

    /// Names the field and what is wrong with it. Lives as long as the program.
    constexpr std::string_view message() const noexcept { return detail::describe(code_); }

    operator std::error_code() const noexcept {
        if (code_ == errc::ok) return {};
        return make_error_code(code_);
    }

    friend constexpr bool operator==(error, error) noexcept = default;

private:
    errc code_ = errc::ok;
};

/// The value that a call brings, or the error that kept it from that: true if there is a value.
///
///     if (auto url = sse::parse_url(text)) use(*url);
///     else report(url.error());
///
/// A small std::expected, which C++20 does not have. `T` has a default constructor.
template <class T>
class [[nodiscard]] result {
public:
    using value_type = T;

    constexpr result(T value) : value_(std::move(value)) {}

    /// \pre `error` is true
    constexpr result(sse::error error) : error_(error) { assert(error); }
    constexpr result(errc code) : result(sse::error(code)) {}

    constexpr explicit operator bool() const noexcept { return !error_; }

    /// No error if there is a value.
    constexpr sse::error error() const noexcept { return error_; }

    /// The value. \pre there is one; in release builds it is otherwise a default-constructed `T`
    constexpr T& operator*() & noexcept SSE_LIFETIMEBOUND { return checked(); }
    constexpr const T& operator*() const& noexcept SSE_LIFETIMEBOUND { return checked(); }
    constexpr T&& operator*() && noexcept SSE_LIFETIMEBOUND { return std::move(checked()); }
    constexpr T* operator->() noexcept SSE_LIFETIMEBOUND { return &checked(); }
    constexpr const T* operator->() const noexcept SSE_LIFETIMEBOUND { return &checked(); }

private:
    constexpr T& checked() noexcept {
        assert(!error_);
        return value_;
    }
    constexpr const T& checked() const noexcept {
        assert(!error_);
        return value_;
    }

    T value_{};
    sse::error error_{};
};

namespace detail {

class error_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "sse"; }

    std::string message(int code) const override { return std::string(describe(static_cast<errc>(code))); }

    std::error_condition default_error_condition(int code) const noexcept override {
        switch (static_cast<errc>(code)) {
            case errc::event_too_large:
            case errc::http_head_too_large: return std::errc::message_size;
            case errc::called_from_handler: return std::errc::operation_not_permitted;
            case errc::event_has_line_break:
            case errc::id_has_line_break:
            case errc::id_has_nul:
            case errc::retry_negative:
            case errc::url_invalid:
            case errc::url_scheme_unsupported:
            case errc::url_has_credentials:
            case errc::url_host_invalid:
            case errc::url_port_invalid:
            case errc::header_name_invalid:
            case errc::header_value_invalid:
            case errc::method_invalid:
            case errc::last_event_id_invalid:
            case errc::id_reserved: return std::errc::invalid_argument;
            case errc::status_refused:
            case errc::no_content:
            case errc::not_event_stream:
            case errc::redirect_invalid:
            case errc::redirect_insecure:
            case errc::too_many_redirects: return std::errc::protocol_error;
            case errc::tls_unavailable: return std::errc::protocol_not_supported;
            case errc::connection_ended:
            case errc::http_cut_off: return std::errc::connection_reset;
            case errc::timed_out: return std::errc::timed_out;
            case errc::already_running: return std::errc::operation_in_progress;
            case errc::buffer_too_small: return std::errc::no_buffer_space;
            case errc::sink_failed:
            case errc::source_failed:
            case errc::no_randomness: return std::errc::io_error;
            case errc::http_malformed:
            case errc::http_framing: return std::errc::bad_message;
            case errc::http_unsupported: return std::errc::protocol_error;
            case errc::channel_closed: return std::errc::broken_pipe;
            case errc::ok: break;
        }
        return {code, *this};
    }
};

}  // namespace detail

inline const std::error_category& category() noexcept {
    static const detail::error_category instance;
    return instance;
}

inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), category()};
}

}  // namespace sse

template <>
struct std::is_error_code_enum<sse::errc> : std::true_type {};
