// Just enough HTTP/1.1 for those who have only a socket: heads and bodies, both ways, no I/O. Layer 4.
//
//     sse::response_reader reader;
//     for (sse::http_part part; (part = reader.next(bytes)) != sse::http_part::none;) …
#pragma once

#include "detail/ascii.hpp"
#include "detail/body_framing.hpp"
#include "detail/head_lines.hpp"
#include "detail/macros.hpp"
#include "detail/message_checks.hpp"
#include "detail/sink.hpp"
#include "error.hpp"
#include "http.hpp"
#include "url.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace sse {

struct http1_options {
    /// The most bytes of a head, from its start line to its empty line, with the line ends and with what is
    /// skipped before it: interim responses, empty lines. The trailers are bounded by the same, and so is the
    /// line before each chunk. Servers send one or two KiB, and with many cookies a few more.
    std::size_t max_head_bytes = std::size_t{64} << 10;

    /// The most fields of a head: each costs memory besides its bytes.
    std::size_t max_headers = 256;
};

/// What a reader has taken off the front of the bytes.
enum class http_part : unsigned char {
    none,  ///< nothing is complete, and more bytes are needed; or there is an error; or the end has been told
    head,  ///< all of the head
    body,  ///< some bytes of the body
    end,   ///< the end of the body
};

namespace detail {

/// What the readers of requests and of responses share: everything except the start line and the meaning of a
/// head's fields for its body.
///
/// A message goes through the states below from top to bottom, except that of the five kinds of body it takes
/// one, that a chunk's line leads to its data or to the trailers, and that a body of no bytes leads to `end`.
/// An error stops the machine in its state, until `begin()`.
class message_reader {
protected:
    enum class state : unsigned char {
        start_line,
        fields,
        sized_body,    // left_ bytes, not none
        unsized_body,  // to the end of the connection
        chunk_line,    // the size of a chunk
        chunk_data,    // left_ bytes, not none
        chunk_cr,      // the line end after them
        chunk_lf,
        trailers,  // which nobody is told
        end,       // the caller has yet to be told
        over,      // the caller has been told
    };

    head_lines lines_;
    state state_ = state::start_line;
    sse::error error_{};
    int minor_version_ = 0;    // the x of HTTP/1.x, once the start line has been read
    std::string_view body_{};  // what was taken last of the body

private:
    headers trailers_{};
    unsigned long long left_ = 0;  // of the body, or of the chunk
    bool folds_;                   // a field may go on in the next line
    bool keep_alive_ = false;      // both sides keep the connection after this message

protected:
    message_reader(const http1_options& options, bool folds) noexcept
        : lines_({.max_bytes = options.max_head_bytes, .max_fields = options.max_headers}), folds_(folds) {}

    /// Takes a line of the head, unless the head is complete.
    ///
    /// \return the line, if it is complete
    std::optional<std::string_view> take_head_line(std::string_view& bytes) {
        const bool in_head = state_ == state::start_line || state_ == state::fields;
        if (!in_head || error_) return std::nullopt;
        const auto line = lines_.take_line(bytes);
        error_ = lines_.error();
        return line;
    }

    sse::error add_field(std::string_view line, headers& fields) const {
        return lines_.add_field(line, fields, folds_);
    }

    /// The head is complete, and the body has this framing.
    void begin_body(const body_framing& framing, const headers& fields) {
        const bool ends_by_itself = framing.chunked || framing.length;
        keep_alive_ = ends_by_itself && persists(minor_version_, fields);
        left_ = framing.length.value_or(UINT64_MAX);
        if (framing.chunked) state_ = state::chunk_line;
        else if (left_ == 0) state_ = state::end;
        else state_ = framing.length ? state::sized_body : state::unsized_body;
        lines_.restore_room();
    }

    /// Takes what follows the head, once the head is complete.
    http_part take_body_part(std::string_view& bytes) {
        while (!error_) {
            switch (state_) {
                case state::start_line:
                case state::fields: return http_part::none;

                case state::sized_body:
                case state::unsized_body: return take_body(bytes, state::end);

                case state::chunk_line:
                    if (const auto line = take_chunk_line(bytes)) error_ = read_chunk_line(*line);
                    else return http_part::none;
                    break;
                case state::chunk_data: return take_body(bytes, state::chunk_cr);
                case state::chunk_cr:
                    if (!take_byte(bytes, '\r', state::chunk_lf)) return http_part::none;
                    break;
                case state::chunk_lf:
                    if (!take_byte(bytes, '\n', state::chunk_line)) return http_part::none;
                    break;
                case state::trailers:
                    if (const auto line = take_chunk_line(bytes)) error_ = read_trailer(*line);
                    else return http_part::none;
                    break;

                case state::end: state_ = state::over; return http_part::end;
                case state::over: return http_part::none;
            }
        }
        return http_part::none;
    }

