// One thread of live_server: it waits for its clients' sockets, reads requests, and sends answers and events.
#pragma once

#include "client.hpp"
#include "requests.hpp"
#include "routes.hpp"
#include "server.hpp"

#include "../support/listener.hpp"
#include "../support/socket.hpp"

#include <sse/http1.hpp>
#include <sse/session.hpp>

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace live_server {

class loop {
public:
    loop(server& shared, mailbox& mail, const support::descriptor& listener)
        : server_(shared),
          mail_(mail),
          listener_(listener),
          epoll_(::epoll_create1(EPOLL_CLOEXEC)),
          clients_(shared) {
        if (!epoll_ || !watch(EPOLL_CTL_ADD, mail_.socket(), EPOLLIN, &mail_) || !listen())
            support::throw_errno("epoll");
    }

    // Until the server drains and all clients have left.
    void run() {
        auto next_sweep = steady::now() + sweep_pause;
        bool was_draining = false;
        std::array<epoll_event, 256> happened;
        while (!was_draining || !clients_.empty()) {
            const int count = ::epoll_wait(epoll_.get(), happened.data(), static_cast<int>(happened.size()),
                                           support::milliseconds_until(next_sweep));
            if (count < 0 && errno != EINTR) support::throw_errno("epoll_wait");
            now_ = steady::now();

            bool is_woken = false;
            for (int i = 0; i < count; ++i) {
                const epoll_event& each = happened[static_cast<std::size_t>(i)];
                if (each.data.ptr == &mail_) is_woken = true;
                else if (each.data.ptr == this) accept_clients();
                else
                    clients_.guard(*static_cast<client*>(each.data.ptr),
                                   [&](client& peer) { serve(peer, each.events); });
            }
            if (is_woken) {
                cut(mail_.take());
                clients_.for_each([this](client& each) {
                    if (each.stream && !each.is_blocked) pump(each);
                });
            }
            if (server_.is_draining && !std::exchange(was_draining, true)) say_farewell();
            if (now_ >= next_sweep) {
                sweep();
                next_sweep = now_ + sweep_pause;
            }
            clients_.forget_removed();
        }
    }

private:
    static constexpr auto sweep_pause = 500ms;
    static constexpr auto keep_alive = 60s;
    static constexpr auto linger = 2s;
    static constexpr std::size_t max_unsent_bytes = std::size_t{64} << 10;

    bool watch(int operation, const support::descriptor& what, std::uint32_t events, void* data) const {
        epoll_event event{};
        event.events = events;
        event.data.ptr = data;
        return ::epoll_ctl(epoll_.get(), operation, what.get(), &event) == 0;
    }

    // A connection that comes wakes one of the threads that wait for it, not all.
    bool listen() { return is_listening_ = watch(EPOLL_CTL_ADD, listener_, EPOLLIN | EPOLLEXCLUSIVE, this); }

    void stop_listening() {
        if (std::exchange(is_listening_, false)) watch(EPOLL_CTL_DEL, listener_, 0, this);
    }

    // Coming and going

    // If there are no descriptors or there is no memory, the client waits in the queue, which would wake this
    // thread again and again. So it stops listening until the next sweep.
    void accept_clients() {
        try {
            for (int left = 64; left != 0; --left) {
                support::descriptor socket = support::accept_from(listener_);
                if (!socket && (support::would_block() || errno == ECONNABORTED)) return;
                if (!socket || !add(std::move(socket))) return stop_listening();
            }
        } catch (const std::bad_alloc&) {
            stop_listening();
        }
    }

    bool add(support::descriptor socket) {
        if (server_.figures.connections.load(std::memory_order_relaxed) >= server_.max_connections) {
            static_cast<void>(::send(socket.get(), busy_answer.data(), busy_answer.size(), MSG_NOSIGNAL));
            count(server_.figures.rejected);
            return true;
        }
        client& peer = clients_.add(std::move(socket), now_);
        if (watch(EPOLL_CTL_ADD, peer.socket, EPOLLIN | EPOLLRDHUP, &peer)) return true;
        remove(peer);
        return false;
    }

    void remove(client& leaving) noexcept { clients_.remove(leaving); }

    // The connection is broken. If the kernel has waited for the client in vain, the client was too slow.
    void lose(client& peer) {
        int error = 0;
        socklen_t size = sizeof error;
        static_cast<void>(::getsockopt(peer.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size));
        if (peer.stream && error == ETIMEDOUT) count(server_.figures.dropped_slow);
        remove(peer);
    }

    // Reading and sending

    void serve(client& peer, std::uint32_t happened) {
        if (peer.is_gone) return;
        if ((happened & EPOLLERR) != 0) return lose(peer);
        if ((happened & EPOLLOUT) != 0) {
            set_blocked(peer, false);
            if (peer.is_gone) return;
            peer.stream ? pump(peer) : flush(peer);
        }
        if ((happened & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0 && !peer.is_gone) read(peer);
    }

    // A client that is blocked is served when its socket can be written again.
    void set_blocked(client& peer, bool is_blocked) {
        if (std::exchange(peer.is_blocked, is_blocked) == is_blocked) return;
        const std::uint32_t writable = is_blocked ? EPOLLOUT : 0U;
        if (!watch(EPOLL_CTL_MOD, peer.socket, EPOLLIN | EPOLLRDHUP | writable, &peer)) remove(peer);
    }

    // Returns how many bytes have been sent: 0 if the socket takes no more, or the client has gone.
    std::size_t send(client& peer, std::string_view bytes) {
        const std::optional<std::size_t> size = support::send(peer.socket, bytes);
        count(server_.figures.sends);
        if (!size) remove(peer);
        else if (*size == 0) set_blocked(peer, true);
        return size.value_or(0);
    }

    void read(client& peer) {
        const std::optional<std::string_view> bytes = support::receive(peer.socket, received_);
        // A client that has ended its side has left: browsers and curl close a stream so.
        if (!bytes) return remove(peer);
        if (!bytes->empty() && peer.http && !peer.http->is_over) process(peer, *bytes);
    }

    void process(client& peer, std::string_view bytes) {
        exchange& http = *peer.http;
        http.begin(now_);
        while (!http.is_closing) {
            const sse::http_part found = http.take(bytes);
            if (found == sse::http_part::none) break;
            if (found == sse::http_part::end) {
                respond(peer, server_, now_);
                if (peer.stream) return start_stream(peer);
                http.expect_request(bytes.empty(), now_);
            }
            if (http.unsent.size() <= max_unsent_bytes) continue;
            flush(peer);
            if (peer.is_gone) return;
            if (http.unsent.size() > max_unsent_bytes) return remove(peer);  // it asks, and does not read
        }
        flush(peer);
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

    // Streams

    void start_stream(client& peer) {
        peer.http.reset();
        if (server_.is_draining) peer.stream->drain(random_(), now_);
        if (!peer.is_blocked) pump(peer);
    }

    void pump(client& peer) {
        while (!peer.is_gone) {
            const sse::session::task task = peer.stream->next(now_);
            if (task.step == sse::session::step::wait) return;
            if (task.step == sse::session::step::finished) return end_stream(peer);
            const std::size_t size = send(peer, task.bytes);
            if (size == 0) return;
            peer.stream->sent(size, now_);
            count(server_.figures.delivered_bytes, size);
        }
    }

    void end_stream(client& peer) {
        const sse::session_end why = peer.stream->end();
        const bool was_slow = why == sse::session_end::behind || why == sse::session_end::timed_out;
        if (was_slow) count(server_.figures.dropped_slow);
        remove(peer);
    }

    void cut(const std::set<std::string>& names) {
        if (names.empty()) return;
        clients_.for_each([&](client& each) {
            if (!each.stream || !names.contains(each.name)) return;
            each.stream->kick();
            count(server_.figures.cut);
            pump(each);
        });
    }

    // Removes clients that take too long, or have been idle. Asks each session at least once a second: then
    // heartbeats and deadlines come in time, and one that is blocked gives back the part of the log that it
    // keeps once the log has dropped it.
    void sweep() {
        if (!is_listening_ && !server_.is_draining) listen();
        clients_.for_each([this](client& each) {
            if (each.stream) return each.is_blocked ? ask(each) : pump(each);
            if (now_ < each.http->deadline) return;
            const bool is_late = !each.http->is_idle && !each.http->is_over && each.http->unsent.empty();
            if (!is_late || server_.is_draining) return remove(each);
            each.http->refuse(408, "Request Timeout");
            flush(each);
        });
    }

    // Without send(): the socket would not take anything.
    void ask(client& blocked) {
        if (blocked.stream->next(now_).step == sse::session::step::finished) end_stream(blocked);
    }

    void say_farewell() {
        stop_listening();
        clients_.for_each([this](client& each) {
            if (each.stream) {
                each.stream->drain(random_(), now_);
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

    server& server_;
    mailbox& mail_;
    const support::descriptor& listener_;
    support::descriptor epoll_;
    client_list clients_;
    bool is_listening_ = false;
    steady::time_point now_ = steady::now();
    std::array<char, 16384> received_{};
    std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace live_server
