// The least that serves events: a loop of send() over all sockets. No log, no ids, no patience: who does not
// take an event at once is dropped. What others do beyond it is to be paid by what they save.
//
//     bare_server [--port N]
#include "../examples/support/listener.hpp"
#include "../examples/support/program.hpp"
#include "../examples/support/socket.hpp"

#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

struct client {
    support::descriptor socket{};
    std::string request{};
    std::size_t place = 0;  // among the subscribers, from 1 on
};

class server {
public:
    explicit server(std::uint16_t port)
        : listener_(support::listen_on("127.0.0.1", port, 0)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
        if (!epoll_) support::throw_errno("epoll_create1");
        watch(listener_);
    }

    std::string name() const { return support::name_of(listener_); }

    [[noreturn]] void run() {
        for (std::array<epoll_event, 256> events;;) {
            const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
            if (ready < 0 && errno != EINTR) support::throw_errno("epoll_wait");
            for (int i = 0; i < ready; ++i) {
                const int socket = events[static_cast<std::size_t>(i)].data.fd;
                if (socket == listener_.get()) accept();
                else receive(clients_[static_cast<std::size_t>(socket)]);
            }
        }
    }

private:
    void watch(const support::descriptor& socket) {
        epoll_event event{.events = EPOLLIN, .data = {.fd = socket.get()}};
        if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.get(), &event) != 0)
            support::throw_errno("epoll_ctl");
    }

    void accept() {
        support::descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!socket && support::would_block()) return;
        if (!socket) support::throw_errno("accept4");
        watch(socket);
        const auto place = static_cast<std::size_t>(socket.get());
        if (clients_.size() <= place) clients_.resize(place + 1);
        clients_[place].socket = std::move(socket);
    }

    void drop(client& which) {
        if (which.place != 0) {
            client& last = clients_[static_cast<std::size_t>(subscribers_.back())];
            subscribers_[which.place - 1] = last.socket.get();
            last.place = which.place;
            subscribers_.pop_back();
        }
        which = {};
    }

    void receive(client& from) {
        if (!from.socket) return;  // dropped since it was found to be readable
        const auto received = ::recv(from.socket.get(), room_.data(), room_.size(), MSG_DONTWAIT);
        if (received < 0 && errno == EAGAIN) return;
        if (received <= 0) return drop(from);
        from.request.append(room_.data(), static_cast<std::size_t>(received));
        while (from.socket && take_request(from)) {
        }
    }

    // Returns whether there was a whole one.
    bool take_request(client& from) {
        const std::size_t head_size = from.request.find("\r\n\r\n");
        if (head_size == std::string::npos) return false;
        const std::string_view head = std::string_view(from.request).substr(0, head_size);
        const std::size_t body_size = content_length(head);
        const std::size_t size = head_size + 4 + body_size;
        if (from.request.size() < size) return false;
        if (head.starts_with("GET /events ")) subscribe(from);
        else if (head.starts_with("POST /publish ")) {
            publish(std::string_view(from.request).substr(head_size + 4, body_size));
            send(from, "HTTP/1.1 204 No Content\r\n\r\n");
        } else {
            send(from, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        }
        if (from.socket) from.request.erase(0, size);
        return true;
    }

    static std::size_t content_length(std::string_view head) {
        constexpr std::string_view name = "\r\nContent-Length: ";
        const std::size_t at = head.find(name);
        std::size_t length = 0;
        if (at != std::string_view::npos)
            std::from_chars(head.data() + at + name.size(), head.data() + head.size(), length);
        return length;
    }

    void subscribe(client& which) {
        send(which, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n");
        if (!which.socket || which.place != 0) return;
        subscribers_.push_back(which.socket.get());
        which.place = subscribers_.size();
    }

    void publish(std::string_view data) {
        const std::string event = fmt::format("data: {}\n\n", data);
        for (std::size_t i = subscribers_.size(); i-- > 0;)  // who is dropped gives its place to a later one
            send(clients_[static_cast<std::size_t>(subscribers_[i])], event);
    }

    void send(client& to, std::string_view bytes) {
        const auto sent = ::send(to.socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent != static_cast<ssize_t>(bytes.size())) drop(to);
    }

    support::descriptor listener_;
    support::descriptor epoll_;
    std::vector<client> clients_{};  // by the number of the socket
    std::vector<int> subscribers_{};
    std::string room_ = std::string(std::size_t{64} << 10, '\0');
};

int run(support::command_line arguments) {
    server server(arguments.port("usage: bare_server [--port N]\n"));
    support::write_out(fmt::format("listening on http://{}/\n", server.name()));
    server.run();
}

}  // namespace

int main(int argc, char** argv) { return support::run("bare_server", argc, argv, run); }
