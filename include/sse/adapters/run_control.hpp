// Closes or restarts an event_source that a blocking adapter runs: from another thread, or a signal handler.
//
//     static sse::run_control control;
//     std::signal(SIGINT, [](int) { control.close(); });
//     sse::posix::run(source, {.control = &control});
#pragma once

#include "../event_source.hpp"
#include "detail/wake_pipe.hpp"

#include <atomic>
#include <cerrno>
#include <system_error>

#include <unistd.h>

namespace sse {

/// Reaches an event source from outside of the thread that runs it.
///
/// What it is told before the adapter runs is done as soon as it does. While the adapter runs, it is done
/// once the listener that is called then has returned, or the next one, and at the latest before more bytes
/// are read.
///
/// \pre it lives for as long as the run, and as any handler that names it; it serves one run at a time
class run_control {
    enum class command : int { none, close, restart };

    detail::wake_pipe pipe_{};                               // written to whenever `command_` was set
    std::atomic<command> command_ = command::none;           // what was told last and is yet to be done
    static_assert(decltype(command_)::is_always_lock_free);  // otherwise no signal handler may touch it

public:
    /// \throws std::system_error if there are no descriptors left
    run_control() = default;
    run_control(const run_control&) = delete;  // handlers refer to it
    run_control& operator=(const run_control&) = delete;

    /// As `event_source::close()`, and final: no `restart()` undoes it until `run` has returned. Another run
    /// may then begin with the same control. A run that ends by an exception leaves the close in force. From
    /// any thread, or a signal handler.
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
    void wake() const noexcept {
        const int error = errno;  // a signal handler has to leave it as it was
        // If the pipe is full, it can be read already.
        [[maybe_unused]] const auto written = ::write(pipe_.write_end.get(), "", 1);
        errno = error;
    }
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
