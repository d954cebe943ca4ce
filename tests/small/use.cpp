// Compiled with some of USE_FEED or USE_NEXT (a parser), USE_SPAN or USE_CALLABLE (an encoder).
#if defined(USE_SPAN) || defined(USE_CALLABLE)
#include <sse/encoder.hpp>
#endif
#if defined(USE_FEED) || defined(USE_NEXT)
#include <sse/parser.hpp>
#endif

#include "use.hpp"

#include <cstring>

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "this is to be compiled without exceptions and RTTI"
#endif

#if defined(USE_FEED) || defined(USE_NEXT)
const std::size_t use::parser_overhead = sizeof(sse::fixed_parser<parser_memory>) - parser_memory;

use::outcome use::parse(std::string_view stream, std::size_t size, bool replace, note_event* note) {
    sse::fixed_parser<parser_memory> parser(
        {.invalid_utf8 = replace ? sse::invalid_utf8::replace : sse::invalid_utf8::keep});
    while (!stream.empty()) {
        std::string_view chunk(stream.data(), size < stream.size() ? size : stream.size());
        stream.remove_prefix(chunk.size());
#if defined(USE_NEXT)
        while (const auto event = parser.next(chunk)) note(event->type, event->data, event->last_event_id);
        if (parser.error()) break;
#else
        const auto error = parser.feed(
            chunk, [&](const sse::event_view& event) { note(event.type, event.data, event.last_event_id); });
        if (error) break;
#endif
    }
    return {!parser.error(), parser.in_event(),
            parser.reconnection_time().value_or(sse::milliseconds(0)).count()};
}
#else
const std::size_t use::parser_overhead = 0;

use::outcome use::parse(std::string_view, std::size_t, bool, note_event*) { return {}; }
#endif

#if defined(USE_SPAN) || defined(USE_CALLABLE)
const bool use::has_encoder = true;

std::size_t use::encode(const message& message, std::span<char> room) {
    const sse::message wire{.event = message.event,
                            .data = message.data,
                            .id = message.id,
                            .retry = sse::milliseconds(message.retry)};
#if defined(USE_CALLABLE)
    std::size_t used = 0;
    sse::encoder encoder([&](std::string_view bytes) {
        if (bytes.size() > room.size() - used) return false;
        std::memcpy(room.data() + used, bytes.data(), bytes.size());
        used += bytes.size();
        return true;
    });
#else
    std::span<char> rest = room;
    sse::encoder encoder(rest);
#endif
    if (encoder.write(wire) || encoder.write_comment(message.comment)) return 0;
#if defined(USE_CALLABLE)
    return used;
#else
    return room.size() - rest.size();
#endif
}
#else
const bool use::has_encoder = false;

std::size_t use::encode(const message&, std::span<char>) { return 0; }
#endif
