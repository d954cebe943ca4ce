// The command line of live_server: its options, their defaults, its help.
#pragma once

#include "../support/program.hpp"
#include "../support/socket.hpp"

#include <sse/channel.hpp>
#include <sse/encoder.hpp>
#include <sse/http.hpp>
#include <sse/session.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace live_server {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;
using milliseconds = std::chrono::milliseconds;

// The defaults are those of `settings`.
inline constexpr std::string_view usage = R"(usage: live_server [options]

  GET /             a page that shows the events
  GET /events       the events; ?type=NAME for those only, up to 16 times
  POST /publish     a new one, of the body; ?type=NAME gives it a type. Several
                    where the body is itself a text/event-stream
  GET /stats        figures

  --host HOST       the address to listen on (default {host})
  --port N          the port; 0 for any that is free (default {port})
  --name NAME       a further name of this server, such as example.org, or as
                    its proxy calls it; may be given several times. Besides,
                    requests may name HOST, localhost and any IP address. Other
                    names are refused: a page could let a name of its own lead
                    here, to read and publish (DNS rebinding)
  --origin ORIGIN   a further one, such as https://example.org, whose pages may
                    read and publish, or *; may be given several times. Behind
                    a proxy that changes Host, the server's own is one as well
  --threads N       how many serve (default: one for each core)
  --max-connections N
                    further ones are turned away with 503 (default {connections}, or
                    as many as the limit of descriptors allows)
  --patience MS     how long a client may take for a request, or to take the
                    answer (default {patience})
  --send-buffer BYTES
                    of the kernel's, for each connection (default: its choice)

  --events N        how many are kept for those who come back (default {events})
  --bytes N         in how much memory at most (default {bytes})
  --age S           for how many seconds; 0 for ever (default {age})
  --tick MS         between two events of the ticker; 0 for none (default {tick})

  --retry MS        the pause before subscribers come back (default {retry})
  --heartbeat MS    the pause before a comment shows that the stream is alive
                    (default {heartbeat})
  --send-timeout MS how long a subscriber may leave bytes unread
                    (default {send_timeout})
  --when-behind POLICY
                    what is done with one that falls behind what is kept:
                    disconnect, skip-to-oldest or skip-to-latest (default
                    disconnect)
  --when-unknown POLICY
                    what one gets whose last event ID is unknown: replay-all or
                    only-new (default replay-all)
  --drain MS        how long the farewell may take, on SIGTERM (default {drain})
  --help            this
)";

inline constexpr std::size_t default_max_connections = 100'000;

struct settings {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8080;
    std::vector<std::string> names{};  // in lower case, without a dot at the end
    sse::cors_options cors{};
    std::size_t threads = std::max(1U, std::thread::hardware_concurrency());
    std::optional<std::size_t> max_connections{};
    milliseconds patience = 10s;
    int send_buffer = 0;
    sse::channel_options log{};
    milliseconds tick = 250ms;
    sse::session_options subscriber{.retry = 2s};
    sse::when_unknown when_unknown = sse::when_unknown::replay_all;
    bool help = false;
};

// A host's name as requests give it: in lower case, without a dot at the end. Nothing if the text is no name.
inline std::optional<std::string> host_name(std::string_view text) {
    if (text.ends_with('.')) text.remove_suffix(1);
    const auto url = sse::parse_url(fmt::format("http://{}/", text));
    if (!url || url->host.size() != text.size()) return std::nullopt;
    return url->host;
}

inline std::string parse_name(std::string_view text) {
    if (const auto result = host_name(text)) return *result;
    throw support::usage_error(fmt::format("--name wants such as example.org, not '{}'", text));
}

// Browsers send an origin byte for byte like this, so another spelling would never match.
inline std::string parse_origin(std::string_view text) {
    const auto url = sse::parse_url(text);
    if (text != "*" && (!url || sse::origin(*url) != text))
        throw support::usage_error(fmt::format("--origin wants such as https://example.org, not '{}'", text));
    return std::string(text);
}

inline sse::when_behind parse_when_behind(std::string_view name) {
    if (name == "disconnect") return sse::when_behind::disconnect;
    if (name == "skip-to-oldest") return sse::when_behind::skip_to_oldest;
    if (name == "skip-to-latest") return sse::when_behind::skip_to_latest;
    throw support::usage_error(
        fmt::format("--when-behind wants disconnect, skip-to-oldest or skip-to-latest, not '{}'", name));
}

inline sse::when_unknown parse_when_unknown(std::string_view name) {
    if (name == "replay-all") return sse::when_unknown::replay_all;
    if (name == "only-new") return sse::when_unknown::only_new;
    throw support::usage_error(fmt::format("--when-unknown wants replay-all or only-new, not '{}'", name));
}

