// What swarm publishes, and the connection that posts it.
#pragma once

#include "figures.hpp"
#include "sockets.hpp"

#include "../../examples/support/socket.hpp"

#include <sse/http.hpp>
#include <sse/http1.hpp>

#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace swarm {

// What an event's data says of it: which swarm published it, as which of its events, and when.
struct stamp {
    std::uint64_t number = 0;
    nanoseconds time = 0;
};

inline std::string make_data(std::string_view tag, const stamp& stamp, std::size_t bytes) {
    std::string data = fmt::format("{}{} {} ", tag, stamp.number, stamp.time);
    data.resize(bytes, 'x');
    return data;
}

// Nothing where it is of somebody else, or not whole.
inline std::optional<stamp> read_stamp(std::string_view tag, std::string_view data, std::size_t bytes) {
    if (!data.starts_with(tag) || data.size() != bytes) return std::nullopt;
    stamp result;
    const char* const last = data.data() + data.size();
    const auto number = std::from_chars(data.data() + tag.size(), last, result.number);
    if (number.ec != std::errc() || number.ptr == last) return std::nullopt;
    const auto time = std::from_chars(number.ptr + 1, last, result.time);
    return time.ec == std::errc() ? std::optional(result) : std::nullopt;
}

// Posts events on one connection, without waiting for the answers to those before.
class publisher {
public:
    explicit publisher(const sse::url& url)
        : request_{.method = "POST", .url = url, .headers = {{"Content-Type", "text/plain"}}},
          address_(loopback_address(url)) {}

    void connect() { socket_ = begin_connecting(address_); }
    bool is_connected() const { return bool(socket_); }
    int socket() const { return socket_.get(); }
    bool is_idle() const { return unanswered_ == 0; }

    void post(std::string body) {
        request_.body = std::move(body);
        unsent_ += to_text(request_);
        ++unanswered_;
    }

    // Sends what the socket takes. To be called when it is writable too, as long as this returns true.
    bool send() {
        while (!unsent_.empty()) {
            const auto sent = ::send(socket_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
            if (sent < 0 && (support::would_block() || errno == ENOTCONN)) break;
            if (sent < 0) support::throw_errno("publishing");
            unsent_.erase(0, static_cast<std::size_t>(sent));
        }
        return !unsent_.empty();
    }

    void receive(std::string& room) {
        const auto received = ::recv(socket_.get(), room.data(), room.size(), 0);
        if (received < 0 && support::would_block()) return;
        if (received < 0) support::throw_errno("publishing");
        if (received == 0) return end();
        std::string_view bytes(room.data(), static_cast<std::size_t>(received));
        for (sse::http_part part; (part = reader_.next(bytes)) != sse::http_part::none;) {
            if (part == sse::http_part::end) take_answer();
        }
        if (const std::error_code error = reader_.error()) throw std::system_error(error, "publishing");
    }

private:
    // Servers do so when nothing has been asked for a while.
    void end() {
        if (!is_idle()) throw std::runtime_error("the server ended the connection that publishes");
        socket_ = {};
    }

    void take_answer() {
        const int status = reader_.response().status;
        if (status / 100 != 2) throw std::runtime_error(fmt::format("publishing was answered {}", status));
        --unanswered_;
        reader_.reset();
    }

    sse::request request_;
    sockaddr_in address_;
    support::descriptor socket_{};
    std::string unsent_{};
    std::uint64_t unanswered_ = 0;
    sse::response_reader reader_{};
};

}  // namespace swarm
