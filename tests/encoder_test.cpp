// The exact bytes of messages and comments, what is refused, and events written in chunks.
#include <sse/encoder.hpp>

#include "support/exact_copy.hpp"
#include "support/show.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ostream>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using namespace std::string_literals;
using sse::errc;
using sse::message;
using sse::milliseconds;

// Encoding

struct row {
    std::string name;
    message sent;  // of literals
    std::string bytes;
};

/// A literal that may hold NUL.
template <std::size_t Size>
constexpr std::string_view text(const char (&literal)[Size]) {
    return {literal, Size - 1};
}

const row messages[] = {
    {"each field is one line, and a blank line ends the message", {.data = "a"}, "data: a\n\n"},
    {"event", {.event = "tick"}, "event: tick\n\n"},
    {"id", {.id = "7"}, "id: 7\n\n"},
    {"retry", {.retry = milliseconds(10)}, "retry: 10\n\n"},
    {"what is absent is not sent", {}, "\n"},
    {"what is empty is", {.event = "", .data = "", .id = ""}, "event: \nid: \ndata: \n\n"},
    {"empty data is one data line", {.data = ""}, "data: \n\n"},
    {"an empty id", {.id = ""}, "id: \n\n"},
    {"an empty type", {.event = ""}, "event: \n\n"},
    {"event, id, retry, then data",
     {.event = "tick", .data = "one\ntwo", .id = "7", .retry = milliseconds(10)},
     "event: tick\nid: 7\nretry: 10\ndata: one\ndata: two\n\n"},

    {"retry of 0", {.retry = milliseconds(0)}, "retry: 0\n\n"},
    {"retry of 9", {.retry = milliseconds(9)}, "retry: 9\n\n"},
    {"retry of 1000", {.retry = milliseconds(1000)}, "retry: 1000\n\n"},
    {"the longest retry", {.retry = milliseconds::max()}, "retry: 9223372036854775807\n\n"},

    {"LF parts data", {.data = "a\nb"}, "data: a\ndata: b\n\n"},
    {"so does CR", {.data = "a\rb"}, "data: a\ndata: b\n\n"},
    {"and CR LF, once", {.data = "a\r\nb"}, "data: a\ndata: b\n\n"},
    {"LF CR parts it twice", {.data = "a\n\rb"}, "data: a\ndata: \ndata: b\n\n"},
    {"LF alone", {.data = "\n"}, "data: \ndata: \n\n"},
    {"CR alone", {.data = "\r"}, "data: \ndata: \n\n"},
    {"CR LF alone", {.data = "\r\n"}, "data: \ndata: \n\n"},
    {"LF LF", {.data = "\n\n"}, "data: \ndata: \ndata: \n\n"},
    {"CR CR", {.data = "\r\r"}, "data: \ndata: \ndata: \n\n"},
    {"CR LF CR LF", {.data = "\r\n\r\n"}, "data: \ndata: \ndata: \n\n"},
    {"CR CR LF", {.data = "\r\r\n"}, "data: \ndata: \ndata: \n\n"},
    {"LF at the start", {.data = "\na"}, "data: \ndata: a\n\n"},
    {"CR at the start", {.data = "\ra"}, "data: \ndata: a\n\n"},
    {"CR LF at the start", {.data = "\r\na"}, "data: \ndata: a\n\n"},
    {"LF at the end is kept", {.data = "a\n"}, "data: a\ndata: \n\n"},
    {"CR at the end", {.data = "a\r"}, "data: a\ndata: \n\n"},
    {"CR LF at the end", {.data = "a\r\n"}, "data: a\ndata: \n\n"},
    {"LF within, doubled", {.data = "a\n\nb"}, "data: a\ndata: \ndata: b\n\n"},
    {"CR within, doubled", {.data = "a\r\rb"}, "data: a\ndata: \ndata: b\n\n"},

    {"only CR and LF part lines",
     {.data = "a\v\f\xC2\x85\xE2\x80\xA8\xE2\x80\xA9z"},
     "data: a\v\f\xC2\x85\xE2\x80\xA8\xE2\x80\xA9z\n\n"},
    {"a space at the start has one before it",
     {.event = " e", .data = " d", .id = " i"},
     "event:  e\nid:  i\ndata:  d\n\n"},
    {"each line's space", {.data = " a\n  b"}, "data:  a\ndata:   b\n\n"},
    {"a space at the end", {.event = "e ", .data = "d ", .id = "i "}, "event: e \nid: i \ndata: d \n\n"},
    {"colons",
     {.event = ":", .data = ":\ndata:", .id = "id: 1"},
     "event: :\nid: id: 1\ndata: :\ndata: data:\n\n"},
    {"NUL in data", {.data = text("\0a\0\nb\0")}, "data: \0a\0\ndata: b\0\n\n"s},
    {"NUL in event", {.event = text("a\0b")}, "event: a\0b\n\n"s},
    {"a byte order mark is text",
     {.event = "\xEF\xBB\xBF", .data = "\xEF\xBB\xBF", .id = "\xEF\xBB\xBF"},
     "event: \xEF\xBB\xBF\nid: \xEF\xBB\xBF\ndata: \xEF\xBB\xBF\n\n"},
    {"bytes that are not UTF-8 stay",
     {.event = "\xFF", .data = "\x80\xC0", .id = "\xFE"},
     "event: \xFF\nid: \xFE\ndata: \x80\xC0\n\n"},
};

