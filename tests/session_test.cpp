// One subscriber's connection: the socket is a string that takes what it likes, time is passed in.
#include <sse/session.hpp>

#include "support/heap.hpp"
#include "support/show.hpp"

#include <sse/encoder.hpp>
#include <sse/http.hpp>
#include <sse/http1.hpp>
#include <sse/parser.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using sse::channel;
using sse::channel_options;
using sse::cursor;
using sse::milliseconds;
using sse::resumption;
using sse::session;
using sse::session_end;
using sse::session_options;
using sse::when_behind;
using test::count;
using time_point = sse::session::time_point;
using strings = std::vector<std::string>;

static_assert(sizeof(session) <= 256);
static_assert(!std::is_copy_constructible_v<session> && !std::is_copy_assignable_v<session>);
static_assert(std::is_nothrow_move_constructible_v<session> && std::is_nothrow_move_assignable_v<session>);
static_assert(std::is_constructible_v<session, session_options&, cursor, std::string, time_point>);
static_assert(!std::is_constructible_v<session, session_options, cursor, std::string, time_point>);
static_assert(!std::is_constructible_v<session, const session_options, cursor, std::string, time_point>);

template <class T>
constexpr bool gives_task = requires(T&& session) {
    std::forward<T>(session).next(time_point());
};
static_assert(gives_task<session&> && !gives_task<session>);

static_assert(is_complete(session_end::closed) && is_complete(session_end::drained));
static_assert(!is_complete(session_end::none) && !is_complete(session_end::behind));
static_assert(!is_complete(session_end::timed_out) && !is_complete(session_end::kicked));
static_assert(to_string(session_end::none) == "none" && noexcept(to_string(session_end::none)));

constexpr time_point start{1h};
constexpr auto tick = time_point::duration(1);

const milliseconds longest = (milliseconds::max)();
constexpr milliseconds most_negative{INT64_MIN};

// Channels

const std::string prefix = "0000000000ab-";

/// The ID that these channels make.
std::string made(std::uint64_t number) { return prefix + std::to_string(number); }

channel_options keeping(std::size_t events) { return {.max_events = events, .epoch = 0xAB}; }

/// With a number as its data, so that none is like another.
void publish(channel& news, std::uint64_t number) {
    const std::string data = std::to_string(number);
    REQUIRE_FALSE(news.publish({.data = data}).error);
}
void publish(channel& news, std::uint64_t first, std::uint64_t last) {
    for (; first <= last; ++first) publish(news, first);
}

/// What is sent of that, where it is the channel's event of that number.
std::string sent(std::uint64_t number) {
    return "id: " + made(number) + "\ndata: " + std::to_string(number) + "\n\n";
}
std::string sent(std::uint64_t first, std::uint64_t last) {
    std::string text;
    for (; first <= last; ++first) text += sent(first);
    return text;
}

std::string gap_text(std::optional<std::uint64_t> missed) {
    const std::string data = missed ? std::to_string(*missed) : "unknown";
    return sse::encode({.event = "gap", .data = data});
}

/// Nothing goes first but the comment, and nothing is timed.
session_options plain() {
    session_options options;
    options.sends_position = false;
    options.heartbeat = 0ms;
    options.send_timeout = 0ms;
    options.drain_timeout = 0ms;
    options.max_drain_jitter = 0ms;
    return options;
}

session_options plain(when_behind when_behind) {
    session_options options = plain();
    options.when_behind = when_behind;
    return options;
}

const std::string opening = ":\n";

// The one who receives

/// How many bytes the socket takes at once, in turn.
using portions = std::vector<std::size_t>;

class client {
public:
    client(const session_options& options, cursor from, std::string head = {}, portions sizes = {SIZE_MAX},
           time_point now = start)
        : session(options, std::move(from), std::move(head), now), sizes_(std::move(sizes)) {}

    /// Asks what to do, and sees to what is promised of every answer.
    sse::session::task ask(time_point now) {
        const sse::session::task before = session.next(now);
        const sse::session::task task = session.next(now);  // nothing has come of the first: the same again
        if (before.step != task.step || before.bytes != task.bytes || before.until != task.until) {
            FAIL("the answer is another one when asked again");
        }
        if (task.bytes.empty() != (task.step != sse::session::step::send))
            FAIL("bytes to send, and only then");
        if ((task.step == sse::session::step::finished) != (session.end() != session_end::none))
            FAIL("no end");
        if (task.until && (*task.until <= now || task.step == sse::session::step::finished))
            FAIL("until is past");
        if (session.sent_bytes() != received.size()) FAIL("sent_bytes");
        return task;
    }

    /// The socket takes so many bytes. \return what is to be done then
    sse::session::task take(std::size_t bytes, time_point now = start) {
        for (;;) {
            const sse::session::task task = ask(now);
            if (task.step != sse::session::step::send || bytes == 0) return task;
            const std::size_t portion = sizes_[turn_++ % sizes_.size()];
            const std::size_t size = std::min({portion, bytes, task.bytes.size()});
            received += task.bytes.substr(0, size);
            session.sent(size, now);
            bytes -= size;
        }
    }

    /// The socket takes all that there is.
    sse::session::task run(time_point now = start) { return take(SIZE_MAX, now); }

    std::string take_received() { return received.substr(std::exchange(taken_, received.size())); }

    sse::session session;
    std::string received{};

private:
    portions sizes_;
    std::size_t turn_ = 0;
    std::size_t taken_ = 0;
};

/// Tells a story, `story(sizes)`, to sockets of all kinds; each has to receive the same.
template <class Story>
void check_received(const std::string& expected, Story story) {
    std::vector<portions> sockets{{SIZE_MAX}, {1, 2, 3}, {7, 1}, {1, SIZE_MAX}, {64, 1, 1}, {5, 13}};
    for (std::size_t size = 1; size <= expected.size(); ++size) sockets.push_back({size});
    for (std::size_t size = 1; size <= expected.size(); ++size) sockets.push_back({size, 1, SIZE_MAX});
    for (const portions& sizes : sockets) {
        const std::string received = story(sizes);
        if (received == expected) continue;
        CAPTURE(sizes.front());
        CAPTURE(sizes.size());
        CAPTURE(test::show(received));
        CAPTURE(test::show(expected));
        REQUIRE(received == expected);
    }
}

/// What is read of a stream: each event as type, ID and data, each retry, and how long the comments are.
struct reader {
    strings heard{};
    sse::parser parser{};

    struct handler {
        strings& heard;
        void on_event(const sse::event_view& event) {
            heard.push_back(std::string(event.type) + " " + std::string(event.last_event_id) + " " +
                            std::string(event.data));
        }
        void on_comment(std::string_view text) { heard.push_back("comment " + std::to_string(text.size())); }
        void on_retry(milliseconds time) { heard.push_back("retry " + std::to_string(time.count())); }
    };

    void read(std::string_view stream) { CHECK_FALSE(parser.feed(stream, handler{heard})); }
};

strings read(std::string_view stream) {
    reader all;
    all.read(stream);
    CHECK_FALSE(all.parser.in_event());  // no event is cut off
    return all.heard;
}

/// The same behind a head.
strings read_response(std::string_view bytes) {
    sse::response_reader response;
    REQUIRE(response.next(bytes) == sse::http_part::head);
    CHECK(response.response().status == 200);
    std::string body;
    while (response.next(bytes) == sse::http_part::body) body += response.body();
    CHECK_FALSE(response.error());
    return read(body);
}

bool is_wait(const sse::session::task& task, std::optional<time_point> until) {
    return task.step == sse::session::step::wait && task.until == until;
}
bool is_send(const sse::session::task& task, std::string_view bytes, std::optional<time_point> until) {
    return task.step == sse::session::step::send && task.bytes == bytes && task.until == until;
}

}  // namespace

// What goes first

TEST_CASE("the defaults are those that the documentation names") {
    const session_options options;
    CHECK_FALSE(options.retry.has_value());
    CHECK(options.padding_bytes == 0);
    CHECK(options.sends_position);
    CHECK(options.heartbeat == 15s);
    CHECK(options.send_timeout == 30s);
    CHECK(options.when_behind == when_behind::disconnect);
    CHECK_FALSE(options.gap);
    CHECK(options.drain_retry == 1s);
    CHECK(options.max_drain_jitter == 10s);
    CHECK(options.drain_timeout == 5s);
    CHECK_FALSE(options.farewell);
    CHECK(sse::session::task{}.step == sse::session::step::finished);
}

