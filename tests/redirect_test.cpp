// What a redirect makes of a request: which URL and method, and what goes along.
#include <sse/detail/redirect.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>

namespace {

using sse::errc;
using sse::detail::follow_redirect;

sse::request asked(std::string method, std::string_view url = "http://a.example/x/y?z") {
    return {.method = std::move(method),
            .url = *sse::parse_url(url),
            .headers = {{"Accept", "text/event-stream"},
                        {"Content-Type", "a/b"},
                        {"content-language", "de"},
                        {"X-Content", "c"},
                        {"Authorization", "secret"},
                        {"X-Own", "secret"}},
            .body = "{}"};
}

sse::response answer(int status, std::string location) {
    return {.status = status, .reason = {}, .headers = {{"Location", std::move(location)}}};
}

std::string names(const sse::request& request) {
    std::string all;
    for (const sse::header& field : request.headers) all += field.name + ' ';
    return all;
}

/// The request after the redirect.
sse::request redirected(sse::request request, int status, std::string location) {
    REQUIRE_FALSE(follow_redirect(request, answer(status, std::move(location)), {"x-own"}));
    return request;
}

/// Why the redirect is refused. The request stays as it was.
sse::error refusal(std::string_view url, const sse::response& response) {
    const sse::request before = asked("POST", url);
    sse::request request = before;
    const sse::error error = follow_redirect(request, response, {});
    CHECK(request.method == before.method);
    CHECK(request.url == before.url);
    CHECK(request.headers == before.headers);
    CHECK(request.body == before.body);
    return error;
}

}  // namespace

TEST_CASE("a redirect leads where Location says, seen from the URL that was asked for") {
    CHECK(to_string(redirected(asked("GET"), 302, "b").url) == "http://a.example/x/b");
    CHECK(to_string(redirected(asked("GET"), 302, "//b.example/").url) == "http://b.example/");
    CHECK(to_string(redirected(asked("GET"), 308, "https://a.example/#f").url) == "https://a.example/");
}

TEST_CASE("a redirect is refused if it leads nowhere or from https to http, and nothing is changed") {
    for (const char* const location : {"", "ftp://a/", "http://a b/", "http://user@a/"}) {
        CAPTURE(location);
        CHECK(refusal("http://a.example/", answer(302, location)) == errc::redirect_invalid);
    }
    CHECK(refusal("http://a.example/", {.status = 302}) == errc::redirect_invalid);
    CHECK(refusal("https://a.example/", answer(302, "http://a.example/")) == errc::redirect_insecure);
    sse::request secure = asked("GET", "https://a.example/");
    CHECK_FALSE(follow_redirect(secure, answer(302, "https://b.example/"), {}));
}

TEST_CASE("POST becomes GET by 301, 302 and 303, any other method by 303 alone; the body then goes") {
    for (const int status : {301, 302, 303, 307, 308}) {
        for (const std::string method : {"GET", "POST", "PUT"}) {
            CAPTURE(status);
            CAPTURE(method);
            const sse::request request = redirected(asked(method), status, "/b");
            const bool is_changed = (status == 303 && method != "GET") || (status <= 302 && method == "POST");
            CHECK(request.method == (is_changed ? "GET" : method));
            CHECK(request.body == (is_changed ? "" : "{}"));
            CHECK(names(request) == (is_changed ? "Accept X-Content Authorization X-Own "
                                                : "Accept Content-Type content-language X-Content "
                                                  "Authorization X-Own "));
        }
    }
}

TEST_CASE("secrets stay with their origin: another scheme, host or port goes without") {
    for (const char* const location : {"https://a.example/", "http://b.example/", "http://a.example:81/"}) {
        CAPTURE(location);
        CHECK(names(redirected(asked("GET"), 307, location)) ==
              "Accept Content-Type content-language X-Content ");
    }
    for (const char* const location : {"/b", "http://A.example:80/"}) {
        CHECK(redirected(asked("GET"), 307, location).headers == asked("GET").headers);
    }
}
