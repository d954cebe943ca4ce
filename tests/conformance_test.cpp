// What each byte of a stream means: the standard's rules, the browsers' vectors, the peers' failures, our
// own.
//
// Each row is held against the reference first, then the parser against both under every chunking.
#include "support/every_chunking.hpp"
#include "support/reference.hpp"
#include "support/show.hpp"

#include <doctest/doctest.h>

#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::string_literals;
using test::notification;

struct received {
    std::string data;
    std::string type = "message";
    std::string id = "";
};

/// A stream and what comes of it; what a row does not mention is empty or absent.
struct row {
    row(std::string name, std::string stream, std::vector<received> events = {})
        : name_(std::move(name)), stream_(std::move(stream)), events_(std::move(events)) {}

    // What comes of it:
    row& id(std::string value) { return last_event_id_ = std::move(value), *this; }
    row& retry(std::int64_t value) { return retry_ = value, *this; }
    row& in_event() { return in_event_ = true, *this; }
    row& too_large() { return too_large_ = true, *this; }
    /// What a handler with all functions is told, in place of the events alone.
    row& told(std::vector<notification> log) { return log_ = std::move(log), *this; }

    // How it is parsed:
    row& replace() { return how_.invalid_utf8 = sse::invalid_utf8::replace, *this; }
    row& deliver() { return how_.unfinished_event = sse::unfinished_event::deliver, *this; }
    row& limit(std::size_t bytes) { return how_.max_event_bytes = bytes, *this; }
    row& resumed(std::string id) { return how_.last_event_id = std::move(id), *this; }

    std::string name_;
    std::string stream_;
    std::vector<received> events_;
    std::string last_event_id_{};
    std::optional<std::int64_t> retry_{};
    bool in_event_ = false;
    bool too_large_ = false;
    std::optional<std::vector<notification>> log_{};
    test::setup how_{};
};

notification event(std::string data, std::string type = "message", std::string id = "") {
    return {notification::kind::event, std::move(type), std::move(data), std::move(id)};
}
notification comment(std::string text) { return {notification::kind::comment, std::move(text)}; }
notification retry(std::int64_t value) { return {notification::kind::retry, std::to_string(value)}; }
notification id(std::string value) { return {notification::kind::id, std::move(value)}; }
notification unknown(std::string name, std::string value) {
    return {notification::kind::unknown_field, std::move(name), std::move(value)};
}

/// For fuzz/parser.cpp to begin with.
void write_seed(const row& r, const std::string& folder) {
    if (r.stream_.size() > 1000) return;  // it would take all the time
    std::string name = r.name_;
    for (char& c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '-';
    }
    std::ofstream file(folder + '/' + name, std::ios::binary);
    if (r.how_.invalid_utf8 == sse::invalid_utf8::replace) file << "r ";
    if (r.how_.unfinished_event == sse::unfinished_event::deliver) file << "d ";
    if (r.how_.max_event_bytes != test::setup{}.max_event_bytes) file << 'l' << r.how_.max_event_bytes << ' ';
    if (!r.how_.last_event_id.empty()) file << 'i' << r.how_.last_event_id;
    file << '\n' << r.stream_;
    CHECK(file.flush());
}

void check(const row& r) {
    if (const char* const folder = std::getenv("SSE_SEEDS")) return write_seed(r, folder);
    CAPTURE(r.name_);
    test::outcome expected;
    if (r.log_) {
        expected.log = *r.log_;
    } else {
        for (const received& e : r.events_) expected.log.push_back(event(e.data, e.type, e.id));
    }
    expected.last_event_id = r.last_event_id_;
    expected.reconnection_time = r.retry_;
    expected.in_event = r.in_event_;
    expected.too_large = r.too_large_;

    const test::driver way = r.log_ ? test::driver{"push to a handler", test::unbounded, test::everything,
                                                   test::push<sse::parser, test::everything>}
                                    : test::driver{"push to a callable", test::unbounded, test::nothing,
                                                   test::push_to_callable<sse::parser>};

    const test::outcome reference = test::expectation(r.stream_, r.how_, way);
    CHECK_MESSAGE(reference == expected, "row and reference differ on ", test::show(r.stream_), "\nrow\n",
                  test::show(expected), "reference\n", test::show(reference));

    const std::vector<test::cuts> whole(1);
    const std::string fault = test::fault(r.stream_, r.how_, way, whole, expected);
    CHECK_MESSAGE(fault.empty(), fault);

    test::check_every_chunking(r.stream_, r.how_);
}

void check(const std::vector<row>& rows) {
    for (const row& r : rows) check(r);
}

std::string times(std::size_t count, const std::string& text) {
    std::string result;
    for (std::size_t i = 0; i < count; ++i) result += text;
    return result;
}

const std::string bom = "\xEF\xBB\xBF";
const std::string nul = "\0"s;
const std::string replaced = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();

}  // namespace

// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

TEST_CASE("a byte order mark is dropped at the very start, and nowhere else") {
    check({
        row("one is dropped", bom + "data: a\n\n", {{"a"}}),
        row("it stands before an empty line", bom + "\ndata: a\n\n", {{"a"}}),
        row("it stands before CR LF", bom + "\r\ndata: a\r\n\r\n", {{"a"}}),
        row("it is all there is", bom),
        row("a second is text, so the field is unknown", bom + bom + "data: a\n\ndata: b\n\n", {{"b"}}),
        row("one before a later line is text", "data: a\n\n" + bom + "data: b\n\ndata: c\n\n",
            {{"a"}, {"c"}}),
        row("one after an empty first line is text", "\n" + bom + "data: a\n\n"),
        row("one at the start of a value stays", "data: " + bom + "a\n\n", {{bom + "a"}}),
        row("one at the start of an id stays", "id:" + bom + "7\ndata: a\n\n", {{"a", "message", bom + "7"}})
            .id(bom + "7"),
        row("one before a colon makes a name, not a comment", bom + bom + ": a\n").told({unknown(bom, "a")}),
        row("EF alone is text", "\xEF"s + "data: a\n\ndata: b\n\n", {{"b"}}),
        row("EF BB is text", "\xEF\xBB"s + "data: a\n\ndata: b\n\n", {{"b"}}),
        row("EF BB is text before LF", "\xEF\xBB\ndata: b\n\n", {{"b"}}),
        row("EF BB is text before CR LF", "\xEF\xBB\r\ndata: b\n\n", {{"b"}}),
        row("EF BB is a field's name", "\xEF\xBB\n").told({unknown("\xEF\xBB", "")}),
        row("EF BB EF is text", "\xEF\xBB\xEF: a\n").told({unknown("\xEF\xBB\xEF", "a")}),
        row("EF BB and the end of the stream", "\xEF\xBB").in_event(),
        row("EF EF BB BF is text", "\xEF" + bom + "data: a\n\n"),
        row("BF BB EF is text", "\xBF\xBB\xEF"s + "data: a\n\n"),
        row("FE FF is text", "\xFE\xFF"s + "data: a\n\n"),
    });
}

