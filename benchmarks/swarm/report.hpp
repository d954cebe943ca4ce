// What swarm prints.
#pragma once

#include "figures.hpp"
#include "settings.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

namespace swarm {

// Without them the figures of a server whose processes are not known would be infinite, which JSON is not.
inline double quotient(double over, double under) { return under > 0 ? over / under : 0; }

// Who leaves, or reads nothing, gets fewer deliveries than there are events.
inline bool is_complete(const report& report, const settings& settings) {
    const counts& seen = report.seen;
    const bool all_stay = settings.churn == 0 && settings.idle_readers == 0;
    const bool all_came = !all_stay || seen.deliveries == settings.subscribers * report.measured.events;
    const bool in_order = seen.doubled == 0 && seen.out_of_order == 0;
    return all_came && in_order && seen.lost == 0 && seen.missed == 0 && seen.gaps == 0;
}

inline std::string counts_json(const counts& seen) {
    return fmt::format(
        R"("deliveries": {}, "lost": {}, "doubled": {}, "out_of_order": {}, "gaps": {}, "missed": {}, )"
        R"("others": {}, "ended": {}, "left": {})",
        seen.deliveries, seen.lost, seen.doubled, seen.out_of_order, seen.gaps, seen.missed, seen.others,
        seen.ended, seen.left);
}

inline std::string cost_json(const report& report) {
    const measurement& measured = report.measured;
    const double cpu_s = measured.server_end.cpu_s - measured.server_begin.cpu_s;
    const double wall_s = to_seconds(measured.end - measured.begin);
    const auto deliveries = static_cast<double>(report.seen.deliveries);
    return fmt::format(
        R"("wall_s": {:.6f}, "server_cpu_s": {:.2f}, "swarm_cpu_s": {:.6f}, "deliveries_per_cpu_s": {:.0f}, )"
        R"("deliveries_per_s": {:.0f}, "cpu_us_per_event": {:.2f})",
        wall_s, cpu_s, to_seconds(measured.own_end - measured.own_begin), quotient(deliveries, cpu_s),
        quotient(deliveries, wall_s), quotient(cpu_s * 1e6, static_cast<double>(measured.events)));
}

inline std::string latency_json(const histogram& latencies) {
    const auto ms = [&](double fraction) { return to_seconds(latencies.percentile(fraction)) * 1e3; };
    return fmt::format(
        R"("latency_ms": {{"p50": {:.3f}, "p90": {:.3f}, "p99": {:.3f}, "p99.9": {:.3f}, "max": {:.3f}}})",
        ms(0.5), ms(0.9), ms(0.99), ms(0.999), to_seconds(latencies.max()) * 1e3);
}

inline std::string memory_json(const report& report, std::size_t subscribers) {
    const auto four = [&](std::uint64_t process_usage::*figure) {
        return fmt::format(R"("before": {}, "idle": {}, "busy": {}, "after": {})", report.before.*figure,
                           report.idle.*figure, report.busy.*figure, report.after.*figure);
    };
    const auto held = static_cast<double>(std::max(report.idle.rss_bytes, report.busy.rss_bytes));
    const double growth = held - static_cast<double>(report.before.rss_bytes);
    return fmt::format(
        R"("rss_bytes": {{{}, "peak": {}}}, "rss_per_subscriber": {:.0f}, "descriptors": {{{}}})",
        four(&process_usage::rss_bytes), report.after.peak_bytes, growth / static_cast<double>(subscribers),
        four(&process_usage::descriptors));
}

inline std::string to_json(const report& report, std::size_t subscribers, bool is_complete) {
    return fmt::format("{{\"complete\": {}, \"subscribers\": {}, \"events\": {},\n {},\n {},\n {},\n {}}}\n",
                       is_complete, subscribers, report.measured.events, counts_json(report.seen),
                       cost_json(report), latency_json(report.latencies), memory_json(report, subscribers));
}

}  // namespace swarm