TEST_CASE("the head, a comment, the pause and an ID go first, then the events") {
    session_options options;
    options.retry = 3000ms;
    sse::response response = sse::stream_response({});
    response.headers.push_back({"Connection", "close"});
    std::string head;
    REQUIRE_FALSE(sse::write_head(head, response));

    const std::string expected = head +
                                 ":\n"
                                 "id: 0000000000ab-2\nretry: 3000\n\n" +
                                 sent(3, 5);
    check_received(expected, [&](const portions& sizes) {
        channel news(keeping(10));
        publish(news, 1, 2);
        client it(options, news.subscribe(), head, sizes);
        CHECK(is_wait(it.run(), start + 15s));
        publish(news, 3);
        it.run();
        publish(news, 4, 5);
        CHECK(is_wait(it.run(), start + 15s));
        return it.received;
    });
    CHECK(read_response(expected) == strings{"comment 0", "retry 3000", "message 0000000000ab-3 3",
                                             "message 0000000000ab-4 4", "message 0000000000ab-5 5"});
}

TEST_CASE("what goes first goes in one piece, and events that are there go in one") {
    channel news(keeping(10));
    const session_options options = plain();
    client it(options, news.subscribe(), "head\r\n\r\n");
    publish(news, 1, 5);
    CHECK(is_send(it.ask(start), "head\r\n\r\n:\n", {}));
    it.take(10);
    CHECK(is_send(it.ask(start), sent(1, 5), {}));
}

TEST_CASE("the comment that goes first has at least so many bytes") {
    struct row {
        std::size_t padding;
        std::size_t bytes;
    };
    for (const row& each :
         {row{0, 2}, row{1, 2}, row{2, 2}, row{3, 3}, row{4, 4}, row{2048, 2048}, row{100'000, 100'000}}) {
        CAPTURE(each.padding);
        channel news(keeping(10));
        session_options options = plain();
        options.padding_bytes = each.padding;
        client it(options, news.subscribe());
        publish(news, 1);
        it.run();
        const std::string comment = ":" + std::string(each.bytes - 2, ' ') + "\n";
        CHECK(it.received == comment + sent(1));
        CHECK(read(it.received).size() == 2);
    }
}

TEST_CASE("of pause and first ID only what is asked for goes first") {
    for (const bool has_retry : {false, true}) {
        for (const bool sends_id : {false, true}) {
            CAPTURE(has_retry);
            CAPTURE(sends_id);
            channel news(keeping(10));
            session_options options = plain();
            options.sends_position = sends_id;
            if (has_retry) options.retry = 0ms;
            client it(options, news.subscribe());
            it.run();
            const std::string fields =
                (sends_id ? "id: 0000000000ab-0\n" : "") + std::string(has_retry ? "retry: 0\n" : "");
            CHECK(it.received == (fields.empty() ? opening : opening + fields + "\n"));
        }
    }
    channel news(keeping(10));
    session_options options = plain();
    options.retry = longest;
    client it(options, news.subscribe());
    it.run();
    CHECK(it.received == ":\nretry: 9223372036854775807\n\n");
}

TEST_CASE("the first ID is for those who came without one, or with one that they cannot resume from") {
    session_options options = plain();
    options.sends_position = true;
    options.retry = 5ms;
    channel news(keeping(2));
    publish(news, 1, 4);
    struct row {
        std::string id;
        sse::resumption resumption;
        std::string expected;
    };
    for (const row& each :
         {row{"", resumption::live, ":\nid: 0000000000ab-4\nretry: 5\n\n"},
          row{made(4), resumption::resumed, ":\nretry: 5\n\n"},
          row{made(3), resumption::resumed, ":\nretry: 5\n\n" + sent(4)},
          row{made(1), resumption::gap, ":\nretry: 5\n\nid: 0000000000ab-2\n\n" + sent(3, 4)},
          row{"x", resumption::unknown, ":\nretry: 5\n\nid: 0000000000ab-2\n\n" + sent(3, 4)}}) {
        CAPTURE(each.id);
        cursor from = news.subscribe(each.id);
        CHECK(from.resumption() == each.resumption);
        client it(options, std::move(from));
        it.run();
        CHECK(it.received == each.expected);
    }
}

TEST_CASE("one that is lost before its first event misses nothing when it comes back") {
    session_options options = plain();
    options.sends_position = true;
    for (const bool makes_ids : {true, false}) {
        for (const bool has_own : {true, false}) {
            for (const bool replays : {false, true}) {
                for (std::uint64_t before = 0; before <= 5; ++before) {
                    CAPTURE(makes_ids);
                    CAPTURE(has_own);
                    CAPTURE(replays);
                    CAPTURE(before);
                    channel news({.max_events = 8, .make_ids = makes_ids, .epoch = 0xAB});
                    const auto add = [&](std::uint64_t number) {
                        const std::string data = std::to_string(number);
                        const std::string id = "own" + data;
                        sse::message message{.data = data};
                        if (has_own) message.id = id;
                        REQUIRE_FALSE(news.publish(message).error);
                    };
                    for (std::uint64_t number = 1; number <= before; ++number) add(number);
                    client lost(options, news.subscribe({}, {.replay_to_new = replays}));
                    lost.take(lost.ask(start).bytes.size());  // what goes first, and no more
                    reader seen;
                    seen.read(lost.received);
                    CHECK(seen.heard == strings{"comment 0"});

                    add(before + 1);
                    add(before + 2);
                    const std::string id(seen.parser.last_event_id());
                    // Without made IDs there is only the one of the event before, if that has its own.
                    const bool has_id = makes_ids || (has_own && before > 0 && !replays);
                    CHECK(id.empty() == !has_id);
                    if (!has_id) continue;
                    cursor again = news.subscribe(id);
                    CHECK(again.resumption() == resumption::resumed);
                    client back(options, std::move(again));
                    back.run();
                    std::string data;
                    for (const std::string& each : read(back.received)) data += each.back();
                    std::string expected = "0";  // of the comment
                    for (std::uint64_t i = replays ? 1 : before + 1; i <= before + 2; ++i) {
                        expected += std::to_string(i);
                    }
                    CHECK(data == expected);
                }
            }
        }
    }
}

TEST_CASE("one who came behind is told of the gap before the events, with the number where it is known") {
    channel news(keeping(3));
    publish(news, 1, 10);
    struct row {
        std::string id;
        strings told;
        std::string expected;
    };
    const std::string left = sent(8, 10);
    for (const row& each : {row{"", {}, ""}, row{made(10), {}, ""}, row{made(7), {}, left},
                            row{made(6), {"1"}, "event: gap\ndata: 1\n\n" + left},
                            row{made(0), {"7"}, "event: gap\ndata: 7\n\n" + left},
                            row{made(11), {"unknown"}, "event: gap\ndata: unknown\n\n" + left},
                            row{"\r\n", {"unknown"}, "event: gap\ndata: unknown\n\n" + left}}) {
        CAPTURE(test::show(each.id));
        strings told;
        session_options options = plain();
        options.gap = [&](std::optional<std::uint64_t> missed) {
            told.push_back(missed ? std::to_string(*missed) : "unknown");
            return gap_text(missed);
        };
        client it(options, news.subscribe(each.id));
        it.run();
        CHECK(told == each.told);
        CHECK(it.received == opening + each.expected);

        const session_options silent = plain();
        client other(silent, news.subscribe(each.id));
        other.run();
        CHECK(other.received.ends_with(opening + (each.expected.empty() ? "" : left)));
    }
}

TEST_CASE("one who came with an unknown ID is told so, and where it stands, whichever events it gets") {
    for (const sse::when_unknown what : {sse::when_unknown::replay_all, sse::when_unknown::only_new}) {
        const bool is_new = what == sse::when_unknown::only_new;
        session_options options = plain();
        options.sends_position = true;
        options.gap = gap_text;
        const std::string told = "event: gap\ndata: unknown\n\nid: " + made(is_new ? 10 : 7) + "\n\n";
        check_received(opening + told + (is_new ? "" : sent(8, 10)) + sent(11), [&](const portions& sizes) {
            channel news(keeping(3));
            publish(news, 1, 10);
            client it(options, news.subscribe("?", {.when_unknown = what}), {}, sizes);
            it.run();
            publish(news, 11);
            it.run();
            return it.received;
        });
    }
}

TEST_CASE("who falls behind while what goes first is being sent gets all of that, then a further gap") {
    session_options options = plain(when_behind::skip_to_oldest);
    options.retry = 7ms;
    options.gap = gap_text;
    const std::string first = "head\n:\nretry: 7\n\nevent: gap\ndata: 2\n\n";
    for (std::size_t taken = 0; taken <= first.size(); taken += 4) {
        CAPTURE(taken);
        check_received(first + gap_text(1) + sent(4, 6), [&](const portions& sizes) {
            channel news(keeping(3));
            publish(news, 1, 5);
            client it(options, news.subscribe(made(0)), "head\n", sizes);
            it.take(taken);
            publish(news, 6);  // and 3 leaves
            it.run();
            return it.received;
        });
    }
}