struct comment_row {
    std::string name;
    std::string_view sent;
    std::string bytes;
};

const comment_row comments[] = {
    {"a comment is a line that begins with a colon", "keep-alive", ": keep-alive\n"},
    {"an empty one is the colon alone", "", ":\n"},
    {"LF", "a\nb", ": a\n: b\n"},
    {"CR", "a\rb", ": a\n: b\n"},
    {"CR LF", "a\r\nb", ": a\n: b\n"},
    {"LF CR", "a\n\rb", ": a\n:\n: b\n"},
    {"LF alone", "\n", ":\n:\n"},
    {"CR alone", "\r", ":\n:\n"},
    {"CR LF alone", "\r\n", ":\n:\n"},
    {"doubled", "\n\n", ":\n:\n:\n"},
    {"CR doubled", "a\r\rb", ": a\n:\n: b\n"},
    {"at the start", "\na", ":\n: a\n"},
    {"at the end", "a\r", ": a\n:\n"},
    {"a space at the start", " a", ":  a\n"},
    {"a colon at the start", ":a", ": :a\n"},
    {"what looks like a field", "data: x\n\ndata: y", ": data: x\n:\n: data: y\n"},
    {"NUL", text("\0"), ": \0\n"s},
};

// Sinks of several kinds, each holding something already

struct appender {
    std::string bytes = "prior";
    void append(const char* text, std::size_t size) { bytes.append(text, size); }
};

struct writer {
    std::string bytes = "prior";
    bool write(const char* text, std::size_t size) {
        bytes.append(text, size);
        return true;
    }
};

struct callee {
    std::string bytes = "prior";
    std::error_code operator()(std::string_view text) {
        bytes += text;
        return {};
    }
};

/// Calls `use(sink, written)` with a sink of each kind, where `written()` is what it holds.
template <class Use>
void for_each_sink(Use use) {
    std::string string = "prior";
    use(string, [&] { return string; });
    appender append;
    use(append, [&] { return append.bytes; });
    writer write;
    use(write, [&] { return write.bytes; });
    callee call;
    use(call, [&] { return call.bytes; });
    std::array<char, 1000> memory{'p', 'r', 'i', 'o', 'r'};
    std::span<char> span = std::span(memory).subspan(5);
    use(span, [&] { return std::string(memory.data(), memory.size() - span.size()); });
}

/// A sink with room for so many bytes; then it takes what fits, and fails.
struct bounded {
    std::size_t room;
    std::string bytes{};
    std::size_t calls = 0;

    std::error_code operator()(std::string_view text) {
        ++calls;
        bytes += text.substr(0, room - bytes.size());
        if (bytes.size() < room || text.empty()) return {};
        return std::make_error_code(std::errc::broken_pipe);
    }
};

// Refusals

struct refusal {
    std::string name;
    std::string value;  // of the field
    bool is_id;
    errc error;

