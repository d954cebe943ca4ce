// Publishes something to look at: a value that wanders, and the figures.
#pragma once

#include "server.hpp"

#include "../support/program.hpp"
#include "../support/socket.hpp"

#include <sse/channel.hpp>

#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <new>
#include <random>
#include <string>
#include <string_view>

namespace live_server {

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
inline void tick_until(const support::descriptor& stopped, server& shared) {
    ticker ticker(shared);
    const milliseconds pause = shared.options.tick;
    auto next = steady::now() + pause;
    for (;;) {
        const int timeout = pause.count() == 0 ? -1 : support::milliseconds_until(next);
        pollfd polled{stopped.get(), POLLIN, 0};
        const int ready = ::poll(&polled, 1, timeout);
        if (ready > 0) return;
        if (ready < 0 && errno != EINTR) support::throw_errno("poll");
        if (ready < 0 || steady::now() < next) continue;
        try {
            ticker.tick();
        } catch (const std::bad_alloc&) {
            static_cast<void>(support::write_all(STDERR_FILENO, "live_server: no memory for an event\n"));
        }
        next = std::max(next + pause, steady::now());
    }
}

}  // namespace live_server
