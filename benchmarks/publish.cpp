// publish/<subscribers>: an event of 200 bytes to a channel that has so many. deliver/<subscribers>: and each of
// them takes it, as for a send.
#include "measure.hpp"

#include <sse/channel.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t events = 256;  // in a pass

// A log that is full: what is published takes the place of what was. The subscribers have fallen out of it.
struct audience {
    explicit audience(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) cursors.push_back(channel.subscribe());
        for (std::size_t i = 0; i < 100'000; ++i) publish();
    }

    void catch_up() {
        for (sse::cursor& each : cursors) each.skip(true);
    }

    void publish() { failed = failed || channel.publish({.data = data}).error; }

    void deliver() {
        for (sse::cursor& each : cursors) {
            const std::string_view bytes = each.pending();
            benchmark::DoNotOptimize(bytes);
            each.consume(bytes.size());
            failed = failed || bytes.size() < data.size() || !each.pending().empty();
        }
    }

    const std::string data = std::string(200, 'x');
    sse::channel channel{{.bytes = std::size_t{1} << 20}};
    std::vector<sse::cursor> cursors{};
    bool failed = false;
};

template <class Pass>
void add(const std::string& what, std::size_t subscribers, std::size_t count, Pass pass) {
    const std::string title = what + "/" + std::to_string(subscribers);
    benchmark::RegisterBenchmark(title.c_str(), [=](benchmark::State& state) {
        audience audience(subscribers);
        if (what == "deliver") audience.catch_up();
        pass(audience);
        bench::measure(state, count * audience.data.size(), count, [&] { pass(audience); });
        if (audience.failed) state.SkipWithError("does not deliver what it should");
    });
}

}  // namespace

void bench::register_publishers() {
    for (const std::size_t subscribers : {0, 100, 10'000}) {
        add("publish", subscribers, events, [](audience& audience) {
            for (std::size_t i = 0; i < events; ++i) audience.publish();
        });
    }
    for (const std::size_t subscribers : {10, 100, 1000, 10'000}) {
        add("deliver", subscribers, subscribers, [](audience& audience) {
            audience.publish();
            audience.deliver();
        });
    }
}
