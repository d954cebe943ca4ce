// Who closes a file descriptor, and how it is made private and nonblocking.
#include <sse/adapters/detail/descriptor.hpp>

#include "support/failing_fcntl.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <climits>
#include <ostream>
#include <system_error>
#include <type_traits>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace {

using sse::detail::descriptor;

static_assert(!std::is_copy_constructible_v<descriptor> && !std::is_copy_assignable_v<descriptor>);

bool is_open(int file) { return ::fcntl(file, F_GETFD) != -1; }

}  // namespace

TEST_CASE("a descriptor is closed once, by the last that owns it") {
    const descriptor none;
    CHECK_FALSE(none);
    CHECK(none.get() == -1);
    int file = -1;
    {
        descriptor first(::dup(0));
        file = first.get();
        REQUIRE(is_open(file));
        descriptor second(std::move(first));
        CHECK(second.get() == file);
        descriptor third;
        third = std::move(second);
        CHECK(third);
        CHECK(is_open(file));
    }
    CHECK_FALSE(is_open(file));
    descriptor replaced(::dup(0));
    file = replaced.get();
    replaced = {};
    CHECK_FALSE(is_open(file));
}

TEST_CASE("the last error is what errno says") {
    errno = ENOENT;
    CHECK(sse::detail::last_error() == std::errc::no_such_file_or_directory);
}

TEST_CASE("where a file is made private behind its opening, each step may fail") {
    const descriptor file(::dup(0));
    REQUIRE(file);
    const int flags = ::fcntl(file.get(), F_GETFL);  // which it shares with standard input
    for (const int step : {0, 1}) {
        test::settings_before_failure = step;
        CHECK_FALSE(sse::detail::make_private_and_nonblocking(file.get()));
        CHECK(errno == ENOLCK);
    }
    test::settings_before_failure = INT_MAX;
    CHECK((::fcntl(file.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(::fcntl(file.get(), F_GETFL) == flags);
}
