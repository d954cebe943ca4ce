// Closes or restarts an event_source that a blocking adapter runs: from another thread, or a signal handler.
//
//     sse::remote remote;
//     std::thread reader([&] { sse::posix::run(source, {.remote = &remote}); });
//     remote.close();
#pragma once

#include "../event_source.hpp"

#include <cerrno>
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
        if (::pipe(ends) != 0) throw std::system_error(last_error(), "pipe");
        read_end = descriptor(ends[0]);
        write_end = descriptor(ends[1]);
        if (!make_private_and_nonblocking(ends[0]) || !make_private_and_nonblocking(ends[1])) {
            throw std::system_error(last_error(), "fcntl");
        }
    }
};

}  // namespace detail

/// Reaches a source from outside of the thread that runs it.
///
/// What it is told before the adapter runs is done as soon as it does.
class remote {
public:
    /// \throws std::system_error where there are no descriptors left
    remote() = default;
    remote(const remote&) = delete;  // handlers refer to it
    remote& operator=(const remote&) = delete;

    /// As `event_source::close()`. From any thread, or a signal handler.
    void close() noexcept { send('c'); }

    /// As `event_source::restart()`: the network is there again, say. From any thread, or a signal handler.
    void restart() noexcept { send('r'); }

    // For adapters, and loops of one's own

    /// Can be read, says poll(), once there is something to do.
    int file() const noexcept { return pipe_.read_end.get(); }

    /// Does what there is to do. Does not wait.
    void apply_to(event_source& source) noexcept {
        char command = '\0';
        while (::read(file(), &command, 1) == 1) {
            if (command == 'c') source.close();
            else source.restart();
        }
    }

private:
    void send(char command) noexcept {
        const int error = errno;  // a signal handler has to leave it as it was
        // Where the pipe is full, thousands of commands wait already.
        [[maybe_unused]] const auto written = ::write(pipe_.write_end.get(), &command, 1);
        errno = error;
    }

    detail::wake_pipe pipe_{};
};

}  // namespace sse
