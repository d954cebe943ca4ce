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
inline constexpr std::array<std::string_view, 8> stream_names{
    "llm",        // one data line of some 230 bytes: a chunk of a chat completion
    "anthropic",  // an event line, and a data line of some 120 bytes
    "ticks",      // id, event, and 12 bytes of data
    "big",        // data lines of 64 KiB
    "multiline",  // 20 data lines of 60 bytes
    "crlf",       // llm with CR LF
    "cr",         // ticks with CR
    "comments",   // llm with a keep-alive comment before every other event
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
        if (kind == "llm" || kind == "comments") {
            line(R"(data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFO)", number,
                 R"(","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4o-mini-2024-07-18",)",
                 R"("choices":[{"index":0,"delta":{"content":" )", word(1, 12),
                 R"("},"logprobs":null,"finish_reason":null}]})");
        } else if (kind == "anthropic") {
            line("event: content_block_delta");
            line(R"(data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" )",
                 word(10, 34), R"("}})");
        } else if (kind == "ticks") {
            line("id: ", number);
            line("event: tick");
            line("data: ", word(12, 12));
        } else if (kind == "big") {
            line("data: ", word(65'536, 65'536));
        } else {
            for (int i = 0; i < 20; ++i) line("data: ", word(54, 54));
        }
        line();
    }

    /// Some letters, at least `shortest` and at most `longest`.
    std::string word(std::uint32_t shortest, std::uint32_t longest) {
        std::string letters(shortest + random_() % (longest - shortest + 1), ' ');
        for (char& letter : letters) letter = static_cast<char>('a' + random_() % 26);
        return letters;
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
