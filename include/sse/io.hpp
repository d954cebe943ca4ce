// Where bytes come from: the source concept, and the events of a source. Layer 3.
//
//     for (const sse::event_view& event : sse::events(source)) use(event);
#pragma once

#include "detail/event_buffer.hpp"
#include "detail/macros.hpp"
#include "error.hpp"
#include "event.hpp"
#include "parser.hpp"
#include "sink.hpp"

#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdio>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace sse {

/// What a source says of one attempt to read.
struct read_result {
    std::size_t bytes = 0;    ///< how many it filled in, from the front; 0 and nothing else: read again
    bool end = false;         ///< nothing comes after these bytes
    std::error_code error{};  ///< what went wrong after these bytes
};

namespace detail {

template <class Result>
concept says_how_many = std::same_as<Result, read_result> || says_count<Result>;

template <class Source>
concept has_read = requires(Source& source, std::span<char> room) {
    { source.read(room) } -> says_how_many;
};

template <class Source>
concept fills_span = requires(Source& source, std::span<char> room) {
    { source(room) } -> says_how_many;
};

template <class Source>
concept is_istream = requires(Source& source, char* bytes) {
    source.rdbuf()->sgetn(bytes, source.rdbuf()->in_avail());
    source.rdbuf()->sgetc();
    static_cast<bool>(source);
};

}  // namespace detail

/// Fills in bytes, waiting until there is at least one. The exemplar:
///
///     struct my_socket {
///         sse::read_result read(std::span<char> room);
///     };
///
/// Instead of an sse::read_result it may return an integer, as read(2): how many bytes came, 0 for the end,
/// less than 0 for a failure, which becomes `errc::source_failed`.
///
/// Models: what has `read(std::span<char>)`; a callable of `std::span<char>`; std::istream; std::FILE*. The
/// last two are read no further than they must be to see a line end: live events are not held back.
template <class T, class Source = std::remove_reference_t<T>>
concept source = detail::has_read<Source> || detail::fills_span<Source> || detail::is_istream<Source> ||
                 detail::is_file<Source>;

namespace detail {

inline read_result read_file(std::FILE* file, std::span<char> room) {
    if (file == nullptr) return {0, false, errc::source_failed};  // it could not be opened
    // fread would wait until all the room is filled.
    std::size_t size = 0;
    while (size < room.size()) {
        const int byte = std::getc(file);
        if (byte == EOF) {
            if (std::ferror(file)) return {size, false, errc::source_failed};
            return {size, true, {}};
        }
        room[size++] = static_cast<char>(byte);
        if (byte == '\n' || byte == '\r') break;
    }
    return {size, false, {}};
}

template <class Stream>
read_result read_stream(Stream& stream, std::span<char> room) {
    if (!stream) return {0, false, errc::source_failed};
    using traits = typename Stream::traits_type;
    auto& buffer = *stream.rdbuf();
    if (traits::eq_int_type(buffer.sgetc(), traits::eof())) return {0, true, {}};
    // Waiting is over: take what has come.
    const auto available = buffer.in_avail();
    if (available > 0) {
        const auto max = static_cast<decltype(available)>(room.size());
        const auto got = buffer.sgetn(room.data(), available < max ? available : max);
        return {static_cast<std::size_t>(got), false, {}};
    }
    // What has no buffer, as std::cin by default, is read to the end of a line.
    std::size_t size = 0;
    while (size < room.size()) {
        const auto byte = buffer.sbumpc();
        if (traits::eq_int_type(byte, traits::eof())) return {size, true, {}};
        room[size++] = traits::to_char_type(byte);
        if (room[size - 1] == '\n' || room[size - 1] == '\r') break;
    }
    return {size, false, {}};
}

template <class Result>
read_result to_read_result(Result result) {
    if constexpr (std::same_as<Result, read_result>) {
        return result;
    } else {
        if (std::cmp_less(result, 0)) return {0, false, errc::source_failed};
        return {static_cast<std::size_t>(result), result == 0, {}};
    }
}

template <class Source>
read_result read_from(Source& source, std::span<char> room) {
    const auto checked = [&](read_result result) -> read_result {
        if (result.bytes > room.size()) return {0, false, errc::source_failed};  // cannot be
        return result;
    };
    if constexpr (is_file<Source>) return read_file(source, room);
    else if constexpr (has_read<Source>) return checked(to_read_result(source.read(room)));
    else if constexpr (fills_span<Source>) return checked(to_read_result(source(room)));
    else if constexpr (is_istream<Source>) return checked(read_stream(source, room));
    else return {};  // events() says what is missing
}

}  // namespace detail

