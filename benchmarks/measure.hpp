// What the benchmarks of all themes share.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>

namespace bench {

void register_parsers();
void register_encoders();
void register_publishers();

/// How often operator new was called, by anybody.
std::size_t allocations();

/// Times `work`, one pass over `events` events in `bytes` bytes. It has run before, so it is warm.
template <class Work>
void measure(benchmark::State& state, std::size_t bytes, std::size_t events, Work work) {
    const std::size_t allocations_before = allocations();
    for (auto _ : state) work();
    const auto passes = static_cast<double>(state.iterations());
    const auto allocated = static_cast<double>(allocations() - allocations_before);

    const auto count = static_cast<double>(events);
    using counter = benchmark::Counter;
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
    state.counters["events"] = count;
    state.counters["events_per_second"] = {count, counter::kIsIterationInvariantRate};
    state.counters["time_per_event"] = {count, counter::kIsIterationInvariantRate | counter::kInvert};
    state.counters["allocations"] = allocated / passes / count;
}

}  // namespace bench
