// Messages in, bytes out. Layer 2.
//
//     std::string out;
//     auto error = sse::encode_to(out, {.event = "tick", .data = "one\ntwo", .id = "7"});
#pragma once

#include "detail/line_ends.hpp"
#include "detail/macros.hpp"
#include "detail/raise.hpp"
#include "detail/sink.hpp"
#include "error.hpp"
#include "event.hpp"
#include "sink.hpp"

#include <array>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace sse {

namespace detail {

constexpr bool has_line_break(std::string_view text) noexcept {
    return find_line_end(text) < text.size();
}

/// What of a message would forge a field or be ignored by receivers.
constexpr error check(const message& message) noexcept {
    if (message.event && has_line_break(*message.event)) return errc::event_has_line_break;
    if (message.id && has_line_break(*message.id)) return errc::id_has_line_break;
    if (message.id && message.id->find('\0') != std::string_view::npos) return errc::id_has_nul;
    if (message.retry && message.retry->count() < 0) return errc::retry_negative;
    return {};
}

constexpr std::string_view text_of(const std::optional<std::string_view>& field) noexcept {
    return field ? *field : std::string_view();
}

/// Calls `use(line)` for each line of a text; they are parted by CR LF, LF or CR. There is always a last one,
/// be it empty.
template <class Use>
[[gnu::always_inline]] constexpr void for_each_line(std::string_view text, Use use) {
    for (;;) {
        const std::size_t size = find_line_end(text);
        use(front(text, size));
        if (size == text.size()) return;
        text.remove_prefix(size + (behind(text, size).starts_with("\r\n") ? 2 : 1));
    }
}

template <class Output>
constexpr void put_field(Output& output, std::string_view name_and_colon, std::string_view value) {
    output.put(name_and_colon);
    output.put(value);
    output.put("\n");
}

/// A time, not below zero, in decimal digits at the end of `room`. Never a part of put_head(), which is there
/// once for each output: on 32 bits to divide 64 is a lot of code.
[[gnu::noinline]] constexpr std::string_view write_decimal(const milliseconds& time,
                                                           std::array<char, 20>& room) noexcept {
    auto number = static_cast<std::uint64_t>(time.count());
    std::size_t begin = room.size();
    do room[--begin] = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    return {room.data() + begin, room.size() - begin};
}

/// All of a message but its data: at the front, so that data can follow in chunks. `type_of` and `id_of` read
/// what this writes.
template <class Output>
constexpr void put_head(Output& output, const message& message) {
    if (message.event) put_field(output, "event: ", *message.event);
    if (message.id) put_field(output, "id: ", *message.id);
    if (message.retry) {
        std::array<char, 20> room{};
        put_field(output, "retry: ", write_decimal(*message.retry, room));
    }
}

/// The value of the field that these lines begin with, if that is the one named; empty if not.
constexpr std::string_view first_field(std::string_view lines, std::string_view name_and_colon) noexcept {
    if (!lines.starts_with(name_and_colon)) return {};
    return lines.substr(name_and_colon.size(), lines.find('\n') - name_and_colon.size());
}

/// The type with which a client dispatches an encoded event.
///
/// \pre one event, as `put_head` begins it
constexpr std::string_view type_of(std::string_view bytes) noexcept {
    const std::string_view type = first_field(bytes, "event: ");
    return type.empty() ? "message" : type;
}

/// The ID of an encoded event; empty if it has none, or an empty one.
///
/// \pre one event, as `put_head` begins it
constexpr std::string_view id_of(std::string_view bytes) noexcept {
    if (bytes.starts_with("event: ")) bytes.remove_prefix(bytes.find('\n') + 1);
    return first_field(bytes, "id: ");
}

/// Always with the space: without it a value that begins with one would lose it.
inline constexpr std::string_view data_field = "data: ";

/// Puts the data of one event, in any number of chunks. After each line break a new data line begins.
class chunked_data {
public:
    template <class Output>
    [[gnu::always_inline]] constexpr void put(Output& output, std::string_view chunk) {
        if (!begun_) output.put(data_field);
        begun_ = true;
        if (chunk.empty()) return;
        const bool ends_crlf = after_cr_ && chunk.front() == '\n';  // of which the CR has been seen to
        after_cr_ = chunk.back() == '\r';

        bool first = true;
        for_each_line(behind(chunk, ends_crlf ? 1 : 0), [&](std::string_view line) {
            if (!first) output.put("\ndata: ");
            first = false;
            output.put(line);
        });
    }

