// HTTP/1.1, read and written. What is read comes whole, byte by byte, in two parts, and with bytes behind.
#include <sse/http1.hpp>

#include "support/exact_copy.hpp"
#include "support/heap.hpp"
#include "support/show.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <ostream>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using namespace std::string_literals;
using sse::errc;
using sse::http_part;
using test::heap;

enum class ending {
    none,
    told,       // by next()
    by_finish,  // only when the connection had ended
};

/// All that comes of some bytes and the end of the connection.
struct outcome {
    std::string head{};  // "200 OK|Name: value|Name: value|", or "GET http://host:80/target|Name: value|"
    std::string body{};
    ending end = ending::none;
    std::string rest{};     // what was not taken
    bool persists = false;  // keep_alive()
    sse::error error{};

    friend bool operator==(const outcome&, const outcome&) = default;
};

std::string show(const outcome& seen) {
    std::ostringstream text;
    text << "head " << test::show(seen.head, 300) << "\nbody " << test::show(seen.body, 300) << "\nend "
         << static_cast<int>(seen.end) << ", persists " << seen.persists << ", rest "
         << test::show(seen.rest, 100) << ", " << seen.error.message() << '\n';
    return text.str();
}

/// Where the bytes are cut: ascending.
using cuts = std::vector<std::size_t>;

cuts everywhere(std::size_t size) {
    cuts where;
    for (std::size_t cut = 1; cut < size; ++cut) where.push_back(cut);
    return where;
}

struct run {
    outcome result{};
    std::string complaint{};
    std::size_t peak_bytes = 0;  // that the reader held

    void expect(bool holds, const char* what) {
        if (!holds && complaint.empty()) complaint = what;
    }
};

void add_fields(std::string& text, const sse::headers& fields) {
    text += '|';
    for (const auto& [name, value] : fields) text += name + ": " + value + '|';
}

void take_head(run& seen, const sse::response_reader& reader) {
    const sse::response& response = reader.response();
    seen.result.head += std::to_string(response.status) + ' ' + response.reason;
    add_fields(seen.result.head, response.headers);
}

void take_head(run& seen, const sse::request_reader& reader) {
    const sse::request& request = reader.request();
    seen.expect(request.body.empty(), "a body in the head");
    seen.result.head += request.method + ' ' + request.url.scheme + "://" + request.url.host + ':' +
                        std::to_string(request.url.port) + request.url.target;
    add_fields(seen.result.head, request.headers);
}

template <class Reader>
run read(Reader& reader, std::string_view bytes, const cuts& where) {
    run seen;
    std::size_t held_bytes = 0;  // by the reader
    bool over = false;
    const auto next = [&](std::string_view& chunk) {
        const std::size_t others = heap.bytes - held_bytes;
        heap.peak_bytes = heap.bytes;
        const http_part part = reader.next(chunk);
        seen.peak_bytes = std::max(seen.peak_bytes, heap.peak_bytes - others);
        held_bytes = heap.bytes - others;
        return part;
    };
    for (std::size_t i = 0, begin = 0; i <= where.size(); ++i) {
        const std::size_t end = i < where.size() ? where[i] : bytes.size();
        const test::exact_copy whole(bytes.substr(begin, end - begin));
        begin = end;
        std::string_view chunk = whole;
        std::string_view rest = chunk;
        const sse::error before = reader.error();
        for (http_part part; (part = next(chunk)) != http_part::none; rest = chunk) {
            seen.expect(!before && !reader.error(), "a part together with an error");
            seen.expect(!over, "a part after the end");
            if (part == http_part::head) {
                seen.expect(seen.result.head.empty(), "two heads");
                take_head(seen, reader);
            }
            if (part == http_part::body) {
                const std::string_view body = reader.body();
                seen.expect(!seen.result.head.empty(), "a body before its head");
                seen.expect(!body.empty(), "a body without a byte");
                seen.expect(body.data() >= rest.data() && body.data() + body.size() == chunk.data(),
                            "a body that is not what was taken");
                seen.result.body += body;
            }
            if (part == http_part::end) {
                over = true;
                seen.result.end = ending::told;
                seen.result.persists = reader.keep_alive();
            } else {
                seen.expect(!reader.keep_alive(), "keep_alive before the end");
            }
            if (!seen.complaint.empty()) return seen;  // or else it might go on for ever
        }
        seen.expect(!before || reader.error() == before, "the error did not stay");
        seen.expect(over || reader.error() || chunk.empty(), "bytes were left behind");
        if (over) seen.result.rest += chunk;
        std::string_view nothing;
        seen.expect(next(nothing) == http_part::none, "a part out of nothing");
    }
    if (reader.finish() == http_part::end) {
        seen.expect(!over, "the end twice");
        seen.result.end = ending::by_finish;
    }
    seen.expect(reader.finish() == http_part::none, "finished twice");
    if (seen.result.end != ending::told) seen.result.persists = reader.keep_alive();
    seen.result.error = reader.error();
    if (seen.result.error) seen.result.rest = {};
    return seen;
}

/// \return what is wrong, for a person to read
template <class Reader>
std::string fault(const std::string& bytes, const cuts& where, const outcome& expected,
                  const sse::http1_options& options) {
    Reader reader(options);
    // Once more after a reset: nothing of the first time may be left.
    for (const char* const which : {"", "after a reset, "}) {
        const run seen = read(reader, bytes, where);
        reader.reset();
        if (seen.complaint.empty() && seen.result == expected) continue;
        std::string text = "bytes " + test::show(bytes) + '\n' + which + "cut at";
        for (const std::size_t cut : where) text += ' ' + std::to_string(cut);
        return text + "\ncomplaint: " + seen.complaint + "\nexpected\n" + show(expected) + "got\n" +
               show(seen.result);
    }
    return {};
}

template <class Reader>
std::string fault_in_any(const std::string& bytes, const outcome& expected,
                         const sse::http1_options& options) {
    std::string text = fault<Reader>(bytes, {}, expected, options);
    if (text.empty()) text = fault<Reader>(bytes, everywhere(bytes.size()), expected, options);
    if (text.empty()) text = fault<Reader>(bytes, {0, bytes.size() / 2, bytes.size() / 2}, expected, options);
    for (std::size_t cut = 1; cut < bytes.size() && text.empty(); ++cut) {
        text = fault<Reader>(bytes, {cut}, expected, options);
    }
    return text;
}

/// Every chunking; and where the bytes end by themselves, the same with bytes behind, which are not taken.
template <class Reader>
void check(const std::string& bytes, outcome expected, const sse::http1_options& options = {}) {
    std::string text = fault_in_any<Reader>(bytes, expected, options);
    CHECK_MESSAGE(text.empty(), text);
    const bool failed = bool(expected.error) && expected.error != errc::http_cut_off;
    if (!failed && expected.end != ending::told) return;
    for (const std::string& behind : {"\r\n"s, "HTTP/1.1 200 OK\r\n\r\nGET / HTTP/1.1\r\n"s, "\0"s}) {
        if (!failed) expected.rest = behind;
        text = fault_in_any<Reader>(bytes + behind, expected, options);
        CHECK_MESSAGE(text.empty(), text);
    }
}

void check_response(const std::string& bytes, const outcome& expected,
                    const sse::http1_options& options = {}) {
    check<sse::response_reader>(bytes, expected, options);
}

void check_request(const std::string& bytes, const outcome& expected,
                   const sse::http1_options& options = {}) {
    check<sse::request_reader>(bytes, expected, options);
}

std::string times(std::size_t count, std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < count; ++i) result += text;
    return result;
}

}  // namespace

// Heads of responses

