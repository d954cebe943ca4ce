// What is encoded is received: the same message, once, and nothing that it forged.
#include <sse/encoder.hpp>
#include <sse/parser.hpp>

#include "support/chunking.hpp"
#include "support/reference.hpp"
#include "support/sent.hpp"
#include "support/show.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using sse::errc;
using test::lines_of;
using test::notification;
using test::parse;
using test::received;
using test::sent;
using kind = test::notification::kind;
using strings = std::vector<std::string>;

/// A stream in the making.
struct stream : test::sent_stream {
    void add(const sent& message) { REQUIRE_FALSE(sent_stream::add(message)); }
    void add_comment(const std::string& text) { REQUIRE_FALSE(sent_stream::add_comment(text)); }
};

/// The receiver is told what it is to be told, and so says the reference.
void check(const stream& made) {
    CAPTURE(test::show(made.bytes));
    CAPTURE(test::show(made.expected));
    const test::outcome whole = parse(made.bytes, made.bytes.size());
    CHECK_MESSAGE(whole == made.expected, test::show(whole));
    const test::outcome parts = parse(made.bytes, 1 + made.bytes.size() % 3);
    CHECK_MESSAGE(parts == made.expected, test::show(parts));
    const test::outcome literal =
        test::reference(made.bytes, {.keeps_comments = true, .keeps_unknown_fields = true});
    CHECK_MESSAGE(literal == made.expected, test::show(literal));
}

const sent another{.event = "another type", .data = "another", .id = "another id"};
// It has no type and no id: it shows those that leak.
const sent sentinel{.data = "sentinel"};

/// A message that is refused leaves nothing; one that is not is received, wherever in a stream it stands.
void check(const sent& message) {
    CAPTURE(test::show(message));
    std::string out;
    const sse::error error = sse::encode_to(out, message.view());
    REQUIRE(error == message.refusal());
    if (error) {
        CHECK(out.empty());
        return;
    }
    CHECK(out.size() == sse::encoded_size(message.view()));

    stream first;
    first.add(message);
    check(first);
    first.add(sentinel);
    check(first);

    stream later;
    later.add(another);
    later.add(message);
    later.add(sentinel);
    check(later);
}

/// An event that was received is received again as the same, wherever it is sent.
void check_again(const sse::event& event) {
    CAPTURE(test::show(event.type));
    CAPTURE(test::show(event.data));
    CAPTURE(test::show(event.last_event_id));
    const std::string encoded = sse::encode(event);
    CHECK(encoded == sse::encode(sse::event_view(event)));
    const notification same{kind::event, event.type, event.data, event.last_event_id};
    const auto without_ids = [](test::outcome result) {
        std::erase_if(result.log, [](const notification& entry) { return entry.what == kind::id; });
        return result;
    };
    for (const std::size_t chunk : {encoded.size(), std::size_t{1}}) {
        const test::outcome alone = without_ids(parse(encoded, chunk));
        CHECK(alone.log == std::vector{same});
        CHECK(alone.last_event_id == event.last_event_id);

        stream before;
        before.add(another);
        const test::outcome behind = without_ids(parse(before.bytes + encoded, chunk));
        REQUIRE(behind.log.size() == 2);
        CHECK(behind.log.back() == same);
        CHECK(behind.last_event_id == event.last_event_id);
    }
}

/// Texts dense in what means something in a stream; the same on every platform.
class generator {
public:
    explicit generator(unsigned seed) : random_(seed) {}

    bool one_in(unsigned n) { return random_() % n == 0; }

    std::string text(std::size_t most) {
        static const strings pieces = {
            "\r",     "\n", "\r\n",   "\n\n",     "\r\r",         std::string(1, '\0'),
            ":",      " ",  "data:",  "data: ",   "data",         "id: 1",
            "event:", "id", "retry:", "retry: 5", "\xEF\xBB\xBF", "\xEF\xBB",
            "\xFF",   "7",  "x",      "message",  "\xE2\x80\xA8", "\v"};
        std::string result;
        for (std::size_t size = random_() % (most + 1); size > 0; --size)
            result += pieces[random_() % pieces.size()];
        return result;
    }

