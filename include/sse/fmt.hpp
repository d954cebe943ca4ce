// Formatting with {fmt}, for those who have it: not in sse.hpp. Above layer 3.
//
//     auto error = sse::format_to(out, {.event = "temperature"}, "{{\"celsius\": {:.1f}}}", celsius);
#pragma once

#include "encoder.hpp"
#include "error.hpp"
#include "event.hpp"

#include <array>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

namespace sse {

namespace detail {

/// Takes characters one by one, and puts them as data a block at a time.
template <class Output>
class data_writer {
public:
    explicit data_writer(Output& output) noexcept : output_(output) {}

    void put(char c) {
        if (size_ == block_.size()) flush();
        block_[size_++] = c;
    }

    void end() {
        flush();
        data_.end(output_);
    }

private:
    void flush() {
        data_.put(output_, {block_.data(), size_});
        size_ = 0;
    }

    Output& output_;
    chunked_data data_{};
    std::size_t size_ = 0;
    std::array<char, 512> block_;
};

/// Where an argument lies, if it is a text.
template <class Argument>
constexpr std::string_view text_of(const Argument& argument) noexcept {
    if constexpr (std::convertible_to<const Argument&, const char*>) return {argument, 0};
    else if constexpr (std::convertible_to<const Argument&, std::string_view>) return argument;
    else return {};
}

template <class Output>
class data_iterator {
public:
    using iterator_category = std::output_iterator_tag;
    using value_type = void;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = void;

    explicit data_iterator(data_writer<Output>& writer) noexcept : writer_(&writer) {}
    data_iterator& operator=(char c) {
        writer_->put(c);
        return *this;
    }
    data_iterator& operator*() noexcept { return *this; }
    data_iterator& operator++() noexcept { return *this; }
    data_iterator& operator++(int) noexcept { return *this; }

private:
    data_writer<Output>* writer_;
};

}  // namespace detail

/// Encodes an event whose data is formatted straight into the sink, split at line ends as it goes: no string
/// holds it in between.
///
/// For a span the arguments are formatted twice, first to measure the text. Text that is longer the second
/// time and does not fit is `errc::buffer_too_small`: the span is then not shortened, though some of what it
/// spans may have changed.
///
/// \pre `head` has no data of its own; and no argument that is more than a text points into a string that is
///      the sink
/// \return as for `encode_to`
/// \throws what the sink and the formatters throw; then as `encode_to`
template <class Sink, class... Args>
[[nodiscard]] detail::sink_error_t<Sink> format_to(Sink&& sink, const message& head,
                                                   fmt::format_string<Args...> format, Args&&... args) {
    assert(!head.data);
    if (const error refused = detail::check(head)) return refused;
    return detail::write_through(
        sink,
        [&](auto& output) {
            detail::put_head(output, head);
            detail::data_writer data(output);
            fmt::vformat_to(detail::data_iterator(data), format, fmt::make_format_args(args...));
            data.end();
        },
        detail::text_of(head.event), detail::text_of(head.id), detail::text_of(args)...);
}

}  // namespace sse

/// As `{type: "tick", data: "one\ntwo", last_event_id: "7"}`.
template <>
struct fmt::formatter<sse::event_view> {
    constexpr auto parse(format_parse_context& context) const { return context.begin(); }

    template <class Context>
    auto format(const sse::event_view& event, Context& context) const {
        return fmt::format_to(context.out(), R"({{type: {:?}, data: {:?}, last_event_id: {:?}}})", event.type,
                              event.data, event.last_event_id);
    }
};

template <>
struct fmt::formatter<sse::event> : fmt::formatter<sse::event_view> {};

/// The same for what adds to an event, as `event_source::event_view` does.
template <std::derived_from<sse::event_view> Event>
struct fmt::formatter<Event> : fmt::formatter<sse::event_view> {};

/// As `{event: "tick", data: "one\ntwo", id: "7", retry: 10000}`; what is absent is left out.
template <>
struct fmt::formatter<sse::message> {
    constexpr auto parse(format_parse_context& context) const { return context.begin(); }

    template <class Context>
    auto format(const sse::message& message, Context& context) const {
        auto out = context.out();
        const char* before = "{";
        const auto put = [&](const char* name, const std::optional<std::string_view>& value) {
            if (!value) return;
            out = fmt::format_to(out, "{}{}: {:?}", std::exchange(before, ", "), name, *value);
        };
        put("event", message.event);
        put("data", message.data);
        put("id", message.id);
        if (message.retry) {
            out = fmt::format_to(out, "{}retry: {}", std::exchange(before, ", "), message.retry->count());
        }
        return fmt::format_to(out, "{}", *before == '{' ? "{}" : "}");
    }
};

// Declared where they are defined too, so that formatting one includes no header of the server.
namespace sse {
enum class resumption : unsigned char;
enum class cursor_state : unsigned char;
enum class session_end : unsigned char;

namespace detail {

/// Formats an enumerator by its name, which its header has a to_string() for.
struct name_formatter : fmt::formatter<std::string_view> {
    template <class Enum, class Context>
    auto format(Enum value, Context& context) const {
        return fmt::formatter<std::string_view>::format(to_string(value), context);
    }
};

}  // namespace detail
}  // namespace sse

/// As its name: `resumed`.
template <>
struct fmt::formatter<sse::resumption> : sse::detail::name_formatter {};

/// As its name: `following`.
template <>
struct fmt::formatter<sse::cursor_state> : sse::detail::name_formatter {};

/// As its name: `timed_out`.
template <>
struct fmt::formatter<sse::session_end> : sse::detail::name_formatter {};

/// As its message.
template <>
struct fmt::formatter<sse::error> : fmt::formatter<std::string_view> {
    template <class Context>
    auto format(sse::error error, Context& context) const {
        return fmt::formatter<std::string_view>::format(error.message(), context);
    }
};
