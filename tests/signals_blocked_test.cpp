// Signals that a thread is not told of for a while.
#include <sse/adapters/detail/signals_blocked.hpp>

#include <doctest/doctest.h>

#include <csignal>

namespace {

bool is_blocked(int signal) {
    sigset_t blocked;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    return sigismember(&blocked, signal) == 1;
}

}  // namespace

TEST_CASE("signals are blocked for a while, all or the given ones, and afterwards as they were before") {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    {
        const sse::detail::signals_blocked only(pipe);
        CHECK(is_blocked(SIGPIPE));
        CHECK_FALSE(is_blocked(SIGUSR1));
        {
            const sse::detail::signals_blocked all;
            CHECK(is_blocked(SIGPIPE));
            CHECK(is_blocked(SIGUSR1));
        }
        CHECK(is_blocked(SIGPIPE));
        CHECK_FALSE(is_blocked(SIGUSR1));
    }
    CHECK_FALSE(is_blocked(SIGPIPE));
}
