// The library in a few lines each, as one program without a network. The pages show parts of it.
#include <sse/sse.hpp>

#include <sse/fmt.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

using namespace std::chrono_literals;

namespace {

// Parse: push.
void print_events(std::string_view bytes) {
    sse::parser parser;
    const auto error = parser.feed(bytes, [](const sse::event_view& event) {
        fmt::print("{:?}: {:?}\n", event.type, event.data);  // views, valid during the call
    });
    if (error) fmt::print("{}\n", error.message());
}

// Parse: pull.
std::string first_answer(sse::parser& parser, std::string_view bytes) {
    while (auto event = parser.next(bytes)) {  // takes one event off the front of bytes
        if (event->type == "answer") return std::string(event->data);
    }
    return {};  // needs more bytes, or parser.error()
}

// Parse: everything a stream says.
struct observer {
    void on_event(const sse::event_view& event) { fmt::print("{}\n", event); }
    void on_comment(std::string_view text) { fmt::print("still there: {:?}\n", text); }
    void on_retry(sse::milliseconds time) { fmt::print("come back after {} ms\n", time.count()); }
};

void observe(std::string_view bytes) {
    observer observer;
    sse::parser parser({.max_event_bytes = 64 * 1024, .invalid_utf8 = sse::invalid_utf8::replace});
    if (auto error = parser.feed(bytes, observer)) fmt::print("{}\n", error);
    if (auto error = parser.finish(sse::unfinished_event::deliver, observer)) fmt::print("{}\n", error);
}

// Encode.
std::string encode_some() {
    std::string out;
    auto error = sse::encode_to(out, {.event = "tick", .data = "one\ntwo", .id = "7", .retry = 10s});
    if (!error) error = sse::encode_comment_to(out, "keep-alive");
    if (!error) error = sse::format_to(out, {.event = "sum"}, "{} + {} = {}", 1, 2, 1 + 2);

    error = sse::encode_to(out, {.data = "x", .id = "7\ndata: forged"});
    if (error) fmt::print("refused, {}\n", error.message());  // id: contains CR or LF, …
    return out;
}

// A transport of one's own: something that writes, something that reads.
struct connection {
    std::string wire{};

    std::error_code write(const char* bytes, std::size_t size) {
        wire.append(bytes, size);
        return {};
    }

    sse::read_result read(std::span<char> room) {
        const std::size_t size = wire.copy(room.data(), room.size());
        wire.erase(0, size);
        return {.bytes = size, .end = wire.empty()};
    }
};

// The same, but it takes as much as it has room for.
struct narrow_connection : connection {
    std::size_t send(std::string_view bytes) {
        const std::string_view taken = bytes.substr(0, 4096 - std::min<std::size_t>(wire.size(), 4096));
        wire += taken;
        return taken.size();
    }
};

// NOLINTBEGIN(misc-const-correctness): the pages do without a const in a condition
void talk() {
    connection peer;
    if (std::error_code error = sse::encode_to(peer, {.data = "hello"})) fmt::print("{}\n", error.message());

    auto stream = sse::events(peer);
    for (const sse::event_view& event : stream) fmt::print("{:?}\n", event.data);
    if (stream.error()) fmt::print("{}\n", stream.error().message());
}
// NOLINTEND(misc-const-correctness)

// A client, told by hand what happens to it.
void go_through_a_connection() {
    int tokens = 0;
    const auto renew = [&](sse::headers& headers) {  // called before each attempt
        sse::set_header(headers, "Authorization", fmt::format("Bearer {}", ++tokens));
    };
    const auto policy = [](int status, std::string_view type) {
        return status == 401 ? sse::response_action::reconnect : sse::standard_action(status, type);
    };
    sse::event_source source({.url = "https://a.example/", .renew_headers = renew, .policy = policy});
    source.on_message([](const sse::event_source::event_view& event) { fmt::print("{:?}\n", event.data); });

    sse::event_source::time_point now{};       // whatever you say
    sse::event_source::task task = source.next(now);  // connect, with task.request
    source.handle_response({.status = 401}, now);
    task = source.next(now);  // wait, until task.until
    now = *task.until;
    task = source.next(now);  // connect, with another token
    source.handle_response({.status = 200, .headers = {{"Content-Type", "text/event-stream"}}}, now);
    source.handle_bytes("data: hello\n\n", now);
}

// Serve: a log for everybody, and one subscriber of it.
void serve(const sse::request& request, narrow_connection& peer) {
    sse::channel news({.max_events = 10'000, .max_bytes = 8 << 20, .max_age = 10min});
    const auto published = news.publish({.event = "tick", .data = "one"});  // from any thread
    if (published.error) fmt::print("{}\n", published.error.message());

    const sse::session_options options{.retry = 2s, .heartbeat = 15s, .send_timeout = 30s};
    const auto now = std::chrono::steady_clock::now();

    std::string head;
    sse::response response = sse::stream_response(request.headers, {.origins = {"https://example.org"}});
    response.headers.push_back({"Connection", "close"});
    if (const auto error = sse::write_head(head, response)) return fmt::print("{}\n", error.message());

    const auto last_id = sse::find_header(request.headers, "Last-Event-ID").value_or("");
    sse::session session(options, news.subscribe(last_id), head, now);
    for (;;) {
        const sse::session::task task = session.next(now);
        if (task.step != sse::session::step::send) break;  // wait for more, until task.until; or close
        const std::size_t size = peer.send(task.bytes);
        if (size == 0) break;  // until it takes more, or task.until
        session.sent(size, now);
    }
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): where nothing can be printed, it may end so
int main() {
    print_events("event: greeting\ndata: hello\n\n");
    sse::parser parser;
    fmt::print("{}\n", first_answer(parser, "data: thinking\n\nevent: answer\ndata: 42\n\n"));
    observe(": ping\nretry: 500\ndata: cut o");
    fmt::print("{}", encode_some());
    talk();
    go_through_a_connection();
    narrow_connection peer;
    serve({.headers = {{"Last-Event-ID", "from-another-run"}}}, peer);
    fmt::print("{}", peer.wire);
}