TEST_CASE("what `gap` throws is thrown, and the subscriber is gone") {
    channel news(keeping(3));
    publish(news, 1, 5);
    session_options options = plain(when_behind::skip_to_oldest);
    options.gap = [](std::optional<std::uint64_t>) -> std::string { throw std::runtime_error("no gap"); };
    CHECK_THROWS_AS(session(options, news.subscribe("?"), "", start), std::runtime_error);
    CHECK(news.stats().subscribers == 0);

    client it(options, news.subscribe());
    it.run();
    publish(news, 6, 9);
    CHECK_THROWS_AS(static_cast<void>(it.session.next(start)), std::runtime_error);
    it.session.kick();
    CHECK(it.run().step == sse::session::step::finished);
    CHECK(news.stats().subscribers == 0);
}

// Heartbeats

TEST_CASE("a heartbeat is sent when nothing has been for exactly so long") {
    const session_options options;  // 15 s
    channel news(keeping(10));
    client it(options, news.subscribe());
    it.run(start + 1s);
    it.take_received();
    CHECK(is_wait(it.ask(start + 1s), start + 16s));
    CHECK(is_wait(it.ask(start + 16s - tick), start + 16s));
    CHECK(is_send(it.ask(start + 16s), ":\n", start + 46s));
    it.take(1, start + 17s);
    CHECK(is_send(it.ask(start + 17s), "\n", start + 46s));
    CHECK(is_wait(it.run(start + 18s), start + 33s));  // from the last byte
    CHECK(it.take_received() == ":\n");

    publish(news, 1);
    CHECK(is_wait(it.run(start + 30s), start + 45s));
    CHECK(it.take_received() == sent(1));
    CHECK(is_wait(it.run(start + 1h), start + 1h + 15s));  // asked late: one is enough
    CHECK(it.take_received() == ":\n");
}

TEST_CASE("there is no heartbeat while bytes wait, nor one within an event") {
    session_options options = plain();
    options.heartbeat = 1s;
    const std::string expected = opening + sent(1) + ":\n" + sent(2) + ":\n" + sent(3);
    check_received(expected, [&](const portions& sizes) {
        channel news(keeping(10));
        client it(options, news.subscribe(), {}, sizes);
        it.take(1);
        it.take(0, start + 10s);
        it.run(start + 20s);
        publish(news, 1);
        it.take(5, start + 20s);
        CHECK(it.ask(start + 50s).bytes == std::string_view(expected).substr(2 + 5, sent(1).size() - 5));
        it.run(start + 60s);
        it.take(1, start + 61s);  // of the heartbeat
        publish(news, 2);
        it.run(start + 61s);
        CHECK(it.ask(start + 62s).bytes == ":\n");
        publish(news, 3);
        CHECK(it.ask(start + 62s).bytes == ":\n");
        it.run(start + 62s);
        return it.received;
    });
}