TEST_CASE("a response's head is a status line and fields") {
    struct row {
        std::string bytes;
        std::string head;
    };
    const row rows[] = {
        // What most servers send.
        {"HTTP/1.1 204 No Content\r\nContent-Type: text/event-stream\r\nB: c\r\n\r\n",
         "204 No Content|Content-Type: text/event-stream|B: c|"},
        {"HTTP/1.1 204 No Content\r\n\r\n", "204 No Content|"},
        // Any HTTP/1; that 1.0 does not persist by itself is seen below.
        {"HTTP/1.9 204 x\r\n\r\n", "204 x|"},
        // The reason may be missing, and the space before it; it may hold spaces and bytes above ASCII.
        {"HTTP/1.1 204 \r\n\r\n", "204 |"},
        {"HTTP/1.1 204\r\n\r\n", "204 |"},
        {"HTTP/1.1 204  a\tb \xFF\r\n\r\n", "204  a\tb \xFF|"},
        // A bare LF ends a line, also mixed with CR LF.
        {"HTTP/1.1 204 x\nA: b\nC: d\n\n", "204 x|A: b|C: d|"},
        {"HTTP/1.1 204 x\r\nA: b\nC: d\r\n\n", "204 x|A: b|C: d|"},
        {"HTTP/1.1 204\n\r\n", "204 |"},
        // Values are trimmed of spaces and tabs, but hold them; they may be empty.
        {"HTTP/1.1 204 x\r\nA: \t b \t c \t \r\nD:e\r\nF:\r\nG: \t\r\n\r\n", "204 x|A: b \t c|D: e|F: |G: |"},
        {"HTTP/1.1 204 x\r\nA: b:c::\r\nD: \x80\xFF\r\n\r\n", "204 x|A: b:c::|D: \x80\xFF|"},
        // A name may have any character of a token, and keeps its case; the order is kept.
        {"HTTP/1.1 204 x\r\n!#$%&'*+-.^_`|~09azAZ: 1\r\nset-cookie: a\r\nSet-Cookie: b\r\n\r\n",
         "204 x|!#$%&'*+-.^_`|~09azAZ: 1|set-cookie: a|Set-Cookie: b|"},
        // A folded line goes on with a space in between, but not at either end.
        {"HTTP/1.1 204 x\r\nA: b\r\n c\r\n\t d\t \r\nE: f\r\n\r\n", "204 x|A: b c d|E: f|"},
        {"HTTP/1.1 204 x\r\nA:\r\n b\r\n\r\n", "204 x|A: b|"},
        {"HTTP/1.1 204 x\r\nA: b\r\n \r\n\t\r\n c\r\n \r\n\r\n", "204 x|A: b c|"},
        {"HTTP/1.1 204 x\nA: b\n c: d\n\n", "204 x|A: b c: d|"},
    };
    for (const row& each : rows) {
        check_response(each.bytes, {.head = each.head, .end = ending::told, .persists = true});
    }
}

TEST_CASE("a status line is a version, a space and three digits, and nothing is guessed") {
    const std::string lines[] = {
        "",
        " ",
        "HTTP",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1200 OK",
        " HTTP/1.1 200 OK",
        "http/1.1 200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/2 200 OK",
        "HTTP/0.9 200 OK",
        "HTTP/1.10 200 OK",
        "HTTP/1. 200 OK",
        "HTTP/1.x 200 OK",
        "HTTP/11 200 OK",
        "ICY 200 OK",
        "HTTP/1.1 20",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 +20 OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 000 OK",
        "HTTP/1.1 200OK",
        "HTTP/1.1 200 O\rK",
        "HTTP/1.1 200 OK\r\r",
        "HTTP/1.1 200 OK\0"s,
        "HTTP/1.1 200 O\x7FK",
        "HTTP/1.1 200\r OK",
        "<html>",
    };
    for (const std::string& line : lines) {
        check_response(line + "\r\n", {.error = errc::http_malformed});
        check_response(line + "\n", {.error = errc::http_malformed});
    }
}

TEST_CASE("a field is a token, a colon and a value without control characters, and nothing is guessed") {
    const std::string lines[] = {
        "A",
        ": b",
        ":",
        "A : b",
        "A\t: b",
        "A B: c",
        "A\r: b",
        "A\0: b"s,
        "(A): b",
        "A\x80: b",
        "\x01: b",
        "A: b\rc",
        "A: b\r",
        "A: \r",
        "A: b\0c"s,
        "A: b\0"s,
        "A: \x01",
        "A: b\x7F",
        "A: b\r\n c\rd",
        "A: b\r\n \0"s,
        "A: b\r\n c\r",
        "A: b\r\nc",
        "HTTP/1.1 200 OK",
        "\r",
    };
    for (const std::string& line : lines) {
        check_response("HTTP/1.1 204 x\r\n" + line + "\r\n", {.error = errc::http_malformed});
        check_request("GET / HTTP/1.1\r\nHost: h\r\n" + line + "\r\n", {.error = errc::http_malformed});
    }
    // Whitespace before the first field belongs to nothing.
    check_response("HTTP/1.1 204 x\r\n A: b\r\n", {.error = errc::http_malformed});
    check_response("HTTP/1.1 204 x\r\n \r\n", {.error = errc::http_malformed});
}

TEST_CASE("interim responses are skipped, and a change of protocol is refused") {
    const std::string last = "HTTP/1.1 204 x\r\nA: b\r\n\r\n";
    const outcome expected = {.head = "204 x|A: b|", .end = ending::told, .persists = true};
    check_response("HTTP/1.1 100 Continue\r\n\r\n" + last, expected);
    check_response(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\n\r\nHTTP/1.0 199\n\n" + last,
        expected);
    check_response("HTTP/1.1 102\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n" + last, expected);
    check_response("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
                   {.error = errc::http_unsupported});
    check_response("HTTP/1.1 100 Continue\r\n\r\n", {.error = errc::http_cut_off});
    // An empty line is not skipped, not even behind one.
    check_response("\r\n" + last, {.error = errc::http_malformed});
    check_response("HTTP/1.1 100 Continue\r\n\r\n\r\n" + last, {.error = errc::http_malformed});
}

// Bounds

