#include <sse/detail/line.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using sse::detail::line_splitter;

struct cut_stream {
    std::vector<std::string> lines{};
    std::string rest{};

    friend bool operator==(const cut_stream&, const cut_stream&) = default;
};

cut_stream cut(std::string_view stream, std::size_t chunk_size) {
    line_splitter splitter;
    cut_stream result;
    while (!stream.empty()) {
        const std::string chunk(stream.substr(0, chunk_size));
        stream.remove_prefix(chunk.size());
        std::string_view unread = chunk;
        splitter.split(
            unread,
            [&](std::string_view line) {
                result.lines.push_back(result.rest.append(line));
                result.rest.clear();
                return true;
            },
            [&](std::string_view part) { result.rest.append(part); });
        CHECK(unread.empty());
    }
    return result;
}

/// The standard's grammar, a byte at a time.
cut_stream expected_cut(std::string_view stream) {
    if (stream.starts_with("\xEF\xBB\xBF")) stream.remove_prefix(3);
    cut_stream result;
    for (std::size_t i = 0; i < stream.size(); ++i) {
        if (stream[i] == '\n' && i > 0 && stream[i - 1] == '\r') continue;
        if (stream[i] == '\r' || stream[i] == '\n') {
            result.lines.push_back(result.rest);
            result.rest.clear();
        } else {
            result.rest += stream[i];
        }
    }
    return result;
}

/// The lines that end in the chunk.
void append_lines(line_splitter& splitter, std::string_view chunk, std::vector<std::string>& lines) {
    splitter.split(
        chunk,
        [&](std::string_view line) {
            lines.emplace_back(line);
            return true;
        },
        [](std::string_view) {});
}

}  // namespace

TEST_CASE("lines end at CR LF, LF and CR, mixed") {
    const cut_stream expected{{"a", "b", "c", "", "", "d", ""}, "e"};
    for (std::size_t size = 1; size < 20; ++size) {
        CAPTURE(size);
        CHECK(cut("a\nb\rc\r\n\n\rd\r\n\r\ne", size) == expected);
    }
}

TEST_CASE("nothing else ends a line") {
    const std::string stream = "a\v\f\x85\xC2\x85\xE2\x80\xA8\xE2\x80\xA9\x1C\x1D\x1E\n";
    CHECK(cut(stream, 100).lines == std::vector<std::string>{stream.substr(0, stream.size() - 1)});
}

TEST_CASE("a CR ends its line at once, and the LF after it ends none, in whatever chunk it comes") {
    line_splitter splitter;
    std::vector<std::string> lines;
    const auto give = [&](std::string_view chunk) { append_lines(splitter, chunk, lines); };
    give("a\r");
    CHECK(lines == std::vector<std::string>{"a"});
    give("");
    give("\n");
    CHECK(lines == std::vector<std::string>{"a"});
    give("\n");
    CHECK(lines == std::vector<std::string>{"a", ""});
}

TEST_CASE("one byte order mark at the start is dropped, under every chunking") {
    for (const std::size_t size : {1u, 2u, 3u, 4u, 100u}) {
        CAPTURE(size);
        CHECK(cut("\xEF\xBB\xBF"
                  "a\n",
                  size)
                  .lines == std::vector<std::string>{"a"});
        CHECK(cut("\xEF\xBB\xBF\n", size).lines == std::vector<std::string>{""});
        CHECK(cut("\xEF\xBB\xBF\xEF\xBB\xBF"
                  "a\n",
                  size)
                  .lines == std::vector<std::string>{"\xEF\xBB\xBF"
                                                     "a"});
        CHECK(cut("\n\xEF\xBB\xBF"
                  "a\n",
                  size)
                  .lines == std::vector<std::string>{"",
                                                     "\xEF\xBB\xBF"
                                                     "a"});
    }
}

TEST_CASE("the beginning of a byte order mark is text where the rest does not come") {
    for (const std::size_t size : {1u, 2u, 100u}) {
        CAPTURE(size);
        CHECK(cut("\xEF\xBB"
                  "a\n",
                  size)
                  .lines == std::vector<std::string>{"\xEF\xBB"
                                                     "a"});
        CHECK(cut("\xEF\n", size).lines == std::vector<std::string>{"\xEF"});
        CHECK(cut("\xEF\xEF\xBB\xBF\n", size).lines == std::vector<std::string>{"\xEF\xEF\xBB\xBF"});
    }

    line_splitter splitter;
    std::string_view chunk = "\xEF\xBB";
    splitter.split(
        chunk, [](std::string_view) { return true; }, [](std::string_view) {});
    CHECK(splitter.held() == "\xEF\xBB");
    splitter.reset();
    CHECK(splitter.held().empty());
}