    /// The connection has ended. That is an error in the middle of a message, and before a message that is
    /// due.
    http_part take_end(bool is_due) noexcept {
        keep_alive_ = false;
        if (error_ || state_ == state::over) return http_part::none;
        const bool may_end = state_ == state::unsized_body || state_ == state::end;
        const bool has_begun = state_ != state::start_line || lines_.is_within_line();
        if (!may_end && (has_begun || is_due)) error_ = errc::http_cut_off;
        else state_ = state::over;
        return may_end ? http_part::end : http_part::none;
    }

    void begin() noexcept {
        lines_.reset();
        state_ = state::start_line;
        headers().swap(trailers_);  // `= {}` would keep their memory
        body_ = {};
        error_ = {};
    }

    bool may_go_on() const noexcept { return keep_alive_ && state_ == state::over; }

private:
    http_part take_body(std::string_view& bytes, state after_it) noexcept {
        if (bytes.empty()) return http_part::none;
        body_ = left_ < bytes.size() ? bytes.substr(0, static_cast<std::size_t>(left_)) : bytes;
        left_ -= body_.size();
        bytes.remove_prefix(body_.size());
        if (left_ == 0) state_ = after_it;
        return http_part::body;
    }

    std::optional<std::string_view> take_chunk_line(std::string_view& bytes) {
        const auto line = lines_.take_chunk_line(bytes);
        error_ = lines_.error();
        return line;
    }

    sse::error read_trailer(std::string_view line) {
        if (!line.empty()) return add_field(line, trailers_);
        state_ = state::end;
        return {};
    }

    ///     chunk-size [ chunk-ext ] CRLF
    ///
    /// Section 7.1.1: a recipient ignores extensions that it does not understand. This one understands none.
    /// Some servers pad the size with spaces.
    /// \spec RFC 9112, section 7.1
    sse::error read_chunk_line(std::string_view line) noexcept {
        const auto [size_end, failure] = std::from_chars(line.data(), line.data() + line.size(), left_, 16);
        const auto rest = trim(line.substr(static_cast<std::size_t>(size_end - line.data())));
        const bool is_extension = rest.starts_with(';') && !has_control(rest);
        if (failure != std::errc() || (!rest.empty() && !is_extension)) return errc::http_malformed;
        lines_.restore_room();
        state_ = left_ == 0 ? state::trailers : state::chunk_data;
        return {};
    }

    /// Takes one byte, which must be the expected one.
    ///
    /// \return whether there was a byte and it was that one
    bool take_byte(std::string_view& bytes, char expected, state after_it) noexcept {
        if (bytes.empty()) return false;
        if (bytes.front() != expected) {
            error_ = errc::http_malformed;
            return false;
        }
        bytes.remove_prefix(1);
        state_ = after_it;
        return true;
    }
};

}  // namespace detail

// Reading

/// Reads a response, in chunks of any size: its head, then its body, of which nothing is copied.
///
///     for (sse::http_part part; (part = reader.next(bytes)) != sse::http_part::none;) {
///         if (part == sse::http_part::head) check(reader.response());
///         if (part == sse::http_part::body) error = parser.feed(reader.body(), use);
///     }
///     if (reader.error()) …  // else read more bytes, until the end has been told
///
/// Parts are the same under every chunking, except how the body is cut. Retained are the head, the trailers
/// and one unfinished line, each within the bounds, until `reset()`.
///
/// \pre the request was neither HEAD nor CONNECT: their responses end elsewhere
/// \throws from `next`: what the allocator throws. Only `reset()` may follow.
/// \complexity linear in the bytes, in every shape of them. No allocation while the body is read, except for
///             trailers and for the extensions of a chunk that are cut: room for these is kept.
/// \spec RFC 9112
class response_reader : detail::message_reader {
    sse::response response_{};  // of this response; told once its head is complete

public:
    response_reader() : response_reader(http1_options{}) {}
    explicit response_reader(const http1_options& options) : message_reader(options, true) {}

