// Descriptors that close themselves, how many there may be, what their calls report; the addresses of a host.
#pragma once

#include <sse/adapters/detail/descriptor.hpp>
#include <sse/adapters/detail/poll.hpp>

#include <fcntl.h>
#include <netdb.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace support {

using sse::detail::descriptor;
using sse::detail::last_error;
using sse::detail::milliseconds_until;
using sse::detail::would_block;

[[noreturn]] inline void throw_errno(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

// Takes what has come, at most as much as there is room for. No bytes if none have come yet; nothing if the peer
// has ended its side, or the connection is lost.
inline std::optional<std::string_view> receive(const descriptor& socket, std::span<char> room) noexcept {
    const auto size = ::recv(socket.get(), room.data(), room.size(), 0);
    if (size > 0) return std::string_view(room.data(), static_cast<std::size_t>(size));
    return size < 0 && would_block() ? std::optional(std::string_view()) : std::nullopt;
}

// Returns how many of the bytes the socket took; nothing if the connection is lost.
inline std::optional<std::size_t> send(const descriptor& socket, std::string_view bytes) noexcept {
    const auto size = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size >= 0) return static_cast<std::size_t>(size);
    return would_block() ? std::optional(std::size_t{0}) : std::nullopt;
}

// Raises the limit of descriptors as far as the system allows. If that fails, the limit stays as it is.
inline void raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

// How many descriptors may still be opened. Those in use are counted up to number 1023: only inherited ones can
// have larger numbers.
inline std::size_t free_descriptors() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    rlim_t free = limit.rlim_cur;
    for (int i = 0; i < 1024 && free != 0; ++i) free -= ::fcntl(i, F_GETFD) != -1;
    return static_cast<std::size_t>(free);
}

struct free_addresses {
    void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};
using addresses = std::unique_ptr<addrinfo, free_addresses>;

inline addresses resolve(const std::string& host, const std::string& port, int flags = 0) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* list = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list); error != 0)
        throw std::runtime_error("cannot resolve " + host + ": " + ::gai_strerror(error));
    return addresses(list);
}

}  // namespace support