TEST_CASE("what is so by default") {
    const sse::http1_options options;
    CHECK(options.max_head_bytes == 65'536);
    CHECK(options.max_headers == 256);
    // A reader without options has these.
    const outcome refused = {.error = errc::http_head_too_large};
    const std::string many = "HTTP/1.1 204 x\r\n" + times(256, "A: b\r\n");
    check_response(many + "A: b\r\n\r\n", refused);
    sse::response_reader reader;
    const std::string head = many + "\r\n";
    std::string_view bytes = head;
    CHECK(reader.next(bytes) == sse::http_part::head);
    reader.reset();
    const std::string large = "HTTP/1.1 204 x\r\nA: ";
    const std::string largest = large + times(65'536 - large.size() - 4, "v") + "\r\n\r\n";
    bytes = largest;
    CHECK(reader.next(bytes) == sse::http_part::head);
    reader.reset();
    const std::string too_large = large + times(65'536 - large.size() - 3, "v") + "\r\n\r\n";
    bytes = too_large;
    CHECK(reader.next(bytes) == sse::http_part::none);
    CHECK(reader.error() == errc::http_head_too_large);
}

TEST_CASE("a chunk may lie in the string that it is appended to") {
    const std::string own(1 << 20, 'o');  // so large that its memory is gone for good once it has moved
    std::string out = own;
    out.shrink_to_fit();
    CHECK_FALSE(sse::write_chunk(out, out));
    CHECK((out == own + "100000\r\n" + own + "\r\n"));

    sse::request request{.url = *sse::parse_url("http://a/"), .headers = {{"Host", own}}};
    request.headers[0].value.shrink_to_fit();
    CHECK_FALSE(sse::write_request(request.headers[0].value, request));
    CHECK(request.headers[0].value.starts_with(own + "GET / HTTP/1.1\r\nHost: " + own + "\r\n"));
}

TEST_CASE("a head is bounded, whether it has come to its end or not") {
    const std::string response = "HTTP/1.1 204 x\r\nName: " + times(50, "v") + "\r\nA: b\r\n\r\n";
    const std::string interim = "HTTP/1.1 100 x\r\n\r\n";
    const outcome read = {
        .head = "204 x|Name: " + times(50, "v") + "|A: b|", .end = ending::told, .persists = true};
    const outcome refused = {.error = errc::http_head_too_large};
    const auto bound = [](std::size_t bytes) { return sse::http1_options{.max_head_bytes = bytes}; };
    check_response(response, read, bound(response.size()));
    check_response(response, refused, bound(response.size() - 1));
    check_response(interim + interim + response, read, bound(2 * interim.size() + response.size()));
    check_response(interim + interim + response, refused, bound(2 * interim.size() + response.size() - 1));

    const std::string request = "\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
    check_request(request, {.head = "GET http://h:80/|Host: h|", .end = ending::told, .persists = true},
                  bound(request.size()));
    check_request(request, refused, bound(request.size() - 1));

    // Lines, of which no end comes.
    for (const std::string& start : {""s, "HTTP/1.1 204 x\r\n"s, "HTTP/1.1 204 x\r\nA: b\r\n "s}) {
        const std::string rest(100 - start.size(), 'x');
        check_response(start + rest, {.error = errc::http_cut_off}, bound(100));
        check_response(start + rest + 'x', refused, bound(100));
    }
    check_response("H", refused, bound(0));
}

TEST_CASE("a head has 64 KiB and 256 fields by default") {
    const std::string start = "HTTP/1.1 204 x\r\nA: ";
    const std::string fields = times(256, "A: b\r\n");
    for (const std::size_t excess : {0u, 1u}) {
        const std::string long_value(65'536 - start.size() - 4 + excess, 'v');
        for (const std::string& bytes :
             {start + long_value + "\r\n\r\n",
              "HTTP/1.1 204 x\r\n" + fields + times(excess, "A: b\r\n") + "\r\n"}) {
            for (const cuts& where : {cuts{}, everywhere(bytes.size())}) {
                sse::response_reader reader;
                const outcome seen = read(reader, bytes, where).result;
                CHECK(seen.error == (excess == 0 ? errc::ok : errc::http_head_too_large));
                CHECK((seen.end == ending::told) == (excess == 0));
            }
        }
    }
}

TEST_CASE("the number of fields is bounded, folded lines being none") {
    const std::string response = "HTTP/1.1 204 x\r\nA: b\r\n c\r\n d\r\nE: f\r\n\r\n";
    const outcome read = {.head = "204 x|A: b c d|E: f|", .end = ending::told, .persists = true};
    check_response(response, read, {.max_headers = 2});
    check_response(response, {.error = errc::http_head_too_large}, {.max_headers = 1});
    check_response("HTTP/1.1 103 x\r\nA: b\r\nC: d\r\n\r\n" + response, read, {.max_headers = 2});
    check_response("HTTP/1.1 103 x\r\nA: b\r\nC: d\r\nE: f\r\n\r\n", {.error = errc::http_head_too_large},
                   {.max_headers = 2});
    const std::string request = "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
    check_request(request, {.head = "GET http://h:80/|Host: h|A: b|", .end = ending::told, .persists = true},
                  {.max_headers = 2});
    check_request(request, {.error = errc::http_head_too_large}, {.max_headers = 1});
    check_response("HTTP/1.1 204 x\r\nA: b\r\n", {.error = errc::http_head_too_large}, {.max_headers = 0});
}

TEST_CASE("a line's beginning is not read again for each of its bytes") {
    // 4 MiB, byte by byte: squared, that is more than the test's time allows.
    constexpr std::size_t size = std::size_t{4} << 20;
    const std::string value(size, 'v');
    sse::response_reader reader({.max_head_bytes = size + 100});
    std::string_view start = "HTTP/1.1 204 x\r\nA: ";
    CHECK(reader.next(start) == http_part::none);
    std::size_t parts = 0;
    for (const char& byte : value) {
        std::string_view one(&byte, 1);
        parts += reader.next(one) != http_part::none;
    }
    CHECK(parts == 0);
    std::string_view end = "\r\n\r\n";
    CHECK(reader.next(end) == http_part::head);
    CHECK(reader.response().headers.front().value == value);
}

// Bodies

TEST_CASE("where a body ends is found as the RFC says") {
    struct row {
        std::string head;  // after the version: status and fields
        std::string bytes;
        std::string body;
        ending end;
    };
    const row rows[] = {
        // These have none, whatever the fields say.
        {"204 x\r\nContent-Length: 5", "", "", ending::told},
        {"304 x\r\nContent-Length: 5", "", "", ending::told},
        {"304 x\r\nTransfer-Encoding: chunked", "", "", ending::told},
        {"304 x\r\nContent-Length: 5\r\nContent-Length: 6", "", "", ending::told},
        // A length; the same one may be there twice.
        {"200 OK\r\nContent-Length: 0", "", "", ending::told},
        {"200 OK\r\nContent-Length: 5", "hello", "hello", ending::told},
        {"200 OK\r\ncontent-LENGTH: 5", "\r\n\0\xFF\n"s, "\r\n\0\xFF\n"s, ending::told},
        {"404 x\r\nContent-Length: 0000000000000000000000000000002", "ab", "ab", ending::told},
        {"200 OK\r\nContent-Length: 5\r\nContent-Length: 5", "hello", "hello", ending::told},
        {"200 OK\r\nContent-Length: 5 ,\t5,05", "hello", "hello", ending::told},
        {"200 OK\r\nContent-Length:\r\n 5", "hello", "hello", ending::told},
        // Chunks.
        {"200 OK\r\nTransfer-Encoding: chunked", "0\r\n\r\n", "", ending::told},
        {"200 OK\r\ntransfer-encoding: CHUNKED", "5\r\nhello\r\n0\r\n\r\n", "hello", ending::told},
        {"500 x\r\nTransfer-Encoding:\r\n\tchunked ", "1\r\na\r\n0\r\n\r\n", "a", ending::told},
        // Nothing: the end of the connection.
        {"200 OK", "", "", ending::by_finish},
        {"200 OK\r\nA: b", "hello\r\n0\r\n\r\n", "hello\r\n0\r\n\r\n", ending::by_finish},
        {"302 x\r\nLocation: /", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n", ending::by_finish},
    };
    for (const row& each : rows) {
        const std::string bytes = "HTTP/1.1 " + each.head + "\r\n\r\n" + each.bytes;
        CAPTURE(test::show(bytes));
        sse::response_reader reader;
        const outcome seen = read(reader, "HTTP/1.1 " + each.head + "\r\n\r\n", {}).result;
        check_response(
            bytes,
            {.head = seen.head, .body = each.body, .end = each.end, .persists = each.end == ending::told});
    }
}

TEST_CASE("where a body ends must be certain and understood") {
    struct row {
        std::string fields;
        errc error;
    };
    const row rows[] = {
        {"Content-Length: 5\r\nContent-Length: 6", errc::http_framing},
        {"Content-Length: 5, 6", errc::http_framing},
        {"Content-Length: 6\r\nA: b\r\ncontent-length: 5", errc::http_framing},
        {"Content-Length: 5, 5\r\nContent-Length: 5, 4", errc::http_framing},
        {"Content-Length:", errc::http_framing},
        {"Content-Length: x", errc::http_framing},
        {"Content-Length: 5x", errc::http_framing},
        {"Content-Length: 0x5", errc::http_framing},
        {"Content-Length: -5", errc::http_framing},
        {"Content-Length: +5", errc::http_framing},
        {"Content-Length: 5 5", errc::http_framing},
        {"Content-Length: 5.0", errc::http_framing},
        {"Content-Length: \"5\"", errc::http_framing},
        {"Content-Length: 5,", errc::http_framing},
        {"Content-Length: ,5", errc::http_framing},
        {"Content-Length: 5,,5", errc::http_framing},
        {"Content-Length: x\r\nContent-Length: 5", errc::http_framing},
        {"Content-Length: 18446744073709551616", errc::http_framing},  // 2^64
        {"Content-Length: 99999999999999999999999", errc::http_framing},
        {"Transfer-Encoding: chunked\r\nContent-Length: 5", errc::http_framing},
        {"Content-Length: 0\r\nTransfer-Encoding: chunked", errc::http_framing},
        {"Content-Length: x\r\nTransfer-Encoding: chunked", errc::http_framing},
        {"Transfer-Encoding: gzip\r\nContent-Length: 5", errc::http_framing},
        {"Transfer-Encoding: gzip, chunked", errc::http_unsupported},
        {"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", errc::http_unsupported},
        {"Transfer-Encoding: chunked, gzip", errc::http_unsupported},
        {"Transfer-Encoding: chunked, chunked", errc::http_unsupported},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", errc::http_unsupported},
        {"Transfer-Encoding: identity", errc::http_unsupported},
        {"Transfer-Encoding: xchunked", errc::http_unsupported},
        {"Transfer-Encoding: chunked;a=b", errc::http_unsupported},
        {"Transfer-Encoding: \"chunked\"", errc::http_unsupported},
        {"Transfer-Encoding: chunke", errc::http_unsupported},
        {"Transfer-Encoding:", errc::http_unsupported},
        {"Transfer-Encoding: ,chunked", errc::http_unsupported},
    };
    for (const row& each : rows) {
        check_response("HTTP/1.1 200 OK\r\n" + each.fields + "\r\n\r\n", {.error = each.error});
        check_request("POST / HTTP/1.1\r\nHost: h\r\n" + each.fields + "\r\n\r\n", {.error = each.error});
    }
    // HTTP/1.0 has no transfer codings: whoever stood between did not understand this one.
    check_response("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", {.error = errc::http_framing});
    check_request("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", {.error = errc::http_framing});
}

namespace {

const std::string chunked_head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const std::string chunked_request = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The same chunks in a response and in a request.
void check_chunked(const std::string& chunks, outcome expected, const sse::http1_options& options = {}) {
    expected.head = "200 OK|Transfer-Encoding: chunked|";
    check_response(chunked_head + chunks, expected, options);
    expected.head = "POST http://h:80/|Host: h|Transfer-Encoding: chunked|";
    check_request(chunked_request + chunks, expected, options);
}

}  // namespace

TEST_CASE("chunks are joined, and what stands around them is dropped") {
    struct row {
        std::string bytes;
        std::string body;
    };
    const row rows[] = {
        {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"},
        {"1\r\n\r\r\n2\r\n\r\n\r\n1\r\n\n\r\n0\r\n\r\n", "\r\r\n\n"},
        {"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"},
        {"1f\r\n" + times(31, "x") + "\r\n0\r\n\r\n", times(31, "x")},
        {"1F4\r\n" + times(500, "y") + "\r\n0\r\n\r\n", times(500, "y")},
        // Zeros, however many.
        {"0000000000000001\r\na\r\n0000000000000000\r\n\r\n", "a"},
        {"00000000000000000000000a\r\n0123456789\r\n00000000000000000\r\n\r\n", "0123456789"},
        // Extensions; some servers pad the size.
        {"1;\r\na\r\n1;b\r\nc\r\n1 ; b = \"0\x80\" ;c\r\nd\r\n0;e=f\r\n\r\n", "acd"},
        {"1 \t \r\na\r\n0 \r\n\r\n", "a"},
        // Trailers.
        {"1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\n", "a"},
        {"0\r\nContent-Length: 5\r\n\r\n", ""},
    };
    for (const row& each : rows) {
        check_chunked(each.bytes, {.body = each.body, .end = ending::told, .persists = true});
    }
}

TEST_CASE("a fold in trailers is as one in a head: a server refuses it") {
    const std::string chunks = "1\r\na\r\n0\r\nA: b\r\n c\r\n";
    check_response(
        chunked_head + chunks + "\r\n",
        {.head = "200 OK|Transfer-Encoding: chunked|", .body = "a", .end = ending::told, .persists = true});
    check_request(chunked_request + chunks, {.head = "POST http://h:80/|Host: h|Transfer-Encoding: chunked|",
                                             .body = "a",
                                             .error = errc::http_malformed});
}

TEST_CASE("a chunk's line is a size and extensions, and nothing is guessed") {
    const std::string lines[] = {
        "",
        " ",
        ";",
        ";a",
        " 1",
        "g",
        "-",
        "-1",
        "+1",
        "x",
        "0x",
        "0x1",
        "1g",
        "1 1",
        "1 x",
        "1,",
        "1\r",
        "1\ra",
        "1;a\rb",
        "1;a\r",
        "1 \r",
        "\r1",
        "1;\0"s,
        "1;\x7F",
        "1;\x01",
        "1 \0"s,
        "1\0"s,
        "1\x0B",
        "\xEF\xBC\x91",
        "10000000000000000",
        "ffffffffffffffffff",
    };
    for (const std::string& line : lines) check_chunked(line + "\r\n", {.error = errc::http_malformed});
}

TEST_CASE("chunks that are not as they should be are refused") {
    struct row {
        std::string bytes;
        std::string body{};
    };
    const row rows[] = {
        {"1\r\nab", "a"},
        {"1\r\na0", "a"},
        {"1\r\na\r0", "a"},
        {"1\r\na\r\r", "a"},
        {"1\r\na\0"s, "a"},
        {"1\r\na\r\n\r\n", "a"},
        {"0\r\nA\r\n"},
        {"0\r\nA : b\r\n"},
        {"0\r\n A: b\r\n"},
        {"0\r\nA: b\rc\r\n"},
        {"0\r\n\r\r\n"},
        // A bare LF ends nothing here.
        {"\n"},
        {"1\n"},
        {"1 \n"},
        {"1;a\n"},
        {"0\n"},
        {"1\r\na\n", "a"},
        {"1\r\na\r\n\n", "a"},
        {"0\r\n\n"},
        {"0\r\nA: b\n"},
        {"0\r\nA: b\r\n\n"},
    };
    for (const row& each : rows) {
        check_chunked(each.bytes, {.body = each.body, .error = errc::http_malformed});
    }
}

TEST_CASE("a chunk's size and a length may be as large as 64 bits can say") {
    check_chunked("ffffffffffffffff\r\nhello", {.body = "hello", .error = errc::http_cut_off});
    check_response("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nhello",
                   {.head = "200 OK|Content-Length: 18446744073709551615|",
                    .body = "hello",
                    .error = errc::http_cut_off});
}

TEST_CASE("each chunk's line is bounded by itself") {
    const sse::http1_options options{.max_head_bytes = 100};
    const auto chunk = [](std::size_t line_size) { return "1;" + times(line_size - 4, "x") + "\r\na\r\n"; };
    check_chunked(times(4, chunk(100)) + "0\r\n\r\n", {.body = "aaaa", .end = ending::told, .persists = true},
                  options);
    check_chunked(chunk(100) + chunk(101), {.body = "a", .error = errc::http_head_too_large}, options);
    check_chunked("1;" + times(98, "x"), {.error = errc::http_cut_off}, options);
    check_chunked("1;" + times(99, "x"), {.error = errc::http_head_too_large}, options);
}

TEST_CASE("the trailers are bounded by themselves") {
    const sse::http1_options options{.max_head_bytes = 100, .max_headers = 3};
    const auto trailers = [](std::size_t size) {
        return "0\r\nA: b\r\nC: " + times(size - 13, "d") + "\r\n\r\n";
    };
    const outcome read = {.end = ending::told, .persists = true};
    const outcome refused = {.error = errc::http_head_too_large};
    check_chunked(trailers(100), read, options);
    check_chunked(trailers(101), refused, options);
    check_chunked("0\r\n" + times(3, "A: b\r\n") + "\r\n", read, options);
    check_chunked("0\r\n" + times(4, "A: b\r\n"), refused, options);
    // Those of a message that was cut off do not count for the next.
    check_chunked("0\r\n" + times(2, "A: b\r\n"), {.error = errc::http_cut_off}, options);
}

TEST_CASE("the room that trailers took is given back before the next response") {
    std::string whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    for (int i = 0; i < 50; ++i) whole += "X-Trailer-" + std::to_string(i) + ": of some length\r\n";
    whole += "\r\n";
    const test::count since;
    sse::response_reader reader;
    std::string_view rest = whole;
    while (reader.next(rest) != http_part::end) REQUIRE_FALSE(reader.error());
    CHECK(since.bytes() > 0);
    reader.reset();
    CHECK(since.bytes() == 0);
}

namespace {

/// Cuts a message off after each number of bytes. The first few may be none of it.
template <class Reader>
void check_cut_off(const std::string& whole, std::size_t before = 0) {
    CAPTURE(whole);
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        CAPTURE(size);
        const test::exact_copy cut(std::string_view(whole).substr(0, size));
        std::string_view bytes = cut;
        Reader reader;
        bool ended = false;
        for (http_part part; (part = reader.next(bytes)) != http_part::none;) {
            ended = part == http_part::end;
        }
        CHECK(ended == (size == whole.size()));
        CHECK(reader.finish() == http_part::none);
        CHECK(reader.error() == (ended || size < before ? errc::ok : errc::http_cut_off));
        CHECK_FALSE(reader.keep_alive());
    }
}

template <class Reader>
void check_untold_end(const std::string& whole) {
    std::string_view bytes = whole;
    Reader reader;
    CHECK(reader.next(bytes) == http_part::head);
    if (!bytes.empty()) CHECK(reader.next(bytes) == http_part::body);
    CHECK(reader.finish() == http_part::end);
    CHECK_FALSE(reader.error());
    CHECK_FALSE(reader.keep_alive());
    CHECK(reader.finish() == http_part::none);
    CHECK(reader.next(bytes) == http_part::none);
}

}  // namespace

TEST_CASE("wherever the connection ends before the message does, it is cut off") {
    const std::string chunks = "5;a\r\nhello\r\n3\r\n...\r\n0\r\nA: b\r\n\r\n";
    check_cut_off<sse::response_reader>("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    check_cut_off<sse::response_reader>(chunked_head + chunks);
    // Nobody has to send a request.
    check_cut_off<sse::request_reader>("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 1);
    check_cut_off<sse::request_reader>(chunked_request + chunks, 1);
    check_cut_off<sse::request_reader>("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 1);
    check_cut_off<sse::request_reader>("\n\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 4);
}

TEST_CASE("the end of the connection ends a body that has come whole, though the end was not asked for") {
    for (const std::string& body : {""s, "hi"s}) {
        const std::string rest = "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
        check_untold_end<sse::response_reader>("HTTP/1.1 200 OK\r\n" + rest);
        check_untold_end<sse::request_reader>("POST / HTTP/1.1\r\nHost: h\r\n" + rest);
    }
    check_untold_end<sse::request_reader>("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}

TEST_CASE("a connection persists where both version and fields let it, and the end is known") {
    struct row {
        std::string version;
        std::string fields;
        bool persists;
    };
    const row rows[] = {
        {"1.1", "", true},
        {"1.2", "", true},
        {"1.1", "Connection: close\r\n", false},
        {"1.1", "connection: CLOSE\r\n", false},
        {"1.1", "Connection: a, close ,b\r\n", false},
        {"1.1", "Connection: a\r\nConnection: close\r\nConnection: b\r\n", false},
        {"1.1", "Connection: keep-alive, close\r\n", false},
        {"1.1", "Connection: closed\r\n", true},
        {"1.1", "Connection: keep-alive\r\n", true},
        {"1.1", "Connection:\r\n", true},
        {"1.1", "X-Connection: close\r\n", true},
        {"1.0", "", false},
        {"1.0", "Connection: keep-alive\r\n", true},
        {"1.0", "Connection: a, Keep-Alive\r\n", true},
        {"1.0", "Connection: keep-alive, close\r\n", false},
        {"1.0", "Keep-Alive: timeout=5\r\n", false},
    };
    for (const row& each : rows) {
        const std::string bytes =
            "HTTP/" + each.version + " 200 OK\r\n" + each.fields + "Content-Length: 1\r\n\r\na";
        sse::response_reader reader;
        CAPTURE(bytes);
        CHECK(read(reader, bytes, {}).result.persists == each.persists);
        CHECK_FALSE(reader.keep_alive());  // no longer: read() has told that the connection has ended
        reader.reset();
        // To the end of the connection, it cannot be.
        const outcome unsized =
            read(reader, "HTTP/" + each.version + " 200 OK\r\n" + each.fields + "\r\na", {}).result;
        CHECK(unsized.end == ending::by_finish);
        CHECK_FALSE(unsized.persists);

        // A request without a body ends by itself.
        for (const char* const rest : {"\r\n", "Content-Length: 1\r\n\r\na"}) {
            sse::request_reader requests;
            const std::string request = "PUT / HTTP/" + each.version + "\r\nHost: h\r\n" + each.fields + rest;
            CHECK(read(requests, request, {}).result.persists == each.persists);
            CHECK_FALSE(requests.keep_alive());
        }
    }
}

TEST_CASE("responses follow one another on a connection") {
    const std::string whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" + chunked_head +
                              "1\r\na\r\n0\r\nA: b\r\n\r\nHTTP/1.1 204 x\r\n\r\n";
    std::string_view bytes = whole;
    sse::response_reader reader;
    std::string seen;
    for (int i = 0; i < 3; ++i) {
        for (http_part part; (part = reader.next(bytes)) != http_part::none;) {
            if (part == http_part::head) seen += std::to_string(reader.response().status) + ':';
            if (part == http_part::body) seen += reader.body();
            if (part == http_part::end) seen += '.';
        }
        CHECK(reader.keep_alive());
        reader.reset();
        CHECK_FALSE(reader.keep_alive());
    }
    CHECK(seen == "200:hi.200:a.204:.");
    CHECK(bytes.empty());
}

namespace {

/// \param warm_up bytes of the body until there is room for a line
template <class Reader>
void check_not_copied(const std::string& head, const std::string& chunk_line = {}, std::size_t warm_up = 0) {
    CAPTURE(head);
    std::string whole = head;
    const bool chunked = !chunk_line.empty();
    for (int i = 0; i < 1024; ++i) {
        whole += chunk_line;
        whole.append(1024, 'x');
        if (chunked) whole += "\r\n";
    }
    if (chunked) whole += "0\r\n\r\n";
    for (const std::size_t chunk_size : {std::size_t{1}, std::size_t{1000}, whole.size()}) {
        Reader reader;
        std::string_view rest = whole;
        REQUIRE(reader.next(rest) == http_part::head);
        std::size_t allocations = heap.allocations;
        std::size_t size = 0;
        bool lies_within = true;
        while (!rest.empty()) {
            std::string_view chunk = rest.substr(0, chunk_size);
            rest.remove_prefix(chunk.size());
            for (http_part part; (part = reader.next(chunk)) != http_part::none;) {
                if (part != http_part::body) continue;
                size += reader.body().size();
                lies_within = lies_within && reader.body().data() + reader.body().size() == chunk.data();
            }
            if (size < warm_up) allocations = heap.allocations;
        }
        CHECK(size == 1048576);
        CHECK(lies_within);
        CHECK(heap.allocations == allocations);
        CHECK_FALSE(reader.error());
    }
}

}  // namespace

TEST_CASE("a body is not copied, and reading it does not allocate once there is room for a line") {
    const std::string extended = "400;" + times(100, "extension") + "\r\n";
    check_not_copied<sse::response_reader>("HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
    check_not_copied<sse::response_reader>("HTTP/1.1 200 OK\r\n\r\n");
    check_not_copied<sse::response_reader>(chunked_head, "400\r\n");
    check_not_copied<sse::response_reader>(chunked_head, extended, 2048);
    check_not_copied<sse::request_reader>("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n");
    check_not_copied<sse::request_reader>(chunked_request, "400\r\n");
    check_not_copied<sse::request_reader>(chunked_request, extended, 2048);
}

// Heads of requests

TEST_CASE("a request's head is a method, a target, and fields of which one is Host") {
    struct row {
        std::string bytes;
        std::string head;
        bool persists = true;
    };
    const row rows[] = {
        {"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "GET http://example.org:80/|Host: example.org|"},
        {"POST /a?b=c&d HTTP/1.1\r\nA: b\r\nhost: Example.ORG:8080\r\nContent-Length: 0\r\n\r\n",
         "POST http://example.org:8080/a?b=c&d|A: b|host: Example.ORG:8080|Content-Length: 0|"},
        {"GET / HTTP/1.1\nHost: [::1]:65535\n\n", "GET http://[::1]:65535/|Host: [::1]:65535|"},
        {"GET / HTTP/1.1\r\nHost: h:\r\n\r\n", "GET http://h:80/|Host: h:|"},
        {"!#$%&'*+-.^_`|~09azAZ //\xC3\xA9\\ HTTP/1.1\r\nHost:\r\n\r\n",
         "!#$%&'*+-.^_`|~09azAZ http://:0//\xC3\xA9\\|Host: |"},
        // Before HTTP/1.1 there need be no Host.
        {"GET / HTTP/1.0\r\n\r\n", "GET http://:0/|", false},
        {"GET / HTTP/1.0\r\nHost: h\r\n\r\n", "GET http://h:80/|Host: h|", false},
        {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", "GET http://h:80/|Host: h|"},
        // In absolute-form, Host does not count, and is replaced: section 3.2.2.
        {"GET http://a:81/b?c HTTP/1.1\r\nHost: d:82\r\n\r\n", "GET http://a:81/b?c|Host: a:81|"},
        {"GET HTTPS://A HTTP/1.1\r\nHost:\r\n\r\n", "GET https://a:443/|Host: a|"},
        {"GET http://a/ HTTP/1.0\r\n\r\n", "GET http://a:80/|", false},
        // A few empty lines are skipped.
        {"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET http://h:80/|Host: h|"},
        {"\r\n\n\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET http://h:80/|Host: h|"},
    };
    for (const row& each : rows) {
        check_request(each.bytes, {.head = each.head, .end = ending::told, .persists = each.persists});
    }
}

TEST_CASE("a client of HTTP/1.0 takes no chunks, though it keeps the connection") {
    for (const char minor_version : {'0', '1', '2'}) {
        const std::string whole =
            "GET / HTTP/1."s + minor_version + "\r\nHost: h\r\nConnection: keep-alive\r\n\r\n";
        std::string_view bytes = whole;
        sse::request_reader reader;
        CHECK(reader.next(bytes) == http_part::head);
        CHECK(reader.takes_chunks() == (minor_version != '0'));
        CHECK(reader.next(bytes) == http_part::end);
        CHECK(reader.keep_alive());
    }
}

TEST_CASE("a request line is three words, and nothing is guessed") {
    const std::string lines[] = {
        "GET",
        "GET /",
        "GET / ",
        "GET  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / HTTP/1.1\r",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / HTTP/1.10",
        "GET / HTTP/1.",
        "GET / http/1.1",
        "PRI * HTTP/2.0",
        "G(T / HTTP/1.1",
        "G\x80T / HTTP/1.1",
        "G\rT / HTTP/1.1",
        "GET /\r HTTP/1.1",
        "GET /\0 HTTP/1.1"s,
        "GET /\x7F HTTP/1.1",
        "GET /# HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET http://h/#a HTTP/1.1",
        "\r\n\r\n\r\n\r\n",  // a fifth empty line, with the one that ends it
        " ",
    };
    for (const std::string& line : lines) check_request(line + "\r\n", {.error = errc::http_malformed});
}

TEST_CASE("a request for nothing that one host can serve is refused") {
    const std::string requests[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHosts: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: h\r\nhost: i\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h:x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h:0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h:65536\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\n\r\n",
        "GET http://a@b/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET ?a HTTP/1.1\r\nHost: h\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
    };
    for (const std::string& each : requests) check_request(each, {.error = errc::http_malformed});
    // A server need not understand folds, and had better not.
    check_request("GET / HTTP/1.1\r\nHost: h\r\n i\r\n", {.error = errc::http_malformed});
    check_request("GET / HTTP/1.1\r\nHost: h\r\n \r\n", {.error = errc::http_malformed});
}

// Bodies of requests

TEST_CASE("a request's body is as long as its fields say, and where they say nothing there is none") {
    struct row {
        std::string start;  // method and fields
        std::string bytes{};
        std::string body{};
    };
    const row rows[] = {
        // Whatever the method.
        {"GET|"},
        {"POST|"},
        {"PUT|Content-Type: text/plain|Trailer: A|"},
        {"POST|Content-Length: 0|"},
        {"POST|Content-Length: 5|", "hello", "hello"},
        {"GET|Content-Length: 2|", "\r\n", "\r\n"},
        {"DELETE|content-length: 3, 3|Content-Length: 3|", "\0\xFF\n"s, "\0\xFF\n"s},
        {"POST|Transfer-Encoding: chunked|", "0\r\n\r\n"},
        {"PUT|Transfer-Encoding: Chunked|", "5\r\nhello\r\n1;a\r\n\n\r\n0\r\n\r\n", "hello\n"},
        {"GET|Transfer-Encoding: chunked|", "1\r\na\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n", "a"},
    };
    for (const row& each : rows) {
        const std::size_t method_size = each.start.find('|');
        const std::string method = each.start.substr(0, method_size);
        std::string fields;
        for (const char byte : each.start.substr(method_size + 1)) {
            if (byte == '|') fields += "\r\n";
            else fields += byte;
        }
        check_request(method + " / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" + each.bytes,
                      {.head = method + " http://h:80/|Host: h" + each.start.substr(method_size),
                       .body = each.body,
                       .end = ending::told,
                       .persists = true});
    }
    check_request("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
                  {.head = "POST http://:0/|Content-Length: 2|", .body = "hi", .end = ending::told});
}

TEST_CASE("requests follow one another on a connection, in one chunk or in many") {
    const std::string whole =
        "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"
        "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
        "\r\n\r\n\r\n\r\n"  // as many as there may be, and again
        "POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\n\r\n"
        "\r\n\r\n\r\n\r\n"
        "GET /4 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        "PUT /5 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\nb"
        "GET /6 HTTP/1.1\r\nHost: h\r\n\r\n";  // of a client that had said that it sends no more
    for (std::size_t chunk_size = 1; chunk_size <= whole.size(); ++chunk_size) {
        CAPTURE(chunk_size);
        sse::request_reader reader;
        std::string seen;
        std::size_t left = 0;
        for (std::size_t at = 0; at < whole.size(); at += chunk_size) {
            const test::exact_copy chunk(std::string_view(whole).substr(at, chunk_size));
            std::string_view bytes = chunk;
            for (http_part part; (part = reader.next(bytes)) != http_part::none;) {
                if (part == http_part::head) seen += reader.request().url.target + ':';
                if (part == http_part::body) seen += reader.body();
                if (part != http_part::end) continue;
                seen += '.';
                if (!reader.keep_alive()) continue;
                reader.reset();
                CHECK_FALSE(reader.keep_alive());
                CHECK(reader.request().url.target.empty());
                CHECK(reader.body().empty());
            }
            left += bytes.size();
        }
        CHECK(seen == "/1:./2:hi./3:a./4:./5:b.");
        CHECK(left == std::string_view("GET /6 HTTP/1.1\r\nHost: h\r\n\r\n").size());
        CHECK_FALSE(reader.error());
    }
}

TEST_CASE("a client that leaves before a request has not cut it off") {
    struct row {
        std::string bytes;
        errc error = errc::ok;
    };
    const row rows[] = {
        {""},
        {"\r\n"},
        {"\n\r\n\n\n"},
        {"\r", errc::http_cut_off},
        {"\r\n\r", errc::http_cut_off},
        {"G", errc::http_cut_off},
        {"\r\nG", errc::http_cut_off},
    };
    const std::string request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    sse::request_reader reader;
    for (const row& each : rows) {
        for (const cuts& where : {cuts{}, everywhere(each.bytes.size())}) {
            CAPTURE(test::show(each.bytes));
            std::string_view bytes = request;
            CHECK(reader.next(bytes) == http_part::head);
            CHECK(reader.next(bytes) == http_part::end);
            reader.reset();
            const run seen = read(reader, each.bytes, where);
            CHECK(seen.complaint.empty());
            CHECK((seen.result == outcome{.error = each.error}));
            // What has ended gives no more.
            bytes = request;
            CHECK(reader.next(bytes) == http_part::none);
            CHECK(bytes == request);
            reader.reset();
        }
    }
}

// Writing

namespace {

sse::request make_request(std::string method, std::string target, std::string body = {}) {
    return {.method = std::move(method),
            .url = {.scheme = "http", .host = "h", .port = 80, .target = std::move(target)},
            .headers = {{"A", "b"}},
            .body = std::move(body)};
}

/// Into every kind of sink the same is written; into a span that is too small nothing.
template <class Write>
void check_written(Write write, const std::string& expected) {
    std::string text = "before ";
    CHECK_FALSE(write(text));
    CHECK(text == "before " + expected);

    std::ostringstream stream;
    CHECK_FALSE(write(stream));
    CHECK(stream.str() == expected);

    std::string exact(expected.size(), '-');
    std::span<char> room(exact);
    CHECK_FALSE(write(room));
    CHECK(exact == expected);
    CHECK(room.empty());
    if (expected.empty()) return;

    std::string small(expected.size() - 1, '-');
    room = std::span<char>(small);
    CHECK(write(room) == errc::buffer_too_small);
    CHECK(small == std::string(small.size(), '-'));
    CHECK(room.size() == small.size());

    const std::error_code broken = std::make_error_code(std::errc::broken_pipe);
    const auto failing = [&](std::string_view) { return broken; };
    const std::error_code failure = write(failing);
    CHECK(failure == broken);
}

/// It is refused, and nothing written.
template <class Head>
void check_refused(const Head& head, errc expected) {
    const auto write = [](auto& sink, const Head& what) {
        if constexpr (std::is_same_v<Head, sse::request>) return sse::write_request(sink, what);
        else return sse::write_head(sink, what);
    };
    std::string text = "before";
    CHECK(write(text, head) == expected);
    CHECK(text == "before");
    bool called = false;
    auto sink = [&](std::string_view) { called = true; };
    CHECK(write(sink, head) == expected);
    CHECK_FALSE(called);
}

}  // namespace

TEST_CASE("a request is written with Host, its fields, its length where it needs one, and its body") {
    const auto written = [](const sse::request& request, const std::string& expected) {
        check_written([&](auto& sink) { return sse::write_request(sink, request); }, expected);
    };
    sse::request request = make_request("GET", "/a?b");
    written(request, "GET /a?b HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n");
    request.url.port = 8080;
    request.headers.push_back({"C", ""});
    written(request, "GET /a?b HTTP/1.1\r\nHost: h:8080\r\nA: b\r\nC: \r\n\r\n");
    request.url = {.scheme = "https", .host = "[::1]", .port = 443, .target = "/"};
    written(request, "GET / HTTP/1.1\r\nHost: [::1]\r\nA: b\r\nC: \r\n\r\n");

    written(make_request("GET", "/", "ab"),
            "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 2\r\n\r\nab");
    written(make_request("POST", "/"), "POST / HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 0\r\n\r\n");
    written(make_request("PUT", "/"), "PUT / HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 0\r\n\r\n");
    written(make_request("PATCH", "/"), "PATCH / HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 0\r\n\r\n");
    written(make_request("DELETE", "/"), "DELETE / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n");
    written(make_request("OPTIONS", "/"), "OPTIONS / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n");
    const std::string large(5000, 'x');
    written(make_request("POST", "/", large),
            "POST / HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 5000\r\n\r\n" + large);
}

TEST_CASE("a request has one Host, its own rather than that of the URL, and no length but the true one") {
    sse::request request = make_request("POST", "/", "abc");
    request.headers = {{"host", "a"}, {"Transfer-Encoding", "chunked"}, {"B", "c"}, {"content-length", "9"}};
    std::string text;
    CHECK_FALSE(sse::write_request(text, request));
    CHECK(text == "POST / HTTP/1.1\r\nHost: a\r\nB: c\r\nContent-Length: 3\r\n\r\nabc");
}

TEST_CASE("a response's head is written as it is given") {
    const auto written = [](const sse::response& response, const std::string& expected) {
        check_written([&](auto& sink) { return sse::write_head(sink, response); }, expected);
    };
    written({.status = 200, .reason = "OK", .headers = {{"Transfer-Encoding", "chunked"}, {"A", ""}}},
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: \r\n\r\n");
    written({.status = 100}, "HTTP/1.1 100 \r\n\r\n");
    written({.status = 999, .reason = "a \t\xFF"}, "HTTP/1.1 999 a \t\xFF\r\n\r\n");
}

TEST_CASE("a chunk is written with its size, an empty one not at all, and then the last") {
    const auto written = [](std::string_view bytes, const std::string& expected) {
        check_written([&](auto& sink) { return sse::write_chunk(sink, bytes); }, expected);
    };
    written("a", "1\r\na\r\n");
    written("data: 1\n\n\r\n", "b\r\ndata: 1\n\n\r\n\r\n");
    written(std::string(255, 'x'), "ff\r\n" + std::string(255, 'x') + "\r\n");
    written(std::string(4096, 'x'), "1000\r\n" + std::string(4096, 'x') + "\r\n");
    written("", "");
    check_written([](auto& sink) { return sse::write_last_chunk(sink); }, "0\r\n\r\n");
}

TEST_CASE("what would forge a line or a field is refused, and nothing is written") {
    for (const std::string& method : {""s, "GET "s, "G T"s, "GET\r\n"s, "GET\0"s, "G:T"s, "G\x80T"s}) {
        CAPTURE(test::show(method));
        check_refused(make_request(method, "/"), errc::method_invalid);
    }
    for (const std::string& target : {""s, "a"s, "?a"s, "*"s, "http://h/"s, "/ "s, "/a b"s, "/a#b"s,
                                      "/\r\nX: y"s, "/\n"s, "/\t"s, "/\0"s, "/\x7F"s}) {
        CAPTURE(test::show(target));
        check_refused(make_request("GET", target), errc::url_invalid);
    }
    for (const std::string& host : {""s, "h\r\nX: y"s, "h i"s, "h:1"s, "a@b"s, "[::1"s, "h/"s, "h\0"s}) {
        CAPTURE(test::show(host));
        sse::request request = make_request("GET", "/");
        request.url.host = host;
        check_refused(request, errc::url_host_invalid);
    }
    sse::request without_port = make_request("GET", "/");
    without_port.url.port = 0;
    check_refused(without_port, errc::url_port_invalid);

    const auto with_header = [](const std::string& name, const std::string& value, errc expected) {
        CAPTURE(test::show(name));
        CAPTURE(test::show(value));
        sse::request request = make_request("GET", "/");
        request.headers.push_back({name, value});
        request.headers.push_back({"Z", "z"});
        check_refused(request, expected);
        check_refused(sse::response{.status = 200, .reason = "OK", .headers = request.headers}, expected);
    };
    for (const std::string& name : {""s, " A"s, "A "s, "A:"s, "A\r\n"s, "A\0"s, "A\t"s, "\x80"s}) {
        with_header(name, "b", errc::header_name_invalid);
    }
    for (const std::string& value : {"b\r\nX: y"s, "b\n"s, "\r"s, "b\0"s, "\x01"s, "b\x7F"s}) {
        with_header("A", value, errc::header_value_invalid);
        with_header("Host", value, errc::header_value_invalid);  // nor in those that are written apart
        with_header("Content-Length", value, errc::header_value_invalid);
    }
    for (const int status : {0, -1, -200, 1, 99, 1000, 2000}) {
        check_refused(sse::response{.status = status}, errc::http_malformed);
    }
    for (const std::string& reason : {"O\rK"s, "\r\nX: y"s, "\n"s, "\0"s, "\x7F"s}) {
        check_refused(sse::response{.status = 200, .reason = reason}, errc::http_malformed);
    }
}

TEST_CASE("a request that is written and read is the same") {
    std::mt19937 random(9112);
    const auto below = [&](std::size_t bound) { return random() % bound; };
    const auto text = [&](std::string_view alphabet, std::size_t least, std::size_t most) {
        std::string result(least + below(most - least + 1), ' ');
        for (char& byte : result) byte = alphabet[below(alphabet.size())];
        return result;
    };
    for (int i = 0; i < 300; ++i) {
        sse::request request;
        request.method = text("ABCxyz-_!", 1, 8);
        request.url.scheme = "http";
        request.url.host = below(4) == 0 ? "[::" + text("0123abc", 1, 4) + ']' : text("abc019-.", 1, 12);
        request.url.port = static_cast<std::uint16_t>(1 + below(65'535));
        if (below(3) == 0) request.url.port = 80;
        request.url.target = '/' + text("abc/?&=%20:@;\xC3\xA9", 0, 20);
        for (std::size_t count = below(5); count > 0; --count) {
            request.headers.push_back({"X-" + text("Ab1-_", 0, 9), text("ab, \t:;=\"\xFF", 0, 12)});
            std::string& value = request.headers.back().value;
            value = 'v' + value + 'v';  // a recipient trims
        }
        request.body = text("abc\r\n\xFF", 0, below(2) == 0 ? 0 : 30);

        std::string bytes;
        REQUIRE_FALSE(sse::write_request(bytes, request));
        sse::request_reader reader;
        std::string_view rest = bytes;
        CAPTURE(test::show(bytes));
        REQUIRE(reader.next(rest) == http_part::head);
        sse::request expected = request;
        expected.headers.insert(expected.headers.begin(), {"Host", sse::authority(request.url)});
        if (!request.body.empty()) {
            expected.headers.push_back({"Content-Length", std::to_string(request.body.size())});
        }
        CHECK(reader.request().method == expected.method);
        CHECK((reader.request().url == expected.url));
        CHECK((reader.request().headers == expected.headers));
        CHECK(rest == request.body);
        if (!rest.empty()) {
            REQUIRE(reader.next(rest) == http_part::body);
            CHECK(reader.body() == request.body);
        }
        CHECK(reader.next(rest) == http_part::end);

        // What was read is written as it was, but for the body.
        std::string again;
        sse::request same = reader.request();
        same.body = request.body;
        CHECK_FALSE(sse::write_request(again, same));
        CHECK(again == bytes);
    }
}

TEST_CASE("a response that is written in chunks and read is the same") {
    const sse::response head{
        .status = 200,
        .reason = "OK",
        .headers = {{"Content-Type", "text/event-stream"}, {"Transfer-Encoding", "chunked"}}};
    std::string bytes;
    std::string body;
    CHECK_FALSE(sse::write_head(bytes, head));
    for (const std::size_t size : {1u, 0u, 15u, 16u, 17u, 300u}) {
        const std::string content(size, '\n');
        CHECK_FALSE(sse::write_chunk(bytes, content));
        body += content;
    }
    CHECK_FALSE(sse::write_last_chunk(bytes));
    check_response(bytes, {.head = "200 OK|Content-Type: text/event-stream|Transfer-Encoding: chunked|",
                           .body = body,
                           .end = ending::told,
                           .persists = true});
}

// What no one would write by hand

namespace {

class generator {
public:
    explicit generator(unsigned seed) : random_(seed) {}

    std::size_t below(std::size_t bound) { return random_() % bound; }
    bool one_in(std::size_t bound) { return below(bound) == 0; }

    template <class Range>
    std::string pick(const Range& range) {
        return std::string(range[below(std::size(range))]);
    }

    std::string response() {
        std::string text;
        while (one_in(6)) text += "HTTP/1.1 103 x\r\nLink: a\r\n\r\n";
        text += pick(status_lines);
        add_fields(text);
        add_chunks(text);
        return mutated(text);
    }

    std::string request() {
        std::string text;
        while (one_in(6)) text += pick(line_ends);
        text += pick(request_lines);
        if (!one_in(8)) text += "Host: h" + pick(line_ends);
        add_fields(text);
        if (!one_in(3)) add_chunks(text);
        return mutated(text);
    }

    sse::http1_options options() {
        if (one_in(2)) return {};
        return {.max_head_bytes = 20 + below(300), .max_headers = below(8)};
    }

    cuts where(std::size_t size) {
        cuts result(below(12));
        for (std::size_t& cut : result) cut = below(size + 1);
        std::sort(result.begin(), result.end());
        return result;
    }

private:
    void add_fields(std::string& text) {
        for (std::size_t count = below(6); count > 0; --count) text += pick(fields) + pick(line_ends);
        text += pick(line_ends);
    }

    void add_chunks(std::string& text) {
        const std::size_t count = below(5);
        for (std::size_t i = 0; i < count; ++i) {
            constexpr std::string_view hex = "0123456789abcdef";
            const std::size_t size = 1 + below(15);
            (text += hex[size]) += pick(chunk_line_ends);
            text.append(size, 'x') += "\r\n";
        }
        text += '0' + pick(chunk_line_ends);
        if (one_in(3)) add_fields(text);
        else text += pick(line_ends);
    }

    std::string mutated(std::string text) {
        if (one_in(16)) text += std::string(5000, one_in(2) ? 'x' : '\n');
        for (std::size_t count = below(4); count > 0 && !text.empty(); --count) {
            const std::size_t at = below(text.size());
            switch (below(5)) {
                case 0: text[at] = static_cast<char>(below(256)); break;
                case 1: text.erase(at, 1 + below(3)); break;
                case 2: text.insert(at, pick(pieces)); break;
                case 3: text.insert(at, text.substr(below(text.size()), below(200))); break;
                default: text.resize(at); break;
            }
        }
        return text;
    }

    static constexpr std::string_view status_lines[] = {"HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n",
                                                        "HTTP/1.0 200 OK\n", "HTTP/1.1 204\r\n",
                                                        "HTTP/1.1 404 \r\n"};
    static constexpr std::string_view request_lines[] = {"GET / HTTP/1.1\r\n", "POST /a?b HTTP/1.1\n",
                                                         "GET http://a/b HTTP/1.1\r\n", "GET / HTTP/1.0\r\n"};
    static constexpr std::string_view fields[] = {"Transfer-Encoding: chunked",
                                                  "Transfer-Encoding: chunked",
                                                  "Transfer-Encoding: gzip",
                                                  "Content-Length: 5",
                                                  "Content-Length: 40",
                                                  "Content-Length: 5, 5",
                                                  "A: b",
                                                  " folded",
                                                  "Connection: close",
                                                  "Host: i",
                                                  "B: \xFF\t c ",
                                                  "C:"};
    static constexpr std::string_view line_ends[] = {"\r\n", "\r\n", "\r\n", "\n"};
    static constexpr std::string_view chunk_line_ends[] = {"\r\n", "\r\n", ";a=b\r\n", " \r\n", " ;x\r\n"};
    static constexpr std::string_view pieces[] = {
        "\r", "\n", "\r\n", "\r\n\r\n",         " ", "\t",
        ":",  ";",  "0",    "ffffffffffffffff", ",", "HTTP/1.1 100 x\r\n\r\n"};

    std::mt19937 random_;
};

/// \return what is wrong
template <class Reader>
std::string fault_in_random(const std::string& bytes, generator& random) {
    const sse::http1_options options = random.options();
    Reader whole_reader(options);
    const run whole = read(whole_reader, bytes, {});
    if (!whole.complaint.empty()) return whole.complaint + "\nbytes " + test::show(bytes);
    // Heads, trailers and a line, each at most doubled where a string grows, and the fields' own size.
    const std::size_t bound =
        8 * options.max_head_bytes + 8 * options.max_headers * sizeof(sse::header) + 1024;
    if (whole.peak_bytes > bound) return "retained " + std::to_string(whole.peak_bytes);
    for (const cuts& where :
         {everywhere(bytes.size()), random.where(bytes.size()), random.where(bytes.size())}) {
        Reader reader(options);
        if (read(reader, bytes, where).peak_bytes > bound)
            return "retained more than " + std::to_string(bound);
        const std::string text = fault<Reader>(bytes, where, whole.result, options);
        if (!text.empty()) return text;
    }
    return {};
}

}  // namespace

TEST_CASE("whatever comes, it means the same in any chunks, and what is retained is bounded") {
    struct count {
        std::size_t complete = 0;
        std::size_t with_body = 0;
        std::size_t refused = 0;
    };
    const auto check_one = []<class Reader>(Reader reader, const std::string& bytes, generator& random,
                                            count& counted) {
        const std::string text = fault_in_random<Reader>(bytes, random);
        CHECK_MESSAGE(text.empty(), text);
        const outcome seen = read(reader, bytes, {}).result;
        counted.complete += seen.end == ending::told;
        counted.with_body += seen.end == ending::told && !seen.body.empty();
        counted.refused += bool(seen.error);
    };
    count responses;
    count requests;
    for (unsigned seed = 0; seed < 700; ++seed) {
        CAPTURE(seed);
        generator random(seed);
        check_one(sse::response_reader(), random.response(), random, responses);
        check_one(sse::request_reader(), random.request(), random, requests);
    }
    // Else it would not be much of a test.
    for (const count& counted : {responses, requests}) {
        CHECK(counted.complete > 100);
        CHECK(counted.with_body > 20);
        CHECK(counted.refused > 100);
    }
}

// Readers can stand in a struct that is initialised without them.
struct peer {
    int file = -1;
    sse::response_reader responses;
    sse::request_reader requests;
};

TEST_CASE("a reader needs no options") {
    peer it{.file = 1, .responses = {}, .requests = {}};
    std::string_view bytes = "HTTP/1.1 204 \r\n\r\n";
    CHECK(it.responses.next(bytes) == http_part::head);
    bytes = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK(it.requests.next(bytes) == http_part::head);
}