    /// Takes bytes off the front of `bytes`, up to the end of the next part, which may need no bytes.
    ///
    /// \return none: call again with the bytes that follow, unless `error()` is set or the end has been told.
    ///         In both cases nothing more is taken.
    ///         head: `response()` is that of the final response; interim ones are skipped, section 15.2 of
    ///         RFC 9110
    ///         body: `body()` has at least one byte
    ///         end: `bytes` begins with what follows the response
    [[nodiscard]] http_part next(std::string_view& bytes) {
        while (const auto line = take_head_line(bytes)) {
            if (state_ == state::start_line) error_ = read_status_line(*line);
            else if (!line->empty()) error_ = add_field(*line, response_.headers);
            else if (end_head()) return http_part::head;
        }
        return take_body_part(bytes);
    }

    /// The connection has ended.
    ///
    /// \return end, where the body may end so, having neither length nor chunks: whether it was cut off is
    ///         not to be known. Else none, and `errc::http_cut_off` is set unless the end has been told.
    /// \spec RFC 9112, section 8
    http_part finish() noexcept { return take_end(true); }

    /// The head, once it has been told, until `reset()`.
    const sse::response& response() const noexcept SSE_LIFETIMEBOUND { return response_; }

    /// What `next` took last of the body: a view into the bytes it was given, living as long as these.
    std::string_view body() const noexcept { return body_; }

    /// What stopped the reader, until `reset()`.
    /// - `errc::http_malformed`, `errc::http_head_too_large`, `errc::http_cut_off`
    /// - `errc::http_framing`: it is not certain where the body ends
    /// - `errc::http_unsupported`: another transfer coding than chunked, or the server changed the protocol
    sse::error error() const noexcept { return error_; }

    /// Whether the connection can be used again: asked when the end has been told, and false before, and once
    /// the connection has ended.
    /// \spec RFC 9112, section 9.3
    bool keep_alive() const noexcept { return may_go_on(); }

    /// For the next response, be it on this connection or on another.
    void reset() noexcept {
        begin();
        response_ = {};
    }

private:
    /// \spec RFC 9112, section 4: the reason may be missing; that the space before it is too, is tolerated.
    sse::error read_status_line(std::string_view line) {
        // "HTTP/1.1 200 OK", "HTTP/1.1 200"
        if (line.size() < 12 || line[8] != ' ' || (line.size() > 12 && line[12] != ' ')) {
            return errc::http_malformed;
        }
        minor_version_ = detail::minor_version(line.substr(0, 8));
        const std::string_view status = line.substr(9, 3);
        const std::string_view reason = line.substr(line.size() > 12 ? 13 : 12);
        static_cast<void>(std::from_chars(status.data(), status.data() + status.size(), response_.status));
        const bool is_status = response_.status >= 100;  // and so three digits
        if (minor_version_ < 0 || !is_status || detail::has_control(reason)) return errc::http_malformed;
        response_.reason = reason;
        state_ = state::fields;
        return {};
    }

    /// \return whether this was the head of the final response
    bool end_head() {
        const int status = response_.status;
        if (status == 101) {
            error_ = errc::http_unsupported;  // nobody has asked for another protocol
            return false;
        }
        if (status < 200) {
            response_ = {};
            state_ = state::start_line;
            return false;
        }
        // RFC 9112, section 6.3: these have no body, whatever their fields say.
        detail::body_framing framing{.length = 0};
        if (status != 204 && status != 304) {
            const auto found = detail::find_framing(minor_version_, response_.headers);
            error_ = found.error();
            if (error_) return false;
            framing = *found;
        }
        begin_body(framing, response_.headers);
        return true;
    }
};

/// Reads a request, in chunks of any size: its head, then its body, of which nothing is copied. For servers.
///
///     for (sse::http_part part; (part = reader.next(bytes)) != sse::http_part::none;) {
///         if (part == sse::http_part::body) body += reader.body();
///         if (part != sse::http_part::end) continue;
///         answer(reader.request(), std::exchange(body, {}));
///         if (reader.keep_alive()) reader.reset();  // goes on with the request that may follow in `bytes`
///     }
///     if (reader.error()) …  // else read more bytes, as long as the connection is kept
///
/// Parts are the same under every chunking, except how the body is cut. Retained are the head, the trailers
/// and one unfinished line, each within the bounds, until `reset()`. The body has no bound: that is for the
/// caller, who knows what it is for.
///
/// \throws as `response_reader`
/// \complexity as `response_reader`
/// \spec RFC 9112
class request_reader : detail::message_reader {
    sse::request request_{};         // until the head is complete, its URL has only the target as it was sent
    unsigned char empty_lines_ = 0;  // before the request line
    static constexpr unsigned char max_empty_lines = 4;

public:
    request_reader() : request_reader(http1_options{}) {}
    explicit request_reader(const http1_options& options) : message_reader(options, false) {}

