// File descriptors: who closes them, and what is set for each.
#pragma once

#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace sse::detail {

/// Owns a file descriptor, and closes it.
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

/// What errno says.
inline std::error_code last_error() noexcept { return {errno, std::generic_category()}; }

/// Makes calls with this file return instead of waiting, and no program that is started inherit it.
/// \return false if the system refuses; errno says why
inline bool make_private_and_nonblocking(int file) noexcept {
    return ::fcntl(file, F_SETFD, FD_CLOEXEC) == 0 &&
           ::fcntl(file, F_SETFL, ::fcntl(file, F_GETFL) | O_NONBLOCK) == 0;
}

}  // namespace sse::detail
