// URLs and what they resolve to, the media type, the table of statuses, dates, what may stand in a head.
#include <sse/http.hpp>

#include "support/exact_copy.hpp"
#include "support/show.hpp"

#include <sse/http1.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::literals;
using sse::errc;
using sse::milliseconds;
using sse::response_action;
using test::exact_copy;

/// Each of the 256 values of a byte.
constexpr std::array<char, 256> bytes = [] {
    std::array<char, 256> all{};
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(static_cast<unsigned char>(i));
    return all;
}();

constexpr bool is_one_of(char byte, std::string_view set) { return set.find(byte) != std::string_view::npos; }

/// Those that are neither control characters nor outside ASCII.
constexpr bool is_visible(char byte) { return byte > ' ' && byte <= '~'; }

constexpr std::string_view lower = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view digits = "0123456789";

constexpr bool is_alphanumeric(char byte) {
    return is_one_of(byte, lower) || is_one_of(byte, upper) || is_one_of(byte, digits);
}

std::string percent_encoded(char byte) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    const auto value = static_cast<unsigned char>(byte);
    return {'%', hex[value / 16], hex[value % 16]};
}

// Media types

constexpr std::string_view event_streams[] = {
    "text/event-stream",
    "TEXT/EVENT-STREAM",
    "Text/Event-Stream",
    "text/event-stream;",
    "text/event-stream; charset=utf-8",
    "text/event-stream;charset=UTF-8",
    "text/event-stream ; charset=utf-8",
    "text/event-stream\t;\tcharset=utf-8",
    "text/event-stream;charset=windows-1252",
    "text/event-stream; charset=\"a;b\"; x=y",
    "text/event-stream; charset=\"a, text/html\"",
    "text/event-stream; charset=\"a\\\", text/html\"",
    "text/event-stream; charset=\"a, text/html",
    "text/event-stream; charset=\"a\\",
    "text/event-stream;;;",
    "text/event-stream; text/html",
    " text/event-stream",
    "text/event-stream ",
    "\t text/event-stream \t",
    "\r\n text/event-stream \r\n; x",

    // Of several the last one that is a media type.
    "text/html, text/event-stream",
    "text/html;charset=utf-8,text/event-stream;charset=utf-8",
    "text/html; charset=\"a\", text/event-stream",
    "text/html; charset=\"a\\\\\", text/event-stream",
    ",text/event-stream",
    "text/event-stream,",
    "text/event-stream, , \t",
    "text/event-stream, html",
    "text/event-stream, text/",
    "text/event-stream, text/html/x",
    "text/event-stream, text /html",
    "text/event-stream, \"text/html\"",
    "text/html\\, text/event-stream",  // outside of quotes a backslash is nothing special
    "text/event-stream, */*",
    "text/html, text/event-stream, */*; q=1",
};

constexpr std::string_view other_types[] = {
    "",
    " ",
    "\t\r\n",
    ";",
    "; charset=utf-8",
    " ;text/event-stream",
    "/",
    "text",
    "text/",
    "/event-stream",
    "text/plain",
    "text/html; text/event-stream",
    "text/html;charset=text/event-stream",
    "text/x-event-stream",
    "text/event-streams",
    "xtext/event-stream",
    "text/event-stream/x",
    "text/event-stream+json",
    "text/event-stream charset=utf-8",
    "text/event-stream, text/html",
    "text/event-stream; charset=utf-8, text/html",
    "text/event-stream; charset=\"a\", text/html",
    "text/event-stream; charset=\"a\\\\\", text/html",
    "text/event-stream, text/html, */*",
    "text/html, */*",
    "text/html; charset=\"a, text/event-stream\"",
    "text/html; charset=\"a, text/event-stream",
    "text/html; charset=\"a\\\", text/event-stream",
    "text/event,-stream",
    "text/event-stream text/event-stream",
    "text / event-stream",
    "text/ event-stream",
    "text /event-stream",
    "text/event_stream",
    "text/event stream",
    "text/event-stream\v",
    "text/event-stream\f;",
    "\"text/event-stream\"",
    "text/event-stream\0"sv,
    "application/event-stream",
    "application/json",
    "*/*",
};

static_assert(std::all_of(std::begin(event_streams), std::end(event_streams), sse::is_event_stream));
static_assert(std::none_of(std::begin(other_types), std::end(other_types), sse::is_event_stream));
static_assert(sse::media_type == "text/event-stream");

// Statuses

/// The table of what happens, with a status and the right type or another.
response_action by_the_table(int status, bool is_right) {
    const auto is_any_of = [&](std::initializer_list<int> all) {
        return std::find(all.begin(), all.end(), status) != all.end();
    };
    if (status == 200 && is_right) return response_action::open;
    if (status == 204) return response_action::stop;
    if (is_any_of({301, 302, 303, 307, 308})) return response_action::redirect;
    return response_action::fail;
}

static_assert(sse::standard_action(200, "text/event-stream") == response_action::open);
static_assert(sse::standard_action(503, "text/event-stream") == response_action::fail);
static_assert(sse::retrying_action(503, "text/event-stream") == response_action::reconnect);

// Header fields

constexpr std::string_view token_marks = "!#$%&'*+-.^_`|~";

static_assert(!sse::check_header("Last-Event-ID", "7"));
static_assert(sse::check_header("Last Event ID", "7") == errc::header_name_invalid);
static_assert(sse::check_header("Last-Event-ID", "7\n") == errc::header_value_invalid);
static_assert(sse::equal_ignoring_case("Content-Type", "content-tYPE"));
static_assert(!sse::equal_ignoring_case("Content-Type", "Content-Typ"));
static_assert(sse::is_sendable_id("7") && !sse::is_sendable_id(""));

// URLs

sse::url parsed(std::string_view text) {
    const auto url = sse::parse_url(exact_copy(text));
    CAPTURE(test::show(text));
    REQUIRE(url);
    return *url;
}

sse::url resolved(const sse::url& base, std::string_view reference) {
    const auto url = sse::resolve_url(base, exact_copy(reference));
    CAPTURE(test::show(reference));
    REQUIRE(url);
    return *url;
}

/// Why the text is refused.
errc refusal(std::string_view text) {
    const auto url = sse::parse_url(exact_copy(text));
    CAPTURE(test::show(text));
    CHECK_FALSE(url);
    return url.error().code();
}

struct url_row {
    std::string_view text;
    std::string_view scheme;
    std::string_view host;
    std::uint16_t port;
    std::string_view target;
};

constexpr url_row urls[] = {
    {"http://example.org/stream", "http", "example.org", 80, "/stream"},
    {"https://example.org/stream", "https", "example.org", 443, "/stream"},
    {"http://example.org", "http", "example.org", 80, "/"},
    {"http://example.org/", "http", "example.org", 80, "/"},
    {"http://a", "http", "a", 80, "/"},

    {"HTTP://EXAMPLE.ORG/Stream?Q", "http", "example.org", 80, "/Stream?Q"},
    {"hTTpS://Example.Org", "https", "example.org", 443, "/"},

    {"http://a:80/", "http", "a", 80, "/"},
    {"http://a:443/", "http", "a", 443, "/"},
    {"https://a:443/", "https", "a", 443, "/"},
    {"https://a:80/", "https", "a", 80, "/"},
    {"http://a:1", "http", "a", 1, "/"},
    {"http://a:65535?q", "http", "a", 65535, "/?q"},
    {"http://a:08080/", "http", "a", 8080, "/"},
    {"http://a:0000000000000000000000080/", "http", "a", 80, "/"},
    {"http://a:/", "http", "a", 80, "/"},  // RFC 3986, section 3.2.3: an empty port is none
    {"https://a:", "https", "a", 443, "/"},
    {"http://a:8080#f", "http", "a", 8080, "/"},

    {"http://127.0.0.1:8080/", "http", "127.0.0.1", 8080, "/"},
    {"http://[::1]/", "http", "[::1]", 80, "/"},
    {"http://[::]:8080/x", "http", "[::]", 8080, "/x"},
    {"https://[2001:DB8::C0A8:1]", "https", "[2001:db8::c0a8:1]", 443, "/"},
    {"https://[2001:db8:0:0:0:0:0:1]:444?q", "https", "[2001:db8:0:0:0:0:0:1]", 444, "/?q"},
    {"http://[::ffff:192.0.2.1]:/", "http", "[::ffff:192.0.2.1]", 80, "/"},
    {"http://my_host-1.local./", "http", "my_host-1.local.", 80, "/"},
    {"http://xn--bcher-kva.example/", "http", "xn--bcher-kva.example", 80, "/"},

    {"http://a#", "http", "a", 80, "/"},
    {"http://a/b#c", "http", "a", 80, "/b"},
    {"http://a/b?c#d?e", "http", "a", 80, "/b?c"},
    {"http://a#@b:x/?q", "http", "a", 80, "/"},
    {"http://a/#/../b#c", "http", "a", 80, "/"},
    {"http://a/b#\xC3\xA9<>", "http", "a", 80, "/b"},

    {"http://a?", "http", "a", 80, "/?"},
    {"http://a/?", "http", "a", 80, "/?"},
    {"http://a?b", "http", "a", 80, "/?b"},
    {"http://a/b?c=d&e=f", "http", "a", 80, "/b?c=d&e=f"},
    {"http://a/b?c?d/e", "http", "a", 80, "/b?c?d/e"},
    {"http://a?b@c:d", "http", "a", 80, "/?b@c:d"},
    {"http://a/b@c:d", "http", "a", 80, "/b@c:d"},
    {"http://a/?http://b/../c", "http", "a", 80, "/?http://b/../c"},

    {"http://a//", "http", "a", 80, "//"},
    {"http://a//b//c", "http", "a", 80, "//b//c"},
    {"http://a/.", "http", "a", 80, "/"},
    {"http://a/..", "http", "a", 80, "/"},
    {"http://a/./b", "http", "a", 80, "/b"},
    {"http://a/../../b", "http", "a", 80, "/b"},
    {"http://a/b/c/./../../g", "http", "a", 80, "/g"},  // RFC 3986, section 5.2.4
    {"http://a/b/.", "http", "a", 80, "/b/"},
    {"http://a/b/..", "http", "a", 80, "/"},
    {"http://a/b/../", "http", "a", 80, "/"},
    {"http://a/b//../c", "http", "a", 80, "/b/c"},
    {"http://a/b/...", "http", "a", 80, "/b/..."},
    {"http://a/.b/c./..d/e..", "http", "a", 80, "/.b/c./..d/e.."},
    {"http://a/b/..?../c", "http", "a", 80, "/?../c"},

    // A dot is unreserved, and so means the same when it is percent-encoded (RFC 3986, section 6.2.2.2).
    {"http://a/b/%2e/c", "http", "a", 80, "/b/c"},
    {"http://a/b/%2E", "http", "a", 80, "/b/"},
    {"http://a/b/c/.%2e/d", "http", "a", 80, "/b/d"},
    {"http://a/b/c/%2E./d", "http", "a", 80, "/b/d"},
    {"http://a/b/c/%2e%2E/d", "http", "a", 80, "/b/d"},
    {"http://a/b/%2e%2e%2e", "http", "a", 80, "/b/%2e%2e%2e"},

    {"http://a/%41%2f%2F%c3%A9?%26%3f#%23", "http", "a", 80, "/%41%2f%2F%c3%A9?%26%3f"},
    {"http://a/%00%0d%0A?%7F", "http", "a", 80, "/%00%0d%0A?%7F"},
    {"http://a/100%?%zz", "http", "a", 80, "/100%?%zz"},
    {"http://a/caf\xC3\xA9?\xE2\x82\xAC", "http", "a", 80, "/caf%C3%A9?%E2%82%AC"},
    {"http://a/{b}?{\"c\":1}", "http", "a", 80, "/%7Bb%7D?%7B%22c%22:1%7D"},

    // Spaces: as https://url.spec.whatwg.org/#concept-basic-url-parser does it.
    {"http://a/b c?d  e#f g", "http", "a", 80, "/b%20c?d%20%20e"},
    {"http://a/ ?", "http", "a", 80, "/%20?"},
    {"http://a/b #c", "http", "a", 80, "/b%20"},
    {"http://a? #b", "http", "a", 80, "/?%20"},
    {"http://a/b/.. /. /c", "http", "a", 80, "/b/..%20/.%20/c"},
    {" http://a/b", "http", "a", 80, "/b"},
    {"http://a/b?c  ", "http", "a", 80, "/b?c"},
    {"   http://a ", "http", "a", 80, "/"},
};

