// A server of live events for tens of thousands of subscribers: one log, epoll, a thread per core at most.
//
//     live_server [--host H] [--port N]
//
// `/` is a page that shows the events of `/events`; `/publish` takes new ones by POST. What a subscriber has
// missed it gets when it comes back with Last-Event-ID, as browsers do by themselves.
#include "live_server_page.hpp"
#include "support/listener.hpp"
#include "support/program.hpp"
#include "support/socket.hpp"

#include <sse/channel.hpp>
#include <sse/http.hpp>
#include <sse/http1.hpp>
#include <sse/parser.hpp>
#include <sse/session.hpp>

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;
using milliseconds = std::chrono::milliseconds;

// The defaults are those of `settings`.
constexpr std::string_view usage = R"(usage: live_server [options]

  GET /             a page that shows the events
  GET /events       the events; ?type=NAME for those only, up to 16 times
  POST /publish     a new one, of the body; ?type=NAME gives it a type. Several
                    where the body is itself a text/event-stream
  GET /stats        figures

  --host HOST       the address to listen on (default {host})
  --port N          the port; 0 for any that is free (default {port})
  --name NAME       a further name of this server, such as example.org, or as
                    its proxy calls it; may be given several times. Besides,
                    requests may name HOST, localhost and any IP address. Other
                    names are refused: a page could let a name of its own lead
                    here, to read and publish (DNS rebinding)
  --origin ORIGIN   a further one, such as https://example.org, whose pages may
                    read and publish, or *; may be given several times. Behind
                    a proxy that changes Host, the server's own is one as well
  --threads N       how many serve (default: one for each core)
  --max-connections N
                    further ones are turned away with 503 (default {connections}, or
                    as many as the limit of descriptors allows)
  --patience MS     how long a client may take for a request, or to take the
                    answer (default {patience})
  --send-buffer BYTES
                    of the kernel's, for each connection (default: its choice)

  --events N        how many are kept for those who come back (default {events})
  --bytes N         in how much memory at most (default {bytes})
  --age S           for how many seconds; 0 for ever (default {age})
  --tick MS         between two events of the ticker; 0 for none (default {tick})

  --retry MS        the pause before subscribers come back (default {retry})
  --heartbeat MS    the pause before a comment shows that the stream is alive
                    (default {heartbeat})
  --send-timeout MS how long a subscriber may leave bytes unread
                    (default {send_timeout})
  --when-behind POLICY
                    what is done with one that falls behind what is kept:
                    disconnect, skip-to-oldest or skip-to-latest (default
                    disconnect)
  --when-unknown POLICY
                    what one gets whose last event ID is unknown: replay-all or
                    only-new (default replay-all)
  --drain MS        how long the farewell may take, on SIGTERM (default {drain})
  --help            this
)";

constexpr std::size_t max_body_bytes = std::size_t{1} << 20;
constexpr std::size_t max_bodies_bytes = std::size_t{64} << 20;  // of all requests under way
constexpr std::size_t max_unsent_bytes = std::size_t{64} << 10;
constexpr std::size_t max_types = 16;
constexpr std::size_t max_type_bytes = 64;
constexpr std::size_t max_name_bytes = 32;
constexpr std::size_t max_names_to_cut = 1000;
constexpr std::size_t default_max_connections = 100'000;
constexpr auto sweep_pause = 500ms;

struct settings {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8080;
    std::vector<std::string> names{};  // in lower case, without a dot at the end
    sse::cors_options cors{};
    std::size_t threads = std::max(1U, std::thread::hardware_concurrency());
    std::optional<std::size_t> max_connections{};
    milliseconds patience = 10s;
    int send_buffer = 0;
    sse::channel_options log{};
    milliseconds tick = 250ms;
    sse::session_options subscriber{.retry = 2s};
    sse::when_unknown when_unknown = sse::when_unknown::replay_all;
    bool help = false;
};

// What the figures are made of, by all threads.
struct counters {
    std::atomic<std::uint64_t> connections{0};
    std::atomic<std::size_t> bodies_bytes{0};
    std::atomic<std::uint64_t> delivered_bytes{0};
    std::atomic<std::uint64_t> sends{0};
    std::atomic<std::uint64_t> dropped_slow{0};
    std::atomic<std::uint64_t> cut{0};
    std::atomic<std::uint64_t> rejected{0};
};

void count(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) noexcept {
    counter.fetch_add(by, std::memory_order_relaxed);
}

// Requests

// "a%20b+c" is "a b c".
std::string decode(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        unsigned char byte = 0;
        const bool is_coded =
            text.size() >= 3 && text[0] == '%' &&
            std::from_chars(text.data() + 1, text.data() + 3, byte, 16).ptr == text.data() + 3;
        if (is_coded) result += static_cast<char>(byte);
        else result += text[0] == '+' ? ' ' : text[0];
        text.remove_prefix(is_coded ? 3 : 1);
    }
    return result;
}

// The values that a target's query has for a name.
std::vector<std::string> parameters(std::string_view target, std::string_view name) {
    std::vector<std::string> result;
    const std::size_t mark = target.find('?');
    std::string_view rest = mark == std::string_view::npos ? "" : target.substr(mark + 1);
    while (!rest.empty()) {
        const std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
        const std::size_t equals = std::min(pair.find('='), pair.size());
        if (decode(pair.substr(0, equals)) != name) continue;
        result.push_back(decode(pair.substr(std::min(equals + 1, pair.size()))));
    }
    return result;
}

