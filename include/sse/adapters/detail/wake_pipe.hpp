// A pipe by which another thread or a signal handler wakes poll().
#pragma once

#include "descriptor.hpp"

#include <system_error>

#include <fcntl.h>
#include <unistd.h>

namespace sse::detail {

/// Wakes poll() from another thread or a signal handler: what is written at one end can be read at the other.
struct wake_pipe {
    descriptor read_end{};
    descriptor write_end{};

    /// \throws std::system_error if there are no descriptors left
    wake_pipe() {
        int ends[2];
#ifdef __linux__
        // In one call: between two calls another thread may start a program, which would inherit the pipe.
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

}  // namespace sse::detail