    /// For a field of one line: mostly such as are not refused.
    std::string line(std::size_t most) {
        std::string result = text(most);
        if (one_in(8)) return result;
        std::erase_if(result, [](char byte) { return byte == '\r' || byte == '\n' || byte == '\0'; });
        return result;
    }

    sent message() {
        sent result;
        if (one_in(2)) result.event = line(4);
        if (!one_in(4)) result.data = text(one_in(50) ? 200 : 8);
        if (one_in(2)) result.id = line(4);
        if (one_in(4)) {
            constexpr std::int64_t times[] = {0,  1,        10, 1000, 86'400'000, INT64_MAX, INT64_MAX - 1,
                                              -1, INT64_MIN};
            result.retry = times[random_() % std::size(times)];
        }
        return result;
    }

private:
    std::mt19937 random_;
};

/// Calls `use(text)` for each text of up to `most` of these bytes.
template <class Use>
void for_each_text(std::string_view bytes, std::size_t most, Use use) {
    strings texts = {""};
    for (std::size_t size = 0;; ++size) {
        for (const std::string& text : texts) use(text);
        if (size == most) return;
        strings longer;
        for (const std::string& text : texts)
            for (const char byte : bytes) longer.push_back(text + byte);
        texts = std::move(longer);
    }
}

}  // namespace

TEST_CASE("data comes back with CR LF and CR as LF, and nothing else changed: every short text") {
    for_each_text(std::string_view("\r\n\0: x", 6), 5, [](const std::string& data) {
        const std::string encoded = sse::encode({.data = data});
        sse::parser parser;
        std::string_view bytes = encoded;
        const auto event = parser.next(bytes);
        REQUIRE(event);
        REQUIRE(*event == sse::event_view{.data = received(data)});
        REQUIRE_FALSE(parser.next(bytes));
        REQUIRE_FALSE(parser.in_event());
    });
}

TEST_CASE("every short value of a field is refused, or comes back as it was") {
    for_each_text(std::string_view("\r\n\0: d", 6), 3, [](const std::string& value) {
        check(sent{.event = value, .data = ""});
        check(sent{.event = value});
        check(sent{.data = "", .id = value});
        check(sent{.id = value});
        check(sent{.data = value, .id = value});
    });
}

TEST_CASE("a message comes back as it was: rows") {
    const std::string nul(1, '\0');
    const std::string mark = "\xEF\xBB\xBF";
    const sent rows[] = {
        {},
        {.data = ""},
        {.data = "a"},
        {.event = "", .data = "", .id = ""},
        {.event = "message", .data = "a"},
        {.event = "tick"},
        {.id = "7"},
        {.retry = 0},
        {.retry = INT64_MAX},
        {.event = "tick", .data = "one\r\ntwo\rthree\n\nfive", .id = "7", .retry = 10},
        {.event = " ", .data = " ", .id = " "},
        {.event = ":", .data = ":", .id = ":"},
        {.event = mark, .data = mark, .id = mark},
        {.data = mark + mark + "\n" + mark},
        {.event = "data: x", .data = "event: x\nid: x\nretry: 1\n: x\n\n", .id = "data: x"},
        {.event = nul, .data = nul},
        {.data = "\n"},
        {.data = "\r"},
        {.data = "\r\n"},
        {.data = "a\n"},
        {.event = "\xFF", .data = "\xFF", .id = "\xFF"},
        {.data = std::string(5000, '\r')},
        {.event = std::string(300, 'e'), .data = std::string(3000, 'd'), .id = std::string(300, 'i')},
    };
    for (const sent& row : rows) check(row);
}

