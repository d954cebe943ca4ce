// What the library allocates: counted by operator new.
#include <sse/sse.hpp>

#include "support/heap.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using test::count;

/// Feeds the stream in chunks, some rounds of it; \return how many events came
template <class Parser>
std::size_t feed(Parser& parser, std::string_view stream, std::size_t chunk_size) {
    std::size_t events = 0;
    for (; !stream.empty(); stream.remove_prefix(std::min(chunk_size, stream.size()))) {
        const sse::error error =
            parser.feed(stream.substr(0, chunk_size), [&](const sse::event_view&) { ++events; });
        if (error) break;
    }
    return events;
}

template <class Parser>
std::size_t pull(Parser& parser, std::string_view stream) {
    std::size_t events = 0;
    while (parser.next(stream)) ++events;
    return events;
}

const std::string mixed =
    "id: 1\ndata: one line\n\n"
    "event: longer\ndata: two\ndata: lines\nid: 2222222222222222222222222222\n\n"
    ": comment\nretry: 10\nunknown: field\n\n"
    "data: \xFF ill-formed\nevent: \xFE\n\n"
    "id\ndata\n\n";

constexpr std::size_t mixed_events = 4;

}  // namespace

TEST_CASE("no allocation once warm, under every chunk size") {
    for (const auto text : {sse::invalid_utf8::keep, sse::invalid_utf8::replace}) {
        for (std::size_t chunk_size = 1; chunk_size <= mixed.size(); ++chunk_size) {
            CAPTURE(chunk_size);
            sse::parser parser({.invalid_utf8 = text});
            REQUIRE(feed(parser, mixed, chunk_size) == mixed_events);
            const count since;
            for (int round = 0; round < 3; ++round) {
                parser.reset();
                const std::size_t events = feed(parser, mixed, chunk_size) + pull(parser, mixed);
                CHECK(events == 2 * mixed_events);
            }
            CHECK(since.allocations() == 0);
        }
    }
}

TEST_CASE("no allocation at all for events that lie in one chunk with one data line and no id") {
    sse::parser parser;
    const count since;
    const std::size_t events = feed(parser, "event: a\ndata: 1\n\ndata: 2\r\n\r\ndata: 3\r\r", 1000);
    const std::size_t allocations = since.allocations();
    CHECK(events == 3);
    CHECK(allocations == 0);
}

TEST_CASE("one allocation for the id that is kept at the end of a chunk") {
    sse::parser parser;
    const count since;
    const std::size_t events = feed(parser, "id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n", 1000);
    const std::size_t allocations = since.allocations();
    CHECK(events == 2);
    CHECK(allocations == 1);
}

TEST_CASE("fixed_parser never allocates") {
    for (const std::size_t chunk_size : {1u, 10u, 1000u}) {
        const count since;
        sse::fixed_parser<200> parser({.last_event_id = "0", .invalid_utf8 = sse::invalid_utf8::replace});
        const std::size_t events = feed(parser, mixed, chunk_size) + pull(parser, mixed);
        parser.reset();
        const std::size_t allocations = since.allocations();
        CHECK(events == 2 * mixed_events);
        CHECK(allocations == 0);
    }
}

