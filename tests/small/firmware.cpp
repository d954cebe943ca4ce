// What runs on the board: sees that what the program parses and encodes is right, at every size of chunks, and
// says how much stack that took. The status is 0 where all is right.
#include "board.hpp"
#include "use.hpp"

#include <cstddef>
#include <cstring>
#include <string_view>

namespace {

using namespace std::string_view_literals;

int failures = 0;

void check(const char* what, bool holds) {
    if (holds) return;
    ++failures;
    board::print("failed: ");
    board::print(what);
    board::print("\n");
}

/// The events so far, as one text.
class events {
public:
    void clear() { size_ = 0; }
    void add(std::string_view text) {
        if (text.size() > sizeof text_ - size_) return check("room for the events", false);
        std::memcpy(text_ + size_, text.data(), text.size());
        size_ += text.size();
    }
    bool are(std::string_view expected) const {
        return size_ == expected.size() && std::memcmp(text_, expected.data(), size_) == 0;
    }

private:
    std::size_t size_ = 0;
    char text_[512];
};

events seen;

void note(std::string_view type, std::string_view data, std::string_view id) {
    seen.add(type);
    seen.add("|"sv);
    seen.add(data);
    seen.add("|"sv);
    seen.add(id);
    seen.add(";"sv);
}

// Longer than what is looked at together: 64 bytes.
#define LONG_VALUE "The quick brown fox jumps over the lazy dog; and again it jumps over the very same dog."

constexpr std::string_view stream =
    "\xEF\xBB\xBFretry: 3000\n: hello\n\n"
    "id: 7\revent: tick\r\ndata: one\r\ndata:two\n\n"
    "data\n\n"
    "other: field\nid\ndata: \xF0\x9F\x98\x80\xFFz\n\n"
    "event: a type of more than sixteen bytes\ndata: " LONG_VALUE
    "\nid: an id\r\r"
    "event: cut off\ndata: " LONG_VALUE;
constexpr std::string_view events_as_is =
    "tick|one\ntwo|7;message||7;message|\xF0\x9F\x98\x80\xFFz|;"
    "a type of more than sixteen bytes|" LONG_VALUE "|an id;";
constexpr std::string_view events_replaced =
    "tick|one\ntwo|7;message||7;message|\xF0\x9F\x98\x80\xEF\xBF\xBDz|;"
    "a type of more than sixteen bytes|" LONG_VALUE "|an id;";
constexpr std::string_view too_much =
    "data: before\n\ndata: " LONG_VALUE "\ndata: " LONG_VALUE "\ndata: " LONG_VALUE "\n\n";

void parse() {
    for (std::size_t size = 1; size <= stream.size(); ++size) {
        for (const bool replace : {false, true}) {
            seen.clear();
            const use::outcome outcome = use::parse(stream, size, replace, note);
            check("the events", seen.are(replace ? events_replaced : events_as_is));
            check("what else was read", outcome.good && outcome.in_event && outcome.retry == 3000);
        }
    }
}

void parse_too_much() {
    for (std::size_t size = 1; size <= too_much.size(); ++size) {
        seen.clear();
        check("the limit", !use::parse(too_much, size, false, note).good && seen.are("message|before|;"sv));
    }
}

constexpr use::message message{
    .event = "tick", .data = "one\r\ntwo\n" LONG_VALUE, .id = "7", .retry = 3000, .comment = "a comment"};
constexpr std::string_view encoded =
    "event: tick\nid: 7\nretry: 3000\ndata: one\ndata: two\ndata: " LONG_VALUE "\n\n: a comment\n";
char room[encoded.size()];

void encode() {
    check("encode", use::encode(message, room) == encoded.size());
    check("what was encoded", std::memcmp(room, encoded.data(), encoded.size()) == 0);
    check("a room too small", use::encode(message, std::span(room).first(encoded.size() - 1)) == 0);
    use::message forged = message;
    forged.id = "7\ndata: forged";
    check("a forged field", use::encode(forged, room) == 0);
}

void report(const char* what, std::size_t number) {
    board::print(what);
    board::print_hex(number);
    board::print("\n");
}

}  // namespace

int firmware() {
    if (use::parser_overhead != 0) {
        report("parser ", use::parser_overhead);
        report("stack ", board::stack_of(parse) - use::parser_overhead - use::parser_memory);
        parse_too_much();
    }
    if (use::has_encoder) {
        report("stack ", board::stack_of(encode));
    }
    return failures;
}
