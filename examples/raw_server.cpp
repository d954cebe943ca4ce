// A server of events without a channel: one thread, poll(), and the encoder. Each client gets events of its own.
//
//     raw_server [--host H] [--port N]
//
// `/stream` is the stream, `/` is a page that shows it in a browser. Each client has its own count, which is the
// ID of its events: if it comes back with Last-Event-ID, it goes on from there. If all clients get the same
// events, begin with server.cpp instead.
#include "raw_server_page.hpp"
#include "support/listener.hpp"
#include "support/program.hpp"
#include "support/socket.hpp"

#include <sse/encoder.hpp>
#include <sse/fmt.hpp>
#include <sse/http.hpp>
#include <sse/http1.hpp>

#include <fmt/chrono.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

// The defaults are those of `settings`.
constexpr std::string_view usage = R"(usage: raw_server [options]

Serves events at /stream and a page that shows them at /.

  --host HOST    the address to listen on (default {host})
  --port N       the port; 0: any that is free (default {port})
  --tick MS      the time between two events (default {tick})
  --retry MS     the pause before clients come back (default {retry})
  --patience MS  how long a request or an answer may last (default {patience})
)";

constexpr std::size_t max_head_bytes = std::size_t{8} * 1024;
constexpr int max_unsent_bytes = 64 * 1024;
constexpr auto accept_pause = 1s;
constexpr std::string_view time_format = "{:%FT%TZ}";

struct settings {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8080;
    std::chrono::milliseconds tick = 1s;
    std::chrono::milliseconds retry = 10s;
    std::chrono::milliseconds patience = 10s;
    bool help = false;
};

enum class stage {
    request,   // it sends its request
    stream,    // it listens to the events
    answer,    // it takes an answer, after which nothing comes
    farewell,  // it has the answer, and may still be sending
    gone,
};

struct client {
    support::descriptor socket;
    std::string name;
    steady::time_point deadline;
    stage at = stage::request;
    std::optional<sse::request_reader> reader{std::in_place,
                                              sse::http1_options{.max_head_bytes = max_head_bytes}};
    std::string unsent = {};
    std::uint64_t last_id = 0;
};

// A line that cannot be written at once is left out: the clients must not wait for whoever reads them.
template <class... Args>
void say(int file, fmt::format_string<Args...> format, Args&&... args) {
    pollfd polled{file, POLLOUT, 0};
    if (::poll(&polled, 1, 0) != 1 || (polled.revents & POLLOUT) == 0) return;
    // NOLINTNEXTLINE(bugprone-unused-return-value): in a template it overlooks the cast
    static_cast<void>(support::write_all(file, fmt::format(format, std::forward<Args>(args)...)));
}

std::tm utc() { return fmt::gmtime(std::time(nullptr)); }

std::optional<std::uint64_t> parse_id(std::string_view text) {
    std::uint64_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return id;
}

class server {
public:
    explicit server(const settings& wanted)
        : settings_(wanted), listener_(support::listen_on(wanted.host, wanted.port, max_unsent_bytes)) {}

    std::string name() const { return support::name_of(listener_); }

    // Until `stopped` can be read.
    void run(const support::descriptor& stopped) {
        auto next_tick = now_ + settings_.tick;
        for (std::vector<pollfd> polled;;) {
            polled.assign(
                {{stopped.get(), POLLIN, 0}, {now_ < accept_again_ ? -1 : listener_.get(), POLLIN, 0}});
            auto wake = now_ < accept_again_ ? std::min(next_tick, accept_again_) : next_tick;
            for (const client& peer : clients_) {
                polled.push_back({peer.socket.get(), awaited(peer), 0});
                wake = std::min(wake, peer.deadline);
            }
            const int ready = ::poll(polled.data(), polled.size(), support::milliseconds_until(wake));
            if (ready < 0 && errno == EINTR) continue;
            if (ready < 0) support::throw_errno("poll");
            if (polled[0].revents != 0) return;

            now_ = steady::now();
            for (std::size_t i = 0; i != clients_.size(); ++i) serve(clients_[i], polled[i + 2].revents);
            if (polled[1].revents != 0) accept_clients();
            for (client& peer : clients_)
                if (now_ >= peer.deadline) leave(peer);
            if (audience_changed_) announce_audience();
            if (now_ >= next_tick) {
                tick();
                next_tick = std::max(next_tick + settings_.tick, now_);
            }
            std::erase_if(clients_, [](const client& peer) { return peer.at == stage::gone; });
        }
    }

private:
    static short awaited(const client& peer) {
        if (peer.at == stage::answer) return POLLOUT;
        return peer.unsent.empty() ? POLLIN : POLLIN | POLLOUT;
    }

