// encode/<what>/<case>: messages to bytes, and what bounds that.
#include "measure.hpp"
#include "peers.hpp"

#include <sse/encoder.hpp>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

/// What each way writes to: it starts at the front again when the next message does not fit.
constexpr std::size_t room = std::size_t{1} << 20;

constexpr std::array<std::string_view, 5> case_names{
    "230",          // a line of data
    "230x3",        // as long, with three LFs
    "tick",         // id, event, and 12 bytes of data
    "64KiB",        // a line of data
    "64KiB/lines",  // in lines of 80 bytes
};

/// Different messages of one kind, so that not one alone is in the cache.
class pool {
public:
    explicit pool(std::string_view name) {
        const bool large = name.starts_with("64KiB");
        for (int i = 0; i < (large ? 16 : 256); ++i) {
            sse::message message;
            if (name == "tick") {
                message.event = "tick";
                message.id = keep(std::to_string(1'000'000 + i));
            }
            std::string data = letters(large ? 65'536 : name == "tick" ? 12 : 230);
            if (name == "230x3") {
                for (const std::size_t third : {0u, 76u, 152u}) data[third + random_() % 76] = '\n';
            } else if (name == "64KiB/lines") {
                for (std::size_t at = 79; at < data.size() - 1; at += 80) data[at] = '\n';
            }
            message.data = keep(std::move(data));
            messages.push_back(message);
            encoded.push_back(sse::encode(message));
            size += encoded.back().size();
        }
    }

    std::vector<sse::message> messages{};
    std::vector<std::string> encoded{};
    std::size_t size = 0;  // of all that is encoded

private:
    std::string letters(std::size_t count) {
        std::string text(count, ' ');
        for (char& letter : text) letter = static_cast<char>('a' + random_() % 26);
        return text;
    }

    std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }

    std::mt19937 random_{1};
    std::deque<std::string> texts_{};  // which does not move them
};

const pool& pool_of(std::string_view name) {
    static std::map<std::string_view, pool> pools;
    return pools.try_emplace(name, name).first->second;
}

// The ways to write a message behind the ones before it, given also what it looks like encoded.

struct to_string {
    to_string() { out.reserve(room); }
    void reset() { out.clear(); }
    void put(const sse::message& message, std::string_view) {
        static_cast<void>(sse::encode_to(out, message));
    }
    std::string_view written() const { return out; }

    std::string out{};
};

struct append {
    append() { out.reserve(room); }
    void reset() { out.clear(); }
    void put(const sse::message&, std::string_view encoded) { out.append(encoded); }
    std::string_view written() const { return out; }

    std::string out{};
};

/// A plain buffer, which is filled by one of three.
struct buffer {
    void reset() { rest = out; }
    std::string_view written() const { return {out.data(), out.size() - rest.size()}; }

    void copy(std::string_view bytes) {
        std::memcpy(rest.data(), bytes.data(), bytes.size());
        rest = rest.subspan(bytes.size());
    }

    std::vector<char> out = std::vector<char>(room);
    std::span<char> rest{out};
};

struct to_span : buffer {
    void put(const sse::message& message, std::string_view) {
        static_cast<void>(sse::encode_to(rest, message));
    }
};

struct to_callable : buffer {
    void put(const sse::message& message, std::string_view) {
        static_cast<void>(sse::encode_to([this](std::string_view bytes) { copy(bytes); }, message));
    }
};

struct copy : buffer {
    void put(const sse::message&, std::string_view encoded) { buffer::copy(encoded); }
};

struct ostringstream {
    ostringstream() { out << std::string(room, ' '); }
    void reset() { out.str(nothing); }  // not of a temporary, which would replace the memory too
    void put(const sse::message& message, std::string_view) { peers::encode_by_ostream(out, message); }
    std::string_view written() const { return out.view(); }

    std::ostringstream out{};
    const std::string nothing{};
};

struct by_fmt {
    by_fmt() { out.reserve(room); }
    void reset() { out.clear(); }
    void put(const sse::message& message, std::string_view) { peers::encode_by_fmt(out, message); }
    std::string_view written() const { return {out.data(), out.size()}; }

    fmt::memory_buffer out{};
};

template <class Way>
void add(std::string_view what, std::string_view name) {
    const std::string title = "encode/" + std::string(what) + "/" + std::string(name);
    benchmark::RegisterBenchmark(title.c_str(), [=](benchmark::State& state) {
        const pool& pool = pool_of(name);
        Way way{};
        for (std::size_t i = 0; i < pool.messages.size(); ++i) {
            way.reset();
            way.put(pool.messages[i], pool.encoded[i]);
            if (way.written() != pool.encoded[i])
                return state.SkipWithError("does not encode what it should");
        }
        std::size_t left = 0;
        bench::measure(state, pool.size, pool.messages.size(), [&] {
            for (std::size_t i = 0; i < pool.messages.size(); ++i) {
                const std::string_view encoded = pool.encoded[i];
                if (left < encoded.size()) {
                    way.reset();
                    left = room;
                }
                left -= encoded.size();
                way.put(pool.messages[i], encoded);
            }
            benchmark::ClobberMemory();
        });
    });
}

}  // namespace

void bench::register_encoders() {
    for (const std::string_view name : case_names) {
        add<copy>("memcpy", name);
        add<append>("append", name);
        add<to_string>("string", name);
        add<to_span>("span", name);
        add<to_callable>("callable", name);
        add<ostringstream>("ostringstream", name);
        add<by_fmt>("fmt", name);
    }
}
