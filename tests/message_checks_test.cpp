// What a message must fulfil to be written.
#include <sse/detail/message_checks.hpp>

#include <doctest/doctest.h>

#include <string_view>
#include <utility>

namespace {

namespace detail = sse::detail;
using sse::errc;

sse::request to(sse::url url) { return {.method = "GET", .url = std::move(url), .headers = {}, .body = {}}; }

}  // namespace

TEST_CASE("a target is not empty, and holds no control character, space or fragment") {
    CHECK(detail::is_target("/a?b=\xC3\xA9"));
    for (const std::string_view other : {"", "/a b", "/a#b", "/a\n", "\x7F"})
        CHECK_FALSE(detail::is_target(other));
}

TEST_CASE("a request is refused for the first thing that could forge a line, or names no server") {
    const sse::url url{.scheme = "http", .host = "a", .port = 80, .target = "/"};
    CHECK_FALSE(detail::check(to(url)));
    CHECK_FALSE(detail::check(to({.scheme = "http", .host = "[::1]", .port = 80, .target = "/"})));
    sse::request wrong = to(url);
    wrong.headers = {{"A", "b"}, {"C", "d\n"}};
    CHECK(detail::check(wrong) == errc::header_value_invalid);
    wrong.headers.front().name = "A:";
    CHECK(detail::check(wrong) == errc::header_name_invalid);
    wrong.url.port = 0;
    CHECK(detail::check(wrong) == errc::url_port_invalid);
    wrong.url.host = "a/b";
    CHECK(detail::check(wrong) == errc::url_host_invalid);
    wrong.url.target = "*";
    CHECK(detail::check(wrong) == errc::url_invalid);
    wrong.url.target = "/ ";
    CHECK(detail::check(wrong) == errc::url_invalid);
    wrong.method = "GET /";
    CHECK(detail::check(wrong) == errc::method_invalid);
}

TEST_CASE("a response has a status of three digits, and a reason and fields that forge no line") {
    const auto error_of = [](int status, const char* reason, const char* value) {
        return detail::check(sse::response{.status = status, .reason = reason, .headers = {{"A", value}}});
    };
    CHECK_FALSE(error_of(100, "", ""));
    CHECK_FALSE(error_of(999, "x\ty", ""));
    CHECK(error_of(99, "", "") == errc::http_malformed);
    CHECK(error_of(1000, "", "") == errc::http_malformed);
    CHECK(error_of(200, "\r", "") == errc::http_malformed);
    CHECK(error_of(200, "OK", "\n") == errc::header_value_invalid);
}

TEST_CASE("a request says its length if it has a body, or if its method gives an empty one a meaning") {
    sse::request request;
    for (const std::string_view method : {"GET", "DELETE", "POST", "PUT", "PATCH"}) {
        CAPTURE(method);
        request.method = method;
        request.body = {};
        CHECK(detail::has_content(request) == (method.front() == 'P'));
        request.body = "x";
        CHECK(detail::has_content(request));
    }
}

TEST_CASE("Host and what says the length are for the writer alone") {
    for (const std::string_view name : {"host", "Content-Length", "TRANSFER-ENCODING"}) {
        CHECK(detail::is_written_apart(name));
    }
    for (const std::string_view name : {"", "Hos", "Hosts", "Content-Type"}) {
        CHECK_FALSE(detail::is_written_apart(name));
    }
}
