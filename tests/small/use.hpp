// What the programs do with the library. Which of it a program has, the macro says that use.cpp is compiled
// with; all else is the same in each, so that the difference in size is the library's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace use {

/// What a parser takes besides its memory; 0 where the program has none.
extern const std::size_t parser_overhead;
inline constexpr std::size_t parser_memory = 256;

struct outcome {
    bool good;     // no limit was passed
    bool in_event;  // the stream ended within an event
    std::int64_t retry;
};

using note_event = void(std::string_view type, std::string_view data, std::string_view id);

/// Parses a stream that comes in chunks of one size.
outcome parse(std::string_view stream, std::size_t size, bool replace, note_event* note);

extern const bool has_encoder;

struct message {
    std::string_view event, data, id;
    std::int64_t retry;
    std::string_view comment;  // to be sent behind it
};

/// \return how many bytes of the room are used; 0 where it is too small or the message is refused
std::size_t encode(const message& message, std::span<char> room);

}  // namespace use
