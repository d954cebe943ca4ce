// By when a socket has to take the bytes that a connection offers it.
#pragma once

#include "../event.hpp"
#include "after.hpp"
#include "min_max.hpp"

#include <chrono>
#include <cstddef>
#include <optional>

namespace sse::detail {

/// The deadline of the oldest bytes that wait to be sent.
///
/// A connection offers what is next until the socket takes it. The bytes that are first offered together, up
/// to 64 KiB, have one deadline: it is put off neither by a byte that is sent now and then, nor by what comes
/// after them. Once all of these are sent, what is offered next has a new deadline.
///
/// But what was offered may leave the log before the socket takes it, and then there may be nothing to offer
/// for a while, in which nothing is asked of the client. So at the deadline it has all of its time again,
/// once.
class send_deadline {
public:
    using time_point = std::chrono::steady_clock::time_point;

private:
    enum class extension : unsigned char {
        none,     // bytes have been offered all the time
        due,      // there was a time with nothing to offer
        granted,  // for that the client has had its time again
    };

    std::size_t waiting_ = 0;  // how many of the next bytes have this deadline; 0: a new one begins
    time_point start_{};       // of the client's time
    extension extension_ = extension::none;

public:
    static constexpr std::size_t max_bytes = std::size_t{64} << 10;

    /// So many bytes are next, and are offered.
    ///
    /// \pre bytes > 0, and `now` does not go back
    /// \param timeout the client's time; 0 for no deadline
    /// \return the deadline, which has passed if it is not later than `now`; nothing if there is none
    std::optional<time_point> offer(std::size_t bytes, time_point now, milliseconds timeout) noexcept {
        if (waiting_ == 0) {
            waiting_ = smaller(bytes, max_bytes);
            start_ = now;
            extension_ = extension::none;
        } else {
            waiting_ = smaller(waiting_, bytes);  // the others have left the log
        }
        if (is_overdue(now, timeout) && extension_ == extension::due) {
            start_ = now;
            extension_ = extension::granted;
        }
        return after(start_, timeout);
    }

    /// The socket has taken so many of them.
    void sent(std::size_t bytes) noexcept { waiting_ -= smaller(bytes, waiting_); }

    /// There is nothing to offer, for now.
    void idle() noexcept {
        if (extension_ == extension::none) extension_ = extension::due;
    }

private:
    bool is_overdue(time_point now, milliseconds timeout) const noexcept {
        const std::optional<time_point> deadline = after(start_, timeout);
        return deadline && now >= *deadline;
    }
};

}  // namespace sse::detail