    void accept_clients() {
        for (;;) {
            sockaddr_storage address{};
            socklen_t size = sizeof address;
            support::descriptor socket(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&address),
                                                 &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (socket) {
                clients_.push_back({.socket = std::move(socket),
                                    .name = support::name_of(address, size),
                                    .deadline = now_ + settings_.patience});
            } else if (support::would_block()) {
                return;
            } else if (errno != ECONNABORTED) {
                // No descriptors or no memory: the client waits in the queue, for which poll() would come
                // back at once and for ever.
                const std::error_code error(errno, std::generic_category());
                say(STDERR_FILENO, "raw_server: clients must wait: {}\n", error.message());
                accept_again_ = now_ + accept_pause;
                return;
            }
        }
    }

    void serve(client& peer, short happened) {
        if ((happened & (POLLERR | POLLNVAL)) != 0) return leave(peer, "connection lost");
        if ((happened & (POLLIN | POLLHUP)) != 0) read(peer);
        if ((happened & POLLOUT) != 0) write(peer);
    }

    void read(client& peer) {
        std::array<char, 4096> room;
        const auto count = ::recv(peer.socket.get(), room.data(), room.size(), 0);
        if (count < 0 && support::would_block()) return;
        // A client that has ended its side has left: browsers and curl close a stream so.
        if (count <= 0) return leave(peer, count == 0 ? "" : "connection lost");
        if (peer.at != stage::request) return;  // whatever else it has to say

        std::string_view bytes(room.data(), static_cast<std::size_t>(count));
        if (peer.reader->next(bytes) == sse::http_part::head) respond(peer);
        else if (peer.reader->error() == sse::errc::http_head_too_large)
            answer(peer, "431 Request Header Fields Too Large");
        else if (peer.reader->error()) answer(peer, "400 Bad Request");
    }

    void write(client& peer) {
        if (peer.at == stage::gone) return;
        const std::optional<std::size_t> sent = support::send(peer.socket, peer.unsent);
        if (!sent) return leave(peer, "connection lost");
        peer.unsent.erase(0, *sent);
        if (peer.at == stage::answer && peer.unsent.empty()) {
            // Closing at once would reset the connection if the client is still sending, and the answer
            // could be lost with it.
            ::shutdown(peer.socket.get(), SHUT_WR);
            peer.at = stage::farewell;
        }
    }

    void respond(client& peer) {
        const sse::request& request = peer.reader->request();
        const std::string_view target = request.url.target;
        const std::string_view path = target.substr(0, target.find('?'));
        if (path != "/" && path != "/stream") return answer(peer, "404 Not Found");
        const bool is_page = path == "/";
        if (is_page && (request.method == "GET" || request.method == "HEAD"))
            return answer(peer, "200 OK", "", "text/html; charset=utf-8", page);
        if (request.method != "GET")
            return answer(peer, "405 Method Not Allowed",
                          is_page ? "Allow: GET, HEAD\r\n" : "Allow: GET\r\n");
        open_stream(peer, parse_id(sse::find_header(request.headers, "Last-Event-ID").value_or("")));
    }

    void answer(client& peer, std::string_view status, std::string_view fields = {},
                std::string_view type = "text/plain", std::string_view content = {}) {
        const std::string_view body = content.empty() ? status : content;
        peer.unsent = fmt::format(
            "HTTP/1.1 {}\r\n"
            "{}"
            "Content-Type: {}\r\n"
            "Content-Length: {}\r\n"
            "Connection: close\r\n"
            "\r\n"
            "{}",
            status, fields, type, body.size(), peer.reader->request().method == "HEAD" ? "" : body);
        peer.at = stage::answer;
        peer.deadline = now_ + settings_.patience;
    }

