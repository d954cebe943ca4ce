// What swarm measures: spans of time, what the server uses, what has come.
#pragma once

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace swarm {

// Time, in nanoseconds

using nanoseconds = std::uint64_t;

inline constexpr nanoseconds never = std::numeric_limits<nanoseconds>::max();

inline nanoseconds clock_now(clockid_t clock = CLOCK_MONOTONIC) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<nanoseconds>(time.tv_sec) * 1'000'000'000 + static_cast<nanoseconds>(time.tv_nsec);
}

constexpr nanoseconds from_seconds(double seconds) { return static_cast<nanoseconds>(seconds * 1e9); }
constexpr double to_seconds(nanoseconds time) { return static_cast<double>(time) / 1e9; }

// Counts spans of time in bins that are 1.6% wide, however long they are.
class histogram {
public:
    void add(nanoseconds time) {
        ++bins_[bin_of(time)];
        ++count_;
        max_ = std::max(max_, time);
    }

    nanoseconds max() const { return max_; }

    // The end of the bin that the fraction falls into.
    nanoseconds percentile(double fraction) const {
        const auto rank = static_cast<std::uint64_t>(static_cast<double>(count_) * fraction);
        std::uint64_t below = 0;
        for (std::size_t bin = 0; bin < bins_.size(); ++bin) {
            below += bins_[bin];
            if (below > rank) return std::min(max_, begin_of(bin + 1));
        }
        return max_;
    }

private:
    static constexpr unsigned precision = 6;  // 2 to its power bins for each doubling of the time
    static constexpr std::size_t bins_each = std::size_t{1} << precision;

    static constexpr std::size_t bin_of(nanoseconds time) {
        if (time < bins_each) return time;
        const auto shift = static_cast<unsigned>(std::bit_width(time)) - precision - 1;
        return shift * bins_each + (time >> shift);
    }

    static constexpr nanoseconds begin_of(std::size_t bin) {
        if (bin < bins_each) return bin;
        const std::size_t shift = bin / bins_each - 1;
        return (bin - shift * bins_each) << shift;
    }

    std::vector<std::uint64_t> bins_ = std::vector<std::uint64_t>((64 - precision + 1) * bins_each);
    std::uint64_t count_ = 0;
    nanoseconds max_ = 0;
};

// What the server's process uses, as the kernel counts it.
struct process_usage {
    double cpu_s = 0;
    std::uint64_t rss_bytes = 0;
    std::uint64_t peak_bytes = 0;  // the most that rss_bytes has been
    std::uint64_t descriptors = 0;
};

inline double cpu_time_of(const std::string& folder) {
    std::ifstream file(folder + "stat");
    std::string text;
    if (!std::getline(file, text)) throw std::runtime_error("the server's process is gone");
    std::istringstream rest(text.substr(text.rfind(')') + 1));  // the name before it may hold anything
    const std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};  // from the third on
    const double ticks = std::stod(fields.at(14 - 3)) + std::stod(fields.at(15 - 3));  // user's and system's
    return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

inline process_usage usage_of(int pid) {
    if (pid == 0) return {};
    const std::string folder = fmt::format("/proc/{}/", pid);
    process_usage used{.cpu_s = cpu_time_of(folder)};
    std::ifstream status(folder + "status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmRSS:")) used.rss_bytes = std::stoull(line.substr(6)) << 10;
        if (line.starts_with("VmHWM:")) used.peak_bytes = std::stoull(line.substr(6)) << 10;
    }
    const std::filesystem::directory_iterator descriptors(folder + "fd");
    used.descriptors = static_cast<std::uint64_t>(std::distance(begin(descriptors), end(descriptors)));
    return used;
}

// What has come

struct counts {
    std::uint64_t deliveries = 0;
    std::uint64_t lost = 0;
    std::uint64_t doubled = 0;
    std::uint64_t out_of_order = 0;
    std::uint64_t gaps = 0;    // events of that type
    std::uint64_t missed = 0;  // events that a gap told of, or that nobody asked for
    std::uint64_t others = 0;  // that this swarm did not publish
    std::uint64_t ended = 0;   // connections that the server ended
    std::uint64_t left = 0;    // connections that came back later
};

// The measured part of a run.
struct measurement {
    process_usage server_begin{}, server_end{};
    nanoseconds begin = 0, end = 0;
    nanoseconds own_begin = 0, own_end = 0;  // CPU time
    std::uint64_t events = 0;                // that each subscriber is to get
};

struct report {
    counts seen{};
    histogram latencies{};
    measurement measured{};
    process_usage before{}, idle{}, busy{}, after{};
};

}  // namespace swarm
