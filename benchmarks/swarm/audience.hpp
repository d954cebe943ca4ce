// The subscribers of swarm: they come, read, check what they get, leave, and come back.
#pragma once

#include "figures.hpp"
#include "progress.hpp"
#include "publisher.hpp"
#include "settings.hpp"
#include "sockets.hpp"

#include "../../examples/support/socket.hpp"

#include <sse/error.hpp>
#include <sse/event.hpp>
#include <sse/http.hpp>
#include <sse/http1.hpp>
#include <sse/parser.hpp>

#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace swarm {

// What all parts of a run share.
struct run_state {
    const settings& options;
    swarm::report report{};
    swarm::progress progress{0};
    support::descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
    nanoseconds now = clock_now();
    nanoseconds moved = now;  // when anything last did
    std::string tag = fmt::format("swarm-{:x} ", clock_now());
    std::string room = std::string(std::size_t{64} << 10, '\0');

    void watch(int operation, int socket, std::uint32_t events, std::uint64_t key) const {
        epoll_event event{.events = events, .data = {.u64 = key}};
        if (::epoll_ctl(epoll.get(), operation, socket, &event) != 0) support::throw_errno("epoll_ctl");
    }
};

struct subscriber {
    enum class state : unsigned char { away, connecting, head, open, gone };

    support::descriptor socket{};
    sse::response_reader reader{};
    sse::parser parser{};
    std::uint64_t last = 0;  // number of the event seen last
    nanoseconds came = 0;
    state at = state::away;
    bool reads = true;
    bool has_lost = false;
    // It was told of a gap, or came back without an id, and nothing has come since.
    bool may_miss = false;
};

class audience {
public:
    explicit audience(run_state& run)
        : run_(run),
          address_(loopback_address(run.options.events)),
          request_{.url = run.options.events, .headers = {{"Accept", std::string(sse::media_type)}}} {}

    // Makes `number` subscribers, which have seen the first `last` of the `published` events. They connect by and
    // by, as `connect_waiting` is called.
    void invite(std::size_t number, const std::string& id, std::uint64_t last, std::uint64_t published) {
        subscribers_ = std::vector<subscriber>(number);
        run_.progress = progress(number);
        while (run_.progress.published() < published) run_.progress.add_event();
        const std::size_t readers = number - std::min(number, run_.options.idle_readers);
        for (std::size_t i = 0; i < number; ++i) {
            subscribers_[i].last = last;
            subscribers_[i].reads = i < readers;
            subscribers_[i].parser = sse::parser({.last_event_id = id});
            if (last > 0) run_.progress.serve(0, last);
            if (i >= readers) run_.progress.leave(last);
            waiting_.push_back(i);
        }
    }

    std::size_t connecting() const { return connecting_; }
    std::size_t missing() const { return waiting_.size() + connecting_; }
    const std::string& first_id() const { return first_id_; }  // of this swarm's first event

    void connect_waiting() {
        for (; !away_.empty() && away_.front().until <= run_.now; away_.pop_front())
            waiting_.push_back(away_.front().key);
        for (; !waiting_.empty() && connecting_ < max_connecting; waiting_.pop_front())
            connect(subscribers_[waiting_.front()]);
    }

    void start_churn() { next_churn_ = run_.options.churn > 0 ? run_.now : never; }
    void stop_churn() { next_churn_ = never; }
    nanoseconds next_churn() const { return next_churn_; }
    nanoseconds next_return() const { return away_.empty() ? never : away_.front().until; }