    message sent() const {
        if (is_id) return {.event = "e", .data = "d", .id = value, .retry = milliseconds(1)};
        return {.event = value, .data = "d", .id = "1", .retry = milliseconds(1)};
    }
};

/// Each forbidden byte at each position, in values short and longer than a block that is scanned at once.
std::vector<refusal> refusals() {
    std::vector<refusal> all;
    const auto add = [&](const std::string& value) {
        const std::string name = test::show(value);
        if (value.find('\0') == std::string::npos) {
            all.push_back({name, value, false, errc::event_has_line_break});
            all.push_back({name, value, true, errc::id_has_line_break});
        } else {
            all.push_back({name, value, true, errc::id_has_nul});
        }
    };
    for (const char byte : {'\r', '\n', '\0'}) {
        for (const std::size_t size : {1u, 3u, 8u, 63u, 64u, 65u, 130u}) {
            for (std::size_t i = 0; i < size; ++i) {
                std::string value(size, 'x');
                value[i] = byte;
                add(value);
            }
        }
    }
    add("\r\n");
    add("\n\n");
    return all;
}

}  // namespace

TEST_CASE("a message is encoded to these bytes") {
    for (const row& each : messages) {
        CAPTURE(each.name);
        const std::string encoded = sse::encode(each.sent);
        CAPTURE(test::show(encoded));
        CHECK(encoded == each.bytes);
    }
}

TEST_CASE("type and id are read off the bytes of an event as they were put in") {
    const auto check = [](const message& sent, std::string_view bytes) {
        CAPTURE(bytes);
        const std::string_view event = sent.event.value_or("");
        const test::exact_copy copy(bytes);
        CHECK(sse::detail::type_of(copy) == (event.empty() ? "message" : event));
        CHECK(sse::detail::id_of(copy) == sent.id.value_or(""));
    };
    for (const row& each : messages) check(each.sent, each.bytes);
    for (const message& each :
         {message{.data = "event: e"}, message{.data = "id: 1"}, message{.event = "id: 1", .data = "id: 2"},
          message{.id = "event: e"}, message{.event = "a", .id = "b"}, message{.retry = milliseconds(1)}}) {
        check(each, sse::encode(each));
    }
}

TEST_CASE("every kind of sink gets the same bytes, behind those it has") {
    for (const row& each : messages) {
        CAPTURE(each.name);
        for_each_sink([&](auto& sink, auto written) {
            CHECK_FALSE(sse::encode_to(sink, each.sent));
            CHECK(written() == "prior" + each.bytes);
        });
    }
    for (const comment_row& each : comments) {
        CAPTURE(each.name);
        for_each_sink([&](auto& sink, auto written) {
            CHECK_FALSE(sse::encode_comment_to(sink, each.sent));
            CHECK(written() == "prior" + each.bytes);
        });
    }
}

TEST_CASE("an encoder writes the same bytes as the functions, one message after another") {
    std::string expected = "prior";
    for (const row& each : messages) expected += each.bytes;
    for (const comment_row& each : comments) expected += each.bytes;
    for_each_sink([&](auto& sink, auto written) {
        // The span is too small for all of them.
        if constexpr (!std::is_same_v<decltype(sink), std::span<char>&>) {
            sse::encoder encoder(sink);
            for (const row& each : messages) CHECK_FALSE(encoder.write(each.sent));
            for (const comment_row& each : comments) CHECK_FALSE(encoder.write_comment(each.sent));
            CHECK_FALSE(encoder.error());
            CHECK(written() == expected);
        }
    });
}

TEST_CASE("encoded_size is the number of bytes written") {
    for (const row& each : messages) {
        CAPTURE(each.name);
        CHECK(sse::encoded_size(each.sent) == each.bytes.size());
    }
    // Every text of CR, LF and a letter as data; beside it every length of number.
    std::int64_t retry = 1;
    for (int number = 0; number < 729; ++number) {
        std::string data;
        for (int rest = number; rest != 0; rest /= 3) data += "\r\na"[rest % 3];
        const message sent{.event = "e", .data = data, .retry = milliseconds(retry)};
        retry = retry > 100'000'000'000'000'000 ? 1 : retry * 10;
        CAPTURE(test::show(data));
        CHECK(sse::encoded_size(sent) == sse::encode(sent).size());
    }
    // Where a line end falls around the blocks that are scanned at once.
    for (std::size_t size = 0; size < 200; ++size) {
        const std::string data = std::string(size, 'x') + "\r\n" + std::string(size, 'y');
        CHECK(sse::encoded_size({.data = data}) == 2 * size + 6 + 1 + 6 + 2);
        CHECK(sse::encode({.data = data}) ==
              "data: " + std::string(size, 'x') + "\ndata: " + std::string(size, 'y') + "\n\n");
    }
}