    /// Ends the event. Without a chunk of data before, not even an empty one, it has none.
    template <class Output>
    constexpr void end(Output& output) const {
        output.put(begun_ ? "\n\n" : "\n");
    }

private:
    bool begun_ = false;
    bool after_cr_ = false;
};

template <class Output>
[[gnu::always_inline]] constexpr void put_message(Output& output, const message& message) {
    put_head(output, message);
    chunked_data data;
    if (message.data) data.put(output, *message.data);
    data.end(output);
}

template <class Output>
constexpr void put_comment(Output& output, std::string_view text) {
    for_each_line(text, [&](std::string_view line) {
        put_field(output, line.empty() ? ":" : ": ", line);
    });
}

}  // namespace detail

/// Encodes a message, and appends it to a sink.
///
/// Data is split at CR LF, LF and CR, so that a receiver gets it with LF for each of them. Text is not
/// checked to be UTF-8. An empty message is a blank line. A message may point into a string that it is
/// appended to.
///
/// \return before a byte is written: `errc::event_has_line_break`, `errc::id_has_line_break`,
///         `errc::id_has_nul`, `errc::retry_negative`, and for a span `errc::buffer_too_small`. While
///         writing: what the sink reports, a std::error_code if that is what it returns, else
///         `errc::sink_failed`.
/// \throws what the sink throws. A string is then as it was; other sinks may have got half a message.
/// \complexity linear; up to 1 KiB is gathered, so that a sink without `append` is called once for a
///             small message
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
template <class Sink>
[[nodiscard]] constexpr detail::sink_error_t<Sink> encode_to(Sink&& sink, const message& message) {
    if (const sse::error refused = detail::check(message)) return refused;
    return detail::write_through(
        sink, [&](auto& output) { detail::put_message(output, message); }, detail::text_of(message.event),
        detail::text_of(message.data), detail::text_of(message.id));
}

/// Encodes a comment, which receivers ignore: a sign of life. One comment line for each line of `text`.
///
/// \return as for `encode_to`
/// \throws as `encode_to`
template <class Sink>
[[nodiscard]] constexpr detail::sink_error_t<Sink> encode_comment_to(Sink&& sink, std::string_view text) {
    return detail::write_through(
        sink, [&](auto& output) { detail::put_comment(output, text); }, text);
}

/// \return how many bytes `encode_to` writes for a message that it does not refuse
constexpr std::size_t encoded_size(const message& message) noexcept {
    detail::counter counter;
    detail::put_message(counter, message);
    return counter.size;
}

/// Encodes a message into a string of its own.
///
/// \throws std::system_error with what `encode_to` would return, or what the allocator throws. Where
///         exceptions are switched off, it aborts.
[[nodiscard]] SSE_CONSTEXPR_STRING std::string encode(const message& message) {
    std::string out;
    if (const sse::error refused = detail::check(message)) detail::raise(refused);
    const auto put_all = [&](auto& output) { detail::put_message(output, message); };
    static_cast<void>(detail::write_through(out, put_all));  // a string takes it all, or throws
    return out;
}