/// The events of a source, read and parsed as they are asked for: an input range, to be walked once.
///
/// \throws from the constructor and `events()`: what the allocator throws. From `next()`, `begin()` and the
///         iterator: what the source throws, after which one may go on; and what the allocator throws, after
///         which nothing comes any more.
template <class Source>
class event_stream {
    Source source_;  // a reference if it was an lvalue
    sse::parser parser_;
    unfinished_event unfinished_;
    detail::heap_memory room_{std::size_t{16} << 10};  // for what is read at once
    std::string_view unread_{};                        // the bytes in `room_` that are yet to be parsed
    read_result last_read_{};                          // what the source said with these
    std::error_code error_{};                          // once it is set, no further event comes

public:
    class iterator;

    explicit event_stream(Source&& source, const parser_options& options = {},
                          unfinished_event unfinished = unfinished_event::discard)
        : source_(std::forward<Source>(source)), parser_(options), unfinished_(unfinished) {}

    event_stream(const event_stream&) = delete;  // what is unread points into it
    event_stream& operator=(const event_stream&) = delete;

    /// Reads until an event is complete. \return nothing at the end, or where `error()` tells what went wrong
    /// \post The event's views live until the next call.
    std::optional<event_view> next() SSE_LIFETIMEBOUND {
        for (;;) {
            if (error_) return std::nullopt;
            error_ = std::make_error_code(std::errc::not_enough_memory);  // so it stays if the parser throws
            auto event = parser_.next(unread_);
            if (!event && last_read_.end && !last_read_.error) event = parser_.finish(unfinished_);
            error_ = parser_.error();
            if (event) return event;
            if (!error_) error_ = last_read_.error;
            if (error_ || last_read_.end) return std::nullopt;
            last_read_ = detail::read_from(source_, {room_.data(), room_.size()});
            unread_ = {room_.data(), last_read_.bytes};
        }
    }

    /// Reads the first event, or the next one.
    iterator begin() & { return iterator(*this); }
    iterator begin() && = delete;  // it would point into a stream that is gone
    std::default_sentinel_t end() const noexcept { return {}; }

    /// Why the events stopped. No error where the source came to its end.
    std::error_code error() const noexcept { return error_; }

    /// Knows the last event ID and the reconnection time.
    const sse::parser& parser() const noexcept SSE_LIFETIMEBOUND { return parser_; }
};

template <class Source>
class event_stream<Source>::iterator {
public:
    using value_type = event_view;
    using difference_type = std::ptrdiff_t;

    explicit iterator(event_stream& stream SSE_LIFETIMEBOUND) : stream_(&stream) { ++*this; }

    /// \pre not at the end; in release builds it is there an empty event
    const event_view& operator*() const noexcept SSE_LIFETIMEBOUND {
        assert(!is_at_end_);
        return event_;
    }
    const event_view* operator->() const noexcept SSE_LIFETIMEBOUND { return &**this; }
    iterator& operator++() {
        const std::optional<event_view> event = stream_->next();
        is_at_end_ = !event;
        event_ = event.value_or(event_view());
        return *this;
    }
    void operator++(int) { ++*this; }

    friend bool operator==(const iterator& left, std::default_sentinel_t) noexcept { return left.is_at_end_; }

private:
    event_stream* stream_;
    event_view event_{};
    bool is_at_end_ = true;
};

/// The events that a source brings, one by one:
///
///     auto stream = sse::events(source);
///     for (const sse::event_view& event : stream) use(event);
///     if (stream.error()) report(stream.error().message());
///
/// Made from an lvalue it refers to the source, else it owns it. `unfinished` says what becomes of an
/// event that the source ends in the middle of.
template <class Source>
event_stream<Source> events(Source&& source, const parser_options& options = {},
                            unfinished_event unfinished = unfinished_event::discard) {
    static_assert(sse::source<Source>,
                  "a source has read(std::span<char>) or is a callable of it, returning sse::read_result or "
                  "an integer, or is a std::istream or a std::FILE*");
    return event_stream<Source>(std::forward<Source>(source), options, unfinished);
}

}  // namespace sse