    /// Takes bytes off the front of `bytes`, up to the end of the next part, which may need no bytes.
    ///
    /// \return none: call again with the bytes that follow, unless `error()` is set or the end has been told.
    ///         In both cases nothing more is taken.
    ///         head: `request()` is complete. Where it has `Expect: 100-continue`, the client may wait for
    ///         that status before it sends the body: section 10.1.1 of RFC 9110
    ///         body: `body()` has at least one byte
    ///         end: `bytes` begins with what follows the request. One without Content-Length and
    ///         Transfer-Encoding has no body.
    [[nodiscard]] http_part next(std::string_view& bytes) {
        while (const auto line = take_head_line(bytes)) {
            if (state_ == state::start_line) error_ = read_request_line(*line);
            else if (!line->empty()) error_ = add_field(*line, request_.headers);
            else if (end_head()) return http_part::head;
        }
        return take_body_part(bytes);
    }

    /// The connection has ended.
    ///
    /// \return end, where all of the request had come and this was not told. Else none, and in the midst of a
    ///         request `errc::http_cut_off` is set. Before one it is not: the client has just left.
    /// \post nothing more is taken until `reset()`
    /// \spec RFC 9112, section 8
    http_part finish() noexcept { return take_end(false); }

    /// The head, once it has been told, until `reset()`. Its URL is what the target and the Host field say:
    /// the scheme is "http" unless the target names another, and the host is empty where an HTTP/1.0 client
    /// sent none. Its body is empty: see `body()`.
    const sse::request& request() const noexcept SSE_LIFETIMEBOUND { return request_; }

    /// What `next` took last of the body: a view into the bytes it was given, living as long as these.
    std::string_view body() const noexcept { return body_; }

    /// Whether the response may come in chunks, which a client of HTTP/1.0 does not understand.
    bool takes_chunks() const noexcept { return minor_version_ > 0; }

    /// What stopped the reader, until `reset()`. The connection cannot be used again, for it is not certain
    /// where another request would begin.
    /// - `errc::http_malformed`: also where the Host field is missing, or there are two
    /// - `errc::http_head_too_large`, `errc::http_cut_off`
    /// - `errc::http_framing`: it is not certain where the body ends
    /// - `errc::http_unsupported`: another transfer coding than chunked
    sse::error error() const noexcept { return error_; }

    /// Whether the client keeps the connection, for another request: asked when the end has been told, and
    /// false before, and once the connection has ended.
    /// \spec RFC 9112, section 9.3
    bool keep_alive() const noexcept { return may_go_on(); }

    /// For the next request, be it on this connection or on another.
    void reset() noexcept {
        begin();
        request_ = {};
        empty_lines_ = 0;
    }

private:
    ///     method SP request-target SP HTTP-version
    ///
    /// \spec RFC 9112, section 3
    sse::error read_request_line(std::string_view line) {
        // Some clients end the body before with a line end too many: section 2.2.
        if (line.empty() && ++empty_lines_ <= max_empty_lines) return {};
        const std::size_t method_size = line.find(' ');
        const std::size_t target_end = line.rfind(' ');
        if (method_size == target_end) return errc::http_malformed;
        const std::string_view method = line.substr(0, method_size);
        const std::string_view target = line.substr(method_size + 1, target_end - method_size - 1);
        minor_version_ = detail::minor_version(line.substr(target_end + 1));
        if (!detail::is_token(method) || !detail::is_target(target) || minor_version_ < 0) {
            return errc::http_malformed;
        }
        request_.method = method;
        request_.url.target = target;
        state_ = state::fields;
        return {};
    }

    /// \return whether the head is as it should be
    bool end_head() {
        const auto found = detail::find_framing(minor_version_, request_.headers);
        error_ = found.error();
        if (!error_ && !find_url()) error_ = errc::http_malformed;
        if (error_) return false;
        detail::body_framing framing = *found;
        if (!framing.chunked && !framing.length) framing.length = 0;  // section 6.3
        begin_body(framing, request_.headers);
        return true;
    }

