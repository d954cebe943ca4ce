// What a head says about what follows: the version, where the body ends, whether the connection is kept.
#include <sse/detail/body_framing.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace detail = sse::detail;
using namespace std::string_view_literals;
using sse::errc;
using sse::headers;

static_assert(detail::minor_version("HTTP/1.1") == 1);

std::vector<std::string> elements(const headers& fields) {
    std::vector<std::string> seen;
    detail::for_each_element(fields, "List", [&](std::string_view element) { seen.emplace_back(element); });
    return seen;
}

}  // namespace

TEST_CASE("fields of one name are one list, whose elements are trimmed, and may be empty") {
    CHECK(elements({}).empty());
    CHECK(elements({{"Lis", "a"}, {"Listy", "b"}}).empty());
    CHECK(elements({{"LIST", "a"}}) == std::vector<std::string>{"a"});
    CHECK(elements({{"list", ""}}) == std::vector<std::string>{""});
    CHECK(elements({{"List", "a,\tb ,c d"}, {"X", "x"}, {"List", ",e"}}) ==
          std::vector<std::string>{"a", "b", "c d", "", "e"});
}

TEST_CASE("a version of HTTP is HTTP/1. and one digit") {
    for (int minor = 0; minor < 10; ++minor) {
        CHECK(detail::minor_version("HTTP/1." + std::to_string(minor)) == minor);
    }
    for (const std::string_view other : {"", "HTTP/1.", "HTTP/1.x", "HTTP/2.0", "HTTP/1.10", "http/1.1",
                                         " HTTP/1.1", "HTTP/1.1 ", "HTTP/1/1"}) {
        CAPTURE(other);
        CHECK(detail::minor_version(other) == -1);
    }
}

TEST_CASE("HTTP/1.1 keeps the connection unless it says close, HTTP/1.0 only if it says keep-alive") {
    struct row {
        headers fields;
        bool with_1_0, with_1_1;
    };
    const row rows[] = {
        {{}, false, true},
        {{{"Connection", "close"}}, false, false},
        {{{"Connection", "Keep-Alive"}}, true, true},
        {{{"Connection", "keep-alive, CLOSE"}}, false, false},
        {{{"Connection", "x"}, {"connection", "close"}}, false, false},
        {{{"Connection", "closed"}}, false, true},
    };
    for (const row& each : rows) {
        CAPTURE(each.fields.empty() ? "none"sv : each.fields.front().value);
        CHECK(detail::persists(0, each.fields) == each.with_1_0);
        CHECK(detail::persists(1, each.fields) == each.with_1_1);
    }
}

TEST_CASE("a body has chunks, or a length, or neither; what is contradictory or unknown is refused") {
    struct row {
        headers fields;
        sse::error error{};
        bool chunked = false;
        std::optional<std::uint64_t> length{};
    };
    const headers length_5{{"Content-Length", "5"}};
    const row rows[] = {
        {.fields = {}},
        {.fields = length_5, .length = 5},
        {.fields = {{"Content-Length", "5, 5"}, {"content-length", "05"}}, .length = 5},
        {.fields = {{"Content-Length", "18446744073709551615"}}, .length = UINT64_MAX},
        {.fields = {{"Transfer-Encoding", "Chunked"}}, .chunked = true},

        {.fields = {{"Content-Length", "5"}, {"Content-Length", "6"}}, .error = errc::http_framing},
        {.fields = {{"Content-Length", "18446744073709551616"}}, .error = errc::http_framing},
        {.fields = {{"Content-Length", ""}}, .error = errc::http_framing},
        {.fields = {{"Content-Length", "+5"}}, .error = errc::http_framing},
        {.fields = {{"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}}, .error = errc::http_framing},
        {.fields = {{"Content-Length", "5"}, {"Transfer-Encoding", "gzip"}}, .error = errc::http_framing},
        {.fields = {{"Transfer-Encoding", "gzip, chunked"}}, .error = errc::http_unsupported},
        {.fields = {{"Transfer-Encoding", "chunked, chunked"}}, .error = errc::http_unsupported},
        {.fields = {{"Transfer-Encoding", ""}}, .error = errc::http_unsupported},
    };
    for (const row& each : rows) {
        CAPTURE(each.fields.empty() ? "none"sv : each.fields.front().value);
        const auto found = detail::find_framing(1, each.fields);
        CHECK(found.error() == each.error);
        if (!found) continue;
        CHECK(found->chunked == each.chunked);
        CHECK(found->length == each.length);
    }
    // HTTP/1.0 knows lengths, but no transfer coding.
    CHECK(detail::find_framing(0, length_5)->length == 5);
    CHECK(detail::find_framing(0, {{"Transfer-Encoding", "chunked"}}).error() == errc::http_framing);
}
