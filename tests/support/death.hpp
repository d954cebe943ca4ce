// Whether an assert ends the program, tried in a process of its own.
//
//     CHECK(test::is_asserted([&] { source.handle_end(now); }));
#pragma once

#if __has_include(<sys/wait.h>)
#include <csignal>
#include <cstdio>

#include <sys/wait.h>
#include <unistd.h>
#endif

namespace test {

// Asserts can be seen in debug builds, where a process can be copied.
#if !defined(NDEBUG) && __has_include(<sys/wait.h>)

inline constexpr bool has_asserts = true;

/// \pre this is the only thread
template <class Call>
bool is_asserted(Call call) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
        static_cast<void>(std::signal(SIGABRT, SIG_DFL));  // the framework would report it
        if (std::freopen("/dev/null", "w", stderr) == nullptr) ::_exit(2);
        call();
        ::_exit(0);
    }
    int status = 0;
    return child > 0 && ::waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGABRT;
}

#else

inline constexpr bool has_asserts = false;

template <class Call>
bool is_asserted(Call) {
    return true;
}

#endif

}  // namespace test