TEST_CASE("lines end at CR LF, at LF and at CR, and at nothing else") {
    std::string no_line_end;
    for (int byte = 0; byte < 256; ++byte)
        if (byte != '\n' && byte != '\r') no_line_end += static_cast<char>(static_cast<unsigned char>(byte));

    check({
        row("LF", "data: a\ndata: b\n\n", {{"a\nb"}}),
        row("CR", "data: a\rdata: b\r\r", {{"a\nb"}}),
        row("CR LF", "data: a\r\ndata: b\r\n\r\n", {{"a\nb"}}),
        row("all three, mixed", "data: a\rdata: b\ndata: c\r\n\r\ndata: d\n\rdata: e\r\r\n",
            {{"a\nb\nc"}, {"d"}, {"e"}}),
        row("LF CR are two", "data: a\n\rdata: b\n\n", {{"a"}, {"b"}}),
        row("CR LF CR are two", "data: a\r\n\rdata: b\r\n\r", {{"a"}, {"b"}}),
        row("CR CR LF are two", "data: a\r\r\ndata: b\r\r\n", {{"a"}, {"b"}}),
        row("only one LF belongs to a CR", "data: a\r\n\ndata: b\r\n\n", {{"a"}, {"b"}}),
        row("a CR at the end of the stream ends its line", "data: a\r\r", {{"a"}}),
        row("a CR LF at the end of the stream ends one line", "data: a\r\n").in_event(),
        row("empty lines alone do nothing", "\n\r\r\n\n\r\r\n"),
        row("empty lines at the start do nothing", "\n\n\rdata: a\n\n", {{"a"}}),
        row("an LF at the start ends a line", "\ndata: a\n\n", {{"a"}}),
        row("a CR LF at the start ends a line", "\r\ndata: a\n\n", {{"a"}}),
        row("VT and FF do not", "data: a\vb\fc\n\n", {{"a\vb\fc"}}),
        row("NEL does not", "data: x\xC2\x85y\n\n", {{"x\xC2\x85y"}}),
        row("U+2028 and U+2029 do not", "data: x\xE2\x80\xA8y\xE2\x80\xA9z\n\n",
            {{"x\xE2\x80\xA8y\xE2\x80\xA9z"}}),
        row("FS, GS, RS and US do not", "data: \x1C\x1D\x1E\x1F\n\n", {{"\x1C\x1D\x1E\x1F"}}),
        row("CR and LF with the high bit set do not", "data: \x8A\x8D\x8A\n\n", {{"\x8A\x8D\x8A"}}),
        row("no other byte does", "data: " + no_line_end + "\n\n", {{no_line_end}}),
        row("NUL does not", "data: a" + nul + "b\n\n", {{"a" + nul + "b"}}),
        row("backslash and n do not", "data: a\\nb\n\n", {{"a\\nb"}}),
    });
}

TEST_CASE("what has not ended when the stream ends is dropped") {
    check({
        row("an empty stream", ""),
        row("a line", "data: a\n\ndata: b", {{"a"}}).in_event(),
        row("a block", "data: a\n\ndata: b\n", {{"a"}}).in_event(),
        row("a line of the first block", "data: a").in_event(),
        row("the beginning of a name", "da").in_event(),
        row("a name", "data").in_event(),
        row("a name and its colon", "data:").in_event(),
        row("an id's line", "id: 7").in_event(),
        row("an id's block", "id: 7\n").in_event(),
        row("a type's block", "event: a\n").in_event(),
        row("a retry's line", "retry: 10").in_event(),
        row("nothing, after a complete block", "data: a\n\n", {{"a"}}),
    });
}

TEST_CASE("what has not ended when the stream ends is delivered where that is asked for") {
    check({
        row("an empty stream", "").deliver(),
        row("a line", "data: a\n\ndata: b", {{"a"}, {"b"}}).in_event().deliver(),
        row("a block", "data: a\ndata: b\n", {{"a\nb"}}).in_event().deliver(),
        row("a block that ends in CR", "data: a\r", {{"a"}}).in_event().deliver(),
        row("a block that ends in CR LF", "data: a\r\n", {{"a"}}).in_event().deliver(),
        row("nothing after a complete block", "data: a\n\n", {{"a"}}).deliver(),
        row("its id counts", "id: 7\ndata: a", {{"a", "message", "7"}}).id("7").in_event().deliver(),
        row("an unfinished id counts", "data: a\nid: 7", {{"a", "message", "7"}})
            .id("7")
            .in_event()
            .deliver(),
        row("an id without data counts", "id: 7\n").id("7").in_event().deliver(),
        row("a type without data is no event", "event: a\n").in_event().deliver(),
        row("an unfinished type", "data: a\nevent: b", {{"a", "b"}}).in_event().deliver(),
        row("a name without a colon is a line", "data", {{""}}).in_event().deliver(),
        row("a part of a name is an unknown field", "data: a\ndat", {{"a"}}).in_event().deliver(),
        row("an unfinished comment", "data: a\n:b", {{"a"}}).in_event().deliver(),
        row("an unfinished retry", "data: a\nretry: 10", {{"a"}}).retry(10).in_event().deliver(),
        row("EF BB is a field's name", "\xEF\xBB").in_event().deliver().told({unknown("\xEF\xBB", "")}),
        row("the half of a code point", "data: a\xE2\x80", {{"a" + replaced}}).in_event().deliver().replace(),
    });
}

