// Parses or encodes a text of one shape and size, or publishes it, reads it from a log or drops it, for
// linear.py to count the instructions.
//
//     linear                    lists the shapes, each behind the larger of its two sizes
//     linear BYTES SHAPE
#include <sse/channel.hpp>
#include <sse/encoder.hpp>
#include <sse/parser.hpp>

#include <fmt/format.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

std::string repeat(std::string_view text, std::size_t size) {
    std::string out;
    out.reserve(size);
    while (out.size() + text.size() <= size) out += text;
    return out;
}

std::string make_line(std::size_t size) { return "data: " + std::string(size, 'x') + "\n\n"; }

std::string make_small_events(std::size_t size) { return repeat("data: 42\n\n", size); }

std::string make_mixed_events(std::size_t size) {
    return repeat(
        "id: 7\nevent: tick\ndata: one\ndata: two\n\n"
        ": keep-alive\r\n\r\n"
        "retry: 10\rdata\r\r"
        "other: field\ndata:\n\n",
        size);
}

std::string make_data_lines(std::size_t size) { return repeat("data: x\n", size) + '\n'; }

/// One event whose fields of a hundred bytes are set over and over while its data grows.
std::string make_fields_by_turns(std::size_t size) {
    const std::string value(100, 'x');
    return repeat("id: " + value + "\nevent: " + value + "\ndata: " + value + '\n', size) + '\n';
}

std::string make_short_ids(std::size_t size) {
    return "event: " + std::string(size / 2, 'x') + '\n' + repeat("id: 7\ndata: x\n", size / 2) + '\n';
}

std::string make_short_types(std::size_t size) {
    return "id: " + std::string(size / 2, 'x') + '\n' + repeat("event: e\ndata: x\n", size / 2) + '\n';
}

std::string make_ill_formed_line(std::size_t size) { return "data: " + std::string(size, '\xFF') + "\n\n"; }

std::string make_line_breaks(std::size_t size) { return std::string(size, '\n'); }

std::string make_letters(std::size_t size) { return std::string(size, 'x'); }

bool feed(std::string_view stream, std::size_t chunk_size, const sse::parser_options& options = {}) {
    sse::parser parser(options);
    std::size_t events = 0;
    while (!stream.empty()) {
        const std::string_view chunk = stream.substr(0, chunk_size);
        stream.remove_prefix(chunk.size());
        if (parser.feed(chunk, [&](const sse::event_view&) { ++events; })) return false;
    }
    return events > 0 && !parser.in_event();
}

bool feed_whole(std::string_view stream) { return feed(stream, stream.size()); }
bool feed_chunks(std::string_view stream) { return feed(stream, 16 * kib); }
bool feed_small_chunks(std::string_view stream) { return feed(stream, 64); }
bool feed_bytes(std::string_view stream) { return feed(stream, 1); }
bool feed_and_replace(std::string_view stream) {
    return feed(stream, 16 * kib, {.invalid_utf8 = sse::invalid_utf8::replace});
}

bool pull(std::string_view stream) {
    sse::parser parser;
    std::size_t events = 0;
    while (parser.next(stream)) ++events;
    return events > 0 && !parser.error() && !parser.in_event();
}

bool encode(std::string_view data) {
    std::string out;
    return !sse::encode_to(out, {.data = data}) && out.size() > data.size();
}

bool encode_small_messages(std::string_view data) {
    std::string out;
    for (; !data.empty(); data.remove_prefix(1)) {
        if (sse::encode_to(out, {.data = data.substr(0, 1)})) return false;
    }
    return true;
}

bool encode_chunks(std::string_view data) {
    std::string out;
    sse::encoder encoder(out);
    if (encoder.begin_event()) return false;
    for (; !data.empty(); data.remove_prefix(1)) {
        if (encoder.write_data(data.substr(0, 1))) return false;
    }
    return !encoder.end_event();
}

using namespace std::chrono_literals;

sse::channel& old_news() {
    static sse::channel all({.max_events = SIZE_MAX, .max_bytes = 1024 * mib, .max_age = 1min});
    return all;
}

/// Of events that each take a segment of the log.
std::string make_log(std::size_t size) {
    const std::string data(32 * kib, 'x');
    for (std::size_t i = 0; i < size / data.size(); ++i) {
        if (old_news().publish({.data = data}, sse::channel::time_point(1h)).error) return {};
    }
    return data;
}

bool drop(std::string_view data) {
    old_news().trim(sse::channel::time_point(2h));
    return !data.empty() && old_news().stats().held_events == 0;
}

/// An event, and in the same segment one that the cursor does not want, whose type is long.
bool read_before_long_type(std::string_view data) {
    sse::channel news({.max_events = SIZE_MAX, .max_bytes = 1024 * mib});
    for (int i = 0; i < 70; ++i) {  // the segments grow to 64 KiB, and the last has room for both
        if (news.publish({.data = data.substr(0, kib)}).error) return false;
    }
    sse::cursor reader = news.subscribe({}, {.types = {"tick"}});
    if (news.publish({.event = "tick", .data = data}).error || news.publish({.event = data}).error)
        return false;
    std::size_t bytes = 0;
    for (; !reader.next_bytes().empty(); ++bytes) reader.consume(1);
    return bytes > data.size() && reader.has_passed_over();
}

/// A long run of events that a cursor wants.
bool read_types_bytewise(std::string_view data) {
    sse::channel news({.max_events = SIZE_MAX, .max_bytes = 1024 * mib});
    sse::cursor reader = news.subscribe({}, {.types = {"no", "neither", "tick"}});
    for (std::string_view left = data; !left.empty(); left.remove_prefix(1)) {
        if (news.publish({.event = "tick", .data = left.substr(0, 1)}).error) return false;
    }
    std::size_t bytes = 0;
    for (; !reader.next_bytes().empty(); ++bytes) reader.consume(1);
    return bytes > 40 * data.size() && reader.state() == sse::cursor_state::following;
}