    /// \spec RFC 9112, section 3.2 and 3.3
    bool find_url() {
        std::size_t hosts = 0;
        for (const header& field : request_.headers) hosts += equal_ignoring_case(field.name, "Host");
        if (hosts > 1 || (hosts == 0 && minor_version_ > 0)) return false;

        const std::string target = std::move(request_.url.target);
        request_.url = {};
        request_.url.scheme = "http";
        const std::string_view host = find_header(request_.headers, "Host").value_or(std::string_view());
        if (!host.empty()) {
            result<url> named = detail::split_authority("http", host);
            if (!named) return false;
            request_.url = *std::move(named);
        }
        if (target.starts_with('/')) {
            request_.url.target = target;
            return true;
        }
        // In absolute-form the Host field does not count, and is replaced. The other forms are for proxies
        // and OPTIONS.
        result<url> absolute = parse_url(target);
        if (!absolute) return false;
        request_.url = *std::move(absolute);
        for (header& field : request_.headers) {
            if (equal_ignoring_case(field.name, "Host")) field.value = authority(request_.url);
        }
        return true;
    }
};

// Writing

namespace detail {

template <class Output, class... Parts>
void put_parts(Output& output, const Parts&... parts) {
    (output.put(parts), ...);
}

inline std::string to_hex(std::size_t value) {
    std::array<char, 2 * sizeof(value)> digits{};
    return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr};
}

}  // namespace detail

/// Writes a request with its body: the request line, Host, the request's own fields, Content-Length if there
/// is a body or the method is POST, PUT or PATCH.
///
/// A Host field of the request's own takes the place of the URL's host; a Content-Length or Transfer-Encoding
/// of its own is left out, for it is known here what is true.
///
/// \return before a byte is written: `errc::method_invalid`, `errc::url_invalid` for the target,
///         `errc::url_host_invalid`, `errc::url_port_invalid`, `errc::header_name_invalid`,
///         `errc::header_value_invalid`, and for a span `errc::buffer_too_small`. While writing: what the
///         sink reports, as from `encode_to`.
/// \throws as `encode_to`, and what allocating a copy of the host throws
/// \spec RFC 9112, section 3; RFC 9110, section 7.2 and 8.6
template <class Sink>
[[nodiscard]] detail::sink_error_t<Sink> write_request(Sink&& sink, const request& request) {
    if (const sse::error refused = detail::check(request)) return refused;
    std::string host = authority(request.url);
    if (const auto own = find_header(request.headers, "Host")) host = *own;
    const std::string length = std::to_string(request.body.size());
    return detail::write_through(
        sink,
        [&](auto& output) {
            detail::put_parts(output, request.method, " ", request.url.target, " HTTP/1.1\r\n");
            detail::put_parts(output, "Host: ", host, "\r\n");
            for (const auto& [name, value] : request.headers) {
                if (!detail::is_written_apart(name)) detail::put_parts(output, name, ": ", value, "\r\n");
            }
            if (detail::has_content(request)) detail::put_parts(output, "Content-Length: ", length, "\r\n");
            detail::put_parts(output, "\r\n", request.body);
        },
        request.body);
}

/// Writes the head of a response: the status line and the fields as they are given. It is for the caller to
/// add what says where the body ends: `Transfer-Encoding: chunked`, a Content-Length, or `Connection: close`.
///
/// \return before a byte is written: `errc::http_malformed` for the status or the reason,
///         `errc::header_name_invalid`, `errc::header_value_invalid`; else as `write_request`
/// \throws as `encode_to`
/// \spec RFC 9112, section 4
template <class Sink>
[[nodiscard]] detail::sink_error_t<Sink> write_head(Sink&& sink, const response& response) {
    if (const sse::error refused = detail::check(response)) return refused;
    const std::string status = std::to_string(response.status);
    return detail::write_through(sink, [&](auto& output) {
        detail::put_parts(output, "HTTP/1.1 ", status, " ", response.reason, "\r\n");
        for (const auto& [name, value] : response.headers) {
            detail::put_parts(output, name, ": ", value, "\r\n");
        }
        output.put("\r\n");
    });
}

/// Writes a part of a body that goes in chunks. Of no bytes, nothing: that would end the body.
///
/// \return as `write_head`
/// \throws as `encode_to`
/// \spec RFC 9112, section 7.1
template <class Sink>
[[nodiscard]] detail::sink_error_t<Sink> write_chunk(Sink&& sink, std::string_view bytes) {
    if (bytes.empty()) return {};
    const std::string size = detail::to_hex(bytes.size());
    return detail::write_through(
        sink, [&](auto& output) { detail::put_parts(output, size, "\r\n", bytes, "\r\n"); }, bytes);
}

/// Ends a body that goes in chunks.
///
/// \return as `write_head`
/// \throws as `encode_to`
template <class Sink>
[[nodiscard]] detail::sink_error_t<Sink> write_last_chunk(Sink&& sink) {
    return detail::write_through(sink, [](auto& output) { output.put("0\r\n\r\n"); });
}

}  // namespace sse