TEST_CASE("a line is a comment, a field with a value, or a field without one") {
    check({
        row("a comment", ": a\ndata: b\n\n", {{"b"}}),
        row("an empty comment", ":\ndata: b\n\n", {{"b"}}),
        row("a comment that looks like a field", ":data: a\n\n"),
        row("a comment of colons", ":::\ndata: b\n\n", {{"b"}}),
        row("a comment within a block", "data: a\n: x\ndata: b\n\n", {{"a\nb"}}),
        row("a space before the colon makes a name", " : a\ndata: b\n\n", {{"b"}}),
        row("the first colon separates", "data: a:b: c\n\n", {{"a:b: c"}}),
        row("a value may be a colon", "data::\n\n", {{":"}}),
        row("a value may be a space and a colon", "data: :\n\n", {{":"}}),
        row("no space after the colon", "data:a\n\n", {{"a"}}),
        row("one space after the colon is removed", "data: a\n\n", {{"a"}}),
        row("only one space is removed", "data:  a\n\n", {{" a"}}),
        row("a value of one space is empty", "data: \n\n", {{""}}),
        row("a value of two spaces is one", "data:  \n\n", {{" "}}),
        row("a tab is not removed", "data:\ta\n\n", {{"\ta"}}),
        row("a tab after the space is not removed", "data: \ta\n\n", {{"\ta"}}),
        row("a no-break space is not removed", "data:\xC2\xA0x\n\n", {{"\xC2\xA0x"}}),
        row("a NUL is not removed", "data:" + nul + "a\n\n", {{nul + "a"}}),
        row("a space at the end of a value stays", "data: a \n\n", {{"a "}}),
        row("one space is removed from a type", "event:  a\ndata\n\n", {{"", " a"}}),
        row("one space is removed from an id", "id:  7\ndata\n\n", {{"", "message", " 7"}}).id(" 7"),
        row("no colon: an empty value", "data\n\n", {{""}}),
        row("quotes are text", "data: \"a\"\n\n", {{"\"a\""}}),
    });
}

TEST_CASE("a field's name is compared byte for byte") {
    check({
        row("Data", "Data: a\n\n"),
        row("DATA", "DATA: a\n\n"),
        row("data and a space", "data : a\n\n"),
        row("data and a tab", "data\t: a\n\n"),
        row("data and a NUL", "data" + nul + ": a\n\n"),
        row("data and a NUL, no colon", "data" + nul + "\n\n"),
        row("a space and data", " data: a\n\n"),
        row("a tab and data", "\tdata: a\n\n"),
        row("a NUL and data", nul + "data: a\n\n"),
        row("a prefix of data", "d\nda\ndat\ndat: a\n\n"),
        row("data and one letter more", "datab: a\ndatab\n\n"),
        row("data twice", "datadata: a\n\n"),
        row("data and an equals sign", "data= a\n\n"),
        row("Event", "Event: a\ndata\n\n", {{""}}),
        row("near event", "event : a\neven: a\nevents: a\n event: a\nEVENT: a\ndata\n\n", {{""}}),
        row("Id", "Id: 7\ndata\n\n", {{""}}),
        row("near id", "ID: 7\ni: 7\nid : 7\nids: 7\n id: 7\ndata\n\n", {{""}}),
        row("near retry", "Retry: 1\nretr: 2\nretry : 3\nretrys: 4\n retry: 5\ndata\n\n", {{""}}),
        row("a fullwidth letter", "\xEF\xBD\x84"s + "ata: a\n\n"),
        row("bits that differ in case or sign only", "\xE4"s + "ata: a\ndat\xE1: a\nDATA: a\n$ata: a\n\n"),
    });
}

// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

TEST_CASE("data lines are joined by LF") {
    check({
        row("two lines", "data: a\ndata: b\n\n", {{"a\nb"}}),
        row("three lines", "data: a\ndata: b\ndata: c\n\n", {{"a\nb\nc"}}),
        row("data that is empty is no missing data", "data\n\n", {{""}}),
        row("the same with a colon", "data:\n\n", {{""}}),
        row("two empty lines are one LF", "data\ndata\n\n", {{"\n"}}),
        row("three empty lines are two", "data\ndata:\ndata: \n\n", {{"\n\n"}}),
        row("an empty line first", "data\ndata: a\n\n", {{"\na"}}),
        row("an empty line last", "data: a\ndata\n\n", {{"a\n"}}),
        row("an empty line between", "data: a\ndata\ndata: b\n\n", {{"a\n\nb"}}),
        row("the standard's three events, of which the last has not ended",
            "data\n\ndata\ndata\n\ndata:", {{""}, {"\n"}})
            .in_event(),
        row("other lines between", "data: a\nid: 7\n: x\nunknown\nevent: b\nretry: 1\ndata: c\n\n",
            {{"a\nc", "b", "7"}})
            .id("7")
            .retry(1),
        row("data does not leak into the next event", "data: a\n\ndata: b\n\n", {{"a"}, {"b"}}),
        row("NUL is text", "data: " + nul + "\n\n", {{nul}}),
    });
}

TEST_CASE("the type is the last event field's value, or message where that is empty") {
    check({
        row("a type", "event: a\ndata\n\n", {{"", "a"}}),
        row("after the data", "data\nevent: a\n\n", {{"", "a"}}),
        row("the last one counts", "event: a\nevent: b\ndata\n\n", {{"", "b"}}),
        row("an empty value is message", "event:\ndata: a\n\n", {{"a"}}),
        row("a value of one space is message", "event: \ndata: a\n\n", {{"a"}}),
        row("no value is message", "event\ndata: a\n\n", {{"a"}}),
        row("an empty value undoes the one before", "event: a\nevent\ndata\n\n", {{""}}),
        row("message may be named", "event: message\ndata\n\n", {{""}}),
        row("a type does not leak into the next event", "event: a\ndata\n\ndata\n\n", {{"", "a"}, {""}}),
        row("nor over a block without data", "event: a\n\ndata\n\n", {{""}}),
        row("a type is not trimmed", "event: a b \ndata\n\n", {{"", "a b "}}),
        row("NUL is text", "event: " + nul + "\ndata\n\n", {{"", nul}}),
        row("no event without data", "event: a\n\n"),
    });
}