TEST_CASE("what is retained never exceeds the limit, whatever comes") {
    const std::string large(3000, 'x');
    const std::array streams = {
        "data: " + large,
        "data: " + large + "\ndata: " + large + "\n\n",
        "event: " + large + "\nid: " + large + "\n\n",
        "id: " + large.substr(0, 300) + "\n\nid: " + large.substr(0, 400) + "\nevent: " + large + "\n\n",
        std::string(3000, '\n') + large + large,
        ": " + large + "\n" + large + ": " + large + "\nretry: 1" + large + "\n\n",
        [&] {
            std::string many;
            for (int i = 0; i < 300; ++i)
                many += "data: " + large.substr(0, static_cast<std::size_t>(i)) + "\n";
            return many;
        }(),
    };
    for (const std::size_t limit : {0u, 1u, 17u, 100u, 129u, 1000u, 1025u, 4000u, 100'000u}) {
        for (const std::string& stream : streams) {
            for (const std::size_t chunk_size : {std::size_t{1}, std::size_t{100}, stream.size()}) {
                CAPTURE(limit);
                CAPTURE(stream.substr(0, 10));
                CAPTURE(chunk_size);
                const count since;
                sse::parser parser({.max_event_bytes = limit});
                std::size_t most = 0;
                for (std::string_view rest = stream; !rest.empty();) {
                    feed(parser, rest.substr(0, chunk_size), chunk_size);
                    most = std::max(most, since.bytes());
                    rest.remove_prefix(std::min(chunk_size, rest.size()));
                }
                const std::size_t peak = since.peak_bytes();
                CHECK(most <= limit);
                CHECK(peak <= 2 * limit);  // while it moves to a larger block, there are two
            }
        }
    }
}

TEST_CASE("a parser that grows holds up to twice its limit at once, and no more") {
    constexpr std::size_t limit = 100'000;
    for (const std::size_t first : {limit / 2, limit / 4 * 3, limit - 1}) {
        CAPTURE(first);
        const count since;
        sse::parser parser({.max_event_bytes = limit});
        const auto ignore = [](const sse::event_view&) {};
        CHECK_FALSE(parser.feed("data: " + std::string(first, 'x'), ignore));
        const std::size_t before = since.bytes();
        const count growing;
        CHECK_FALSE(parser.feed("x", ignore));
        CHECK(before == first);
        CHECK(growing.peak_bytes() == limit);  // beside what there was
        CHECK(since.bytes() == limit);
    }
}

TEST_CASE("past the limit nothing of the event is retained") {
    const std::string stream = "data: " + std::string(900, 'x') + "\ndata: " + std::string(900, 'x') + "\n\n";
    for (const std::size_t size : {stream.size(), std::size_t{1}, std::size_t{64}, std::size_t{700}}) {
        CAPTURE(size);
        const count since;
        sse::parser parser({.max_event_bytes = 1000});
        const std::size_t events = feed(parser, stream, size);
        const std::size_t bytes = since.bytes();
        CHECK(events == 0);
        CHECK(parser.error());
        CHECK(bytes == 0);
    }
}

TEST_CASE("neither is it where what replaces ill-formed text passes the limit at the very end") {
    const std::string stream = "data: " + std::string(900, '\xFF');
    const count since;
    sse::parser parser({.max_event_bytes = 1000, .invalid_utf8 = sse::invalid_utf8::replace});
    const std::size_t events = feed(parser, stream, stream.size());
    const sse::error before = parser.error();
    const sse::error after = parser.finish(sse::unfinished_event::deliver, [](const sse::event_view&) {});
    const std::size_t bytes = since.bytes();
    CHECK(events == 0);
    CHECK_FALSE(before);
    CHECK(after == sse::errc::event_too_large);
    CHECK(bytes == 0);
}

TEST_CASE("the encoder allocates nothing of its own") {
    std::array<char, 4096> room;
    std::size_t written = 0;
    const sse::message message{
        .event = "tick", .data = "a\nb\r\nc", .id = "7", .retry = sse::milliseconds(5)};
    const count since;
    std::span<char> rest(room);
    const sse::error error = sse::encode_to(rest, message);
    const sse::error comment_error = sse::encode_comment_to(rest, "x\ny");
    const sse::error callable_error =
        sse::encode_to([&](std::string_view bytes) { written += bytes.size(); }, message);
    const std::size_t allocations = since.allocations();
    CHECK_FALSE(error);
    CHECK_FALSE(comment_error);
    CHECK_FALSE(callable_error);
    CHECK(written == sse::encoded_size(message));
    CHECK(allocations == 0);
}

TEST_CASE("a client's source allocates nothing for an event, once warm") {
    sse::event_source source({.url = "http://a/"});
    std::size_t events = 0;
    source.on_event([&](const sse::event_source::event_view&) { ++events; });
    source.on_comment([](std::string_view) {});
    const sse::event_source::time_point now{};
    const sse::response accepted{.status = 200, .headers = {{"Content-Type", "text/event-stream"}}};
    REQUIRE(source.next(now).step == sse::event_source::step::connect);
    source.handle_response(accepted, now);
    source.handle_bytes(mixed, now);
    const count since;
    for (int round = 0; round < 3; ++round) source.handle_bytes(mixed, now);
    CHECK(since.allocations() == 0);
    CHECK(events == 4 * mixed_events);
}

TEST_CASE("what a client's source retains does not grow with attempts, nor beyond the limit with a stream") {
    constexpr std::size_t limit = 4096;
    sse::event_source source({.url = "http://a/", .max_event_bytes = limit});
    sse::event_source::time_point now{};
    const sse::response accepted{.status = 200, .headers = {{"Content-Type", "text/event-stream"}}};
    const std::string id(limit / 4, 'i');
    std::size_t retained = 0;
    const count since;
    for (int attempt = 0; attempt < 50; ++attempt) {
        while (source.next(now).step == sse::event_source::step::wait) now = *source.next(now).until;
        source.handle_response(accepted, now);
        source.handle_bytes("id: " + id + "\ndata: " + std::string(limit / 2, 'x'), now);
        source.handle_bytes(std::string(100'000, ':'), now);  // beyond the limit: the source is closed
        CHECK(source.error() == sse::errc::event_too_large);
        source.restart();
        if (attempt == 1) retained = since.bytes();
    }
    CHECK(since.bytes() <= retained);
    CHECK(since.peak_bytes() < 4 * limit + 100'000 + 4096);
}

TEST_CASE("what a client's source retains of a stream goes with it, but for an ID that can be sent") {
    constexpr std::size_t limit = 1 << 16;
    constexpr std::size_t most_sent = sse::default_max_last_event_id_bytes;
    constexpr std::size_t request_bytes = 1024;  // what is asked for, without the ID
    const sse::response accepted{.status = 200, .headers = {{"Content-Type", "text/event-stream"}}};
    for (const std::size_t id_size : {std::size_t{100}, most_sent / 2 + 1, most_sent, limit / 10 * 9}) {
        CAPTURE(id_size);
        const std::size_t sent_bytes = std::min(id_size, most_sent) + 1;
        const std::string first = "id: " + std::string(std::min(id_size, most_sent) / 4 * 3, 'i') + "\n\n";
        const std::string second = "id: " + std::string(id_size, 'i') + "\n\ndata: ";
        const std::string rest(limit - id_size, 'x');
        sse::event_source::time_point now{};
        const count since;
        sse::event_source source({.url = "http://a/", .max_event_bytes = limit});
        const auto connect = [&] {
            while (source.next(now).step == sse::event_source::step::wait) now = *source.next(now).until;
            source.handle_response(accepted, now);
        };
        connect();
        source.handle_bytes(first, now);
        source.handle_bytes(second, now);
        source.handle_bytes(rest, now);
        CHECK(source.ready_state() == sse::ready_state::open);
        CHECK(since.bytes() <= limit + sent_bytes + request_bytes);
        source.handle_end(now);
        CHECK(since.bytes() <= sent_bytes + request_bytes);

        const count reconnecting;  // two parsers never live at once
        connect();
        CHECK(reconnecting.peak_bytes() <= 2 * sent_bytes + request_bytes);
        source.handle_bytes(second, now);
        source.handle_bytes(rest, now);
        CHECK(since.bytes() <= limit + 2 * sent_bytes + request_bytes);
        source.restart();
        CHECK(since.bytes() <= 2 * sent_bytes + request_bytes);

        connect();
        source.handle_bytes(second, now);
        source.handle_bytes(rest + 'x', now);
        CHECK(source.error() == sse::errc::event_too_large);
        CHECK(since.bytes() <= 2 * sent_bytes + request_bytes);

        source.restart();
        connect();
        source.handle_bytes(second, now);
        source.handle_bytes(rest, now);
        source.close();
        CHECK(since.bytes() <= 2 * sent_bytes + request_bytes);
    }
}

TEST_CASE("a client's source retains the ID that it begins with once") {
    const count since;
    const sse::event_source source({.url = "http://a/", .last_event_id = std::string(4000, 'i')});
    CHECK(source.last_event_id().size() == 4000);
    CHECK(since.bytes() < 4000 + 1024);
}

TEST_CASE("a listener that closes a client's source, or throws, has the stream's memory given back, too") {
    const sse::response accepted{.status = 200, .headers = {{"Content-Type", "text/event-stream"}}};
    const std::string large = "data: x\ndata: " + std::string(100'000, 'x') + "\n\n";
    for (const bool throws : {false, true}) {
        const count since;
        sse::event_source source({.url = "http://a/"});
        source.on_event([&](const sse::event_source::event_view&) {
            if (throws) throw 0;
            source.close();
        });
        static_cast<void>(source.next({}));
        source.handle_response(accepted, {});
        if (throws) CHECK_THROWS_AS(source.handle_bytes(large, {}), int);
        else source.handle_bytes(large, {});
        CHECK(since.bytes() < 2048);
    }
}

TEST_CASE("a stream for which there is no memory is lost, and joins nothing to the one before") {
    const sse::response accepted{.status = 200, .headers = {{"Content-Type", "text/event-stream"}}};
    bool has_failed = true;
    for (std::size_t allowed = 0; has_failed; ++allowed) {
        CAPTURE(allowed);
        REQUIRE(allowed < 10);
        sse::event_source source({.url = "http://a.long.name.example/"});
        std::vector<std::string> events;
        source.on_event([&](const sse::event_source::event_view& event) {
            events.push_back(std::string(event.origin) + ' ' + std::string(event.data));
        });
        sse::event_source::time_point now{};
        const auto connect = [&] {
            while (source.next(now).step == sse::event_source::step::wait) now = *source.next(now).until;
        };
        connect();
        source.handle_response(accepted, now);
        source.handle_bytes("id: " + std::string(1000, 'i') + "\n\ndata: half\n", now);
        source.handle_end(now);
        connect();
        has_failed = false;
        test::heap.allowed = allowed;
        try {
            source.handle_response(accepted, now);
        } catch (const std::bad_alloc&) {
            has_failed = true;
        }
        test::heap.allowed = SIZE_MAX;
        CHECK((source.ready_state() == sse::ready_state::connecting) == has_failed);
        CHECK(source.failures() == (has_failed ? 2 : 1));
        source.handle_bytes("data: whole\n\n", now);  // of a loop that pays no heed
        CHECK(events.size() == (has_failed ? 0 : 1));
        if (has_failed) {
            CHECK(source.next(now).step == sse::event_source::step::wait);
            connect();
            source.handle_response(accepted, now);
            source.handle_bytes("data: whole\n\n", now);
        }
        REQUIRE(events.size() == 1);
        CHECK(events[0] == "http://a.long.name.example whole");
        CHECK(source.last_event_id().size() == 1000);
    }
}