    void open_stream(client& peer, std::optional<std::uint64_t> last_id) {
        peer.at = stage::stream;
        peer.deadline = steady::time_point::max();
        peer.reader.reset();  // with its memory
        peer.last_id = last_id.value_or(0);
        ++listeners_;
        audience_changed_ = true;
        say(STDOUT_FILENO, "{} came, {} listening\n", peer.name, listeners_);

        // The head leaves at once, with something behind it: the client sees an open stream before the first
        // tick. Any page may read the time: a stream that is not for everybody goes without
        // Access-Control-Allow-Origin, and looks at Host and Origin as live_server/requests.hpp does.
        peer.unsent =
            "HTTP/1.1 200 OK\r\n"
            "Content-Type: text/event-stream\r\n"
            "Cache-Control: no-cache\r\n"
            "X-Accel-Buffering: no\r\n"
            "Access-Control-Allow-Origin: *\r\n"
            "Connection: close\r\n"
            "\r\n";
        sse::error error = sse::encode_comment_to(peer.unsent, "the time, at each tick");
        if (!error)
            error = sse::format_to(peer.unsent, {.event = "connecttime", .retry = settings_.retry},
                                   time_format, utc());
        if (!error && last_id)
            error = sse::encode_to(peer.unsent, {.event = "resumed", .data = std::to_string(*last_id)});
        check(peer, error);
    }

    void tick() {
        const std::tm now = utc();
        for (client& peer : clients_) {
            if (peer.at != stage::stream) continue;
            const std::string id = std::to_string(++peer.last_id);
            check(peer, sse::format_to(peer.unsent, {.id = id}, time_format, now));
        }
    }

    // Encoded once, for everybody.
    void announce_audience() {
        audience_changed_ = false;
        const std::string frame = sse::encode({.event = "clients", .data = std::to_string(listeners_)});
        for (client& peer : clients_) {
            if (peer.at != stage::stream) continue;
            peer.unsent += frame;
            check(peer);
        }
    }

    // After each event: whoever does not read must not fill the memory.
    void check(client& peer, sse::error error = {}) {
        if (error) leave(peer, error.message());
        else if (peer.unsent.size() > std::size_t{max_unsent_bytes}) leave(peer, "does not read");
    }

    void leave(client& peer, std::string_view why = {}) {
        if (peer.at == stage::stream) {
            --listeners_;
            audience_changed_ = true;
            say(STDOUT_FILENO, "{} left{}{}, {} listening\n", peer.name, why.empty() ? "" : ": ", why,
                listeners_);
        }
        peer.at = stage::gone;
    }

    const settings& settings_;
    support::descriptor listener_;
    std::vector<client> clients_;
    std::size_t listeners_ = 0;
    bool audience_changed_ = false;
    steady::time_point now_ = steady::now();
    steady::time_point accept_again_{};
};

int raw_server(support::command_line arguments) {
    settings wanted;
    while (arguments.next()) {
        const auto milliseconds = [&arguments] {
            return std::chrono::milliseconds(arguments.number<std::int64_t>(1, 86'400'000));
        };
        if (arguments.is("--host")) wanted.host = arguments.value();
        else if (arguments.is("--port")) wanted.port = arguments.number<std::uint16_t>(0, 65535);
        else if (arguments.is("--tick")) wanted.tick = milliseconds();
        else if (arguments.is("--retry")) wanted.retry = milliseconds();
        else if (arguments.is("--patience")) wanted.patience = milliseconds();
        else if (arguments.is("--help")) wanted.help = true;
        else arguments.refuse();
    }
    if (wanted.help) {
        const settings defaults;
        support::write_out(
            fmt::format(usage, fmt::arg("host", defaults.host), fmt::arg("port", defaults.port),
                        fmt::arg("tick", defaults.tick.count()), fmt::arg("retry", defaults.retry.count()),
                        fmt::arg("patience", defaults.patience.count())));
        return 0;
    }

    server events(wanted);
    const support::descriptor stopped = support::stop_on_signals();
    say(STDOUT_FILENO, "listening on http://{}/\n", events.name());
    events.run(stopped);
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return support::run("raw_server", argc, argv, raw_server); }
