// parse/<what>/<stream>/<chunk size>: bytes to events, and what bounds that.
#include "../tests/support/streams.hpp"
#include "measure.hpp"
#include "peers.hpp"

#include <sse/parser.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t stream_size = std::size_t{64} << 20;
constexpr std::size_t cached_size = std::size_t{256} << 10;  // stays in the second cache
constexpr std::string_view cached_suffix = ".cached";        // of the names of streams of that size
constexpr std::size_t whole = std::string_view::npos;        // as a chunk size

struct stream {
    explicit stream(std::string_view name) {
        const bool is_cached = name.ends_with(cached_suffix);
        if (is_cached) name.remove_suffix(cached_suffix.size());
        const std::size_t most = is_cached ? cached_size : stream_size;
        bytes.reserve(most);
        test::stream_maker maker(name);
        for (std::string event;; bytes += event, ++events) {
            event.clear();
            maker.append_event_to(event);
            if (bytes.size() + event.size() > most) break;
        }
        size = bytes.size();
        lines = count(bytes.back());
        line_ends = count('\n') + count('\r');
    }

    std::size_t count(char byte) const {
        return static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), byte));
    }

    std::string bytes{};
    std::size_t size = 0;
    std::size_t events = 0;
    std::size_t lines = 0;
    std::size_t line_ends = 0;  // CR LF are two
};

/// Made when it is first asked for.
const stream& stream_of(std::string_view name) {
    static std::map<std::string, stream, std::less<>> streams;
    const auto found = streams.find(name);
    return found != streams.end() ? found->second : streams.emplace(name, name).first->second;
}

template <class Use>
void for_each_chunk(std::string_view bytes, std::size_t size, Use use) {
    while (!bytes.empty()) {
        const std::string_view chunk = bytes.substr(0, size);
        bytes.remove_prefix(chunk.size());
        use(chunk);
    }
}

// What is done with an event

struct look {
    void operator()(const sse::event_view& event) {
        ++events;
        bytes += event.type.size() + event.data.size() + event.last_event_id.size();
    }
    ~look() { benchmark::DoNotOptimize(bytes); }

    std::size_t events = 0;
    std::size_t bytes = 0;
};

struct own {
    void operator()(const sse::event_view& view) {
        ++events;
        const sse::event event(view);
        benchmark::DoNotOptimize(event);
    }

    std::size_t events = 0;
};

// The ways over a stream. Each returns how many of the things came that it is to find.

template <class Parser, class Use>
struct push {
    std::size_t operator()(std::string_view stream, std::size_t chunk_size) {
        Use use;
        parser.reset();
        for_each_chunk(stream, chunk_size, [&](std::string_view chunk) {
            if (parser.feed(chunk, use)) use.events = 0;  // which is wrong
        });
        return use.events;
    }

    Parser parser{};
};

template <class Use>
struct pull {
    std::size_t operator()(std::string_view stream, std::size_t chunk_size) {
        Use use;
        parser.reset();
        for_each_chunk(stream, chunk_size, [&](std::string_view chunk) {
            while (const auto event = parser.next(chunk)) use(*event);
        });
        return use.events;
    }

    sse::parser parser{};
};

struct copy {
    std::size_t operator()(std::string_view stream, std::size_t chunk_size) {
        destination.resize(stream.size());
        char* to = destination.data();
        for_each_chunk(stream, chunk_size, [&](std::string_view chunk) {
            std::memcpy(to, chunk.data(), chunk.size());
            to += chunk.size();
            benchmark::ClobberMemory();
        });
        return static_cast<std::size_t>(to - destination.data());
    }

    std::vector<char> destination{};
};

/// Finds the last byte of each line, with one call a line.
struct search {
    std::size_t operator()(std::string_view stream, std::size_t chunk_size) {
        const char line_end = stream.back();
        std::size_t lines = 0;
        for_each_chunk(stream, chunk_size, [&](std::string_view chunk) {
            const char* from = chunk.data();
            const char* const last = from + chunk.size();
            const auto next = [&] {
                return std::memchr(from, line_end, static_cast<std::size_t>(last - from));
            };
            while (const void* const found = next()) {
                from = static_cast<const char*>(found) + 1;
                ++lines;
            }
        });
        return lines;
    }
};

