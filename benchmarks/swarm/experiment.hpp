// The course of a run: subscribers gather, events are published, and all is measured.
#pragma once

#include "audience.hpp"
#include "figures.hpp"
#include "publisher.hpp"
#include "settings.hpp"

#include "../../examples/support/socket.hpp"

#include <fmt/core.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace swarm {

class experiment {
public:
    explicit experiment(const settings& wanted)
        : run_{.options = wanted}, audience_(run_), publisher_(wanted.publish) {
        if (!run_.epoll) support::throw_errno("epoll_create1");
        connect_publisher();
    }

    report run() {
        run_.report.before = usage_of(run_.options.pid);
        if (run_.options.mode == mode::catchup) catch_up();
        else follow();
        run_.report.busy = usage_of(run_.options.pid);
        audience_.count_lost();
        leave_all();
        run_.report.after = usage_of(run_.options.pid);
        return std::move(run_.report);
    }

private:
    static constexpr std::uint64_t publisher_key = ~std::uint64_t{0};
    static constexpr nanoseconds time_to_settle = 200'000'000;

    // The course of a run

    void follow() {
        gather(run_.options.subscribers, {}, 0);
        settle();
        publish_until(run_.options.warm_up, never);
        settle();
        run_.report.idle = usage_of(run_.options.pid);
        begin_measuring();
        const nanoseconds end =
            run_.options.seconds > 0 ? run_.now + from_seconds(run_.options.seconds) : never;
        audience_.start_churn();
        publish_until(run_.options.count == 0 ? never : run_.options.warm_up + run_.options.count, end);
        end_measuring(run_.progress.published() - run_.options.warm_up);
    }

    // One subscriber listens, and learns the id after which all others want to go on.
    void catch_up() {
        gather(1, {}, 0);
        publish_until(run_.options.count + 1, never);
        if (audience_.first_id().empty()) throw std::runtime_error("no event with an id has come");
        leave_all();
        run_.report.before = usage_of(run_.options.pid);

        begin_measuring();
        const std::uint64_t published = run_.progress.published();
        gather(run_.options.subscribers, audience_.first_id(), 1, published);
        turn_until([this] { return run_.progress.is_complete(); });
        end_measuring(run_.options.count);
        run_.report.idle = usage_of(run_.options.pid);
    }

    // All of them connect, and have the head.
    void gather(std::size_t number, const std::string& id, std::uint64_t last, std::uint64_t published = 0) {
        audience_.invite(number, id, last, published);
        turn_until([this] { return audience_.missing() == 0; });
        if (run_.report.seen.ended > 0)
            throw std::runtime_error(
                fmt::format("of {} subscribers {} are not served", number, run_.report.seen.ended));
    }

    void publish_until(std::uint64_t last, nanoseconds end) {
        last_ = last;
        publish_end_ = end;
        next_publish_ = run_.now;
        turn_until(
            [this] { return !wants_to_publish() && run_.progress.is_complete() && publisher_.is_idle(); });
        last_ = 0;
        audience_.stop_churn();
    }

    void settle() {
        const nanoseconds end = run_.now + time_to_settle;
        wake_at_ = end;
        turn_until([this, end] { return run_.now >= end; });
        wake_at_ = never;
    }

    void leave_all() {
        const std::uint64_t before = run_.report.before.descriptors;
        audience_.leave_all();
        const nanoseconds end = run_.now + from_seconds(run_.options.patience);
        do {
            settle();
        } while (run_.now < end && usage_of(run_.options.pid).descriptors > before + 1);
        audience_.forget_all();
    }

    void begin_measuring() {
        run_.report.seen.deliveries = 0;
        run_.report.latencies = {};
        run_.report.measured = {.server_begin = usage_of(run_.options.pid),
                                .begin = clock_now(),
                                .own_begin = clock_now(CLOCK_PROCESS_CPUTIME_ID)};
    }

    void end_measuring(std::uint64_t events) {
        run_.report.measured.events = events;
        run_.report.measured.end = clock_now();
        run_.report.measured.own_end = clock_now(CLOCK_PROCESS_CPUTIME_ID);
        run_.report.measured.server_end = usage_of(run_.options.pid);
    }

    // The loop

