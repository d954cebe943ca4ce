// Invariant: what is well-formed UTF-8 stays, and of the rest each longest beginning of a well-formed sequence,
// or else a single byte, becomes one U+FFFD: in data, in the type and in the ID, however the bytes are cut.
#include <sse/parser.hpp>

#include "../support/chunking.hpp"
#include "require.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

using test::require;

/// Well-formed sequences of bytes: the ranges of the first and of the second, and how many follow the first, all
/// from the third on between 80 and BF.
///
/// \spec https://www.unicode.org/versions/latest/core-spec/chapter-3/, table 3-7
struct form {
    unsigned first, last;
    unsigned second_first, second_last;
    std::size_t following;
};
constexpr form forms[] = {
    {0x00, 0x7F, 0x00, 0x00, 0}, {0xC2, 0xDF, 0x80, 0xBF, 1}, {0xE0, 0xE0, 0xA0, 0xBF, 2},
    {0xE1, 0xEC, 0x80, 0xBF, 2}, {0xED, 0xED, 0x80, 0x9F, 2}, {0xEE, 0xEF, 0x80, 0xBF, 2},
    {0xF0, 0xF0, 0x90, 0xBF, 3}, {0xF1, 0xF3, 0x80, 0xBF, 3}, {0xF4, 0xF4, 0x80, 0x8F, 3},
};

std::string replaced(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
        std::size_t size = 1;
        bool is_whole = false;
        for (const form& each : forms) {
            if (byte(0) < each.first || byte(0) > each.last) continue;
            const auto follows = [&](std::size_t i) {
                if (i == 1) return byte(1) >= each.second_first && byte(1) <= each.second_last;
                return byte(i) >= 0x80 && byte(i) <= 0xBF;
            };
            while (size <= each.following && size < text.size() && follows(size)) ++size;
            is_whole = size == each.following + 1;
        }
        result += is_whole ? text.substr(0, size) : "\xEF\xBF\xBD";
        text.remove_prefix(size);
    }
    return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string text(reinterpret_cast<const char*>(data), size);
    std::replace_if(
        text.begin(), text.end(), [](char byte) { return byte == '\r' || byte == '\n' || byte == '\0'; },
        '.');
    const std::string stream = "id: " + text + "\nevent: " + text + "\ndata: " + text + "\n\n";
    const std::string expected = replaced(text);
    for (const std::size_t chunk : {stream.size(), std::size_t{1}, 1 + size % 7}) {
        std::size_t events = 0;
        sse::parser parser({.invalid_utf8 = sse::invalid_utf8::replace});
        test::for_each_chunk(stream, test::cuts_every(chunk, stream.size()), [&](std::string_view bytes) {
            require(!parser.feed(bytes, [&](const sse::event_view& event) {
                ++events;
                require(event.data == expected && event.last_event_id == expected);
                require(event.type == (text.empty() ? "message" : expected));
            }));
        });
        require(events == 1);
    }
    return 0;
}
