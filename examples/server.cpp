// A server of events, to copy: one thread and poll(); a channel for the events; a request_reader and then a
// session for each client. Each line of standard input becomes an event: put your own in its place.
//
//     while date; do sleep 1; done | server [--port 8080]
//
// The stream is at /events. To let pages of other origins read it, give their origins to stream_response(). If
// some pages must not read it, check the Host field as well: live_server/requests.hpp shows why and how.
#include "support/listener.hpp"
#include "support/program.hpp"
#include "support/socket.hpp"

#include <sse/sse.hpp>

#include <poll.h>

#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace std::chrono_literals;

struct client {
    support::descriptor socket;
    std::chrono::steady_clock::time_point deadline;            // while it has no session
    std::optional<sse::request_reader> reader{std::in_place};  // until its request is answered
    std::optional<sse::session> session{};
    short awaited = POLLIN;
};

struct server {
    support::descriptor listener;
    support::descriptor stopped;  // can be read once the program is to stop
    std::string line{};           // of standard input: its end has not come
    const sse::session_options options{.retry = 2s, .heartbeat = 15s, .send_timeout = 30s};
    sse::channel channel{{.max_events = 10'000, .max_bytes = 8 << 20, .max_age = 10min}};
    std::vector<client> clients{};
    char room[4096]{};
    std::chrono::steady_clock::time_point now{};

    // Until `stopped` can be read or standard input ends, and then until all clients have got their farewell.
    void run() {
        const std::size_t max_clients = support::free_descriptors();  // one more waits until another leaves
        for (std::vector<pollfd> polled; listener || !clients.empty();) {
            polled.assign({{stopped.get(), POLLIN, 0}, {listener ? STDIN_FILENO : -1, POLLIN, 0}});
            polled.push_back({clients.size() < max_clients ? listener.get() : -1, POLLIN, 0});
            for (const client& each : clients) polled.push_back({each.socket.get(), each.awaited, 0});
            // At least once a second, for the deadlines. If other threads publish, let the channel's `wake_up`
            // write to an eventfd, and poll that as well.
            if (::poll(polled.data(), polled.size(), 1000) < 0 && errno != EINTR)
                support::throw_errno("poll");
            now = std::chrono::steady_clock::now();
            for (std::size_t i = 0; i != clients.size(); ++i)
                if (polled[i + 3].revents != 0) read(clients[i]);
            if (polled[2].revents != 0) clients.push_back({support::accept_from(listener), now + 10s});
            if (polled[0].revents != 0 || (polled[1].revents != 0 && !publish_lines())) drain();
            for (client& each : clients) serve(each);
            std::erase_if(clients, [](const client& each) { return !each.socket; });
        }
    }

    // Returns whether there may be more.
    bool publish_lines() {
        const auto size = ::read(STDIN_FILENO, room, sizeof room);
        if (size > 0) line.append(room, static_cast<std::size_t>(size));
        else if (!line.empty()) line += '\n';  // the last line needs none
        for (std::size_t end; (end = line.find('\n')) != std::string::npos; line.erase(0, end + 1))
            if (const auto published = channel.publish({.data = line.substr(0, end)}); published.error)
                support::complain("server", published.error.message());
        return size > 0;
    }

    void read(client& peer) {
        auto bytes = support::receive(peer.socket, room);
        if (!bytes) peer.socket = {};  // it has left
        else if (peer.reader && (peer.reader->next(*bytes) == sse::http_part::head || peer.reader->error()))
            answer(peer);
    }

    void answer(client& peer) {
        const sse::request& request = peer.reader->request();
        sse::response head{.status = peer.reader->error() ? 400 : 404};
        if (!peer.reader->error() && request.method == "GET" && request.url.target == "/events")
            head = sse::stream_response(request.headers);
        head.headers.push_back({"Connection", "close"});
        std::string bytes;
        static_cast<void>(sse::write_head(bytes, head));  // cannot fail: all fields are our own
        if (head.status == 200) {
            const auto last_id = sse::find_header(request.headers, "Last-Event-ID").value_or("");
            peer.session.emplace(options, channel.subscribe(last_id), bytes, now);
        } else {
            support::send(peer.socket, bytes);
            ::shutdown(peer.socket.get(), SHUT_WR);  // to close it now could reset it, and lose the answer
        }
        peer.reader.reset();
    }

    void serve(client& peer) const {
        if (!peer.session && (!listener || now >= peer.deadline)) peer.socket = {};
        while (peer.socket && peer.session) {
            const sse::session::task task = peer.session->next(now);
            peer.awaited = task.step == sse::session::step::send ? POLLIN | POLLOUT : POLLIN;
            if (task.step == sse::session::step::wait) return;
            if (task.step == sse::session::step::finished) return void(peer.socket = {});
            const auto size = support::send(peer.socket, task.bytes);
            if (!size) return void(peer.socket = {});  // the connection is lost
            if (*size == 0) return;
            peer.session->sent(*size, now);
        }
    }

    // Each client is asked to come back after a pause of its own, so that they do not all come at once.
    void drain() {
        listener = {};
        stopped = {};
        for (client& each : clients)
            if (each.session) each.session->drain(std::random_device{}(), now);
    }
};

int main(int argc, char** argv) {
    return support::run("server", argc, argv, [](support::command_line arguments) {
        const auto port = arguments.port("usage: server [--port N]\n\nServes its input at /events.\n");
        server server{support::listen_on("127.0.0.1", port, 0), support::stop_on_signals()};
        support::write_out("listening on http://" + support::name_of(server.listener) + "/\n");
        server.run();
        return 0;
    });
}
