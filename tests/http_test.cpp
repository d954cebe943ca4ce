// The fields of a head and what may stand in them, the media type, the table of statuses, Retry-After, CORS.
#include <sse/http.hpp>

#include "support/characters.hpp"
#include "support/exact_copy.hpp"
#include "support/show.hpp"

#include <sse/http1.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::literals;
using sse::errc;
using sse::milliseconds;
using sse::response_action;
using test::all_bytes;
using test::exact_copy;
using test::is_alphanumeric;
using test::is_one_of;
using test::lower;
using test::upper;

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
        for (const char byte : all_bytes) {
            CAPTURE(i);
            CAPTURE(static_cast<int>(byte));
            std::string other = type;
            other[i] = byte;
            const std::size_t letter = lower.find(type[i]);
            const bool is_same = byte == type[i] || (letter < lower.size() && byte == upper[letter]);
            CHECK(sse::is_event_stream(exact_copy(other)) == is_same);
        }
    }
    for (const char byte : all_bytes) {
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
    for (const char byte : all_bytes) {
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
    for (const char byte : all_bytes) {
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

TEST_CASE("the usual names of secrets are known, in any case, and those of other headers are no secrets") {
    constexpr std::string_view secret[] = {"Authorization",
                                           "Proxy-Authorization",
                                           "X-Forwarded-Authorization",
                                           "Authentication",
                                           "X-Auth",
                                           "Cookie",
                                           "Host",
                                           "X-API-Key",
                                           "Api-Key",
                                           "apikey",
                                           "X-Api-Token",
                                           "X-Api-Secret",
                                           "X-Auth-Token",
                                           "X-Auth-Key",
                                           "X-Access-Token",
                                           "X-Access-Key",
                                           "Access-Token",
                                           "Token",
                                           "X-Token",
                                           "X-Session-Token",
                                           "X-Session-Id",
                                           "Mcp-Session-Id",
                                           "X-CSRF-Token",
                                           "X-XSRF-TOKEN",
                                           "X-CSRFToken",
                                           "X-Goog-Api-Key",
                                           "x-amz-security-token",
                                           "x-amz-signature",
                                           "X-Vault-Token",
                                           "Private-Token",
                                           "Job-Token",
                                           "X-Gitlab-Token",
                                           "X-Functions-Key",
                                           "Ocp-Apim-Subscription-Key",
                                           "X-Shopify-Access-Token",
                                           "xi-api-key",
                                           "X-RapidAPI-Key",
                                           "X-Subject-Token",
                                           "DD-API-KEY",
                                           "DD-APPLICATION-KEY",
                                           "CF-Access-Client-Secret",
                                           "X-MBX-APIKEY",
                                           "X-Hasura-Admin-Secret",
                                           "X-Password",
                                           "X-JWT",
                                           "X-Client-Credential",
                                           "X-Credentials",
                                           "X-Session",
                                           "X-CSRF",
                                           "X-XSRF"};
    constexpr std::string_view plain[] = {"Accept",        "Accept-Language", "Cache-Control", "Content-Type",
                                          "Last-Event-ID", "Origin",          "Referer",       "User-Agent",
                                          "X-Request-Id",  "X-Keys",          "X-Tokens-Max",  "Authority",
                                          "key-id"};
    for (const std::string_view name : secret) {
        CAPTURE(name);
        CHECK(sse::is_secret_header(exact_copy(name)));
        std::string in_capitals;
        for (const char byte : name) {
            const std::size_t letter = lower.find(byte);
            in_capitals += letter == std::string_view::npos ? byte : upper[letter];
        }
        CHECK(sse::is_secret_header(in_capitals));
    }
    for (const std::string_view name : plain) {
        CAPTURE(name);
        CHECK_FALSE(sse::is_secret_header(exact_copy(name)));
    }
    CHECK_FALSE(sse::is_secret_header(""));
}

TEST_CASE("an ID is sent back if no byte of it is a control character and no end of it a space") {
    for (const char byte : all_bytes) {
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

TEST_CASE("what is so by default, in heads") {
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

TEST_CASE("a request is a GET unless it says otherwise, and heads are put together by name") {
    const sse::request request;
    CHECK(request.method == "GET");
    CHECK(request.headers.empty());
    CHECK(request.body.empty());
    const sse::request post{
        .method = "POST", .url = *sse::parse_url("http://a/"), .headers = {{"X-A", "1"}}, .body = "b"};
    CHECK(post.headers == sse::headers{{"X-A", "1"}});
    CHECK(post.headers != sse::headers{{"X-A", "2"}});
    const sse::response response{.status = 200, .reason = "OK", .headers = {}};
    CHECK(response.status == 200);
    CHECK(sse::response().status == 0);
}

TEST_CASE("dates are written and read as HTTP has them") {
    constexpr std::string_view first = "Thu, 01 Jan 1970 00:00:01 GMT";
    CHECK(sse::format_http_date(1) == first);
    CHECK(sse::parse_http_date(first) == 1);
    CHECK_FALSE(sse::parse_http_date("tomorrow"));
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
