// What the threads of live_server share: the channel, the figures, and how one thread reaches another.
#pragma once

#include "settings.hpp"

#include "../support/socket.hpp"

#include <sse/channel.hpp>

#include <fmt/core.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace live_server {

struct counters {
    std::atomic<std::uint64_t> connections{0};
    std::atomic<std::size_t> bodies_bytes{0};  // of all requests under way
    std::atomic<std::uint64_t> delivered_bytes{0};
    std::atomic<std::uint64_t> sends{0};
    std::atomic<std::uint64_t> dropped_slow{0};
    std::atomic<std::uint64_t> cut{0};
    std::atomic<std::uint64_t> rejected{0};
};

inline void count(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) noexcept {
    counter.fetch_add(by, std::memory_order_relaxed);
}

// What other threads tell a loop: that there may be something to send, and whom to cut.
class mailbox {
public:
    mailbox() {
        if (!wake_) support::throw_errno("epoll");
    }

    // From any thread

    void wake() const noexcept { static_cast<void>(::eventfd_write(wake_.get(), 1)); }

    // Returns whether there is room for the name.
    bool cut(const std::string& name) {
        {
            const std::lock_guard lock(mutex_);
            if (to_cut_.size() == max_names && !to_cut_.contains(name)) return false;
            to_cut_.insert(name);
        }
        wake();
        return true;
    }

    // From the loop

    // Readable if `wake` has been called since the last `take`.
    const support::descriptor& socket() const noexcept { return wake_; }

    // Returns the names of those to be cut.
    std::set<std::string> take() {
        eventfd_t ignored = 0;
        static_cast<void>(
            ::eventfd_read(wake_.get(), &ignored));  // before the names: another one wakes again
        const std::lock_guard lock(mutex_);
        return std::exchange(to_cut_, {});
    }

private:
    static constexpr std::size_t max_names = 1000;

    support::descriptor wake_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    std::mutex mutex_{};
    std::set<std::string> to_cut_{};
};

struct server {
    server(settings given, std::size_t connections)
        : options(std::move(given)),
          max_connections(connections),
          mailboxes(options.threads),
          channel([this] {
              sse::channel_options log = options.log;
              log.wake_up = [this] { wake_all(); };
              return log;
          }()) {}

    void wake_all() const {
        for (const mailbox& each : mailboxes) each.wake();
    }

    // Returns whether all threads have room for the name.
    bool cut(const std::string& name) {
        return std::all_of(mailboxes.begin(), mailboxes.end(), [&](mailbox& each) { return each.cut(name); });
    }

    void drain() {
        is_draining = true;
        wake_all();
    }

    std::string stats() const {
        const sse::channel_stats log = channel.stats();
        const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(steady::now() - started);
        return fmt::format(R"({{"uptime_s":{},"threads":{},"connections":{},"max_connections":{},)"
                           R"("subscribers":{},"published":{},)"
                           R"("delivered_bytes":{},"sends":{},"held_events":{},"held_bytes":{},)"
                           R"("fell_behind":{},"dropped_slow":{},"cut":{},"rejected":{}}})",
                           uptime.count(), mailboxes.size(), figures.connections.load(), max_connections,
                           log.subscribers, log.published, figures.delivered_bytes.load(),
                           figures.sends.load(), log.held_events, log.held_bytes, log.fell_behind,
                           figures.dropped_slow.load(), figures.cut.load(), figures.rejected.load());
    }

    const settings options;
    const std::size_t max_connections;
    const steady::time_point started = steady::now();
    counters figures{};
    std::atomic<bool> is_draining{false};
    std::vector<mailbox> mailboxes;  // one for each thread
    sse::channel channel;            // behind the mailboxes, which it wakes
};

}  // namespace live_server