TEST_CASE("heartbeats can be left out, and may be any number of milliseconds apart") {
    channel news(keeping(10));
    session_options options = plain();
    for (const milliseconds never : {milliseconds(0), milliseconds(-1), most_negative}) {
        options.heartbeat = never;
        client it(options, news.subscribe());
        CHECK(is_wait(it.run(), std::nullopt));
        CHECK(is_wait(it.run(start + 24h * 10'000), std::nullopt));
    }
    for (const milliseconds huge : {longest, milliseconds(INT64_MAX / 1000), milliseconds(INT64_MAX - 1)}) {
        options.heartbeat = huge;
        client it(options, news.subscribe());
        const sse::session::task task = it.run();
        REQUIRE(task.until.has_value());
        CHECK(*task.until > start + 24h * 100'000);
        CHECK(is_wait(it.run(start + 24h * 100'000), task.until));
    }
    options.heartbeat = 1ms;
    client it(options, news.subscribe());
    CHECK(is_wait(it.run(), start + 1ms));
    CHECK(is_wait(it.run(start + 1ms), start + 2ms));
    CHECK(it.received == ":\n:\n");
}

// The deadline

TEST_CASE("who does not take what is offered for exactly so long is given up") {
    const session_options options;  // 30 s
    channel news(keeping(10));
    const std::size_t first = (opening + "id: " + made(0) + "\n\n").size();
    for (const std::size_t taken : {std::size_t{0}, std::size_t{1}, first - 1, first, first + 1, first + 9}) {
        CAPTURE(taken);
        client it(options, news.subscribe({}, {.replay_to_new = true}));
        const time_point offered = start + 5s;  // not when it was made
        CHECK(it.ask(offered).until == offered + 30s);
        it.take(taken, offered + 1s);
        if (news.stats().published == 0) publish(news, 1);
        CHECK(it.ask(offered + 1s).step == sse::session::step::send);
        const time_point last = taken < first ? offered + 30s : offered + 31s;
        CHECK(it.ask(last - tick).until == last);
        CHECK(it.ask(last).step == sse::session::step::finished);
        CHECK(it.session.end() == session_end::timed_out);
        CHECK(it.ask(last - tick).step == sse::session::step::finished);
    }
}

TEST_CASE("one byte now and then is not enough, and new events do not prolong the time") {
    const session_options options;
    channel news(keeping(1000));
    client it(options, news.subscribe());
    it.run();
    publish(news, 1, 3);
    for (time_point now = start; now < start + 30s; now += 1s) {
        REQUIRE(it.ask(now).until == start + 30s);
        it.take(1, now);
        publish(news, 4);
    }
    CHECK(it.ask(start + 30s).step == sse::session::step::finished);
    CHECK(it.session.end() == session_end::timed_out);
}

TEST_CASE("what is offered later has the time for itself") {
    session_options options;
    options.heartbeat = 0ms;
    channel news(keeping(1000));
    client it(options, news.subscribe());
    it.run();
    publish(news, 1);
    it.ask(start);
    publish(news, 2);
    CHECK(it.ask(start + 20s).until == start + 30s);
    it.take(sent(1).size(), start + 29s);
    CHECK(it.ask(start + 50s - tick).step == sse::session::step::send);
    CHECK(it.ask(start + 59s).step == sse::session::step::finished);
}

TEST_CASE("who takes all in time is never given up, however late that is") {
    session_options options;
    options.send_timeout = 1s;
    channel news(keeping(1000));
    client it(options, news.subscribe());
    time_point now = start;
    for (std::uint64_t number = 1; number <= 100; ++number) {
        REQUIRE(it.ask(now).step != sse::session::step::finished);
        it.take(static_cast<std::size_t>(number % 7), now + 500ms);
        now += 1s - tick;
        REQUIRE(it.run(now).step == sse::session::step::wait);
        publish(news, number);
        now += number % 5 * 1s;
    }
    it.run(now);
    CHECK(read(it.received).size() >= 101);
}

TEST_CASE("of what is large each 64 KiB have the time") {
    constexpr std::size_t block = std::size_t{64} << 10;
    session_options options;
    options.heartbeat = 0ms;
    const std::string data(6 * block, 'x');
    for (const bool is_first : {false, true}) {  // it goes first, or is an event
        CAPTURE(is_first);
        if (is_first) options.padding_bytes = 6 * block;
        channel news(keeping(10));
        client it(options, news.subscribe());
        client slow(options, news.subscribe());
        if (!is_first) {
            it.run();
            slow.run();
            REQUIRE_FALSE(news.publish({.data = data}).error);
        }
        for (time_point now = start; now < start + 6 * 29s; now += 29s) {
            CHECK(it.ask(now).until == now + 30s);
            CHECK(it.take(block, now + 29s).step != sse::session::step::finished);
        }
        CHECK(it.run(start + 6 * 29s).step == sse::session::step::wait);
        CHECK(it.received.size() > 6 * block);

        slow.ask(start);
        CHECK(slow.take(block - 1, start + 29s).until == start + 30s);
        CHECK(slow.ask(start + 30s).step == sse::session::step::finished);
    }
}

TEST_CASE("the deadline can be left out, and may be any number of milliseconds away") {
    channel news(keeping(10));
    session_options options = plain();
    for (const milliseconds never : {milliseconds(0), milliseconds(-1), most_negative}) {
        options.send_timeout = never;
        client it(options, news.subscribe());
        CHECK(is_send(it.ask(start), ":\n", std::nullopt));
        CHECK(is_send(it.ask(start + 24h * 10'000), ":\n", std::nullopt));
    }
    for (const milliseconds huge : {longest, milliseconds(INT64_MAX / 1000), milliseconds(INT64_MAX - 1)}) {
        options.send_timeout = huge;
        client it(options, news.subscribe());
        const sse::session::task task = it.ask(start);
        REQUIRE(task.until.has_value());
        CHECK(*task.until > start + 24h * 100'000);
        CHECK(is_send(it.ask(start + 24h * 100'000), ":\n", task.until));
    }
    options.send_timeout = 1ms;
    client it(options, news.subscribe());
    CHECK(is_send(it.ask(start), ":\n", start + 1ms));
    CHECK(it.ask(start + 1ms).step == sse::session::step::finished);
}

TEST_CASE("what was offered and has left the log counts no more") {
    for (const bool has_gap : {false, true}) {
        CAPTURE(has_gap);
        channel news(keeping(3));
        session_options options = plain(when_behind::skip_to_latest);
        options.send_timeout = 10s;
        options.heartbeat = 20s;
        if (has_gap) options.gap = gap_text;
        client it(options, news.subscribe());
        it.run();
        publish(news, 1, 3);
        CHECK(it.take(5).bytes.size() == sent(1, 3).size() - 5);  // all three are offered
        publish(news, 4, 9);
        it.take(sent(1).size() - 5, start + 9s);  // it takes what can still be had of that
        if (has_gap) {
            CHECK(is_send(it.ask(start + 9s), gap_text(8), start + 19s));
            CHECK(it.ask(start + 10s).step == sse::session::step::send);
            it.run(start + 12s);
        } else {
            CHECK(is_wait(it.ask(start + 9s), start + 29s));
        }
        const time_point idle = has_gap ? start + 12s : start + 9s;
        CHECK(is_send(it.ask(idle + 20s), ":\n", idle + 30s));
        it.run(idle + 25s);
        CHECK(it.session.end() == session_end::none);
    }
}

TEST_CASE("who was offered what left, and has been asked for nothing since, has its time anew") {
    channel news(keeping(1));
    session_options options = plain(when_behind::skip_to_latest);
    options.send_timeout = 30s;
    client it(options, news.subscribe());
    it.run();
    publish(news, 1);
    CHECK(it.ask(start + 1s).until == start + 31s);
    publish(news, 2);
    CHECK(is_wait(it.ask(start + 2s), std::nullopt));
    publish(news, 3);
    CHECK(is_send(it.ask(start + 40s), sent(3), start + 70s));
    it.run(start + 69s);
    CHECK(it.received == opening + sent(3));
    CHECK(it.session.end() == session_end::none);
}

TEST_CASE("one that has skipped is told where it stands, and comes back to that") {
    for (const bool has_gap : {false, true}) {
        CAPTURE(has_gap);
        channel news(keeping(2));
        session_options options = plain(when_behind::skip_to_latest);
        options.sends_position = true;
        if (has_gap) options.gap = gap_text;
        client it(options, news.subscribe());
        it.run();
        CHECK(it.take_received() == opening + "id: " + made(0) + "\n\n");
        publish(news, 1, 6);
        it.run();
        CHECK(it.take_received() == (has_gap ? gap_text(6) : "") + "id: " + made(6) + "\n\n");
        const sse::cursor again = news.subscribe(made(6));
        CHECK(again.resumption() == sse::resumption::resumed);
    }
}

TEST_CASE("the heartbeat tells one that wants few types where it stands") {
    channel news(keeping(10));
    session_options options = plain();
    options.sends_position = true;
    options.heartbeat = 15s;
    client it(options, news.subscribe({}, {.types = {"rare"}}));
    it.run();
    static_cast<void>(it.take_received());
    it.run(start + 15s);
    CHECK(it.take_received() == ":\n");  // it is where it was
    publish(news, 1, 5);
    it.run(start + 20s);
    CHECK(it.take_received().empty());
    it.run(start + 30s);
    CHECK(it.take_received() == ":\nid: " + made(5) + "\n\n");
    REQUIRE_FALSE(news.publish({.event = "rare", .data = "x"}).error);
    it.run(start + 30s);
    static_cast<void>(it.take_received());
    it.run(start + 45s);
    CHECK(it.take_received() == ":\n");  // the event has told it
}

TEST_CASE("being behind gives time once more, and no more, to one who takes nothing") {
    for (const when_behind policy : {when_behind::skip_to_oldest, when_behind::skip_to_latest}) {
        for (const bool has_gap : {false, true}) {
            CAPTURE(has_gap);
            channel news(keeping(3));
            session_options options = plain(policy);
            options.send_timeout = 10s;
            if (has_gap) options.gap = gap_text;
            client it(options, news.subscribe());
            it.run();
            publish(news, 1);
            CHECK(it.ask(start).until == start + 10s);
            for (int second = 1; second < 10; ++second) {
                publish(news, 1, 4);
                static_cast<void>(it.ask(start + second * 1s));
                publish(news, 5);
            }
            CHECK(it.ask(start + 10s - tick).step == sse::session::step::send);
            const bool has_waited =
                policy == when_behind::skip_to_latest && !has_gap;  // with nothing to take
            CHECK((it.ask(start + 10s).step == sse::session::step::send) == has_waited);
            if (has_waited) CHECK(it.ask(start + 20s - tick).step == sse::session::step::send);
            CHECK(it.ask(start + 20s).step == sse::session::step::finished);
            CHECK(it.session.end() == session_end::timed_out);
        }
    }
}

// Behind

TEST_CASE("who is behind is let go at once, whatever it has not taken yet") {
    const session_options options = plain();
    const std::string all = opening + sent(1, 5);
    for (std::size_t taken = 0; taken <= opening.size() + sent(1).size(); ++taken) {
        CAPTURE(taken);
        check_received(all.substr(0, taken), [&](const portions& sizes) {
            channel news(keeping(3));
            client it(options, news.subscribe(), {}, sizes);
            publish(news, 1, 3);
            it.take(taken);
            publish(news, 4, 5);  // 1 and 2 leave
            it.run();
            CHECK(it.session.end() == session_end::behind);
            CHECK(news.stats().fell_behind == 1);
            CHECK(news.stats().subscribers == 0);
            return it.received;
        });
    }
    for (std::size_t taken = opening.size() + 1; taken < all.size() - sent(5).size(); ++taken) {
        channel news(keeping(3));
        client it(options, news.subscribe());
        publish(news, 1, 3);
        it.take(taken);
        publish(news, 4);  // 1 leaves: it has been begun, and what follows is there
        it.run();
        CHECK(it.session.end() == session_end::none);
        CHECK(it.received == opening + sent(1, 4));
    }
}

TEST_CASE("who is behind goes on with the oldest event that is left, and is told what it missed") {
    for (const bool has_gap : {false, true}) {
        session_options options = plain(when_behind::skip_to_oldest);
        if (has_gap) options.gap = gap_text;
        const auto told = [&](std::uint64_t missed) { return has_gap ? gap_text(missed) : ""; };
        for (std::size_t taken = 0; taken <= opening.size() + sent(1).size(); taken += 3) {
            const bool begun = taken > opening.size();
            CAPTURE(has_gap);
            CAPTURE(taken);
            const std::string expected = opening + (begun ? sent(1) + told(2) : told(3)) + sent(4, 6) +
                                         sent(7) + told(1) + sent(9, 11);
            check_received(expected, [&](const portions& sizes) {
                channel news(keeping(3));
                client it(options, news.subscribe(), {}, sizes);
                publish(news, 1, 3);
                it.take(taken);
                publish(news, 4, 6);
                CHECK(it.run().step == sse::session::step::wait);
                publish(news, 7);
                it.run();
                publish(news, 8, 11);
                it.run();
                return it.received;
            });
        }
    }
}

TEST_CASE("who is behind goes on with what is published next, and is told what it missed") {
    for (const bool has_gap : {false, true}) {
        session_options options = plain(when_behind::skip_to_latest);
        if (has_gap) options.gap = gap_text;
        const auto told = [&](std::uint64_t missed) { return has_gap ? gap_text(missed) : ""; };
        for (std::size_t taken = 0; taken <= opening.size() + sent(1).size(); taken += 3) {
            const bool begun = taken > opening.size();
            CAPTURE(has_gap);
            CAPTURE(taken);
            const std::string expected = opening + (begun ? sent(1) + told(5) : told(6)) + sent(7, 8);
            check_received(expected, [&](const portions& sizes) {
                channel news(keeping(3));
                client it(options, news.subscribe(), {}, sizes);
                publish(news, 1, 3);
                it.take(taken);
                publish(news, 4, 6);
                CHECK(it.run().step == sse::session::step::wait);
                publish(news, 7, 8);
                it.run();
                return it.received;
            });
        }
    }
}

TEST_CASE("who falls behind while being told of a gap is told of it to the end, then of the next one") {
    session_options options = plain(when_behind::skip_to_oldest);
    options.gap = gap_text;
    const std::string expected = opening + gap_text(3) + gap_text(4) + sent(8, 10);
    check_received(expected, [&](const portions& sizes) {
        channel news(keeping(3));
        client it(options, news.subscribe(), {}, sizes);
        publish(news, 1, 6);
        it.take(opening.size() + 4);
        publish(news, 7, 10);
        it.run();
        return it.received;
    });
}

TEST_CASE("a gap text may be empty") {
    session_options options = plain(when_behind::skip_to_oldest);
    options.gap = [](std::optional<std::uint64_t>) { return std::string(); };
    channel news(keeping(3));
    publish(news, 1, 9);
    client it(options, news.subscribe("?"));
    publish(news, 10, 15);
    it.run();
    CHECK(it.received == opening + sent(13, 15));
}

TEST_CASE("events of other types are passed over, and counted where they are missing") {
    session_options options = plain(when_behind::skip_to_oldest);
    options.gap = gap_text;
    const auto add = [](channel& news, std::string_view type, std::string_view data) {
        REQUIRE_FALSE(news.publish({.event = type, .data = data}).error);
    };
    const std::string text = "event: b\nid: " + made(6) + "\ndata: six\n\n";
    check_received(opening + gap_text(4) + text + "retry: 1000\n\n", [&](const portions& sizes) {
        channel news(keeping(3));
        client it(options, news.subscribe({}, {.types = {"b"}}), {}, sizes);
        it.run();
        for (int i = 0; i < 5; ++i) add(news, i % 2 ? "b" : "a", "x");
        add(news, "b", "six");
        add(news, "a", "seven");
        it.run();
        add(news, "a", "eight");
        CHECK(it.ask(start).step == sse::session::step::wait);
        it.session.drain(0, start);
        add(news, "b", "nine");
        it.run();
        return it.received;
    });
}

// The end

TEST_CASE("ends have the names of their enumerators, and of those two are in good order") {
    struct row {
        session_end end;
        std::string_view name;
        bool is_complete = false;
    };
    for (const row& each : {row{session_end::none, "none"}, row{session_end::closed, "closed", true},
                            row{session_end::drained, "drained", true}, row{session_end::behind, "behind"},
                            row{session_end::timed_out, "timed_out"}, row{session_end::kicked, "kicked"},
                            row{static_cast<session_end>(99), "invalid"}}) {
        CHECK(to_string(each.end) == each.name);
        CHECK(is_complete(each.end) == each.is_complete);
    }
}

TEST_CASE("a session ends when its channel is closed and all has been sent") {
    const session_options options = plain();
    for (const std::size_t taken :
         {std::size_t{0}, std::size_t{1}, opening.size(), std::size_t{10}, SIZE_MAX}) {
        CAPTURE(taken);
        for (const bool destroys : {false, true}) {
            check_received(opening + sent(1, 2), [&](const portions& sizes) {
                auto news = std::make_unique<channel>(keeping(3));
                client it(options, news->subscribe(), {}, sizes);
                publish(*news, 1, 2);
                it.take(taken);
                if (destroys) news.reset();
                else news->close();
                it.run();
                CHECK(it.session.end() == session_end::closed);
                return it.received;
            });
        }
    }
}

TEST_CASE("draining sends what has been published, then the farewell, in whatever state") {
    for (const bool has_own : {false, true}) {
        session_options options = plain();
        options.drain_retry = 1500ms;
        if (has_own) {
            options.farewell = [](milliseconds retry) {
                return sse::encode({.event = "bye", .data = "soon", .retry = retry});
            };
        }
        const std::string farewell = has_own ? "event: bye\nretry: 1500\ndata: soon\n\n" : "retry: 1500\n\n";
        const std::string expected = "head" + opening + sent(1, 3) + farewell;
        for (std::size_t taken = 0; taken <= 4 + opening.size() + sent(1, 3).size(); ++taken) {
            CAPTURE(taken);
            for (const std::size_t size : {std::size_t{1}, std::size_t{10}, SIZE_MAX}) {
                channel news(keeping(3));
                client it(options, news.subscribe(), "head", {size});
                publish(news, 1, 3);
                it.take(taken);
                it.session.drain(7, start);
                CHECK(it.session.end() == session_end::none);
                publish(news, 4);  // 1 leaves: who has begun it is given the rest, and is not behind
                it.run();
                const bool begun = taken > 4 + opening.size();
                CHECK(it.received == (begun ? expected : "head" + opening + farewell));
                CHECK(it.session.end() == session_end::drained);
                CHECK(news.stats().subscribers == 0);
            }
        }
        for (std::size_t taken = 0; taken <= expected.size() - farewell.size(); taken += 7) {
            CAPTURE(taken);
            check_received(expected, [&](const portions& sizes) {
                channel news(keeping(1000));
                client it(options, news.subscribe(), "head", sizes);
                publish(news, 1, 3);
                it.take(taken);
                it.session.drain(7, start);
                publish(news, 4, 30);  // more than one segment of the log
                it.run();
                CHECK(it.session.end() == session_end::drained);
                return it.received;
            });
        }
    }
}

TEST_CASE("draining one who is idle, blocked, behind or told of a gap") {
    session_options options = plain(when_behind::skip_to_oldest);
    options.gap = gap_text;
    const std::string farewell = "retry: 1000\n\n";
    check_received(opening + farewell, [&](const portions& sizes) {  // idle, in a log without events
        channel news(keeping(3));
        client it(options, news.subscribe(), {}, sizes);
        it.run();
        it.session.drain(0, start);
        it.run();
        CHECK(it.session.end() == session_end::drained);
        return it.received;
    });
    check_received(opening + sent(1) + farewell, [&](const portions& sizes) {  // blocked
        channel news(keeping(3));
        client it(options, news.subscribe(), {}, sizes);
        it.run();
        publish(news, 1);
        it.take(0);
        it.session.drain(0, start);
        it.take(0, start + 1h);
        it.run(start + 2h);
        CHECK(it.session.end() == session_end::drained);
        return it.received;
    });
    check_received(opening + farewell, [&](const portions& sizes) {  // behind, and not told: it comes back
        channel news(keeping(3));
        client it(options, news.subscribe(), {}, sizes);
        it.run();
        publish(news, 1, 6);
        it.session.drain(0, start);
        it.run();
        CHECK(it.session.end() == session_end::drained);
        return it.received;
    });
    check_received(opening + gap_text(3) + sent(4, 6) + farewell, [&](const portions& sizes) {  // told of it
        channel news(keeping(3));
        client it(options, news.subscribe(), {}, sizes);
        it.run();
        publish(news, 1, 6);
        it.take(3);
        it.session.drain(0, start);
        it.run();
        CHECK(it.session.end() == session_end::drained);
        return it.received;
    });
    session_options beating = plain();
    beating.heartbeat = 1s;
    check_received(opening + ":\n" + farewell, [&](const portions& sizes) {  // in the midst of a heartbeat
        channel news(keeping(3));
        client it(beating, news.subscribe(), {}, sizes);
        it.run();
        it.take(1, start + 1s);
        it.session.drain(0, start + 1s);
        it.run(start + 10s);
        CHECK(it.session.end() == session_end::drained);
        return it.received;
    });
}

TEST_CASE("draining where the policy is to let go ends so too, once") {
    const session_options options = plain();
    channel news(keeping(3));
    client it(options, news.subscribe());
    it.run();
    publish(news, 1, 6);
    it.session.drain(0, start);
    it.run();
    CHECK(it.received == opening + "retry: 1000\n\n");
    CHECK(it.session.end() == session_end::drained);
}

TEST_CASE("an empty farewell ends the stream without one") {
    session_options options = plain();
    int calls = 0;
    options.farewell = [&](milliseconds) {
        ++calls;
        return std::string();
    };
    channel news(keeping(3));
    client it(options, news.subscribe());
    publish(news, 1);
    it.session.drain(0, start);
    it.run();
    CHECK(it.received == opening + sent(1));
    CHECK(it.session.end() == session_end::drained);
    CHECK(calls == 1);
}

TEST_CASE("what `farewell` throws is thrown") {
    session_options options = plain();
    options.farewell = [](milliseconds) -> std::string { throw std::runtime_error("no farewell"); };
    channel news(keeping(3));
    client it(options, news.subscribe());
    it.run();
    it.session.drain(0, start);
    CHECK_THROWS_AS(static_cast<void>(it.session.next(start)), std::runtime_error);
    it.session.kick();
    CHECK(it.session.end() == session_end::kicked);
}

TEST_CASE("the pause that is asked for lies evenly between the one time and the other") {
    const auto pause = [](milliseconds base, milliseconds spread, std::uint64_t random) {
        session_options options = plain();
        options.drain_retry = base;
        options.max_drain_jitter = spread;
        std::int64_t result = -1;
        options.farewell = [&](milliseconds retry) {
            result = retry.count();
            return sse::encode({.retry = retry});
        };
        channel news(keeping(1));
        client it(options, news.subscribe());
        it.session.drain(random, start);
        it.run();
        CHECK(read(it.received) == strings{"comment 0", "retry " + std::to_string(result)});
        return result;
    };
    for (const std::uint64_t random : {std::uint64_t{0}, std::uint64_t{1}, UINT64_MAX, UINT64_MAX - 1}) {
        CHECK(pause(1000ms, 0ms, random) == 1000);
        CHECK(pause(0ms, 0ms, random) == 0);
        CHECK(pause(milliseconds(-5), milliseconds(-5), random) == 0);
        CHECK(pause(most_negative, most_negative, random) == 0);
        CHECK(pause(longest, longest, random) == INT64_MAX);
        CHECK(pause(longest, 10ms, random) == INT64_MAX);
        for (const std::int64_t spread : {1, 2, 9999, 10'000}) {
            const std::int64_t result = pause(1000ms, milliseconds(spread), random);
            CHECK(result >= 1000);
            CHECK(result <= 1000 + spread);
        }
        CHECK(pause(1000ms, longest, random) >= 1000);
    }
    // Of many drawn at random each is had as often as the others, within five times the standard deviation;
    // the seed is fixed.
    std::mt19937_64 random(1);
    for (const std::size_t pauses : {2u, 3u, 10u, 11u}) {
        CAPTURE(pauses);
        std::vector<int> times(pauses);
        for (int i = 0; i < 2000; ++i) {
            const milliseconds spread(static_cast<std::int64_t>(pauses) - 1);
            ++times.at(static_cast<std::size_t>(pause(100ms, spread, random()) - 100));
        }
        const double share = 1.0 / static_cast<double>(pauses);
        const double allowed = 5 * std::sqrt(2000 * share * (1 - share));
        for (const int each : times) CHECK(std::abs(each - 2000 * share) < allowed);
    }
    std::vector<int> seconds(11);
    for (int i = 0; i < 2000; ++i) {
        ++seconds.at(static_cast<std::size_t>((pause(1s, 10s, random()) - 1000) / 1000));
    }
    for (std::size_t i = 0; i < 10; ++i) CHECK(std::abs(seconds[i] - 200) < 68);  // 5 times 13.4
}

TEST_CASE("draining takes no longer than it may, in whatever state") {
    session_options options;  // 5 s; 30 s for what is sent
    channel news(keeping(3));
    for (const std::size_t taken :
         {std::size_t{0}, std::size_t{1}, std::size_t{30}, std::size_t{40}, SIZE_MAX}) {
        CAPTURE(taken);
        client it(options, news.subscribe(made(0)));
        if (news.stats().published == 0) publish(news, 1);
        it.take(taken, start);
        const time_point drained = start + 2s;
        it.session.drain(0, drained);
        CHECK(it.ask(drained).until == drained + 5s);
        CHECK(it.ask(drained + 5s - tick).until == drained + 5s);
        CHECK(it.ask(drained + 5s).step == sse::session::step::finished);
        CHECK(it.session.end() == session_end::timed_out);
    }
    {
        client it(options, news.subscribe());  // what was offered before has less time left
        CHECK(it.ask(start).until == start + 30s);
        it.session.drain(0, start + 27s);
        CHECK(it.ask(start + 27s).until == start + 30s);
        CHECK(it.ask(start + 30s - tick).step == sse::session::step::send);
        CHECK(it.ask(start + 30s).step == sse::session::step::finished);
        CHECK(it.session.end() == session_end::timed_out);
    }
    {
        client it(options, news.subscribe());  // all sent, but asked too late: it is over all the same
        it.run();
        it.session.drain(0, start);
        CHECK(it.run(start + 5s).step == sse::session::step::finished);
        CHECK(it.session.end() == session_end::timed_out);
    }
    options.send_timeout = 0ms;
    for (const milliseconds never : {milliseconds(0), milliseconds(-1), most_negative, longest}) {
        options.drain_timeout = never;
        client it(options, news.subscribe());
        it.session.drain(0, start);
        CHECK(it.ask(start).until.has_value() == (never == longest));
        CHECK(it.ask(start + 24h * 10'000).step == sse::session::step::send);
    }
}

TEST_CASE("only the first call of drain counts") {
    session_options options = plain();
    options.drain_timeout = 5s;
    options.max_drain_jitter = 100ms;
    channel news(keeping(9));
    client it(options, news.subscribe());
    publish(news, 1);
    it.session.drain(7, start);
    publish(news, 2);
    it.session.drain(8, start + 1s);
    CHECK(it.ask(start + 1s).until == start + 5s);
    it.run(start + 1s);
    CHECK(it.received == opening + sent(1) + "retry: 1007\n\n");
    it.session.drain(9, start + 1s);
    CHECK(it.session.end() == session_end::drained);
    CHECK(it.run(start + 24h).step == sse::session::step::finished);
    CHECK(it.session.end() == session_end::drained);
}

TEST_CASE("a channel that is closed while a session drains, or the other way round, changes nothing") {
    const session_options options = plain();
    for (const bool drains_first : {true, false}) {
        for (std::size_t taken = 0; taken <= opening.size() + sent(1).size(); ++taken) {
            channel news(keeping(9));
            client it(options, news.subscribe());
            publish(news, 1);
            it.take(taken);
            if (drains_first) it.session.drain(0, start);
            news.close();
            if (!drains_first) it.session.drain(0, start);
            it.run();
            CHECK(it.received == opening + sent(1) + "retry: 1000\n\n");
            CHECK(it.session.end() == session_end::drained);
        }
    }
    channel news(keeping(9));
    client it(options, news.subscribe());
    news.close();
    it.run();
    it.session.drain(0, start);  // too late
    CHECK(it.run().step == sse::session::step::finished);
    CHECK(it.session.end() == session_end::closed);
    CHECK(it.received == opening);
}

TEST_CASE("kick ends at once, in whatever state") {
    const session_options options = plain();
    const std::string all = opening + sent(1) + "retry: 1000\n\n";
    for (std::size_t taken = 0; taken < all.size(); ++taken) {
        CAPTURE(taken);
        channel news(keeping(9));
        client it(options, news.subscribe());
        publish(news, 1);
        it.take(std::min(taken, opening.size()));
        if (taken > opening.size()) it.session.drain(0, start);
        it.take(taken - std::min(taken, opening.size()));
        it.session.kick();
        CHECK(it.session.end() == session_end::kicked);
        CHECK(it.run().step == sse::session::step::finished);
        it.session.drain(0, start);
        it.session.kick();
        CHECK(it.run(start + 24h).step == sse::session::step::finished);
        CHECK(it.session.end() == session_end::kicked);
        CHECK(it.received == all.substr(0, taken));
        CHECK(news.stats().subscribers == 0);
    }
}

TEST_CASE("kick does not change how a session has ended") {
    session_options options = plain();
    options.send_timeout = 1s;
    channel news(keeping(2));
    client closed(options, news.subscribe());
    client late(options, news.subscribe());
    client behind(options, news.subscribe());
    client drained(options, news.subscribe());
    for (client* each : {&closed, &behind, &drained}) each->run();
    late.ask(start);
    late.ask(start + 1s);
    publish(news, 1, 2);
    closed.run();
    drained.session.drain(0, start);
    drained.run();
    publish(news, 3);
    behind.run();
    closed.run();
    news.close();
    closed.run();
    const auto check = [&] {
        CHECK(closed.session.end() == session_end::closed);
        CHECK(late.session.end() == session_end::timed_out);
        CHECK(behind.session.end() == session_end::behind);
        CHECK(drained.session.end() == session_end::drained);
    };
    check();
    for (client* each : {&closed, &late, &behind, &drained}) each->session.kick();
    check();
    CHECK(news.stats().subscribers == 0);
}

TEST_CASE("what a completed send tells when the session is over already changes nothing") {
    const session_options options = plain();
    for (const bool has_prelude : {true, false}) {
        channel news(keeping(9));
        client it(options, news.subscribe());
        if (!has_prelude) it.run();
        publish(news, 1);
        const std::size_t offered = it.ask(start).bytes.size();
        it.session.kick();
        it.session.sent(offered, start);
        CHECK(it.session.next(start).step == sse::session::step::finished);
        CHECK(it.session.end() == session_end::kicked);
    }
}

TEST_CASE("a count too large is held to what was offered, less what has been told since") {
    for (const std::size_t too_much :
         {std::size_t{1}, std::size_t{1000}, std::size_t{UINT32_MAX}, SIZE_MAX}) {
        for (const bool has_segment : {false, true}) {
            CAPTURE(too_much);
            CAPTURE(has_segment);
            const session_options options = plain();
            channel news(keeping(9));
            if (has_segment) publish(news, 1);
            session it(options, news.subscribe(), "", start);
            const auto more = [&](std::size_t size) { return size + too_much % (SIZE_MAX - size); };

            it.sent(too_much, start);  // nothing has been offered yet
            CHECK(it.next(start).bytes == opening);
            it.sent(1, start);
            it.sent(more(1), start);
            CHECK(it.sent_bytes() == 2);
            it.sent(too_much, start);  // told twice
            CHECK(it.next(start).step == sse::session::step::wait);
            it.sent(too_much, start);
            CHECK(it.sent_bytes() == 2);

            const std::uint64_t first = news.stats().published + 1;
            publish(news, first, first + 1);
            it.sent(too_much, start);  // there are bytes, but they have not been offered
            CHECK(it.next(start).bytes == sent(first, first + 1));
            publish(news, first + 2);
            it.sent(3, start);
            it.sent(more(sent(first, first + 1).size() - 3), start);
            it.sent(too_much, start);
            CHECK(it.sent_bytes() == 2 + sent(first, first + 1).size());
            CHECK(it.next(start).bytes == sent(first + 2));

            session moved = std::move(it);
            moved.sent(more(sent(first + 2).size()), start);
            CHECK(moved.next(start).step == sse::session::step::wait);
            it.sent(too_much, start);
            CHECK(it.next(start).step == sse::session::step::finished);

            moved.drain(0, start);
            CHECK(moved.next(start).bytes == "retry: 1000\n\n");
            moved.sent(too_much, start);
            moved.sent(SIZE_MAX, start);
            CHECK(moved.next(start).step == sse::session::step::finished);
            moved.sent(too_much, start);
            moved.drain(0, start);
            CHECK(moved.end() == session_end::drained);
            CHECK(moved.sent_bytes() == 2 + sent(first, first + 2).size() + 13);
        }
    }
}

TEST_CASE("what was offered before the log moved on can be told, and no more than was offered last") {
    const session_options options = plain(when_behind::skip_to_oldest);
    channel news(keeping(2));
    session it(options, news.subscribe(), "", start);
    it.sent(it.next(start).bytes.size(), start);
    publish(news, 1, 2);
    CHECK(it.next(start).bytes == sent(1, 2));
    publish(news, 3, 4);
    it.sent(5, start);  // of what the kernel took before
    CHECK(it.next(start).bytes == sent(1).substr(5));
    it.sent(SIZE_MAX, start);
    CHECK(it.next(start).bytes == sent(3, 4));
    CHECK(it.sent_bytes() == 2 + sent(1).size());
}

TEST_CASE("a session of no cursor sends what goes first, and ends") {
    const session_options options;
    session it(options, cursor(), "head", start);
    CHECK(it.next(start).bytes == "head:\n");
    it.sent(SIZE_MAX, start);
    CHECK(it.next(start).step == sse::session::step::finished);
    CHECK(it.end() == session_end::closed);
}

TEST_CASE("that no byte was sent changes nothing") {
    session_options options = plain();
    options.heartbeat = 1s;
    channel news(keeping(9));
    client it(options, news.subscribe());
    it.session.sent(0, start);
    it.run();
    it.session.sent(0, start + 500ms);
    CHECK(is_wait(it.ask(start + 500ms), start + 1s));
    it.session.kick();
    it.session.sent(0, start);
    CHECK(it.received == opening);
}

// Memory

TEST_CASE("nothing of the log is kept by a session that is over") {
    const std::string data(3000, 'x');
    const auto held = [&](const std::function<void(std::optional<client>&)>& end) {
        channel news({.max_bytes = 40'000, .epoch = 0xAB});
        const session_options options = plain(when_behind::disconnect);
        std::optional<client> it;
        it.emplace(options, news.subscribe());
        it->run();
        REQUIRE_FALSE(news.publish({.data = data}).error);
        it->take(10);  // it stands in an event that is about to leave
        for (int i = 0; i < 100; ++i) REQUIRE_FALSE(news.publish({.data = data}).error);
        end(it);
        return news.stats().held_bytes;
    };
    const std::size_t with_it = held([](std::optional<client>&) {});
    const std::size_t without = held([](std::optional<client>& it) { it.reset(); });
    CHECK(with_it > without);
    const auto kicked = [](std::optional<client>& it) { it->session.kick(); };
    const auto behind = [](std::optional<client>& it) {
        it->run();
        CHECK(it->session.end() == session_end::behind);
    };
    const auto drained = [](std::optional<client>& it) {
        it->session.drain(0, start);
        it->run();
        CHECK(it->session.end() == session_end::drained);
    };
    CHECK(held(kicked) == without);
    CHECK(held(behind) == without);
    CHECK(held(drained) == without);
}

TEST_CASE("once all that goes first is sent, a session keeps no memory on the heap") {
    channel news(keeping(3));
    publish(news, 1, 3);
    session_options options;
    options.padding_bytes = 2048;
    options.gap = gap_text;
    for (const std::string_view id : {"", "x"}) {
        const count since;
        session it(options, news.subscribe(id), std::string(1000, 'h'), start);
        CHECK(since.bytes() > 3000);
        for (;;) {
            const sse::session::task task = it.next(start);
            if (task.step != sse::session::step::send) break;
            it.sent(std::min<std::size_t>(task.bytes.size(), 100), start);
        }
        CHECK(since.bytes() == 0);
    }
}

TEST_CASE("a session keeps none either behind a gap, or when it is over") {
    channel news(keeping(3));
    session_options options = plain(when_behind::skip_to_oldest);
    options.gap = [](std::optional<std::uint64_t>) { return ":" + std::string(5000, '.') + "\n"; };
    options.farewell = [](milliseconds) { return ":" + std::string(5000, '.') + "\n"; };
    publish(news, 1, 3);
    const auto drive = [](session& it) {
        for (;;) {
            const sse::session::task task = it.next(start);
            if (task.step != sse::session::step::send) return;
            it.sent(task.bytes.size(), start);
        }
    };
    const auto catch_up = [&](session& it) {
        drive(it);
        publish(news, 4, 9);
        drive(it);
    };
    for (int i = 0; i < 50; ++i) {  // the log is warm then
        session other(options, news.subscribe(), std::string(), start);
        catch_up(other);
    }
    const auto kept = [&] { return test::heap.bytes - news.stats().held_bytes; };  // the log's own apart
    for (const bool is_kicked : {false, true}) {
        const std::size_t before = kept();
        session it(options, news.subscribe(), std::string(), start);
        catch_up(it);
        CHECK(it.sent_bytes() > 5000);
        CHECK(kept() == before);
        it.drain(0, start);
        CHECK(it.next(start).bytes.size() > 5000);
        CHECK(kept() > before + 5000);
        if (is_kicked) it.kick();
        else drive(it);
        CHECK(it.end() == (is_kicked ? session_end::kicked : session_end::drained));
        CHECK(kept() == before);
    }
}

TEST_CASE("events and heartbeats are sent without an allocation") {
    channel news({.max_events = 100, .max_bytes = 64 << 10, .epoch = 0xAB});
    const session_options options;
    session it(options, news.subscribe(), std::string(), start);
    time_point now = start;
    std::string data = "some data, and as much as will do";
    const auto drive = [&] {
        std::size_t bytes = 0;
        for (;;) {
            const sse::session::task task = it.next(now);
            if (task.step != sse::session::step::send) return bytes;
            const std::size_t size = std::min<std::size_t>(task.bytes.size(), 17);
            it.sent(size, now);
            bytes += size;
        }
    };
    for (int round = 0; round < 2000; ++round) {  // warm
        CHECK_FALSE(news.publish({.data = data}).error);
        drive();
    }
    const count since;
    std::size_t bytes = 0;
    for (int round = 0; round < 1000; ++round) {
        static_cast<void>(news.publish({.data = data}));
        bytes += drive();
        now += 15s;
        bytes += drive();
    }
    CHECK(since.allocations() == 0);
    CHECK(bytes > 1000 * (data.size() + 2));
}

// At random

namespace {

/// What a session has to do, in the simplest terms: all events there ever were, and where the client stands.
class model {
public:
    model(const session_options& options, std::size_t kept, std::size_t next, std::string first)
        : options_(options), kept_(kept), next_(next), own_(std::move(first)) {}

    void publish(std::string event) { events_.push_back(std::move(event)); }
    void close() { is_closed_ = true; }
    void drain(milliseconds retry) {
        if (stop_) return;
        stop_ = events_.size();
        farewell_ = sse::encode({.retry = retry});
    }

    /// All that could be sent now. An event that has left is given to its end, but only if it is begun.
    std::string next_bytes(time_point now) {
        for (;;) {
            if (end != session_end::none) return {};
            const bool ends = !stop_ && options_.when_behind == when_behind::disconnect;
            if (ends && next_ + (offset_ > 0 ? 1 : 0) <= oldest()) {
                end = session_end::behind;
                continue;
            }
            if (!own_.empty()) return own_;
            if (offset_ > 0 && next_ <= oldest()) return events_[next_ - 1].substr(offset_);
            if (next_ <= oldest()) {
                if (stop_) {
                    say_farewell();
                } else {
                    const bool to_latest = options_.when_behind == when_behind::skip_to_latest;
                    const std::size_t to = to_latest ? events_.size() + 1 : oldest() + 1;
                    if (options_.gap) own_ = gap_text(to - next_);
                    next_ = to;
                    if (options_.sends_position) own_ += sse::encode({.id = made(next_ - 1)});
                }
                continue;
            }
            std::string bytes;
            for (std::size_t i = next_; i <= stop_.value_or(events_.size()); ++i) bytes += events_[i - 1];
            if (!bytes.empty()) return bytes.substr(offset_);
            if (stop_) {
                say_farewell();
            } else if (is_closed_) {
                end = session_end::closed;
            } else if (now - last_sent < std::chrono::milliseconds(options_.heartbeat)) {
                return {};
            } else {
                own_ = ":\n";
            }
        }
    }

    void take(std::size_t bytes, time_point now) {
        last_sent = now;
        if (!own_.empty()) {
            own_.erase(0, bytes);
            return;
        }
        for (offset_ += bytes; next_ <= events_.size() && offset_ >= events_[next_ - 1].size(); ++next_) {
            offset_ -= events_[next_ - 1].size();
        }
    }

    session_end end = session_end::none;
    time_point last_sent = start;

private:
    /// The number of the last event that has left.
    std::size_t oldest() const { return events_.size() > kept_ ? events_.size() - kept_ : 0; }

    void say_farewell() {
        if (!farewell_) end = session_end::drained;
        else own_ = *std::exchange(farewell_, std::nullopt);
    }

    const session_options& options_;
    std::size_t kept_;
    std::size_t next_;
    std::string own_;
    std::size_t offset_ = 0;
    strings events_{};
    bool is_closed_ = false;
    std::optional<std::size_t> stop_{};
    std::optional<std::string> farewell_{};
};

/// Since when each byte that is offered is so, by its place in the stream.
class waiting {
public:
    void offer(std::size_t begin, std::size_t end, time_point now) {
        while (!ends_.empty() && ends_.front().first <= begin) ends_.erase(ends_.begin());
        while (!ends_.empty() && ends_.back().first > end) {
            if (ends_.size() > 1 && ends_[ends_.size() - 2].first >= end) ends_.pop_back();
            else ends_.back().first = end;
        }
        if (ends_.empty() || ends_.back().first < end) ends_.emplace_back(end, now);
    }
    std::optional<time_point> since() const {
        return ends_.empty() ? std::nullopt : std::optional(ends_.front().second);
    }
    void sent(std::size_t begin) {
        while (!ends_.empty() && ends_.front().first <= begin) ends_.erase(ends_.begin());
    }

private:
    std::vector<std::pair<std::size_t, time_point>> ends_{};
};

std::uint64_t play(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](std::uint64_t end) { return static_cast<std::size_t>(random() % end); };

    const std::size_t kept = 1 + below(12);
    session_options options;
    options.when_behind = static_cast<when_behind>(below(3));
    if (below(2) == 0) options.gap = gap_text;
    options.sends_position = below(2) == 0;
    options.heartbeat = 2s;
    options.send_timeout = below(2) == 0 ? 0ms : 3s;
    options.drain_timeout = 0ms;
    options.max_drain_jitter = 50ms;

    channel news({.max_events = kept, .epoch = 0xAB});
    session it(options, news.subscribe(), "head", start);
    const std::string first =
        "head:\n" + (options.sends_position ? "id: " + made(0) + "\n\n" : std::string());
    model expected(options, kept, 1, first);
    waiting offers;
    std::string received;
    std::uint64_t published = 0;
    time_point now = start;

    for (int step = 0; step < 400; ++step) {
        switch (below(8)) {
            case 0:
            case 1:
                for (std::uint64_t i = below(6); i > 0; --i) {
                    const std::string data(below(below(20) == 0 ? 3000 : 40), 'd');
                    if (news.publish({.data = data}).error) break;
                    expected.publish("id: " + made(++published) + "\ndata: " + data + "\n\n");
                }
                break;
            case 2: now += milliseconds(static_cast<std::int64_t>(below(900))); break;
            case 3:
                if (below(20) == 0) now += 2s;
                if (below(60) == 0) {
                    const std::uint64_t draw = random();
                    it.drain(draw, now);
                    if (expected.end == session_end::none) {
                        expected.drain(milliseconds(1000 + static_cast<std::int64_t>(draw % 51)));
                    }
                }
                if (below(150) == 0) {
                    news.close();
                    expected.close();
                }
                break;
            default: {
                const sse::session::task task = it.next(now);
                const std::string bytes = expected.next_bytes(now);
                CAPTURE(seed);
                CAPTURE(step);
                if (task.step == sse::session::step::finished && it.end() == session_end::timed_out) {
                    REQUIRE(options.send_timeout > 0ms);
                    offers.offer(received.size(), received.size() + bytes.size(), now);
                    REQUIRE(offers.since().has_value());
                    REQUIRE(now - *offers.since() >= 3s);
                    return received.size();
                }
                REQUIRE(it.end() == expected.end);
                CAPTURE(test::show(task.bytes));
                CAPTURE(test::show(bytes));
                REQUIRE(task.bytes.empty() == bytes.empty());
                REQUIRE(bytes.starts_with(task.bytes));
                if (task.step == sse::session::step::finished) {
                    REQUIRE(news.stats().subscribers == 0);
                    return received.size();
                }
                if (task.step == sse::session::step::wait) {
                    REQUIRE(task.until == expected.last_sent + 2s);
                    break;
                }
                offers.offer(received.size(), received.size() + task.bytes.size(), now);
                if (options.send_timeout > 0ms) REQUIRE(now - *offers.since() < 6s);
                const std::size_t size = below(3) == 0 ? task.bytes.size() : below(task.bytes.size() + 1);
                received += task.bytes.substr(0, size);
                it.sent(size, now);
                if (size == task.bytes.size() && below(4) == 0) it.sent(1 + below(100), now + 1h);
                if (size > 0) expected.take(size, now);
                offers.sent(received.size());
                break;
            }
        }
    }
    return received.size();
}

}  // namespace

TEST_CASE("a client that does not take the text of a gap keeps no segment that has left the log") {
    channel news({.max_bytes = 16 << 10, .epoch = 0xAB});
    session_options options{.when_behind = when_behind::skip_to_oldest};
    options.gap = [](std::optional<std::uint64_t>) { return std::string("event: gap\ndata:\n\n"); };
    const auto publish_many = [&] {
        for (int i = 0; i < 1000; ++i) {
            if (news.publish({.data = std::string(100, 'x')}).error) FAIL("refused");
        }
    };
    sse::session session(options, news.subscribe(), "", start);
    session.sent(session.next(start).bytes.size(), start);
    CHECK(session.next(start).step == sse::session::step::wait);
    publish_many();
    REQUIRE(session.next(start).bytes.starts_with("event: gap\n"));
    publish_many();
    REQUIRE(session.next(start).bytes.starts_with("event: gap\n"));  // none of it was taken
    const std::size_t held = news.stats().held_bytes;
    session.kick();
    CHECK(held == news.stats().held_bytes);
}

TEST_CASE("at random: each event once and in order, or a gap that is told") {
    std::uint64_t bytes = 0;
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) bytes += play(seed);
    CHECK(bytes > 1'000'000);
}
