#include <sse/parser.hpp>

#include "support/every_chunking.hpp"

#include <doctest/doctest.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

using events = std::vector<sse::event>;

namespace {

sse::event make_event(std::string_view type, std::string_view data, std::string_view id = "") {
    return sse::event(sse::event_view{type, data, id});
}

/// Takes down events.
struct list {
    events& seen;
    void operator()(const sse::event_view& event) const { seen.emplace_back(event); }
};

bool lies_in(std::string_view part, std::string_view whole) {
    return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

}  // namespace

TEST_CASE("push: a handler is called for each event that is complete") {
    sse::parser parser;
    events seen;
    REQUIRE_FALSE(parser.feed("event: tick\ndata: 1\n\nda", list{seen}));
    CHECK(seen == events{make_event("tick", "1")});
    REQUIRE_FALSE(parser.feed("ta: 2\nid: 7\n", list{seen}));
    CHECK(seen.size() == 1);
    REQUIRE_FALSE(parser.feed("\n", list{seen}));
    CHECK(seen == events{make_event("tick", "1"), make_event("message", "2", "7")});
}

TEST_CASE("pull: events are taken off the front of the bytes, and one can stop at any") {
    sse::parser parser;
    std::string_view bytes = "data: 1\n\ndata: 2\n\n: comment\n\nid: 9\n\ndata: 3\r\n\r\ndata: 4";
    CHECK(parser.next(bytes)->data == "1");
    CHECK(bytes == "data: 2\n\n: comment\n\nid: 9\n\ndata: 3\r\n\r\ndata: 4");
    CHECK(parser.next(bytes)->data == "2");
    CHECK(parser.last_event_id() == "");
    const auto third = parser.next(bytes);
    CHECK(third->data == "3");
    CHECK(third->last_event_id == "9");
    CHECK(bytes == "data: 4");
    CHECK_FALSE(parser.next(bytes));
    CHECK(bytes.empty());
    CHECK_FALSE(parser.error());
    CHECK(parser.in_event());
}

TEST_CASE("pull: an event's views outlive the parser's own growth, and last until the next call") {
    sse::parser parser;
    std::string_view first = "data: a\ndata: b\nevent: some type\nid: some id\n";
    CHECK_FALSE(parser.next(first));
    const std::string id(300, 'i');  // more than the memory so far
    const std::string rest = "id: " + id + "\n\ndata: next\n\n";
    std::string_view bytes = rest;
    const auto event = parser.next(bytes);
    REQUIRE(event);
    CHECK(event->type == "some type");
    CHECK(event->data == "a\nb");
    CHECK(event->last_event_id == id);
    CHECK(parser.last_event_id() == id);
    CHECK(parser.next(bytes)->last_event_id == id);
}

TEST_CASE("data that is joined outlives the parser's own growth for the id of its event") {
    for (const bool pulls : {false, true}) {
        CAPTURE(pulls);
        const std::string id(300, 'i');  // more than the memory so far
        const std::string stream = "data: a\ndata: b\nid: " + id + "\n\n";
        sse::parser parser;
        events seen;
        std::string_view bytes = stream;
        if (pulls) seen.emplace_back(*parser.next(bytes));
        else CHECK_FALSE(parser.feed(bytes, list{seen}));
        CHECK(seen == events{make_event("message", "a\nb", id)});
    }
}

TEST_CASE("push and pull can be mixed on one stream") {
    sse::parser parser;
    events seen;
    std::string_view bytes = "id: 1\ndata: a\n\nid: 2\ndata: b\n\nda";
    CHECK(parser.next(bytes)->data == "a");
    REQUIRE_FALSE(parser.feed(bytes, list{seen}));
    CHECK(seen == events{make_event("message", "b", "2")});
    bytes = "ta: c\n\n";
    CHECK(parser.next(bytes)->last_event_id == "2");
}

TEST_CASE(
    "an event of one data line that lies in one chunk is not copied, nor where a comment is in its block") {
    for (const std::string chunk : {
             "event: tick\nid: 1\ndata: hello\n\n",
             "data: hello\nevent: tick\nid: 12\n\n",
             "id:1\r\ndata:hello\r\nevent:tick\r\n\r\n",
             "event: tick\ndata: hello\nid:1\n\n",
             "id:1\nevent:e\ndata:\n\n",
             "id:1\ndata:\nevent:e\n\n",
             "id: 1\n: a comment\nevent: tick\n:\ndata: hello\n: another\n\n",
             "data: lost\nevent: lost\nid: 0\ndata: lost\n\nevent: tick\nid: 1\ndata: hello\n: one\n\n",
             "\xEF\xBB\xBF: one\nid: \xC3\xA4\nevent: \xE2\x82\xAC\ndata: \xF0\x9F\x98\x80\n\n",
         }) {
        for (const auto invalid_utf8 : {sse::invalid_utf8::keep, sse::invalid_utf8::replace}) {
            for (const bool pulls : {false, true}) {
                CAPTURE(chunk);
                CAPTURE(pulls);
                CAPTURE(int(invalid_utf8));
                sse::parser parser({.invalid_utf8 = invalid_utf8});
                int count = 0;
                const auto check = [&](const sse::event_view& event) {
                    if (event.data.starts_with("lost")) return;
                    ++count;
                    CHECK(lies_in(event.type, chunk));
                    CHECK(lies_in(event.data, chunk));
                    CHECK((pulls || lies_in(event.last_event_id, chunk)));
                };
                std::string_view bytes = chunk;
                if (pulls) {
                    while (const auto event = parser.next(bytes)) check(*event);
                } else {
                    CHECK_FALSE(parser.feed(bytes, check));
                }
                CHECK(count == 1);
                CHECK_FALSE(lies_in(parser.last_event_id(), chunk));
                CHECK_FALSE(parser.last_event_id().empty());
            }
        }
    }
}

TEST_CASE("a handler is any callable: a lambda, a function, one that cannot be copied, a constant one") {
    static int called;
    called = 0;
    struct counts {
        static void event(const sse::event_view&) { ++called; }
        void operator()(sse::event_view) const { ++called; }
    };
    sse::parser parser;
    CHECK_FALSE(parser.feed("data\n\n", counts::event));
    const counts constant;
    CHECK_FALSE(parser.feed("data\n\n", constant));
    CHECK_FALSE(
        parser.feed("data\n\n", [owned = std::make_unique<int>(1)](const auto&) { called += *owned; }));
    CHECK_FALSE(parser.feed("data\n\n", [](auto& event) { called += event.type == "message"; }));
    CHECK(called == 4);
}

TEST_CASE("a handler object hears what it has functions for, in the order of the stream") {
    struct handler {
        std::vector<std::string> heard{};
        void on_event(const sse::event_view& event) { heard.push_back("event " + std::string(event.data)); }
        void on_comment(std::string_view text) { heard.push_back("comment " + std::string(text)); }
        void on_retry(sse::milliseconds time) { heard.push_back("retry " + std::to_string(time.count())); }
        void on_id(std::string_view id) { heard.push_back("id " + std::string(id)); }
        void on_unknown_field(std::string_view name, std::string_view value) {
            heard.push_back("unknown " + std::string(name) + '=' + std::string(value));
        }
    };
    const std::vector<std::string> expected = {
        "comment hello",     "comment  two spaces", "comment ", "retry 500", "id 3",
        "unknown dataset=x", "unknown da=",         "id 4",     "event a"};
    const std::string stream =
        ": hello\n:  two spaces\n:\nretry: 500\nretry: no\nid: 3\n\ndataset: x\nda\nid: 4\ndata: a\n\n";
    handler whole;
    sse::parser parser;
    CHECK_FALSE(parser.feed(stream, whole));
    CHECK(whole.heard == expected);

    handler dribbled;
    parser.reset();
    for (const char byte : stream) CHECK_FALSE(parser.feed({&byte, 1}, dribbled));
    CHECK(dribbled.heard == expected);
}

TEST_CASE("last_event_id inside a handler is that of the event") {
    sse::parser parser({.last_event_id = "0"});
    CHECK(parser.last_event_id() == "0");
    const auto check = [&](const sse::event_view& event) {
        CHECK(parser.last_event_id() == event.last_event_id);
    };
    CHECK_FALSE(parser.feed("data: a\n\nid: 1\ndata: b\n\nid\ndata: c\n\nid: 3", check));
    CHECK(parser.last_event_id() == "");
}

TEST_CASE("reset: a new connection keeps the last event ID and the reconnection time, and nothing else") {
    sse::parser parser;
    events seen;
    CHECK_FALSE(
        parser.feed("\xEF\xBB\xBFid: 1\nretry: 20\ndata: a\n\nid: 2\nevent: x\ndata: b\nda", list{seen}));
    CHECK(parser.in_event());
    parser.reset();
    CHECK_FALSE(parser.in_event());
    CHECK(parser.last_event_id() == "1");
    CHECK(parser.reconnection_time() == sse::milliseconds(20));
    CHECK_FALSE(
        parser.feed("\xEF\xBB\xBF"
                    "data: c\n\n",
                    list{seen}));
    CHECK(seen == events{make_event("message", "a", "1"), make_event("message", "c", "1")});
}

TEST_CASE("reset after a CR: an LF at the start of the new stream is a line") {
    sse::parser parser;
    events seen;
    CHECK_FALSE(parser.feed("data: a\r", list{seen}));
    parser.reset();
    CHECK_FALSE(parser.feed("data: b\r", list{seen}));
    CHECK_FALSE(parser.finish(sse::unfinished_event::discard, list{seen}));
    CHECK_FALSE(parser.feed("\ndata: c\n\n", list{seen}));
    CHECK(seen == events{make_event("message", "c")});
}

TEST_CASE("in_event: something of an event was read since the last blank line") {
    const auto in_event_after = [](std::string_view bytes) {
        sse::parser parser;
        events seen;
        CHECK_FALSE(parser.feed(bytes, list{seen}));
        return parser.in_event();
    };
    CHECK_FALSE(in_event_after(""));
    CHECK_FALSE(in_event_after("data: a\n\n"));
    CHECK_FALSE(in_event_after(": comment\n"));
    CHECK_FALSE(in_event_after("retry: 1\n"));
    CHECK_FALSE(in_event_after("unknown\n"));
    CHECK_FALSE(in_event_after("event\n"));
    CHECK(in_event_after("data\n"));
    CHECK(in_event_after("event: x\n"));
    CHECK(in_event_after("id\n"));
    CHECK(in_event_after("d"));
    CHECK(in_event_after(": comm"));
}

TEST_CASE("finish: the half event is dropped, or delivered for servers that leave out the last blank line") {
    const std::string stream = "data: a\n\nevent: e\nid: 5\ndata: b\ndata: c";
    for (const auto what : {sse::unfinished_event::discard, sse::unfinished_event::deliver}) {
        sse::parser parser;
        events seen;
        CHECK_FALSE(parser.feed(stream, list{seen}));
        CHECK_FALSE(parser.finish(what, list{seen}));
        CHECK_FALSE(parser.in_event());
        if (what == sse::unfinished_event::discard) {
            CHECK(seen == events{make_event("message", "a")});
            CHECK(parser.last_event_id() == "");
        } else {
            CHECK(seen == events{make_event("message", "a"), make_event("e", "b\nc", "5")});
            CHECK(parser.last_event_id() == "5");
        }
    }
    sse::parser parser;
    std::string_view bytes = stream;
    CHECK(parser.next(bytes)->data == "a");
    CHECK_FALSE(parser.next(bytes));
    CHECK(parser.finish(sse::unfinished_event::deliver)->data == "b\nc");
    CHECK_FALSE(parser.finish(sse::unfinished_event::deliver));
}

TEST_CASE("the limit: an event may be as large as it, and not by a byte larger") {
    struct row {
        const char* what;
        std::string stream;
        std::size_t needed;  // the smallest limit that takes the stream
    };
    const std::string twenty(20, 'x');
    const row rows[] = {
        {"data", "data: " + twenty + "\n\n", 20},
        {"data without the space", "data:" + twenty + "\n\n", 20},
        {"two data lines and the LF between", "data: " + twenty + "\ndata: " + twenty + "\n\n", 41},
        {"the LF of an empty second line", "data: " + twenty + "\ndata\n\n", 21},
        {"type and data", "event: " + twenty + "\ndata: " + twenty + "\n\n", 40},
        {"a type that replaces one counts beside it while it is read",
         "event: " + twenty + "\nevent: " + twenty + "\n\n", 40},
        {"an id is replaced only at the end of the block", "id: " + twenty + "\n\nid: " + twenty + "\n\n",
         40},
        {"the last event ID counts on", "id: " + twenty + "\n\ndata: " + twenty + "\n\n", 40},
        {"an id that is ignored counts up to its NUL", "id: " + twenty + std::string("\0yyyyyy", 7) + "\n\n",
         20},
        {"comments nobody asks for do not count", ": " + twenty + "\n\n", 0},
        {"unknown fields nobody asks for do not count", "dataset: " + twenty + "\n\n", 0},
        {"the digits of retry do not count", "retry: 00000000000000000000000\n\n", 0},
        {"field names do not count", "data:\nevent:\nid:\nretry:\n\n", 0},
        {"events one after the other do not add up", "data: " + twenty + "\n\ndata: " + twenty + "\n\n", 20},
    };
    for (const row& row : rows) {
        CAPTURE(row.what);
        for (const std::size_t chunk_size : {std::size_t{1}, std::size_t{7}, row.stream.size()}) {
            for (std::size_t limit = 0; limit < row.needed + 3; ++limit) {
                CAPTURE(limit);
                sse::parser parser({.max_event_bytes = limit});
                std::string_view rest = row.stream;
                events seen;
                while (!rest.empty()) {
                    const sse::error error = parser.feed(rest.substr(0, chunk_size), list{seen});
                    CHECK(error == parser.error());
                    rest.remove_prefix(std::min(chunk_size, rest.size()));
                }
                if (limit < row.needed) CHECK(parser.error() == sse::errc::event_too_large);
                else CHECK_FALSE(parser.error());
            }
        }
    }
}

TEST_CASE("past the limit: what came before is delivered, nothing after, until reset") {
    sse::parser parser({.max_event_bytes = 8});
    events seen;
    const std::string stream = "id: 1\ndata: fits\n\ndata: does not fit\n\ndata: late\n\n";
    CHECK(parser.feed(stream, list{seen}) == sse::errc::event_too_large);
    CHECK(seen == events{make_event("message", "fits", "1")});
    CHECK(parser.feed("\n\ndata: x\n\n", list{seen}) == sse::errc::event_too_large);
    std::string_view bytes = "data: y\n\n";
    CHECK_FALSE(parser.next(bytes));
    CHECK_FALSE(parser.finish(sse::unfinished_event::deliver));
    CHECK(parser.finish(sse::unfinished_event::deliver, list{seen}) == sse::errc::event_too_large);
    CHECK(seen.size() == 1);
    CHECK(parser.last_event_id() == "1");
    parser.reset();
    CHECK_FALSE(parser.error());
    CHECK_FALSE(parser.feed("data: ok\n\n", list{seen}));
    CHECK(seen.back() == make_event("message", "ok", "1"));
}

TEST_CASE("the limit counts comments and unknown fields where they are asked for") {
    struct curious {
        int heard = 0;
        void on_event(const sse::event_view&) {}
        void on_comment(std::string_view) { ++heard; }
        void on_unknown_field(std::string_view, std::string_view) { ++heard; }
    };
    for (const std::string stream : {": 12345\n", "dat: 123\n", "12345678\n"}) {
        CAPTURE(stream);
        for (const std::size_t chunk_size : {std::size_t{1}, stream.size()}) {
            const auto result = [&](std::size_t limit) {
                curious handler;
                sse::parser parser({.max_event_bytes = limit});
                for (std::size_t i = 0; i < stream.size(); i += chunk_size) {
                    if (parser.feed(stream.substr(i, chunk_size), handler)) break;
                }
                CHECK(bool(parser.error()) == (handler.heard == 0));
                return !parser.error();
            };
            const std::size_t needed = stream.front() == ':' ? 5 : 8;
            CHECK_FALSE(result(needed - 1));
            CHECK(result(needed));
        }
    }
}

TEST_CASE("invalid_utf8::replace counts what replaces") {
    for (const std::size_t limit : {8u, 9u}) {
        sse::parser parser({.max_event_bytes = limit, .invalid_utf8 = sse::invalid_utf8::replace});
        events seen;
        CHECK(bool(parser.feed("data: \xFF\xFF\xFF\n\n", list{seen})) == (limit == 8));
        if (limit == 9) CHECK(seen == events{make_event("message", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD")});
        else CHECK(seen.empty());
    }
}

TEST_CASE("what is so by default") {
    const sse::parser_options options;
    CHECK(options.max_event_bytes == 16'777'216);  // 16 MiB
    CHECK(options.last_event_id.empty());
    CHECK(options.invalid_utf8 == sse::invalid_utf8::keep);
    CHECK(sse::event_view().type == "message");
    CHECK(sse::event().type == "message");
    CHECK_FALSE(sse::parser().error());
    CHECK_FALSE(sse::parser().reconnection_time());
    CHECK(sse::parser().last_event_id() == "");

    // A parser without options has these.
    events seen;
    sse::parser parser;
    CHECK_FALSE(parser.feed("data: \xFF\n\n", list{seen}));
    CHECK(seen == events{make_event("message", "\xFF")});
    CHECK_FALSE(parser.feed("data: ", list{seen}));
    const std::string mebibyte(1 << 20, 'x');
    for (int i = 0; i < 16; ++i) CHECK_FALSE(parser.feed(mebibyte, list{seen}));
    CHECK(parser.feed("x", list{seen}) == sse::errc::event_too_large);
}

TEST_CASE("an ID to begin with that is too long is an error from the start") {
    CHECK(sse::parser({.max_event_bytes = 3, .last_event_id = "1234"}).error() == sse::errc::event_too_large);
    CHECK_FALSE(sse::parser({.max_event_bytes = 4, .last_event_id = "1234"}).error());
}

TEST_CASE("fixed_parser: its size is the limit, and options may lower it") {
    events seen;
    sse::fixed_parser<16> parser;
    CHECK_FALSE(parser.feed("data: 0123456789abcdef\n\n", list{seen}));
    CHECK(parser.feed("data: 0123456789abcdefg\n\n", list{seen}) == sse::errc::event_too_large);
    sse::fixed_parser<16> lower({.max_event_bytes = 4});
    CHECK(lower.feed("data: 01234\n\n", list{seen}) == sse::errc::event_too_large);
    CHECK(seen == events{make_event("message", "0123456789abcdef")});
}

constinit sse::fixed_parser<64> global_parser;

TEST_CASE("fixed_parser can be a global that needs no code to start") {
    events seen;
    CHECK_FALSE(global_parser.feed("data: a\n\n", list{seen}));
    CHECK(seen == events{make_event("message", "a")});
}

TEST_CASE("memory of one's own: anything with a size will do") {
    events seen;
    sse::basic_parser<std::vector<char>> grows({.max_event_bytes = 5000}, std::vector<char>(3));
    for (const char byte : "event: e\ndata: " + std::string(4000, 'x') + "\ndata: y\n\n") {
        CHECK_FALSE(grows.feed({&byte, 1}, list{seen}));
    }
    CHECK(seen == events{make_event("e", std::string(4000, 'x') + "\ny")});
}

TEST_CASE("fields in any order and size, kept over chunks: none disturbs another") {
    // Large values that are replaced again and again by small ones, beside data: were one moved for each of
    // the others, this would take minutes.
    const std::string large(1 << 20, 'L');
    sse::parser parser;
    events seen;
    const auto feed = [&](const std::string& bytes) {
        const std::size_t half = bytes.size() / 2;
        CHECK_FALSE(parser.feed(bytes.substr(0, half), list{seen}));
        CHECK_FALSE(parser.feed(bytes.substr(half), list{seen}));
    };
    feed("id: first\n\n");
    feed("data: " + large + "\nevent: " + large + "\n");
    for (int i = 0; i < 20'000; ++i) feed("id: " + std::to_string(i % 1000) + "\n");
    feed("id: " + large + "\n");
    for (int i = 0; i < 20'000; ++i) feed("event: " + std::to_string(i % 1000) + "\ndata\n");
    feed("id: last\n\n");
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].type == "999");
    CHECK(seen[0].last_event_id == "last");
    CHECK(seen[0].data == large + std::string(20'000, '\n'));
}

TEST_CASE("a parser can be copied and moved in the middle of an event") {
    events seen;
    sse::parser original;
    CHECK_FALSE(original.feed("id: 1\n\nevent: e\nid: 2\ndata: a\ndata: b", list{seen}));
    sse::parser copy = original;
    sse::parser moved = std::move(original);
    CHECK_FALSE(copy.feed("c\n\n", list{seen}));
    CHECK_FALSE(moved.feed("d\n\n", list{seen}));
    CHECK(seen == events{make_event("e", "a\nbc", "2"), make_event("e", "a\nbd", "2")});
    original.reset();
    for (const char byte : std::string_view("data: anew\n\n")) {
        CHECK_FALSE(original.feed({&byte, 1}, list{seen}));  // it has no memory left, nor counts on any
    }
    CHECK(seen.back().data == "anew");
    original = copy;
    CHECK(original.last_event_id() == "2");
    const sse::parser unused;  // has no memory yet
    original = unused;
    CHECK(original.last_event_id() == "");
    CHECK_FALSE(original.feed("data: first\n\n", list{seen}));
    CHECK(seen.back() == make_event("message", "first", ""));

    sse::fixed_parser<100> fixed;
    CHECK_FALSE(fixed.feed("data: a", list{seen}));
    auto fixed_copy = fixed;
    CHECK_FALSE(fixed_copy.feed("b\n\n", list{seen}));
    CHECK(seen.back().data == "ab");
}

namespace {

/// Views whose bytes somebody else has, as some libraries have them.
struct borrowed {
    char* bytes = nullptr;
    std::size_t count = 0;
    char* data() const { return bytes; }
    std::size_t size() const { return count; }
};

// Copies would write into the same bytes.
template <class Memory>
constexpr bool can_be_copied = std::is_copy_constructible_v<sse::basic_parser<Memory>>&&
    std::is_copy_assignable_v<sse::basic_parser<Memory>>;
template <class Memory>
constexpr bool can_be_moved = std::is_move_constructible_v<sse::basic_parser<Memory>>&&
    std::is_move_assignable_v<sse::basic_parser<Memory>>;

static_assert(std::copyable<sse::parser> && std::copyable<sse::fixed_parser<8>>);
static_assert(can_be_copied<std::vector<char>> && can_be_copied<std::string>);
static_assert(!std::is_copy_constructible_v<sse::basic_parser<std::span<char>>>);
static_assert(!std::is_copy_assignable_v<sse::basic_parser<std::span<char>>>);
static_assert(!std::is_copy_constructible_v<sse::basic_parser<borrowed>>);
static_assert(!std::is_copy_assignable_v<sse::basic_parser<borrowed>>);
static_assert(can_be_moved<std::span<char>> && can_be_moved<borrowed>);
static_assert(!can_be_moved<std::span<char, 8>>);  // there is none that spans nothing, to be left behind

}  // namespace

TEST_CASE("a parser whose memory is a span uses that, and leaves it to the one it is moved to") {
    std::array<char, 32> memory{};
    events seen;
    sse::basic_parser<std::span<char>> original({}, memory);
    CHECK_FALSE(original.feed("data: a\ndata: b", list{seen}));
    auto moved = std::move(original);
    original.reset();
    CHECK(original.feed("data: clobbers", list{seen}) == sse::errc::event_too_large);
    CHECK_FALSE(moved.feed("c\n\n", list{seen}));
    CHECK_FALSE(moved.feed("data: d\ndata: e", list{seen}));
    original = std::move(moved);
    moved.reset();
    CHECK(moved.feed("data: clobbers", list{seen}) == sse::errc::event_too_large);
    CHECK_FALSE(original.feed("f\n\n", list{seen}));
    CHECK(seen == events{make_event("message", "a\nbc"), make_event("message", "d\nef")});

    std::array<char, 8> small{};
    sse::basic_parser<std::span<char, 8>> fixed({}, small);
    CHECK_FALSE(fixed.feed("data: 1", list{seen}));
    CHECK_FALSE(fixed.feed("2\n\n", list{seen}));
    CHECK(seen.back().data == "12");
}

TEST_CASE("a parser that is copied or moved from inside a handler is not in that call, nor in its chunk") {
    for (const bool moves : {false, true}) {
        CAPTURE(moves);
        events seen;
        std::optional<sse::parser> other;
        sse::parser parser;
        {
            const auto chunk = std::make_unique<std::string>("id: 12345678\ndata: a\n\n");
            const auto take = [&](const sse::event_view&) {
                if (moves) other = std::move(parser);
                else other = parser;
            };
            CHECK_FALSE(parser.feed(*chunk, take));
        }
        CHECK(other->last_event_id() == "");
        CHECK_FALSE(other->feed("data: b\n\n", list{seen}));
        CHECK(seen == events{make_event("message", "b")});
        parser.reset();
        CHECK(parser.last_event_id() == "12345678");
        CHECK_FALSE(parser.feed("data: c\n\n", list{seen}));
        CHECK(seen.back() == make_event("message", "c", "12345678"));
    }
}

TEST_CASE("a copy made when a comment or an unknown field is told has nothing of that line") {
    struct handler {
        sse::parser& parser;
        std::optional<sse::parser> copy{};
        void on_event(const sse::event_view&) {}
        void on_comment(std::string_view) { copy = parser; }
        void on_unknown_field(std::string_view, std::string_view) { copy = parser; }
    };
    for (const std::string stream : {": c\n", "unknown: d\n"}) {
        CAPTURE(stream);
        events seen;
        sse::parser parser;
        handler told{parser};
        CHECK_FALSE(parser.feed(stream, told));
        CHECK_FALSE(told.copy->in_event());
        CHECK_FALSE(told.copy->feed("data: a", list{seen}));
        CHECK_FALSE(told.copy->feed("\n\n", list{seen}));
        CHECK(seen == events{make_event("message", "a")});
    }
}

TEST_CASE("an assignment from inside a handler ends the call, and what is assigned keeps to its own limit") {
    struct handler {
        sse::fixed_parser<200>& parser;
        std::string_view when;
        int events = 0;

        void assign(std::string_view what) {
            if (what != when) return;
            when = "never again";
            parser = sse::fixed_parser<200>({.max_event_bytes = 4});
        }
        void on_event(const sse::event_view&) {
            ++events;
            assign("event");
        }
        void on_comment(std::string_view) { assign("comment"); }
        void on_id(std::string_view) { assign("id"); }
        void on_retry(sse::milliseconds) { assign("retry"); }
        void on_unknown_field(std::string_view, std::string_view) { assign("unknown"); }
    };
    const std::string large(40, 'x');
    const std::string stream = ": c\nretry: 7\nunknown: d\nid: 1\ndata: a\n\nid: " + large + "\n\n";
    for (const std::string_view when : {"event", "comment", "id", "retry", "unknown"}) {
        for (std::size_t cut = 0; cut < stream.size(); ++cut) {
            CAPTURE(when);
            CAPTURE(cut);
            sse::fixed_parser<200> parser;
            handler told{parser, when};
            static_cast<void>(parser.feed(stream.substr(0, cut), told));
            static_cast<void>(parser.feed(stream.substr(cut), told));
            CHECK(told.events <= 1);
            CHECK(told.when == "never again");
            parser.reset();
            CHECK(parser.feed("data: " + std::string(4000, 'y'), told) == sse::errc::event_too_large);
        }
    }
}

TEST_CASE("an assignment from inside on_id ends the call before the event, wherever its data is") {
    struct handler {
        sse::parser& parser;
        int events = 0;
        void on_event(const sse::event_view&) { ++events; }
        void on_id(std::string_view) { parser = sse::parser({.last_event_id = "assigned"}); }
    };
    for (const std::string stream : {"id: 1\ndata: a\n\n", "id: 1\ndata: a\ndata: b\n\n"}) {
        for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
            CAPTURE(stream);
            CAPTURE(cut);
            sse::parser parser;
            handler told{parser};
            CHECK_FALSE(parser.feed(stream.substr(0, cut), told));
            CHECK_FALSE(parser.feed(stream.substr(cut), told));
            CHECK(told.events == 0);
            CHECK(parser.last_event_id() == "assigned");
            CHECK_FALSE(parser.in_event());
        }
    }
}

#ifdef NDEBUG  // or else they are assertions

TEST_CASE("a call from inside a handler does nothing, and says so") {
    const std::string stream =
        "id: 1\nevent: e\ndata: a\ndata: b\n\n: c\nretry: 7\nid: 2\nunknown: d\ndata: a\n\nda";
    for (std::size_t size = 1; size <= stream.size(); ++size) {
        CAPTURE(size);
        struct handler {
            sse::parser& parser;
            events seen{};
            int calls = 0;

            void call() {
                ++calls;
                const std::string large = "data: " + std::string(5000, 'x') + "\n\nid: 7\n\ndata: y";
                CHECK(parser.feed(large, *this) == sse::errc::called_from_handler);
                std::string_view bytes = large;
                CHECK_FALSE(parser.next(bytes));
                CHECK(bytes.size() == large.size());
                CHECK_FALSE(parser.finish(sse::unfinished_event::deliver));
                CHECK(parser.finish(sse::unfinished_event::deliver, *this) == sse::errc::called_from_handler);
                parser.reset();
            }
            void on_event(const sse::event_view& event) {
                call();
                seen.emplace_back(event);
            }
            void on_comment(std::string_view text) {
                call();
                CHECK(text == "c");
            }
            void on_id(std::string_view id) {
                call();
                CHECK((id == "1" || id == "2"));
            }
            void on_retry(sse::milliseconds) { call(); }
            void on_unknown_field(std::string_view name, std::string_view value) {
                call();
                CHECK(name == "unknown");
                CHECK(value == "d");
            }
        };
        sse::parser parser;
        handler handler{parser};
        for (std::size_t i = 0; i < stream.size(); i += size) {
            const auto chunk = std::make_unique<std::string>(stream.substr(i, size));
            CHECK_FALSE(parser.feed(*chunk, handler));
        }
        CHECK_FALSE(parser.feed("ta: z\n\n", handler));
        CHECK_FALSE(parser.error());
        CHECK(handler.calls == 8);
        CHECK(handler.seen == events{make_event("e", "a\nb", "1"), make_event("message", "a", "2"),
                                     make_event("message", "z", "2")});
    }
}

#endif

TEST_CASE("what a handler throws passes through; the last event ID is that of the event it was given") {
    struct failure {};
    const std::string stream = "id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n";
    for (std::size_t size = 1; size <= stream.size(); ++size) {
        CAPTURE(size);
        sse::parser parser;
        events seen;
        const auto fail_at_b = [&](const sse::event_view& event) {
            seen.emplace_back(event);
            if (event.data == "b") throw failure();
        };
        const auto feed_all = [&] {
            auto chunk = std::make_unique<std::string>();
            for (std::size_t i = 0; i < stream.size(); i += chunk->size()) {
                *chunk = stream.substr(i, size);
                if (parser.feed(*chunk, fail_at_b)) return;
            }
        };
        CHECK_THROWS_AS(feed_all(), failure);
        CHECK(parser.last_event_id() == "2");
        parser.reset();
        CHECK(parser.last_event_id() == "2");
        CHECK_FALSE(parser.in_event());
        CHECK_FALSE(parser.feed("data: d\n\n", list{seen}));
        CHECK(seen == events{make_event("message", "a", "1"), make_event("message", "b", "2"),
                             make_event("message", "d", "2")});
    }
}

TEST_CASE(
    "what a handler throws in the middle of a block leaves nothing of it behind, were reset forgotten") {
    struct failure {};
    struct handler {
        events seen{};
        bool fails = false;
        void on_event(const sse::event_view& event) { seen.emplace_back(event); }
        void on_comment(std::string_view) {
            if (fails) throw failure();
        }
        void on_unknown_field(std::string_view, std::string_view) {
            if (fails) throw failure();
        }
    };
    for (const std::string line :
         {": ccccccccccccccccccccccccccccccccccccc", "unknown: cccccccccccccccccccccccc"}) {
        CAPTURE(line);
        handler handler;
        sse::parser parser({.max_event_bytes = 64});
        CHECK_FALSE(parser.feed("data: lost\n" + line, handler));
        handler.fails = true;
        CHECK_THROWS_AS(static_cast<void>(parser.feed("\n", handler)), failure);
        handler.fails = false;
        CHECK_FALSE(parser.in_event());
        CHECK_FALSE(parser.feed("data: " + std::string(32, '5') + "\ndata: " + std::string(31, '6') + "\n\n",
                                handler));
        CHECK(handler.seen ==
              events{make_event("message", std::string(32, '5') + "\n" + std::string(31, '6'))});
    }
}

namespace {

/// Allows so many allocations.
struct scarce_memory {
    static inline int allowed = 0;

    scarce_memory() = default;
    explicit scarce_memory(std::size_t size) : bytes(size) {
        if (allowed-- == 0) throw std::bad_alloc();
    }
    char* data() { return bytes.data(); }
    const char* data() const { return bytes.data(); }
    std::size_t size() const { return bytes.size(); }

    std::vector<char> bytes{};
};

}  // namespace

TEST_CASE("what the allocator throws passes through, whenever it does; then reset") {
    const std::string id(200, 'i'), longer(500, 'j');
    const std::string stream = "id: 1\ndata: a\n\nid: " + id +
                               "\ndata: b\n\nevent: e\ndata: x\ndata: " + std::string(2000, 'y') +
                               "\nid: " + longer + "\n\nid: 4\nda";
    for (const bool pulls : {false, true}) {
        int failures = 0;
        for (int allowed = 0; allowed < 8; ++allowed) {
            for (const std::size_t chunk_size : {std::size_t{1}, std::size_t{300}, stream.size()}) {
                CAPTURE(pulls);
                CAPTURE(allowed);
                CAPTURE(chunk_size);
                scarce_memory::allowed = allowed;
                sse::basic_parser<scarce_memory> parser;
                events seen;
                try {
                    for (std::size_t i = 0; i < stream.size(); i += chunk_size) {
                        std::string_view chunk = std::string_view(stream).substr(i, chunk_size);
                        if (!pulls && parser.feed(chunk, list{seen})) break;
                        while (pulls) {
                            const auto event = parser.next(chunk);
                            if (!event) break;
                            seen.emplace_back(*event);
                        }
                    }
                } catch (const std::bad_alloc&) {
                    ++failures;
                }
                CHECK(parser.last_event_id() == (seen.empty() ? "" : seen.back().last_event_id));
                parser.reset();
                scarce_memory::allowed = 100;
                seen.clear();
                CHECK_FALSE(parser.feed("data: on\n\n", list{seen}));
                CHECK(seen.size() == 1);
            }
        }
        CHECK(failures > 8);
    }
}

TEST_CASE("where a handler throws and memory is short, the id of its event is there all the same") {
    struct failure {};
    for (const int allowed : {0, 1}) {
        CAPTURE(allowed);
        sse::basic_parser<scarce_memory> parser;
        scarce_memory::allowed = allowed;
        const std::string id(200, 'i');
        const auto feed = [&] {
            const sse::error error =
                parser.feed("id: " + id + "\ndata: a\n\n", [](const sse::event_view&) { throw failure(); });
            CHECK_FALSE(error);
        };
        // There is room for the id, or else the event is not handed out.
        if (allowed == 0) {
            CHECK_THROWS_AS(feed(), std::bad_alloc);
            CHECK(parser.last_event_id() == "");
        } else {
            CHECK_THROWS_AS(feed(), failure);
            CHECK(parser.last_event_id() == id);
        }
    }
}

TEST_CASE("the reconnection time is held at the largest number there is") {
    sse::parser parser;
    events seen;
    CHECK_FALSE(parser.reconnection_time());
    CHECK_FALSE(parser.feed("retry: 9223372036854775806\n", list{seen}));
    CHECK(parser.reconnection_time()->count() == 9223372036854775806);
    CHECK_FALSE(parser.feed("retry: 9223372036854775807\n", list{seen}));
    CHECK(parser.reconnection_time() == sse::milliseconds::max());
    CHECK_FALSE(parser.feed("retry: 0\n", list{seen}));
    CHECK(parser.reconnection_time() == sse::milliseconds(0));
    CHECK_FALSE(parser.feed("retry: 9223372036854775808\n", list{seen}));
    CHECK(parser.reconnection_time() == sse::milliseconds::max());
    CHECK_FALSE(parser.feed("retry: 1" + std::string(3000, '0') + "\n", list{seen}));
    CHECK(parser.reconnection_time() == sse::milliseconds::max());
    CHECK_FALSE(parser.feed("retry: 9223372036854775807x\n", list{seen}));
    CHECK_FALSE(parser.feed("retry: 5:\n", list{seen}));
    CHECK(parser.reconnection_time() == sse::milliseconds::max());
}

TEST_CASE("every chunking, where values change places in the parser's memory") {
    test::check_every_chunking(
        "event: a\ndata: 1\nid: x\nevent: longer\ndata: 2\nid: y\nid\nevent\ndata\n\ndata\n\n");
    test::check_every_chunking(
        "id: 1\n\nid: 2\nevent: e\nid: three\ndata: d\nevent: f\nid: 4\n\n:\ndata: z\n\n");
    test::check_every_chunking("data: \xE2\x82\ndata: \xF0\x9F\x92 \xED\xA0\x80\nevent: \xC0\nid: \xFF\n\n",
                               {.invalid_utf8 = sse::invalid_utf8::replace});
}

namespace {

/// The sizes of data, id and type of all events, in a constant expression.
template <class Parser>
constexpr std::size_t digest(std::string_view stream, std::size_t chunk_size,
                             sse::parser_options options = {}) {
    Parser parser(options);
    std::size_t sum = 0;
    while (!stream.empty()) {
        const std::string_view chunk = stream.substr(0, chunk_size);
        stream.remove_prefix(chunk.size());
        const sse::error error = parser.feed(chunk, [&](const sse::event_view& event) {
            sum = sum * 10 + event.data.size() + event.last_event_id.size() + event.type.size();
        });
        if (error) return 999;
    }
    return sum;
}

constexpr std::string_view constant_stream =
    "\xEF\xBB\xBF: hi\r\nevent: e\ndata: a\rdata: b\nid: 7\nretry: 5\n\ndata\n\n";

static_assert(digest<sse::fixed_parser<64>>(constant_stream, 1) == 58);
static_assert(digest<sse::fixed_parser<64>>(constant_stream, 1000) == 58);
static_assert(digest<sse::parser>(constant_stream, 3) == 58);
static_assert(digest<sse::parser>(constant_stream, 1000) == 58);
static_assert(digest<sse::parser>(constant_stream, 3, {.max_event_bytes = 4}) == 999);
static_assert(digest<sse::parser>("data: \xFF\n\n", 1, {.invalid_utf8 = sse::invalid_utf8::replace}) == 10);

constexpr std::size_t pulled(std::string_view stream) {
    sse::parser parser;
    std::size_t count = 0;
    while (parser.next(stream)) ++count;
    return count + (parser.finish(sse::unfinished_event::deliver) ? 10 : 0);
}

static_assert(pulled("data: a\n\ndata: b\ndata: c\n\ndata: d") == 12);

}  // namespace

TEST_CASE("an id that was replaced in this chunk leaves its room to the line that the chunk ends in") {
    const auto check = [](auto& parser) {
        CHECK_FALSE(parser.feed("id: 1234567890\n\n", [](const sse::event_view&) {}));
        std::string data;
        const auto take = [&](const sse::event_view& event) { data = event.data; };
        CHECK_FALSE(parser.feed("id: 1\n\ndata: 1234567", take));
        CHECK_FALSE(parser.feed("89012345\n\n", take));
        CHECK(data == "123456789012345");  // with the id 16 bytes: as many as may be retained
        CHECK(parser.last_event_id() == "1");
    };
    sse::parser parser({.max_event_bytes = 16});
    check(parser);
    sse::fixed_parser<16> fixed;
    check(fixed);
}

TEST_CASE("a parser needs no options, also as a member of a struct") {
    struct connection {
        int file;
        sse::parser parser;
    };
    connection it{.file = 1, .parser = {}};
    std::string_view bytes = "data: a\n\n";
    CHECK(it.parser.next(bytes)->data == "a");
}
