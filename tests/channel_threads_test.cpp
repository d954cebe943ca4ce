// The log under several threads: replay meets live, wake-ups are not lost, what ends ends. Made for
// ThreadSanitizer as well.
#include <sse/channel.hpp>

#include <sse/parser.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <ostream>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using sse::channel;
using sse::cursor;
using sse::cursor_state;
using sse::message;
using sse::resumption;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SSE_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SSE_TEST_SANITIZED 1
#endif
#endif
#ifdef SSE_TEST_SANITIZED
constexpr std::uint64_t scale = 10;  // times less to do
#else
constexpr std::uint64_t scale = 1;
#endif

/// Only so that a bug does not hang.
constexpr auto patience = 60s;

constexpr std::uint64_t epoch = 0xAB;
constexpr std::string_view prefix = "0000000000ab-";
constexpr std::size_t publishers = 2;

/// The first thing that went wrong in any of the threads, which end when there is one.
class verdict {
public:
    void expect(bool holds, const char* what) {
        if (holds) return;
        const std::lock_guard lock(mutex_);
        if (first_.empty()) first_ = what;
        throw std::runtime_error(what);
    }
    std::string first() const {
        const std::lock_guard lock(mutex_);
        return first_;
    }

private:
    mutable std::mutex mutex_{};
    std::string first_{};
};

/// Threads that are joined at the end, however that comes. What one of them throws ends it; others have to
/// come to an end by themselves.
class crew {
public:
    template <class Work>
    void add(Work work) {
        threads_.emplace_back([work = std::move(work)]() mutable {
            try {
                work();
            } catch (const std::runtime_error&) {
                // The verdict has it.
            }
        });
    }
    ~crew() { join(); }
    void join() {
        for (std::thread& each : threads_) each.join();
        threads_.clear();
    }

private:
    std::vector<std::thread> threads_{};
};

/// Numbers, parted by spaces.
template <std::size_t Count>
std::array<std::uint64_t, Count> numbers_in(std::string_view text) {
    std::array<std::uint64_t, Count> numbers{};
    for (std::uint64_t& each : numbers) {
        const char* const end = std::from_chars(text.data(), text.data() + text.size(), each).ptr;
        text.remove_prefix(std::min(text.size(), static_cast<std::size_t>(end - text.data()) + 1));
    }
    return numbers;
}

/// The number that the channel has put into an ID.
std::uint64_t number_in(std::string_view id) {
    return id.starts_with(prefix) ? numbers_in<1>(id.substr(prefix.size()))[0] : UINT64_MAX;
}

/// Publishes events of which each says: by whom, the how-many-eth of his, how many of his batch follow.
void publish_all(channel& news, verdict& good, std::uint64_t who, std::uint64_t events, std::uint32_t seed) {
    std::mt19937 random(seed);
    const std::string type(1, static_cast<char>('a' + who));
    const std::string filling(300, 'x');
    std::vector<std::string> texts(8);
    std::vector<message> batch;
    for (std::uint64_t published = 0; published < events;) {
        const std::uint64_t size =
            random() % 2 == 0 ? 1 : std::min<std::uint64_t>(1 + random() % texts.size(), events - published);
        batch.clear();
        for (auto left = static_cast<std::size_t>(size); left > 0;) {
            std::string& text = texts[--left];
            text = std::to_string(who) + ' ' + std::to_string(++published) + ' ' + std::to_string(left) + ' ';
            text.append(filling, 0, random() % (random() % 16 == 0 ? filling.size() : 10));
            batch.push_back({.event = type, .data = text});
        }
        const sse::publish_result result = size == 1 ? news.publish(batch[0]) : news.publish(batch);
        good.expect(!result.error, "publish");
        good.expect(number_in(result.id()) == result.sequence, "the ID is that of the number");
        if (random() % 64 == 0) std::this_thread::yield();
    }
}

/// Checks that events come each once and in order, across connections.
///
/// As each event is the how-many-eth of its publisher, and the channel has nothing but their events, the one
/// with number n and count c has n - c of the other publisher before it: so that what was seen, what was
/// missed and what was published are held against each other at each event.
class observer {
public:
    explicit observer(verdict& good) : good_(good) {}

    void begin_behind(std::uint64_t number) { begun_ = last_ = number; }
    /// A connection begins behind the last event that was seen: what it was told of since is told again.
    void come_back() {
        last_ -= missed_since_;
        missed_ -= std::exchange(missed_since_, 0);
    }
    void miss(std::uint64_t events) {
        last_ += events;
        missed_ += events;
        missed_since_ += events;
    }

