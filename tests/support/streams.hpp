// Streams as servers send them, made from a seed, for tests and benchmarks alike.
//
//     const std::string stream = test::make_stream("llm", 64 << 20);
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace test {

/// What differs from stream to stream: how long the lines are, how many make an event, and how they end.
inline constexpr std::array<std::string_view, 9> stream_names{
    "llm",        // one data line of 230 bytes: a chunk of a chat completion, padded to that length
    "anthropic",  // an event line, and a data line of 120 bytes
    "ticks",      // id, event, and 12 bytes of data
    "big",        // data lines of 64 KiB
    "multiline",  // 20 data lines of 60 bytes
    "crlf",       // llm with CR LF
    "cr",         // ticks with CR
    "comments",   // llm with a keep-alive comment before every other event
    "varied",     // llm with lines of 158 to 317 bytes: their ends cannot be foreseen
};

/// Makes one event after another. The same seed makes the same bytes on every machine.
class stream_maker {
public:
    explicit stream_maker(std::string_view name, std::uint32_t seed = 1) : name_(name), random_(seed) {}

    void append_event_to(std::string& out) {
        if (name_ == "crlf") append_lines_of("llm", "\r\n", out);
        else if (name_ == "cr") append_lines_of("ticks", "\r", out);
        else append_lines_of(name_, "\n", out);
    }

private:
    void append_lines_of(std::string_view kind, std::string_view end, std::string& out) {
        const std::string number = std::to_string(1'000'000 + count_++);
        const auto line = [&](const auto&... parts) {
            ((out += parts), ...);
            out += end;
        };
        if (kind == "comments" && count_ % 2 == 0) line(": keep-alive"), line();
        if (kind == "llm" || kind == "comments" || kind == "varied") {
            const std::string content = word(1, 12);
            const std::string padding = kind == "varied" ? word(0, 148) : word(73 - content.size());
            line(R"(data: {"id":"chatcmpl-B9MHDb)", number,
                 R"(","object":"chat.completion.chunk","model":"gpt-4o-mini",)",
                 R"("choices":[{"index":0,"delta":{"content":" )", content, R"("}}],"obfuscation":")",
                 padding, R"("})");
        } else if (kind == "anthropic") {
            line("event: content_block_delta");
            line(R"(data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" )",
                 word(33), R"("}})");
        } else if (kind == "ticks") {
            line("id: ", number);
            line("event: tick");
            line("data: ", word(12));
        } else if (kind == "big") {
            line("data: ", word(65'536));
        } else {
            for (int i = 0; i < 20; ++i) line("data: ", word(54));
        }
        line();
    }

    std::string word(std::size_t size) {
        std::string letters(size, ' ');
        for (char& letter : letters) letter = static_cast<char>('a' + random_() % 26);
        return letters;
    }

    std::string word(std::size_t shortest, std::size_t longest) {
        return word(shortest + random_() % (longest - shortest + 1));
    }

    std::string_view name_;
    std::mt19937 random_;  // its numbers are fixed by the standard, unlike those of the distributions
    std::size_t count_ = 0;
};

/// Whole events, no more than `size` bytes of them.
inline std::string make_stream(std::string_view name, std::size_t size, std::uint32_t seed = 1) {
    stream_maker maker(name, seed);
    std::string stream;
    stream.reserve(size);
    for (std::string event;; stream += event) {
        event.clear();
        maker.append_event_to(event);
        if (stream.size() + event.size() > size) return stream;
    }
}

}  // namespace test
