// Lines of a head out of chunks, the limits, and the fields that the lines hold.
#include <sse/detail/head_lines.hpp>

#include "support/exact_copy.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using sse::errc;
using sse::detail::head_lines;
using test::exact_copy;

/// Like take_line or take_chunk_line.
using take_function = std::optional<std::string_view> (head_lines::*)(std::string_view&);

/// All lines of a text, which comes in chunks of one size.
std::vector<std::string> taken(head_lines& lines, std::string_view text, std::size_t chunk_size,
                               take_function take = &head_lines::take_line) {
    std::vector<std::string> all;
    while (!text.empty() && !lines.error()) {
        const exact_copy chunk(text.substr(0, chunk_size));
        text.remove_prefix(text.size() < chunk_size ? text.size() : chunk_size);
        std::string_view bytes = chunk;
        while (const auto line = (lines.*take)(bytes)) all.emplace_back(*line);
        CHECK((lines.error() || bytes.empty()));
    }
    return all;
}

}  // namespace

TEST_CASE("LF and CR LF end a line of a head, under every chunking") {
    for (std::size_t chunk_size = 1; chunk_size <= 20; ++chunk_size) {
        CAPTURE(chunk_size);
        head_lines lines({.max_bytes = 100, .max_fields = 1});
        CHECK(taken(lines, "one\r\n\ntw\ro\n\r\nthree", chunk_size) ==
              std::vector<std::string>{"one", "", "tw\ro", ""});
        CHECK(lines.is_within_line());
        CHECK(taken(lines, "\r\r\n", chunk_size) == std::vector<std::string>{"three\r"});
    }
}

TEST_CASE("only CR LF ends a line of the chunked coding") {
    for (std::size_t chunk_size = 1; chunk_size <= 20; ++chunk_size) {
        CAPTURE(chunk_size);
        head_lines lines({.max_bytes = 100, .max_fields = 1});
        CHECK(taken(lines, "5\r\n\r\n6\nx\r\n", chunk_size, &head_lines::take_chunk_line) ==
              std::vector<std::string>{"5", ""});
        CHECK(lines.error() == errc::http_malformed);
    }
}

TEST_CASE("a line that lies in one chunk is not copied") {
    head_lines lines({.max_bytes = 100, .max_fields = 1});
    const std::string_view all = "one\r\ntwo\r\nthree";
    std::string_view bytes = all;
    CHECK(lines.take_line(bytes)->data() == all.data());
    CHECK(lines.take_line(bytes)->data() == all.data() + 5);
    CHECK_FALSE(lines.take_line(bytes));
    std::string_view rest = "\r\nfour\r\n";
    CHECK(*lines.take_line(rest) == "three");
    const auto line = lines.take_line(rest);
    REQUIRE(line);
    CHECK(line->data() + 6 == rest.data());
}

TEST_CASE("lines are bounded together, complete or not, until the room is restored or all is reset") {
    for (std::size_t chunk_size = 1; chunk_size <= 10; ++chunk_size) {
        CAPTURE(chunk_size);
        head_lines lines({.max_bytes = 5, .max_fields = 1});
        CHECK(taken(lines, "a\r\nbb", chunk_size) == std::vector<std::string>{"a"});
        CHECK_FALSE(lines.error());
        lines.restore_room();
        CHECK(taken(lines, "b\r\ncc", chunk_size) == std::vector<std::string>{"bbb"});
        CHECK_FALSE(lines.error());
        CHECK(taken(lines, "c", chunk_size).empty());
        CHECK(lines.error() == errc::http_head_too_large);
        lines.reset();
        CHECK_FALSE(lines.error());
        CHECK_FALSE(lines.is_within_line());
        CHECK(taken(lines, "ddd\r\n", chunk_size) == std::vector<std::string>{"ddd"});
    }
}

TEST_CASE("a field is a name, a colon and a value; a user agent joins folded lines, a server refuses them") {
    const head_lines lines({.max_bytes = 100, .max_fields = 2});
    sse::headers fields;
    CHECK(lines.add_field(" folded", fields, true) == errc::http_malformed);  // before any field
    CHECK_FALSE(lines.add_field("A:\t b ", fields, true));
    CHECK_FALSE(lines.add_field(" c", fields, true));
    CHECK_FALSE(lines.add_field("\t", fields, true));
    CHECK_FALSE(lines.add_field("Empty:", fields, true));
    CHECK_FALSE(lines.add_field("\td", fields, true));
    CHECK(fields == sse::headers{{"A", "b c"}, {"Empty", "d"}});
    for (const std::string_view wrong : {"", "A", "A : b", ": b", "A: b\rc", "A: \x01"}) {
        CAPTURE(wrong);
        CHECK(lines.add_field(exact_copy(wrong), fields, true) == errc::http_malformed);
    }
    CHECK(lines.add_field(" \x7F", fields, true) == errc::http_malformed);
    CHECK(lines.add_field(" e", fields, false) == errc::http_malformed);
    CHECK(lines.add_field("One: too many", fields, false) == errc::http_head_too_large);
    CHECK(fields == sse::headers{{"A", "b c"}, {"Empty", "d"}});
}
