// Keeps signals from a thread for a while.
#pragma once

#include <csignal>

namespace sse::detail {

/// Blocks all signals, or the given ones, for this thread while it lives.
class signals_blocked {
public:
    signals_blocked() noexcept {
        sigset_t all;
        sigfillset(&all);  // a macro on some systems
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    explicit signals_blocked(const sigset_t& these) noexcept {
        ::pthread_sigmask(SIG_BLOCK, &these, &before_);
    }
    signals_blocked(const signals_blocked&) = delete;
    signals_blocked& operator=(const signals_blocked&) = delete;
    ~signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_;
};

}  // namespace sse::detail
