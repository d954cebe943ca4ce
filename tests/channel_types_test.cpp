// The options of a channel and its subscribers, and the names of what becomes of these.
#include <sse/channel_types.hpp>

#include <doctest/doctest.h>

#include <chrono>

namespace {

using namespace std::chrono_literals;
using sse::cursor_state;
using sse::resumption;

static_assert(to_string(resumption::gap) == "gap" && noexcept(to_string(resumption::gap)));
static_assert(to_string(cursor_state::ended) == "ended" && noexcept(to_string(cursor_state::ended)));

}  // namespace

TEST_CASE("the defaults are those that the documentation names") {
    const sse::channel_options options;
    CHECK(options.max_events == 10'000);
    CHECK(options.max_bytes == 8 << 20);  // 8 MiB
    CHECK(options.max_age == 0ms);
    CHECK(options.make_ids);
    CHECK(options.epoch == 0);
    CHECK_FALSE(options.wake_up);
    const sse::subscribe_options subscriber;
    CHECK(subscriber.types.empty());
    CHECK_FALSE(subscriber.replay_to_new);
    CHECK(subscriber.when_unknown == sse::when_unknown::replay_all);
}

TEST_CASE("statistics begin at zero") {
    const sse::channel_stats stats;
    CHECK(stats.published == 0);
    CHECK(stats.held_events == 0);
    CHECK(stats.held_bytes == 0);
    CHECK(stats.subscribers == 0);
    CHECK(stats.fell_behind == 0);
    CHECK(stats.behind == 0);
}

TEST_CASE("enumerators are printed by name, and other values as invalid") {
    CHECK(to_string(resumption::live) == "live");
    CHECK(to_string(resumption::resumed) == "resumed");
    CHECK(to_string(resumption::gap) == "gap");
    CHECK(to_string(resumption::unknown) == "unknown");
    CHECK(to_string(resumption{200}) == "invalid");
    CHECK(to_string(cursor_state::following) == "following");
    CHECK(to_string(cursor_state::behind) == "behind");
    CHECK(to_string(cursor_state::ended) == "ended");
    CHECK(to_string(cursor_state{200}) == "invalid");
}
