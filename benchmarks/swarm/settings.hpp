// The command line of swarm.
#pragma once

#include "../../examples/support/program.hpp"

#include <sse/http.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace swarm {

inline constexpr std::size_t max_stamp_bytes = 64;  // a tag and two numbers

inline constexpr std::string_view usage = R"(usage: swarm --events URL --publish URL [options]

Subscribes many times, publishes, and prints as JSON what came of it. The status is 1 where not every event
has come to everybody, once and in order. Where nothing moves any more, the reason is all that is printed.

In the modes lockstep, full and catchup it never sleeps, and takes a whole core: otherwise the server would
pay for waking it with each send.

  --events URL      the stream, of a server on 127.0.0.1
  --publish URL     where events are posted
  --pid P           the server's process: its CPU time and memory are read
  --mode MODE       lockstep  each event reaches all subscribers before the next is published (default)
                    full      as fast as the slowest reading subscriber takes them
                    rate      so many a second, whatever becomes of them
                    hold      lockstep, and few: what subscribers cost that wait
                    catchup   subscribers come back with the Last-Event-ID of --count events ago
  --subscribers N   (default 1000)
  --idle-readers K  of these K read nothing but the head (default 0)
  --count EVENTS    (default 1000; for hold 5; with --for no bound)
  --for SECONDS     publishes that long
  --warm-up EVENTS  published before the measured ones (default 0)
  --rate N          events a second (default 100)
  --window W        the most events that a subscriber is behind in mode full (default 1000)
  --bytes N         of data in an event (default 200)
  --churn N         connections a second that leave, half of them by a reset, and come back with their
                    last id; for servers that keep events
  --patience S      gives up when nothing has moved that long (default 10)
)";

enum class mode { lockstep, full, rate, hold, catchup };

struct settings {
    sse::url events{};
    sse::url publish{};
    int pid = 0;  // none
    enum mode mode = mode::lockstep;
    std::size_t subscribers = 1000;
    std::size_t idle_readers = 0;
    std::uint64_t count = 0;
    double seconds = 0;
    std::uint64_t warm_up = 0;
    double rate = 100;
    std::uint64_t window = 1000;
    std::size_t bytes = 200;
    double churn = 0;
    double patience = 10;
    bool help = false;
};

inline enum mode parse_mode(std::string_view name) {
    constexpr std::array<std::string_view, 5> names{"lockstep", "full", "rate", "hold", "catchup"};
    const auto* const found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) throw support::usage_error(fmt::format("there is no mode '{}'", name));
    return static_cast<enum mode>(found - names.begin());
}

inline sse::url parse_url(std::string_view text) {
    const auto url = sse::parse_url(text);
    if (!url) throw support::usage_error(fmt::format("{}: {}", text, url.error().message()));
    if (url->scheme != "http") throw support::usage_error(fmt::format("{} is not http", text));
    return *url;
}

inline settings parse(support::command_line& arguments) {
    constexpr std::uint64_t many = 1'000'000'000;
    constexpr double long_time = 1e6;
    settings result;
    while (arguments.next()) {
        if (arguments.is("--help")) result.help = true;
        else if (arguments.is("--events")) result.events = parse_url(arguments.value());
        else if (arguments.is("--publish")) result.publish = parse_url(arguments.value());
        else if (arguments.is("--pid"))
            result.pid = arguments.number<int>(1, std::numeric_limits<int>::max());
        else if (arguments.is("--mode")) result.mode = parse_mode(arguments.value());
        else if (arguments.is("--subscribers"))
            result.subscribers = arguments.number<std::size_t>(1, 100'000);
        else if (arguments.is("--idle-readers"))
            result.idle_readers = arguments.number<std::size_t>(0, 100'000);
        else if (arguments.is("--count")) result.count = arguments.number<std::uint64_t>(1, many);
        else if (arguments.is("--for")) result.seconds = arguments.number<double>(0, long_time);
        else if (arguments.is("--warm-up")) result.warm_up = arguments.number<std::uint64_t>(0, many);
        else if (arguments.is("--rate")) result.rate = arguments.number<double>(1e-3, 1e6);
        else if (arguments.is("--window")) result.window = arguments.number<std::uint64_t>(1, many);
        else if (arguments.is("--bytes"))
            result.bytes = arguments.number<std::size_t>(max_stamp_bytes, 1'000'000);
        else if (arguments.is("--churn")) result.churn = arguments.number<double>(0, 1e5);
        else if (arguments.is("--patience")) result.patience = arguments.number<double>(0, long_time);
        else arguments.refuse();
    }
    if (result.help) return result;
    if (result.events.host.empty() || result.publish.host.empty())
        throw support::usage_error("--events and --publish are needed");
    if (result.mode == mode::catchup && result.idle_readers > 0)
        throw support::usage_error("--idle-readers has no meaning in mode catchup");
    if (result.count == 0 && result.seconds == 0) result.count = result.mode == mode::hold ? 5 : 1000;
    return result;
}

}  // namespace swarm
