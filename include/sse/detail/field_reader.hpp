// A line that does not lie in one chunk, or whose block does not: read as its bytes come.
#pragma once

#include "../event.hpp"
#include "bytes.hpp"
#include "field.hpp"
#include "handler.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace sse::detail {

/// The value of a `retry` field, read in any number of chunks: only digits, held at the largest value.
class retry_value {
public:
    constexpr void read(std::string_view text) noexcept {
        for (const char c : text) {
            if (c < '0' || c > '9') {
                valid_ = false;
                return;
            }
            const int digit = c - '0';
            // Only constants are divided: on 32 bits to divide 64 is a lot of code.
            constexpr std::int64_t max = INT64_MAX;
            const bool fits = value_ < max / 10 || (value_ == max / 10 && digit <= max % 10);
            value_ = fits ? value_ * 10 + digit : max;
            empty_ = false;
        }
    }

    constexpr std::optional<milliseconds> get() const noexcept {
        return valid_ && !empty_ ? std::optional(milliseconds(value_)) : std::nullopt;
    }

private:
    std::int64_t value_ = 0;
    bool valid_ = true;
    bool empty_ = true;
};

/// Reads one line after another, each in any number of chunks. The field is known as soon as its name is
/// over; from there on, only bytes that count are kept.
///
/// | field   | what the bytes of its value do           | what its end does                             |
/// |---------|------------------------------------------|-----------------------------------------------|
/// | data    | are kept, behind an LF if data is kept   | the line is appended to the data buffer       |
/// | event   | are kept                                 | the event type buffer becomes the value       |
/// | id      | are kept; at a NUL, the field is ignored | the last event ID buffer becomes the value    |
/// | retry   | add to a number while they are digits    | the reconnection time becomes it, if all were |
/// | comment | are kept, if there is on_comment         | on_comment is called                          |
/// | unknown | are kept like its name, if there is      | on_unknown_field is called                    |
/// |         | on_unknown_field                         |                                               |
///
/// `Kept` is the parser's kept_event, `Handler` the type of its handler.
///
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#processField
class field_reader {
public:
    /// Whether a line has begun and not ended.
    constexpr bool is_open() const noexcept { return phase_ != phase::between; }

    /// Forgets the line. (What is kept of it is for the caller to drop.)
    constexpr void reset() noexcept { phase_ = phase::between; }

    /// Reads what has come of a line. \pre the first time for a line, this is not empty
    template <class Handler, class Kept>
    constexpr void read(std::string_view bytes, Kept& kept) {
        if (phase_ == phase::between) {
            if (begin_data(bytes, kept)) return;
            phase_ = phase::name;
            matched_ = 0;
            field_ = field_beginning_with(bytes.front());
        }
        if (phase_ == phase::name) read_name<Handler>(bytes, kept);
        if (bytes.empty()) return;
        if (phase_ == phase::space) {
            bytes = without_space(bytes);
            phase_ = phase::value;
        }
        if (phase_ == phase::value) read_value(bytes, kept);
    }

    /// The same as read(), and faster within a data value: most lines that span chunks are data.
    template <class Handler, class Kept>
    [[gnu::always_inline]] constexpr void read_on(std::string_view bytes, Kept& kept) {
        if (phase_ == phase::value && field_ == field::data) kept.append_to_line(bytes);
        else read<Handler>(bytes, kept);
    }

    /// The line has ended.
    template <class Handler, class Kept>
    constexpr void end(Kept& kept, bool replaces_invalid_utf8, std::optional<milliseconds>& reconnection_time,
                       Handler& handler) {
        // A line without a colon: all of it is the name, and the value is empty.
        if (phase_ == phase::name) {
            if (matched_ == name_of(field_).size()) begin_value<Handler>(kept);
            else begin_unknown<Handler>(kept);
        }
        const bool is_ignored = std::exchange(phase_, phase::between) == phase::ignored;
        if (is_ignored) return;
        if (replaces_invalid_utf8) kept.replace_in_line();
        if (kept.is_too_large()) return;

        switch (field_) {
            case field::data: kept.move_line_to_data(); break;
            case field::event: kept.move_line_to_type(); break;
            case field::id: kept.move_line_to_id(); break;
            case field::retry:
                // If the value is ASCII digits only, the reconnection time becomes that number.
                if (const std::optional<milliseconds> time = retry_.get()) {
                    reconnection_time = time;
                    if constexpr (has_on_retry<Handler>) handler.on_retry(*time);
                }
                break;
            case field::comment:
                if constexpr (has_on_comment<Handler>) handler.on_comment(take_line(kept));
                break;
            case field::unknown:
                if constexpr (has_on_unknown_field<Handler>)
                    notify_of_unknown_field(take_line(kept), handler);
                break;
        }
    }

private:
    /// How far the line is read.
    enum class phase : unsigned char {
        between,  ///< no line is being read
        name,     ///< so far it is the first `matched_` bytes of the name of `field_`
        space,    ///< up to and with the colon; a space behind that is not part of the value
        value,    ///< within the value of `field_`; if that is unknown, within the line
        ignored,  ///< the rest of the line does not count
    };