    void see(const sse::event_view& event) {
        const std::uint64_t number = number_in(event.last_event_id);
        good_.expect(number > last_, "an event came twice, or too late");
        good_.expect(number == last_ + 1, "an event was missed, and nobody said so");
        const auto [by, count, following] = numbers_in<3>(event.data);
        const auto who = static_cast<std::size_t>(by);
        good_.expect(event.type == (who == 0 ? "a" : "b"), "type");
        const std::uint64_t others = number - count;
        if (seen_ > 0 && missed_since_ == 0) {
            good_.expect(count == counts_[who] + 1, "of its publisher one was missed, or came twice");
            good_.expect(others == counts_[1 - who], "of the other publisher one was missed, or came twice");
            good_.expect(following_ == 0 || (who == who_ && following == following_ - 1),
                         "a batch was parted");
        } else {
            good_.expect(count > counts_[who] && others >= counts_[1 - who], "the order of a publisher");
        }
        counts_[who] = count;
        counts_[1 - who] = others;
        who_ = who;
        following_ = following;
        last_ = number;
        ++seen_;
        missed_since_ = 0;
    }

    bool is_complete() const { return seen_ + missed_ == last_ - begun_; }
    std::uint64_t last() const { return last_; }
    std::uint64_t seen() const { return seen_; }

private:
    verdict& good_;
    std::array<std::uint64_t, publishers> counts_{};
    std::size_t who_ = 0;
    std::uint64_t following_ = 0;  // of a batch
    std::uint64_t last_ = 0;
    std::uint64_t seen_ = 0;
    std::uint64_t missed_ = 0;
    std::uint64_t missed_since_ = 0;  // the last that was seen
    std::uint64_t begun_ = 0;
};

struct totals {
    std::atomic<std::uint64_t> seen{0};
    std::atomic<std::uint64_t> missed{0};  // as they were told, some of it twice
    std::atomic<std::uint64_t> resumed{0};
    std::atomic<std::uint64_t> gaps{0};
    std::atomic<std::uint64_t> skips{0};
};

/// How a subscriber goes about it.
struct manner {
    std::uint32_t stay = 1000;    // how many reads a connection lasts, about
    std::uint32_t dawdle = 1;     // how often it stands still between two reads: one time in so many
    bool takes_part = true;       // of what is next
    std::uint64_t lets_pass = 0;  // how many events are published before it reads the first time
};

/// Comes, reads, goes, and comes back with the last ID that it has parsed, or was told when it came, until the
/// channel has ended.
template <class Ready>
void follow(channel& news, verdict& good, totals& sums, const manner& how, std::uint32_t seed, Ready ready) {
    std::mt19937 random(seed);
    sse::parser parser;
    observer events(good);
    std::string first_id;
    for (;;) {
        parser.reset();
        const std::string last_id(parser.last_event_id().empty() ? first_id : parser.last_event_id());
        cursor reader = news.subscribe(last_id);
        if (last_id.empty()) {
            ready();
            first_id = reader.last_event_id();
            good.expect(reader.resumption() == resumption::live && reader.missed() == 0,
                        "came without an ID");
            // Where it begins is where it said that it was, for nothing has been given yet.
            const std::uint64_t begun = number_in(first_id);
            good.expect(begun != UINT64_MAX, "where it begins");
            events.begin_behind(begun);
        } else {
            events.come_back();
            good.expect(number_in(last_id) == events.last(), "the ID that was parsed last");
            const bool is_gap = reader.resumption() == resumption::gap;
            good.expect(is_gap || reader.resumption() == resumption::resumed,
                        "an ID that was given is known");
            good.expect((reader.missed() > 0) == is_gap, "a gap is one of some events");
            (is_gap ? sums.gaps : sums.resumed).fetch_add(1, std::memory_order_relaxed);
            events.miss(reader.missed());
            sums.missed.fetch_add(reader.missed(), std::memory_order_relaxed);
        }
        while (news.stats().published < how.lets_pass) std::this_thread::sleep_for(1ms);
        for (std::uint64_t reads = random() % (2 * how.stay); reads > 0; --reads) {
            const std::string_view bytes = reader.next_bytes();
            if (!bytes.empty()) {
                const std::size_t size =
                    how.takes_part && random() % 4 == 0 ? random() % (bytes.size() + 1) : bytes.size();
                const sse::error error = parser.feed(
                    bytes.substr(0, size), [&](const sse::event_view& event) { events.see(event); });
                good.expect(!error, "parse");
                reader.consume(size);
                good.expect(reader.in_event() == parser.in_event(), "in_event");
            } else if (reader.state() == cursor_state::behind) {
                good.expect(!parser.in_event(), "an event was begun and not finished");
                if (!last_id.empty() && random() % 2 == 0) break;  // it comes back, and is told of the gap
                events.miss(reader.skip(random() % 4 == 0 ? sse::skip_to::latest : sse::skip_to::oldest));
                sums.missed.fetch_add(reader.missed(), std::memory_order_relaxed);
                sums.skips.fetch_add(1, std::memory_order_relaxed);
            } else if (reader.state() == cursor_state::ended) {
                good.expect(!parser.in_event(), "the end came in mid-event");
                good.expect(events.last() == news.stats().published, "the end came before the last event");
                good.expect(events.is_complete(), "seen and missed are all");
                sums.seen.fetch_add(events.seen(), std::memory_order_relaxed);
                return;
            } else {
                std::this_thread::yield();
            }
            if (random() % how.dawdle == 0) std::this_thread::yield();
            if (random() % 16 == 0)
                good.expect(number_in(reader.last_event_id()) == events.last(), "last_event_id");
        }
    }
}