struct refused_row {
    std::string_view text;
    errc error;
};

constexpr refused_row refused_urls[] = {
    {"", errc::url_invalid},
    {"stream", errc::url_invalid},
    {"/stream", errc::url_invalid},
    {"//example.org/", errc::url_invalid},
    {"example.org/stream", errc::url_invalid},
    {"?q", errc::url_invalid},
    {"#http://a/", errc::url_invalid},
    {":", errc::url_invalid},
    {"://a/", errc::url_invalid},
    {"1http://a/", errc::url_invalid},
    {"-http://a/", errc::url_invalid},
    {"ht_tp://a/", errc::url_invalid},
    {"http", errc::url_invalid},
    {"http:", errc::url_invalid},
    {"http:/", errc::url_invalid},
    {"http:/a", errc::url_invalid},
    {"http:a", errc::url_invalid},
    {"http:?//a", errc::url_invalid},
    {"http:#//a", errc::url_invalid},
    {" ", errc::url_invalid},
    {"ht tp://a/", errc::url_invalid},
    {"http ://a/", errc::url_invalid},
    {"http: //a/", errc::url_invalid},
    {"http:/ /a/", errc::url_invalid},
    {"\thttp://a/", errc::url_invalid},
    {"http://a/\n", errc::url_invalid},
    {"http:\\\\a\\b", errc::url_invalid},
    {"http://a/b\\c", errc::url_invalid},
    {"http://a/\r\nb: c", errc::url_invalid},

    {"ftp://a/", errc::url_scheme_unsupported},
    {"ws://a/", errc::url_scheme_unsupported},
    {"httpss://a/", errc::url_scheme_unsupported},
    {"htt://a/", errc::url_scheme_unsupported},
    {"file:///etc/passwd", errc::url_scheme_unsupported},
    {"data:text/event-stream,data:x", errc::url_scheme_unsupported},
    {"http+unix://a/", errc::url_scheme_unsupported},
    {"a1+-.:b", errc::url_scheme_unsupported},
    {"localhost:8080/stream", errc::url_scheme_unsupported},

    {"http://user@a/", errc::url_has_credentials},
    {"http://user:password@a/", errc::url_has_credentials},
    {"http://@a/", errc::url_has_credentials},
    {"http://:@a/", errc::url_has_credentials},
    {"http://a:80@b/", errc::url_has_credentials},
    {"http://a@[::1]/", errc::url_has_credentials},
    {"http://a@", errc::url_has_credentials},

    {"http://", errc::url_host_invalid},
    {"http:///", errc::url_host_invalid},
    {"http:///a", errc::url_host_invalid},
    {"http://?a", errc::url_host_invalid},
    {"http://#a", errc::url_host_invalid},
    {"http://:80/", errc::url_host_invalid},
    {"http://a b/", errc::url_host_invalid},
    {"http:// a/", errc::url_host_invalid},
    {"http://a /", errc::url_host_invalid},
    {"http://a :80/", errc::url_host_invalid},
    {"http://[::1 ]/", errc::url_host_invalid},
    {"http://%61/", errc::url_host_invalid},
    {"http://a%00b/", errc::url_host_invalid},
    {"http://b\xC3\xBC"
     "cher.example/",
     errc::url_host_invalid},
    {"http://a,b/", errc::url_host_invalid},
    {"http://::1/", errc::url_host_invalid},
    {"http://[", errc::url_host_invalid},
    {"http://[/", errc::url_host_invalid},
    {"http://]/", errc::url_host_invalid},
    {"http://[]/", errc::url_host_invalid},
    {"http://[:]/", errc::url_host_invalid},
    {"http://[::1/", errc::url_host_invalid},
    {"http://[::1:80/", errc::url_host_invalid},
    {"http://[1234]/", errc::url_host_invalid},
    {"http://[127.0.0.1]/", errc::url_host_invalid},
    {"http://[::g]/", errc::url_host_invalid},
    {"http://[fe80::1%25eth0]/", errc::url_host_invalid},
    {"http://[v1.a:b]/", errc::url_host_invalid},
    {"http://[[::1]]/", errc::url_host_invalid},
    {"http://a[::1]/", errc::url_host_invalid},
    {"http://a]/", errc::url_host_invalid},

    {"http://a:0/", errc::url_port_invalid},
    {"http://a:000/", errc::url_port_invalid},
    {"http://a:65536/", errc::url_port_invalid},
    {"http://a:65616/", errc::url_port_invalid},  // 80, were it to wrap
    {"http://a:4294967376/", errc::url_port_invalid},
    {"http://a:18446744073709551696/", errc::url_port_invalid},
    {"http://a:x/", errc::url_port_invalid},
    {"http://a:80x/", errc::url_port_invalid},
    {"http://a: 80/", errc::url_port_invalid},
    {"http://a:80 /", errc::url_port_invalid},
    {"http://a:8 0/", errc::url_port_invalid},
    {"http://a:+80/", errc::url_port_invalid},
    {"http://a:-80/", errc::url_port_invalid},
    {"http://a:0x50/", errc::url_port_invalid},
    {"http://a:80.0/", errc::url_port_invalid},
    {"http://a::80/", errc::url_port_invalid},
    {"http://a:80:80/", errc::url_port_invalid},
    {"http://[::1]:x/", errc::url_port_invalid},
    {"http://[::1]::80/", errc::url_port_invalid},
};

// References

struct reference_row {
    std::string_view reference;
    std::string_view resolved;
};

