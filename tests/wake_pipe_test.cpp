// The pipe that wakes poll().
#include <sse/adapters/detail/wake_pipe.hpp>

#include "support/failing_fcntl.hpp"

#include <doctest/doctest.h>

#include <climits>
#include <ostream>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

TEST_CASE("what is written at one end can be read at the other") {
    const sse::detail::wake_pipe pipe;
    pollfd polled{pipe.read_end.get(), POLLIN, 0};
    CHECK(::poll(&polled, 1, 0) == 0);
    CHECK(::write(pipe.write_end.get(), "", 1) == 1);
    CHECK(::poll(&polled, 1, 0) == 1);
}

TEST_CASE("no program that is started inherits the pipe, and nobody waits for it, from the first") {
    test::settings_before_failure =
        0;  // what would be set later, another thread's program might already have inherited
    const sse::detail::wake_pipe pipe;
    test::settings_before_failure = INT_MAX;
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
        const sse::detail::wake_pipe pipe;
    } catch (const std::system_error& failure) {
        error = failure.code();
    }
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(error == std::errc::too_many_files_open);
    CHECK(lowest_free() == before);
}
