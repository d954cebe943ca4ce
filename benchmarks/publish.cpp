// publish/<subscribers>: an event of 200 bytes to a channel in which so many have read all, and wait.
#include "measure.hpp"

#include <sse/channel.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace {

// In a pass: so many that it does not count what the readers have left in the caches.
constexpr std::size_t events = 2048;

// A log that is full: what is published takes the place of what was.
class audience {
public:
    explicit audience(std::size_t count) {
        for (std::size_t i = 0; i < 100'000; ++i) publish();
        for (std::size_t i = 0; i < count; ++i) cursors_.push_back(channel_.subscribe());
    }

    void publish() { failed_ = failed_ || channel_.publish({.data = data_}).error; }

    // Up to where nothing is left: then each waits to be woken.
    void read() {
        for (sse::cursor& each : cursors_) {
            for (std::string_view bytes; !(bytes = each.next_bytes()).empty();) each.consume(bytes.size());
            failed_ = failed_ || each.state() != sse::cursor_state::following;
        }
    }

    bool failed() const { return failed_; }

private:
    const std::string data_ = std::string(200, 'x');
    std::size_t woken_ = 0;
    sse::channel channel_{{.wake_up = [this] { ++woken_; }}};
    std::vector<sse::cursor> cursors_{};
    bool failed_ = false;
};

void add(std::size_t subscribers) {
    const std::string title = "publish/" + std::to_string(subscribers);
    benchmark::RegisterBenchmark(title.c_str(), [=](benchmark::State& state) {
        audience audience(subscribers);
        bench::measure(state, events * 200, events, [&] {
            state.PauseTiming();
            audience.read();
            state.ResumeTiming();
            for (std::size_t i = 0; i < events; ++i) audience.publish();
        });
        if (audience.failed()) state.SkipWithError("loses events");
    });
}

}  // namespace

void bench::register_publishers() {
    for (const std::size_t subscribers : {0, 100, 10'000}) add(subscribers);
}