// RFC 3986, sections 5.4.1 and 5.4.2, against this base. A fragment is never sent, and an empty path is sent
// as a slash (RFC 9112, section 3.2.1). Three are among the refused: "g:h", "http:g" and the empty reference.
constexpr std::string_view rfc_base = "http://a/b/c/d;p?q";
constexpr reference_row rfc_references[] = {
    {"g", "http://a/b/c/g"},
    {"./g", "http://a/b/c/g"},
    {"g/", "http://a/b/c/g/"},
    {"/g", "http://a/g"},
    {"//g", "http://g/"},
    {"?y", "http://a/b/c/d;p?y"},
    {"g?y", "http://a/b/c/g?y"},
    {"#s", "http://a/b/c/d;p?q"},
    {"g#s", "http://a/b/c/g"},
    {"g?y#s", "http://a/b/c/g?y"},
    {";x", "http://a/b/c/;x"},
    {"g;x", "http://a/b/c/g;x"},
    {"g;x?y#s", "http://a/b/c/g;x?y"},
    {".", "http://a/b/c/"},
    {"./", "http://a/b/c/"},
    {"..", "http://a/b/"},
    {"../", "http://a/b/"},
    {"../g", "http://a/b/g"},
    {"../..", "http://a/"},
    {"../../", "http://a/"},
    {"../../g", "http://a/g"},

    {"../../../g", "http://a/g"},
    {"../../../../g", "http://a/g"},
    {"/./g", "http://a/g"},
    {"/../g", "http://a/g"},
    {"g.", "http://a/b/c/g."},
    {".g", "http://a/b/c/.g"},
    {"g..", "http://a/b/c/g.."},
    {"..g", "http://a/b/c/..g"},
    {"./../g", "http://a/b/g"},
    {"./g/.", "http://a/b/c/g/"},
    {"g/./h", "http://a/b/c/g/h"},
    {"g/../h", "http://a/b/c/h"},
    {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
    {"g;x=1/../y", "http://a/b/c/y"},
    {"g?y/./x", "http://a/b/c/g?y/./x"},
    {"g?y/../x", "http://a/b/c/g?y/../x"},
    {"g#s/./x", "http://a/b/c/g"},
    {"g#s/../x", "http://a/b/c/g"},
};

struct redirect_row {
    std::string_view base;
    std::string_view location;
    std::string_view resolved;
};

constexpr redirect_row redirects[] = {
    {"http://a/b", "//other/x", "http://other/x"},
    {"https://a/b", "//other/x", "https://other/x"},
    {"https://a:8443/b", "//other", "https://other/"},  // another authority: another port
    {"http://a:8080/b", "//other:81/x", "http://other:81/x"},
    {"http://a/b", "//[::1]:81?q", "http://[::1]:81/?q"},
    {"http://a/b", "//OTHER", "http://other/"},
    {"http://a:8080/b?c", "https://other/x?y#z", "https://other/x?y"},
    {"https://a/b", "http://a/b", "http://a/b"},
    {"https://a/b", "HTTP://A:80/b", "http://a/b"},
    {"http://a:8080/b/c?d", "/x", "http://a:8080/x"},
    {"http://a:8080/b/c?d", "x", "http://a:8080/b/x"},
    {"https://[2001:db8::1]:8443/b/c?d", "../x", "https://[2001:db8::1]:8443/x"},
    {"https://[2001:db8::1]/b/c?d", "x", "https://[2001:db8::1]/b/x"},
    {"http://a", "x", "http://a/x"},
    {"http://a", "?x", "http://a/?x"},
    {"http://a?q", "x", "http://a/x"},
    {"http://a?q", "#f", "http://a/?q"},
    {"http://a/b?q", "#f", "http://a/b?q"},
    {"http://a/b?q", "#", "http://a/b?q"},
    {"http://a/b?q", "?", "http://a/b?"},
    {"http://a/b?c/d", "x", "http://a/x"},  // the slash of a query parts no path
    {"http://a/b?c/d", "?e/f", "http://a/b?e/f"},
    {"http://a/b/c", "./x:y", "http://a/b/x:y"},
    {"http://a/b/c", "1:2", "http://a/b/1:2"},
    {"http://a/b/c", "/x:y", "http://a/x:y"},
    {"http://a/b/c", "x/y:z", "http://a/b/x/y:z"},
    {"http://a/b/c", "x?http://d/", "http://a/b/x?http://d/"},
    {"http://a/b/c", "@x", "http://a/b/@x"},
    {"http://a/b/c", ";:80@x", "http://a/b/;:80@x"},
    {"http://a/b/c", "\xC3\xA9?\xC3\xA9", "http://a/b/%C3%A9?%C3%A9"},
    {"http://a/b/c", "%2e%2e/x", "http://a/x"},
    {"http://a/b/c", "/.//x", "http://a//x"},  // a path, no authority
    {"http://a//b/c", "x", "http://a//b/x"},
    {"http://a//b", "#f", "http://a//b"},
    {"http://a/b/c", "x y?z w#v u", "http://a/b/x%20y?z%20w"},
    {"http://a/b/c", "/x y", "http://a/x%20y"},
    {"http://a/b/c", "https://d/x y", "https://d/x%20y"},
    {"http://a/b/c", "x y:z", "http://a/b/x%20y:z"},
    {"http://a/b/c", "  ../x ", "http://a/x"},
    {"http://a/b/c", " //d/x ", "http://d/x"},
    {"http://a/b/c", " https://d/x ", "https://d/x"},
};

constexpr refused_row refused_references[] = {
    {"", errc::url_invalid},
    {" ", errc::url_invalid},
    {"http:g", errc::url_invalid},
    {"http:", errc::url_invalid},
    {"https:/x", errc::url_invalid},
    {"/\\other/x", errc::url_invalid},
    {"\\\\other\\x", errc::url_invalid},
    {"x\n", errc::url_invalid},
    {"g:h", errc::url_scheme_unsupported},
    {"x:y/..", errc::url_scheme_unsupported},
    {"file:///etc/passwd", errc::url_scheme_unsupported},
    {"javascript:0", errc::url_scheme_unsupported},
    {"ftp://other/", errc::url_scheme_unsupported},
    {"//user@other/", errc::url_has_credentials},
    {"https://user:password@other/", errc::url_has_credentials},
    {"//", errc::url_host_invalid},
    {"///", errc::url_host_invalid},
    {"///x", errc::url_host_invalid},
    {"//:80", errc::url_host_invalid},
    {"//other host/", errc::url_host_invalid},
    {"// other/", errc::url_host_invalid},
    {"https://", errc::url_host_invalid},
    {"//other:0", errc::url_port_invalid},
    {"http://other:65536/", errc::url_port_invalid},
};

// RFC 3986 word for word, to hold against what is written for speed and brevity

/// RFC 3986, section 5.2.4.
std::string remove_dot_segments(std::string input) {
    std::string output;
    const auto drop_segment = [&] {
        const std::size_t slash = output.rfind('/');
        output.erase(slash == std::string::npos ? 0 : slash);
    };
    while (!input.empty()) {
        if (input.starts_with("../")) input.erase(0, 3);
        else if (input.starts_with("./")) input.erase(0, 2);
        else if (input.starts_with("/./")) input.replace(0, 3, "/");
        else if (input == "/.") input = "/";
        else if (input == "." || input == "..") input.clear();
        else if (input.starts_with("/../") || input == "/..") {
            input.replace(0, 4, "/");
            drop_segment();
        } else {
            const std::size_t end = std::min(input.find('/', 1), input.size());
            output += input.substr(0, end);
            input.erase(0, end);
        }
    }
    return output;
}

/// RFC 3986, section 5.2.2, for a base with an authority and a path, and a reference without an authority.
std::string resolved_target(const std::string& base, std::string reference) {
    reference.erase(std::min(reference.find('#'), reference.size()));
    const std::string path = reference.substr(0, reference.find('?'));
    const std::string query = reference.substr(path.size());
    const std::string base_path = base.substr(0, base.find('?'));
    if (path.empty()) return base_path + (query.empty() ? base.substr(base_path.size()) : query);
    if (path.starts_with('/')) return remove_dot_segments(path) + query;
    return remove_dot_segments(base_path.substr(0, base_path.rfind('/') + 1) + path) + query;
}

/// Calls `use` with every text of up to so many of these characters.
template <class Use>
void for_each_text(std::string_view alphabet, std::size_t max_size, Use use, std::string text = {}) {
    use(text);
    if (text.size() == max_size) return;
    for (const char byte : alphabet) for_each_text(alphabet, max_size, use, text + byte);
}

class generator {
public:
    explicit generator(unsigned seed) : random_(seed) {}

    std::size_t below(std::size_t bound) { return random_() % bound; }

    template <std::size_t Size>
    std::string_view one_of(const std::string_view (&all)[Size]) {
        return all[below(Size)];
    }

    std::string in_any_case(std::string text) {
        for (char& byte : text) {
            const std::size_t letter = lower.find(byte);
            if (letter != std::string_view::npos && below(3) == 0) byte = upper[letter];
        }
        return text;
    }

    /// A few of these, in a row.
    template <std::size_t Size>
    std::string some_of(const std::string_view (&all)[Size], std::size_t most) {
        std::string text;
        for (std::size_t left = below(most + 1); left > 0; --left) text += one_of(all);
        return text;
    }

private:
    std::mt19937 random_;
};

constexpr std::string_view random_hosts[] = {
    "a", "example.org", "127.0.0.1", "[::1]", "[2001:db8::a:1]", "x_y-z.", "localhost", "xn--a-b.c",
};
constexpr std::string_view random_pieces[] = {
    "/",   "/", "/", "/..",  "/.", "/%2e%2E",  "/.%2e/", "a",  "Bc", ".",   "..",   "%", "%2f",
    "%C3", ":", "@", ";p=1", "~",  "\xC3\xA9", "\xFF",   "{}", "\"", "<|>", "[^`]", " "};

// Dates

struct date_row {
    std::string_view date;
    std::int64_t seconds;  // of Python's calendar.timegm
};

constexpr date_row dates[] = {
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},  // RFC 9110, section 5.6.7: the same in three forms
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},

    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Thu, 01 Jan 1970 00:00:01 GMT", 1},
    {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
    {"Mon, 01 Jan 0001 00:00:00 GMT", -62135596800},
    {"Mon, 01 Jan 1601 00:00:00 GMT", -11644473600},
    {"Fri, 31 Dec 1999 23:59:59 GMT", 946684799},
    {"Sat, 01 Jan 2000 00:00:00 GMT", 946684800},
    {"Mon, 28 Feb 2000 23:59:59 GMT", 951782399},
    {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
    {"Tue, 29 Feb 2000 23:59:59 GMT", 951868799},
    {"Wed, 01 Mar 2000 00:00:00 GMT", 951868800},
    {"Tue, 28 Feb 2023 23:59:59 GMT", 1677628799},
    {"Wed, 01 Mar 2023 00:00:00 GMT", 1677628800},
    {"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000},
    {"Fri, 01 Mar 2024 00:00:00 GMT", 1709251200},
    {"Thu, 31 Dec 2026 23:59:59 GMT", 1798761599},
    {"Fri, 01 Jan 2027 00:00:00 GMT", 1798761600},
    {"Tue, 19 Jan 2038 03:14:07 GMT", 2147483647},
    {"Tue, 19 Jan 2038 03:14:08 GMT", 2147483648},
    {"Sun, 28 Feb 2100 23:59:59 GMT", 4107542399},
    {"Mon, 01 Mar 2100 00:00:00 GMT", 4107542400},
    {"Tue, 29 Feb 2400 00:00:00 GMT", 13574563200},
    {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},  // a leap second, which is no second of this count

    // Two digits of a year: none of these is 50 years ahead.
    {"Saturday, 01-Jan-77 00:00:00 GMT", 220924800},
    {"Friday, 31-Dec-99 23:59:59 GMT", 946684799},
    {"Saturday, 01-Jan-00 00:00:00 GMT", 946684800},
    {"Thursday, 29-Feb-24 12:00:00 GMT", 1709208000},
    {"Tuesday, 31-Dec-69 23:59:59 GMT", 3155759999},

    {"Thu Jan  1 00:00:00 1970", 0},
    {"Fri Dec 31 23:59:59 1999", 946684799},
    {"Tue Feb 29 00:00:00 2000", 951782400},
};

constexpr std::string_view no_dates[] = {
    "",
    " ",
    ",",
    "GMT",
    "tomorrow",
    "0",
    "784111777",
    "1994-11-06T08:49:37Z",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 gmt",
    "Sun, 06 Nov 1994 08:49:37 +0000",
    "Sun, 06 Nov 1994 08:49:37GMT",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 8:49:37 GMT",
    "Sun, 06 Nov 1994 08:49 GMT",
    "Sun, 06 Nov 19940 08:49:37 GMT",
    "Sun, 06 November 1994 08:49:37 GMT",
    "Sun,  06 Nov 1994 08:49:37 GMT",
    "06 Nov 1994 08:49:37 GMT",
    "Sun, 06-Nov-1994 08:49:37 GMT",
    "Sunday, 06 Nov 94 08:49:37 GMT",
    "Sunday, 06-Nov-994 08:49:37 GMT",
    "Sun 06 Nov 1994 08:49:37 GMT",
    "Sun Nov   6 08:49:37 1994",
    "Sun Nov  06 08:49:37 1994",
    "Sunday, 6-Nov-94 08:49:37 GMT",
    "Sun Nov 6 08:49:37 1994",
    "Sun Nov  6 08:49:37 94",
    "Sun Nov  6 08:49:37 1994 GMT",

    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 31 Nov 1994 08:49:37 GMT",
    "Sun, 32 Dec 1994 08:49:37 GMT",
    "Sun, 99 Dec 1994 08:49:37 GMT",
    "Sun, 30 Feb 2024 08:49:37 GMT",
    "Sun, 29 Feb 2023 08:49:37 GMT",
    "Sun, 29 Feb 1900 08:49:37 GMT",
    "Sun, 29 Feb 2100 08:49:37 GMT",
    "Sunday, 29-Feb-23 08:49:37 GMT",
    "Sun Feb 29 08:49:37 2023",
    "Sun Nov  0 08:49:37 1994",
    "Sun Nov 00 08:49:37 1994",
    "Sun Nov 31 08:49:37 1994",

    "Sun, 06 nov 1994 08:49:37 GMT",
    "Sun, 06 NOV 1994 08:49:37 GMT",
    "Sun, 06 Nob 1994 08:49:37 GMT",
    "Sun, 06 ovD 1994 08:49:37 GMT",
    "Sun, 06 anF 1994 08:49:37 GMT",
    "Sun, 06 11  1994 08:49:37 GMT",
    "Sun, 06     1994 08:49:37 GMT",

    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 99:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:00 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sunday, 06-Nov-94 24:00:00 GMT",
    "Sun Nov  6 24:00:00 1994",
    "Sun Nov  6 08:60:37 1994",
    "Sun Nov  6 08:49:61 1994",
};

static_assert(std::all_of(std::begin(dates), std::end(dates), [](const date_row& each) {
    return sse::parse_http_date(each.date) == each.seconds;
}));
static_assert(std::none_of(std::begin(no_dates), std::end(no_dates),
                           [](std::string_view each) { return sse::parse_http_date(each).has_value(); }));

std::string padded(int number, std::size_t width, char with = '0') {
    const std::string text = std::to_string(number);
    return std::string(width - text.size(), with) + text;
}

// Retry-After

struct retry_row {
    std::string name;
    sse::headers headers;
    std::optional<milliseconds> pause;
};

constexpr std::string_view noon = "Sun, 06 Nov 1994 12:00:00 GMT";

sse::header date(std::string_view value) { return {"Date", std::string(value)}; }
sse::header after(std::string_view value) { return {"Retry-After", std::string(value)}; }

const retry_row retries[] = {
    {"nothing asked", {}, {}},
    {"nothing asked, but dated", {date(noon)}, {}},
    {"at once", {after("0")}, milliseconds(0)},
    {"a second", {after("1")}, milliseconds(1000)},
    {"two minutes", {after("120")}, milliseconds(120'000)},
    {"leading zeros", {after("000000000000000000000000000120")}, milliseconds(120'000)},
    {"the last seconds that fit", {after("9223372036854775")}, milliseconds(9'223'372'036'854'775'000)},
    {"one more saturates", {after("9223372036854776")}, milliseconds::max()},
    {"2^63 - 1", {after("9223372036854775807")}, milliseconds::max()},
    {"2^63", {after("9223372036854775808")}, milliseconds::max()},
    {"2^64 and a second, which would wrap", {after("18446744073709551617")}, milliseconds::max()},
    {"no bound on the digits", {after(std::string(100, '9'))}, milliseconds::max()},
    {"seconds need no Date", {date("garbage"), after("5")}, milliseconds(5000)},
    {"the field's name in any case", {{"retry-AFTER", "5"}}, milliseconds(5000)},

    {"a date", {date(noon), after("Sun, 06 Nov 1994 12:00:30 GMT")}, milliseconds(30'000)},
    {"whatever comes first", {after("Sun, 06 Nov 1994 12:00:30 GMT"), date(noon)}, milliseconds(30'000)},
    {"in the first form of old", {date(noon), after("Sunday, 06-Nov-94 12:00:30 GMT")}, milliseconds(30'000)},
    {"in the second", {date(noon), after("Sun Nov  6 12:00:30 1994")}, milliseconds(30'000)},
    {"both of old",
     {date("Sun Nov  6 12:00:00 1994"), after("Sunday, 06-Nov-94 13:00:00 GMT")},
     milliseconds(3'600'000)},
    {"past midnight of a year's end",
     {date("Fri, 31 Dec 1999 23:59:59 GMT"), after("Sat, 01 Jan 2000 00:00:01 GMT")},
     milliseconds(2000)},
    {"a date far away",
     {date("Thu, 01 Jan 1970 00:00:00 GMT"), after("Fri, 31 Dec 9999 23:59:59 GMT")},
     milliseconds(253'402'300'799'000)},
    {"the same date", {date(noon), after(noon)}, milliseconds(0)},
    {"a date a second ago", {date(noon), after("Sun, 06 Nov 1994 11:59:59 GMT")}, milliseconds(0)},
    {"a date long ago", {date(noon), after("Thu, 01 Jan 1970 00:00:00 GMT")}, milliseconds(0)},
    {"a date, but when is now", {after(noon)}, {}},
    {"a date, but now is garbage", {date("now"), after(noon)}, {}},
    {"a date, but now is empty", {date(""), after(noon)}, {}},
    {"Date in seconds", {date("5"), after(noon)}, {}},

    {"empty", {date(noon), after("")}, {}},
    {"below zero", {date(noon), after("-1")}, {}},
    {"a sign", {date(noon), after("+1")}, {}},
    {"a fraction", {date(noon), after("1.5")}, {}},
    {"a unit", {date(noon), after("1s")}, {}},
    {"hexadecimal", {date(noon), after("0x10")}, {}},
    {"exponent", {date(noon), after("1e3")}, {}},
    {"a space within", {date(noon), after("1 2")}, {}},
    {"two at once", {date(noon), after("1, 2")}, {}},
    {"digits that are not ASCII", {date(noon), after("\xD9\xA1")}, {}},
    {"words", {date(noon), after("soon")}, {}},
    {"a date that is none", {date(noon), after("Sun, 31 Nov 1994 12:00:30 GMT")}, {}},
};

}  // namespace

TEST_CASE("a Content-Type is an event stream's if its essence is, whatever its case and its parameters") {
    for (const std::string_view type : event_streams) {
        CAPTURE(test::show(type));
        CHECK(sse::is_event_stream(exact_copy(type)));
    }
    for (const std::string_view type : other_types) {
        CAPTURE(test::show(type));
        CHECK_FALSE(sse::is_event_stream(exact_copy(type)));
    }
}

TEST_CASE("no part of the media type will do, and nothing but space, parameters and a comma beside it") {
    const std::string type(sse::media_type);
    for (std::size_t i = 0; i < type.size(); ++i) {
        CHECK_FALSE(sse::is_event_stream(exact_copy(type.substr(0, i))));
        CHECK_FALSE(sse::is_event_stream(exact_copy(type.substr(i + 1))));
        CHECK_FALSE(sse::is_event_stream(exact_copy(std::string(type).erase(i, 1))));
        for (const char byte : bytes) {
            CAPTURE(i);
            CAPTURE(static_cast<int>(byte));
            std::string other = type;
            other[i] = byte;
            const std::size_t letter = lower.find(type[i]);
            const bool is_same = byte == type[i] || (letter < lower.size() && byte == upper[letter]);
            CHECK(sse::is_event_stream(exact_copy(other)) == is_same);
        }
    }
    for (const char byte : bytes) {
        CAPTURE(static_cast<int>(byte));
        CHECK(sse::is_event_stream(exact_copy(type + byte)) == is_one_of(byte, "; \t\r\n,"));
        CHECK(sse::is_event_stream(exact_copy(byte + type)) == is_one_of(byte, " \t\r\n,"));
        CHECK(sse::is_event_stream(exact_copy(type + ';' + byte)));
    }
}

TEST_CASE("the standard's table: what a client does about each status") {
    for (int status = -1; status < 1000; ++status) {
        CAPTURE(status);
        for (const std::string_view type : event_streams) {
            CHECK(sse::standard_action(status, type) == by_the_table(status, true));
        }
        for (const std::string_view type : other_types) {
            CHECK(sse::standard_action(status, type) == by_the_table(status, false));
        }
    }
}

TEST_CASE("the retrying table differs where a server is overloaded or restarting, and nowhere else") {
    for (int status = -1; status < 1000; ++status) {
        CAPTURE(status);
        const bool is_passing =
            status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
        for (const bool is_right : {true, false}) {
            const std::string_view type = is_right ? "text/event-stream" : "text/html";
            const auto expected = is_passing ? response_action::reconnect : by_the_table(status, is_right);
            CHECK(sse::retrying_action(status, type) == expected);
        }
        CHECK(sse::retrying_action(status, "") ==
              (is_passing ? response_action::reconnect : by_the_table(status, false)));
    }
}

TEST_CASE("names are the same but for the case of ASCII letters, and of nothing else") {
    for (const char left : bytes) {
        for (const char right : bytes) {
            const std::size_t letter = std::min(lower.find(left), upper.find(left));
            const bool is_same = left == right || (letter < lower.size() &&
                                                   (right == lower[letter] || right == upper[letter]));
            if (sse::equal_ignoring_case({&left, 1}, {&right, 1}) == is_same) continue;
            CAPTURE(static_cast<int>(left));
            CAPTURE(static_cast<int>(right));
            FAIL_CHECK("expected " << is_same);
        }
    }
    CHECK(sse::equal_ignoring_case("", ""));
    CHECK(sse::equal_ignoring_case(lower, upper));
    CHECK_FALSE(sse::equal_ignoring_case("", "a"));
    CHECK_FALSE(sse::equal_ignoring_case("a", ""));
    CHECK_FALSE(sse::equal_ignoring_case("ab", "a"));
    CHECK_FALSE(sse::equal_ignoring_case("aB", "cb"));
    CHECK_FALSE(sse::equal_ignoring_case("aB", "ac"));
    CHECK_FALSE(sse::equal_ignoring_case("\xC3\x89", "\xC3\xA9"));  // É, é
}

TEST_CASE("a field is found by its name in any case, and of several the last") {
    const sse::headers fields{{"Content-Type", "text/html"}, {"X-A", "1"}, {"x-a", "2"}, {"X-Empty", ""}};
    CHECK(sse::find_header(fields, "content-type") == "text/html");
    CHECK(sse::find_header(fields, "CONTENT-TYPE") == "text/html");
    CHECK(sse::find_header(fields, "X-A") == "2");
    CHECK(sse::find_header(fields, "x-a") == "2");
    CHECK(sse::find_header(fields, "X-Empty") == "");
    CHECK(sse::find_header(fields, "X-Empty").has_value());
    for (const std::string_view absent : {"", "Content", "Content-Type ", "ontent-Type", "X", "X-B"}) {
        CAPTURE(absent);
        CHECK_FALSE(sse::find_header(fields, absent));
    }
    CHECK_FALSE(sse::find_header({}, "Content-Type"));
    CHECK_FALSE(sse::find_header({}, ""));

    const sse::headers& same = fields;
    CHECK(sse::find_header(same, "X-A")->data() == fields[2].value.data());  // a view, no copy
}

TEST_CASE("a field's name is a token: each byte, at each place") {
    CHECK(sse::check_header("", "") == errc::header_name_invalid);
    for (const char byte : bytes) {
        CAPTURE(static_cast<int>(byte));
        const sse::error expected = is_alphanumeric(byte) || is_one_of(byte, token_marks)
                                        ? sse::error()
                                        : sse::error(errc::header_name_invalid);
        for (const auto& name :
             {std::string{byte}, byte + "X-A"s, std::string{'X', byte, 'A'}, "X-A"s + byte}) {
            CHECK(sse::check_header(exact_copy(name), "") == expected);
            CHECK(sse::check_header(exact_copy(name), "value") == expected);
        }
    }
}

TEST_CASE("a field's value holds no control character but the tab: each byte, at each place") {
    CHECK_FALSE(sse::check_header("X-A", ""));
    for (const char byte : bytes) {
        CAPTURE(static_cast<int>(byte));
        const auto number = static_cast<unsigned char>(byte);
        const bool is_fit = number == '\t' || (number >= 0x20 && number <= 0x7E) || number >= 0x80;
        const sse::error expected = is_fit ? sse::error() : sse::error(errc::header_value_invalid);
        for (const auto& value :
             {std::string{byte}, byte + "ab"s, std::string{'a', byte, 'b'}, "ab"s + byte}) {
            CHECK(sse::check_header("X-A", exact_copy(value)) == expected);
        }
    }
    CHECK(sse::check_header("X-A", "1\r\nX-B: 2") == errc::header_value_invalid);
    CHECK(sse::check_header("X-A: 1\r\nX-B", "2") == errc::header_name_invalid);
    CHECK(sse::check_header(" ", "\n") == errc::header_name_invalid);  // the name comes first
}

TEST_CASE("an ID is sent back if no byte of it is a control character and no end of it a space") {
    for (const char byte : bytes) {
        CAPTURE(static_cast<int>(byte));
        const auto number = static_cast<unsigned char>(byte);
        const bool is_fit = number >= 0x20 && number != 0x7F;
        const bool is_fit_at_ends = is_fit && byte != ' ';
        CHECK(sse::is_sendable_id(exact_copy({&byte, 1})) == is_fit_at_ends);
        CHECK(sse::is_sendable_id(exact_copy(byte + "7"s)) == is_fit_at_ends);
        CHECK(sse::is_sendable_id(exact_copy("7"s + byte)) == is_fit_at_ends);
        CHECK(sse::is_sendable_id(exact_copy("7"s + byte + '7')) == is_fit);
        // What may be sent is what may be the value of a field.
        if (is_fit) CHECK_FALSE(sse::check_header("Last-Event-ID", "7"s + byte + '7'));
    }
    CHECK(sse::is_sendable_id("\xE2\x82\xAC"));
    CHECK(sse::is_sendable_id("a  b"));
    CHECK_FALSE(sse::is_sendable_id("  "));
}

TEST_CASE("an ID is sent back if it is not empty and not too long") {
    CHECK_FALSE(sse::is_sendable_id(""));
    CHECK_FALSE(sse::is_sendable_id("", 0));
    CHECK_FALSE(sse::is_sendable_id("7", 0));
    CHECK(sse::is_sendable_id("7", 1));
    CHECK_FALSE(sse::is_sendable_id("77", 1));
    CHECK(sse::default_max_last_event_id_bytes == 4096);
    CHECK(sse::is_sendable_id(std::string(4095, '7')));
    CHECK(sse::is_sendable_id(std::string(4096, '7')));
    CHECK_FALSE(sse::is_sendable_id(std::string(4097, '7')));
    CHECK(sse::is_sendable_id(std::string(4097, '7'), 4097));
}

TEST_CASE("a URL is split into scheme, host, port and target") {
    for (const url_row& each : urls) {
        CAPTURE(test::show(each.text));
        const sse::url url = parsed(each.text);
        CHECK(url.scheme == each.scheme);
        CHECK(url.host == each.host);
        CHECK(url.port == each.port);
        CHECK(url.target == each.target);
    }
}

TEST_CASE("a URL that is refused is refused for its reason, and the result stays as it was") {
    for (const refused_row& each : refused_urls) {
        CAPTURE(test::show(each.text));
        CHECK(sse::error(refusal(each.text)).message() == sse::error(each.error).message());
    }
    // Neither an address with something behind it nor one with a port: which of them is wrong, who can say.
    CHECK(refusal("http://[::1]x/") != errc::ok);
    CHECK(refusal("http://[::1]8080/") != errc::ok);
    CHECK(refusal("http://[::1][::1]/") != errc::ok);
}

TEST_CASE("a host is of letters, digits, hyphens, dots and low lines: each byte") {
    for (const char byte : bytes) {
        CAPTURE(static_cast<int>(byte));
        const std::string text = "http://x"s + byte + "y/z";
        if (is_alphanumeric(byte) || is_one_of(byte, "-._")) {
            const std::size_t letter = upper.find(byte);
            const char expected = letter == std::string_view::npos ? byte : lower[letter];
            CHECK(parsed(text).host == std::string{'x', expected, 'y'});
        } else if (is_one_of(byte, "/?#")) {
            CHECK(parsed(text).host == "x");
        } else if (byte == ':') {
            CHECK(refusal(text) == errc::url_port_invalid);
        } else if (byte == '@') {
            CHECK(refusal(text) == errc::url_has_credentials);
        } else {
            const auto number = static_cast<unsigned char>(byte);
            const bool is_anywhere_wrong = number < ' ' || number == 0x7F || byte == '\\';
            CHECK(refusal(text) == (is_anywhere_wrong ? errc::url_invalid : errc::url_host_invalid));
        }
    }
}

TEST_CASE("an address in brackets is of hexadecimal digits, colons and dots: each byte") {
    for (const char byte : bytes) {
        CAPTURE(static_cast<int>(byte));
        const std::string text = "http://[::1"s + byte + "2]/";
        if (is_one_of(byte, "0123456789abcdef:.")) {
            CHECK(parsed(text).host == "[::1"s + byte + "2]");
        } else if (is_one_of(byte, "ABCDEF")) {
            CHECK(parsed(text).host == "[::1"s + lower[upper.find(byte)] + "2]");
        } else {
            CHECK(refusal(text) != errc::ok);
        }
    }
}

TEST_CASE("what may not stand in path and query is percent-encoded, and all else is kept: each byte") {
    // RFC 3986, section 3.3: unreserved, sub-delims, ":" and "@"; then "/", and the "%" of what is encoded.
    constexpr std::string_view kept = "-._~!$&'()*+,;=:@/%";
    for (const char byte : bytes) {
        CAPTURE(static_cast<int>(byte));
        const std::string in_path = "http://a/x"s + byte + "y";
        const std::string in_query = "http://a/?x"s + byte + "y";
        const auto number = static_cast<unsigned char>(byte);
        if (number < ' ' || number == 0x7F || byte == '\\') {
            CHECK(refusal(in_path) == errc::url_invalid);
            CHECK(refusal(in_query) == errc::url_invalid);
            continue;
        }
        std::string expected = "x"s;
        if (byte != '#') {
            const bool is_kept = is_alphanumeric(byte) || is_one_of(byte, kept) || byte == '?';
            expected += (is_kept ? std::string{byte} : percent_encoded(byte)) + 'y';
        }
        CHECK(parsed(in_path).target == '/' + expected);
        CHECK(parsed(in_query).target == "/?" + expected);
    }
}

TEST_CASE("no byte of a scheme but letters, digits, plus, minus and dot; and a letter first") {
    for (const char byte : bytes) {
        CAPTURE(static_cast<int>(byte));
        const bool may_follow = is_alphanumeric(byte) || is_one_of(byte, "+-.");
        const bool may_begin = is_one_of(byte, lower) || is_one_of(byte, upper);
        CHECK((refusal("x"s + byte + "x://a/") == errc::url_scheme_unsupported) ==
              (may_follow || byte == ':'));
        const bool is_dropped = byte == ' ';
        CHECK((refusal(byte + "x://a/"s) == errc::url_scheme_unsupported) == (may_begin || is_dropped));
    }
}

TEST_CASE("dot segments are removed as RFC 3986 does it, from every short path") {
    for_each_text("/.a", 8, [](const std::string& path) {
        const std::string expected = remove_dot_segments('/' + path);
        const auto url = sse::parse_url("http://h/" + path);
        if (url && url->target == expected) return;
        CAPTURE(path);
        REQUIRE(url);
        CHECK(url->target == expected);
    });
}

TEST_CASE("references are resolved as RFC 3986 shows") {
    const sse::url base = parsed(rfc_base);
    for (const reference_row& each : rfc_references) {
        CAPTURE(each.reference);
        CHECK(sse::to_string(resolved(base, each.reference)) == each.resolved);
        CHECK(sse::to_string(base) == rfc_base);
    }
}

TEST_CASE("a redirect leads where Location says, seen from the URL that it came from") {
    for (const redirect_row& each : redirects) {
        CAPTURE(each.base);
        CAPTURE(test::show(each.location));
        const sse::url base = parsed(each.base);
        CHECK(sse::to_string(resolved(base, each.location)) == each.resolved);
    }
}

TEST_CASE("a reference that is refused is refused for its reason") {
    for (const std::string_view base_text : {rfc_base, "https://[::1]:8443/x?y"sv}) {
        const sse::url base = parsed(base_text);
        for (const refused_row& each : refused_references) {
            CAPTURE(test::show(each.text));
            const sse::error error = sse::resolve_url(base, exact_copy(each.text)).error();
            CHECK(error.message() == sse::error(each.error).message());
        }
    }
}

TEST_CASE("a URL that a reference leads to has a bound, and is measured as it is sent") {
    const sse::url base = parsed("http://a/b/");
    const std::size_t most = sse::max_url_bytes - "http://a/b/"sv.size();
    const auto error_of = [&](const std::string& reference) {
        const auto url = sse::resolve_url(base, reference);
        if (url) CHECK(to_string(*url).size() <= sse::max_url_bytes);
        return url.error();
    };
    CHECK_FALSE(error_of(std::string(most, 'x')));
    CHECK(error_of(std::string(most + 1, 'x')) == errc::url_invalid);
    CHECK_FALSE(error_of(std::string(most / 3, '\xE9')));
    CHECK(error_of(std::string(most / 3 + 1, '\xE9')) == errc::url_invalid);
    CHECK_FALSE(error_of("x#" + std::string(2 * most, 'x')));  // is not sent
    const std::string host(sse::max_url_bytes - "http:///"sv.size(), 'h');
    for (const std::string scheme : {"", "http:"}) {
        CHECK_FALSE(error_of(scheme + "//" + host));
        CHECK(error_of(scheme + "//h" + host) == errc::url_invalid);
    }
}

TEST_CASE("a reference begins a path where the base has none, and is never taken for more of its host") {
    // No URL that was parsed is such a base, but one put together by hand may be. RFC 3986, section 5.2.3.
    for (const std::string_view base_target : {"", "?q"}) {
        const sse::url base{.scheme = "http", .host = "a", .port = 80, .target = std::string(base_target)};
        for (const std::string_view reference : {"g", "/g", ".b/", "80", "@b/", ";x", "[", "./g", "../g"}) {
            CAPTURE(base_target);
            CAPTURE(reference);
            const sse::url url = resolved(base, reference);
            CHECK(url.host == "a");
            CHECK(url.port == 80);
            CHECK(url.target == resolved_target("/", std::string(reference == "[" ? "%5B" : reference)));
        }
    }
}

TEST_CASE("references are resolved as RFC 3986 does it, each short one against several bases") {
    for (const std::string base_target : {"/", "/x", "/x/", "/x/y?z", "/x/y/z?/w/", "//?", "//x//"}) {
        const sse::url base = parsed("https://h:8080" + base_target);
        REQUIRE(base.target == base_target);
        for_each_text("/.a?#", 5, [&](const std::string& reference) {
            if (reference.empty() || reference.starts_with("//")) return;
            const std::string expected = "https://h:8080" + resolved_target(base_target, reference);
            const auto url = sse::resolve_url(base, reference);
            if (url && sse::to_string(*url) == expected) return;
            CAPTURE(base_target);
            CAPTURE(reference);
            REQUIRE(url);
            CHECK(sse::to_string(*url) == expected);
        });
    }
}

TEST_CASE("authority and origin name the port where it is not the scheme's, and a URL as text is all of it") {
    struct {
        std::string_view text, authority, origin, whole;
    } constexpr rows[] = {
        {"http://A", "a", "http://a", "http://a/"},
        {"http://a:80/b?c#d", "a", "http://a", "http://a/b?c"},
        {"https://a:443/b", "a", "https://a", "https://a/b"},
        {"http://a:443/b", "a:443", "http://a:443", "http://a:443/b"},
        {"https://a:80/b", "a:80", "https://a:80", "https://a:80/b"},
        {"http://a:65535", "a:65535", "http://a:65535", "http://a:65535/"},
        {"HTTPS://[2001:DB8::1]/", "[2001:db8::1]", "https://[2001:db8::1]", "https://[2001:db8::1]/"},
        {"http://[::1]:8080?q", "[::1]:8080", "http://[::1]:8080", "http://[::1]:8080/?q"},
    };
    for (const auto& each : rows) {
        CAPTURE(each.text);
        const sse::url url = parsed(each.text);
        CHECK(sse::authority(url) == each.authority);
        CHECK(sse::origin(url) == each.origin);
        CHECK(sse::to_string(url) == each.whole);
    }
}

TEST_CASE("a date is written as HTTP has it, and read back") {
    // The first is the RFC's own; the others are leap days, the last second of a year, and day 0.
    CHECK(sse::format_http_date(784'111'777) == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(sse::format_http_date(951'782'400) == "Tue, 29 Feb 2000 00:00:00 GMT");
    CHECK(sse::format_http_date(1'709'164'800) == "Thu, 29 Feb 2024 00:00:00 GMT");
    CHECK(sse::format_http_date(946'684'799) == "Fri, 31 Dec 1999 23:59:59 GMT");
    CHECK(sse::format_http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK(sse::format_http_date(-1) == "Wed, 31 Dec 1969 23:59:59 GMT");
    for (std::int64_t seconds = 0; seconds < 4'000'000'000; seconds += 7'654'321) {
        CHECK(sse::parse_http_date(sse::format_http_date(seconds)) == seconds);
    }
}

TEST_CASE("a date has a year of four digits: any number of seconds is held between the first and the last") {
    CHECK(sse::format_http_date(-62'167'219'200) == "Sat, 01 Jan 0000 00:00:00 GMT");
    CHECK(sse::format_http_date(-62'167'219'201) == "Sat, 01 Jan 0000 00:00:00 GMT");
    CHECK(sse::format_http_date(253'402'300'799) == "Fri, 31 Dec 9999 23:59:59 GMT");
    CHECK(sse::format_http_date(253'402'300'800) == "Fri, 31 Dec 9999 23:59:59 GMT");
    CHECK(sse::format_http_date(INT64_MIN) == "Sat, 01 Jan 0000 00:00:00 GMT");
    CHECK(sse::format_http_date(INT64_MAX) == "Fri, 31 Dec 9999 23:59:59 GMT");
    for (std::int64_t seconds = -62'167'219'200; seconds < 253'402'300'800; seconds += 98'765'432'1) {
        CHECK(sse::parse_http_date(sse::format_http_date(seconds)) == seconds);
    }
}

TEST_CASE("what is so by default, in URLs and heads") {
    CHECK(sse::max_url_bytes == 65'536);
    CHECK(sse::default_max_last_event_id_bytes == 4096);
    CHECK(sse::media_type == "text/event-stream");
    CHECK(sse::is_sendable_id(std::string(4096, 'x')));
    CHECK_FALSE(sse::is_sendable_id(std::string(4097, 'x')));
    CHECK(sse::cors_options().origins.empty());
    CHECK_FALSE(sse::cors_options().credentials);
    CHECK(sse::request().method == "GET");
    CHECK(sse::request().headers.empty());
    CHECK(sse::request().body.empty());
    CHECK(sse::request().url == sse::url());
    CHECK(sse::response().status == 0);
    CHECK(sse::response().headers.empty());
}

TEST_CASE("a field takes the place of all those of its name") {
    sse::headers fields{{"A", "1"}, {"b", "2"}, {"a", "3"}};
    sse::set_header(fields, "A", "4");
    CHECK(fields == sse::headers{{"b", "2"}, {"A", "4"}});
    sse::set_header(fields, "C", "");
    CHECK(fields == sse::headers{{"b", "2"}, {"A", "4"}, {"C", ""}});
}

TEST_CASE("a field can be set to what is found in another one, or in the one that it replaces") {
    const std::string token(100, 't');
    const auto set = [&](std::string_view name, std::string_view from) {
        sse::headers fields{{"Authorization", "old"}, {"A", "1"}, {"X-Token", token}, {"B", "2"}};
        sse::set_header(fields, name, *sse::find_header(fields, from));
        return fields;
    };
    CHECK(set("X-Token", "X-Token") ==
          sse::headers{{"Authorization", "old"}, {"A", "1"}, {"B", "2"}, {"X-Token", token}});
    CHECK(set("Authorization", "X-Token") ==
          sse::headers{{"A", "1"}, {"X-Token", token}, {"B", "2"}, {"Authorization", token}});
    CHECK(set("New", "X-Token").back() == sse::header{"New", token});

    // Nor need its name be the caller's.
    sse::headers fields{{"A-rather-long-name-of-a-field", "1"}, {"B", "2"}, {"C", "3"}};
    sse::set_header(fields, fields[0].name, "4");
    CHECK(fields == sse::headers{{"B", "2"}, {"C", "3"}, {"A-rather-long-name-of-a-field", "4"}});
    fields = {{"A", "1"}, {"B", "2"}, {"a", "3"}};
    sse::set_header(fields, fields[0].name, "4");
    CHECK(fields == sse::headers{{"B", "2"}, {"A", "4"}});
}

TEST_CASE("a resolver gets an IPv6 address without its brackets") {
    CHECK(sse::host_name(parsed("http://[2001:DB8::1]:8080/")) == "2001:db8::1");
    CHECK(sse::host_name(parsed("http://127.0.0.1/")) == "127.0.0.1");
    CHECK(sse::host_name(parsed("http://a.example/")) == "a.example");
}

TEST_CASE("URLs are of one origin where scheme, host and port are the same") {
    // Each list is of one origin, which no other list shares.
    const std::vector<std::vector<std::string_view>> origins{
        {"http://a", "http://a/", "HTTP://A:80/b?c#d", "http://a:/x", "http://a:00080"},
        {"https://a", "https://A:443/b", "https://a:?q"},
        {"http://a:443", "http://a:443/b"},
        {"https://a:80"},
        {"http://a:8080", "http://A:08080/x"},
        {"http://b"},
        {"http://a.", "http://A./x"},
        {"http://a.b"},
        {"http://www.a"},
        {"http://[::1]", "http://[::1]:80/x"},
        {"http://[::1]:81"},
        {"http://127.0.0.1"},
        {"http://localhost"},
    };
    for (const auto& left_list : origins) {
        for (const auto& right_list : origins) {
            for (const std::string_view left_text : left_list) {
                for (const std::string_view right_text : right_list) {
                    CAPTURE(left_text);
                    CAPTURE(right_text);
                    const sse::url left = parsed(left_text), right = parsed(right_text);
                    CHECK(sse::same_origin(left, right) == (&left_list == &right_list));
                    CHECK((sse::origin(left) == sse::origin(right)) == (&left_list == &right_list));
                }
            }
        }
    }
}

TEST_CASE("any URL, put together at random, is split again into its parts, and as text gives the same URL") {
    for (unsigned seed = 0; seed < 5000; ++seed) {
        CAPTURE(seed);
        generator random(seed);
        const bool is_secure = random.below(2) == 0;
        const std::string scheme = is_secure ? "https" : "http";
        const std::string host(random.one_of(random_hosts));
        const auto port = static_cast<std::uint16_t>(1 + random.below(random.below(2) == 0 ? 600 : 65535));
        const std::uint16_t default_port = is_secure ? 443 : 80;
        const bool has_port = random.below(2) == 0;
        const std::string fragment = random.below(3) == 0 ? "#" + random.some_of(random_pieces, 3) : "";
        std::string text = random.in_any_case(scheme) + "://" + random.in_any_case(host);
        if (has_port) text += ':' + std::to_string(port);
        const std::string path = random.below(4) > 0 ? '/' + random.some_of(random_pieces, 8) : "";
        const std::string query = random.below(2) == 0 ? '?' + random.some_of(random_pieces, 8) : "";
        CAPTURE(test::show(text + path + query + fragment));

        const sse::url url = parsed(text + path + query + fragment);
        CHECK(url.scheme == scheme);
        CHECK(url.host == host);
        CHECK(url.port == (has_port ? port : default_port));
        CHECK(url.target.starts_with('/'));
        CHECK(std::all_of(url.target.begin(), url.target.end(), is_visible));
        CHECK(url.target.find_first_of("#\"<>[]^`{|}") == std::string::npos);
        const std::string split_path = url.target.substr(0, url.target.find('?'));
        CHECK(remove_dot_segments(split_path) == split_path);
        CHECK((url.target.size() > split_path.size()) == !query.empty());

        const std::string whole = sse::to_string(url);
        CHECK(parsed(whole) == url);
        CHECK(sse::to_string(parsed(whole)) == whole);
        CHECK(resolved(parsed("http://other:81/x?y"), whole) == url);
    }
}

TEST_CASE("any text at all is a URL that stays one, or is refused") {
    constexpr std::string_view pieces[] = {
        "http", "https", ":", ":", "/", "/", "//", "://",   "?",   "#", "[",  "]",    "@",    "%",    ".",
        "..",   "\\",    " ", "a", "B", "0", "80", "65536", "::1", "-", "\n", "\0"sv, "\x7F", "\x80", "\xFF",
    };
    for (unsigned seed = 0; seed < 20'000; ++seed) {
        CAPTURE(seed);
        generator random(seed);
        std::string text = random.below(4) > 0 ? "http://" : "";
        text += random.some_of(pieces, 10);
        CAPTURE(test::show(text));
        if (const auto url = sse::parse_url(exact_copy(text))) CHECK(parsed(sse::to_string(*url)) == *url);
        const sse::url base = parsed("https://h/x/y?z");
        const auto url = sse::resolve_url(base, exact_copy(text));
        if (url) CHECK(parsed(sse::to_string(*url)) == *url);
    }
}

TEST_CASE("a request is a GET unless it says otherwise, and heads are put together by name") {
    const sse::request request;
    CHECK(request.method == "GET");
    CHECK(request.headers.empty());
    CHECK(request.body.empty());
    const sse::request post{
        .method = "POST", .url = parsed("http://a/"), .headers = {{"X-A", "1"}}, .body = "b"};
    CHECK(post.headers == sse::headers{{"X-A", "1"}});
    CHECK(post.headers != sse::headers{{"X-A", "2"}});
    const sse::response response{.status = 200, .reason = "OK", .headers = {}};
    CHECK(response.status == 200);
    CHECK(sse::response().status == 0);
}

TEST_CASE("a date in any of HTTP's three forms is so many seconds after 1970") {
    for (const date_row& each : dates) {
        CAPTURE(each.date);
        CHECK(sse::parse_http_date(exact_copy(each.date)) == each.seconds);
    }
}

TEST_CASE("what is no date is nothing") {
    for (const std::string_view each : no_dates) {
        CAPTURE(each);
        CHECK_FALSE(sse::parse_http_date(exact_copy(each)));
    }
}

TEST_CASE("a date with a part missing, doubled or replaced is nothing, in each of its three forms") {
    for (const std::string_view form : {"Sun, 06 Nov 1994 08:49:37 GMT"sv, "Sunday, 06-Nov-94 08:49:37 GMT"sv,
                                        "Sun Nov  6 08:49:37 1994"sv}) {
        for (std::size_t i = 0; i < form.size(); ++i) {
            CAPTURE(form.substr(0, i));
            CHECK_FALSE(sse::parse_http_date(exact_copy(form.substr(0, i))));
        }
        const std::size_t name_size = form.find_first_of(", ");
        for (const char byte : bytes) {
            CAPTURE(static_cast<int>(byte));
            CHECK_FALSE(sse::parse_http_date(exact_copy(std::string(form) + byte)));
            for (std::size_t i = name_size; i < form.size(); ++i) {
                std::string date(form);
                date[i] = byte;
                CAPTURE(test::show(date));
                const bool was_digit = is_one_of(form[i], digits) || form.substr(i).starts_with(" 6 ");
                const bool may_be_another = was_digit && is_one_of(byte, digits);
                if (byte != form[i] && !may_be_another) CHECK_FALSE(sse::parse_http_date(exact_copy(date)));
            }
        }
    }
}

TEST_CASE("the seconds around the ends of days, months and years are counted without a gap") {
    // A calendar kept by hand, from a Monday that calendar.timegm knows.
    std::int64_t midnight = -11644473600;  // of 1 January 1601
    int weekday = 0;
    constexpr std::string_view days[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                         "Friday", "Saturday", "Sunday"};
    constexpr std::string_view months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    constexpr int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    constexpr std::string_view times[] = {"00:00:00", "00:00:01", "12:34:56", "23:59:59", "23:59:60"};
    constexpr std::int64_t seconds[] = {0, 1, 45'296, 86'399, 86'400};

    for (int year = 1601; year <= 2401; ++year) {
        const bool is_leap = year % 400 == 0 || (year % 4 == 0 && year % 100 != 0);
        for (int month = 0; month < 12; ++month) {
            const int length = lengths[month] + (is_leap && month == 1 ? 1 : 0);
            for (int day = 1; day <= length; ++day) {
                if (day == 1 || day >= 28) {
                    const std::string name(days[weekday]);
                    const std::string abbreviated = name.substr(0, 3);
                    const std::string month_name(months[month]);
                    for (std::size_t i = 0; i < std::size(times); ++i) {
                        const std::string time(times[i]);
                        std::vector<std::string> forms{
                            abbreviated + ", " + padded(day, 2) + ' ' + month_name + ' ' + padded(year, 4) +
                                ' ' + time + " GMT",
                            abbreviated + ' ' + month_name + ' ' + padded(day, 2, ' ') + ' ' + time + ' ' +
                                padded(year, 4)};
                        if (year >= 1977 && year <= 2069) {
                            forms.push_back(name + ", " + padded(day, 2) + '-' + month_name + '-' +
                                            padded(year % 100, 2) + ' ' + time + " GMT");
                        }
                        for (const std::string& date : forms) {
                            const auto parsed = sse::parse_http_date(date);
                            if (parsed == midnight + seconds[i]) continue;
                            CAPTURE(date);
                            CHECK(parsed == midnight + seconds[i]);
                        }
                    }
                }
                midnight += 86'400;
                weekday = (weekday + 1) % 7;
            }
        }
    }
    CHECK(midnight == 13632624000);  // of 1 January 2402
}

TEST_CASE("Retry-After is seconds, or a date held against the response's own") {
    for (const retry_row& each : retries) {
        CAPTURE(each.name);
        const sse::response response{.status = 503, .reason = {}, .headers = each.headers};
        const std::optional<milliseconds> pause = sse::retry_after(response);
        CHECK(pause.has_value() == each.pause.has_value());
        if (pause && each.pause) CHECK(pause->count() == each.pause->count());
    }
}

namespace {

/// Who may read a stream, by the fields of its head that say so; of those there are no others.
struct access {
    std::string_view origin{};
    bool credentials = false;
    bool varies = false;
};

struct cors_row {
    std::string_view name;
    std::vector<std::string> origins;
    bool credentials;
    sse::headers request;
    access expected;
};

const std::string a = "https://a.example";
const std::string b = "https://b.example";

/// \spec https://fetch.spec.whatwg.org/#http-cors-protocol
/// \spec https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches
const cors_row cors_rows[] = {
    // Nobody but the server's own pages: whoever asks gets the same.
    {"none, no Origin", {}, false, {}, {}},
    {"none, Origin", {}, false, {{"Origin", a}}, {}},
    {"none, no Origin, credentials", {}, true, {}, {}},
    {"none, Origin, credentials", {}, true, {{"Origin", a}}, {}},
    {"none, Origin *, credentials", {}, true, {{"Origin", "*"}}, {}},

    // Anybody: whoever asks gets the same.
    {"any, no Origin", {"*"}, false, {}, {"*", false, false}},
    {"any, Origin", {"*"}, false, {{"Origin", a}}, {"*", false, false}},
    {"any, Origin null", {"*"}, false, {{"Origin", "null"}}, {"*", false, false}},
    {"any and one, that one", {a, "*"}, false, {{"Origin", a}}, {"*", false, false}},
    {"one and any, that one", {"*", a}, false, {{"Origin", a}}, {"*", false, false}},
    {"any and one, another", {a, "*"}, false, {{"Origin", b}}, {"*", false, false}},
    {"any, twice", {"*", "*"}, false, {{"Origin", a}}, {"*", false, false}},

    // Anybody with credentials is nobody.
    {"any with credentials, no Origin", {"*"}, true, {}, {"", false, true}},
    {"any with credentials, Origin", {"*"}, true, {{"Origin", a}}, {"", false, true}},
    {"any with credentials, Origin null", {"*"}, true, {{"Origin", "null"}}, {"", false, true}},
    {"any with credentials, Origin *", {"*"}, true, {{"Origin", "*"}}, {"", false, true}},
    {"any and one with credentials, that one", {"*", a}, true, {{"Origin", a}}, {a, true, true}},
    {"one and any with credentials, another", {a, "*"}, true, {{"Origin", b}}, {"", false, true}},

    // Some.
    {"one, no Origin", {a}, false, {}, {"", false, true}},
    {"one, empty Origin", {a}, false, {{"Origin", ""}}, {"", false, true}},
    {"one, that one", {a}, false, {{"Origin", a}}, {a, false, true}},
    {"one, another", {a}, false, {{"Origin", b}}, {"", false, true}},
    {"one, Origin *", {a}, false, {{"Origin", "*"}}, {"", false, true}},
    {"one, Origin null", {a}, false, {{"Origin", "null"}}, {"", false, true}},
    {"one with credentials, no Origin", {a}, true, {}, {"", false, true}},
    {"one with credentials, that one", {a}, true, {{"Origin", a}}, {a, true, true}},
    {"one with credentials, another", {a}, true, {{"Origin", b}}, {"", false, true}},
    {"two, the first", {a, b}, false, {{"Origin", a}}, {a, false, true}},
    {"two, the last", {a, b}, true, {{"Origin", b}}, {b, true, true}},
    {"two, both", {a, b}, true, {{"Origin", a + ", " + b}}, {"", false, true}},
    {"one, twice", {a, a}, true, {{"Origin", a}}, {a, true, true}},
    {"an empty one, no Origin", {""}, true, {}, {"", false, true}},
    {"an empty one, empty Origin", {""}, true, {{"Origin", ""}}, {"", false, true}},
    {"null, Origin null", {"null"}, true, {{"Origin", "null"}}, {"null", true, true}},
    {"null, another", {"null"}, true, {{"Origin", a}}, {"", false, true}},

    // The field's name in any case; its value byte for byte, as browsers hold it against the answer.
    {"name in lower case", {a}, true, {{"origin", a}}, {a, true, true}},
    {"name in upper case", {a}, true, {{"ORIGIN", a}}, {a, true, true}},
    {"value in upper case", {a}, true, {{"Origin", "HTTPS://A.EXAMPLE"}}, {"", false, true}},
    {"longer host", {a}, true, {{"Origin", a + ".evil.example"}}, {"", false, true}},
    {"shorter host", {a}, true, {{"Origin", "https://a.exampl"}}, {"", false, true}},
    {"subdomain", {a}, true, {{"Origin", "https://x.a.example"}}, {"", false, true}},
    {"end of a host", {a}, true, {{"Origin", "https://evila.example"}}, {"", false, true}},
    {"another scheme", {a}, true, {{"Origin", "http://a.example"}}, {"", false, true}},
    {"another port", {a}, true, {{"Origin", a + ":8443"}}, {"", false, true}},
    {"a slash", {a}, true, {{"Origin", a + "/"}}, {"", false, true}},
    {"Referer", {a}, true, {{"Referer", a}}, {"", false, true}},

    // Of several the last counts, as everywhere here.
    {"two fields, the last is allowed", {a}, true, {{"Origin", b}, {"Origin", a}}, {a, true, true}},
    {"two fields, the first is allowed", {a}, true, {{"Origin", a}, {"origin", b}}, {"", false, true}},
};

}  // namespace

TEST_CASE("who may read a stream: those who are named, and with credentials no others") {
    for (const cors_row& each : cors_rows) {
        CAPTURE(each.name);
        const sse::cors_options cors{.origins = each.origins, .credentials = each.credentials};
        const sse::response response = sse::stream_response(each.request, cors);
        sse::headers expected{{"Content-Type", "text/event-stream"},
                              {"Cache-Control", "no-cache, no-transform"},
                              {"X-Accel-Buffering", "no"}};
        if (each.expected.varies) expected.push_back({"Vary", "Origin"});
        if (!each.expected.origin.empty()) {
            expected.push_back({"Access-Control-Allow-Origin", std::string(each.expected.origin)});
        }
        if (each.expected.credentials) expected.push_back({"Access-Control-Allow-Credentials", "true"});

        const auto by_name = [](const sse::header& left, const sse::header& right) {
            return left.name < right.name;
        };
        sse::headers headers = response.headers;
        std::sort(headers.begin(), headers.end(), by_name);
        std::sort(expected.begin(), expected.end(), by_name);
        CHECK(headers == expected);
        CHECK(response.status == 200);
        CHECK(response.reason == "OK");

        std::string head;
        CHECK_FALSE(sse::write_head(head, response));
        CHECK(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"));
        CHECK(head.ends_with("\r\n\r\n"));
    }
}

TEST_CASE("whether it says that it varies depends on the options alone, not on who asks") {
    for (const cors_row& each : cors_rows) {
        CAPTURE(each.name);
        const sse::cors_options cors{.origins = each.origins, .credentials = each.credentials};
        for (const sse::headers& request :
             {sse::headers{}, sse::headers{{"Origin", a}}, sse::headers{{"Origin", "null"}}}) {
            const sse::response response = sse::stream_response(request, cors);
            CHECK(sse::find_header(response.headers, "Vary").has_value() == each.expected.varies);
        }
    }
}

TEST_CASE("without options a stream is for pages of its own origin") {
    const sse::response response = sse::stream_response({{"Origin", a}, {"Host", "a.example"}});
    CHECK(response.headers == sse::headers{{"Content-Type", "text/event-stream"},
                                           {"Cache-Control", "no-cache, no-transform"},
                                           {"X-Accel-Buffering", "no"}});
    CHECK(sse::standard_action(response.status, response.headers.front().value) == response_action::open);
}

TEST_CASE("what a request holds cannot forge a field of the head") {
    const std::string forged = a + "\r\nSet-Cookie: x=y";
    for (const bool credentials : {false, true}) {
        const sse::response refused = sse::stream_response({{"Origin", forged}}, {.origins = {a}});
        CHECK_FALSE(sse::find_header(refused.headers, "Access-Control-Allow-Origin"));
        // Not even where the options name it.
        const sse::response named =
            sse::stream_response({{"Origin", forged}}, {.origins = {forged}, .credentials = credentials});
        std::string head;
        CHECK(sse::write_head(head, named) == errc::header_value_invalid);
        CHECK(head.empty());
    }
}
