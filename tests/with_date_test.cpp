// The Date of a response that has none.
#include <sse/adapters/detail/with_date.hpp>

#include <doctest/doctest.h>

#include <chrono>

TEST_CASE("a response has the server's Date, or the time when it came") {
    const sse::response dated{.status = 503, .reason = {}, .headers = {{"date", "yesterday"}}};
    CHECK(sse::detail::with_date(dated).headers == dated.headers);

    const auto now = [] {
        const auto time = std::chrono::system_clock::now().time_since_epoch();
        return std::chrono::floor<std::chrono::seconds>(time).count();
    };
    const auto before = now();
    const sse::response head = sse::detail::with_date({.status = 503, .headers = {{"Retry-After", "soon"}}});
    REQUIRE(head.headers.size() == 2);
    CHECK(head.headers.back().name == "Date");
    const auto date = sse::parse_http_date(head.headers.back().value);
    REQUIRE(date);
    CHECK(*date >= before);
    CHECK(*date <= now());
}