TEST_CASE("a line end in event, and a line end or NUL in id, is refused before a byte is written") {
    for (const refusal& each : refusals()) {
        CAPTURE(each.name);
        CAPTURE(each.is_id);
        const message sent = each.sent();
        message head = sent;
        head.data = {};
        for_each_sink([&](auto& sink, auto written) {
            CHECK(sse::encode_to(sink, sent) == each.error);
            sse::encoder encoder(sink);
            CHECK(encoder.write(sent) == each.error);
            CHECK(encoder.begin_event(head) == each.error);
            CHECK(written() == "prior");
            // And it is as it was.
            CHECK_FALSE(encoder.error());
            CHECK_FALSE(encoder.write({.data = "a"}));
            CHECK(written() == "priordata: a\n\n");
        });
    }
}

TEST_CASE("a negative retry is refused before a byte is written") {
    for (const milliseconds retry : {milliseconds(-1), milliseconds(-1000), milliseconds(INT64_MIN)}) {
        for_each_sink([&](auto& sink, auto written) {
            CHECK(sse::encode_to(sink, {.event = "e", .data = "d", .id = "1", .retry = retry}) ==
                  errc::retry_negative);
            sse::encoder encoder(sink);
            CHECK(encoder.begin_event({.retry = retry}) == errc::retry_negative);
            CHECK(written() == "prior");
        });
    }
}

TEST_CASE("encode throws what encode_to returns") {
    const auto thrown = [](const message& sent) {
        std::error_code code;
        try {
            static_cast<void>(sse::encode(sent));
        } catch (const std::system_error& error) {
            code = error.code();
            CHECK(std::string(error.what()).find(code.message()) != std::string::npos);
        }
        return code;
    };
    CHECK(thrown({.event = "a\nb"}) == errc::event_has_line_break);
    CHECK(thrown({.id = "a\rb"}) == errc::id_has_line_break);
    CHECK(thrown({.id = text("\0")}) == errc::id_has_nul);
    CHECK(thrown({.retry = milliseconds(-1)}) == errc::retry_negative);
    CHECK_FALSE(thrown({.event = text("\0"), .data = text("\r\n\0"), .id = ""}));
}

TEST_CASE("the first refusal in the order of the wire is returned") {
    CHECK(sse::encode_to(std::string(), {.event = "\n", .id = "\n", .retry = milliseconds(-1)}) ==
          errc::event_has_line_break);
    CHECK(sse::encode_to(std::string(), {.id = text("\0\n"), .retry = milliseconds(-1)}) ==
          errc::id_has_line_break);
    CHECK(sse::encode_to(std::string(), {.id = text("\0"), .retry = milliseconds(-1)}) == errc::id_has_nul);
}

TEST_CASE("neither a type nor an id can forge an event: what other encoders let through") {
    const std::string forged = "1\ndata: forged\n\n";
    const std::string forged_cr = "1\rdata: forged\r\r";
    const std::string forged_crlf = "1\r\ndata: forged\r\n\r\n";
    for (const char* const advisory : {"CVE-2026-44214, an npm encoder", "CVE-2026-29085, Hono",
                                       "CVE-2026-22735, Spring", "CVE-2026-44217, sse-channel"}) {
        CAPTURE(advisory);
        for (const std::string& value : {forged, forged_cr, forged_crlf}) {
            std::string out;
            CHECK(sse::encode_to(out, {.data = "x", .id = value}) == errc::id_has_line_break);
            CHECK(sse::encode_to(out, {.event = value, .data = "x"}) == errc::event_has_line_break);
            CHECK(out.empty());
        }
        CHECK(sse::encode_to(std::string(), {.id = text("1\0")}) == errc::id_has_nul);
    }
}

