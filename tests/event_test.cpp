// The vocabulary: a span of time, what is sent, what was received.
#include <sse/event.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>
#include <optional>
#include <ratio>
#include <string>
#include <string_view>
#include <type_traits>

namespace {

using namespace std::literals;
namespace chrono = std::chrono;
using sse::milliseconds;

template <class Rep, std::intmax_t Num, std::intmax_t Den = 1>
using duration = chrono::duration<Rep, std::ratio<Num, Den>>;

constexpr std::int64_t highest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t lowest = std::numeric_limits<std::int64_t>::min();

template <class From, class To>
constexpr bool implicitly = std::is_convertible_v<From, To>;
template <class From, class To>
constexpr bool only_explicitly = !std::is_convertible_v<From, To> && std::is_constructible_v<To, From>;

// From a duration: implicitly where one tick of it is a whole number of milliseconds.
static_assert(implicitly<chrono::milliseconds, milliseconds>);
static_assert(implicitly<chrono::seconds, milliseconds>);
static_assert(implicitly<chrono::minutes, milliseconds>);
static_assert(implicitly<chrono::hours, milliseconds>);
static_assert(implicitly<chrono::years, milliseconds>);
static_assert(implicitly<duration<signed char, 1>, milliseconds>);
static_assert(implicitly<duration<unsigned, 1, 2>, milliseconds>);
static_assert(implicitly<duration<int, 3, 1000>, milliseconds>);
static_assert(only_explicitly<chrono::microseconds, milliseconds>);
static_assert(only_explicitly<chrono::nanoseconds, milliseconds>);
static_assert(only_explicitly<duration<int, 1, 3>, milliseconds>);
static_assert(only_explicitly<duration<int, 3, 2000>, milliseconds>);
static_assert(only_explicitly<duration<double, 1>, milliseconds>);
static_assert(only_explicitly<duration<float, 1, 1000>, milliseconds>);

// To a duration: implicitly where a millisecond is a whole number of its ticks, or these can be fractions.
static_assert(implicitly<milliseconds, chrono::milliseconds>);
static_assert(implicitly<milliseconds, chrono::microseconds>);
static_assert(implicitly<milliseconds, chrono::nanoseconds>);
static_assert(implicitly<milliseconds, duration<std::int64_t, 1, 3000>>);
static_assert(implicitly<milliseconds, duration<double, 1>>);
static_assert(implicitly<milliseconds, duration<float, 60>>);
static_assert(only_explicitly<milliseconds, chrono::seconds>);
static_assert(only_explicitly<milliseconds, chrono::hours>);
static_assert(only_explicitly<milliseconds, duration<int, 1, 3>>);
static_assert(only_explicitly<milliseconds, duration<int, 1, 1500>>);
static_assert(only_explicitly<milliseconds, duration<int, 3, 1000>>);

// A bare number has no unit.
static_assert(only_explicitly<int, milliseconds> && only_explicitly<std::int64_t, milliseconds>);
static_assert(!std::is_constructible_v<std::int64_t, milliseconds>);

static_assert(std::is_trivially_copyable_v<milliseconds> && sizeof(milliseconds) == sizeof(std::int64_t));

constexpr milliseconds from(auto duration) { return milliseconds(duration); }
template <class Duration>
constexpr auto ticks(milliseconds time) {
    return Duration(time).count();
}

// All of it in constant expressions.
static_assert(milliseconds().count() == 0 && milliseconds(-7).count() == -7);
static_assert(milliseconds::max().count() == highest);
static_assert(milliseconds(10s) == milliseconds(10'000));
static_assert(chrono::seconds(milliseconds(1999)) == 1s);

}  // namespace

TEST_CASE("milliseconds are made of any duration, towards zero") {
    CHECK(from(7ms).count() == 7);
    CHECK(from(10s).count() == 10'000);
    CHECK(from(-10s).count() == -10'000);
    CHECK(from(2min).count() == 120'000);
    CHECK(from(3h).count() == 10'800'000);
    CHECK(from(chrono::years(1)).count() == 31'556'952'000);
    CHECK(from(1999us).count() == 1);
    CHECK(from(-1999us).count() == -1);
    CHECK(from(999'999ns).count() == 0);
    CHECK(from(-1'000'000ns).count() == -1);

    CHECK(from(duration<signed char, 1>(100)).count() == 100'000);
    CHECK(from(duration<signed char, 1>(-128)).count() == -128'000);
    CHECK(from(duration<unsigned char, 3600>(255)).count() == 918'000'000);
    CHECK(from(duration<unsigned, 1, 2>(3)).count() == 1500);
    CHECK(from(duration<short, 3, 1000>(-5)).count() == -15);
    CHECK(from(duration<int, 1, 3>(2)).count() == 666);
    CHECK(from(duration<int, 1, 3>(-2)).count() == -666);
    CHECK(from(duration<int, 7, 3>(3)).count() == 7000);
    CHECK(from(duration<int, 3, 2000>(5)).count() == 7);  // 7.5
    CHECK(from(duration<int, 3, 2000>(-5)).count() == -7);
    CHECK(from(duration<int, 1, 7>(5)).count() == 714);  // 714.28
    CHECK(from(duration<int, 3600, 1001>(1001)).count() == 3'600'000);

    CHECK(from(duration<double, 1>(0.25)).count() == 250);
    CHECK(from(duration<float, 1>(-2.5F)).count() == -2500);
    CHECK(from(duration<long double, 60>(0.5L)).count() == 30'000);
    CHECK(from(duration<double, 1, 1000>(1.9)).count() == 1);
    CHECK(from(duration<double, 1, 1000>(-1.9)).count() == -1);
}

TEST_CASE("milliseconds become any duration, towards zero") {
    CHECK(ticks<chrono::milliseconds>(milliseconds(7)) == 7);
    CHECK(ticks<chrono::microseconds>(milliseconds(-7)) == -7000);
    CHECK(ticks<chrono::nanoseconds>(milliseconds(7)) == 7'000'000);
    CHECK(ticks<chrono::seconds>(milliseconds(1999)) == 1);
    CHECK(ticks<chrono::seconds>(milliseconds(-1999)) == -1);
    CHECK(ticks<chrono::hours>(milliseconds(10'799'999)) == 2);
    CHECK(ticks<chrono::hours>(milliseconds(10'800'000)) == 3);
    CHECK(ticks<chrono::years>(milliseconds(31'556'952'000)) == 1);

    CHECK(ticks<duration<signed char, 1>>(milliseconds(100'999)) == 100);
    CHECK(ticks<duration<int, 1, 3>>(milliseconds(1000)) == 3);
    CHECK(ticks<duration<int, 1, 3>>(milliseconds(999)) == 2);
    CHECK(ticks<duration<int, 7, 3>>(milliseconds(6999)) == 2);
    CHECK(ticks<duration<int, 7, 3>>(milliseconds(-7000)) == -3);
    CHECK(ticks<duration<int, 3, 2000>>(milliseconds(2)) == 1);  // 1.33
    CHECK(ticks<duration<int, 1, 3000>>(milliseconds(5)) == 15);

    CHECK(ticks<duration<double, 1>>(milliseconds(250)) == 0.25);
    CHECK(ticks<duration<float, 1>>(milliseconds(-2500)) == -2.5F);
    CHECK(ticks<duration<double, 60>>(milliseconds(30'000)) == 0.5);
    CHECK(ticks<duration<double, 1, 1'000'000>>(milliseconds(3)) == 3000.0);
}

TEST_CASE("a duration too long is held at the largest milliseconds, or the smallest") {
    CHECK(from(chrono::milliseconds::max()).count() == highest);
    CHECK(from(chrono::milliseconds::min()).count() == lowest);
    CHECK(from(chrono::seconds::max()).count() == highest);
    CHECK(from(chrono::seconds::min()).count() == lowest);
    CHECK(from(chrono::hours::max()).count() == highest);
    CHECK(from(chrono::hours::min()).count() == lowest);
    CHECK(from(duration<std::int64_t, 1, 3>(highest)).count() == highest);
    CHECK(from(duration<std::int64_t, 1, 3>(lowest)).count() == lowest);
    CHECK(from(duration<std::uint64_t, 1, 1000>(~std::uint64_t{0})).count() == highest);
    CHECK(from(duration<std::uint64_t, 1>(~std::uint64_t{0})).count() == highest);

    // The last seconds that fit: the largest count is 9'223'372'036'854'775'807.
    CHECK(from(chrono::seconds(9'223'372'036'854'775)).count() == 9'223'372'036'854'775'000);
    CHECK(from(chrono::seconds(9'223'372'036'854'776)).count() == highest);
    CHECK(from(chrono::seconds(-9'223'372'036'854'775)).count() == -9'223'372'036'854'775'000);
    CHECK(from(chrono::seconds(-9'223'372'036'854'776)).count() == lowest);
    // The last ticks of 2.5 s: 9'223'372'036'854'775'000 fits, 2500 more do not.
    CHECK(from(duration<std::int64_t, 5, 2>(3'689'348'814'741'910)).count() == 9'223'372'036'854'775'000);
    CHECK(from(duration<std::int64_t, 5, 2>(3'689'348'814'741'911)).count() == highest);
    CHECK(from(duration<std::int64_t, 5, 2>(-3'689'348'814'741'911)).count() == lowest);

    CHECK(from(duration<double, 1>(1e300)).count() == highest);
    CHECK(from(duration<double, 1>(-1e300)).count() == lowest);
    CHECK(from(duration<float, 1>(1e30F)).count() == highest);
    CHECK(from(duration<double, 1, 1000>(9'223'372'036'854'775'808.0)).count() == highest);
    CHECK(from(duration<double, 1>(std::numeric_limits<double>::infinity())).count() == highest);
    CHECK(from(duration<float, 1>(-std::numeric_limits<float>::infinity())).count() == lowest);
    CHECK(from(duration<double, 1>(std::numeric_limits<double>::quiet_NaN())).count() == 0);
}

TEST_CASE("milliseconds too many for a duration give the longest, or the shortest") {
    constexpr milliseconds max = milliseconds::max();
    constexpr milliseconds min(lowest);
    CHECK(chrono::milliseconds(max) == chrono::milliseconds::max());
    CHECK(chrono::milliseconds(min) == chrono::milliseconds::min());
    CHECK(chrono::nanoseconds(max) == chrono::nanoseconds::max());
    CHECK(chrono::nanoseconds(min) == chrono::nanoseconds::min());
    CHECK(chrono::microseconds(milliseconds(9'223'372'036'854'775)).count() == 9'223'372'036'854'775'000);
    CHECK(chrono::microseconds(milliseconds(9'223'372'036'854'776)) == chrono::microseconds::max());
    CHECK(chrono::microseconds(milliseconds(-9'223'372'036'854'776)) == chrono::microseconds::min());

    CHECK(ticks<duration<signed char, 1>>(milliseconds(128'000)) == 127);
    CHECK(ticks<duration<signed char, 1>>(milliseconds(-200'000)) == -128);
    CHECK(ticks<duration<signed char, 1>>(max) == 127);
    CHECK(ticks<duration<unsigned, 1>>(milliseconds(-1000)) == 0);
    CHECK(ticks<duration<unsigned, 1>>(max) == std::numeric_limits<unsigned>::max());
    CHECK(ticks<duration<std::uint64_t, 1, 1000>>(max) == std::uint64_t{highest});

    // What fits is not held.
    CHECK(ticks<chrono::seconds>(max) == 9'223'372'036'854'775);
    CHECK(ticks<chrono::seconds>(min) == -9'223'372'036'854'775);
    CHECK(ticks<duration<double, 1>>(max) == doctest::Approx(9.223372036854775e15));
}

TEST_CASE("a long count does not overflow on its way to milliseconds that fit") {
    CHECK(from(chrono::nanoseconds::max()).count() == 9'223'372'036'854);
    CHECK(from(chrono::nanoseconds::min()).count() == -9'223'372'036'854);
    CHECK(from(duration<std::int64_t, 1, 1024>(highest)).count() ==
          9'007'199'254'740'991'999);  // 2^56 * 125 - 1
    CHECK(from(duration<std::int64_t, 3, 4000>(highest)).count() ==
          6'917'529'027'641'081'855);  // 3 * 2^61 - 1
    CHECK(ticks<duration<std::int64_t, 1, 999>>(milliseconds::max()) == 9'214'148'664'817'921'031);
}

TEST_CASE("an unsigned count beyond the signed ones gives the milliseconds that it is, where they fit") {
    CHECK(from(duration<std::uint64_t, 1, 1'000'000'000>(~std::uint64_t{0})).count() == 18'446'744'073'709);
    CHECK(ticks<duration<std::uint64_t, 1, 1'000'000'000>>(milliseconds(10'000'000'000'000)) ==
          10'000'000'000'000'000'000U);
}

TEST_CASE("milliseconds go through a finer duration and come back the same") {
    for (const std::int64_t count :
         {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{86'399'999},
          std::int64_t{9'223'372'036'854}, std::int64_t{-9'223'372'036'854}}) {
        const milliseconds time(count);
        const chrono::microseconds micro = time;
        const chrono::nanoseconds nano = time;
        const duration<std::int64_t, 1, 3000> thirds = time;
        CHECK(milliseconds(micro) == time);
        CHECK(milliseconds(nano) == time);
        CHECK(milliseconds(thirds) == time);
    }
}

TEST_CASE("milliseconds compare by their count, with durations too") {
    CHECK(milliseconds(1) < milliseconds(2));
    CHECK(milliseconds(-1) < milliseconds(0));
    CHECK(milliseconds(2) >= milliseconds(2));
    CHECK(milliseconds(2) != milliseconds(3));
    CHECK(milliseconds::max() > milliseconds(highest - 1));
    CHECK((milliseconds(1) <=> milliseconds(2)) == std::strong_ordering::less);
    CHECK(milliseconds(1000) == 1s);
    CHECK(milliseconds(999) < 1s);
    CHECK(1min > milliseconds(59'999));
}

TEST_CASE("a message is made of designated initialisers; what is not named is absent, not empty") {
    const sse::message all{.event = "tick", .data = "one\ntwo", .id = "7", .retry = 10s};
    CHECK(all.event == "tick");
    CHECK(all.data == "one\ntwo");
    CHECK(all.id == "7");
    CHECK(all.retry == milliseconds(10'000));

    const sse::message none{};
    CHECK_FALSE(none.event.has_value());
    CHECK_FALSE(none.data.has_value());
    CHECK_FALSE(none.id.has_value());
    CHECK_FALSE(none.retry.has_value());

    const sse::message empty{.event = "", .data = "", .id = ""};
    CHECK(empty.event.has_value());
    CHECK(empty.data.has_value());
    CHECK(empty.id.has_value());

    const std::string owned = "a string";
    CHECK(sse::message{.data = owned}.data->data() == owned.data());
    static_assert(sse::message{.id = "1"}.id == "1" && !sse::message{.id = "1"}.data);
}

TEST_CASE("an event seen becomes a message that says all of it: its type if not the default, its id always") {
    const sse::message ordinary = sse::event_view{.data = "x"};
    CHECK_FALSE(ordinary.event.has_value());
    CHECK(ordinary.data == "x");
    CHECK(ordinary.id == "");  // present: else a receiver would carry on the id before it
    CHECK_FALSE(ordinary.retry.has_value());

    const sse::message typed = sse::event_view{.type = "tick", .data = "", .last_event_id = "7"};
    CHECK(typed.event == "tick");
    CHECK(typed.data == "");
    CHECK(typed.id == "7");

    for (const std::string_view type : {"messages", "Message", "messag", " message"}) {
        const sse::message near_default = sse::event_view{.type = type};
        CHECK(near_default.event == type);
    }
    static_assert(sse::message(sse::event_view{.type = "a"}).event == "a");
}

TEST_CASE("an event owns its strings") {
    static_assert(!std::is_convertible_v<sse::event_view, sse::event>);  // it copies: to be asked for
    static_assert(std::is_convertible_v<sse::event, sse::event_view>);
    static_assert(std::is_convertible_v<sse::event, sse::message>);

    std::string type = "a type too long to be kept in place";
    std::string data = "data too long to be kept in place too";
    std::string id = "an id too long to be kept in place as well";
    const sse::event_view seen{.type = type, .data = data, .last_event_id = id};
    const sse::event kept(seen);
    const sse::event expected = kept;
    CHECK(sse::event_view(kept) == seen);

    for (std::string* each : {&type, &data, &id}) each->assign(each->size(), '!');
    CHECK(kept == expected);
    CHECK(sse::event_view(kept) != seen);
    CHECK(kept.type == "a type too long to be kept in place");

    const sse::event_view view = kept;
    CHECK(view.data.data() == kept.data.data());
    const sse::message message = kept;
    CHECK(message.event == kept.type);
    CHECK(message.data->data() == kept.data.data());
    CHECK(message.id == kept.last_event_id);
}

TEST_CASE("an event is a message with no data until it is told otherwise") {
    const sse::event made;
    CHECK(made.type == "message");
    CHECK(made.data.empty());
    CHECK(made.last_event_id.empty());
    CHECK(sse::event_view(made) == sse::event_view());
}

TEST_CASE("events are equal where all three of their parts are") {
    const sse::event_view view{.type = "t", .data = "d", .last_event_id = "i"};
    CHECK(view == sse::event_view{.type = "t", .data = "d", .last_event_id = "i"});
    for (const sse::event_view other : {sse::event_view{.type = "x", .data = "d", .last_event_id = "i"},
                                        sse::event_view{.type = "t", .data = "x", .last_event_id = "i"},
                                        sse::event_view{.type = "t", .data = "d", .last_event_id = "x"}}) {
        CHECK(view != other);
        CHECK(sse::event(view) != sse::event(other));
    }
    CHECK(sse::event(view) == sse::event(view));
}
