// The log and its cursors, by one thread: for several see channel_threads_test.cpp.
#include <sse/channel.hpp>

#include "support/channel_model.hpp"
#include "support/exact_copy.hpp"
#include "support/heap.hpp"
#include "support/show.hpp"

#include <sse/encoder.hpp>
#include <sse/parser.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__linux__) && defined(__x86_64__)
#include <sys/mman.h>
#endif

namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;
using sse::channel;
using sse::cursor;
using sse::cursor_state;
using sse::errc;
using sse::message;
using sse::resumption;
using test::count;
using time_point = channel::time_point;
using strings = std::vector<std::string>;

template <class T>
constexpr bool stays_where_it_is = !std::is_copy_constructible_v<T> && !std::is_move_constructible_v<T> &&
                                   !std::is_copy_assignable_v<T> && !std::is_move_assignable_v<T>;

static_assert(stays_where_it_is<channel> && stays_where_it_is<sse::detail::log>);
static_assert(stays_where_it_is<sse::detail::segment>);
static_assert(!std::is_copy_constructible_v<cursor> && !std::is_copy_assignable_v<cursor>);
static_assert(std::is_nothrow_move_constructible_v<cursor> && std::is_nothrow_move_assignable_v<cursor>);
static_assert(std::is_nothrow_default_constructible_v<cursor>);

// No view into what dies at once.
template <class T>
constexpr bool gives_id = requires(T&& result) {
    std::forward<T>(result).id();
};
template <class T>
constexpr bool gives_bytes = requires(T&& cursor) {
    std::forward<T>(cursor).next_bytes();
};
static_assert(gives_id<const sse::publish_result&> && !gives_id<sse::publish_result>);
static_assert(!gives_id<const sse::publish_result>);
static_assert(gives_bytes<cursor&> && !gives_bytes<cursor>);

static_assert(sizeof(cursor) <= 96);  // "a few dozen bytes"

constexpr std::uint64_t epoch = 0xAB;
const std::string prefix = "0000000000ab-";

/// The ID that a channel of that epoch makes.
std::string made(std::uint64_t number) { return prefix + std::to_string(number); }

/// The ID that the channel has made for what was published last.
std::string id_of(const sse::publish_result& published) { return std::string(published.id()); }

time_point at(std::chrono::milliseconds time) { return time_point(1h) + time; }

/// All that is there now, taken by so many bytes at a time.
std::string drain(cursor& reader, std::size_t step = SIZE_MAX) {
    std::string bytes;
    for (;;) {
        const std::string_view next = reader.next_bytes().substr(0, step);
        if (next.empty()) return bytes;
        bytes += next;
        reader.consume(next.size());
    }
}

std::vector<sse::event> parse(std::string_view bytes) {
    std::vector<sse::event> events;
    sse::parser parser;
    CHECK_FALSE(parser.feed(bytes, [&](const sse::event_view& event) { events.emplace_back(event); }));
    CHECK_FALSE(parser.in_event());
    return events;
}

/// The data of the events, parted by spaces.
std::string data_of(std::string_view bytes) {
    std::string text;
    for (const sse::event& event : parse(bytes)) text += (text.empty() ? "" : " ") + event.data;
    return text;
}

/// The data of all that is there now.
std::string rest(cursor& reader) { return data_of(drain(reader)); }

/// What that is where each event's data is its number.
std::string numbers(std::uint64_t first, std::uint64_t last) {
    std::string text;
    for (; first <= last; ++first) text += (text.empty() ? "" : " ") + std::to_string(first);
    return text;
}

std::string everything(channel& news) {
    cursor all = news.subscribe({}, {.replay_to_new = true});
    return rest(all);
}

/// Events whose data is their number.
void publish_numbers(channel& news, std::uint64_t first, std::uint64_t last,
                     std::optional<time_point> now = {}) {
    for (std::uint64_t number = first; number <= last; ++number) {
        const std::string data = std::to_string(number);
        const sse::publish_result result = news.publish({.data = data}, now);
        CHECK_FALSE(result.error);
        CHECK(result.sequence == number);
    }
}

/// Whether all of it is as expected, in one line.
std::string show(const sse::channel_stats& stats) {
    return "published " + std::to_string(stats.published) + " held " + std::to_string(stats.held_events) +
           " subscribers " + std::to_string(stats.subscribers) + " fell " +
           std::to_string(stats.fell_behind) + " behind " + std::to_string(stats.behind);
}

}  // namespace

// What is sent

TEST_CASE("what is sent is what the encoder writes, with the ID that the channel made") {
    const message messages[] = {
        {.data = "a"},
        {.event = "tick", .data = "one\r\ntwo\rthree\n", .retry = 10ms},
        {.data = ""},
        {},
        {.event = ""},
        {.event = "", .data = " x"},
        {.event = "id: 5", .data = "id: 6"},
        {.event = "e", .data = "own", .id = "own"},
        {.event = "message", .data = "none", .id = ""},
        {.data = "event: x", .id = "event: y"},
        {.retry = 0ms},
    };
    for (const bool make_ids : {true, false}) {
        CAPTURE(make_ids);
        channel news({.make_ids = make_ids, .epoch = epoch});
        cursor follower = news.subscribe();
        std::string all;
        std::uint64_t number = 0;
        for (const message& each : messages) {
            const sse::publish_result result = news.publish(each);
            CHECK_FALSE(result.error);
            CHECK(result.sequence == ++number);
            const std::string id = made(number);
            message sent = each;
            if (make_ids && !each.id) sent.id = id;
            CHECK(result.id() == (make_ids && !each.id ? id : ""));
            const std::string expected = sse::encode(sent);
            CHECK(drain(follower) == expected);
            all += expected;
        }
        cursor late = news.subscribe({}, {.replay_to_new = true});
        CHECK(drain(late) == all);
    }
}

TEST_CASE("what a cursor gives is received as what was published") {
    channel news({.epoch = epoch});
    cursor follower = news.subscribe();
    static_cast<void>(news.publish({.event = "a", .data = "1\n2"}));
    static_cast<void>(news.publish({.data = ""}));
    static_cast<void>(news.publish({.event = "b", .data = "3", .id = "own"}));
    static_cast<void>(news.publish({.data = "4", .id = ""}));
    const std::vector<sse::event> received = parse(drain(follower));
    const sse::event_view expected[] = {{"a", "1\n2", "0000000000ab-1"},
                                        {"message", "", "0000000000ab-2"},
                                        {"b", "3", "own"},
                                        {"message", "4", ""}};
    REQUIRE(received.size() == std::size(expected));
    for (std::size_t i = 0; i < received.size(); ++i) CHECK(sse::event_view(received[i]) == expected[i]);
}