    template <class Condition>
    void turn_until(Condition is_done) {
        run_.moved = run_.now = clock_now();
        while (!is_done()) {
            audience_.connect_waiting();
            if (wants_to_publish() && run_.progress.is_deserted()) stall("nobody is left to publish to");
            publish_due();
            if (wants_to_publish()) audience_.churn_due();
            if (run_.now - run_.moved > from_seconds(run_.options.patience)) {
                if (is_waiting()) stall("nothing has moved for too long");
                run_.moved = run_.now;
            }
            poll();
        }
    }

    [[noreturn]] void stall(std::string_view why) const {
        const std::uint64_t published = run_.progress.published();
        throw std::runtime_error(fmt::format(
            "{}: {} connections are not there yet, the server has ended {}; {} events are published, "
            "{} of them still waited for",
            why, audience_.missing(), run_.report.seen.ended, published, run_.progress.ahead()));
    }

    bool is_waiting() const {
        return audience_.connecting() > 0 || !run_.progress.is_complete() || !publisher_.is_idle();
    }

    void poll() {
        nanoseconds wake = std::min({run_.moved + from_seconds(run_.options.patience) + 1, wake_at_,
                                     wants_to_publish() ? audience_.next_churn() : never});
        wake = std::min(wake, audience_.next_return());
        if (run_.options.mode == mode::rate && wants_to_publish()) wake = std::min(wake, next_publish_);
        if (publish_end_ > run_.now) wake = std::min(wake, publish_end_);
        // In the other modes each send would have to wake it, at the server's expense.
        const bool may_sleep = run_.options.mode == mode::rate || run_.options.mode == mode::hold;
        const nanoseconds wait = may_sleep && wake > run_.now ? wake - run_.now : 0;
        const timespec timeout{.tv_sec = static_cast<time_t>(wait / 1'000'000'000),
                               .tv_nsec = static_cast<long>(wait % 1'000'000'000)};
        const int ready = ::epoll_pwait2(run_.epoll.get(), events_.data(), static_cast<int>(events_.size()),
                                         &timeout, nullptr);
        if (ready < 0 && errno != EINTR) support::throw_errno("epoll_pwait2");
        run_.now = clock_now();
        for (int i = 0; i < ready; ++i) {
            const epoll_event& event = events_[static_cast<std::size_t>(i)];
            if (event.data.u64 == publisher_key) serve_publisher();
            else audience_.serve(event.data.u64, event.events);
        }
    }

    // Publishing

    bool wants_to_publish() const { return run_.progress.published() < last_ && run_.now < publish_end_; }

    bool is_due() const {
        if (!wants_to_publish()) return false;
        switch (run_.options.mode) {
            case mode::rate: return run_.now >= next_publish_;
            case mode::full: return run_.progress.ahead() < run_.options.window;
            default: return run_.progress.is_complete();
        }
    }

    void connect_publisher() {
        publisher_.connect();
        run_.watch(EPOLL_CTL_ADD, publisher_.socket(), EPOLLIN, publisher_key);
        waits_to_send_ = false;
    }

    void publish_due() {
        if (is_due() && !publisher_.is_connected()) connect_publisher();
        bool published = false;
        for (; is_due(); published = true) {
            run_.moved = run_.now = clock_now();  // or else an endless loop would not see its end
            run_.progress.add_event();
            publisher_.post(make_data(run_.tag, {run_.progress.published(), run_.now}, run_.options.bytes));
            next_publish_ += from_seconds(1 / run_.options.rate);
        }
        if (published) send();
    }

    void send() {
        const bool is_unsent = publisher_.send();
        if (std::exchange(waits_to_send_, is_unsent) == is_unsent) return;
        run_.watch(EPOLL_CTL_MOD, publisher_.socket(), is_unsent ? EPOLLIN | EPOLLOUT : EPOLLIN,
                   publisher_key);
    }

    void serve_publisher() {
        publisher_.receive(run_.room);
        if (publisher_.is_connected()) send();
    }

    run_state run_;
    audience audience_;
    publisher publisher_;

    nanoseconds wake_at_ = never;
    nanoseconds next_publish_ = 0;
    nanoseconds publish_end_ = never;
    std::uint64_t last_ = 0;  // event to publish
    bool waits_to_send_ = false;
    std::array<epoll_event, 512> events_{};
};

}  // namespace swarm