/// A pass that does nothing but count, at the speed of the vector unit.
#if defined(__x86_64__) && defined(__GLIBC__)
__attribute__((target_clones("avx2", "default")))
#endif
std::size_t
count_line_ends(std::string_view text) {
    std::size_t count = 0;
    while (!text.empty()) {
        const std::string_view block = text.substr(0, 192);  // so few that a byte can count them
        std::uint8_t in_block = 0;
        for (const char byte : block) {
            in_block = static_cast<std::uint8_t>(in_block + ((byte == '\n') | (byte == '\r')));
        }
        count += in_block;
        text.remove_prefix(block.size());
    }
    return count;
}

struct count {
    std::size_t operator()(std::string_view stream, std::size_t chunk_size) {
        std::size_t line_ends = 0;
        for_each_chunk(stream, chunk_size,
                       [&](std::string_view chunk) { line_ends += count_line_ends(chunk); });
        return line_ends;
    }
};

struct by_getline {
    std::size_t operator()(const std::string& stream, std::size_t) {
        std::size_t events = 0;
        peers::parse_by_getline(stream, [&](const peers::event&) { ++events; });
        return events;
    }
};

struct by_find {
    std::size_t operator()(std::string_view stream, std::size_t chunk_size) {
        std::size_t events = 0;
        for_each_chunk(stream, chunk_size, [&](std::string_view chunk) {
            parser.feed(chunk, [&](const peers::event&) { ++events; });
        });
        return events;
    }

    peers::find_parser parser{};
};

// Their names

/// `expected` is what the way must find; it is held to that before it is timed.
template <class Way>
void add(std::string_view what, std::string_view name, std::size_t chunk_size,
         std::size_t stream::*expected) {
    const std::string size = chunk_size == whole ? "whole" : std::to_string(chunk_size);
    const std::string title = "parse/" + std::string(what) + "/" + std::string(name) + "/" + size;
    benchmark::RegisterBenchmark(title.c_str(), [=, name = std::string(name)](benchmark::State& state) {
        const stream& stream = stream_of(name);
        Way way{};
        if (way(stream.bytes, chunk_size) != stream.*expected) {
            return state.SkipWithError("does not find what there is");
        }
        bench::measure(state, stream.size, stream.events,
                       [&] { benchmark::DoNotOptimize(way(stream.bytes, chunk_size)); });
    });
}

}  // namespace

void bench::register_parsers() {
    using fixed_parser = sse::fixed_parser<128 << 10>;  // large enough for each of the streams
    for (const std::size_t chunk_size : {std::size_t{64}, std::size_t{1460}, std::size_t{16384}, whole}) {
        for (const std::string_view name : test::stream_names) {
            add<copy>("memcpy", name, chunk_size, &stream::size);
            add<search>("memchr", name, chunk_size, &stream::lines);
            add<count>("line_ends", name, chunk_size, &stream::line_ends);
            add<push<sse::parser, look>>("push", name, chunk_size, &stream::events);
            add<push<sse::parser, own>>("push_owned", name, chunk_size, &stream::events);
            add<pull<look>>("pull", name, chunk_size, &stream::events);
            add<pull<own>>("pull_owned", name, chunk_size, &stream::events);
            add<push<fixed_parser, look>>("fixed", name, chunk_size, &stream::events);
            // Left out: streams of which a peer gives wrong events, and chunks in which it is quadratic.
            if (chunk_size == whole && name != "cr") {
                add<by_getline>("getline", name, chunk_size, &stream::events);
            }
            if (chunk_size != whole && name != "cr" && name != "crlf") {
                add<by_find>("find", name, chunk_size, &stream::events);
            }

            // What memory does to the figures: a short stream again and again.
            const std::string cached = std::string(name).append(cached_suffix);
            add<search>("memchr", cached, chunk_size, &stream::lines);
            add<count>("line_ends", cached, chunk_size, &stream::line_ends);
            add<push<sse::parser, look>>("push", cached, chunk_size, &stream::events);
            add<pull<look>>("pull", cached, chunk_size, &stream::events);
        }
    }
}