/// The same for a log whose segments end while it is read, and where every other event is of another type.
bool read_mixed_types_bytewise(std::string_view data) {
    sse::channel news({.max_events = SIZE_MAX, .max_bytes = 1024 * mib});
    sse::cursor reader = news.subscribe({}, {.types = {"tick"}});
    for (std::size_t i = 0; i < data.size(); ++i) {
        if (news.publish({.event = i % 3 == 0 ? "tock" : "tick", .data = data.substr(i, 1)}).error)
            return false;
        for (int taken = 0; taken < 20 && !reader.next_bytes().empty(); ++taken) reader.consume(1);
    }
    std::size_t bytes = 0;
    for (; !reader.next_bytes().empty(); ++bytes) reader.consume(1);
    return bytes > 0 && reader.state() == sse::cursor_state::following;
}

/// Two IDs that share a chain, in a table of up to so many: the caller's publisher may be unlucky too.
std::string id_like(std::string_view other) {
    constexpr std::uint64_t mask = 128 * kib - 1;
    const sse::detail::hash_key& key = *sse::detail::process_hash_key();
    const std::uint64_t hash = sse::detail::sip_hash(other, key);
    for (std::uint64_t number = 0;; ++number) {
        std::string id = std::to_string(number);
        if (((sse::detail::sip_hash(id, key) ^ hash) & mask) == 0) return id;
    }
}

std::string make_ids(std::size_t size) {
    std::string ids = "one " + id_like("one");
    ids.resize(size, ' ');
    return ids;
}

/// One event has an ID, very many have another of the same chain, and clients come back with either all the
/// time.
bool publish_two_ids(std::string_view ids) {
    const std::string_view one = ids.substr(0, 3);
    const std::string_view other = ids.substr(4, ids.find(' ', 4) - 4);
    sse::channel news({.max_events = SIZE_MAX, .max_bytes = 1024 * mib});
    if (news.publish({.data = "first", .id = one}).error) return false;
    for (std::uint64_t number = 2; number <= ids.size() / 64; ++number) {
        if (news.publish({.data = "x", .id = other}).error) return false;
        const sse::cursor behind = news.subscribe(one);
        const sse::cursor at_end = news.subscribe(other);
        if (behind.resumption() != sse::resumption::resumed) return false;
        if (at_end.resumption() != sse::resumption::resumed) return false;
    }
    return true;
}

/// The same by turns.
bool publish_two_ids_by_turns(std::string_view ids) {
    const std::string_view one = ids.substr(0, 3);
    const std::string_view other = ids.substr(4, ids.find(' ', 4) - 4);
    sse::channel news({.max_events = SIZE_MAX, .max_bytes = 1024 * mib});
    for (std::size_t i = 0; i < ids.size() / 64; ++i) {
        if (news.publish({.data = "x", .id = i % 2 == 0 ? one : other}).error) return false;
        if (news.subscribe(one).resumption() != sse::resumption::resumed) return false;
    }
    return true;
}

struct shape {
    std::string_view name;
    std::size_t size;  // the larger of the two that are compared
    std::string (*make)(std::size_t size);
    bool (*use)(std::string_view text);
};

constexpr shape shapes[] = {
    {"a line in 16 KiB chunks", 8 * mib, make_line, feed_chunks},
    {"a line byte by byte", mib, make_line, feed_bytes},
    {"small events in one call", 4 * mib, make_small_events, feed_whole},
    {"small events pulled", 4 * mib, make_small_events, pull},
    {"mixed events byte by byte", mib, make_mixed_events, feed_bytes},
    {"data lines in one call", 4 * mib, make_data_lines, feed_whole},
    {"data lines byte by byte", mib, make_data_lines, feed_bytes},
    {"id, type, data by turns", 4 * mib, make_fields_by_turns, feed_small_chunks},
    {"short ids, one long type", 4 * mib, make_short_ids, feed_small_chunks},
    {"short types, one long id", 4 * mib, make_short_types, feed_small_chunks},
    {"an ill-formed line", 4 * mib, make_ill_formed_line, feed_and_replace},
    {"encode line breaks", 2 * mib, make_line_breaks, encode},
    {"encode without a break", 8 * mib, make_letters, encode},
    {"encode small messages", mib, make_letters, encode_small_messages},
    {"encode chunks of a byte", mib, make_letters, encode_chunks},
    {"drop all of a log", 64 * mib, make_log, drop},
    {"a type byte by byte", 16 * kib, make_letters, read_types_bytewise},
    {"before a long type", 16 * kib, make_letters, read_before_long_type},
    {"types byte by byte", 16 * kib, make_letters, read_mixed_types_bytewise},
    {"two IDs of one chain", mib, make_ids, publish_two_ids},
    {"two IDs by turns", mib, make_ids, publish_two_ids_by_turns},
};

}  // namespace

/// Only what happens in here is counted. The result is turned over, for a tail call would leave before the
/// work begins.
extern "C" [[gnu::noinline]] int measured(const shape& shape, std::string_view text) {
    return shape.use(text) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char** argv) {
    if (argc != 3) {
        for (const shape& shape : shapes) fmt::print("{} {}\n", shape.size, shape.name);
        return EXIT_SUCCESS;
    }
    for (const shape& shape : shapes) {
        if (shape.name == argv[2]) return measured(shape, shape.make(std::strtoull(argv[1], nullptr, 10)));
    }
    fmt::print(stderr, "no such shape\n");
    return EXIT_FAILURE;
}
