// Connections to a server on this machine.
#pragma once

#include "../../examples/support/program.hpp"
#include "../../examples/support/socket.hpp"

#include <sse/http.hpp>
#include <sse/http1.hpp>

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace swarm {

inline sockaddr_in loopback_address(const sse::url& url) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(url.port);
    const std::string host = url.host == "localhost" ? "127.0.0.1" : url.host;
    const bool parsed = ::inet_pton(AF_INET, host.c_str(), &address.sin_addr) == 1;
    if (!parsed || ntohl(address.sin_addr.s_addr) >> 24 != 127)
        throw support::usage_error(fmt::format("{} is not on 127.0.0.1", url.host));
    return address;
}

inline void set_option(const support::descriptor& socket, int level, int option, int value) {
    if (::setsockopt(socket.get(), level, option, &value, sizeof value) != 0)
        support::throw_errno("setsockopt");
}

inline support::descriptor begin_connecting(const sockaddr_in& address, int receive_buffer = 0) {
    support::descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) support::throw_errno("socket");
    set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    if (receive_buffer != 0) set_option(socket, SOL_SOCKET, SO_RCVBUF, receive_buffer);
    const auto* const to = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(socket.get(), to, sizeof address) != 0 && errno != EINPROGRESS)
        support::throw_errno("connect");
    return socket;
}

inline std::string to_text(const sse::request& request) {
    std::string text;
    if (const std::error_code error = sse::write_request(text, request)) throw std::system_error(error);
    return text;
}

}  // namespace swarm