struct setting {
    sse::channel_options options;
    std::uint64_t events;  // of each publisher
    std::vector<manner> manners;
};

/// Another one each time, unless the environment gives it. The threads take turns as they like in any case.
std::uint32_t first_seed() {
    static const std::uint32_t seed = [] {
        const char* const given = std::getenv("SSE_SEED");
        const std::uint32_t result = given ? static_cast<std::uint32_t>(std::atoi(given)) % 1'000'000
                                           : std::random_device{}() % 1'000'000;
        std::printf("SSE_SEED=%u\n", result);
        return result;
    }();
    return seed;
}

void run(const setting& given, totals& sums, std::uint32_t seed) {
    verdict good;
    channel news(given.options);
    std::atomic<std::size_t> ready{0};
    std::atomic<bool> is_over{false};
    {
        crew subscribers;
        for (std::size_t i = 0; i < given.manners.size(); ++i) {
            subscribers.add([&, i] {
                const std::uint32_t own_seed = seed + 100 + static_cast<std::uint32_t>(i);
                follow(news, good, sums, given.manners[i], own_seed, [&] { ++ready; });
            });
        }
        crew watch;
        watch.add([&] {
            sse::channel_stats before;
            while (!is_over.load()) {
                const sse::channel_stats now = news.stats();
                good.expect(now.published >= before.published && now.fell_behind >= before.fell_behind,
                            "stats go back");
                good.expect(now.held_events <= given.options.max_events, "held_events");
                good.expect(now.subscribers <= given.manners.size(), "subscribers");
                good.expect(now.behind <= given.manners.size(), "behind");
                before = now;
                std::this_thread::sleep_for(100us);
            }
        });
        while (ready < given.manners.size() && good.first().empty()) std::this_thread::yield();
        {
            crew authors;
            for (std::uint32_t who = 0; who < publishers; ++who)
                authors.add([&, who] { publish_all(news, good, who, given.events, seed + who); });
        }
        news.close();
        subscribers.join();
        is_over = true;
    }
    CHECK(good.first() == "");
    const sse::channel_stats stats = news.stats();
    CHECK(stats.published == publishers * given.events);
    CHECK(stats.subscribers == 0);
    CHECK(stats.behind == 0);
}

}  // namespace

TEST_CASE("replay meets live: in a log that holds all each subscriber sees each event once, in order") {
    totals sums;
    const std::uint64_t events = 120'000 / scale;
    const setting given{
        .options = {.max_events = SIZE_MAX, .max_bytes = std::size_t{256} << 20, .epoch = epoch},
        .events = events,
        .manners = {{.stay = 3},
                    {.stay = 20, .dawdle = 100},
                    {.stay = 50},
                    {.stay = 500},
                    {.takes_part = false},
                    {.stay = 200, .lets_pass = events},
                    {.stay = 5, .lets_pass = 2 * events}}};
    const std::uint32_t seed = first_seed();
    CAPTURE(seed);
    run(given, sums, seed);
    CHECK(sums.missed == 0);
    CHECK(sums.gaps == 0);
    CHECK(sums.skips == 0);
    CHECK(sums.resumed > 0);
    CHECK(sums.seen == given.manners.size() * publishers * events);
}

