// Invariant: a message is refused before a byte is written, and only where one of its fields would forge another
// or would be lost; every other one, and every comment, is received as it was sent, wherever in a stream it
// stands. Its size was known; data written in chunks, and into room of just that size, give the same bytes.
//
// The input is a script, each line a letter and a text that script.hpp unescapes: `e`, `d`, `i` and `r` set a
// field of the message, `s` sends it, in chunks of that number if there is one, and `c` sends a comment.
#include <sse/encoder.hpp>

#include "../support/sent.hpp"
#include "require.hpp"
#include "script.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace {

using test::require;

std::string in_chunks(const test::sent& message, std::size_t chunk) {
    std::string bytes;
    sse::encoder encoder(bytes);
    sse::message head = message.view();
    std::string_view data = *head.data;
    head.data = {};
    require(!encoder.begin_event(head));
    require(!encoder.write_data({}));
    for (; !data.empty(); data.remove_prefix(std::min(chunk, data.size())))
        require(!encoder.write_data(data.substr(0, chunk)));
    require(!encoder.end_event());
    return bytes;
}

void send(test::sent_stream& stream, const test::sent& message, std::size_t chunk) {
    const sse::message view = message.view();
    const std::string before = stream.bytes;
    require(stream.add(message) == message.refusal());
    const std::string bytes = stream.bytes.substr(before.size());
    if (message.refusal() != sse::errc::ok) return require(bytes.empty());
    require(bytes.size() == sse::encoded_size(view));
    if (message.data && chunk > 0) require(in_chunks(message, chunk) == bytes);

    std::string room(bytes.size() + 1, '?');
    require(!sse::encode_to(std::span(room).first(bytes.size()), view));
    require(room == bytes + '?');
    if (bytes.empty()) return;
    room.assign(bytes.size(), '?');
    require(sse::encode_to(std::span(room).first(bytes.size() - 1), view) == sse::errc::buffer_too_small);
    require(room.find_first_not_of('?') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view script(reinterpret_cast<const char*>(data), size);
    test::sent_stream stream;
    test::sent message;
    while (!script.empty()) {
        const std::string_view line = test::take_line(script);
        if (line.empty()) continue;
        const std::string text = test::unescaped(line.substr(1));
        switch (line[0]) {
            case 'e': message.event = text; break;
            case 'd': message.data = text; break;
            case 'i': message.id = text; break;
            case 'r': message.retry = static_cast<std::int64_t>(test::number_of(text)); break;
            case 's': send(stream, message, test::number_of<std::size_t>(text)), message = {}; break;
            case 'c': require(!stream.add_comment(text)); break;
            default: break;
        }
    }
    // It has no type and no id: it shows those that leak.
    require(!stream.add({.data = "sentinel"}));
    for (const std::size_t chunk : {stream.bytes.size(), std::size_t{1}, 1 + size % 97})
        require(test::parse(stream.bytes, chunk) == stream.expected);
    require(test::reference(stream.bytes, {.keeps_comments = true, .keeps_unknown_fields = true}) ==
            stream.expected);
    return 0;
}