    void churn_due() {
        for (; next_churn_ <= run_.now; next_churn_ += from_seconds(1 / run_.options.churn)) {
            subscriber& which = subscribers_[random_() % subscribers_.size()];
            if (which.at != subscriber::state::open || !which.reads) continue;
            const linger reset{.l_onoff = 1, .l_linger = 0};
            if (++run_.report.seen.left % 2 == 0)
                ::setsockopt(which.socket.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            go_away(which);
        }
    }

    void serve(std::uint64_t key, std::uint32_t events) { serve(subscribers_[key], events); }

    void count_lost() {
        for (const subscriber& each : subscribers_)
            if (each.reads)
                (each.may_miss ? run_.report.seen.missed : run_.report.seen.lost) +=
                    run_.progress.published() - each.last;
    }

    void leave_all() {
        for (subscriber& each : subscribers_) leave(each, subscriber::state::gone);
        away_.clear();
        waiting_.clear();
    }

    void forget_all() { subscribers_.clear(); }

private:
    static constexpr std::size_t max_connecting = 100;  // no server's backlog is that short
    static constexpr int idle_receive_buffer = 4096;
    static constexpr nanoseconds time_away = 100'000'000;

    struct absence {
        nanoseconds until;
        std::uint64_t key;
    };

    void watch(int operation, const subscriber& which, std::uint32_t events) const {
        run_.watch(operation, which.socket.get(), events, key_of(which));
    }

    std::uint64_t key_of(const subscriber& which) const {
        return static_cast<std::uint64_t>(&which - subscribers_.data());
    }

    // Coming and going

    void connect(subscriber& which) {
        which.socket = begin_connecting(address_, which.reads ? 0 : idle_receive_buffer);
        which.at = subscriber::state::connecting;
        which.came = run_.now;
        ++connecting_;
        watch(EPOLL_CTL_ADD, which, EPOLLOUT);
    }

    void request(subscriber& which) {
        sse::request request = request_;
        const std::string_view id = which.parser.last_event_id();
        if (!id.empty()) sse::set_header(request.headers, "Last-Event-ID", id);
        const std::string text = to_text(request);
        const auto sent = ::send(which.socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
        if (sent != static_cast<ssize_t>(text.size())) return end(which);  // a new connection takes that much
        which.reader.reset();
        which.parser.reset();
        which.at = subscriber::state::head;
        watch(EPOLL_CTL_MOD, which, EPOLLIN | EPOLLRDHUP | EPOLLET);
    }

    void open(subscriber& which) {
        if (which.reader.response().status != 200) return end(which);
        which.at = subscriber::state::open;
        --connecting_;
        run_.moved = run_.now;
        if (!which.reads) watch(EPOLL_CTL_MOD, which, 0);
    }

    // The server ended the connection, or did not take it.
    void end(subscriber& which) {
        ++run_.report.seen.ended;
        if (run_.options.churn > 0 && which.reads) go_away(which);
        else leave(which, subscriber::state::gone);
        if (which.at == subscriber::state::gone && which.reads) run_.progress.leave(which.last);
    }

    void leave(subscriber& which, subscriber::state to) {
        const bool is_connecting =
            which.at == subscriber::state::connecting || which.at == subscriber::state::head;
        if (is_connecting) --connecting_;
        which.socket = {};
        which.at = to;
    }

    void go_away(subscriber& which) {
        leave(which, subscriber::state::away);
        which.may_miss = which.may_miss || which.parser.last_event_id().empty();
        away_.push_back({run_.now + time_away, key_of(which)});
    }

    // Receiving

    void serve(subscriber& which, std::uint32_t events) {
        if (!which.socket) return;
        if (which.at == subscriber::state::connecting)
            return (events & EPOLLERR) != 0 ? end(which) : request(which);
        if (which.at == subscriber::state::open && !which.reads) return end(which);  // that is all it hears
        // epoll reports new bytes only once, so read all of them; and the end, if the server has ended.
        const bool has_ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        while (which.socket && (receive(which) || has_ended)) {
        }
    }

    // Returns whether there may be more bytes.
    bool receive(subscriber& which) {
        const auto received = ::recv(which.socket.get(), run_.room.data(), run_.room.size(), 0);
        if (received < 0 && support::would_block()) return false;
        if (received <= 0) {
            end(which);
            return false;
        }
        run_.now = clock_now();
        const std::string_view bytes(run_.room.data(), static_cast<std::size_t>(received));
        const bool is_full = bytes.size() == run_.room.size();
        take_response(which, bytes);
        return is_full;
    }

    void take_response(subscriber& which, std::string_view bytes) {
        while (which.socket) {
            switch (which.reader.next(bytes)) {
                case sse::http_part::head: open(which); break;
                case sse::http_part::body: feed(which, which.reader.body()); break;
                case sse::http_part::end: return end(which);
                case sse::http_part::none:
                    if (const std::error_code error = which.reader.error())
                        throw std::system_error(error, "a subscriber's response");
                    return;
            }
        }
    }

    void feed(subscriber& which, std::string_view bytes) {
        const sse::error error = which.parser.feed(bytes, [&](const sse::event_view& event) {
            const std::optional<stamp> stamp = read_stamp(run_.tag, event.data, run_.options.bytes);
            if (stamp && stamp->number <= run_.progress.published())
                return take(which, *stamp, event.last_event_id);
            ++run_.report.seen.others;
            if (event.type != "gap") return;
            ++run_.report.seen.gaps;
            which.may_miss = true;
        });
        if (error) throw std::system_error(std::error_code(error));
    }

    void take(subscriber& which, const stamp& stamp, std::string_view id) {
        counts& seen = run_.report.seen;
        ++seen.deliveries;
        if (stamp.number <= which.last) {
            ++(which.has_lost ? seen.out_of_order : seen.doubled);
            return;
        }
        if (const std::uint64_t skipped = stamp.number - which.last - 1; skipped > 0) {
            (which.may_miss ? seen.missed : seen.lost) += skipped;
            which.has_lost = which.has_lost || !which.may_miss;
        }
        which.may_miss = false;
        run_.progress.serve(which.last, stamp.number);
        which.last = stamp.number;
        run_.moved = run_.now;
        if (run_.options.mode == mode::catchup) run_.report.latencies.add(run_.now - which.came);
        else if (stamp.time >= which.came) run_.report.latencies.add(run_.now - stamp.time);
        if (stamp.number == 1 && first_id_.empty()) first_id_ = id;
    }

    run_state& run_;
    sockaddr_in address_;
    sse::request request_;
    std::vector<subscriber> subscribers_{};
    std::string first_id_{};
    std::deque<std::uint64_t> waiting_{};  // to connect
    std::deque<absence> away_{};
    std::size_t connecting_ = 0;
    nanoseconds next_churn_ = never;
    std::minstd_rand random_{1};
};

}  // namespace swarm