TEST_CASE("an id counts once its block is complete, and stays") {
    check({
        row("an id", "id: 7\ndata\n\n", {{"", "message", "7"}}).id("7"),
        row("after the data", "data\nid: 7\n\n", {{"", "message", "7"}}).id("7"),
        row("it stays for later events", "id: 7\ndata: a\n\ndata: b\n\ndata: c\n\n",
            {{"a", "message", "7"}, {"b", "message", "7"}, {"c", "message", "7"}})
            .id("7"),
        row("the last one of a block counts", "id: 7\nid: 8\ndata\n\n", {{"", "message", "8"}}).id("8"),
        row("a later block's counts", "id: 7\ndata\n\nid: 8\ndata\n\n",
            {{"", "message", "7"}, {"", "message", "8"}})
            .id("8"),
        row("it counts without data", "id: 7\n\n").id("7"),
        row("it counts for the event of a later block", "id: 7\n\ndata\n\n", {{"", "message", "7"}}).id("7"),
        row("an empty value clears it", "id: 7\ndata\n\nid:\ndata\n\n", {{"", "message", "7"}, {""}}),
        row("a value of one space clears it", "id: 7\ndata\n\nid: \ndata\n\n", {{"", "message", "7"}, {""}}),
        row("no value clears it", "id: 7\ndata\n\nid\ndata\n\n", {{"", "message", "7"}, {""}}),
        row("it is cleared without data too", "id: 7\n\nid\n\n"),
        row("within a block the empty one counts", "id: 7\nid\ndata\n\n", {{""}}),
        row("not before the block is complete", "id: 7\ndata: a\n\nid: 8\ndata: b\n", {{"a", "message", "7"}})
            .id("7")
            .in_event(),
        row("nor is it cleared before", "id: 7\ndata: a\n\nid\ndata: b\n", {{"a", "message", "7"}})
            .id("7")
            .in_event(),
        row("with a NUL the line is ignored", "id: 7" + nul + "\ndata\n\n", {{""}}),
        row("also where NUL comes first", "id:" + nul + "7\ndata\n\n", {{""}}),
        row("also where NUL comes between", "id: 7" + nul + "8\ndata\n\n", {{""}}),
        row("with a NUL the earlier id stays", "id: 7\ndata\n\nid: 8" + nul + "\ndata\n\n",
            {{"", "message", "7"}, {"", "message", "7"}})
            .id("7"),
        row("with a NUL the same block's stays", "id: 7\nid: 8" + nul + "\ndata\n\n", {{"", "message", "7"}})
            .id("7"),
        row("a valid one after it counts", "id: 8" + nul + "\nid: 7\ndata\n\n", {{"", "message", "7"}})
            .id("7"),
        row("C0 80 is no NUL", "id: \xC0\x80\ndata\n\n", {{"", "message", "\xC0\x80"}}).id("\xC0\x80"),
        row("an id may be any other text", "id: \t\x01\xE2\x80\xA6 :\ndata\n\n",
            {{"", "message", "\t\x01\xE2\x80\xA6 :"}})
            .id("\t\x01\xE2\x80\xA6 :"),
        row("the zero is an id", "id: 0\ndata\n\n", {{"", "message", "0"}}).id("0"),
        row("the id of another connection stays", "data\n\n", {{"", "message", "7"}}).resumed("7").id("7"),
        row("it stays where nothing comes", "").resumed("7").id("7"),
        row("it is replaced", "data\n\nid: 8\ndata\n\n", {{"", "message", "7"}, {"", "message", "8"}})
            .resumed("7")
            .id("8"),
        row("it is cleared", "id\ndata\n\n", {{""}}).resumed("7"),
        row("it is not replaced by an id with NUL", "id: 8" + nul + "\ndata\n\n", {{"", "message", "7"}})
            .resumed("7")
            .id("7"),
    });
}

TEST_CASE("the reconnection time is what a retry of digits says") {
    check({
        row("digits", "retry: 10\n").retry(10),
        row("no space", "retry:10\n").retry(10),
        row("it needs no complete block", "retry: 10\ndata: a").retry(10).in_event(),
        row("it is no event", "retry: 10\n\n").retry(10),
        row("zero", "retry: 0\n").retry(0),
        row("leading zeros are decimal", "retry: 0010\n").retry(10),
        row("the last one counts", "retry: 10\nretry: 20\n\nretry: 5\n").retry(5),
        row("an empty value is ignored", "retry:\nretry: \nretry\n"),
        row("an empty value leaves the earlier one", "retry: 10\nretry\n").retry(10),
        row("a plus sign", "retry: +10\n"),
        row("a minus sign", "retry: -10\n"),
        row("a second space", "retry:  10\n"),
        row("a tab", "retry:\t10\n"),
        row("a space at the end", "retry: 10 \n"),
        row("a space within", "retry: 1 0\n"),
        row("a letter at the end", "retry: 10x\n"),
        row("a unit", "retry: 10ms\n"),
        row("hexadecimal", "retry: 0x10\n"),
        row("a decimal point", "retry: 10.0\n"),
        row("an exponent", "retry: 1e3\n"),
        row("digit separators", "retry: 1,000\nretry: 1'000\nretry: 1_000\n"),
        row("the neighbours of the digits in ASCII", "retry: 1/\nretry: 1:\n"),
        row("a NUL", "retry: 10" + nul + "\n"),
        row("digits with the high bit set", "retry: \xB1\xB0\n"),
        row("fullwidth digits", "retry: \xEF\xBC\x91\n"),
        row("Arabic-Indic digits", "retry: \xD9\xA1\n"),
        row("an ignored one leaves the earlier", "retry: 10\nretry: 20x\n").retry(10),
        row("2^31 and more do not wrap", "retry: 2147483648\n").retry(2147483648),
        row("2^32 and more do not wrap", "retry: 4294967297\n").retry(4294967297),
        row("the largest", "retry: 9223372036854775807\n").retry(largest),
        row("the largest but one", "retry: 9223372036854775806\n").retry(largest - 1),
        row("one more saturates", "retry: 9223372036854775808\n").retry(largest),
        row("the next ten saturate", "retry: 9223372036854775810\n").retry(largest),
        row("2^64 saturates", "retry: 18446744073709551616\n").retry(largest),
        row("2^64 + 1 saturates", "retry: 18446744073709551617\n").retry(largest),
        row("a thousand digits saturate", "retry: " + times(1000, "9") + '\n').retry(largest),
        row("a thousand digits that would wrap to zero", "retry: 1" + times(999, "0") + '\n').retry(largest),
        row("a thousand zeros before a five", "retry: " + times(1000, "0") + "5\n").retry(5),
        row("a letter after a thousand digits", "retry: 10\nretry: " + times(1000, "9") + "x\n").retry(10),
        row("a smaller one after saturation", "retry: " + times(30, "9") + "\nretry: 3\n").retry(3),
    });
}