TEST_CASE("replay meets live: in a small log each event is seen once, or its gap is told of") {
    for (std::uint32_t i = 1; i <= 6; ++i) {
        const std::uint32_t seed = first_seed() + i;
        CAPTURE(seed);
        totals sums;
        setting given{
            .options = {.max_events = i % 3 == 0 ? 50u : 1000u, .max_bytes = 1 << 17, .epoch = epoch},
            .events = 30'000 / scale,
            .manners = {{.stay = 5},
                        {.stay = 1000, .lets_pass = 2000},
                        {.stay = 50, .dawdle = 50},
                        {.takes_part = false}}};
        if (i % 2 == 0) given.options.max_bytes = 8000;
        run(given, sums, seed);
        CHECK(sums.seen > 0);
        CHECK(sums.missed >= 1000);  // by the one that lets so many pass
    }
}

TEST_CASE("a subscriber to one type sees all events of that type while others come between") {
    verdict good;
    const std::uint64_t events = 100'000 / scale;
    channel news({.max_events = SIZE_MAX, .max_bytes = std::size_t{256} << 20, .epoch = epoch});
    crew subscribers;
    for (std::uint64_t who = 0; who < publishers; ++who) {
        subscribers.add([&, who, reader = news.subscribe({}, {.types = {who == 0 ? "a" : "b"}})]() mutable {
            sse::parser parser;
            std::uint64_t seen = 0;
            while (reader.state() != cursor_state::ended) {
                const std::string_view bytes = reader.next_bytes();
                good.expect(!parser.feed(bytes,
                                         [&](const sse::event_view& event) {
                                             const auto [by, count] = numbers_in<2>(event.data);
                                             good.expect(by == who && count == ++seen, "another event");
                                         }),
                            "parse");
                reader.consume(bytes.size());
                if (bytes.empty()) std::this_thread::yield();
            }
            good.expect(seen == events, "all of the type");
        });
    }
    // Others publish a few IDs of their own again and again, and come back with them.
    subscribers.add([&] {
        std::uint64_t found = 0;
        cursor reader = news.subscribe({}, {.types = {"c"}});
        while (reader.state() != cursor_state::ended) {
            const std::string id = "own " + std::to_string(found % 3);
            found += news.subscribe(id).resumption() == resumption::resumed;
            reader.consume(reader.next_bytes().size());
        }
        good.expect(found > 0, "none of them was found");
    });
    {
        crew authors;
        for (std::uint32_t who = 0; who < publishers; ++who)
            authors.add([&, who] { publish_all(news, good, who, events, who); });
        authors.add([&] {
            for (std::uint64_t i = 0; i < events / 10; ++i) {
                const std::string id = "own " + std::to_string(i % 3);
                good.expect(!news.publish({.event = "c", .data = "x", .id = id}).error, "publish");
            }
        });
    }
    news.close();
    subscribers.join();
    CHECK(good.first() == "");
}

// Wake-ups

namespace {

/// What an event loop sleeps on.
class bell {
public:
    void ring() {
        {
            const std::lock_guard lock(mutex_);
            ++rung_;
        }
        changed_.notify_all();
    }
    std::uint64_t rung() const {
        const std::lock_guard lock(mutex_);
        return rung_;
    }
    /// \return whether it has rung more often than that
    bool wait(std::uint64_t rung) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, [&] { return rung_ != rung; });
    }

private:
    mutable std::mutex mutex_{};
    std::condition_variable changed_{};
    std::uint64_t rung_ = 0;
};

}  // namespace

TEST_CASE("a reader that sleeps until it is woken gets everything") {
    for (const std::size_t readers : {1u, 3u}) {
        CAPTURE(readers);
        verdict good;
        bell woken;
        bell taken;
        std::atomic<std::uint64_t> received{0};
        const std::uint64_t rounds = 20'000 / scale;
        // Small, so that segments end all the time: there too nothing may be lost.
        channel news(
            {.max_events = 100, .max_bytes = 4000, .epoch = epoch, .wake_up = [&] { woken.ring(); }});
        crew threads;
        for (std::size_t i = 0; i < readers; ++i) {
            threads.add([&, reader = news.subscribe()]() mutable {
                for (;;) {
                    const std::uint64_t rung =
                        woken.rung();  // what comes after this look is not slept through
                    const std::string_view bytes = reader.next_bytes();
                    std::uint64_t events = 0;
                    for (std::size_t at = 0; (at = bytes.find("\n\n", at)) != std::string_view::npos; at += 2)
                        ++events;
                    reader.consume(bytes.size());
                    if (events > 0) {
                        received += events;
                        taken.ring();
                    } else if (reader.state() == cursor_state::ended) {
                        return;
                    } else {
                        good.expect(reader.state() == cursor_state::following, "it fell behind");
                        good.expect(woken.wait(rung), "a wake-up was lost");
                    }
                }
            });
        }
        std::mt19937 random(1);
        std::uint64_t published = 0;
        bool is_alive = true;
        const message batch[] = {{.data = "x"}, {.data = "y"}};
        for (std::uint64_t round = 0; round < rounds && is_alive; ++round) {
            for (std::uint64_t i = random() % 3; i > 0; --i, ++published)
                CHECK_FALSE(news.publish({.data = "x"}).error);
            CHECK_FALSE(news.publish(batch).error);
            published += 2;
            // All of them are idle again, or about to be.
            for (;;) {
                const std::uint64_t rung = taken.rung();
                if (received == published * readers) break;
                if (!(is_alive = taken.wait(rung))) break;
            }
        }
        news.close();
        threads.join();
        CHECK(is_alive);
        CHECK(good.first() == "");
        CHECK(received == published * readers);
    }
}