/// Writes to one sink again and again, and can write one event's data in chunks, so that it need not be in
/// memory as a whole:
///
///     sse::encoder encoder(out);
///     auto error = encoder.begin_event({.event = "report"});
///     while (auto chunk = more()) error = encoder.write_data(*chunk);
///     error = encoder.end_event();
///
/// Made from an lvalue it refers to the sink, else it owns it; a span that cannot be shortened is copied to
/// one that can. Functions return what `encode_to` does. A refusal leaves nothing written and the encoder as
/// it was. But once the sink has failed or thrown, what was sent may end in the middle of an event: every
/// further call returns that error and writes nothing. Not so a span and a string: what could not be written
/// as a whole was not written, and can be tried again.
///
/// \throws from each function that writes: what the sink throws
template <class Sink>
class encoder {
public:
    using error_type = detail::sink_error_t<Sink>;

    constexpr explicit encoder(std::type_identity_t<Sink> sink) : sink_(std::forward<Sink>(sink)) {
        detail::check_sink<Sink>();
        static_assert(!detail::is_span<std::remove_reference_t<Sink>> ||
                          std::same_as<std::remove_reference_t<Sink>, std::span<char>>,
                      "a span that cannot be shortened would be written over: std::span<char> can");
    }

    /// \pre not within an event, as for `write_comment` and `begin_event`
    [[nodiscard]] constexpr error_type write(const message& message) {
        assert(!in_event_ || error_);
        if (error_) return error_;
        if (const sse::error refused = detail::check(message)) return refused;
        return put([&](auto& output) { detail::put_message(output, message); },
                   detail::text_of(message.event), detail::text_of(message.data),
                   detail::text_of(message.id));
    }

    [[nodiscard]] constexpr error_type write_comment(std::string_view text) {
        assert(!in_event_ || error_);
        return put([&](auto& output) { detail::put_comment(output, text); }, text);
    }

    /// Begins an event with all of `head` but its data.
    [[nodiscard]] constexpr error_type begin_event(const message& head = {}) {
        assert((!in_event_ || error_) && !head.data);
        if (error_) return error_;
        if (const sse::error refused = detail::check(head)) return refused;
        const error_type error = put([&](auto& output) { detail::put_head(output, head); },
                                     detail::text_of(head.event), detail::text_of(head.id));
        if (!error) in_event_ = true;
        return error;
    }

    /// A further chunk of the event's data. The chunks are encoded as if they came in one, even if a CR LF is
    /// parted between two. An empty chunk makes the data empty rather than absent.
    [[nodiscard]] constexpr error_type write_data(std::string_view chunk) {
        assert(in_event_ || error_);
        detail::chunked_data data;
        const error_type error = put(
            [&](auto& output) {
                data = data_;
                data.put(output, chunk);
            },
            chunk);
        if (!error) data_ = data;
        return error;
    }

    [[nodiscard]] constexpr error_type end_event() {
        assert(in_event_ || error_);
        const error_type error = put([&](auto& output) { data_.end(output); });
        if (!error) {
            data_ = {};
            in_event_ = false;
        }
        return error;
    }

    /// How the sink failed, if it did.
    [[nodiscard]] constexpr error_type error() const noexcept { return error_; }

    /// The sink, for what it has taken or the room it has left.
    constexpr std::remove_reference_t<Sink>& sink() noexcept SSE_LIFETIMEBOUND { return sink_; }

private:
    template <class PutAll, class... Texts>
    constexpr error_type put(PutAll put_all, const Texts&... texts) {
        if (error_) return error_;
        if constexpr (detail::all_or_nothing<std::remove_reference_t<Sink>>) {
            return detail::write_through(sink_, put_all, texts...);
        } else {
            error_ = errc::sink_failed;  // and so it stays if the sink throws
            error_ = detail::write_through(sink_, put_all);
            return error_;
        }
    }

    Sink sink_;
    error_type error_{};
    detail::chunked_data data_{};
    bool in_event_ = false;
};

template <class Sink>
encoder(Sink&&) -> encoder<detail::advancing_sink_t<Sink>>;

}  // namespace sse
