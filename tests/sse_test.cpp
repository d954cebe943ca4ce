// One include brings all of the library.
#include <sse/sse.hpp>

#include <doctest/doctest.h>

#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

static_assert(sse::version_major >= 0);

TEST_CASE("sse.hpp alone: what is encoded is received") {
    std::stringstream wire;
    sse::encoder encoder(wire);
    CHECK_FALSE(encoder.write_comment("open"));
    CHECK_FALSE(
        encoder.write({.event = "tick", .data = "one\r\ntwo", .id = "7", .retry = sse::milliseconds(10)}));
    CHECK(encoder.write({.id = "\n"}) == sse::errc::id_has_line_break);
    CHECK_FALSE(sse::encode_to(wire, {.data = ""}));

    std::vector<sse::event> received;
    auto stream = sse::events(wire);
    for (const sse::event_view& event : stream) received.emplace_back(event);
    REQUIRE(received.size() == 2);
    CHECK(sse::event_view(received[0]) ==
          sse::event_view{.type = "tick", .data = "one\ntwo", .last_event_id = "7"});
    CHECK(sse::event_view(received[1]) == sse::event_view{.last_event_id = "7"});
    CHECK(stream.parser().reconnection_time() == sse::milliseconds(10));
    CHECK_FALSE(stream.error());
}

TEST_CASE("sse.hpp alone: each header's names are there") {
    sse::parser parser;
    std::string_view bytes = "data: a\n\n";
    CHECK(parser.next(bytes)->data == "a");

    CHECK(sse::encoded_size({.data = "a"}) == 9);
    CHECK(std::error_code(sse::errc::id_has_nul).category() == sse::category());
}