    /// Begins a data line if its name, its colon and the next byte are there. Faster than the phases name and
    /// space, which do the same.
    template <class Kept>
    [[gnu::always_inline]] constexpr bool begin_data(std::string_view bytes, Kept& kept) {
        if (bytes.size() < min_bytes_of<field::data>) return false;
        const std::string_view value = value_of<field::data>(bytes);
        if (!value.data()) return false;
        field_ = field::data;
        phase_ = phase::value;
        kept.begin_data_line();
        kept.append_to_line(value);
        return true;
    }

    /// Takes the name of the field and its colon off the front of `bytes`.
    template <class Handler, class Kept>
    constexpr void read_name(std::string_view& bytes, Kept& kept) {
        if (field_ == field::unknown) return begin_unknown<Handler>(kept);
        const std::string_view name = name_of(field_);
        for (; matched_ < name.size(); ++matched_, bytes.remove_prefix(1)) {
            if (bytes.empty()) return;
            if (bytes.front() != name[matched_]) return begin_unknown<Handler>(kept);
        }
        if (bytes.empty()) return;
        if (bytes.front() != ':') return begin_unknown<Handler>(kept);
        bytes.remove_prefix(1);
        begin_value<Handler>(kept);
    }

    template <class Handler, class Kept>
    constexpr void begin_value(Kept& kept) {
        phase_ = phase::space;
        if (field_ == field::data) kept.begin_data_line();
        if (field_ == field::retry) retry_ = {};
        if (field_ == field::comment && !has_on_comment<Handler>) phase_ = phase::ignored;
    }

    /// The name is none of those known.
    template <class Handler, class Kept>
    constexpr void begin_unknown(Kept& kept) {
        phase_ = phase::ignored;
        if constexpr (has_on_unknown_field<Handler>) {
            if (matched_ != 0) kept.append_to_line(front(name_of(field_), matched_));
            phase_ = phase::value;
            field_ = field::unknown;
        }
    }

    template <class Kept>
    constexpr void read_value(std::string_view bytes, Kept& kept) {
        switch (field_) {
            case field::data:
            case field::event:
            case field::comment:
            case field::unknown: kept.append_to_line(bytes); break;
            case field::id:
                // With a NUL the field is ignored. What is before it counts up to there, so that the limit is
                // passed by the same byte under every chunking.
                kept.append_to_line(front(bytes, bytes.find('\0')));
                if (bytes.find('\0') == std::string_view::npos) break;
                kept.drop_line();
                phase_ = phase::ignored;
                break;
            case field::retry: retry_.read(bytes); break;
        }
    }

    /// The line for a handler. It is dropped before the call, so that a copy which the handler makes of the
    /// parser has nothing of it; the bytes stay where they are.
    template <class Kept>
    static constexpr std::string_view take_line(Kept& kept) noexcept {
        const std::string_view line = kept.line();
        kept.drop_line();
        return line;
    }

    template <class Handler>
    static constexpr void notify_of_unknown_field(std::string_view line, Handler& handler) {
        const std::size_t colon = line.find(':');
        const bool has_value = colon != std::string_view::npos;
        const std::string_view rest = has_value ? behind(line, colon + 1) : std::string_view();
        handler.on_unknown_field(front(line, colon), without_space(rest));
    }

    retry_value retry_{};
    phase phase_ = phase::between;
    field field_ = field::unknown;
    std::uint8_t matched_ = 0;
};

}  // namespace sse::detail