TEST_CASE("neither data nor a comment can forge an event: CVE-2026-33128, h3, split at LF only") {
    for (const char* const value :
         {"1\ndata: forged\n\n", "1\rdata: forged\r\r", "1\r\ndata: forged\r\n\r\n"}) {
        CHECK(sse::encode({.data = value}) == "data: 1\ndata: data: forged\ndata: \ndata: \n\n");
        std::string out;
        CHECK_FALSE(sse::encode_comment_to(out, value));
        CHECK(out == ": 1\n: data: forged\n:\n:\n");
    }
}

// Spans

TEST_CASE("a span is filled from its front and shortened by as much") {
    std::array<char, 20> memory{};
    std::span<char> rest = memory;
    CHECK_FALSE(sse::encode_to(rest, {.data = "a"}));
    CHECK(rest.data() == memory.data() + 9);
    CHECK(rest.size() == 11);
    CHECK_FALSE(sse::encode_comment_to(rest, "b"));
    CHECK(rest.size() == 7);
    CHECK(std::string(memory.data(), 13) == "data: a\n\n: b\n");
}

TEST_CASE("a span too small is left as it was, and so is what it spans") {
    for (const row& each : messages) {
        CAPTURE(each.name);
        for (std::size_t size = 0; size <= each.bytes.size() + 1; ++size) {
            test::exact_block memory(size);  // a write beyond it is seen
            std::fill_n(memory.data(), size, '#');
            std::span<char> rest(memory.data(), size);
            const sse::error error = sse::encode_to(rest, each.sent);
            if (size < each.bytes.size()) {
                CHECK(error == errc::buffer_too_small);
                CHECK(rest.data() == memory.data());
                CHECK(rest.size() == size);
                CHECK(std::string(memory.data(), size) == std::string(size, '#'));
            } else {
                CHECK_FALSE(error);
                CHECK(rest.data() == memory.data() + each.bytes.size());
                CHECK(rest.size() == size - each.bytes.size());
                CHECK(std::string(memory.data(), each.bytes.size()) == each.bytes);
                CHECK(std::string(rest.data(), rest.size()) == std::string(rest.size(), '#'));
            }
        }
    }
    CHECK(sse::encode_comment_to(std::span<char>(), "") == errc::buffer_too_small);
    CHECK(sse::encode_to(std::span<char>(), {}) == errc::buffer_too_small);
}

TEST_CASE("of data nothing is read but its bytes, however many they are and however many lines") {
    std::mt19937 random(9);
    for (std::size_t size = 0; size <= 300; ++size) {
        for (const unsigned every : {1u, 5u, 70u, 1000u}) {
            std::string text(size, 'a');
            for (char& byte : text) {
                if (random() % every == 0) byte = '\n';
            }
            std::string expected = "data: ";
            for (const char byte : text) expected += byte == '\n' ? "\ndata: "s : std::string(1, byte);
            expected += "\n\n";
            for (const test::edge where : test::edges) {
                const test::exact_copy data(text, where);
                CHECK(sse::encode({.data = data}) == expected);
                CHECK(sse::encoded_size({.data = data}) == expected.size());
            }
        }
    }
}

namespace {

/// A string with no room to spare, so that it moves as it grows.
std::string tight(std::size_t size) {
    std::string out(size, 'o');
    out.shrink_to_fit();
    return out;
}

}  // namespace

TEST_CASE("what is appended to a string may lie in that string") {
    for (const std::size_t size : {5u, 15u, 16u, 100u, 2000u}) {
        CAPTURE(size);
        const std::string own(size, 'o');
        std::string out = tight(size);
        CHECK_FALSE(sse::encode_to(out, {.data = out}));
        CHECK(out == own + "data: " + own + "\n\n");
        out = tight(size);
        CHECK_FALSE(sse::encode_to(out, {.event = std::string_view(out).substr(size - 1), .id = out}));
        CHECK(out == own + "event: o\nid: " + own + "\n\n");
        out = tight(size);
        CHECK_FALSE(sse::encode_comment_to(out, out));
        CHECK(out == own + ": " + own + "\n");

        out = tight(size);
        sse::encoder encoder(out);
        CHECK_FALSE(encoder.write({.data = out}));
        CHECK(out == own + "data: " + own + "\n\n");
        out = tight(size);
        CHECK_FALSE(encoder.write_comment(out));
        CHECK(out == own + ": " + own + "\n");
        out = tight(size);
        CHECK_FALSE(encoder.begin_event({.event = out, .id = out}));
        CHECK(out == own + "event: " + own + "\nid: " + own + "\n");
        out = tight(size);
        CHECK_FALSE(encoder.write_data(out));
        CHECK(out == own + "data: " + own);
        CHECK_FALSE(encoder.end_event());
    }
}