TEST_CASE("handlers are told of everything, in order") {
    check({
        row("all in one block", ": a\nretry: 10\nid: 7\nother: b\nevent: c\ndata: d\n\n")
            .told({comment("a"), retry(10), unknown("other", "b"), id("7"), event("d", "c", "7")})
            .id("7")
            .retry(10),
        row("comments", ":\n: a\n:a\n:  a\n: \n::\n")
            .told({comment(""), comment("a"), comment("a"), comment(" a"), comment(""), comment(":")}),
        row("comments within a block", "data: a\n:b\ndata: c\n\n:d\n")
            .told({comment("b"), event("a\nc"), comment("d")}),
        row("unknown fields", "a\nb:\nc: d\ne:  f\n g: h\n")
            .told({unknown("a", ""), unknown("b", ""), unknown("c", "d"), unknown("e", " f"),
                   unknown(" g", "h")}),
        row("near names", "dat: a\ndatab\nData: c\ndata : d\n")
            .told({unknown("dat", "a"), unknown("datab", ""), unknown("Data", "c"), unknown("data ", "d")}),
        row("parts of names", "d\nda\ndat\ne\ni\nr\nretr\n")
            .told({unknown("d", ""), unknown("da", ""), unknown("dat", ""), unknown("e", ""),
                   unknown("i", ""), unknown("r", ""), unknown("retr", "")}),
        row("an id without data", "id: 7\n\n").told({id("7")}).id("7"),
        row("an id only once its block is complete", "id: 7\n").told({}).in_event(),
        row("the last id of a block only", "id: 7\nid: 8\n\n").told({id("8")}).id("8"),
        row("an id that is the same again", "id: 7\n\nid: 7\n\n\n").told({id("7"), id("7")}).id("7"),
        row("an id that is cleared", "id: 7\n\nid\n\n").told({id("7"), id("")}),
        row("no id that is ignored", "id: 7" + nul + "\n\n").told({}),
        row("no retry that is ignored", "retry: 1x\nretry\n").told({}),
        row("each retry", "retry: 1\nretry: 1\n").told({retry(1), retry(1)}).retry(1),
        row("a retry that saturates", "retry: " + times(40, "8") + '\n')
            .told({retry(largest)})
            .retry(largest),
    });
}

// What resources/message.py sends is its message, two LF unless newline=none, and one LF more.
// format-mime-bogus and format-mime-valid-bogus fail before a byte of the body is read: they are no matter of
// the parser. https://github.com/web-platform-tests/wpt/tree/master/eventsource
TEST_CASE("web-platform-tests, eventsource") {
    const std::string long_comment(2048, 'x');
    const std::string ellipsis = "\xE2\x80\xA6";
    check({
        row("event-data.any.js",
            "data:msg\ndata: msg\n\n:\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\ndata\n\ndata:end\n\n",
            {{"msg\nmsg"}, {""}, {"end"}}),
        row("format-bom.any.js", bom + "data:1\n\n" + bom + "data:2\n\ndata:3\n\n\n", {{"1"}, {"3"}}),
        row("format-bom-2.any.js", bom + bom + "data:1\n\ndata:2\n\ndata:3\n\n\n", {{"2"}, {"3"}}),
        row("format-comments.any.js",
            "data:1\r:" + nul + "\n:\r\ndata:2\n:" + long_comment + "\rdata:3\n:data:fail\r:" + long_comment +
                "\ndata:4\n\n",
            {{"1\n2\n3\n4"}}),
        row("format-data-before-final-empty-line.any.js", "retry:1000\ndata:test1\n\nid:test\ndata:test2\n",
            {{"test1"}})
            .retry(1000)
            .in_event(),
        row("format-field-data.any.js", "data:\n\ndata\ndata\n\ndata:test\n\n\n", {{""}, {"\n"}, {"test"}}),
        row("format-field-event.any.js", "event:test\ndata:x\n\ndata:x\n\n\n", {{"x", "test"}, {"x"}}),
        row("format-field-event-empty.any.js", "event: \ndata:data\n\n\n", {{"data"}}),
        row("format-field-id.any.js, first connection", "id: " + ellipsis + "\nretry: 200\ndata: hello\n\n",
            {{"hello", "message", ellipsis}})
            .id(ellipsis)
            .retry(200),
        row("format-field-id.any.js, second connection", "data: " + ellipsis + "\n\n",
            {{ellipsis, "message", ellipsis}})
            .resumed(ellipsis)
            .id(ellipsis),
        row("format-field-id-2.any.js, first connection", "id: " + ellipsis + "\nretry: 200\ndata: hello\n\n",
            {{"hello", "message", ellipsis}})
            .id(ellipsis)
            .retry(200),
        row("format-field-id-2.any.js, later connections", "data: " + ellipsis + "\n\n",
            {{ellipsis, "message", ellipsis}})
            .resumed(ellipsis)
            .id(ellipsis),
        row("format-field-id-3.window.js, persists", "id: 1\ndata: 1\n\ndata:2\n\n",
            {{"1", "message", "1"}, {"2", "message", "1"}})
            .id("1"),
        row("format-field-id-3.window.js, changes and persists",
            "id: 1\ndata: 1\n\nid: 2\ndata:2\n\ndata:3\n\n",
            {{"1", "message", "1"}, {"2", "message", "2"}, {"3", "message", "2"}})
            .id("2"),
        row("format-field-id-3.window.js, resets, colon", "id: 1\ndata: 1\n\nid:\ndata:2\n\ndata:3\n\n",
            {{"1", "message", "1"}, {"2"}, {"3"}}),
        row("format-field-id-3.window.js, resets, no colon", "id: 1\ndata: 1\n\nid\ndata:2\n\ndata:3\n\n",
            {{"1", "message", "1"}, {"2"}, {"3"}}),
        row("format-field-id-null.window.js, two NULs", "id: " + nul + nul + "\nretry: 200\ndata: hello\n\n",
            {{"hello"}})
            .retry(200),
        row("format-field-id-null.window.js, x NUL", "id: x" + nul + "\nretry: 200\ndata: hello\n\n",
            {{"hello"}})
            .retry(200),
        row("format-field-id-null.window.js, NUL x", "id: " + nul + "x\nretry: 200\ndata: hello\n\n",
            {{"hello"}})
            .retry(200),
        row("format-field-id-null.window.js, x NUL x", "id: x" + nul + "x\nretry: 200\ndata: hello\n\n",
            {{"hello"}})
            .retry(200),
        row("format-field-id-null.window.js, space NUL", "id:  " + nul + "\nretry: 200\ndata: hello\n\n",
            {{"hello"}})
            .retry(200),
        row("format-field-parsing.any.js",
            "data:" + nul + "\ndata:  2\rData:1\ndata" + nul + ":2\ndata:1\r" + nul +
                "data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
            {{nul + "\n 2\n1\n3\n\n4"}}),
        row("format-field-retry.any.js", "retry:03000\ndata:x\n\n\n", {{"x"}}).retry(3000),
        row("format-field-retry-bogus.any.js", "retry:3000\nretry:1000x\ndata:x\n\n\n", {{"x"}}).retry(3000),
        row("format-field-retry-empty.any.js", "retry\ndata:test\n\n\n", {{"test"}}),
        row("format-field-unknown.any.js",
            "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n\n",
            {{"test\n\ntest"}}),
        row("format-leading-space.any.js", "data:\ttest\rdata: \ndata:test\n\n\n", {{"\ttest\n\ntest"}}),
        row("format-mime-trailing-semicolon.any.js", "data: data\n\n\n", {{"data"}}),
        row("format-newlines.any.js", "data:test\r\ndata\ndata:test\r\n\r\n", {{"test\n\ntest"}}),
        row("format-null-character.any.js", "data:" + nul + "\n\n\n\n\n", {{nul}}),
        row("format-utf-8.any.js", "data:ok" + ellipsis + "\n\n\n", {{"ok" + ellipsis}}),
        row("format-utf-8.any.js, with invalid_utf8::replace", "data:ok" + ellipsis + "\n\n\n",
            {{"ok" + ellipsis}})
            .replace(),
    });
}

