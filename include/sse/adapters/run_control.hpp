// Closes or restarts an event_source that a blocking adapter runs: from another thread, or a signal handler.
//
//     static sse::run_control control;
//     std::signal(SIGINT, [](int) { control.close(); });
//     sse::posix::run(source, {.control = &control});
#pragma once

#include "../event_source.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace sse {

namespace detail {

/// Of a file or a socket; closes it.
class descriptor {
public:
    descriptor() noexcept = default;
    explicit descriptor(int value) noexcept : value_(value) {}
    descriptor(descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept {
        std::swap(value_, other.value_);
        return *this;
    }
    ~descriptor() {
        if (value_ >= 0) ::close(value_);
    }

    int get() const noexcept { return value_; }
    explicit operator bool() const noexcept { return value_ >= 0; }

private:
    int value_ = -1;
};

inline std::error_code last_error() noexcept { return {errno, std::generic_category()}; }

/// So that no call waits, and no program that is started inherits it.
inline bool make_private_and_nonblocking(int file) noexcept {
    return ::fcntl(file, F_SETFD, FD_CLOEXEC) == 0 &&
           ::fcntl(file, F_SETFL, ::fcntl(file, F_GETFL) | O_NONBLOCK) == 0;
}

/// A pipe that wakes poll(): what is written at one end can be read at the other.
struct wake_pipe {
    descriptor read_end{};
    descriptor write_end{};

    /// \throws std::system_error where there are no descriptors left
    wake_pipe() {
        int ends[2];
#ifdef __linux__
        // At once: between two calls another thread may start a program, which would inherit them.
        if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw std::system_error(last_error(), "pipe2");
        read_end = descriptor(ends[0]);
        write_end = descriptor(ends[1]);
#else
        if (::pipe(ends) != 0) throw std::system_error(last_error(), "pipe");
        read_end = descriptor(ends[0]);
        write_end = descriptor(ends[1]);
        if (!make_private_and_nonblocking(ends[0]) || !make_private_and_nonblocking(ends[1])) {
            throw std::system_error(last_error(), "fcntl");
        }
#endif
    }
};

/// While it lives, this thread is told of no signals, or not of these.
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

/// For poll().
inline int milliseconds_until(std::optional<event_source::time_point> time) {
    if (!time) return INT_MAX;
    const auto left = *time - event_source::time_point::clock::now();
    const auto count = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return static_cast<int>(std::clamp<decltype(count)>(count, 0, INT_MAX));
}

/// A Date that Retry-After can be held against, where the server has sent none: when the response came, as a
/// recipient with a clock may add.
/// \spec RFC 9110, section 6.6.1
inline response with_date(response head) {
    if (!find_header(head.headers, "Date")) {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        const auto seconds = std::chrono::floor<std::chrono::seconds>(now).count();
        set_header(head.headers, "Date", format_http_date(seconds));
    }
    return head;
}

}  // namespace detail

/// Reaches an event source from outside of the thread that runs it.
///
/// What it is told before the adapter runs is done as soon as it does. While the adapter runs, it is done
/// once the listener that is called then has returned, or the next one, and at the latest before more bytes
/// are read.
///
/// \pre it lives for as long as the run, and as any handler that names it; it serves one run at a time
class run_control {
public:
    /// \throws std::system_error if there are no descriptors left
    run_control() = default;
    run_control(const run_control&) = delete;  // handlers refer to it
    run_control& operator=(const run_control&) = delete;

    /// As `event_source::close()`, and final: no `restart()` undoes it until `run` has returned; a run that
    /// ends by an exception leaves it in force. Another run
    /// may then begin with the same control. From any thread, or a signal handler.
    void close() noexcept {
        command_ = command::close;
        wake();
    }

    /// As `event_source::restart()`: the network is there again, say. Without effect after `close()`. From
    /// any thread, or a signal handler.
    void restart() noexcept {
        command told = command::none;
        command_.compare_exchange_strong(told, command::restart);
        wake();
    }

    // For adapters, and loops of one's own

    /// Can be read, says poll(), once there is something to do.
    int file() const noexcept { return pipe_.read_end.get(); }

    /// Does what it was told: a restart once, a close each time until `end_run()`. Does not wait.
    void apply_to(event_source& source) noexcept {
        char bytes[64];
        while (::read(file(), bytes, sizeof bytes) > 0) {
        }
        command told = command::restart;
        if (command_.compare_exchange_strong(told, command::none)) source.restart();
        else if (told == command::close) source.close();
    }

    /// The loop has ended: what it was closed by has had its effect, and another run may begin.
    void end_run() noexcept {
        command told = command::close;
        command_.compare_exchange_strong(told, command::none);
    }

    /// Whether it was told something; unlike `file()`, cheap enough to be asked at each event.
    bool is_told() const noexcept { return command_.load(std::memory_order_relaxed) != command::none; }

private:
    enum class command : int { none, close, restart };

    void wake() const noexcept {
        const int error = errno;  // a signal handler has to leave it as it was
        // If the pipe is full, it can be read already.
        [[maybe_unused]] const auto written = ::write(pipe_.write_end.get(), "", 1);
        errno = error;
    }

    detail::wake_pipe pipe_{};
    std::atomic<command> command_ = command::none;
    static_assert(decltype(command_)::is_always_lock_free);  // else no signal handler may touch it
};

namespace detail {

/// Of a blocking adapter, with the control that its options may name.
class controlled_run : public source_run {
public:
    controlled_run(event_source& source, run_control* control) noexcept
        : source_run(source, control, &look), source_(source), control_(control) {}

    /// Does what the control was told. Goes to the system, unlike `obey()`.
    void apply() const noexcept {
        if (control_ != nullptr) control_->apply_to(source_);
    }

    /// \return what `run` returns once the source is closed
    std::error_code end() const noexcept {
        if (control_ != nullptr) control_->end_run();
        return source_.error();
    }

private:
    static void look(void* control, event_source& source) noexcept {
        auto& told = *static_cast<run_control*>(control);
        if (told.is_told()) told.apply_to(source);
    }

    event_source& source_;
    run_control* control_;
};

}  // namespace detail

}  // namespace sse