TEST_CASE("a string that refuses what lies in it is as it was") {
    struct full : std::string {
        using std::string::string;
        bool append(const char*, std::size_t) { return false; }
    };
    full out("own text");
    CHECK(sse::encode_to(out, {.data = std::string_view(out)}) == errc::sink_failed);
    CHECK(out == "own text");
}

TEST_CASE("an encoder whose span is too small can try again with a larger one") {
    const std::string_view chunks[] = {"a\r", "\nb", "", "\r", "\n", "c\n"};
    const std::string expected = "id: 1\ndata: a\ndata: b\ndata: c\ndata: \n\n";

    // It gets one byte of room more whenever it refuses.
    std::string memory(expected.size(), '#');
    std::span<char> rest(memory.data(), 0);
    sse::encoder encoder(rest);
    std::size_t refused = 0;
    const auto insist = [&](auto write) {
        while (const sse::error error = write()) {
            CHECK(error == errc::buffer_too_small);
            CHECK_FALSE(encoder.error());
            CHECK(std::all_of(rest.begin(), rest.end(), [](char byte) { return byte == '#'; }));
            REQUIRE(++refused <= expected.size());
            rest = {rest.data(), rest.size() + 1};
        }
    };
    insist([&] { return encoder.begin_event({.id = "1"}); });
    for (const std::string_view chunk : chunks) insist([&] { return encoder.write_data(chunk); });
    insist([&] { return encoder.end_event(); });
    CHECK(memory == expected);
    CHECK(rest.empty());
    CHECK(refused == expected.size());
}

// Pieces

TEST_CASE("data in chunks, cut anywhere, is encoded as if whole") {
    for (const std::string_view whole : {text("a\r\nb\n\rc\r\r\n\n\r"), text("\r\n\r\n"),
                                         text("\n\n \r\r \n"), text("\r"), text("data: x\r\n\r\ndata: y")}) {
        CAPTURE(test::show(whole));
        const std::string expected = sse::encode({.event = "e", .data = whole, .id = "1"});
        for (std::size_t first = 0; first <= whole.size(); ++first) {
            for (std::size_t second = first; second <= whole.size(); ++second) {
                CAPTURE(first);
                CAPTURE(second);
                std::string out;
                sse::encoder encoder(out);
                CHECK_FALSE(encoder.begin_event({.event = "e", .id = "1"}));
                CHECK_FALSE(encoder.write_data(whole.substr(0, first)));
                CHECK_FALSE(encoder.write_data(whole.substr(first, second - first)));
                CHECK_FALSE(encoder.write_data(whole.substr(second)));
                CHECK_FALSE(encoder.end_event());
                CHECK(out == expected);
            }
        }
        // And byte by byte, with nothing before, between and after.
        std::string out;
        sse::encoder encoder(out);
        CHECK_FALSE(encoder.begin_event({.event = "e", .id = "1"}));
        CHECK_FALSE(encoder.write_data(""));
        for (const char& byte : whole) {
            CHECK_FALSE(encoder.write_data({&byte, 1}));
            CHECK_FALSE(encoder.write_data({}));
        }
        CHECK_FALSE(encoder.end_event());
        CHECK(out == expected);
    }
}

