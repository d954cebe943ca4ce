// A server on the loopback that does with each connection what a test's script says.
//
//     test::script_server server([](test::connection& c) { c.request(), c.send("HTTP/1.1 204 \r\n\r\n"); });
//     connect_to(server.url("/stream"));
//     CHECK(server.requests().size() == 1);
#pragma once

#include <sse/adapters/detail/descriptor.hpp>
#include <sse/adapters/detail/wake_pipe.hpp>
#include <sse/http.hpp>
#include <sse/http1.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace test {

/// Ends a script: the client has gone, or the test is over.
struct script_over {};

/// So long a script waits for its client, and a test for its server: far more than either needs.
inline constexpr std::chrono::seconds guard{10};

inline void require(bool succeeded, const char* what) {
    if (!succeeded) throw std::system_error(sse::detail::last_error(), what);
}

inline void set_option(int socket, int level, int name, int value) {
    require(::setsockopt(socket, level, name, &value, sizeof value) == 0, "setsockopt");
}

/// The server's end of one connection. It is closed when the script returns.
class connection {
public:
    connection(int number, sse::detail::descriptor socket, int stop, std::vector<sse::request>& requests)
        : number_(number), socket_(std::move(socket)), stop_(stop), requests_(requests) {
        require(sse::detail::make_private_and_nonblocking(socket_.get()), "fcntl");
        set_option(socket_.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    }

    /// The first one is 1.
    int number() const noexcept { return number_; }

    /// Waits for it, once.
    const sse::request& request() {
        if (request_) return *request_;
        sse::request_reader reader;
        std::string read;
        std::string_view rest;
        std::string body;
        for (sse::http_part part; (part = reader.next(rest)) != sse::http_part::end;) {
            if (reader.error()) throw std::runtime_error("request: " + std::string(reader.error().message()));
            if (part == sse::http_part::body) body += reader.body();
            if (part == sse::http_part::none) rest = read = receive();
        }
        request_ = reader.request();
        request_->body = std::move(body);
        requests_.push_back(*request_);
        return *request_;
    }

    /// Of any form, such as a proxy is sent.
    void skip_head() {
        std::string head;
        while (!head.ends_with("\r\n\r\n")) head += receive();
    }

    /// Of a client that keeps the connection.
    const sse::request& next_request() {
        request_.reset();
        return request();
    }

    std::optional<std::string_view> header(std::string_view name) {
        return sse::find_header(request().headers, name);
    }

    void send(std::string_view bytes) {
        while (!bytes.empty()) {
            wait_for(POLLOUT);
            const auto count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (count < 0 && errno == EAGAIN) continue;
            if (count < 0) throw script_over();
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
    }

    void send_byte_by_byte(std::string_view bytes) {
        for (; !bytes.empty(); bytes.remove_prefix(1)) {
            send(bytes.substr(0, 1));
            std::this_thread::yield();  // so that the client sees some of them alone
        }
    }

    /// The client sees the end of the stream, once it has read what was sent.
    void close() { socket_ = {}; }

    /// The client sees that the connection was reset, perhaps before it has read what was sent.
    void reset() {
        const linger at_once{1, 0};
        require(::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0, "linger");
        close();
    }

    /// What else the client sends is dropped.
    void wait_for_close() {
        for (;;) receive();  // which ends the script
    }

    void pause(std::chrono::milliseconds time) { wait(-1, 0, time); }

private:
    std::string receive() {
        std::array<char, 16384> buffer;
        for (;;) {
            wait_for(POLLIN);
            const auto count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
            if (count < 0 && errno == EAGAIN) continue;
            if (count <= 0) throw script_over();
            return {buffer.data(), static_cast<std::size_t>(count)};
        }
    }

    void wait_for(short events) {
        if (!wait(socket_.get(), events, guard))
            throw std::runtime_error("the client keeps a script waiting");
    }

    /// \return whether the events have come
    bool wait(int file, short events, std::chrono::milliseconds time) {
        std::array<pollfd, 2> files{pollfd{file, events, 0}, pollfd{stop_, POLLIN, 0}};
        int count = -1;
        do count = ::poll(files.data(), files.size(), static_cast<int>(time.count()));
        while (count < 0 && errno == EINTR);
        require(count >= 0, "poll");
        if (files[1].revents != 0) throw script_over();
        return count > 0;
    }

    int number_;
    sse::detail::descriptor socket_;
    int stop_;
    std::vector<sse::request>& requests_;
    std::optional<sse::request> request_{};
};

/// One connection after the other, on a thread of its own.
class script_server {
public:
    using script = std::function<void(connection&)>;

    /// \throws std::system_error where there is no such address
    explicit script_server(script what, const char* address = "127.0.0.1", int receive_buffer_bytes = 0)
        : script_(std::move(what)), listener_(listen_at(address, receive_buffer_bytes)) {
        sockaddr_storage bound{};
        socklen_t size = sizeof bound;
        require(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&bound), &size) == 0,
                "getsockname");
        const bool is_ipv6 = bound.ss_family == AF_INET6;
        port_ = ntohs(is_ipv6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                              : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
        host_ = is_ipv6 ? '[' + std::string(address) + ']' : address;
        thread_ = std::thread([this] { serve(); });
    }
    script_server(const script_server&) = delete;
    script_server& operator=(const script_server&) = delete;
    ~script_server() {
        stop();
        CHECK_MESSAGE(problem_.empty(), problem_);
    }

    std::string port() const { return std::to_string(port_); }
    std::string origin() const { return "http://" + host_ + ':' + port(); }
    std::string url(std::string_view target = "/") const { return origin().append(target); }

    /// How many there were, with those that were still waiting for their turn. Stops the server.
    int connections() {
        stop();
        return connections_;
    }

    /// Those that the scripts have asked for. Stops the server.
    const std::vector<sse::request>& requests() {
        stop();
        return requests_;
    }

    /// Ends the script that runs, should it wait for something.
    void stop() {
        if (!thread_.joinable()) return;
        require(::write(stop_.write_end.get(), "", 1) == 1, "write");
        thread_.join();
    }

private:
    static sse::detail::descriptor listen_at(const char* address, int receive_buffer_bytes) {
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
        addrinfo* to = nullptr;
        require(::getaddrinfo(address, "0", &hints, &to) == 0, "getaddrinfo");
        sse::detail::descriptor listener(::socket(to->ai_family, SOCK_STREAM, 0));
        const bool is_bound = listener && ::bind(listener.get(), to->ai_addr, to->ai_addrlen) == 0;
        ::freeaddrinfo(to);
        require(is_bound, "bind");
        if (receive_buffer_bytes > 0) set_option(listener.get(), SOL_SOCKET, SO_RCVBUF, receive_buffer_bytes);
        require(::listen(listener.get(), 64) == 0, "listen");
        // Whoever waits to be accepted may have gone by then.
        require(sse::detail::make_private_and_nonblocking(listener.get()), "fcntl");
        return listener;
    }

    void serve() {
        for (;;) {
            std::array<pollfd, 2> files{pollfd{listener_.get(), POLLIN, 0},
                                        pollfd{stop_.read_end.get(), POLLIN, 0}};
            while (::poll(files.data(), files.size(), -1) < 0) {
            }
            if (files[0].revents == 0) return;
            sse::detail::descriptor socket(::accept(listener_.get(), nullptr, nullptr));
            if (!socket) continue;
            ++connections_;
            try {
                connection accepted(connections_, std::move(socket), stop_.read_end.get(), requests_);
                script_(accepted);
            } catch (const script_over&) {
            } catch (const std::exception& error) {
                problem_ = error.what();
            }
        }
    }

    script script_;
    sse::detail::descriptor listener_;
    sse::detail::wake_pipe stop_{};
    std::uint16_t port_ = 0;
    std::string host_{};

    // Of the thread, until it has been joined.
    int connections_ = 0;
    std::vector<sse::request> requests_{};
    std::string problem_{};

    std::thread thread_{};
};

}  // namespace test