TEST_CASE("IDs begin with the epoch, in 12 digits") {
    struct row {
        std::uint64_t epoch;
        std::string_view id;
    };
    for (const row& each : {row{1, "000000000001-1"}, row{0xFEDC'BA98'7654, "fedcba987654-1"},
                            row{0x1'0000'0000'0000 | 0x123, "000000000123-1"}}) {
        channel news({.epoch = each.epoch});
        CHECK(id_of(news.publish({.data = "x"})) == each.id);
    }
}

TEST_CASE("without an epoch no two channels have the same IDs") {
    std::set<std::string> prefixes;
    for (int i = 0; i < 1000; ++i) {
        channel news;
        const std::string id = id_of(news.publish({.data = "x"}));
        REQUIRE(id.size() == 14);
        CHECK(id.substr(12) == "-1");
        CHECK(id.find_first_not_of("0123456789abcdef") == 12);
        prefixes.insert(id.substr(0, 12));
    }
    CHECK(prefixes.size() == 1000);
}

TEST_CASE("a batch is published in a row, and its result is of the last one") {
    channel news({.epoch = epoch});
    cursor follower = news.subscribe();
    const message batch[] = {{.data = "1"}, {.data = "2", .id = "own"}, {.data = "3"}};
    const sse::publish_result result = news.publish(batch);
    CHECK_FALSE(result.error);
    CHECK(result.sequence == 3);
    CHECK(result.id() == made(3));
    CHECK(rest(follower) == "1 2 3");
    CHECK(id_of(news.publish(std::span(batch).first(2))).empty());  // the last one has its own
    CHECK(rest(follower) == "1 2");
}

namespace {

/// As a client's event source gives them: an event, and more.
struct richer_event : sse::event_view {
    std::string_view origin{};
};

}  // namespace

TEST_CASE(
    "an event that was received is published again with its type and data, under the channel's own IDs") {
    const sse::event_view views[] = {{"tick", "one\ntwo", "their-7"},
                                     {"message", "", ""},
                                     {"", "x", "0000000000ab-1"},  // which would be reserved
                                     {"message", " x", "a\0b"sv}};
    for (const bool make_ids : {true, false}) {
        CAPTURE(make_ids);
        channel news({.make_ids = make_ids, .epoch = epoch});
        cursor reader = news.subscribe();
        std::uint64_t number = 0;
        const auto check_sent = [&](const sse::publish_result& published, const sse::event_view& event) {
            CHECK_FALSE(published.error);
            CHECK(published.sequence == ++number);
            const std::string id = made(number);
            CHECK(published.id() == (make_ids ? id : ""));
            message expected{.data = event.data};
            if (event.type != "message") expected.event = event.type;
            if (make_ids) expected.id = id;
            CHECK(drain(reader) == sse::encode(expected));
        };
        for (const sse::event_view& view : views) {
            check_sent(news.publish(view), view);
            const sse::event owner(view);
            check_sent(news.publish(owner), view);
            check_sent(news.publish(sse::event(view)), view);
            richer_event richer;
            static_cast<sse::event_view&>(richer) = view;
            check_sent(news.publish(richer), view);
        }
    }
}

TEST_CASE("each kind of argument of publish is taken for what it is") {
    channel news({.epoch = epoch});
    cursor reader = news.subscribe();
    static_cast<void>(news.publish({.data = "a"}));
    static_cast<void>(news.publish({.event = "e", .data = "b", .id = "own", .retry = 5ms}, at(0ms)));
    static_cast<void>(news.publish(message{}));
    const message one{.data = "c", .id = ""};
    static_cast<void>(news.publish(one));
    static_cast<void>(news.publish(message{.retry = 6ms}));
    const std::vector<message> batch{{.data = "d"}, {.id = "e"}};
    static_cast<void>(news.publish(batch));
    static_cast<void>(news.publish(std::span(batch).first(1)));
    const message array[] = {{.data = "f"}};
    static_cast<void>(news.publish(array, at(0ms)));
    static_cast<void>(
        news.publish(sse::event_view{.type = "g", .data = "h", .last_event_id = "theirs"}, at(0ms)));
    CHECK(drain(reader) ==
          "id: 0000000000ab-1\ndata: a\n\n"
          "event: e\nid: own\nretry: 5\ndata: b\n\n"
          "id: 0000000000ab-3\n\n"
          "id: \ndata: c\n\n"
          "id: 0000000000ab-5\nretry: 6\n\n"
          "id: 0000000000ab-6\ndata: d\n\n"
          "id: e\n\n"
          "id: 0000000000ab-8\ndata: d\n\n"
          "id: 0000000000ab-9\ndata: f\n\n"
          "event: g\nid: 0000000000ab-10\ndata: h\n\n");
    const sse::event_view forged{.type = "a\nb", .data = "x"};
    CHECK(news.publish(forged).error == errc::event_has_line_break);
}

TEST_CASE("a batch of none changes nothing and wakes nobody") {
    int woken = 0;
    channel news({.epoch = epoch, .wake_up = [&] { ++woken; }});
    publish_numbers(news, 1, 2);
    cursor follower = news.subscribe();
    CHECK(follower.next_bytes().empty());
    const sse::publish_result result = news.publish(std::span<const message>());
    CHECK_FALSE(result.error);
    CHECK(result.sequence == 2);
    CHECK(result.id().empty());
    CHECK(woken == 0);
    CHECK(follower.next_bytes().empty());
}

// The bounds

TEST_CASE("no more events are kept than the bound on them, and those are the latest") {
    for (const std::size_t bound : {0u, 1u, 2u, 3u, 16u, 17u, 100u}) {
        CAPTURE(bound);
        const std::uint64_t kept = std::max<std::uint64_t>(bound, 1);
        channel news({.max_events = bound, .epoch = epoch});
        CHECK(everything(news).empty());
        for (std::uint64_t number = 1; number <= 5 * kept + 3; ++number) {
            publish_numbers(news, number, number);
            const std::uint64_t held = std::min(number, kept);
            CHECK(news.stats().held_events == held);
            CHECK(everything(news) == numbers(number - held + 1, number));
        }
    }
}

TEST_CASE("a batch larger than the log leaves its last events") {
    channel news({.max_events = 3, .epoch = epoch});
    cursor follower = news.subscribe();
    const message batch[] = {{.data = "1"}, {.data = "2"}, {.data = "3"}, {.data = "4"}, {.data = "5"}};
    CHECK(news.publish(batch).sequence == 5);
    CHECK(everything(news) == "3 4 5");
    CHECK(follower.next_bytes().empty());
    CHECK(follower.state() == cursor_state::behind);
    CHECK(follower.skip() == 2);
    CHECK(rest(follower) == "3 4 5");
}

namespace {

/// What a channel may take besides its log: itself and a list of its segments, which are at least an eighth
/// of the bound or 64 KiB, but for those of the beginning and of events that are larger.
std::size_t overhead(std::size_t bytes) { return 1024 + 2 * sizeof(void*) * (bytes / (64 << 10) + 32); }

}  // namespace

TEST_CASE("the log never takes more memory than the bound on bytes, whatever the size of its events") {
    const std::string text(200'000, 'x');
    for (const std::size_t bound : {200u, 500u, 2'000u, 10'000u, 100'000u, 1u << 20, 3u << 20}) {
        for (const std::size_t largest : {0u, 10u, 200u, 3'000u, 200'000u}) {
            CAPTURE(bound);
            CAPTURE(largest);
            std::mt19937 random(7);
            const count since;
            std::size_t max_held = 0;
            std::size_t wrongly_refused = 0;
            bool has_newest = true;
            std::uint64_t published = 0;
            std::size_t published_bytes = 0;
            {
                channel news({.max_events = SIZE_MAX, .max_bytes = bound, .epoch = epoch});
                for (int i = 0; i < 20'000 && published_bytes < 5 * bound; ++i) {
                    // Mostly small ones, of which a few are up to the largest.
                    const std::size_t range =
                        random() % 8 == 0 ? largest : std::min<std::size_t>(largest, 100);
                    const message sent{.data = std::string_view(text).substr(0, random() % (range + 1))};
                    const sse::publish_result result = news.publish(sent);
                    const sse::channel_stats stats = news.stats();
                    max_held = std::max(max_held, stats.held_bytes);
                    if (result.error == errc::event_too_large) {
                        if (sent.data->size() + 200 <= bound) ++wrongly_refused;
                    } else {
                        published_bytes += sse::encoded_size(sent) + 40;
                        if (result.error || result.sequence != ++published) has_newest = false;
                        if (stats.held_events == 0) has_newest = false;
                    }
                }
                if (bound >= 500 && published_bytes >= 5 * bound) CHECK(news.stats().held_events < published);
            }
            CHECK(max_held <= bound);
            CHECK(since.peak_bytes() <= bound + overhead(bound));
            CHECK(wrongly_refused == 0);
            CHECK(has_newest);
            CHECK(since.bytes() == 0);
        }
    }
}

TEST_CASE("so with IDs of the caller's own, by which events are found") {
    for (const std::size_t bound : {10'000u, 1u << 20}) {
        CAPTURE(bound);
        const count since;
        std::size_t max_held = 0;
        {
            channel news({.max_events = SIZE_MAX, .max_bytes = bound});
            for (std::size_t i = 0; i < bound / 10; ++i) {
                static_cast<void>(news.publish({.id = "x"}));
                max_held = std::max(max_held, news.stats().held_bytes);
            }
            CHECK(news.stats().held_events < bound / 10);
        }
        CHECK(max_held <= bound);
        CHECK(since.peak_bytes() <= bound + overhead(bound));
    }
}

TEST_CASE("the bound on bytes is made use of") {
    for (const std::size_t bound : {8'000u, 100'000u, 1u << 20, 5u << 20}) {
        CAPTURE(bound);
        channel news({.max_events = SIZE_MAX, .max_bytes = bound});
        std::uint64_t number = 0;
        while (news.stats().held_events == number && number < bound) {
            static_cast<void>(
                news.publish({.data = "one hundred bytes, together with what is known of each"}));
            ++number;
        }
        REQUIRE(news.stats().held_events < number);
        // All but what has been dropped for the next part, an eighth at most, and that part.
        CHECK(news.stats().held_bytes > bound / 4 * 3);
        CHECK(news.stats().held_events * 130 > bound / 4 * 3);
    }
}

TEST_CASE("the newest event is always kept, and one that could not be is refused") {
    const std::string text(3000, 'x');
    for (const std::size_t bound : {0u, 1u, 50u, 100u, 150u, 200u, 1000u, 2000u}) {
        CAPTURE(bound);
        channel news({.max_bytes = bound, .epoch = epoch});
        std::uint64_t published = 0;
        std::optional<std::size_t> largest;
        std::size_t smallest_refused = SIZE_MAX;
        for (std::size_t size = 0; size <= text.size(); ++size) {
            const sse::publish_result result = news.publish({.data = std::string_view(text).substr(0, size)});
            if (result.error) {
                CHECK(result.error == errc::event_too_large);
                CHECK(result.sequence == 0);
                smallest_refused = std::min(smallest_refused, size);
            } else {
                CHECK(result.sequence == ++published);
                CHECK(news.stats().held_events > 0);
                cursor latest = news.subscribe(made(published - 1));
                CHECK(drain(latest).size() ==
                      sse::encoded_size({.data = text.substr(0, size), .id = made(published)}));
                largest = size;
            }
        }
        if (largest) CHECK(smallest_refused > *largest);
        if (largest) CHECK(*largest + 200 > bound);
        if (bound <= 50) CHECK(published == 0);
        if (bound >= 200) CHECK(published > 0);
        CHECK(news.stats().published == published);
    }
}

TEST_CASE("events of more than a segment pass whole, between small ones") {
    const std::string large(200'000, 'x');
    channel news({.max_bytes = 1 << 20, .epoch = epoch});
    cursor follower = news.subscribe();
    std::string expected;
    for (std::uint64_t number = 1; number <= 9; ++number) {
        const message sent{.data = number % 3 == 0 ? std::string_view(large) : "small"};
        CHECK_FALSE(news.publish(sent).error);
        message with_id = sent;
        const std::string id = made(number);
        with_id.id = id;
        expected += sse::encode(with_id);
    }
    CHECK(drain(follower) == expected);
    cursor again = news.subscribe({}, {.replay_to_new = true});
    CHECK(drain(again, 4096) == expected);
}

TEST_CASE("what next_bytes gives is never more than 64 KiB, unless that is one event") {
    channel news({.epoch = epoch});
    cursor follower = news.subscribe();
    const std::string large(100'000, 'x');
    for (int i = 0; i < 2000; ++i)
        CHECK_FALSE(news.publish({.data = std::string_view(large).substr(0, 100)}).error);
    CHECK_FALSE(news.publish({.data = large}).error);
    std::size_t calls = 0;
    for (;; ++calls) {
        const std::string_view bytes = follower.next_bytes();
        if (bytes.empty()) break;
        if (bytes.size() > 64 << 10) CHECK(parse(bytes).size() == 1);
        follower.consume(bytes.size());
    }
    CHECK(calls < 20);  // of 340,000 bytes: "as many events as there are"
}

TEST_CASE("events leave when they are older than the age, and not before") {
    channel news({.max_age = 100ms, .epoch = epoch});
    publish_numbers(news, 1, 1, at(0ms));
    publish_numbers(news, 2, 2, at(50ms));
    publish_numbers(news, 3, 3, at(100ms));
    CHECK(news.stats().held_events == 3);
    news.trim(at(100ms));
    CHECK(news.stats().held_events == 3);
    news.trim(at(101ms));
    CHECK(news.stats().held_events == 2);
    news.trim(at(150ms));
    CHECK(news.stats().held_events == 2);
    publish_numbers(news, 4, 4, at(151ms));
    CHECK(news.stats().held_events == 2);
    {
        cursor late = news.subscribe({}, {.replay_to_new = true}, at(201ms));
        CHECK(rest(late) == "4");
    }
    cursor gap = news.subscribe(made(1), {}, at(251ms));
    CHECK(gap.resumption() == resumption::gap);
    CHECK(gap.missed() == 2);
    CHECK(rest(gap) == "4");
    cursor none = news.subscribe(made(1), {}, at(252ms));
    CHECK(none.resumption() == resumption::gap);
    CHECK(none.missed() == 3);
    CHECK(rest(none).empty());
    cursor resumed = news.subscribe(made(4), {}, at(1h));
    CHECK(resumed.resumption() == resumption::resumed);
    CHECK(resumed.missed() == 0);
    CHECK(news.stats().held_events == 0);
    publish_numbers(news, 5, 5, at(2h));
    CHECK(rest(none) == "5");
    CHECK(rest(resumed) == "5");
    cursor all = news.subscribe({}, {.replay_to_new = true}, at(2h));
    CHECK(rest(all) == "5");
}

TEST_CASE("what leaves gives back its memory, but for a part to add to and one for the next") {
    const std::string text(1000, 'x');
    channel aged({.max_age = 100ms});
    channel counted({.max_events = 100});
    for (int i = 0; i < 1000; ++i) {
        CHECK_FALSE(aged.publish({.data = text}, at(0ms)).error);
        CHECK_FALSE(counted.publish({.data = text}).error);
    }
    CHECK(aged.stats().held_bytes > 1'000'000);
    aged.trim(at(101ms));
    CHECK(aged.stats().held_events == 0);
    CHECK(aged.stats().held_bytes <= 2 * (64 << 10));
    CHECK(counted.stats().held_bytes <= 4 * (64 << 10));  // 100 such events lie in three parts at most
}

TEST_CASE("time that goes back counts as standing still") {
    channel news({.max_age = 100ms, .epoch = epoch});
    publish_numbers(news, 1, 1, at(1000ms));
    publish_numbers(news, 2, 2, at(10ms));  // as at 1000
    news.trim(at(0ms));
    CHECK(news.stats().held_events == 2);
    news.trim(at(1100ms));
    CHECK(news.stats().held_events == 2);
    news.trim(at(200ms));
    CHECK(news.stats().held_events == 2);
    news.trim(at(1101ms));
    CHECK(news.stats().held_events == 0);
}

TEST_CASE("without an age events are kept for ever") {
    channel news({.epoch = epoch});
    publish_numbers(news, 1, 1, time_point::min());
    publish_numbers(news, 2, 2, time_point::max());
    news.trim(time_point::max());
    CHECK(everything(news) == "1 2");
}

TEST_CASE("the clock is read where no time is given") {
    channel news({.max_age = 1h, .epoch = epoch});
    publish_numbers(news, 1, 1);
    news.trim(std::chrono::steady_clock::now() + 59min);
    CHECK(news.stats().held_events == 1);
    news.trim(std::chrono::steady_clock::now() + 61min);
    CHECK(news.stats().held_events == 0);
}

TEST_CASE("a cursor whose next event became too old is behind") {
    channel news({.max_age = 10ms, .epoch = epoch});
    cursor follower = news.subscribe({}, {}, at(0ms));
    publish_numbers(news, 1, 3, at(0ms));
    follower.consume(follower.next_bytes().find("\n\n") + 2);  // the first
    news.trim(at(11ms));
    CHECK(follower.next_bytes().empty());
    CHECK(follower.state() == cursor_state::behind);
    CHECK(follower.skip() == 2);
    CHECK(follower.next_bytes().empty());
    CHECK(follower.state() == cursor_state::following);
    publish_numbers(news, 4, 4, at(12ms));
    CHECK(rest(follower) == "4");
}

TEST_CASE("the bounds hold together") {
    channel news({.max_events = 50, .max_bytes = 4000, .max_age = 100ms, .epoch = epoch});
    const std::string large(1000, 'x');
    for (std::uint64_t number = 1; number <= 2000; ++number) {
        const bool is_large = number / 100 % 2 == 1;
        const std::chrono::milliseconds now(number / 500 * 5000 + number % 500 * (number < 1000 ? 0 : 10));
        REQUIRE_FALSE(news.publish({.data = is_large ? std::string_view(large) : "x"}, at(now)).error);
        const sse::channel_stats stats = news.stats();
        REQUIRE(stats.held_events >= 1);
        REQUIRE(stats.held_events <= 50);
        REQUIRE(stats.held_bytes <= 4000);
        // Where they come 10 ms apart, there are the one and ten before that are not too old yet.
        if (number > 1020 && number % 500 > 20) REQUIRE(stats.held_events <= 11);
    }
}

TEST_CASE("a log keeps 10,000 events and 8 MiB by default, and replays nothing to a new subscriber") {
    channel news;
    const std::string data(1000, 'x');
    for (int i = 0; i < 20'000; ++i) CHECK_FALSE(news.publish({.data = data}).error);
    CHECK(news.stats().held_bytes <= 8 << 20);
    CHECK(news.stats().held_bytes > 7 << 20);
    channel small;
    for (int i = 0; i < 20'000; ++i) CHECK_FALSE(small.publish({.data = "x"}).error);
    CHECK(small.stats().held_events == 10'000);
    cursor reader = small.subscribe();
    CHECK(reader.next_bytes().empty());  // no replay
    reader.skip();
    CHECK(small.subscribe("?").resumption() == resumption::unknown);
}

// Subscribing

namespace {

struct start {
    sse::resumption resumption;
    std::uint64_t missed = 0;
    std::uint64_t first;  // the first event that comes
};

void check_start(channel& news, const std::string& id, const start& expected, std::uint64_t published) {
    CAPTURE(test::show(id));
    for (const bool replay_to_new : {false, true}) {
        cursor reader = news.subscribe(id, {.replay_to_new = replay_to_new});
        CHECK(reader.resumption() == expected.resumption);
        CHECK(reader.missed() == expected.missed);
        CHECK(reader.state() == cursor_state::following);
        CHECK_FALSE(reader.in_event());
        CHECK(rest(reader) == numbers(expected.first, published));
    }
}

}  // namespace

TEST_CASE("every position of a log, also of one that has wrapped around, is resumed or its gap counted") {
    for (const std::uint64_t published : {0u, 1u, 9u, 10u, 11u, 57u, 1000u}) {
        CAPTURE(published);
        channel news({.max_events = 10, .epoch = epoch});
        publish_numbers(news, 1, published);
        const std::uint64_t oldest = published > 10 ? published - 9 : 1;
        for (std::uint64_t last = 0; last <= published + 3; ++last) {
            if (last > published) check_start(news, made(last), {resumption::unknown, 0, oldest}, published);
            else if (last + 1 >= oldest)
                check_start(news, made(last), {resumption::resumed, 0, last + 1}, published);
            else check_start(news, made(last), {resumption::gap, oldest - last - 1, oldest}, published);
        }
    }
}

TEST_CASE("so where the bytes are the bound, and segments are many") {
    channel news({.max_bytes = 2000, .epoch = epoch});
    for (std::uint64_t published = 1; published <= 100; ++published) {
        publish_numbers(news, published, published);
        const std::uint64_t oldest = published + 1 - news.stats().held_events;
        for (std::uint64_t last = 0; last <= published; ++last) {
            cursor reader = news.subscribe(made(last));
            CHECK(reader.resumption() == (last + 1 < oldest ? resumption::gap : resumption::resumed));
            CHECK(reader.missed() == (last + 1 < oldest ? oldest - last - 1 : 0));
            CHECK(rest(reader) == numbers(std::max(last + 1, oldest), published));
        }
    }
    CHECK(news.stats().held_events < 50);
}

TEST_CASE("one that comes without an ID is live, or gets all there is") {
    channel news({.max_events = 5, .epoch = epoch});
    publish_numbers(news, 1, 12);
    cursor live = news.subscribe();
    CHECK(live.resumption() == resumption::live);
    CHECK(live.missed() == 0);
    CHECK(live.next_bytes().empty());
    cursor replayed = news.subscribe({}, {.replay_to_new = true});
    CHECK(replayed.resumption() == resumption::live);
    CHECK(rest(replayed) == "8 9 10 11 12");
    publish_numbers(news, 13, 14);
    CHECK(rest(live) == "13 14");
    CHECK(rest(replayed) == "13 14");
}

TEST_CASE("an unknown ID gets all of the log, or only what is new, by what the server chose") {
    for (const bool replay_to_new : {false, true}) {
        channel news({.max_events = 3, .epoch = epoch});
        const auto subscribe = [&](std::string_view id, sse::when_unknown what) {
            return news.subscribe(id, {.replay_to_new = replay_to_new, .when_unknown = what});
        };
        for (const std::uint64_t published : {0u, 2u, 5u}) {
            publish_numbers(news, news.stats().published + 1, published);
            const std::uint64_t oldest = published > 3 ? published - 2 : 1;
            for (const std::string_view id : {"x"sv, "0000000000ab-99"sv, "0000000000ac-1"sv, "\r\n"sv}) {
                cursor all = subscribe(id, sse::when_unknown::replay_all);
                CHECK(all.resumption() == resumption::unknown);
                CHECK(all.last_event_id() == made(oldest - 1));
                CHECK(rest(all) == numbers(oldest, published));
                cursor none = subscribe(id, sse::when_unknown::only_new);
                CHECK(none.resumption() == resumption::unknown);
                CHECK(none.missed() == 0);
                CHECK(none.last_event_id() == made(published));
                CHECK(none.next_bytes().empty());
                CHECK(none.state() == cursor_state::following);
            }
        }
        // It changes nothing for who comes with a known ID, or without one.
        cursor resumed = subscribe(made(4), sse::when_unknown::only_new);
        CHECK(rest(resumed) == "5");
        cursor gap = subscribe(made(1), sse::when_unknown::only_new);
        CHECK(gap.resumption() == resumption::gap);
        CHECK(rest(gap) == "3 4 5");
        cursor live = subscribe("", sse::when_unknown::only_new);
        CHECK(rest(live) == (replay_to_new ? "3 4 5" : ""));
        cursor follower = subscribe("x", sse::when_unknown::only_new);
        publish_numbers(news, 6, 6);
        CHECK(rest(follower) == "6");
    }
}

TEST_CASE("an ID is read to its end and no further, whatever lies behind it") {
    channel news({.epoch = epoch});
    publish_numbers(news, 1, 200);
    CHECK_FALSE(news.publish({.data = "201", .id = "own 1"}).error);
    const std::string text = made(123) + "4567";
    for (const test::edge where : test::edges) {
        for (std::size_t size = 0; size <= text.size(); ++size) {
            const std::string_view cut = std::string_view(text).substr(0, size);
            CAPTURE(cut);
            const test::exact_copy copy(cut, where);
            for (const std::string_view id :
                 {cut, std::string_view(copy)}) {  // with digits behind it, or nothing
                cursor reader = news.subscribe(id);
                const std::size_t digits = size > prefix.size() ? size - prefix.size() : 0;
                if (digits >= 1 && digits <= 3) {
                    CHECK(reader.resumption() == resumption::resumed);
                    CHECK(reader.last_event_id() == made(digits == 1 ? 1 : digits == 2 ? 12 : 123));
                } else {
                    CHECK(reader.resumption() == (size == 0 ? resumption::live : resumption::unknown));
                }
            }
        }
        const test::exact_copy own("own 1", where);
        CHECK(news.subscribe(own).resumption() == resumption::resumed);
        CHECK(news.subscribe(std::string_view("own 12").substr(0, 5)).resumption() == resumption::resumed);
        CHECK(news.subscribe(std::string_view("own 12")).resumption() == resumption::unknown);
    }
}

TEST_CASE("IDs that come again and again are found at their latest event, however the tables grow") {
    channel news({.max_events = SIZE_MAX, .max_bytes = 1 << 20, .epoch = epoch});
    std::mt19937 random(13);
    std::vector<std::uint64_t> latest(40);
    for (std::uint64_t number = 1; number <= 30'000; ++number) {
        const std::size_t which = random() % (random() % 50 == 0 ? latest.size() : 3);
        const std::string id = "own " + std::to_string(which);
        REQUIRE(news.publish({.data = "x", .id = id}).sequence == number);
        latest[which] = number;
        if (number % 97 != 0 && number > 200) continue;
        const std::uint64_t oldest = number + 1 - news.stats().held_events;
        for (std::size_t i = 0; i < latest.size(); ++i) {
            cursor reader = news.subscribe("own " + std::to_string(i));
            const bool is_kept = latest[i] >= oldest;
            REQUIRE(reader.resumption() == (is_kept ? resumption::resumed : resumption::unknown));
            reader.skip(sse::skip_to::latest);
            REQUIRE(reader.missed() == number - (is_kept ? latest[i] : oldest - 1));
        }
    }
    CHECK(news.stats().held_events < 30'000);
}

TEST_CASE("an ID of the caller's own is found while its event is kept, and unknown then") {
    for (const bool make_ids : {true, false}) {
        channel news({.max_events = 10, .make_ids = make_ids, .epoch = epoch});
        for (std::uint64_t number = 1; number <= 57; ++number) {
            const std::string data = std::to_string(number);
            CHECK(id_of(news.publish({.data = data, .id = "own " + data})).empty());
        }
        for (std::uint64_t last = 0; last <= 60; ++last) {
            const std::string id = "own " + std::to_string(last);
            if (last >= 48 && last <= 57) check_start(news, id, {resumption::resumed, 0, last + 1}, 57);
            else check_start(news, id, {resumption::unknown, 0, 48}, 57);
        }
        // Their numbers are good as well, because `last_event_id()` may have given one. A channel that makes
        // no IDs has not: what looks like one is the caller's.
        if (make_ids) {
            check_start(news, made(50), {resumption::resumed, 0, 51}, 57);
            check_start(news, made(40), {resumption::gap, 7, 48}, 57);
        } else {
            check_start(news, made(50), {resumption::unknown, 0, 48}, 57);
            check_start(news, made(40), {resumption::unknown, 0, 48}, 57);
        }
    }
}

TEST_CASE("of an ID that comes twice the later counts, and the other when that is all there is") {
    channel news({.max_events = 4, .epoch = epoch});
    for (const std::string_view id : {"a", "b", "a", "c"})
        CHECK_FALSE(news.publish({.data = "x", .id = id}).error);
    const auto left_behind = [&](std::string_view id) {
        cursor reader = news.subscribe(id);
        CHECK(reader.resumption() == resumption::resumed);
        return parse(drain(reader)).size();
    };
    CHECK(left_behind("a") == 1);
    CHECK(left_behind("b") == 2);
    CHECK(left_behind("c") == 0);
    CHECK_FALSE(news.publish({.data = "x", .id = "b"}).error);
    CHECK(left_behind("b") == 0);
    CHECK(left_behind("a") == 2);
}

TEST_CASE("thousands of IDs of the caller's own are all found, with others among them") {
    channel news({.max_events = 3000, .epoch = epoch});
    std::mt19937_64 random(3);
    std::vector<std::string> ids(1);
    for (std::uint64_t number = 1; number <= 10'000; ++number) {
        const std::string data = std::to_string(number);
        ids.push_back(random() % 3 == 0 ? made(number) : std::to_string(random()));
        if (ids.back() == made(number)) CHECK(id_of(news.publish({.data = data})) == ids.back());
        else CHECK_FALSE(news.publish({.data = data, .id = ids.back()}).error);
    }
    for (std::size_t number = 6990; number <= 10'000; ++number) {
        const bool is_kept = number > 7000;
        const bool is_made = ids[number] == made(number);
        cursor reader = news.subscribe(ids[number]);
        REQUIRE(reader.resumption() == (is_kept || number == 7000
                                            ? (is_kept || is_made ? resumption::resumed : resumption::unknown)
                                        : is_made ? resumption::gap
                                                  : resumption::unknown));
        REQUIRE(reader.missed() == (is_made && number < 7000 ? 7000 - number : 0));
        const std::string_view bytes = reader.next_bytes();
        if (number == 10'000) REQUIRE(bytes.empty());
        else
            REQUIRE(data_of(bytes.substr(0, bytes.find("\n\n") + 2)) ==
                    std::to_string(std::max<std::uint64_t>(number, 7000) + 1));
    }
}

TEST_CASE("an ID that this channel has not given is unknown, whatever it holds") {
    channel other;
    const std::string foreign = id_of(other.publish({.data = "x"}));
    const std::string ids[] = {
        foreign,
        "0000000000ac-3",
        "0000000000AB-3",
        "000000000ab-3",
        "00000000000ab-3",
        "ab-3",
        "0000000000ab",
        "0000000000ab-",
        "0000000000ab3",
        "0000000000ab--3",
        "0000000000ab--1",
        "0000000000ab-+3",
        "0000000000ab- 3",
        "0000000000ab-03",
        "0000000000ab-00",
        "0000000000ab-3 ",
        "0000000000ab-3x",
        "0000000000ab-3-",
        "0000000000ab-3\n",
        "0000000000ab-3\0"s,
        "0000000000ab-\0"s,
        "0000000000ab-0x3",
        "0000000000ab-3.0",
        "0000000000ab-3e0",
        " 0000000000ab-3",
        "0000000000ab-7",                     // it has published 6
        "0000000000ab-18446744073709551615",  // 2^64 - 1
        "0000000000ab-18446744073709551616",  // 2^64, which must not wrap
        "0000000000ab-18446744073709551619",  // 2^64 + 3
        "0000000000ab-" + std::string(1000, '9'),
        "0000000000ab-" + std::string(1000, '0') + "3",
        "3",
        "0",
        "-",
        "\0"s,
        "\r\n",
        "\x7F\xFF\xFE",
        std::string(1 << 20, 'x'),
        "owner",
        "ow",
        "OWN",
        "own ",
        "own\0"s,
    };
    for (const bool has_own : {false, true}) {
        channel news({.max_events = 4, .epoch = epoch});
        publish_numbers(news, 1, 5);
        static_cast<void>(has_own ? news.publish({.data = "6", .id = "own"}) : news.publish({.data = "6"}));
        for (const std::string& id : ids) check_start(news, id, {resumption::unknown, 0, 3}, 6);
    }
}

TEST_CASE("an empty ID is none, and the event that has it can be resumed behind by its number") {
    channel news({.epoch = epoch});
    CHECK(id_of(news.publish({.data = "1", .id = ""})).empty());
    cursor reader = news.subscribe({}, {.replay_to_new = true});
    CHECK(drain(reader) == "id: \ndata: 1\n\n");
    CHECK(reader.last_event_id() == made(1));
    cursor live = news.subscribe("");
    CHECK(live.resumption() == resumption::live);
    publish_numbers(news, 2, 2);
    cursor resumed = news.subscribe(made(1));
    CHECK(resumed.resumption() == resumption::resumed);
    CHECK(rest(resumed) == "2");
}

TEST_CASE("without IDs a channel knows its positions still, but gives none") {
    channel news({.make_ids = false, .epoch = epoch});
    cursor reader = news.subscribe();
    CHECK(reader.last_event_id().empty());
    CHECK_FALSE(news.publish({.data = "1"}).error);
    CHECK_FALSE(news.publish({.data = "2", .id = "own"}).error);
    CHECK(drain(reader) == "data: 1\n\nid: own\ndata: 2\n\n");
    CHECK(reader.last_event_id() == "own");
}

TEST_CASE("the last event ID of a cursor is that of the event before, in mid-event too") {
    channel news({.max_events = 3, .epoch = epoch});
    cursor reader = news.subscribe();
    CHECK(reader.last_event_id() == made(0));
    publish_numbers(news, 1, 1);
    CHECK(reader.last_event_id() == made(0));
    reader.consume(reader.next_bytes().size() - 1);
    CHECK(reader.last_event_id() == made(0));
    reader.consume(1);
    CHECK(reader.last_event_id() == made(1));
    CHECK_FALSE(news.publish({.data = "2", .id = "own"}).error);
    CHECK(drain(reader) != "");
    CHECK(reader.last_event_id() == "own");
    publish_numbers(news, 3, 5);
    CHECK(reader.last_event_id() == made(2));  // which stands for it, now that it has left
    cursor resumed = news.subscribe(reader.last_event_id());
    CHECK(resumed.resumption() == resumption::resumed);
    CHECK(rest(resumed) == "3 4 5");
    publish_numbers(news, 6, 6);
    cursor gap = news.subscribe(reader.last_event_id());
    CHECK(gap.resumption() == resumption::gap);
    CHECK(gap.missed() == 1);
    CHECK(gap.last_event_id() == made(3));
    CHECK(cursor().last_event_id().empty());
}

// Taking

TEST_CASE("what next_bytes gives may be consumed by any number of bytes") {
    channel news({.max_bytes = 20'000, .epoch = epoch});  // several segments
    std::mt19937 random(5);
    const std::string text(700, 'x');
    cursor whole = news.subscribe();
    for (int i = 0; i < 40; ++i)
        CHECK_FALSE(news.publish({.data = std::string_view(text).substr(0, random() % text.size())}).error);
    REQUIRE(news.stats().held_events == 40);
    const std::string expected = drain(whole);
    CHECK(parse(expected).size() == 40);
    for (std::size_t step = 1; step <= 1000; step += step < 20 ? 1 : 97) {
        CAPTURE(step);
        cursor reader = news.subscribe({}, {.replay_to_new = true});
        CHECK(drain(reader, step) == expected);
        CHECK_FALSE(reader.in_event());
    }
}

TEST_CASE("consuming nothing changes nothing, and asking twice gives the same") {
    channel news({.epoch = epoch});
    cursor reader = news.subscribe();
    reader.consume(0);
    publish_numbers(news, 1, 2);
    const std::string_view bytes = reader.next_bytes();
    reader.consume(0);
    CHECK(reader.next_bytes() == bytes);
    CHECK(reader.next_bytes().data() == bytes.data());
    CHECK_FALSE(reader.in_event());
    reader.consume(1);
    CHECK(reader.in_event());
    CHECK(reader.next_bytes() == bytes.substr(1));
    publish_numbers(news, 3, 3);
    CHECK(reader.next_bytes().substr(0, bytes.size() - 1) == bytes.substr(1));
}

TEST_CASE("a count too large is held to what was given, less what has been consumed of it since") {
    for (const std::size_t too_much : {std::size_t{1}, std::size_t{1000}, std::size_t{UINT32_MAX},
                                       std::size_t{UINT32_MAX} + 1, SIZE_MAX}) {
        for (const bool has_types : {false, true}) {
            CAPTURE(too_much);
            CAPTURE(has_types);
            channel news({.max_events = 5, .epoch = epoch});
            const auto subscribe = [&] {
                return news.subscribe({}, {.types = has_types ? strings{"message"} : strings{}});
            };
            cursor none;
            none.consume(too_much);
            CHECK(none.state() == cursor_state::ended);
            cursor reader = subscribe();
            reader.consume(too_much);  // the log has no segment
            CHECK(reader.next_bytes().empty());
            reader.consume(too_much);
            publish_numbers(news, 1, 3);
            reader.consume(too_much);  // there are bytes, but they have not been given
            CHECK(reader.last_event_id() == made(0));
            CHECK_FALSE(reader.in_event());

            const std::string given(reader.next_bytes());
            publish_numbers(news, 4, 4);
            reader.consume(3);
            reader.consume(given.size() - 3 + too_much % (SIZE_MAX - given.size()));
            CHECK(reader.last_event_id() == made(3));
            CHECK_FALSE(reader.in_event());
            reader.consume(too_much);  // told twice
            CHECK(reader.last_event_id() == made(3));
            CHECK(data_of(reader.next_bytes()) == "4");

            static_cast<void>(reader.skip(sse::skip_to::latest));
            reader.consume(too_much);  // what was given before has been skipped
            CHECK(reader.last_event_id() == made(4));
            publish_numbers(news, 5, 5);
            CHECK(data_of(reader.next_bytes()) == "5");
            cursor moved = std::move(reader);
            reader.consume(too_much);
            CHECK(reader.state() == cursor_state::ended);
            moved.consume(7);

            publish_numbers(news, 6, 20);  // only the rest of an event is left
            moved.consume(1);
            const std::size_t rest_size = moved.next_bytes().size();
            CHECK(rest_size == sse::encoded_size({.data = "5", .id = made(5)}) - 8);
            moved.consume(rest_size + too_much % (SIZE_MAX - rest_size));
            CHECK_FALSE(moved.in_event());
            moved.consume(too_much);
            CHECK(moved.next_bytes().empty());
            moved.consume(too_much);
            CHECK(moved.state() == cursor_state::behind);
            CHECK(moved.skip() == 10);
            CHECK(rest(moved) == numbers(16, 20));
            news.close();
            CHECK(moved.next_bytes().empty());
            CHECK(moved.state() == cursor_state::ended);
            moved.consume(too_much);
            CHECK(moved.last_event_id() == made(20));
        }
    }
}

TEST_CASE("with types too, nothing can be consumed of what was passed over or has not been given") {
    channel news({.epoch = epoch});
    cursor reader = news.subscribe({}, {.types = {"x"}});
    CHECK_FALSE(news.publish({.event = "x", .data = "1"}).error);
    publish_numbers(news, 2, 3);
    CHECK(data_of(reader.next_bytes()) == "1");
    CHECK_FALSE(news.publish({.event = "x", .data = "4"}).error);
    reader.consume(SIZE_MAX);
    CHECK(reader.last_event_id() == made(1));
    CHECK(data_of(reader.next_bytes()) == "4");
    reader.consume(SIZE_MAX);
    CHECK(reader.has_passed_over() == false);
    publish_numbers(news, 5, 6);
    CHECK(reader.next_bytes().empty());
    reader.consume(SIZE_MAX);
    CHECK(reader.has_passed_over());
    CHECK(reader.last_event_id() == made(6));
    CHECK_FALSE(news.publish({.event = "x", .data = "7"}).error);
    CHECK(data_of(reader.next_bytes()) == "7");
    reader.consume(0);
    CHECK(reader.has_passed_over());
    reader.consume(1);
    CHECK_FALSE(reader.has_passed_over());
}

TEST_CASE("in the midst of an event nothing is skipped") {
    for (const bool has_left : {false, true}) {
        CAPTURE(has_left);
        channel news({.max_events = 2, .epoch = epoch});
        cursor reader = news.subscribe();
        publish_numbers(news, 1, 2);
        const std::string before(reader.next_bytes());
        reader.consume(5);
        if (has_left) publish_numbers(news, 3, 6);
        if (has_left) CHECK(reader.mark_if_behind());
        for (const sse::skip_to where : {sse::skip_to::oldest, sse::skip_to::latest}) {
            CHECK(reader.skip(where) == 0);
            CHECK(reader.in_event());
            CHECK(reader.state() == (has_left ? cursor_state::behind : cursor_state::following));
            CHECK(before.substr(5).starts_with(reader.next_bytes()));
        }
        reader.consume(reader.next_bytes().size());
        CHECK_FALSE(reader.in_event());
        CHECK(reader.next_bytes().empty());
        CHECK(reader.skip() == (has_left ? 3 : 0));
    }
}

TEST_CASE("all subscribers are given the same bytes, which are not copied") {
    channel news;
    cursor one = news.subscribe();
    cursor two = news.subscribe();
    CHECK_FALSE(news.publish({.data = "x"}).error);
    CHECK(one.next_bytes().data() == two.next_bytes().data());
    CHECK(one.next_bytes().size() == two.next_bytes().size());
}

TEST_CASE("what next_bytes gave stays while events are published that push it out") {
    channel news({.max_events = 2, .max_bytes = 2000, .epoch = epoch});
    cursor reader = news.subscribe();
    publish_numbers(news, 1, 2);
    const std::string_view bytes = reader.next_bytes();
    const std::string before(bytes);
    publish_numbers(news, 3, 100);
    CHECK(bytes == before);
    reader.consume(bytes.size());
    CHECK(data_of(before) == "1 2");
    CHECK(reader.next_bytes().empty());
    CHECK(reader.state() == cursor_state::behind);
    CHECK(reader.skip() == 96);
    CHECK(rest(reader) == "99 100");
}

TEST_CASE("an event that was begun is finished, and none begun, where what follows has left") {
    const std::size_t size = sse::encoded_size({.data = "1", .id = made(1)});
    for (std::size_t consumed = 0; consumed <= 2 * size; ++consumed) {
        for (const bool to_latest : {false, true}) {
            CAPTURE(consumed);
            channel news({.max_events = 2, .epoch = epoch});
            cursor reader = news.subscribe();
            publish_numbers(news, 1, 2);
            const std::string before(reader.next_bytes());
            REQUIRE(before.size() == 2 * size);
            reader.consume(consumed);
            publish_numbers(news, 3, 6);

            const bool is_cut = consumed % size != 0;
            CHECK(reader.in_event() == is_cut);
            if (is_cut) {
                const std::string_view tail =
                    std::string_view(before).substr(consumed, size - consumed % size);
                CHECK(reader.next_bytes() == tail);
                CHECK(reader.state() == cursor_state::following);
                for (const char& byte : std::string(tail)) {
                    CHECK(reader.next_bytes().front() == byte);
                    reader.consume(1);
                }
            }
            CHECK(reader.next_bytes().empty());
            CHECK(reader.state() == cursor_state::behind);
            CHECK_FALSE(reader.in_event());
            CHECK(reader.next_bytes().empty());  // and stays so
            const std::uint64_t taken = (consumed + size - 1) / size;
            CHECK(reader.skip(to_latest ? sse::skip_to::latest : sse::skip_to::oldest) ==
                  (to_latest ? 6 : 4) - taken);
            CHECK(reader.missed() == (to_latest ? 6 : 4) - taken);
            CHECK(reader.state() == cursor_state::following);
            CHECK(rest(reader) == (to_latest ? "" : "5 6"));
            publish_numbers(news, 7, 7);
            CHECK(rest(reader) == "7");
        }
    }
}

TEST_CASE("one may skip without being behind") {
    channel news({.epoch = epoch});
    cursor reader = news.subscribe();
    publish_numbers(news, 1, 3);
    CHECK(reader.skip() == 0);
    CHECK(reader.missed() == 0);
    CHECK(data_of(reader.next_bytes()) == "1 2 3");
    CHECK(reader.skip(sse::skip_to::latest) == 3);
    CHECK(reader.missed() == 3);
    CHECK(reader.next_bytes().empty());
    publish_numbers(news, 4, 4);
    CHECK(rest(reader) == "4");
    CHECK(news.stats().fell_behind == 0);
}

TEST_CASE("end_here ends a cursor behind what has been published by then") {
    for (const std::uint64_t taken : {0u, 1u, 3u}) {
        CAPTURE(taken);
        channel news({.epoch = epoch});
        cursor reader = news.subscribe();
        publish_numbers(news, 1, 3);
        for (std::uint64_t i = 0; i < taken; ++i) reader.consume(reader.next_bytes().find("\n\n") + 2);
        reader.end_here();
        publish_numbers(news, 4, 5);
        reader.end_here();  // the first counts
        CHECK(reader.state() == cursor_state::following);
        CHECK(rest(reader) == numbers(taken + 1, 3));
        CHECK(reader.state() == cursor_state::ended);
        publish_numbers(news, 6, 6);
        CHECK(reader.next_bytes().empty());
        CHECK(reader.last_event_id() == made(3));
    }
}

TEST_CASE("end_here before the first event, and in mid-event") {
    channel news({.epoch = epoch});
    cursor none = news.subscribe();
    none.end_here();
    publish_numbers(news, 1, 1);
    CHECK(none.next_bytes().empty());
    CHECK(none.state() == cursor_state::ended);

    cursor reader = news.subscribe();
    publish_numbers(news, 2, 2);
    CHECK_FALSE(reader.next_bytes().empty());
    reader.consume(3);
    reader.end_here();
    publish_numbers(news, 3, 3);
    CHECK(reader.next_bytes().ends_with("data: 2\n\n"));
    static_cast<void>(drain(reader));
    CHECK(reader.state() == cursor_state::ended);
}

TEST_CASE("end_here holds across segments, and with types") {
    for (const std::uint64_t last : {10u, 39u, 40u, 41u, 100u}) {
        channel news({.max_bytes = 1 << 16, .epoch = epoch});
        publish_numbers(news, 1, last);
        cursor reader = news.subscribe({}, {.replay_to_new = true});
        cursor other = news.subscribe({}, {.types = {"x"}, .replay_to_new = true});
        reader.end_here();
        other.end_here();
        publish_numbers(news, last + 1, 200);
        CHECK_FALSE(news.publish({.event = "x", .data = "201"}).error);
        CHECK(rest(reader) == numbers(1, last));
        CHECK(reader.state() == cursor_state::ended);
        CHECK(other.next_bytes().empty());
        CHECK(other.state() == cursor_state::ended);
    }
}

TEST_CASE("a cursor that has got all up to its end has not fallen behind") {
    channel news({.max_events = 2, .epoch = epoch});
    cursor reader = news.subscribe();
    publish_numbers(news, 1, 2);
    reader.end_here();
    const std::string_view bytes = reader.next_bytes();
    reader.consume(bytes.size());
    publish_numbers(news, 3, 6);
    CHECK(reader.next_bytes().empty());
    CHECK(reader.state() == cursor_state::ended);
    CHECK(news.stats().fell_behind == 0);
}

TEST_CASE("a cursor that skips beyond its end gives nothing from there") {
    for (const bool to_latest : {false, true}) {
        channel news({.max_events = 2, .max_bytes = 2000, .epoch = epoch});
        cursor reader = news.subscribe();
        publish_numbers(news, 1, 2);
        reader.end_here();
        publish_numbers(news, 3, 100);
        CHECK(reader.next_bytes().empty());
        CHECK(reader.state() == cursor_state::behind);
        static_cast<void>(reader.skip(to_latest ? sse::skip_to::latest : sse::skip_to::oldest));
        publish_numbers(news, 101, 101);
        CHECK(reader.next_bytes().empty());
        CHECK(reader.state() == cursor_state::ended);
    }
}

TEST_CASE("a closed channel takes nothing more, and its cursors end when they have got all") {
    channel news({.max_events = 3, .epoch = epoch});
    cursor behind = news.subscribe();
    publish_numbers(news, 1, 5);
    cursor done = news.subscribe();
    CHECK(done.next_bytes().empty());
    cursor reader = news.subscribe(made(3));
    reader.consume(reader.next_bytes().size() - 2);
    news.close();
    news.close();
    CHECK(news.publish({.data = "6"}).error == errc::channel_closed);
    CHECK(done.next_bytes().empty());
    CHECK(done.state() == cursor_state::ended);
    CHECK(drain(reader) == "\n\n");
    CHECK(reader.state() == cursor_state::ended);
    CHECK(behind.next_bytes().empty());
    CHECK(behind.state() == cursor_state::behind);
    CHECK(behind.skip() == 2);
    CHECK(rest(behind) == "3 4 5");
    CHECK(behind.state() == cursor_state::ended);
    // One that comes now still gets what it has missed.
    cursor late = news.subscribe(made(4));
    CHECK(late.resumption() == resumption::resumed);
    CHECK(rest(late) == "5");
    CHECK(late.state() == cursor_state::ended);
}

TEST_CASE("cursors outlive the channel, and end when they have got all") {
    const count since;
    {
        auto news = std::make_unique<channel>(sse::channel_options{.max_events = 3, .epoch = epoch});
        cursor unborn = news->subscribe();
        cursor behind = news->subscribe();
        publish_numbers(*news, 1, 2);
        cursor reader = news->subscribe(made(0));
        CHECK_FALSE(reader.next_bytes().empty());
        reader.consume(5);
        publish_numbers(*news, 3, 4);
        const std::string_view begun = reader.next_bytes();
        news.reset();
        CHECK(begun.ends_with("data: 1\n\n"));
        reader.consume(begun.size());
        CHECK(rest(reader) == "2 3 4");
        CHECK(reader.state() == cursor_state::ended);
        CHECK(reader.last_event_id() == made(4));
        reader.end_here();
        CHECK(reader.skip(sse::skip_to::latest) == 0);
        CHECK(reader.state() == cursor_state::ended);
        CHECK(behind.next_bytes().empty());
        CHECK(behind.state() == cursor_state::behind);
        unborn = std::move(behind);
        CHECK(unborn.skip() == 1);
        CHECK(rest(unborn) == "2 3 4");
        CHECK(unborn.state() == cursor_state::ended);
    }
    CHECK(since.bytes() == 0);
}

TEST_CASE("a cursor of none has ended") {
    cursor none;
    CHECK(none.next_bytes().empty());
    CHECK(none.state() == cursor_state::ended);
    CHECK_FALSE(none.in_event());
    CHECK(none.missed() == 0);
    CHECK(none.skip() == 0);
    CHECK(none.skip(sse::skip_to::latest) == 0);
    CHECK_FALSE(none.mark_if_behind());
    none.end_here();
    none.consume(0);
    cursor moved = std::move(none);
    CHECK(moved.state() == cursor_state::ended);
}

TEST_CASE("cursors move with their place, their types and what is counted of them") {
    channel news({.max_events = 3, .epoch = epoch});
    cursor first = news.subscribe({}, {.types = {"message"}});
    publish_numbers(news, 1, 2);
    first.consume(first.next_bytes().find("\n\n") + 5);  // into the second
    cursor second = std::move(first);
    CHECK(first.state() == cursor_state::ended);
    CHECK(first.next_bytes().empty());
    CHECK(second.in_event());
    CHECK(news.stats().subscribers == 1);
    CHECK_FALSE(news.publish({.event = "x", .data = "3"}).error);
    publish_numbers(news, 4, 4);
    CHECK(rest(second).ends_with("4"));

    cursor& alias = second;
    second = std::move(alias);
    CHECK(second.state() == cursor_state::following);
    CHECK(second.last_event_id() == made(4));
    CHECK(news.stats().subscribers == 1);

    cursor gap = news.subscribe(made(0));
    CHECK(gap.resumption() == resumption::gap);
    CHECK(news.stats().subscribers == 2);
    second = std::move(gap);  // which ends what it was
    CHECK(news.stats().subscribers == 1);
    CHECK(second.resumption() == resumption::gap);
    CHECK(second.missed() == 1);
    publish_numbers(news, 5, 9);
    CHECK(second.next_bytes().empty());
    CHECK(news.stats().behind == 1);
    cursor third = std::move(second);
    CHECK(news.stats().behind == 1);
    CHECK(third.state() == cursor_state::behind);
    third = cursor();
    CHECK(show(news.stats()) == "published 9 held 3 subscribers 0 fell 1 behind 0");
}

// Types

TEST_CASE("a subscriber gets the events of its types, and no others") {
    const message messages[] = {
        {.event = "a", .data = "1"},
        {.event = "ab", .data = "2"},
        {.data = "3"},
        {.event = "", .data = "4"},
        {.event = "message", .data = "5"},
        {.event = "A", .data = "6"},
        {.event = "a ", .data = "7"},
        {.event = " a", .data = "8"},
        {.data = "event: a"},
        {.data = "10\nevent: a"},
        {.data = "11", .id = "event: a"},
        {.event = "a", .data = "12", .id = "own", .retry = 5ms},
        {.event = "event: a", .data = "13"},
        {.event = "a\0"sv, .data = "14"},
        {.event = "a", .data = "15"},
        {.event = "a", .data = "16"},
    };
    struct row {
        strings types;
        std::string expected;
    };
    const row rows[] = {
        {{}, "1 2 3 4 5 6 7 8 event: a 10\nevent: a 11 12 13 14 15 16"},
        {{"a"}, "1 12 15 16"},
        {{"ab"}, "2"},
        {{"message"}, "3 4 5 event: a 10\nevent: a 11"},
        {{"A", "a "}, "6 7"},
        {{" a", "event: a"}, "8 13"},
        {{"a", "a", "ab"}, "1 2 12 15 16"},
        {{"b"}, ""},
        {{""}, ""},
        {{"abc", "mess", "message "}, ""},
    };
    for (const bool make_ids : {true, false}) {
        for (const std::size_t step : {std::size_t{1}, std::size_t{7}, SIZE_MAX}) {
            channel news({.make_ids = make_ids});
            std::vector<cursor> followers;
            for (const row& each : rows) followers.push_back(news.subscribe({}, {.types = each.types}));
            std::vector<std::string> received(std::size(rows));
            for (const message& each : messages) {
                CHECK_FALSE(news.publish(each).error);
                for (std::size_t i = 0; i < std::size(rows); ++i) received[i] += drain(followers[i], step);
            }
            for (std::size_t i = 0; i < std::size(rows); ++i) {
                CAPTURE(i);
                CHECK(data_of(received[i]) == rows[i].expected);
                cursor late = news.subscribe({}, {.types = rows[i].types, .replay_to_new = true});
                CHECK(drain(late, step) == received[i]);
            }
        }
    }
}

TEST_CASE("one that wants none of what is published does not fall behind while it asks") {
    channel news({.max_events = 3, .epoch = epoch});
    cursor reader = news.subscribe({}, {.types = {"x"}});
    for (std::uint64_t number = 1; number <= 100; ++number) {
        publish_numbers(news, number, number);
        CHECK(reader.next_bytes().empty());
        CHECK(reader.state() == cursor_state::following);
        CHECK(reader.last_event_id() == made(number));
    }
    CHECK_FALSE(news.publish({.event = "x", .data = "101"}).error);
    CHECK(rest(reader) == "101");
    publish_numbers(news, 102, 105);
    CHECK(reader.next_bytes().empty());
    CHECK(reader.state() == cursor_state::behind);
    CHECK(reader.skip() == 1);  // of whatever type
}

TEST_CASE("types hold across segments, and in mid-event when the rest has left") {
    channel news({.max_events = 10, .max_bytes = 2000, .epoch = epoch});
    cursor reader = news.subscribe({}, {.types = {"x"}});
    CHECK_FALSE(news.publish({.event = "x", .data = "1"}).error);
    const std::string before(reader.next_bytes());
    reader.consume(4);
    publish_numbers(news, 2, 300);
    CHECK(reader.next_bytes() == before.substr(4));
    reader.consume(before.size() - 4);
    CHECK(reader.next_bytes().empty());
    CHECK(reader.state() == cursor_state::behind);
    CHECK(reader.skip() == 289);
    CHECK(reader.next_bytes().empty());
    CHECK(reader.state() == cursor_state::following);
}

// Refusals

#if defined(__linux__) && defined(__x86_64__)
TEST_CASE("an event of more than a GiB is refused, however much the log may take") {
    const std::size_t size = std::size_t{1} << 30;
    void* const zeros = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(zeros != MAP_FAILED);
    channel news({.max_bytes = 8 * size});
    const count since;
    CHECK(news.publish({.data = std::string_view(static_cast<char*>(zeros), size)}).error ==
          errc::event_too_large);
    CHECK(since.allocations() == 0);
    munmap(zeros, size);
}
#endif

TEST_CASE("what is refused leaves log, counts and cursors as they were, and wakes nobody") {
    struct row {
        message refused;
        errc why;
    };
    const std::string large(2000, 'x');
    const std::string reserved = made(3);
    const row rows[] = {
        {{.event = "a\nb"}, errc::event_has_line_break},
        {{.event = "a\rb"}, errc::event_has_line_break},
        {{.id = "a\nb"}, errc::id_has_line_break},
        {{.id = "a\rb"}, errc::id_has_line_break},
        {{.id = "a\0b"sv}, errc::id_has_nul},
        {{.retry = -1ms}, errc::retry_negative},
        {{.data = large}, errc::event_too_large},
        {{.event = large}, errc::event_too_large},
        {{.data = "x", .id = large}, errc::event_too_large},
        {{.data = "x", .id = reserved}, errc::id_reserved},
    };
    int woken = 0;
    channel news(
        {.max_events = 4, .max_bytes = 1500, .max_age = 100ms, .epoch = epoch, .wake_up = [&] { ++woken; }});
    publish_numbers(news, 1, 6, at(0ms));
    cursor idle = news.subscribe({}, {}, at(0ms));
    CHECK(idle.next_bytes().empty());
    cursor reader = news.subscribe(made(3), {}, at(0ms));
    const std::string before(reader.next_bytes());
    const sse::channel_stats stats = news.stats();
    const auto check_same = [&] {
        CHECK(show(news.stats()) == show(stats));
        CHECK(news.stats().held_bytes == stats.held_bytes);
        CHECK(woken == 0);
        CHECK(idle.next_bytes().empty());
        CHECK(idle.state() == cursor_state::following);
        CHECK(reader.next_bytes() == before);
    };
    for (const row& each : rows) {
        CAPTURE(sse::error(each.why).message());
        const sse::publish_result result = news.publish(each.refused, at(1h));
        CHECK(result.error == each.why);
        CHECK(result.sequence == 0);
        CHECK(result.id().empty());
        check_same();
        for (std::size_t place = 0; place < 3; ++place) {
            std::array<message, 3> batch{{{.data = "7"}, {.data = "8", .id = "own"}, {.data = "9"}}};
            batch[place] = each.refused;
            CHECK(news.publish(batch, at(1h)).error == each.why);
            check_same();
        }
    }
    CHECK_FALSE(news.publish({.data = "7"}, at(0ms)).error);
    CHECK(woken == 1);
    CHECK(rest(idle) == "7");
    CHECK(rest(reader) == "4 5 6 7");
}

TEST_CASE("what is too old is not dropped by a publish that comes after close") {
    channel news({.max_age = 100ms, .epoch = epoch});
    publish_numbers(news, 1, 2, at(0ms));
    news.close();
    const sse::publish_result result = news.publish({.data = "3"}, at(1h));
    CHECK(result.error == errc::channel_closed);
    CHECK(result.sequence == 0);
    CHECK(result.id().empty());
    CHECK(show(news.stats()) == "published 2 held 2 subscribers 0 fell 0 behind 0");
    const message batch[] = {{.data = "3"}, {.id = "\n"}};
    CHECK(news.publish(std::span(batch).first(1)).error == errc::channel_closed);
    CHECK(news.publish(batch).error);
    CHECK(news.stats().published == 2);
}

// Wake-ups

TEST_CASE("the hook is called once, and again only when a cursor has found nothing since") {
    int woken = 0;
    channel news({.epoch = epoch, .wake_up = [&] { ++woken; }});
    publish_numbers(news, 1, 3);
    CHECK(woken == 0);  // nobody waits
    cursor one = news.subscribe();
    cursor two = news.subscribe();
    publish_numbers(news, 4, 4);
    CHECK(woken == 0);  // nor has anybody looked yet
    CHECK(rest(one) == "4");
    publish_numbers(news, 5, 7);
    CHECK(woken == 1);
    one.consume(one.next_bytes().size());  // it does not know that this is all
    publish_numbers(news, 8, 8);
    CHECK(woken == 1);
    CHECK(rest(one) == "8");
    CHECK(rest(two) == "4 5 6 7 8");
    CHECK(one.next_bytes().empty());
    CHECK(woken == 1);
    const message batch[] = {{.data = "9"}, {.data = "10"}, {.data = "11"}};
    CHECK_FALSE(news.publish(batch).error);
    CHECK(woken == 2);
    CHECK_FALSE(news.publish(batch).error);
    CHECK(woken == 2);
}

TEST_CASE("a cursor that is behind, ended or has something does not wait") {
    int woken = 0;
    channel news({.max_events = 2, .epoch = epoch, .wake_up = [&] { ++woken; }});
    cursor behind = news.subscribe();
    publish_numbers(news, 1, 3);
    CHECK(behind.next_bytes().empty());
    CHECK(behind.state() == cursor_state::behind);
    cursor ended = news.subscribe();
    ended.end_here();
    CHECK(ended.next_bytes().empty());
    cursor has_some = news.subscribe(made(2));
    CHECK_FALSE(has_some.next_bytes().empty());
    publish_numbers(news, 4, 4);
    CHECK(woken == 0);
    CHECK(behind.skip(sse::skip_to::latest) == 4);
    CHECK(behind.next_bytes().empty());
    publish_numbers(news, 5, 5);
    CHECK(woken == 1);
}

TEST_CASE("one that waits for other types is woken all the same, and waits again") {
    int woken = 0;
    channel news({.epoch = epoch, .wake_up = [&] { ++woken; }});
    cursor reader = news.subscribe({}, {.types = {"x"}});
    for (int i = 1; i <= 3; ++i) {
        CHECK(reader.next_bytes().empty());
        CHECK_FALSE(news.publish({.data = "y"}).error);
        CHECK(woken == i);
    }
}

TEST_CASE("close wakes, once; destroying the channel does not") {
    int woken = 0;
    {
        channel news({.wake_up = [&] { ++woken; }});
        cursor reader = news.subscribe();
        CHECK(reader.next_bytes().empty());
        news.close();
        CHECK(woken == 1);
        news.close();
        CHECK(woken == 1);
        channel other({.wake_up = [&] { ++woken; }});
        reader = other.subscribe();
        CHECK(reader.next_bytes().empty());
    }
    CHECK(woken == 1);
}

TEST_CASE("no lock is held in the hook: it may use the channel") {
    channel* self = nullptr;
    std::string received;
    cursor reader;
    int depth = 0;
    channel news({.epoch = epoch, .wake_up = [&] {
                      const int level = ++depth;
                      if (level > 3) return;
                      received += rest(reader) + ' ';  // which waits again: the next publish calls this anew
                      const std::string data = "from within " + std::to_string(level);
                      CHECK_FALSE(self->publish({.data = data}).error);
                      cursor other = self->subscribe(made(0));
                      CHECK(parse(drain(other)).size() == self->stats().published);
                      self->trim();
                      if (level == 3) self->close();
                  }});
    self = &news;
    reader = news.subscribe();
    CHECK(reader.next_bytes().empty());
    CHECK_FALSE(news.publish({.data = "1"}).error);
    CHECK(received == "1 from within 1 from within 2 ");
    CHECK(rest(reader) == "from within 3");
    CHECK(reader.state() == cursor_state::ended);
}

TEST_CASE("the hook may destroy the channel, and throw then") {
    for (const bool closes : {false, true}) {
        for (const bool throws : {false, true}) {
            for (const bool has_cursor : {false, true}) {
                std::unique_ptr<channel> news;
                int woken = 0;
                news = std::make_unique<channel>(sse::channel_options{
                    .wake_up = [&, text = std::string(100, 'x'), number = std::make_shared<int>(1)] {
                        news.reset();
                        woken += *number;  // what it holds is still there
                        if (throws) throw std::runtime_error(text);
                    }});
                cursor reader = news->subscribe();
                CHECK(reader.next_bytes().empty());
                if (!has_cursor) reader = cursor();
                const auto wake = [&] {
                    if (closes) news->close();
                    else static_cast<void>(news->publish({.data = "1"}));
                };
                if (throws) CHECK_THROWS_AS(wake(), std::runtime_error);
                else wake();
                CHECK(woken == 1);
                CHECK(rest(reader) == (has_cursor && !closes ? "1" : ""));
                CHECK(reader.state() == cursor_state::ended);
            }
        }
    }
}

TEST_CASE("what the hook throws passes through publish, and the event is published") {
    bool throws = true;
    channel news({.epoch = epoch, .wake_up = [&] {
                      if (throws) throw std::runtime_error("hook");
                  }});
    cursor reader = news.subscribe();
    CHECK(reader.next_bytes().empty());
    CHECK_THROWS_AS(static_cast<void>(news.publish({.data = "1"})), std::runtime_error);
    CHECK(rest(reader) == "1");
    CHECK_THROWS_AS(news.close(), std::runtime_error);
    CHECK(reader.next_bytes().empty());
    CHECK(reader.state() == cursor_state::ended);
    throws = false;
    news.close();
}

TEST_CASE("a hook that has thrown is called again for the next event") {
    int calls = 0;
    channel news({.epoch = epoch, .wake_up = [&] {
                      if (++calls == 1) throw std::runtime_error("hook");
                  }});
    cursor reader = news.subscribe();
    CHECK(reader.next_bytes().empty());
    CHECK_THROWS_AS(static_cast<void>(news.publish({.data = "1"})), std::runtime_error);
    CHECK_FALSE(news.publish({.data = "2"}).error);
    CHECK(calls == 2);
}

TEST_CASE("where memory runs out nothing is published, and both sides go on when there is some again") {
    for (const bool has_own_id : {false, true}) {
        bool has_failed = true;
        for (std::size_t allowed = 0; has_failed; ++allowed) {
            CAPTURE(has_own_id);
            CAPTURE(allowed);
            channel news({.epoch = epoch});
            cursor reader = news.subscribe();
            publish_numbers(news, 1, 1);
            CHECK(rest(reader) == "1");
            const std::string before = show(news.stats());
            const std::string large(2000, 'x');  // for which a part of the log has to be allocated
            has_failed = false;
            test::heap.allowed = allowed;
            try {
                static_cast<void>(news.publish(
                    {.data = large, .id = has_own_id ? "a"sv : std::optional<std::string_view>()}));
            } catch (const std::bad_alloc&) {
                has_failed = true;
            }
            test::heap.allowed = SIZE_MAX;
            CHECK((allowed > 0 || has_failed));
            if (!has_failed) continue;
            CHECK(show(news.stats()) == before);
            CHECK(reader.next_bytes().empty());
            CHECK(reader.state() == cursor_state::following);
            CHECK(everything(news) == "1");
            test::heap.allowed = 0;
            publish_numbers(news, 2, 2);  // for which there was room already
            test::heap.allowed = SIZE_MAX;
            publish_numbers(news, 3, 3);
            CHECK(rest(reader) == "2 3");
        }
    }
}

TEST_CASE("cursors stuck in the midst of events that have left keep what is left of these, not the log") {
    constexpr std::size_t bound = 1 << 20;
    constexpr std::size_t stuck = 300;
    const std::string data(200, 'x');
    const count since;
    channel news({.max_events = SIZE_MAX, .max_bytes = bound, .epoch = epoch});
    std::vector<cursor> readers;
    for (std::size_t i = 0; i < stuck; ++i) {
        readers.push_back(news.subscribe());
        for (int published = 0; published < 300; ++published) CHECK_FALSE(news.publish({.data = data}).error);
        REQUIRE(readers.back().next_bytes().size() > 1);
        readers.back().consume(1);
        for (cursor& each : readers) static_cast<void>(each.next_bytes());
    }
    for (int i = 0; i < 10'000; ++i) CHECK_FALSE(news.publish({.data = data}).error);
    for (cursor& each : readers) static_cast<void>(each.next_bytes());
    CHECK(news.stats().held_bytes > bound / 4 * 3 + stuck * data.size());
    CHECK(news.stats().held_bytes <= bound + stuck * (data.size() + 200));  // the copies count
    CHECK(since.bytes() <= bound + stuck * 1000);
    CHECK(rest(readers.front()) == data);  // of the first event
    CHECK(readers.front().state() == cursor_state::behind);
    CHECK_FALSE(readers.front().in_event());
}

TEST_CASE("the rest of a large event that has left stays where it is, and is taken in any number of bytes") {
    for (const std::size_t size : {3000u, 30'000u}) {
        const std::string data(size, 'x');
        for (const std::size_t step : {1u, 7u, 1000u, 100'000u}) {
            channel news({.max_events = 1, .max_bytes = 200'000, .epoch = epoch});
            cursor reader = news.subscribe();
            CHECK_FALSE(news.publish({.data = data}).error);
            std::string received(reader.next_bytes().substr(0, 20));
            reader.consume(20);
            for (int i = 0; i < 100; ++i) CHECK_FALSE(news.publish({.data = data}).error);
            for (std::string_view bytes; !(bytes = reader.next_bytes()).empty();) {
                CHECK(reader.in_event());
                cursor moved = std::move(reader);
                bytes = moved.next_bytes().substr(0, step);
                received += bytes;
                moved.consume(bytes.size());
                reader = std::move(moved);
            }
            CHECK(received == sse::encode({.data = data, .id = made(1)}));
            CHECK(reader.state() == cursor_state::behind);
            CHECK(reader.skip() == 99);
            CHECK(reader.next_bytes() == sse::encode({.data = data, .id = made(101)}));
        }
    }
}

TEST_CASE("of an event that has left a rest of up to 4 KiB is copied, once, and a larger one is not") {
    for (const std::size_t size : {1u, 4096u, 4097u, 20'000u}) {
        CAPTURE(size);
        channel news({.max_events = 1, .max_bytes = 200'000, .epoch = epoch});
        cursor reader = news.subscribe();
        CHECK_FALSE(news.publish({.data = std::string(30'000, 'x')}).error);
        reader.consume(reader.next_bytes().size() - size);
        const char* const before = reader.next_bytes().data();
        publish_numbers(news, 2, 2);
        CHECK((reader.next_bytes().data() == before) == (size > 4096));
        const count since;
        CHECK(reader.next_bytes().size() == size);
        CHECK(since.allocations() == 0);
    }
}

TEST_CASE("a cursor that is at its end is not behind, and skips nothing") {
    channel news({.max_events = 2, .epoch = epoch});
    cursor reader = news.subscribe();
    publish_numbers(news, 1, 1);
    reader.end_here();
    CHECK(drain(reader) != "");
    publish_numbers(news, 2, 9);
    CHECK_FALSE(reader.mark_if_behind());
    CHECK(reader.next_bytes().empty());
    CHECK(reader.state() == cursor_state::ended);
    CHECK(reader.skip() == 0);
    CHECK(reader.next_bytes().empty());
    CHECK(news.stats().fell_behind == 0);
}

TEST_CASE("a cursor in the midst of the last event that has left is not behind, of one before it is") {
    channel news({.max_events = 2, .epoch = epoch});
    cursor reader = news.subscribe();
    publish_numbers(news, 1, 1);
    REQUIRE(reader.next_bytes().size() > 1);
    reader.consume(1);
    publish_numbers(news, 2, 3);
    CHECK_FALSE(reader.mark_if_behind());
    publish_numbers(news, 4, 4);
    CHECK(reader.mark_if_behind());
    CHECK(reader.mark_if_behind());
    CHECK(news.stats().fell_behind == 1);
    CHECK(reader.in_event());  // and what is left of it is given
    CHECK_FALSE(reader.next_bytes().empty());
}

TEST_CASE("one that would have been behind, but had been given enough, has caught up") {
    for (const bool ends : {false, true}) {
        CAPTURE(ends);
        channel news({.max_events = 2, .epoch = epoch});
        cursor reader = news.subscribe();
        publish_numbers(news, 1, 2);
        const std::size_t given = reader.next_bytes().size();
        if (ends) reader.end_here();
        publish_numbers(news, 3, 4);
        CHECK(reader.mark_if_behind());
        CHECK(reader.state() == cursor_state::behind);
        CHECK(news.stats().behind == 1);
        reader.consume(given);
        CHECK(rest(reader) == (ends ? "" : "3 4"));
        CHECK(reader.state() == (ends ? cursor_state::ended : cursor_state::following));
        CHECK(news.stats().behind == 0);
    }
}

TEST_CASE(
    "an ID of the caller's own that begins as the channel's is refused, and nothing of its batch published") {
    channel news({.epoch = epoch});
    publish_numbers(news, 1, 3);
    for (const std::string& id : {made(1), made(2), made(9), prefix, prefix + "x", prefix + "01"}) {
        CAPTURE(id);
        CHECK(news.publish({.data = "x", .id = id}).error == errc::id_reserved);
        const message batch[] = {{.data = "x"}, {.data = "x", .id = id}, {.data = "x"}};
        CHECK(news.publish(batch).error == errc::id_reserved);
    }
    CHECK(everything(news) == "1 2 3");
    cursor reader = news.subscribe(made(1));
    CHECK(rest(reader) == "2 3");  // nobody has taken its ID
    const std::string_view others[] = {"0000000000ab", "0000000000ac-1", "0000000000AB-1", "x0000000000ab-1",
                                       "000000000ab-1"};
    for (const std::string_view id : others) CHECK_FALSE(news.publish({.data = "own", .id = id}).error);
}

TEST_CASE(
    "a channel that makes no IDs takes those of another, and knows them only while their events are kept") {
    channel one({.epoch = epoch});
    channel copy({.max_events = 2, .make_ids = false, .epoch = epoch});
    for (int i = 0; i < 5; ++i) {
        const std::string id = id_of(one.publish({.data = "x"}));
        const std::string data = std::to_string(i + 1);
        // Each fifth is of another channel: numbers are not those of `copy`.
        if (i == 0) CHECK_FALSE(copy.publish({.data = "0"}).error);
        CHECK_FALSE(copy.publish({.data = data, .id = id}).error);
    }
    cursor kept = copy.subscribe(made(4));
    CHECK(kept.resumption() == resumption::resumed);
    CHECK(rest(kept) == "5");
    cursor gone = copy.subscribe(made(3));
    CHECK(gone.resumption() == resumption::unknown);
    CHECK(rest(gone) == "4 5");
}

TEST_CASE("48 bits of the epoch count") {
    channel one({.epoch = (std::uint64_t{1} << 48) + 5});
    CHECK(id_of(one.publish({.data = "x"})) == "000000000005-1");
    channel none({.epoch = std::uint64_t{1} << 48});
    CHECK(id_of(none.publish({.data = "x"})) != "000000000000-1");
}

// Counting

TEST_CASE("each figure, step by step") {
    channel news({.max_events = 3, .epoch = epoch});
    CHECK(show(news.stats()) == "published 0 held 0 subscribers 0 fell 0 behind 0");
    CHECK(news.stats().held_bytes == 0);
    cursor one = news.subscribe();
    CHECK(show(news.stats()) == "published 0 held 0 subscribers 1 fell 0 behind 0");
    publish_numbers(news, 1, 2);
    CHECK(show(news.stats()) == "published 2 held 2 subscribers 1 fell 0 behind 0");
    CHECK(news.stats().held_bytes >= 2 * sse::encoded_size({.data = "1", .id = made(1)}));
    publish_numbers(news, 3, 5);
    CHECK(show(news.stats()) == "published 5 held 3 subscribers 1 fell 0 behind 0");  // it has not noticed
    CHECK(one.next_bytes().empty());
    CHECK(show(news.stats()) == "published 5 held 3 subscribers 1 fell 1 behind 1");
    CHECK(one.next_bytes().empty());
    CHECK(show(news.stats()) == "published 5 held 3 subscribers 1 fell 1 behind 1");
    cursor two = news.subscribe(made(0));
    CHECK(show(news.stats()) == "published 5 held 3 subscribers 2 fell 1 behind 1");
    static_cast<void>(one.skip());
    CHECK(show(news.stats()) == "published 5 held 3 subscribers 2 fell 1 behind 0");
    publish_numbers(news, 6, 8);
    CHECK(one.next_bytes().empty());
    CHECK(two.next_bytes().empty());
    CHECK(show(news.stats()) == "published 8 held 3 subscribers 2 fell 3 behind 2");
    one = cursor();
    CHECK(show(news.stats()) == "published 8 held 3 subscribers 1 fell 3 behind 1");
    static_cast<void>(two.skip(sse::skip_to::latest));
    static_cast<void>(two.skip(sse::skip_to::latest));
    CHECK(show(news.stats()) == "published 8 held 3 subscribers 1 fell 3 behind 0");
    news.close();
    CHECK(two.next_bytes().empty());
    CHECK(show(news.stats()) == "published 8 held 3 subscribers 1 fell 3 behind 0");
    two = cursor();
    CHECK(show(news.stats()) == "published 8 held 3 subscribers 0 fell 3 behind 0");
}

TEST_CASE("a part of the log that a cursor stopped in goes when the last such cursor leaves it") {
    const count since;
    {
        channel news({.max_events = SIZE_MAX, .max_bytes = 80'000, .epoch = epoch});
        const auto fill = [&] {
            for (int i = 0; i < 2000; ++i)
                CHECK_FALSE(news.publish({.data = "some bytes, so that the log is full soon"}).error);
        };
        fill();
        const auto begin = [&] {
            cursor reader = news.subscribe(made(news.stats().published - 1));
            reader.consume(reader.next_bytes().size() - 1);
            return reader;
        };
        cursor one = begin();
        cursor two = begin();
        CHECK(news.stats().held_bytes <= 80'000);
        fill();
        const std::size_t kept = news.stats().held_bytes;
        CHECK(kept > 80'000 - 10'000 + 1000);  // an eighth may be unused
        CHECK(since.bytes() >= kept);
        CHECK(since.bytes() <= kept + overhead(kept));
        fill();
        CHECK(news.stats().held_bytes <= 90'000);
        const std::size_t before = news.stats().held_bytes;
        const std::size_t heap_before = since.bytes();
        CHECK(one.next_bytes().size() == 1);
        one = cursor();
        CHECK(news.stats().held_bytes == before);  // the other is in there still
        CHECK(two.next_bytes().size() == 1);
        two = cursor();
        CHECK(news.stats().held_bytes + 5000 < before);
        CHECK(heap_before - since.bytes() == before - news.stats().held_bytes);

        std::vector<cursor> parked;
        for (int i = 0; i < 20; ++i) {
            parked.push_back(begin());
            for (int j = 0; j < 10; ++j) fill();
        }
        CHECK(news.stats().held_bytes > 80'000 + 19 * 9'000);
        CHECK(news.stats().held_bytes <= 80'000 + 20 * 10'000);
        CHECK(since.bytes() <=
              news.stats().held_bytes + overhead(80'000) + parked.capacity() * sizeof(cursor));
        parked.clear();
        CHECK(news.stats().held_bytes <= 80'000);
    }
    CHECK(since.bytes() == 0);
}

TEST_CASE("and when that cursor finds that it is behind") {
    channel news({.max_events = SIZE_MAX, .max_bytes = 80'000, .epoch = epoch});
    const auto fill = [&] {
        for (int i = 0; i < 4000; ++i)
            CHECK_FALSE(news.publish({.data = "some bytes, so that the log is full soon"}).error);
    };
    std::vector<cursor> readers;
    for (int i = 0; i < 10; ++i) {
        fill();
        readers.push_back(news.subscribe(made(news.stats().published - 1)));
        CHECK_FALSE(readers.back().next_bytes().empty());
    }
    fill();
    CHECK(news.stats().held_bytes > 80'000 + 9 * 9'000);
    for (cursor& each : readers) {
        CHECK(each.next_bytes().empty());
        CHECK(each.state() == cursor_state::behind);
    }
    CHECK(news.stats().held_bytes <= 80'000);
    CHECK(news.stats().behind == 10);
    const std::uint64_t oldest = news.stats().published + 1 - news.stats().held_events;
    CHECK(readers.front().skip() == oldest - 4000);
    CHECK(readers.front().last_event_id() == made(oldest - 1));
    CHECK_FALSE(readers.front().next_bytes().empty());
    readers.clear();
    CHECK(news.stats().behind == 0);
}

TEST_CASE("held_bytes is what the heap holds, but for the channel itself: whatever is published and read") {
    constexpr std::size_t readers = 12;
    const std::string text(9000, 'x');
    std::size_t steps_with_copies = 0;
    for (std::uint32_t seed = 1; seed <= 60; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        const auto below = [&](std::size_t end) { return std::size_t{random() % end}; };
        constexpr std::size_t bounds[] = {700, 5000, 20'000, 60'000, 300'000, 2 << 20};
        const std::size_t bound = bounds[seed % std::size(bounds)];
        std::array<cursor, readers> cursors;
        std::array<char, 40> id{};
        const count since;
        {
            channel news({.max_events = below(2) == 0 ? SIZE_MAX : 200, .max_bytes = bound, .epoch = epoch});
            const std::size_t itself = since.bytes();
            CHECK(itself <= 512);
            for (int step = 0; step < 1500; ++step) {
                message sent{.data =
                                 std::string_view(text).substr(0, below(below(10) == 0 ? text.size() : 200))};
                if (seed % 3 != 0 && below(3) > 0) {
                    const auto [end, code] =
                        std::to_chars(id.data(), id.data() + id.size(), below(below(2) == 0 ? 5 : 100'000));
                    sent.id = {id.data(), end};
                }
                static_cast<void>(news.publish(sent));
                cursor& reader = cursors[below(readers)];
                if (below(4) == 0)
                    reader = below(3) == 0 ? cursor() : news.subscribe({}, {.replay_to_new = true});
                const std::string_view bytes = reader.next_bytes();
                reader.consume(below(3) == 0 ? bytes.size() : below(bytes.size() + 1));
                if (reader.state() == cursor_state::behind) static_cast<void>(reader.skip());
                const std::size_t held = news.stats().held_bytes;
                REQUIRE(since.bytes() == itself + held);
                steps_with_copies += held > bound;
            }
            for (cursor& each : cursors) static_cast<void>(each.next_bytes());
            CHECK(since.bytes() == itself + news.stats().held_bytes);
            for (cursor& each : cursors) each = cursor();
            CHECK(since.bytes() == itself + news.stats().held_bytes);
            CHECK(news.stats().held_bytes <= bound);
        }
        CHECK(since.bytes() == 0);
    }
    CHECK(steps_with_copies > 100);
}

TEST_CASE("subscribers that stand still keep a segment each, or what is left of an event if they are asked") {
    // The formula at `channel_options::max_bytes`.
    constexpr std::size_t bound = 400'000;
    constexpr std::size_t segment = bound / 8;
    constexpr std::size_t stalled = 20;
    const std::string small(1000, 'x');
    const std::string large(3 * segment, 'x');
    for (const bool is_large : {false, true}) {
        CAPTURE(is_large);
        const std::string& data = is_large ? large : small;
        channel news({.max_events = SIZE_MAX, .max_bytes = bound, .epoch = epoch});
        std::vector<cursor> readers;
        for (std::size_t i = 0; i < stalled; ++i) {
            cursor reader = news.subscribe();
            CHECK_FALSE(news.publish({.data = data}).error);
            const std::size_t left = i % 2 == 0 ? 5000 : 50;  // of a large event; of a small one all is taken
            reader.consume(reader.next_bytes().size() - (is_large ? left : 0));
            readers.push_back(std::move(reader));
            for (std::size_t j = 0; j < 2 * bound; j += data.size())
                CHECK_FALSE(news.publish({.data = data}).error);
        }
        const std::size_t one = is_large ? data.size() + 200 : segment;
        CHECK(news.stats().held_bytes > bound + stalled * segment / 2);
        CHECK(news.stats().held_bytes <= bound + stalled * one);
        for (cursor& each : readers) static_cast<void>(each.next_bytes());
        // Of 50 bytes there is a copy; of 5000 the segment.
        CHECK(news.stats().held_bytes <= bound + (is_large ? stalled / 2 * (one + 200) : 0));
    }
}

TEST_CASE("ten thousand channels that nobody has published to are a few hundred bytes each") {
    std::vector<std::unique_ptr<channel>> channels(10'000);
    const count since;
    for (auto& each : channels) each = std::make_unique<channel>();
    CHECK(since.bytes() / channels.size() <= 512);
    std::vector<cursor> cursors;
    cursors.reserve(channels.size());
    const count with_cursors;
    for (auto& each : channels) cursors.push_back(each->subscribe());
    CHECK(with_cursors.bytes() == 0);
    for (auto& each : channels) static_cast<void>(each->publish({.data = "x"}));
    CHECK(since.bytes() / channels.size() <= 2048);  // a small event takes a small segment
    for (std::size_t i = 0; i < channels.size(); i += 999) CHECK(rest(cursors[i]) == "x");
    channels.clear();  // with the log of each for the cursor that is left
    CHECK(since.bytes() > 0);
    std::vector<cursor>().swap(cursors);
    CHECK(since.bytes() == 0);
}

TEST_CASE("no allocation once the log has been full") {
    const std::string text(2000, 'x');
    struct row {
        std::size_t events;
        std::size_t bytes;
    };
    for (const row& bounds :
         {row{100, 8 << 20}, row{10'000, 100'000}, row{SIZE_MAX, 1 << 20}, row{50, 30'000}}) {
        for (const bool has_own_ids : {false, true}) {
            CAPTURE(bounds.events);
            CAPTURE(has_own_ids);
            channel news({.max_events = bounds.events, .max_bytes = bounds.bytes});
            cursor follower = news.subscribe();
            cursor choosy = news.subscribe({}, {.types = {"x"}});
            std::uint64_t number = 0;
            std::size_t bytes = 0;
            std::size_t errors = 0;
            std::array<char, 20> digits{};
            const auto publish = [&] {
                const auto [end, code] =
                    std::to_chars(digits.data(), digits.data() + digits.size(), ++number);
                message sent{.event = number % 3 == 0 ? "x" : "y",
                             .data = std::string_view(text).substr(0, 200)};
                if (has_own_ids) sent.id = {digits.data(), end};
                const message batch[] = {sent, sent};
                errors += number % 2 == 0 ? bool(news.publish(sent).error) : bool(news.publish(batch).error);
                for (cursor* const each : {&follower, &choosy}) {
                    while (!each->next_bytes().empty()) {
                        bytes += each->next_bytes().size();
                        each->consume(each->next_bytes().size());
                    }
                    if (each->state() == cursor_state::behind) static_cast<void>(each->skip());
                }
            };
            for (int i = 0; i < 8000; ++i) publish();
            const count since;
            for (int i = 0; i < 8000; ++i) publish();
            CHECK(since.allocations() == 0);
            CHECK(since.bytes() == 0);
            for (int i = 0; i < 100; ++i) {
                cursor comes = news.subscribe("no such ID");
                cursor goes = std::move(comes);
                goes.end_here();
                static_cast<void>(goes.next_bytes());
                static_cast<void>(goes.skip(sse::skip_to::latest));
                static_cast<void>(news.stats());
                news.trim();
            }
            CHECK(since.allocations() == 0);
            CHECK(errors == 0);
            CHECK(bytes > 8000 * 200);
        }
    }
}

TEST_CASE("nor where the bytes are the bound and sizes vary") {
    const std::string text(3000, 'x');
    channel news({.max_events = SIZE_MAX, .max_bytes = 100'000});
    std::mt19937 random(11);
    const auto publish = [&] {
        const std::size_t size = random() % (random() % 10 == 0 ? text.size() : 100);
        static_cast<void>(news.publish({.data = std::string_view(text).substr(0, size)}));
    };
    for (int i = 0; i < 5000; ++i) publish();
    const count since;
    for (int i = 0; i < 20'000; ++i) publish();
    CHECK(since.allocations() == 0);
}

TEST_CASE("whatever is done in whatever order, the log is as the rules have it") {
    const count since;
    for (std::uint32_t seed = 1; seed <= 3000; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        const auto pick = [&](std::size_t choices) { return std::size_t{random() % choices}; };
        CHECK_NOTHROW(test::channel_model(pick).run(seed % 100 == 0 ? 2000 : 150));
    }
    CHECK(since.bytes() == 0);
}