TEST_CASE("no chunk is no data, an empty chunk is empty data") {
    std::string out;
    sse::encoder encoder(out);
    CHECK_FALSE(encoder.begin_event({.id = "1"}));
    CHECK_FALSE(encoder.end_event());
    CHECK(out == "id: 1\n\n");

    out.clear();
    CHECK_FALSE(encoder.begin_event());
    CHECK_FALSE(encoder.write_data(""));
    CHECK_FALSE(encoder.end_event());
    CHECK(out == "data: \n\n");

    out.clear();
    CHECK_FALSE(encoder.begin_event());
    CHECK_FALSE(encoder.end_event());
    CHECK(out == "\n");
}

TEST_CASE("an event knows nothing of the chunks of the one before") {
    std::string out;
    sse::encoder encoder(out);
    CHECK_FALSE(encoder.begin_event());
    CHECK_FALSE(encoder.write_data("a\r"));
    CHECK_FALSE(encoder.end_event());
    CHECK_FALSE(encoder.begin_event());
    CHECK_FALSE(encoder.write_data("\nb"));  // an LF of its own
    CHECK_FALSE(encoder.end_event());
    CHECK_FALSE(encoder.write({.data = "c"}));
    CHECK(out == "data: a\ndata: \n\ndata: \ndata: b\n\ndata: c\n\n");
}

TEST_CASE("chunks reach the sink as they are written") {
    std::string out;
    sse::encoder encoder(out);
    CHECK_FALSE(encoder.begin_event({.event = "e"}));
    CHECK(out == "event: e\n");
    CHECK_FALSE(encoder.write_data("a"));
    CHECK(out == "event: e\ndata: a");
    CHECK_FALSE(encoder.write_data("b\n"));
    CHECK(out == "event: e\ndata: ab\ndata: ");
    CHECK_FALSE(encoder.end_event());
    CHECK(out == "event: e\ndata: ab\ndata: \n\n");
}

// Sinks that fail

TEST_CASE("once its sink has failed an encoder returns that error and writes no more") {
    const std::string whole = "id: 1\ndata: a\ndata: b\n\ndata: c\n\n: d\n";
    for (std::size_t room = 1; room <= whole.size() + 1; ++room) {
        CAPTURE(room);
        bounded sink{room};
        sse::encoder encoder(sink);
        static_assert(std::is_same_v<decltype(encoder)::error_type, std::error_code>);

        std::optional<std::size_t> calls_at_failure;
        const auto expect = [&](std::error_code error) {
            if (sink.bytes.size() == room && !calls_at_failure) calls_at_failure = sink.calls;
            CHECK((error == std::errc::broken_pipe) == calls_at_failure.has_value());
            CHECK(encoder.error() == error);
        };
        expect(encoder.begin_event({.id = "1"}));
        expect(encoder.write_data("a\nb"));
        expect(encoder.end_event());
        expect(encoder.write({.data = "c"}));
        expect(encoder.write_comment("d"));
        CHECK(sink.bytes == whole.substr(0, room));
        CHECK(calls_at_failure.has_value() == (room <= whole.size()));
        if (calls_at_failure) CHECK(sink.calls == *calls_at_failure);
    }
}

TEST_CASE("a failure of the sink outlives later calls, of every kind and in any order") {
    int calls = 0;
    sse::encoder encoder([&](std::string_view) { return ++calls != 1; });
    CHECK(encoder.write({.data = "a"}) == errc::sink_failed);
    for (int i = 0; i < 2; ++i) {
        CHECK(encoder.write({.data = "b"}) == errc::sink_failed);
        CHECK(encoder.write_comment("c") == errc::sink_failed);
        CHECK(encoder.begin_event({.id = "1"}) == errc::sink_failed);
        CHECK(encoder.write_data("d") == errc::sink_failed);
        CHECK(encoder.end_event() == errc::sink_failed);
    }
    CHECK(encoder.error() == errc::sink_failed);
    CHECK(calls == 1);
}

// Whose the sink is

