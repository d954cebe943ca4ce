// The fields of an event stream: their names, and where their values begin.
#pragma once

#include "bytes.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sse::detail {

/// What a line can be. A comment is read as a field whose name is empty.
enum class field : unsigned char { data, event, id, retry, comment, unknown };

/// By field. An unknown one can have any other name.
inline constexpr std::array<std::string_view, 5> field_names{"data", "event", "id", "retry", ""};

constexpr std::string_view name_of(field which) noexcept {
    return field_names[static_cast<std::size_t>(which)];
}

/// Which field a line can be, by its first byte: no two names begin alike.
constexpr field field_beginning_with(char byte) noexcept {
    for (const field known : {field::data, field::event, field::id, field::retry}) {
        if (name_of(known).front() == byte) return known;
    }
    return byte == ':' ? field::comment : field::unknown;
}

/// Less one space at the beginning of a value.
constexpr std::string_view without_space(std::string_view value) noexcept {
    return behind(value, value.starts_with(' ') ? 1 : 0);
}

/// How many bytes value_of() may read: the name, the colon, and what may be a space.
template <field Which>
inline constexpr std::size_t min_bytes_of = name_of(Which).size() + 2;

/// The value, if the line is this field and has a colon; or else a view without data().
///
/// \pre `min_bytes_of<Which>` bytes can be read, even if the line ends before: no name holds a line end, so
///      that bytes which equal one lie in the line
template <field Which>
[[gnu::always_inline]] constexpr std::string_view value_of(std::string_view line) noexcept {
    constexpr std::string_view name = name_of(Which);
    const char* const text = line.data();
    // One load for the first four bytes: a search for the colon would take twice as long.
    std::size_t same = 0;
    if constexpr (name.size() >= 4) {
        if (load<std::uint32_t>(text) != load<std::uint32_t>(name.data())) return {};
        same = 4;
    }
    for (; same < name.size(); ++same) {
        if (text[same] != name[same]) return {};
    }
    const auto from = [&](const char* value) {
        return std::string_view(value, static_cast<std::size_t>(text + line.size() - value));
    };
    const char* const colon = text + name.size();
    if (colon[0] == ':' && colon[1] == ' ') [[likely]]  // servers write the space
        return from(colon + 2);
    return colon[0] == ':' ? from(colon + 1) : std::string_view();
}

}  // namespace sse::detail