// The events by which the page learns of a gap, and that the server is going down.
inline sse::session_options with_notices(sse::session_options subscriber) {
    subscriber.gap = [](std::optional<std::uint64_t> missed) {
        const std::string number = missed ? std::to_string(*missed) : "null";
        return sse::encode({.event = "gap", .data = fmt::format(R"({{"missed":{}}})", number)});
    };
    subscriber.farewell = [](sse::milliseconds retry) {
        const double seconds = static_cast<double>(retry.count()) / 1000;
        const std::string text = fmt::format("The server is going down; come back in {:.1f} s.", seconds);
        return sse::encode({.event = "drain", .data = text, .retry = retry});
    };
    return subscriber;
}

inline settings parse(support::command_line arguments) {
    settings result;
    result.subscriber = with_notices(result.subscriber);
    const auto time = [&arguments](int min) {
        return milliseconds(arguments.number<int>(min, 24 * 60 * 60 * 1000));
    };
    const auto size = [&arguments](std::size_t min) {
        return arguments.number<std::size_t>(min, std::size_t{1} << 40);
    };
    while (arguments.next()) {
        if (arguments.is("--host")) result.host = arguments.value();
        else if (arguments.is("--port")) result.port = arguments.number<std::uint16_t>(0, 65535);
        else if (arguments.is("--name")) result.names.push_back(parse_name(arguments.value()));
        else if (arguments.is("--origin")) result.cors.origins.push_back(parse_origin(arguments.value()));
        else if (arguments.is("--threads")) result.threads = arguments.number<std::size_t>(1, 256);
        else if (arguments.is("--max-connections")) result.max_connections = size(1);
        else if (arguments.is("--patience")) result.patience = time(1);
        else if (arguments.is("--send-buffer")) result.send_buffer = arguments.number<int>(1024, 1 << 30);
        else if (arguments.is("--events")) result.log.max_events = size(1);
        else if (arguments.is("--bytes")) result.log.max_bytes = size(4096);
        else if (arguments.is("--age"))
            result.log.max_age = std::chrono::seconds(arguments.number<int>(0, INT_MAX));
        else if (arguments.is("--tick")) result.tick = time(0);
        else if (arguments.is("--retry")) result.subscriber.retry = time(0);
        else if (arguments.is("--heartbeat")) result.subscriber.heartbeat = time(0);
        else if (arguments.is("--send-timeout")) result.subscriber.send_timeout = time(0);
        else if (arguments.is("--drain")) result.subscriber.drain_timeout = time(1);
        else if (arguments.is("--when-behind"))
            result.subscriber.when_behind = parse_when_behind(arguments.value());
        else if (arguments.is("--when-unknown")) result.when_unknown = parse_when_unknown(arguments.value());
        else if (arguments.is("--help")) result.help = true;
        else arguments.refuse();
    }
    if (const auto listened_on = host_name(result.host)) result.names.push_back(*listened_on);
    return result;
}

inline std::string help() {
    const settings defaults;
    const auto seconds = [](sse::milliseconds time) { return time.count() / 1000; };
    return fmt::format(
        usage, fmt::arg("host", defaults.host), fmt::arg("port", defaults.port),
        fmt::arg("connections", default_max_connections), fmt::arg("patience", defaults.patience.count()),
        fmt::arg("events", defaults.log.max_events), fmt::arg("bytes", defaults.log.max_bytes),
        fmt::arg("age", seconds(defaults.log.max_age)), fmt::arg("tick", defaults.tick.count()),
        fmt::arg("retry", defaults.subscriber.retry->count()),
        fmt::arg("heartbeat", defaults.subscriber.heartbeat.count()),
        fmt::arg("send_timeout", defaults.subscriber.send_timeout.count()),
        fmt::arg("drain", defaults.subscriber.drain_timeout.count()));
}

// Each connection takes a descriptor. If there were fewer descriptors than connections that we accept, the
// clients beyond them would wait in the kernel's queue, and nobody would tell them. A thread has two descriptors
// of its own and, for a moment, one of a client that it turns away and one too many; the C library needs some.
inline std::size_t max_connections(const settings& options) {
    const std::size_t spare = 4 * options.threads + 8;
    const std::size_t free = support::free_descriptors();
    const std::size_t allowed = free > spare ? free - spare : 0;
    const std::size_t result =
        options.max_connections.value_or(std::clamp<std::size_t>(allowed, 1, default_max_connections));
    if (result <= allowed) return result;
    throw std::runtime_error(fmt::format(
        "the limit of descriptors (ulimit -n) allows for {} connections, not {}", allowed, result));
}

}  // namespace live_server