TEST_CASE("a reader that sleeps is woken by the close") {
    verdict good;
    for (std::uint64_t round = 0; round < 2000 / scale; ++round) {
        bell woken;
        channel news({.wake_up = [&] { woken.ring(); }});
        crew threads;
        threads.add([&, reader = news.subscribe()]() mutable {
            for (;;) {
                const std::uint64_t rung = woken.rung();
                const std::string_view bytes = reader.next_bytes();
                reader.consume(bytes.size());
                if (reader.state() == cursor_state::ended) return;
                if (bytes.empty()) good.expect(woken.wait(rung), "a wake-up was lost");
            }
        });
        if (round % 2 == 0) CHECK_FALSE(news.publish({.data = "x"}).error);
        news.close();
    }
    CHECK(good.first() == "");
}

// The end

TEST_CASE("a channel may be closed and destroyed while cursors read") {
    verdict good;
    for (std::uint64_t round = 0; round < 1000 / scale; ++round) {
        const std::uint64_t events = round % 50;
        auto news = std::make_unique<channel>(sse::channel_options{.max_bytes = 3000, .epoch = epoch});
        crew threads;
        for (std::size_t i = 0; i < 3; ++i) {
            // One of them has a place in a log that nothing has been published to.
            threads.add([&, i, reader = news->subscribe()]() mutable {
                std::uint64_t seen = 0;
                sse::parser parser;
                while (reader.state() != cursor_state::ended) {
                    const std::string_view bytes = reader.next_bytes();
                    const std::size_t size = std::min<std::size_t>(bytes.size(), i == 0 ? 7 : 10'000);
                    good.expect(!parser.feed(bytes.substr(0, size), [&](const sse::event_view&) { ++seen; }),
                                "parse");
                    reader.consume(size);
                    if (reader.state() == cursor_state::behind) seen += reader.skip();
                    if (bytes.empty()) std::this_thread::yield();
                }
                good.expect(seen == events, "all that was published, or a gap of so many");
                good.expect(reader.last_event_id().ends_with('-' + std::to_string(events)), "last_event_id");
            });
        }
        for (std::uint64_t i = 0; i < events; ++i) CHECK_FALSE(news->publish({.data = "some text"}).error);
        if (round % 2 == 0) news->close();
        news.reset();
    }
    CHECK(good.first() == "");
}

TEST_CASE("who closes and who publishes at once: what was published before is read, then the end") {
    verdict good;
    for (std::uint64_t round = 0; round < 200 / scale; ++round) {
        channel news({.epoch = epoch});
        std::atomic<std::uint64_t> published{0};
        std::atomic<std::uint64_t> seen{0};
        {
            cursor before = news.subscribe();
            crew threads;
            threads.add([&] {
                while (!news.publish({.data = "x"}).error) ++published;
            });
            threads.add([&, reader = std::move(before)]() mutable {
                sse::parser parser;
                while (reader.state() != cursor_state::ended) {
                    const std::string_view bytes = reader.next_bytes();
                    good.expect(!parser.feed(bytes, [&](const sse::event_view&) { ++seen; }), "parse");
                    reader.consume(bytes.size());
                    if (reader.state() == cursor_state::behind) seen += reader.skip();
                }
            });
            for (std::uint64_t i = 0; i < round % 10; ++i) std::this_thread::yield();
            news.close();
        }
        CHECK(seen.load() == published.load());
        CHECK(news.stats().published == published.load());
    }
    CHECK(good.first() == "");
}