TEST_CASE("what other parsers got wrong") {
    const std::string long_line(70'000, 'x');
    check({
        row("a stream of CR alone gave no event", "event: a\rdata: b\r\rdata: c\r\r", {{"b", "a"}, {"c"}}),
        row("a CR among LF became text", "data: a\rdata: b\n\n", {{"a\nb"}}),
        row("a byte order mark cost the first event", bom + "data: a\n\ndata: b\n\n", {{"a"}, {"b"}}),
        row("an empty data line was dropped", "data\ndata: x\n\n", {{"\nx"}}),
        row("a type leaked into the next event", "event: foo\n\ndata: x\n\n", {{"x"}}),
        row("a type without data was an event", "event: foo\n\n"),
        row("an empty type was not message", "event:\ndata: x\n\n", {{"x"}}),
        row("a retry with letters was read as far as it goes", "retry: 12abc\ndata: x\n\n", {{"x"}}),
        row("a negative retry was taken", "retry: -1\ndata: x\n\n", {{"x"}}),
        row("an id was taken from a block that was cut off", "id: 1\ndata: a\n\nid: 2\ndata: b\n",
            {{"a", "message", "1"}})
            .id("1")
            .in_event(),
        row("an id was taken from a line that was cut off", "id: 1\ndata: a\n\nid: 2",
            {{"a", "message", "1"}})
            .id("1")
            .in_event(),
        row("the id was forgotten with each event", "id: 1\ndata: a\n\ndata: b\n\n",
            {{"a", "message", "1"}, {"b", "message", "1"}})
            .id("1"),
        row("a line of more than 64 KiB was cut", "data: " + long_line + "\n\n", {{long_line}}),
        row("the last event of a model's answer was lost", "data: {\"a\":1}\n\ndata: [DONE]",
            {{"{\"a\":1}"}, {"[DONE]"}})
            .in_event()
            .deliver(),
        row("a half event was delivered", "data: {\"a\":1}\n\ndata: {\"b\"", {{"{\"a\":1}"}}).in_event(),
        row("a word that marks the end was no event", "data: [DONE]\n\n", {{"[DONE]"}}),
        row("an id without data went unseen", "id: 7\nretry: 5\n\n")
            .told({retry(5), id("7")})
            .id("7")
            .retry(5),
        row("an event of id, empty data and no type was lost", "id: 1\ndata: \n\n", {{"", "message", "1"}})
            .id("1"),
    });
}

TEST_CASE("long and crowded streams") {
    std::vector<row> rows;
    for (const std::size_t size : {63u, 64u, 65u, 4095u, 4096u, 4097u}) {
        const std::string text(size, 'x');
        rows.push_back(row("a long line of data", "data: " + text + "\n\n", {{text}}));
        rows.push_back(
            row("a long line that is dropped", ':' + text + '\n' + text + "\ndata: a\r\n\r\n", {{"a"}}));
        rows.push_back(row("a long type and a long id",
                           "event: " + text + "\r\nid: " + text + "\r\ndata\r\n\r\n", {{"", text, text}})
                           .id(text));
    }
    // The end of a line, and CR parted from LF, at each place of a block of 64 bytes.
    for (std::size_t size = 50; size < 70; ++size) {
        const std::string text(size, 'x');
        rows.push_back(
            row("line ends around byte 64", "data: " + text + "\r\n\r\ndata: b\r\r", {{text}, {"b"}}));
    }
    std::vector<received> many;
    for (int i = 0; i < 300; ++i)
        many.push_back({std::to_string(i), i % 3 == 0 ? "tick" : "message", std::to_string(i / 2)});
    std::string small;
    for (int i = 0; i < 300; ++i) {
        if (i % 2 == 0) small += "id: " + std::to_string(i / 2) + '\n';
        if (i % 3 == 0) small += "event: tick\n";
        small += "data: " + std::to_string(i) + "\n\n";
    }
    rows.push_back(row("many events", small, many).id("149"));
    rows.push_back(row("many data lines", times(1000, "data: a\r\n") + "\r\n", {{times(999, "a\n") + "a"}}));
    rows.push_back(row("many empty data lines", times(1000, "data\n") + '\n', {{std::string(999, '\n')}}));
    rows.push_back(row("many types and ids", times(300, "event: a\nid: 1\nevent: bc\nid: 23\n") + "data\n\n",
                       {{"", "bc", "23"}})
                       .id("23"));
    rows.push_back(row("types and ids among data",
                       times(300, "event: a\ndata: x\nid: 1\nid: 234\nevent: bcd\n") + '\n',
                       {{times(299, "x\n") + "x", "bcd", "234"}})
                       .id("234"));
    rows.push_back(row("many line ends",
                       times(1000, "\n") + times(1000, "\r") + times(1000, "\r\n") + "data\n\n", {{""}}));
    rows.push_back(row("many comments and unknown fields", times(500, ":\nx\ny: z\n") + "data\n\n", {{""}}));
    check(rows);
}

TEST_CASE("many small events in one chunk") {
    const std::string stream = times(5'000, "id: 1\nevent: a\ndata: b\n\n");
    const test::setup how;
    for (const test::driver& way : test::drivers) {
        const test::outcome expected = test::expectation(stream, how, way);
        REQUIRE(expected.events().size() == 5'000);
        const std::string fault = test::fault(stream, how, way, std::vector<test::cuts>(1), expected);
        CHECK_MESSAGE(fault.empty(), fault);
    }
}

TEST_CASE("the limit bounds what must be kept, and no half event passes it") {
    const std::string wide(100, 'x');
    check({
        row("data of the limit", "data: abcd\n\n", {{"abcd"}}).limit(4),
        row("data of one more", "data: abcd\n\n").limit(3).too_large(),
        row("not where the line has not ended", "data: abcd").limit(4).in_event(),
        row("also where the line has not ended", "data: abcd").limit(3).too_large(),
        row("the events before it come", "id: 1\ndata: a\n\ndata: abc\n\ndata: b\n\n",
            {{"a", "message", "1"}})
            .limit(3)
            .id("1")
            .too_large(),
        row("an id of its block does not count", "id: 1\n\nid: 2\ndata: abc\n\n")
            .limit(4)
            .id("1")
            .too_large(),
        row("the LF between data lines counts", "data: ab\ndata: cd\n\n").limit(4).too_large(),
        row("the LF after the last does not", "data: ab\ndata: cd\n\n", {{"ab\ncd"}}).limit(5),
        row("empty data lines count", times(5, "data\n") + '\n').limit(3).too_large(),
        row("empty data lines at the limit", times(5, "data\n") + '\n', {{"\n\n\n\n"}}).limit(4),
        row("the type counts", "event: ab\ndata: cd\n\n").limit(3).too_large(),
        row("the type at the limit", "event: ab\ndata: cd\n\n", {{"cd", "ab"}}).limit(4),
        row("the last event ID counts", "id: ab\n\ndata: cd\n\n").limit(3).id("ab").too_large(),
        row("the last event ID at the limit", "id: ab\n\ndata: cd\n\n", {{"cd", "message", "ab"}})
            .limit(4)
            .id("ab"),
        row("the id of another connection counts", "data: cd\n\n")
            .resumed("ab")
            .limit(3)
            .id("ab")
            .too_large(),
        row("the new id counts with the old", "id: ab\n\nid: cd\n\n").limit(3).id("ab").too_large(),
        row("the new id and the old at the limit", "id: ab\n\nid: cd\n\n").limit(4).id("cd"),
        row("an id with NUL counts before that", "id: abc" + nul + "\n").limit(2).too_large(),
        row("an id with NUL does not count after it", "id: ab" + nul + wide + "\ndata: ab\n\n", {{"ab"}})
            .limit(2),
        row("each event begins anew", times(3, "event: ab\ndata: cd\n\n"),
            {{"cd", "ab"}, {"cd", "ab"}, {"cd", "ab"}})
            .limit(4),
        row("comments are not kept", ':' + wide + "\ndata: a\n\n", {{"a"}}).limit(1),
        row("unknown fields are not kept", wide + "\ndatab: " + wide + "\nd" + wide + "\ndata: a\n\n",
            {{"a"}})
            .limit(1),
        row("retry is not kept", "retry: " + times(100, "9") + "\nretry: " + wide + "\ndata: a\n\n", {{"a"}})
            .limit(1)
            .retry(largest),
        row("names and line ends are not kept", "\r\n\r\nevent: a\r\nevent\r\nid\r\ndata: a\r\n\r\n", {{"a"}})
            .limit(1),
        row("a limit of nothing", "data\n\nid\nevent\nretry: 1\ndata:\n\n", {{""}, {""}}).limit(0).retry(1),
        row("a limit of nothing, and one byte", "data\n\ndata:a\n\n", {{""}}).limit(0).too_large(),
        row("comments are kept for who asks", ": ab\n: abc\n").told({comment("ab")}).limit(2).too_large(),
        row("unknown fields are kept for who asks", "a:b\na:bc\n")
            .told({unknown("a", "b")})
            .limit(3)
            .too_large(),
        row("U+FFFD counts in full", "data: \x80\n\n").replace().limit(2).too_large(),
        row("U+FFFD at the limit", "data: \x80\n\n", {{replaced}}).replace().limit(3),
        row("what is delivered at the end is bounded too", "data: \x80")
            .in_event()
            .replace()
            .deliver()
            .limit(2)
            .too_large(),
    });
}

// https://encoding.spec.whatwg.org/#utf-8-decoder
TEST_CASE("ill-formed UTF-8 is replaced as the Encoding standard's decoder does, or left alone") {
    struct text_row {
        std::string name;
        std::string bytes;
        std::string text;
    };
    const auto r = [](std::size_t count) { return times(count, replaced); };
    std::vector<text_row> rows = {
        {"the ends of one byte", "\x01\x7F", "\x01\x7F"},
        {"the ends of two bytes", "\xC2\x80\xDF\xBF", "\xC2\x80\xDF\xBF"},
        {"the ends of three bytes", "\xE0\xA0\x80\xEF\xBF\xBF", "\xE0\xA0\x80\xEF\xBF\xBF"},
        {"the ends of four bytes", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"},
        {"around the surrogates", "\xED\x9F\xBF\xEE\x80\x80", "\xED\x9F\xBF\xEE\x80\x80"},
        {"noncharacters are well-formed", "\xEF\xBF\xBE\xEF\xB7\x90\xF0\x9F\xBF\xBF",
         "\xEF\xBF\xBE\xEF\xB7\x90\xF0\x9F\xBF\xBF"},
        {"U+FFFD itself", replaced, replaced},
        {"U+FEFF within the stream", bom, bom},
        {"an overlong NUL", "\xC0\x80", r(2)},
        {"an overlong solidus in two bytes", "\xC0\xAF", r(2)},
        {"an overlong solidus in three bytes", "\xE0\x80\xAF", r(3)},
        {"an overlong solidus in four bytes", "\xF0\x80\x80\xAF", r(4)},
        {"an overlong line feed", "\xC0\x8A", r(2)},
        {"the highest overlong of two bytes", "\xC1\xBF", r(2)},
        {"the highest overlong of three bytes", "\xE0\x9F\xBF", r(3)},
        {"the highest overlong of four bytes", "\xF0\x8F\xBF\xBF", r(4)},
        {"five bytes", "\xF8\x88\x80\x80\x80", r(5)},
        {"six bytes", "\xFC\x84\x80\x80\x80\x80", r(6)},
        {"the lowest surrogate", "\xED\xA0\x80", r(3)},
        {"the highest surrogate", "\xED\xBF\xBF", r(3)},
        {"a pair of surrogates", "\xED\xA0\x80\xED\xB0\x80", r(6)},
        {"beyond U+10FFFF", "\xF4\x90\x80\x80", r(4)},
        {"far beyond U+10FFFF", "\xF5\x80\x80\x80\xF7\xBF\xBF\xBF", r(8)},
        {"one of two bytes", "\xC2", r(1)},
        {"one of three bytes", "\xE2", r(1)},
        {"two of three bytes", "\xE2\x80", r(1)},
        {"two of three bytes, lowest", "\xE0\xA0", r(1)},
        {"two of three bytes, before the surrogates", "\xED\x9F", r(1)},
        {"one of four bytes", "\xF1", r(1)},
        {"two of four bytes", "\xF1\x80", r(1)},
        {"three of four bytes", "\xF1\x80\x80", r(1)},
        {"three of four bytes, lowest", "\xF0\x90\x80", r(1)},
        {"three of four bytes, highest", "\xF4\x8F\xBF", r(1)},
        {"a second byte that is out of range is read again", "\xE0\x80x\xF0\x80y", r(2) + "x" + r(2) + "y"},
        {"ASCII ends two bytes", "\xC2x", r(1) + "x"},
        {"ASCII ends three bytes", "\xE2x\xE2\x80y", r(1) + "x" + r(1) + "y"},
        {"ASCII ends four bytes", "\xF1x\xF1\x80y\xF1\x80\x80z", r(1) + "x" + r(1) + "y" + r(1) + "z"},
        {"NUL ends a sequence", "\xE2\x80" + nul, r(1) + nul},
        {"a space ends a sequence", "\xE2 \xE2\x80 ", r(1) + " " + r(1) + " "},
        {"a colon ends a sequence", "\xC2:", r(1) + ":"},
        {"a first byte ends a sequence", "\xE2\x80\xE2\x80\xA6", r(1) + "\xE2\x80\xA6"},
        {"a first byte ends each", "\xC2\xC2\xE2\xE2\xF1\xF1\xC2\x80", r(6) + "\xC2\x80"},
        {"one continuation too many", "\xC2\x80\x80\xE2\x80\xA6\x80\xF0\x90\x80\x80\x80",
         "\xC2\x80" + r(1) + "\xE2\x80\xA6" + r(1) + "\xF0\x90\x80\x80" + r(1)},
        {"UTF-16 marks", "\xFE\xFF\xFF\xFE", r(4)},
        {"Latin-1", "caf\xE9 na\xEFve", "caf" + r(1) + " na" + r(1) + "ve"},
        {"Windows-1252", "\x93quoted\x94", r(1) + "quoted" + r(1)},
        // The examples of "U+FFFD Substitution of Maximal Subparts" in the Unicode standard, chapter 3.
        {"Unicode: a mixture", "\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64",
         "a" + r(3) + "b" + r(1) + "c" + r(2) + "d"},
        {"Unicode: overlong sequences", "\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", r(8) + "A"},
        {"Unicode: surrogates", "\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", r(8) + "A"},
        {"Unicode: other ill-formed sequences", "\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42",
         r(5) + "A" + r(2) + "B"},
        {"Unicode: truncated sequences", "\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", r(4) + "A"},
        {"ill-formed around byte 64",
         times(20, "\xE2\x80\xA6") + "\xF1\x80\x80" + times(20, "\xE2\x80\xA6") + "\x80",
         times(20, "\xE2\x80\xA6") + r(1) + times(20, "\xE2\x80\xA6") + r(1)},
    };
    std::string continuations;
    for (unsigned byte = 0x80; byte <= 0xFF; ++byte) {
        const std::string text(1, static_cast<char>(static_cast<unsigned char>(byte)));
        if (byte <= 0xBF) {
            continuations += text;
            rows.push_back({"a lone continuation", text, r(1)});
        } else if (byte == 0xC0 || byte == 0xC1 || byte >= 0xF5) {
            rows.push_back({"a byte that never occurs", text + 'a', r(1) + "a"});
        } else {
            rows.push_back({"a lone first byte", text, r(1)});
        }
    }
    rows.push_back({"all continuations", continuations, r(64)});

    for (const text_row& entry : rows) {
        const std::string& bytes = entry.bytes;
        const std::string& text = entry.text;
        check({
            row(entry.name + ", before LF", "data: " + bytes + "\n\n", {{text}}).replace(),
            row(entry.name + ", before CR, in each field",
                "event:" + bytes + "\rid:" + bytes + "\rdata:" + bytes + "\rdata:" + bytes + "x\r\r",
                // An id with NUL is ignored.
                {{text + "\n" + text + "x", text, bytes.find('\0') == std::string::npos ? text : ""}})
                .id(bytes.find('\0') == std::string::npos ? text : "")
                .replace(),
            row(entry.name + ", at the end", "data: x" + bytes, {{"x" + text}})
                .in_event()
                .deliver()
                .replace(),
            row(entry.name + ", as it is", "data: " + bytes + "\n\n", {{bytes}}),
        });
    }
}

TEST_CASE("ill-formed UTF-8 in names, comments and other places") {
    check({
        row("a comment", ": \xFFx\n").told({comment(replaced + "x")}).replace(),
        row("an unknown field", "\xFFx: \xC2\n\x80\n")
            .told({unknown(replaced + "x", replaced), unknown(replaced, "")})
            .replace(),
        row("a name that would be known without it", "data\xC2: a\n\xC2"s + "data: b\nda\xC2ta: c\n")
            .told({unknown("data" + replaced, "a"), unknown(replaced + "data", "b"),
                   unknown("da" + replaced + "ta", "c")})
            .replace(),
        row("the beginning of a byte order mark", "\xEF\xBB"s + "data: a\n")
            .told({unknown(replaced + "data", "a")})
            .replace(),
        row("the beginning of a byte order mark, and the end", "\xEF\xBB")
            .told({unknown(replaced, "")})
            .in_event()
            .deliver()
            .replace(),
        row("a byte order mark", bom + "data: \x80\n\n", {{replaced}}).replace(),
        row("a second byte order mark", bom + bom + "data: a\n").told({unknown(bom + "data", "a")}).replace(),
        row("a retry", "retry: 10\xFF\n").replace(),
        row("an overlong NUL in an id is no NUL", "id: \xC0\x80\ndata\n\n",
            {{"", "message", replaced + replaced}})
            .id(replaced + replaced)
            .replace(),
        row("an overlong line end is none", "data: a\xC0\x8Aid: 7\n\n",
            {{"a" + replaced + replaced + "id: 7"}})
            .replace(),
        row("an overlong colon is none", "data\xC0\xBA b\n")
            .told({unknown("data" + replaced + replaced + " b", "")})
            .replace(),
        row("the end of a line does not join sequences", "data: \xE2\x80\ndata: \xA6\n\n",
            {{replaced + "\n" + replaced}})
            .replace(),
        row("the end of a stream is dropped with its line", "data: \xE2\x80").in_event().replace(),
        row("the id of another connection is not touched", "data\n\n", {{"", "message", "\xFF"}})
            .resumed("\xFF")
            .id("\xFF")
            .replace(),
    });
}