std::string first_parameter(std::string_view target, std::string_view name) {
    const std::vector<std::string> values = parameters(target, name);
    return values.empty() ? std::string() : values.front();
}

std::string_view path_of(std::string_view target) { return target.substr(0, target.find('?')); }

std::uint64_t random_bits() {
    thread_local std::mt19937_64 engine{std::random_device{}()};
    return engine();
}

class loop;

// What all threads share.
struct server {
    server(settings given, std::size_t connections)
        : options(std::move(given)), max_connections(connections), channel([this] {
              sse::channel_options log = options.log;
              log.wake_up = [this] { wake_all(); };
              return log;
          }()) {}

    void wake_all() const;
    bool cut(const std::string& name) const;
    void drain();
    std::string stats() const;

    const settings options;
    const std::size_t max_connections;
    const steady::time_point started = steady::now();
    counters figures{};
    std::atomic<bool> is_draining{false};
    std::vector<std::unique_ptr<loop>> loops{};  // not changed once they run
    sse::channel channel;
};

// A request's body. All bodies share `max_bodies_bytes`, and none keeps its memory beyond its request.
class shared_body {
public:
    explicit shared_body(std::atomic<std::size_t>& total) noexcept : total_(total) {}
    shared_body(const shared_body&) = delete;
    shared_body& operator=(const shared_body&) = delete;
    ~shared_body() { clear(); }

    std::string_view text() const noexcept { return text_; }

    // Returns whether there is room. The body must not become larger than `max_body_bytes`.
    bool append(std::string_view bytes) {
        const std::size_t size = text_.size() + bytes.size();
        if (size > text_.capacity()) {
            const std::size_t room = std::clamp(2 * text_.capacity(), size, max_body_bytes);
            const std::size_t added = room - std::exchange(counted_, room);
            if (total_.fetch_add(added, std::memory_order_relaxed) + added > max_bodies_bytes) return false;
            text_.reserve(room);
        }
        text_ += bytes;
        return true;
    }

    void clear() noexcept {
        std::string().swap(text_);  // clear() would keep the memory
        total_.fetch_sub(std::exchange(counted_, 0), std::memory_order_relaxed);
    }

private:
    std::atomic<std::size_t>& total_;
    std::size_t counted_ = 0;  // in the total
    std::string text_{};
};

// A request, and the answer to it.
struct exchange {
    explicit exchange(std::atomic<std::size_t>& bodies_bytes) : body(bodies_bytes) { expect_request(); }

    // Nothing of the request before stays in memory.
    void expect_request() {
        reader.emplace(sse::http1_options{.max_head_bytes = std::size_t{16} << 10, .max_headers = 100});
        body.clear();
    }

    std::optional<sse::request_reader> reader{};
    shared_body body;
    std::string unsent{};
    steady::time_point deadline{};
    bool is_idle = true;      // no request has begun
    bool is_closing = false;  // this was the last one
    bool is_over = false;     // and has been answered: what still comes is thrown away
};

struct client {
    support::descriptor socket;
    std::size_t index;  // among the loop's
    std::unique_ptr<exchange> http;
    std::optional<sse::session> stream{};  // then there is no exchange any more
    std::string name{};
    bool is_blocked = false;  // until the socket can be written
    bool is_gone = false;
};

// One thread, and its clients.
class loop {
public:
    loop(server& shared, const support::descriptor& listener)
        : server_(shared),
          listener_(listener),
          epoll_(::epoll_create1(EPOLL_CLOEXEC)),
          wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
        if (!epoll_ || !wake_ || !watch(EPOLL_CTL_ADD, wake_, EPOLLIN, &wake_) || !listen())
            throw std::system_error(errno, std::generic_category(), "epoll");
    }

    // From any thread

    void wake() const noexcept { static_cast<void>(::eventfd_write(wake_.get(), 1)); }

    // Returns whether there is room for the name.
    bool cut(const std::string& name) {
        {
            const std::lock_guard lock(mutex_);
            if (to_cut_.size() == max_names_to_cut && !to_cut_.contains(name)) return false;
            to_cut_.insert(name);
        }
        wake();
        return true;
    }

    // Until it has been drained

    void run() {
        auto next_sweep = steady::now() + sweep_pause;
        bool was_draining = false;
        std::array<epoll_event, 256> happened;
        while (!was_draining || !clients_.empty()) {
            const auto pause = std::chrono::ceil<milliseconds>(next_sweep - steady::now()).count();
            const int count = ::epoll_wait(epoll_.get(), happened.data(), static_cast<int>(happened.size()),
                                           static_cast<int>(std::max<std::int64_t>(pause, 0)));
            if (count < 0 && errno != EINTR)
                throw std::system_error(errno, std::generic_category(), "epoll_wait");
            now_ = steady::now();

            bool is_woken = false;
            for (int i = 0; i < count; ++i) {
                const epoll_event& each = happened[static_cast<std::size_t>(i)];
                if (each.data.ptr == &wake_) is_woken = true;
                else if (each.data.ptr == this) accept_clients();
                else
                    guard(*static_cast<client*>(each.data.ptr),
                          [&](client& peer) { serve(peer, each.events); });
            }
            if (is_woken) {
                eventfd_t ignored = 0;
                static_cast<void>(::eventfd_read(wake_.get(), &ignored));
                cut_clients();
                for_each_client([this](client& each) {
                    if (each.stream && !each.is_blocked) pump(each);
                });
            }
            if (server_.is_draining && !std::exchange(was_draining, true)) say_farewell();
            if (now_ >= next_sweep) {
                sweep();
                next_sweep = now_ + sweep_pause;
            }
            gone_.clear();
        }
    }

