// What reaches a source from another thread: that an adapter obeys it is tested with the adapters.
#include <sse/adapters/run_control.hpp>

#include "support/death.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <type_traits>

#include <poll.h>

namespace {

// Handlers refer to it.
static_assert(!std::is_copy_constructible_v<sse::run_control> &&
              !std::is_copy_assignable_v<sse::run_control>);
static_assert(!std::is_move_constructible_v<sse::run_control> &&
              !std::is_move_assignable_v<sse::run_control>);

bool can_be_read(const sse::run_control& control) {
    pollfd polled{control.file(), POLLIN, 0};
    return ::poll(&polled, 1, 0) == 1;
}

}  // namespace

TEST_CASE("a run_control wakes whoever polls it, until it is obeyed") {
    sse::event_source source({.url = "http://a/"});
    sse::run_control control;
    CHECK_FALSE(can_be_read(control));
    control.apply_to(source);  // nothing to do
    CHECK(source.ready_state() == sse::ready_state::connecting);

    control.close();
    CHECK(can_be_read(control));
    CHECK(source.ready_state() == sse::ready_state::connecting);  // not from here
    control.apply_to(source);
    CHECK_FALSE(can_be_read(control));
    CHECK(source.ready_state() == sse::ready_state::closed);

    control.end_run();
    control.restart();
    CHECK(can_be_read(control));
    control.apply_to(source);
    CHECK_FALSE(can_be_read(control));
    CHECK(source.ready_state() == sse::ready_state::connecting);
    source.close();
    control.apply_to(source);  // it was told once
    CHECK(source.ready_state() == sse::ready_state::closed);
}

TEST_CASE("a close is final until the run has ended: no restart undoes it, be it before or behind") {
    sse::event_source source({.url = "http://a/"});
    sse::run_control control;
    const auto is_closed = [&] {
        control.apply_to(source);
        return source.ready_state() == sse::ready_state::closed;
    };
    control.restart();
    control.close();
    control.restart();
    CHECK(is_closed());
    control.restart();
    CHECK(is_closed());
    source.restart();  // a listener's
    CHECK(is_closed());
    CHECK(control.is_told());

    control.end_run();
    CHECK_FALSE(control.is_told());
    source.restart();
    CHECK_FALSE(is_closed());
    source.close();
    control.restart();
    CHECK(control.is_told());
    control.end_run();  // of a restart that nobody has obeyed nothing is lost
    CHECK(control.is_told());
    CHECK_FALSE(is_closed());
    CHECK_FALSE(control.is_told());
}

TEST_CASE("a run goes by its source, in a listener too, and there is one at a time") {
    sse::event_source source({.url = "http://a/"});
    using sse::detail::controlled_run;
    CHECK(controlled_run(source, nullptr).has_begun());
    {
        const controlled_run first(source, nullptr);
        REQUIRE(first.has_begun());
        {
            const controlled_run second(source, nullptr);
            CHECK_FALSE(second.has_begun());
        }
        CHECK_FALSE(controlled_run(source, nullptr).has_begun());  // the first one goes on all the same
        sse::event_source other({.url = "http://a/"});
        CHECK(controlled_run(other, nullptr).has_begun());
    }
    CHECK(controlled_run(source, nullptr).has_begun());

    std::optional<bool> has_begun;
    source.on_error([&](const auto&) { has_begun = controlled_run(source, nullptr).has_begun(); });
    const auto now = std::chrono::steady_clock::now();
    REQUIRE(source.next(now).request != nullptr);
    source.handle_error(sse::errc::connection_ended, now);
    CHECK(has_begun == false);
    CHECK(controlled_run(source, nullptr).has_begun());
}

TEST_CASE("no source is destroyed while an adapter runs it" * doctest::skip(!test::has_asserts)) {
    CHECK(test::is_asserted([] {
        auto source = std::make_unique<sse::event_source>(sse::event_source_options{.url = "http://a/"});
        const sse::detail::controlled_run run(*source, nullptr);
        source.reset();
    }));
    CHECK_FALSE(test::is_asserted([] {
        auto source = std::make_unique<sse::event_source>(sse::event_source_options{.url = "http://a/"});
        { const sse::detail::controlled_run run(*source, nullptr); }
        source.reset();
    }));
}

TEST_CASE("a close counts, however many commands there were before it") {
    sse::event_source source({.url = "http://a/"});
    sse::run_control control;
    for (int i = 0; i < 100'000; ++i) control.restart();  // more than a pipe holds
    control.close();
    control.apply_to(source);
    CHECK(source.ready_state() == sse::ready_state::closed);
    CHECK_FALSE(can_be_read(control));
}

TEST_CASE("a signal handler finds errno as it was") {
    sse::run_control control;
    for (int i = 0; i < 100'000; ++i) {
        errno = ERANGE;
        control.close();
        REQUIRE(errno == ERANGE);
    }
}
