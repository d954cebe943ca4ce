// Invariant: whatever a client asks, a server of these headers answers with the head that it meant, which lets no page
// read the stream but those of the origins that it named; and behind it the client is told each event behind the
// one it came with, once and in order, or all that are left.
#include <sse/http1.hpp>
#include <sse/parser.hpp>
#include <sse/session.hpp>

#include "../support/exact_copy.hpp"
#include "require.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using test::require;

const std::vector<std::string> origins = {"https://a.example", "http://b.example:81"};
constexpr std::size_t kept = 4;  // events

struct published {
    std::string id;
    std::string data;
    bool is_own;  // the caller's, not one that the channel has made
};

/// All there ever were. An ID of the caller's own comes twice.
const std::vector<published> events = {
    {"0000000000ab-1", "1", false}, {"own", "2", true},  {"0000000000ab-3", "3\n\n", false},
    {"again", "4", true},           {"again", "", true}, {"0000000000ab-6", " 6", false},
};

/// What of them is behind an ID: that of an event, or one that an event would have that has one of the caller's.
std::vector<published> behind(std::string_view id) {
    if (id.empty()) return {};
    const std::size_t first = events.size() - kept;
    std::optional<std::size_t> next;
    for (std::size_t number = 0; number <= events.size(); ++number)
        if (id == "0000000000ab-" + std::to_string(number)) next = number;
    for (std::size_t i = first; i < events.size(); ++i)
        if (events[i].is_own && id == events[i].id) next = i + 1;
    const std::size_t begin = next && *next > first ? *next : first;
    return {events.begin() + static_cast<std::ptrdiff_t>(begin), events.end()};
}

std::optional<sse::headers> fields_of(std::string_view bytes) {
    sse::request_reader reader({.max_head_bytes = 2048, .max_headers = 32});
    const test::exact_copy copy(bytes);
    std::string_view left = copy;
    if (reader.next(left) != sse::http_part::head) return std::nullopt;
    return reader.request().headers;
}

/// All that a client is sent until the channel is closed, as far as the socket takes it each time.
std::string sent(const std::string& head, std::string_view last_id, std::size_t room) {
    using namespace std::chrono_literals;
    const auto now = sse::session::time_point(1h);
    sse::channel news({.max_events = kept, .epoch = 0xAB});
    for (const published& each : events) {
        sse::message message{.data = each.data};
        if (each.is_own) message.id = each.id;
        require(!news.publish(message, now).error);
    }
    const sse::session_options options;
    sse::session it(options, news.subscribe(last_id, {}, now), head, now);
    news.close();
    std::string bytes;
    for (;;) {
        const sse::session::task task = it.next(now);
        if (task.step == sse::session::step::finished) break;
        require(task.step == sse::session::step::send && !task.bytes.empty());
        const std::string_view part = task.bytes.substr(0, room);
        bytes += part;
        it.sent(part.size(), now);
    }
    require(it.end() == sse::session_end::closed);
    return bytes;
}

void check_head(const sse::response& head, const sse::headers& request) {
    require(head.status == 200 && sse::is_event_stream(*sse::find_header(head.headers, "Content-Type")));
    std::size_t permissions = 0;
    for (const auto& [name, value] : head.headers) {
        require(!sse::check_header(name, value));
        if (!sse::equal_ignoring_case(name, "Access-Control-Allow-Origin")) continue;
        ++permissions;
        require(value == sse::find_header(request, "Origin"));
        require(value == origins[0] || value == origins[1]);
    }
    require(permissions <= 1);
    const bool may_have_cookies =
        sse::find_header(head.headers, "Access-Control-Allow-Credentials").has_value();
    require(may_have_cookies == (permissions == 1));
    require(sse::find_header(head.headers, "Vary") == "Origin");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto request = fields_of({reinterpret_cast<const char*>(data), size});
    if (!request) return 0;
    sse::response meant = sse::stream_response(*request, {.origins = origins, .credentials = true});
    meant.headers.push_back({"Connection", "close"});
    check_head(meant, *request);
    std::string head;
    require(!sse::write_head(head, meant));

    const std::string_view last_id = sse::find_header(*request, "Last-Event-ID").value_or("");
    const std::string bytes = sent(head, last_id, 1 + size % 50);
    require(bytes == sent(head, last_id, bytes.size()));

    sse::response_reader reader;
    sse::parser parser;
    std::vector<published> expected = behind(last_id);
    std::size_t told = 0;
    const auto on_event = [&](const sse::event_view& event) {
        require(told < expected.size() && event.type == "message");
        require(event.data == expected[told].data && event.last_event_id == expected[told].id);
        ++told;
    };
    std::string_view left = bytes;
    require(reader.next(left) == sse::http_part::head);
    require(reader.response().status == 200 && reader.response().headers == meant.headers);
    while (reader.next(left) == sse::http_part::body) require(!parser.feed(reader.body(), on_event));
    require(reader.finish() == sse::http_part::end && !parser.in_event() && told == expected.size());
    // Who has all of them knows where it stands.
    require(parser.last_event_id() == (last_id == events.back().id ? "" : events.back().id));
    return 0;
}
