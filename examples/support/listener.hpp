// What servers share: a socket that listens, and how to be told to stop.
#pragma once

#include "socket.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>

namespace support {

// As in "127.0.0.1:8080".
inline std::string name_of(const sockaddr_storage& address, socklen_t size) {
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> port{};
    const int error = ::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host.data(),
                                    host.size(), port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV);
    if (error != 0) return "?";
    const bool brackets = address.ss_family == AF_INET6;
    return fmt::format("{}{}{}:{}", brackets ? "[" : "", host.data(), brackets ? "]" : "", port.data());
}

inline std::string name_of(const descriptor& listener) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
        throw_errno("getsockname");
    return name_of(address, size);
}

// The clients' sockets inherit the size of the send buffer (0: as the system has it), and that events leave at
// once.
inline descriptor listen_on(const std::string& host, std::uint16_t port, int send_buffer) {
    const addresses list = resolve(host, std::to_string(port), AI_PASSIVE);
    int error = 0;
    for (const addrinfo* each = list.get(); each != nullptr; each = each->ai_next) {
        constexpr int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
        descriptor socket(::socket(each->ai_family, type, each->ai_protocol));
        const auto set = [&socket](int level, int option, int value) {
            return ::setsockopt(socket.get(), level, option, &value, sizeof value) == 0;
        };
        if (socket && set(SOL_SOCKET, SO_REUSEADDR, 1) && set(IPPROTO_TCP, TCP_NODELAY, 1) &&
            (send_buffer == 0 || set(SOL_SOCKET, SO_SNDBUF, send_buffer)) &&
            ::bind(socket.get(), each->ai_addr, each->ai_addrlen) == 0 &&
            ::listen(socket.get(), SOMAXCONN) == 0)
            return socket;
        error = errno;
    }
    throw std::system_error(error, std::generic_category(),
                            fmt::format("cannot listen on {}:{}", host, port));
}

// The client that has come first; no descriptor if there is none any more, or `errno` is something else.
inline descriptor accept_from(const descriptor& listener) noexcept {
    return descriptor(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

// Where SIGINT and SIGTERM write a byte: poll() then sees also a signal that came just before it.
inline int stop_end = -1;

extern "C" inline void stop(int) {
    const int saved = errno;
    [[maybe_unused]] const auto written = ::write(stop_end, "", 1);
    errno = saved;
}

// Can be read once the program is to stop.
inline descriptor stop_on_signals() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) throw_errno("pipe2");
    stop_end = ends[1];  // for as long as the program runs
    struct sigaction action {};
    action.sa_handler = stop;
    for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
    return descriptor(ends[0]);
}

}  // namespace support
