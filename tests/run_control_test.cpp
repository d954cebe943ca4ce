// What reaches a source from another thread: that an adapter obeys it is tested with the adapters.
#include <sse/adapters/run_control.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdarg>
#include <optional>
#include <system_error>

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

namespace {

int settings = INT_MAX;  // of descriptors, before one fails

}  // namespace

/// Takes the place of the C library's.
extern "C" int fcntl(int file, int command, ...) {
    std::va_list arguments;
    va_start(arguments, command);
    const long argument = va_arg(arguments, long);
    va_end(arguments);
    if ((command == F_SETFD || command == F_SETFL) && settings-- == 0) {
        errno = ENOLCK;
        return -1;
    }
    using function = int (*)(int, int, ...);
    static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "fcntl"));
    return real(file, command, argument);
}

namespace {

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

    control.restart();
    control.apply_to(source);
    CHECK(source.ready_state() == sse::ready_state::connecting);
    source.close();
    control.apply_to(source);  // it was told once
    CHECK(source.ready_state() == sse::ready_state::closed);
}

TEST_CASE("the last command counts, however many there were") {
    sse::event_source source({.url = "http://a/"});
    sse::run_control control;
    for (int i = 0; i < 100'000; ++i) control.restart();  // more than a pipe holds
    control.close();
    control.apply_to(source);
    CHECK(source.ready_state() == sse::ready_state::closed);
    CHECK_FALSE(can_be_read(control));

    control.close();
    control.restart();
    control.apply_to(source);
    CHECK(source.ready_state() == sse::ready_state::connecting);
}

TEST_CASE("a signal handler finds errno as it was") {
    sse::run_control control;
    for (int i = 0; i < 100'000; ++i) {
        errno = ERANGE;
        control.close();
        REQUIRE(errno == ERANGE);
    }
}

TEST_CASE("no program that is started inherits the pipe, and nobody waits for it, from the first") {
    settings = 0;  // what would be set later, another thread's program might already have inherited
    const sse::detail::wake_pipe pipe;
    settings = INT_MAX;
    for (const sse::detail::descriptor* const end : {&pipe.read_end, &pipe.write_end}) {
        CHECK((::fcntl(end->get(), F_GETFD) & FD_CLOEXEC) != 0);
        CHECK((::fcntl(end->get(), F_GETFL) & O_NONBLOCK) != 0);
    }
}

TEST_CASE("a pipe that cannot be had is an error, and nothing of it is left") {
    const auto lowest_free = [] {
        const sse::detail::descriptor file(::dup(0));
        return file.get();
    };
    const int before = lowest_free();
    REQUIRE(before > 0);
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    const rlimit none{0, limit.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    std::error_code error;
    try {
        sse::run_control control;
    } catch (const std::system_error& failure) {
        error = failure.code();
    }
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(error == std::errc::too_many_files_open);
    CHECK(lowest_free() == before);
}

TEST_CASE("where a file is made private behind its opening, each step may fail") {
    const sse::detail::descriptor file(::dup(0));
    REQUIRE(file);
    const int flags = ::fcntl(file.get(), F_GETFL);  // which it shares with standard input
    for (const int step : {0, 1}) {
        settings = step;
        CHECK_FALSE(sse::detail::make_private_and_nonblocking(file.get()));
        CHECK(errno == ENOLCK);
    }
    settings = INT_MAX;
    CHECK((::fcntl(file.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(::fcntl(file.get(), F_GETFL) == flags);
}

TEST_CASE("the time left is never below zero, and never less than there is") {
    using namespace std::chrono_literals;
    using sse::detail::milliseconds_until;
    const auto now = std::chrono::steady_clock::now();
    CHECK(milliseconds_until(std::nullopt) == INT_MAX);
    CHECK(milliseconds_until(now - 1h) == 0);
    CHECK(milliseconds_until(now + std::chrono::hours(24 * 365)) == INT_MAX);
    const auto later = now + 1h + 1ns;
    const std::chrono::milliseconds left(milliseconds_until(later));
    CHECK(left <= 3'600'001ms);
    CHECK(left >= later - std::chrono::steady_clock::now());  // else a loop would turn without rest
}