TEST_CASE("one event comes of a message with data, none of one without") {
    generator any(1);
    for (int i = 0; i < 5000; ++i) {
        const sent message = any.message();
        if (message.refusal() != errc::ok) continue;
        CAPTURE(test::show(message));
        std::size_t events = 0;
        sse::parser parser;
        CHECK_FALSE(parser.feed(sse::encode(message.view()), [&](const sse::event_view&) { ++events; }));
        CHECK(events == (message.data ? 1 : 0));
    }
}

TEST_CASE("hostile messages are refused, or come back as they were and leave their neighbours alone") {
    generator any(2);
    int accepted = 0;
    int refused = 0;
    for (int i = 0; i < 20'000; ++i) {
        const sent message = any.message();
        ++(message.refusal() == errc::ok ? accepted : refused);
        check(message);
    }
    // Neither is rare.
    CHECK(accepted > 10'000);
    CHECK(refused > 1000);
}

TEST_CASE("many messages and comments in one stream are told apart") {
    generator any(3);
    for (int i = 0; i < 1000; ++i) {
        stream made;
        if (any.one_in(2)) made.add_comment(any.text(5));
        for (int j = 0; j < 10; ++j) {
            const sent message = any.message();
            if (message.refusal() == errc::ok) made.add(message);
            if (any.one_in(3)) made.add_comment(any.text(5));
        }
        made.add(sentinel);
        check(made);
    }
}

TEST_CASE("a comment of any text is only comments") {
    for_each_text("\r\n: d", 4, [](const std::string& text) {
        stream made;
        made.add_comment(text);
        made.add(sentinel);
        made.add_comment(text);
        check(made);
    });
    for (const std::string text :
         {"data: forged\n\n", "\r\rdata: forged\r\r", "\n\nid: 1\n\n", "\xEF\xBB\xBF"}) {
        stream made;
        made.add_comment(text);
        made.add(sentinel);
        check(made);
    }
}

TEST_CASE("an event received is, sent again, the same event") {
    generator any(4);
    std::size_t events = 0;
    for (int i = 0; i < 10'000; ++i) {
        // As often from a stream of any bytes as from one that was encoded.
        std::string bytes = any.text(30) + "\n\n";
        if (any.one_in(2)) {
            bytes.clear();
            for (int j = 0; j < 3; ++j) static_cast<void>(sse::encode_to(bytes, any.message().view()));
        }
        sse::parser parser;
        std::string_view rest = bytes;
        while (const auto event = parser.next(rest)) {
            ++events;
            check_again(sse::event(*event));
        }
    }
    CHECK(events > 10'000);  // there were some
}

TEST_CASE("an event received is sent again the same: rows") {
    for (const std::string_view bytes :
         {"data\n\n", "data\ndata\n\n", "event: x\ndata:  y\n\n", "id: 1\ndata: a\n\n", "id\ndata: a\n\n",
          "event: \xEF\xBB\xBF\ndata: \xEF\xBB\xBF\n\n", "event: message\ndata: a\n\n",
          "event:  message\ndata: a\n\n", "id:  \ndata:  \n\n"}) {
        sse::parser parser;
        std::string_view rest = bytes;
        const auto event = parser.next(rest);
        REQUIRE(event);
        check_again(sse::event(*event));
    }
}

TEST_CASE("data written in chunks comes back as if it had been whole") {
    generator any(5);
    for (int i = 0; i < 5000; ++i) {
        stream made;
        sent message = any.message();
        if (message.refusal() != errc::ok || !message.data) continue;
        const std::string data = *message.data;
        made.add(message);

        std::string bytes;
        sse::encoder encoder(bytes);
        sse::message head = message.view();
        head.data = {};
        CHECK_FALSE(encoder.begin_event(head));
        CHECK_FALSE(encoder.write_data(""));
        for (std::size_t at = 0; at < data.size();) {
            const std::size_t size = any.one_in(3) ? 1 : any.one_in(2) ? 2 : 5;
            CHECK_FALSE(encoder.write_data(std::string_view(data).substr(at, size)));
            at += size;
        }
        CHECK_FALSE(encoder.end_event());
        CHECK(bytes == made.bytes);
        made.bytes = bytes;
        check(made);
    }
}