private:
    // What goes wrong with one client, as when memory is short, is the end of that one alone.
    template <class Use>
    void guard(client& each, Use use) {
        try {
            use(each);
        } catch (const std::exception&) {
            remove(each);
        }
    }

    // Backwards: one that goes is replaced by the last.
    template <class Use>
    void for_each_client(Use use) {
        for (std::size_t i = clients_.size(); i != 0;) guard(*clients_[--i], use);
    }

    bool watch(int operation, const support::descriptor& what, std::uint32_t events, void* data) const {
        epoll_event event{};
        event.events = events;
        event.data.ptr = data;
        return ::epoll_ctl(epoll_.get(), operation, what.get(), &event) == 0;
    }

    // Of the threads that wait for a connection one is woken, not all.
    bool listen() { return is_listening_ = watch(EPOLL_CTL_ADD, listener_, EPOLLIN | EPOLLEXCLUSIVE, this); }

    void stop_listening() {
        if (std::exchange(is_listening_, false)) watch(EPOLL_CTL_DEL, listener_, 0, this);
    }

    // Clients

    // If there are no descriptors or there is no memory, the client waits in the queue, which would wake this
    // thread again and again. The sweep listens again.
    void accept_clients() {
        try {
            for (int left = 64; left != 0; --left) {
                support::descriptor socket(
                    ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
                if (!socket && (support::would_block() || errno == ECONNABORTED)) return;
                if (!socket || !add(std::move(socket))) return stop_listening();
            }
        } catch (const std::bad_alloc&) {
            stop_listening();
        }
    }

    bool add(support::descriptor socket) {
        if (server_.figures.connections.load(std::memory_order_relaxed) >= server_.max_connections) {
            turn_away(socket);
            return true;
        }
        auto added = std::make_unique<client>(
            client{.socket = std::move(socket),
                   .index = clients_.size(),
                   .http = std::make_unique<exchange>(server_.figures.bodies_bytes)});
        added->http->deadline = now_ + server_.options.patience;
        client& peer = *added;
        // This allocation may fail, so it comes before the client is counted. Removing clients must not fail,
        // even if all of them go in one round.
        const std::size_t needed = gone_.size() + clients_.size() + 1;
        if (gone_.capacity() < needed) gone_.reserve(2 * needed);
        clients_.push_back(std::move(added));
        count(server_.figures.connections);
        if (watch(EPOLL_CTL_ADD, peer.socket, EPOLLIN | EPOLLRDHUP, &peer)) return true;
        remove(peer);
        return false;
    }

    void turn_away(const support::descriptor& socket) {
        static constexpr std::string_view answer =
            "HTTP/1.1 503 Service Unavailable\r\n"
            "Retry-After: 5\r\n"
            "Content-Length: 0\r\n"
            "Connection: close\r\n"
            "\r\n";
        static_cast<void>(::send(socket.get(), answer.data(), answer.size(), MSG_NOSIGNAL));
        count(server_.figures.rejected);
    }

    void remove(client& leaving) {
        if (std::exchange(leaving.is_gone, true)) return;
        leaving.socket = support::descriptor();
        clients_.back()->index = leaving.index;
        std::swap(clients_.back(), clients_[leaving.index]);
        gone_.push_back(std::move(clients_.back()));  // something may have happened to it in this round
        clients_.pop_back();
        server_.figures.connections.fetch_sub(1, std::memory_order_relaxed);
    }

    void serve(client& peer, std::uint32_t happened) {
        if (peer.is_gone) return;
        if ((happened & EPOLLERR) != 0) return lose(peer);
        if ((happened & EPOLLOUT) != 0) {
            unblock(peer);
            if (peer.is_gone) return;
            peer.stream ? pump(peer) : flush(peer);
        }
        if ((happened & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0 && !peer.is_gone) read(peer);
    }

    // The connection is broken: where the kernel has waited for the client in vain, it was too slow.
    void lose(client& peer) {
        int error = 0;
        socklen_t size = sizeof error;
        static_cast<void>(::getsockopt(peer.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size));
        if (peer.stream && error == ETIMEDOUT) count(server_.figures.dropped_slow);
        remove(peer);
    }

    void block(client& peer) {
        if (std::exchange(peer.is_blocked, true)) return;
        if (!watch(EPOLL_CTL_MOD, peer.socket, EPOLLIN | EPOLLRDHUP | EPOLLOUT, &peer)) remove(peer);
    }
    void unblock(client& peer) {
        if (!std::exchange(peer.is_blocked, false)) return;
        if (!watch(EPOLL_CTL_MOD, peer.socket, EPOLLIN | EPOLLRDHUP, &peer)) remove(peer);
    }

    // Bytes that have been sent; none if the socket takes no more, or the client has gone.
    std::size_t send(client& peer, std::string_view bytes) {
        const auto size = ::send(peer.socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        count(server_.figures.sends);
        if (size > 0) return static_cast<std::size_t>(size);
        support::would_block() ? block(peer) : remove(peer);
        return 0;
    }

    void read(client& peer) {
        const auto size = ::recv(peer.socket.get(), received_.data(), received_.size(), 0);
        if (size < 0 && support::would_block()) return;
        // Who has nothing more to say has left: that is how browsers and curl close a stream.
        if (size <= 0) return remove(peer);
        const std::string_view bytes(received_.data(), static_cast<std::size_t>(size));
        if (peer.http && !peer.http->is_over) process(peer, bytes);
    }

    // Streams

    void pump(client& peer) {
        while (!peer.is_gone) {
            const sse::session::task task = peer.stream->next(now_);
            if (task.step == sse::session::step::wait) return;
            if (task.step == sse::session::step::finished) return end(peer);
            const std::size_t size = send(peer, task.bytes);
            if (size == 0) return;
            peer.stream->sent(size, now_);
            count(server_.figures.delivered_bytes, size);
        }
    }

    void end(client& peer) {
        const sse::session_end why = peer.stream->end();
        const bool was_slow = why == sse::session_end::behind || why == sse::session_end::timed_out;
        if (was_slow) count(server_.figures.dropped_slow);
        remove(peer);
    }

    void open_stream(client& peer) {
        const sse::request& request = peer.http->reader->request();
        const std::string_view target = request.url.target;
        sse::subscribe_options wanted{.types = parameters(target, "type"),
                                      .when_unknown = server_.options.when_unknown};
        std::string name = first_parameter(target, "client");
        const bool has_long_type =
            std::any_of(wanted.types.begin(), wanted.types.end(),
                        [](const std::string& type) { return type.size() > max_type_bytes; });
        if (wanted.types.size() > max_types || has_long_type || name.size() > max_name_bytes)
            return answer(peer, 400, "Bad Request", "too many types, or too long a type or name\n");

        sse::response head = sse::stream_response(request.headers, server_.options.cors);
        head.headers.push_back({"Connection", "close"});
        std::string first = std::move(peer.http->unsent);
        static_cast<void>(
            sse::write_head(first, head));  // of the request it repeats but an origin that we know
        const std::string_view id = sse::find_header(request.headers, "Last-Event-ID").value_or("");
        peer.stream.emplace(server_.options.subscriber, server_.channel.subscribe(id, std::move(wanted)),
                            std::move(first), now_);
        peer.name = std::move(name);
        peer.http.reset();
        if (server_.is_draining) peer.stream->drain(random_bits(), now_);
        if (!peer.is_blocked) pump(peer);
    }

    void cut_clients() {
        std::set<std::string> names;
        {
            const std::lock_guard lock(mutex_);
            names.swap(to_cut_);
        }
        if (names.empty()) return;
        for_each_client([&](client& each) {
            if (!each.stream || !names.contains(each.name)) return;
            each.stream->kick();
            count(server_.figures.cut);
            pump(each);
        });
    }

    // All that takes too long, or has been idle. Each session is asked at least once a second: heartbeats and
    // deadlines are due then, and one that is blocked gives back what it keeps of the log when that has left.
    void sweep() {
        if (!is_listening_ && !server_.is_draining) listen();
        for_each_client([this](client& each) {
            if (each.stream) return each.is_blocked ? ask(each) : pump(each);
            if (now_ < each.http->deadline) return;
            const bool is_late = !each.http->is_idle && !each.http->is_over && each.http->unsent.empty();
            if (!is_late || server_.is_draining) return remove(each);
            refuse(each, 408, "Request Timeout");
            flush(each);
        });
    }

    // Its socket takes nothing: a call of send() would be in vain.
    void ask(client& blocked) {
        if (blocked.stream->next(now_).step == sse::session::step::finished) end(blocked);
    }

    void say_farewell() {
        stop_listening();
        for_each_client([this](client& each) {
            if (each.stream) {
                each.stream->drain(random_bits(), now_);
                if (!each.is_blocked) pump(each);
            } else if (each.http->is_idle && each.http->unsent.empty()) {
                remove(each);
            } else {
                const milliseconds left(server_.options.subscriber.drain_timeout.count());
                each.http->deadline = std::min(each.http->deadline, now_ + left);
                each.http->is_closing = each.http->is_closing || each.http->is_idle;
            }
        });
    }

    // Requests

    void process(client& peer, std::string_view bytes) {
        exchange& http = *peer.http;
        if (std::exchange(http.is_idle, false)) http.deadline = now_ + server_.options.patience;
        while (peer.http && !http.is_closing) {
            const sse::http_part found = http.reader->next(bytes);
            if (found == sse::http_part::none) {
                if (http.reader->error()) refuse(peer, http.reader->error());
                break;
            }
            if (found == sse::http_part::head) take_head(peer);
            if (found == sse::http_part::body) take_body(peer, http.reader->body());
            if (found == sse::http_part::end) {
                http.is_closing = !http.reader->keep_alive() || server_.is_draining;
                respond(peer);
                if (!peer.http) return;  // it is a stream now
                http.expect_request();
                http.is_idle = bytes.empty();
                http.deadline = now_ + server_.options.patience;
            }
            if (http.unsent.size() <= max_unsent_bytes) continue;
            flush(peer);
            if (peer.is_gone) return;
            if (http.unsent.size() > max_unsent_bytes) return remove(peer);  // it asks, and does not read
        }
        flush(peer);
    }

    void take_head(client& peer) {
        exchange& http = *peer.http;
        const sse::request& request = http.reader->request();
        if (!is_own_name(request.url.host)) {
            return refuse(peer, 421, "Misdirected Request",
                          fmt::format("this server serves {0} only if it is started with --name {0}\n",
                                      request.url.host));
        }
        const sse::headers& fields = request.headers;
        const std::string_view digits = sse::find_header(fields, "Content-Length").value_or("");
        std::uint64_t length = 0;
        std::from_chars(digits.data(), digits.data() + digits.size(), length);
        if (length > max_body_bytes) return refuse(peer, 413, "Content Too Large");
        const std::string_view expected = sse::find_header(fields, "Expect").value_or("");
        if (http.reader->takes_chunks() && sse::equal_ignoring_case(expected, "100-continue"))
            http.unsent += "HTTP/1.1 100 Continue\r\n\r\n";
    }

    // Whether the host is an address, or a name that somebody gave this server. Any page can let its own name
    // lead to this server's address (DNS rebinding): the browser takes the two for one origin, and lets the
    // page read and publish. Only a name can be misled: an address cannot, and browsers keep localhost for
    // their own machine. They always name a host, so a client of HTTP/1.0 that names none is no browser.
    bool is_own_name(std::string_view host) const {
        in_addr address{};
        const bool is_address =
            host.starts_with('[') || ::inet_pton(AF_INET, std::string(host).c_str(), &address) == 1;
        if (host.empty() || is_address) return true;
        if (host.ends_with('.')) host.remove_suffix(1);
        const std::vector<std::string>& names = server_.options.names;
        return host == "localhost" || host.ends_with(".localhost") ||
               std::find(names.begin(), names.end(), host) != names.end();
    }

    void take_body(client& peer, std::string_view bytes) {
        shared_body& body = peer.http->body;
        if (bytes.size() > max_body_bytes - body.text().size()) return refuse(peer, 413, "Content Too Large");
        if (!body.append(bytes))
            refuse(peer, 503, "Service Unavailable", "too many large requests at once\n");
    }

    void refuse(client& peer, sse::error error) {
        const std::string why = fmt::format("{}\n", error.message());
        if (error.code() == sse::errc::http_head_too_large)
            refuse(peer, 431, "Request Header Fields Too Large", why);
        else if (error.code() == sse::errc::http_unsupported) refuse(peer, 501, "Not Implemented", why);
        else refuse(peer, 400, "Bad Request", why);
    }

    // The rest of the request is not read.
    void refuse(client& peer, int status, std::string reason, std::string_view why = {}) {
        peer.http->is_closing = true;
        peer.http->body.clear();
        answer(peer, status, std::move(reason), why);
    }

    void respond(client& peer) {
        struct route {
            std::string_view path, methods;
            void (loop::*handle)(client&);
        };
        static constexpr std::array routes{
            route{"/", "GET, HEAD", &loop::show_page},       route{"/events", "GET", &loop::open_stream},
            route{"/stats", "GET, HEAD", &loop::show_stats}, route{"/publish", "POST", &loop::publish},
            route{"/cut", "POST", &loop::cut_by_name},
        };
        const sse::request& request = peer.http->reader->request();
        const std::string_view path = path_of(request.url.target);
        const auto* const found = std::find_if(routes.begin(), routes.end(),
                                               [path](const route& each) { return each.path == path; });
        if (found == routes.end()) return answer(peer, 404, "Not Found", "");
        if (!contains(found->methods, request.method))
            return answer(peer, 405, "Method Not Allowed", "", {{"Allow", std::string(found->methods)}});
        if (request.method == "POST" && is_foreign(request))
            return answer(peer, 403, "Forbidden", "from a page of an origin that no --origin has named\n");
        (this->*found->handle)(peer);
    }

    // A method has no comma and no space.
    static bool contains(std::string_view methods, std::string_view method) {
        return fmt::format(" {},", methods).find(fmt::format(" {},", method)) != std::string::npos;
    }

    // Whether a page of another origin sends the request, and that origin was not named. Any page can make
    // its reader's browser send one. The browser tells by Origin and Sec-Fetch-Site, of which one may be missing;
    // other programs send neither.
    bool is_foreign(const sse::request& request) const {
        const auto from = sse::find_header(request.headers, "Origin");
        const bool is_own = !from || from->ends_with("://" + sse::authority(request.url));  // also behind TLS
        const std::string_view site = sse::find_header(request.headers, "Sec-Fetch-Site").value_or("none");
        if (is_own && (site == "same-origin" || site == "none")) return false;  // none: it was no page
        const std::vector<std::string>& named = server_.options.cors.origins;
        return std::none_of(named.begin(), named.end(),
                            [&](const std::string& each) { return each == "*" || each == from; });
    }

    void answer(client& peer, int status, std::string reason, std::string_view body, sse::headers more = {},
                std::string type = "text/plain; charset=utf-8") {
        exchange& http = *peer.http;
        sse::response head{.status = status, .reason = std::move(reason), .headers = std::move(more)};
        if (status != 204) {
            head.headers.push_back({"Content-Type", std::move(type)});
            head.headers.push_back({"Content-Length", std::to_string(body.size())});
        }
        if (http.is_closing) head.headers.push_back({"Connection", "close"});
        static_cast<void>(sse::write_head(http.unsent, head));  // all of it is our own
        if (http.reader->request().method != "HEAD") http.unsent += body;
        if (status >= 400) count(server_.figures.rejected);
    }

    void flush(client& peer) {
        exchange& http = *peer.http;
        while (!http.unsent.empty()) {
            const std::size_t size = send(peer, http.unsent);
            if (size == 0) return;
            http.unsent.erase(0, size);
        }
        std::string().swap(http.unsent);  // with its memory
        if (http.is_idle) http.deadline = now_ + keep_alive;
        if (http.is_closing && !std::exchange(http.is_over, true)) {
            // Closing at once would reset the connection if the client is still sending, and the answer could
            // be lost with it.
            ::shutdown(peer.socket.get(), SHUT_WR);
            http.deadline = now_ + linger;
        }
    }

    // The routes

    void show_page(client& peer) { answer(peer, 200, "OK", live_page, {}, "text/html; charset=utf-8"); }

    void show_stats(client& peer) {
        answer(peer, 200, "OK", server_.stats() + "\n", {{"Cache-Control", "no-store"}}, "application/json");
    }

    void cut_by_name(client& peer) {
        const std::string name = first_parameter(peer.http->reader->request().url.target, "client");
        const bool is_name = !name.empty() && name.size() <= max_name_bytes;  // most clients have none
        if (is_name && !server_.cut(name))
            return answer(peer, 503, "Service Unavailable", "too many names at once\n");
        answer(peer, 204, "No Content", "");
    }

    void publish(client& peer) {
        const exchange& http = *peer.http;
        const sse::request& request = http.reader->request();
        const sse::headers readable_by = sse::cors_headers(request.headers, server_.options.cors);
        const auto say = [&](int status, std::string reason, std::string_view text) {
            answer(peer, status, std::move(reason), fmt::format("{}\n", text), readable_by);
        };
        const std::vector<sse::event> events = events_of(request, http.body.text());
        if (events.empty()) return say(400, "Bad Request", "no event");
        std::vector<sse::message> messages;
        std::size_t size = 0;
        for (const sse::event& each : events) {
            if (each.type == "gap" || each.type == "drain")
                return say(403, "Forbidden", "that is for the server to say");
            if (each.type.size() > max_type_bytes) return say(400, "Bad Request", "too long a type");
            sse::message message{.data = each.data};
            if (!each.type.empty() && each.type != "message") message.event = each.type;
            size += sse::encoded_size(message);
            messages.push_back(message);
        }
        // More at once than the log holds would leave everybody behind.
        if (messages.size() > max_batch_events() || size > server_.options.log.max_bytes / 2)
            return say(413, "Content Too Large", "too many events, or too large ones");
        const sse::publish_result published = server_.channel.publish(messages);
        if (published.error == sse::errc::event_too_large)
            return say(413, "Content Too Large", published.error.message());
        if (published.error) return say(400, "Bad Request", published.error.message());
        // Some may have got their farewell before it: whoever is told 200 can rely on everybody's getting it.
        if (server_.is_draining) return say(503, "Service Unavailable", "going down");
        say(200, "OK", published.id());
    }

    std::size_t max_batch_events() const {
        return std::min<std::size_t>(1000, server_.options.log.max_events);
    }

    // One more than may be published, if there are more.
    std::vector<sse::event> events_of(const sse::request& request, std::string_view body) const {
        std::vector<sse::event> result;
        if (sse::is_event_stream(sse::find_header(request.headers, "Content-Type").value_or(""))) {
            sse::parser parser;
            while (result.size() <= max_batch_events()) {
                const auto event = parser.next(body);
                if (!event) break;
                result.emplace_back(*event);
            }
            const auto take = [&](const sse::event_view& event) { result.emplace_back(event); };
            static_cast<void>(parser.finish(sse::unfinished_event::deliver, take));  // the body is complete
        } else {
            sse::event& event = result.emplace_back();
            event.type = first_parameter(request.url.target, "type");
            event.data = body;
        }
        return result;
    }

    static constexpr auto keep_alive = 60s;
    static constexpr auto linger = 2s;

    server& server_;
    const support::descriptor& listener_;
    support::descriptor epoll_;
    support::descriptor wake_;
    bool is_listening_ = false;
    steady::time_point now_ = steady::now();
    std::vector<std::unique_ptr<client>> clients_{};
    std::vector<std::unique_ptr<client>> gone_{};  // since this round began
    std::array<char, 16384> received_{};

    std::mutex mutex_{};
    std::set<std::string> to_cut_{};
};

void server::wake_all() const {
    for (const auto& each : loops) each->wake();
}

// Returns whether all threads have room for the name.
bool server::cut(const std::string& name) const {
    return std::all_of(loops.begin(), loops.end(), [&](const auto& each) { return each->cut(name); });
}

void server::drain() {
    is_draining = true;
    wake_all();
}

std::string server::stats() const {
    const sse::channel_stats log = channel.stats();
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(steady::now() - started);
    return fmt::format(R"({{"uptime_s":{},"threads":{},"connections":{},"max_connections":{},)"
                       R"("subscribers":{},"published":{},)"
                       R"("delivered_bytes":{},"sends":{},"held_events":{},"held_bytes":{},)"
                       R"("fell_behind":{},"dropped_slow":{},"cut":{},"rejected":{}}})",
                       uptime.count(), loops.size(), figures.connections.load(), max_connections,
                       log.subscribers, log.published, figures.delivered_bytes.load(), figures.sends.load(),
                       log.held_events, log.held_bytes, log.fell_behind, figures.dropped_slow.load(),
                       figures.cut.load(), figures.rejected.load());
}

// Publishes something to look at.
class ticker {
public:
    explicit ticker(server& shared) : server_(shared) {}

    void tick() {
        // Drawn back to the middle, so that it stays in sight.
        std::normal_distribution<double> push(0, 1.6);
        speed_ = 0.8 * speed_ + push(engine_) + (50 - value_) * 0.02;
        value_ = std::clamp(value_ + speed_, 0.0, 100.0);
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        publish("tick", fmt::format(R"({{"n":{},"t":{},"value":{:.2f}}})", ++ticks_,
                                    std::chrono::duration_cast<milliseconds>(now).count(), value_));
        if (steady::now() < next_stats_) return;
        publish("stats", server_.stats());
        next_stats_ = steady::now() + 2s;
    }

private:
    void publish(std::string_view type, const std::string& data) {
        const sse::publish_result published = server_.channel.publish({.event = type, .data = data});
        if (published.error) support::complain("live_server", published.error.message());
    }

    server& server_;
    std::mt19937_64 engine_{std::random_device{}()};
    double value_ = 50;
    double speed_ = 0;
    std::uint64_t ticks_ = 0;
    steady::time_point next_stats_{};
};

// Until `stopped` can be read.
void tick_until(const support::descriptor& stopped, server& shared) {
    ticker ticker(shared);
    const milliseconds pause = shared.options.tick;
    auto next = steady::now() + pause;
    for (;;) {
        const auto wait = std::chrono::ceil<milliseconds>(next - steady::now()).count();
        const int timeout = pause.count() == 0 ? -1 : static_cast<int>(std::max<std::int64_t>(wait, 0));
        pollfd polled{stopped.get(), POLLIN, 0};
        const int ready = ::poll(&polled, 1, timeout);
        if (ready > 0) return;
        if (ready < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), "poll");
        if (ready < 0 || steady::now() < next) continue;
        try {
            ticker.tick();
        } catch (const std::bad_alloc&) {
            static_cast<void>(support::write_all(STDERR_FILENO, "live_server: no memory for an event\n"));
        }
        next = std::max(next + pause, steady::now());
    }
}

// As requests give it: in lower case, without a dot at the end. Nothing if it is none.
std::optional<std::string> host_name(std::string_view text) {
    if (text.ends_with('.')) text.remove_suffix(1);
    const auto url = sse::parse_url(fmt::format("http://{}/", text));
    if (!url || url->host.size() != text.size()) return std::nullopt;
    return url->host;
}

std::string name(std::string_view text) {
    if (const auto result = host_name(text)) return *result;
    throw support::usage_error(fmt::format("--name wants such as example.org, not '{}'", text));
}

// As browsers send it.
std::string origin(std::string_view text) {
    const auto url = sse::parse_url(text);
    if (text != "*" && (!url || sse::origin(*url) != text))
        throw support::usage_error(fmt::format("--origin wants such as https://example.org, not '{}'", text));
    return std::string(text);
}

sse::when_behind when_behind(support::command_line& arguments) {
    const std::string_view name = arguments.value();
    if (name == "disconnect") return sse::when_behind::disconnect;
    if (name == "skip-to-oldest") return sse::when_behind::skip_to_oldest;
    if (name == "skip-to-latest") return sse::when_behind::skip_to_latest;
    throw support::usage_error(
        fmt::format("--when-behind wants disconnect, skip-to-oldest or skip-to-latest, not '{}'", name));
}

sse::when_unknown when_unknown(support::command_line& arguments) {
    const std::string_view name = arguments.value();
    if (name == "replay-all") return sse::when_unknown::replay_all;
    if (name == "only-new") return sse::when_unknown::only_new;
    throw support::usage_error(fmt::format("--when-unknown wants replay-all or only-new, not '{}'", name));
}

settings parse(support::command_line arguments) {
    settings result;
    result.subscriber.gap = [](std::optional<std::uint64_t> missed) {
        const std::string number = missed ? std::to_string(*missed) : "null";
        return sse::encode({.event = "gap", .data = fmt::format(R"({{"missed":{}}})", number)});
    };
    result.subscriber.farewell = [](sse::milliseconds retry) {
        const double seconds = static_cast<double>(retry.count()) / 1000;
        const std::string text = fmt::format("The server is going down; come back in {:.1f} s.", seconds);
        return sse::encode({.event = "drain", .data = text, .retry = retry});
    };
    const auto time = [&arguments](int min) {
        return milliseconds(arguments.number<int>(min, 24 * 60 * 60 * 1000));
    };
    const auto size = [&arguments](std::size_t min) {
        return arguments.number<std::size_t>(min, std::size_t{1} << 40);
    };
    while (arguments.next()) {
        if (arguments.is("--host")) result.host = arguments.value();
        else if (arguments.is("--port")) result.port = arguments.number<std::uint16_t>(0, 65535);
        else if (arguments.is("--name")) result.names.push_back(name(arguments.value()));
        else if (arguments.is("--origin")) result.cors.origins.push_back(origin(arguments.value()));
        else if (arguments.is("--threads")) result.threads = arguments.number<std::size_t>(1, 256);
        else if (arguments.is("--max-connections")) result.max_connections = size(1);
        else if (arguments.is("--patience")) result.patience = time(1);
        else if (arguments.is("--send-buffer")) result.send_buffer = arguments.number<int>(1024, 1 << 30);
        else if (arguments.is("--events")) result.log.max_events = size(1);
        else if (arguments.is("--bytes")) result.log.max_bytes = size(4096);
        else if (arguments.is("--age"))
            result.log.max_age = std::chrono::seconds(arguments.number<int>(0, INT_MAX));
        else if (arguments.is("--tick")) result.tick = time(0);
        else if (arguments.is("--retry")) result.subscriber.retry = time(0);
        else if (arguments.is("--heartbeat")) result.subscriber.heartbeat = time(0);
        else if (arguments.is("--send-timeout")) result.subscriber.send_timeout = time(0);
        else if (arguments.is("--drain")) result.subscriber.drain_timeout = time(1);
        else if (arguments.is("--when-behind")) result.subscriber.when_behind = when_behind(arguments);
        else if (arguments.is("--when-unknown")) result.when_unknown = when_unknown(arguments);
        else if (arguments.is("--help")) result.help = true;
        else arguments.refuse();
    }
    if (const auto listened_on = host_name(result.host)) result.names.push_back(*listened_on);
    return result;
}

// As many as are wanted, if there are descriptors for them. With fewer descriptors, clients would wait in the
// queue for those that stay, and nobody would tell them. Each thread has two descriptors of its own and, for
// a moment, those of a client that it turns away and of one too many; the C library needs some.
std::size_t max_connections(const settings& options) {
    const std::size_t spare = 4 * options.threads + 8;
    const std::size_t free = support::free_descriptors();
    const std::size_t allowed = free > spare ? free - spare : 0;
    const std::size_t result =
        options.max_connections.value_or(std::clamp<std::size_t>(allowed, 1, default_max_connections));
    if (result <= allowed) return result;
    throw std::runtime_error(fmt::format(
        "the limit of descriptors (ulimit -n) allows for {} connections, not {}", allowed, result));
}

std::string help() {
    const settings defaults;
    const auto seconds = [](sse::milliseconds time) { return time.count() / 1000; };
    return fmt::format(
        usage, fmt::arg("host", defaults.host), fmt::arg("port", defaults.port),
        fmt::arg("connections", default_max_connections), fmt::arg("patience", defaults.patience.count()),
        fmt::arg("events", defaults.log.max_events), fmt::arg("bytes", defaults.log.max_bytes),
        fmt::arg("age", seconds(defaults.log.max_age)), fmt::arg("tick", defaults.tick.count()),
        fmt::arg("retry", defaults.subscriber.retry->count()),
        fmt::arg("heartbeat", defaults.subscriber.heartbeat.count()),
        fmt::arg("send_timeout", defaults.subscriber.send_timeout.count()),
        fmt::arg("drain", defaults.subscriber.drain_timeout.count()));
}

int serve(support::command_line arguments) {
    const settings options = parse(arguments);
    if (options.help) {
        support::write_out(help());
        return 0;
    }
    support::raise_descriptor_limit();
    const support::descriptor stopped = support::stop_on_signals();
    const support::descriptor listener = support::listen_on(options.host, options.port, options.send_buffer);
    // Whoever acknowledges nothing for so long is gone, or reads nothing, though the kernel still took bytes
    // for it. The clients' sockets inherit it.
    const auto timeout = static_cast<unsigned>(options.subscriber.send_timeout.count());
    static_cast<void>(::setsockopt(listener.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout));
    server shared(options, max_connections(options));
    for (std::size_t i = 0; i != options.threads; ++i)
        shared.loops.push_back(std::make_unique<loop>(shared, listener));
    std::vector<std::jthread> threads;
    threads.reserve(shared.loops.size());
    struct ending {
        server& shared;
        const support::descriptor& listener;
        ~ending() {
            ::shutdown(listener.get(), SHUT_RD);  // who comes now is refused, and does not wait
            shared.drain();
        }
    };
    const ending at_end{shared, listener};
    for (const auto& each : shared.loops) threads.emplace_back([&each] { each->run(); });

    support::write_out(fmt::format("listening on http://{}/\n", support::name_of(listener)));
    tick_until(stopped, shared);
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return support::run("live_server", argc, argv, serve); }