TEST_CASE("the rest of a line is taken with its end, whatever that is and wherever it comes") {
    const auto part = [](std::string_view) {};
    for (const std::string_view end : {"\n", "\r", "\r\n"}) {
        for (const std::size_t size : {0u, 1u, 63u, 64u, 65u, 200u}) {
            for (const std::string_view behind : {"", "b\n", "\n", "\r"}) {
                CAPTURE(end);
                CAPTURE(size);
                CAPTURE(behind);
                const bool is_crlf = end == "\r" && behind == "\n";  // the two together, and no line more
                line_splitter splitter;
                std::string_view chunk = "data: ";
                splitter.split(
                    chunk, [](std::string_view) { return true; }, part);

                const std::string half(size, 'x');
                chunk = half;
                const auto further = splitter.take_rest(chunk);
                CHECK(further.text == half);
                CHECK_FALSE(further.ended);
                CHECK(chunk.empty());

                const std::string text = half + std::string(end) + std::string(behind);
                chunk = text;
                const auto rest = splitter.take_rest(chunk);
                CHECK(rest.text == half);
                CHECK(rest.ended);
                CHECK(chunk == (is_crlf ? "" : behind));
            }
        }
    }
}

TEST_CASE("behind the rest of a line an empty line is taken with its end, and nothing else is") {
    struct row {
        std::string_view chunk;
        bool is_empty_line;
        std::string_view left;
    };
    for (const row& each : {row{"a\n\nb", true, "b"}, row{"a\n\r\nb", true, "b"},
                            row{"a\r\n\r\n\r\n", true, "\r\n"}, row{"a\r\rb", true, "b"},
                            row{"a\n\n", true, ""}, row{"a\r\r", true, ""}, row{"a\r\nb\n", false, "b\n"},
                            row{"a\nb", false, "b"}, row{"a\n", false, ""}, row{"a\r\n", false, ""}}) {
        CAPTURE(each.chunk);
        line_splitter splitter;
        std::vector<std::string> lines;
        append_lines(splitter, "part", lines);
        std::string_view chunk = each.chunk;
        CHECK(splitter.take_rest(chunk).ended);
        CHECK(splitter.take_empty(chunk) == each.is_empty_line);
        CHECK(chunk == each.left);
    }
}

TEST_CASE("an LF in the next chunk belongs to the CR that ended the empty line") {
    line_splitter splitter;
    std::vector<std::string> lines;
    append_lines(splitter, "part", lines);
    std::string_view chunk = "a\n\r";
    CHECK(splitter.take_rest(chunk).ended);
    CHECK(splitter.take_empty(chunk));
    append_lines(splitter, "\nb\n", lines);
    CHECK(lines == std::vector<std::string>{"b"});
}

TEST_CASE("an LF behind the rest of a line ends none where that ended with CR, an empty one behind CR LF") {
    for (const auto& [rest, next] : {std::pair("b\r", "\n\nc\n"), std::pair("b\r\n", "\nc\n")}) {
        line_splitter splitter;
        std::vector<std::string> lines;
        append_lines(splitter, "a", lines);
        std::string_view chunk = rest;
        CHECK(splitter.take_rest(chunk).ended);
        append_lines(splitter, next, lines);
        CHECK(lines == std::vector<std::string>{"", "c"});
    }
}

TEST_CASE("splitting stops where it is told to, and goes on from there") {
    line_splitter splitter;
    std::string_view chunk = "a\r\nb\n\nc";
    std::vector<std::string> lines;
    std::string rest;
    const auto one = [&](std::string_view line) {
        lines.emplace_back(line);
        return false;
    };
    const auto part = [&](std::string_view text) { rest = text; };

    splitter.split(chunk, one, part);
    CHECK(chunk == "b\n\nc");
    splitter.split(chunk, one, part);
    CHECK(chunk == "\nc");
    splitter.split(chunk, one, part);
    CHECK(chunk == "c");
    CHECK(rest.empty());
    splitter.split(chunk, one, part);
    CHECK(chunk.empty());
    CHECK(rest == "c");
    CHECK(lines == std::vector<std::string>{"a", "b", ""});
}

TEST_CASE("line ends are found wherever they stand in a block of 64 bytes") {
    std::mt19937 random(1);
    for (int round = 0; round < 2000; ++round) {
        // From dense to sparse, and with the bytes next to CR and LF, which bit tricks take for them.
        const auto sparseness = 1 + random() % 40;
        std::string stream(random() % 300, 'x');
        for (char& byte : stream) {
            if (random() % sparseness == 0) byte = "\r\n\r\n\x0B\x0C\x0E\x09\x8A\x8D\0"[random() % 11];
        }
        const cut_stream expected = expected_cut(stream);
        CAPTURE(round);
        CHECK(cut(stream, stream.size() + 1) == expected);
        CHECK(cut(stream, 1 + random() % 100) == expected);
    }
}

namespace {

constexpr int count_lines(std::string_view chunk) {
    line_splitter splitter;
    int lines = 0;
    splitter.split(
        chunk,
        [&](std::string_view) {
            ++lines;
            return true;
        },
        [](std::string_view) {});
    return lines;
}

static_assert(count_lines("a\r\nb\rc\nd") == 3);
static_assert(count_lines("0123456789012345678901234567890123456789012345678901234567890123456789\n\n\r\n") ==
              3);

}  // namespace