TEST_CASE("an encoder refers to a sink that is an lvalue, and owns one that is not") {
    std::string out;
    sse::encoder refers(out);
    static_assert(std::is_same_v<decltype(refers), sse::encoder<std::string&>>);
    CHECK_FALSE(refers.write({.data = "a"}));
    CHECK(out == "data: a\n\n");

    auto log = std::make_unique<std::string>();
    const std::string& written = *log;
    sse::encoder owns([log = std::move(log)](std::string_view bytes) { *log += bytes; });
    static_assert(!std::is_reference_v<decltype(owns)> && !std::is_copy_constructible_v<decltype(owns)>);
    CHECK_FALSE(owns.write({.data = "b"}));
    CHECK(written == "data: b\n\n");
    auto moved = std::move(owns);
    CHECK_FALSE(moved.write_comment("c"));
    CHECK(written == "data: b\n\n: c\n");

    std::array<char, 9> memory{};
    std::span<char> span = memory;
    sse::encoder owns_span(std::span<char>{memory});
    CHECK_FALSE(owns_span.write({.data = "d"}));
    CHECK(owns_span.write({.data = "d"}) == errc::buffer_too_small);
    CHECK(std::string(memory.data(), memory.size()) == "data: d\n\n");
    sse::encoder refers_to_span(span);
    CHECK_FALSE(refers_to_span.write({.data = "e"}));
    CHECK(span.empty());
    CHECK(std::string(memory.data(), memory.size()) == "data: e\n\n");
}

// Constant expressions

namespace {

struct encoded {
    std::array<char, 100> memory{};
    std::size_t size = 0;
    sse::error error{};

    constexpr std::string_view bytes() const { return {memory.data(), size}; }
};

constexpr encoded into_span(const message& sent) {
    encoded result;
    std::span<char> rest = result.memory;
    result.error = sse::encode_to(rest, sent);
    result.size = result.memory.size() - rest.size();
    return result;
}

constexpr encoded comment_into_span(std::string_view comment) {
    encoded result;
    std::span<char> rest = result.memory;
    result.error = sse::encode_comment_to(rest, comment);
    result.size = result.memory.size() - rest.size();
    return result;
}

/// A sink with append.
struct literal_sink {
    encoded& result;
    constexpr void append(const char* bytes, std::size_t size) {
        for (std::size_t i = 0; i < size; ++i) result.memory[result.size++] = bytes[i];
    }
};

constexpr encoded pieces_into_append() {
    encoded result;
    sse::encoder encoder(literal_sink{result});
    result.error = encoder.begin_event({.event = "e"});
    if (!result.error) result.error = encoder.write_data("a\r");
    if (!result.error) result.error = encoder.write_data("\nb");
    if (!result.error) result.error = encoder.end_event();
    if (!result.error) result.error = encoder.write_comment("c");
    return result;
}

constexpr encoded into_callable(const message& sent) {
    encoded result;
    result.error = sse::encode_to(
        [&](std::string_view bytes) { literal_sink{result}.append(bytes.data(), bytes.size()); }, sent);
    return result;
}

constexpr message full{.event = "tick", .data = "one\r\ntwo", .id = "7", .retry = milliseconds(10)};
constexpr std::string_view full_bytes = "event: tick\nid: 7\nretry: 10\ndata: one\ndata: two\n\n";

static_assert(into_span(full).bytes() == full_bytes && !into_span(full).error);
static_assert(into_callable(full).bytes() == full_bytes && !into_callable(full).error);
static_assert(sse::encoded_size(full) == full_bytes.size());
static_assert(into_span({.event = "a\n"}).error == errc::event_has_line_break);
static_assert(into_span({.event = "a\n"}).size == 0);
static_assert(into_span({.id = text("\0")}).error == errc::id_has_nul);
static_assert(comment_into_span("a\rb").bytes() == ": a\n: b\n");
static_assert(pieces_into_append().bytes() == "event: e\ndata: a\ndata: b\n\n: c\n");
static_assert(!pieces_into_append().error);

// In constant expressions Clang cannot use the std::string of libstdc++ 12, though that says it can be used
// there.
#if defined(__cpp_lib_constexpr_string) && __cpp_lib_constexpr_string >= 201907L && \
    !(defined(__clang__) && defined(_GLIBCXX_RELEASE) && _GLIBCXX_RELEASE < 13)
static_assert(sse::encode(full) == full_bytes);
static_assert([] {
    std::string out = "prior ";
    return !sse::encode_to(out, {.data = "a"}) && sse::encode_to(out, {.id = "\n"}) &&
           out == "prior data: a\n\n";
}());
#endif

}  // namespace
