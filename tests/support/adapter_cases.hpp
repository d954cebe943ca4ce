// What every blocking adapter has to do, over real sockets. A program includes the adapter's header, names its
// namespace, and then includes this:
//
//     namespace adapter = sse::posix;
#pragma once

#include <sse/event_source.hpp>

#include "script_server.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <unistd.h>

namespace test {

using namespace std::chrono_literals;
using strings = std::vector<std::string>;

// Names

/// What becomes of names that only the tests know: nobody asks a network.
inline struct {
    std::mutex mutex{};
    std::condition_variable changed{};
    int waiting = 0;  // who has asked for the slow one
    bool is_answered = false;
    int questions = 0;
    bool is_signal_blocked = false;  // on the thread that asks

    void ask_and_wait() {
        std::unique_lock lock(mutex);
        sigset_t blocked;
        ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
        is_signal_blocked = sigismember(&blocked, SIGUSR1) == 1;
        ++waiting;
        ++questions;
        changed.notify_all();
        changed.wait_for(lock, guard, [this] { return is_answered; });
        --waiting;
        changed.notify_all();
    }
    bool wait_for_question(int number = 1) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, guard, [this, number] { return waiting >= number; });
    }
    void answer() {
        std::unique_lock lock(mutex);
        is_answered = true;
        changed.notify_all();
        changed.wait_for(lock, guard, [this] { return waiting == 0; });
        is_answered = false;
    }
} slow_name;

}  // namespace test

/// What a sanitizer has in its place, for it has to know what is written.
extern "C" [[gnu::weak]] int __interceptor_getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**);

/// Takes the place of the C library's, here and in the libraries that this program is linked with.
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result) {
    using function = decltype(&getaddrinfo);
    static const function real = __interceptor_getaddrinfo != nullptr
                                     ? &__interceptor_getaddrinfo
                                     : reinterpret_cast<function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    const std::string_view name = node == nullptr ? "" : node;
    if (hints != nullptr && (hints->ai_flags & AI_NUMERICHOST) != 0)
        return real(node, service, hints, result);
    if (name == "nix.invalid") return EAI_NONAME;
    if (name == "broken.test") {
        errno = ENOMEM;
        return EAI_SYSTEM;
    }
    if (name == "slow.test") {
        test::slow_name.ask_and_wait();
        return EAI_NONAME;
    }
    if (name == "several.test") {
        // One that cannot be connected to at all, one where nobody listens unless a test does, and one more.
        addrinfo** end = result;
        for (const char* const address : {"255.255.255.255", "127.0.0.2", "127.0.0.1"}) {
            if (const int failure = real(address, service, hints, end)) return failure;
            end = &(*end)->ai_next;
        }
        return 0;
    }
    return real(node, service, hints, result);
}

namespace test {

// Clients

/// Ends a program that hangs, in a way that has doctest say where.
class alarm_guard {
public:
    alarm_guard() {
        static_cast<void>(std::signal(SIGALRM, [](int) { std::abort(); }));
        ::alarm(30);
    }
    alarm_guard(const alarm_guard&) = delete;
    alarm_guard& operator=(const alarm_guard&) = delete;
    ~alarm_guard() { ::alarm(0); }
};

/// A source, and a log of what its listeners hear.
struct client {
    explicit client(sse::event_source_options options) : source(std::move(options)) {
        source.on_open([this] { log.emplace_back("open"); });
        source.on_event([this](const sse::event_source::event_view& event) {
            log.push_back(fmt::format("{} {} {}", event.type, event.data, event.last_event_id));
            origins.emplace_back(event.origin);
        });
        source.on_comment([this](std::string_view text) { log.push_back(fmt::format("comment {}", text)); });
        source.on_retry(
            [this](sse::milliseconds time) { log.push_back(fmt::format("retry {}", time.count())); });
        source.on_error([this](const sse::event_source::failure& error) {
            log.emplace_back(error.retry_in ? "lost" : "over");
            errors.push_back(error);
        });
    }

    std::error_code run(adapter::run_options options = {}) {
        const alarm_guard bounded;
        options.control = &control;
        return adapter::run(source, options);
    }

    sse::event_source source;
    sse::run_control control{};
    strings log{};
    strings origins{};
    std::vector<sse::event_source::failure> errors{};
};

inline constexpr sse::backoff_options at_once{.reconnection_time = 0ms, .max_first_jitter = 0ms};
inline constexpr sse::backoff_options in_an_hour{.reconnection_time = 1h};

/// With as many attempts as a test needs, and no pause between them.
inline sse::event_source_options options_for(std::string url, std::uint32_t max_attempts = 5) {
    return {.url = std::move(url), .backoff = at_once, .max_attempts = max_attempts};
}

inline std::string value_of(const sse::request& request, std::string_view name) {
    return std::string(sse::find_header(request.headers, name).value_or("(none)"));
}

/// Without what an adapter adds as it needs it.
inline strings sorted_fields(const sse::request& request) {
    strings fields;
    for (const auto& [name, value] : request.headers) {
        if (name != "Connection" && name != "Accept-Encoding") fields.push_back(name + ": " + value);
    }
    std::sort(fields.begin(), fields.end());
    return fields;
}

// Responses

inline constexpr std::string_view stream_head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
inline constexpr std::string_view chunked_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
inline constexpr std::string_view no_content = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

/// A response that has no body.
inline std::string answer(int status, std::string_view fields = {}) {
    return fmt::format("HTTP/1.1 {} Thus\r\n{}Content-Length: 0\r\nConnection: close\r\n\r\n", status,
                       fields);
}

inline std::string redirect(int status, std::string_view location) {
    return answer(status, fmt::format("Location: {}\r\n", location));
}

inline std::string chunk(std::string_view bytes) {
    return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

/// How a response says where it ends.
enum class framing { chunked, length, to_the_end };

/// A complete response whose body has this content.
inline std::string respond(framing how, const strings& chunks) {
    std::string body;
    for (const std::string& each : chunks) body += how == framing::chunked ? chunk(each) : each;
    if (how == framing::chunked) return std::string(chunked_head) + body + "0\r\n\r\n";
    if (how == framing::to_the_end) return std::string(stream_head) + body;
    return fmt::format("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n{}",
                       body.size(), body);
}

inline std::string numbered_event(int number) { return fmt::format("id: {0}\ndata: event {0}\n\n", number); }

/// The number that Last-Event-ID holds, 0 where there is none.
inline int last_event_number(const sse::request& request) {
    const std::string_view digits = sse::find_header(request.headers, "Last-Event-ID").value_or("0");
    int number = -1;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number;
}

}  // namespace test

using namespace test;

// Reading

TEST_CASE("a stream is read, and asked for again behind its last event") {
    script_server server([](connection& c) {
        c.request();
        if (c.number() == 2) return c.send(no_content);
        c.send(stream_head);
        c.send("\xEF\xBB\xBF: there\nretry: 1\n\nid: 7\ndata: one\n\nevent: tick\ndata: two\ndata\n\n");
    });
    client it(options_for(server.url("/stream")));
    CHECK(it.run() == sse::errc::no_content);
    CHECK(it.log ==
          strings{"open", "comment there", "retry 1", "message one 7", "tick two\n 7", "lost", "over"});
    CHECK(it.origins == strings{server.origin(), server.origin()});
    REQUIRE(it.errors.size() == 2);
    CHECK(it.errors[0].code == sse::errc::connection_ended);
    CHECK(it.errors[0].retry_in == sse::milliseconds(1));
    CHECK(it.errors[1].status == 204);
    REQUIRE(server.requests().size() == 2);
    CHECK(value_of(server.requests()[0], "Last-Event-ID") == "(none)");
    CHECK(value_of(server.requests()[1], "Last-Event-ID") == "7");
}

TEST_CASE("an adapter needs no options") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    sse::event_source source({.url = server.url()});
    const alarm_guard bounded;
    CHECK(adapter::run(source) == sse::errc::no_content);
    CHECK(adapter::run(source) == sse::errc::no_content);  // it was over
    CHECK(server.connections() == 1);
}

TEST_CASE("a request says what it has to, and nothing that nobody asked for") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    sse::event_source_options options = options_for(server.url("/a%20b/../c?d=e&f#g"));
    options.headers = {{"X-Extra", "one, two"}, {"X-Empty", ""}};
    options.last_event_id = "\xC3\xA9 7";
    client it(std::move(options));
    it.run();
    REQUIRE(server.requests().size() == 1);
    const sse::request& request = server.requests()[0];
    CHECK(request.method == "GET");
    CHECK(request.url.target == "/c?d=e&f");
    CHECK(sorted_fields(request) == strings{"Accept: text/event-stream", "Cache-Control: no-cache",
                                            "Host: 127.0.0.1:" + server.port(), "Last-Event-ID: \xC3\xA9 7",
                                            "X-Empty: ", "X-Extra: one, two"});
    CHECK(request.body.empty());
}

TEST_CASE("a body is sent whole, whatever its bytes and however many") {
    std::string large(std::size_t{3} << 20, '\0');
    for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i % 251);
    struct row {
        std::string method;
        std::string body;
    };
    for (const row& each :
         {row{"POST", ""}, row{"POST", large}, row{"PUT", std::string("a\0b", 3)}, row{"QUERY", "body"}}) {
        CAPTURE(each.method);
        CAPTURE(each.body.size());
        script_server server([](connection& c) { c.request(), c.send(no_content); });
        sse::event_source_options options = options_for(server.url());
        options.method = each.method;
        options.body = each.body;
        client it(std::move(options));
        CHECK(it.run() == sse::errc::no_content);
        REQUIRE(server.requests().size() == 1);
        const sse::request& request = server.requests()[0];
        CHECK(request.method == each.method);
        CHECK((request.body == each.body));
        CHECK(sorted_fields(request) == strings{"Accept: text/event-stream", "Cache-Control: no-cache",
                                                "Content-Length: " + std::to_string(each.body.size()),
                                                "Host: 127.0.0.1:" + server.port()});
    }
}

TEST_CASE("the length of a body is sent if there is one, or if the method wants one, be it empty") {
    for (const std::string_view method :
         {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "REPORT"}) {
        for (const std::string_view body : {"", "{}"}) {
            if (method == "GET" && !body.empty()) continue;
            CAPTURE(method);
            CAPTURE(body);
            script_server server([](connection& c) { c.request(), c.send(no_content); });
            sse::event_source_options options = options_for(server.url());
            options.method = method;
            options.body = body;
            client it(std::move(options));
            CHECK(it.run() == sse::errc::no_content);
            REQUIRE(server.requests().size() == 1);
            const sse::request& request = server.requests()[0];
            CHECK(request.method == method);
            CHECK(request.body == body);
            const bool wants_body = method == "POST" || method == "PUT" || method == "PATCH";
            strings fields = {"Accept: text/event-stream", "Cache-Control: no-cache",
                              "Host: 127.0.0.1:" + server.port()};
            if (wants_body || !body.empty()) {
                fields.insert(fields.begin() + 2, "Content-Length: " + std::to_string(body.size()));
            }
            CHECK(sorted_fields(request) == fields);
        }
    }
}

TEST_CASE("a Content-Type of one's own is sent, and a length of one's own is not") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    sse::event_source_options options = options_for(server.url());
    options.method = "POST";
    options.body = "{}";
    options.headers = {{"content-type", "application/json"},
                       {"Content-Length", "7"},
                       {"Host", "other.test"},
                       {"accept", "text/event-stream, text/plain"}};
    client it(std::move(options));
    it.run();
    REQUIRE(server.requests().size() == 1);
    CHECK(sorted_fields(server.requests()[0]) ==
          strings{"Cache-Control: no-cache", "Content-Length: 2", "Host: other.test",
                  "accept: text/event-stream, text/plain", "content-type: application/json"});
}

TEST_CASE("hosts are IPv6 addresses and names, too") {
    script_server by_address([](connection& c) { c.request(), c.send(no_content); }, "::1");
    client ipv6(options_for(by_address.url()));
    CHECK(ipv6.run() == sse::errc::no_content);
    REQUIRE(by_address.requests().size() == 1);
    CHECK(value_of(by_address.requests()[0], "Host") == "[::1]:" + by_address.port());

    script_server by_name([](connection& c) { c.request(), c.send(no_content); });
    client name(options_for("http://localhost:" + by_name.port()));
    CHECK(name.run() == sse::errc::no_content);
    REQUIRE(by_name.requests().size() == 1);
    CHECK(value_of(by_name.requests()[0], "Host") == "localhost:" + by_name.port());
}

TEST_CASE("of the addresses of a host, the next one is tried where one refuses") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });  // at the second one alone
    client it(options_for("http://several.test:" + server.port(), 1));
    CHECK(it.run() == sse::errc::no_content);
    CHECK(server.connections() == 1);
}

TEST_CASE("where chunks begin and end changes nothing") {
    const std::string body = "id: 1\r\ndata: a\r\n\r\n: c\r\nid: 2\ndata: \xC3\xA9\r\rdata: b\n\n";
    std::vector<strings> cuts;
    for (std::size_t at = 1; at < body.size(); ++at) cuts.push_back({body.substr(0, at), body.substr(at)});
    cuts.push_back({body});
    strings& bytes = cuts.emplace_back();
    for (const char byte : body) bytes.emplace_back(1, byte);

    std::atomic<std::size_t> cut = 0;
    std::atomic<bool> is_slow = false;
    script_server server([&](connection& c) {
        c.request();
        const std::string response = respond(framing::chunked, cuts[cut]);
        if (is_slow) c.send_byte_by_byte(response);
        else c.send(response);
    });
    for (; cut < cuts.size(); ++cut) {
        for (const bool slowly : {false, true}) {
            CAPTURE(cut.load());
            is_slow = slowly;
            sse::event_source_options options = options_for(server.url());
            options.reconnect_at_end = false;
            client it(std::move(options));
            CHECK_FALSE(it.run());
            CHECK(it.log == strings{"open", "message a 1", "comment c", "message \xC3\xA9 2", "message b 2"});
        }
    }
}

TEST_CASE("a response may come byte by byte, with interim responses before and trailers behind it") {
    script_server server([](connection& c) {
        c.request();
        c.send_byte_by_byte(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX: y\r\n\r\n");
        c.send_byte_by_byte(
            "HTTP/1.1 200\r\ncontent-TYPE:Text/Event-Stream;charset=latin1\r\n"
            "Transfer-Encoding: Chunked\r\n\r\n");
        c.send_byte_by_byte(
            "0A;name=\"a;b\"\r\ndata: one\n\r\n1\r\n\n\r\n"
            "0\r\nContent-Type: text/html\r\nX-Sum: 1\r\n\r\n");
    });
    sse::event_source_options options = options_for(server.url());
    options.reconnect_at_end = false;
    client it(std::move(options));
    CHECK_FALSE(it.run());
    CHECK(it.log == strings{"open", "message one "});
}

TEST_CASE("an event of 10 MiB comes whole") {
    std::string data(std::size_t{10} << 20, '\0');
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>('a' + i % 23);
    const std::string event = "data: " + data + "\nid: 1\n\n";
    for (const framing how : {framing::length, framing::chunked}) {
        strings chunks;
        std::size_t size = 1;
        for (std::size_t at = 0; at < event.size(); at += std::exchange(size, size * 7 % 65'521)) {
            chunks.push_back(event.substr(at, size));
        }
        script_server server([&](connection& c) { c.request(), c.send(respond(how, chunks)); });
        sse::event_source source({.url = server.url(), .reconnect_at_end = false});
        std::size_t whole = 0;
        source.on_message([&](const sse::event_source::event_view& each) { whole += each.data == data; });
        const alarm_guard bounded;
        CHECK_FALSE(adapter::run(source));
        CHECK(whole == 1);
        CHECK(source.received_bytes() == event.size());
    }
}

TEST_CASE("an event beyond the limit is the end") {
    script_server server([](connection& c) {
        c.request();
        c.send(stream_head);
        c.send("data: one\n\ndata: ");
        for (int i = 0; i < 1000; ++i) c.send(std::string(1000, 'x'));
        c.wait_for_close();
    });
    sse::event_source_options options = options_for(server.url());
    options.max_event_bytes = 10'000;
    client it(std::move(options));
    CHECK(it.run() == sse::errc::event_too_large);
    CHECK(it.log == strings{"open", "message one ", "over"});
    CHECK(it.source.received_bytes() < 100'000);
    CHECK(server.connections() == 1);
}

// Connections that end

TEST_CASE("a response that is cut anywhere is asked for again behind its last complete event") {
    // Three events, and one that is cut off even where the response is complete.
    const strings first = {numbered_event(1), numbered_event(2), numbered_event(3), "id: 9\ndata: half\n"};
    for (const framing how : {framing::chunked, framing::length, framing::to_the_end}) {
        const std::string response = respond(how, first);
        for (const bool is_reset : {false, true}) {
            std::atomic<std::size_t> cut = 0;
            script_server server([&](connection& c) {
                const int last = last_event_number(c.request());
                if (c.number() % 2 == 1) {
                    c.send(std::string_view(response).substr(0, cut));
                    return is_reset ? c.reset() : c.close();
                }
                c.send(stream_head);
                for (int i = last + 1; i <= 4; ++i) c.send(numbered_event(i));
                c.wait_for_close();
            });
            for (; cut <= response.size(); ++cut) {
                CAPTURE(cut.load());
                client it(options_for(server.url(), 2));
                it.source.on_message([&](const sse::event_source::event_view& event) {
                    if (event.last_event_id == "4") it.source.close();
                });
                CHECK_FALSE(it.run());
                strings events;
                std::copy_if(it.log.begin(), it.log.end(), std::back_inserter(events),
                             [](const std::string& line) { return line.starts_with("message"); });
                CHECK(events == strings{"message event 1 1", "message event 2 2", "message event 3 3",
                                        "message event 4 4"});
                CHECK(it.errors.size() == 1);
            }
            const std::vector<sse::request>& requests = server.requests();
            REQUIRE(requests.size() == 2 * (response.size() + 1));
            for (std::size_t n = 0; n <= response.size(); ++n) {
                int complete = 0;
                for (const std::string& event : first) {
                    const std::size_t end = response.find(event) + event.size();
                    if (event.ends_with("\n\n") && end <= n) ++complete;
                }
                CAPTURE(n);
                CHECK(last_event_number(requests[2 * n]) == 0);
                const int last = last_event_number(requests[2 * n + 1]);
                // A reset may overtake what was sent before it.
                if (is_reset) CHECK(last <= complete);
                else CHECK(last == complete);
            }
        }
    }
}

TEST_CASE("nothing is lost and nothing comes twice, wherever a server cuts and however it frames") {
    constexpr int last_event = 1000;
    for (unsigned seed = 1; seed <= 150; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);  // of the script alone
        script_server server([&](connection& c) {
            strings chunks(1);
            for (int i = last_event_number(c.request()) + 1; i <= last_event; ++i) {
                chunks.back() += numbered_event(i);
                if (random() % 8 == 0) chunks.emplace_back(": a chunk\n");
            }
            const auto how = static_cast<framing>(random() % 3);
            const std::string response = respond(how, chunks);
            c.send(std::string_view(response).substr(0, random() % 12'000));
            if (random() % 2 == 0) c.reset();
        });
        sse::event_source source(options_for(server.url(), 0));
        int delivered = 0;
        bool is_in_order = true;
        source.on_message([&](const sse::event_source::event_view& event) {
            ++delivered;
            is_in_order = is_in_order && event.data == fmt::format("event {}", delivered) &&
                          event.last_event_id == std::to_string(delivered);
            if (delivered == last_event) source.close();
        });
        const alarm_guard bounded;
        CHECK_FALSE(adapter::run(source));
        CHECK(delivered == last_event);
        CHECK(is_in_order);
        CHECK(server.connections() > 1);
    }
}

TEST_CASE("an id that no header can hold, or that is too long, is not sent; one of a half event neither") {
    struct row {
        std::string id;
        std::string sent;
    };
    for (const row& each :
         {row{"plain", "plain"}, row{"\xC3\xA9 x", "\xC3\xA9 x"},
          row{std::string(100, 'x'), std::string(100, 'x')}, row{std::string(101, 'x'), "(none)"},
          row{"a\tb", "(none)"}, row{"a\x01", "(none)"}, row{"\x7F", "(none)"}, row{"a\x1B[2J", "(none)"},
          row{" a", "(none)"}, row{"a ", "(none)"}, row{"a\vX-Forged: 1", "(none)"}, row{"", "(none)"}}) {
        CAPTURE(each.id);
        script_server server([&](connection& c) {
            c.request();
            if (c.number() == 2) return c.send(no_content);
            c.send(stream_head);
            c.send("id: " + each.id + "\ndata: one\n\nid: half\ndata: half\n");
        });
        sse::event_source_options options = options_for(server.url());
        options.max_last_event_id_bytes = 100;
        client it(std::move(options));
        it.source.on_unsendable_id(
            [&](std::string_view id) { it.log.push_back(fmt::format("unsendable {}", id)); });
        CHECK(it.run() == sse::errc::no_content);
        strings log = {"open", "message one " + each.id, "lost", "over"};
        if (each.sent == "(none)" && !each.id.empty()) log.insert(log.begin() + 1, "unsendable " + each.id);
        CHECK(it.log == log);
        REQUIRE(server.requests().size() == 2);
        CHECK(value_of(server.requests()[1], "Last-Event-ID") == each.sent);
        const std::size_t more = each.sent == "(none)" ? 0 : 1;
        CHECK(server.requests()[1].headers.size() == server.requests()[0].headers.size() + more);
    }
}

// What responses mean

TEST_CASE("a response that is no event stream is final") {
    struct row {
        int status;
        std::string type;
        sse::errc error;
    };
    for (const row& each :
         {row{200, "text/html", sse::errc::not_event_stream}, row{200, "", sse::errc::not_event_stream},
          row{200, "text/event-streams", sse::errc::not_event_stream},
          row{201, "text/event-stream", sse::errc::status_refused}, row{204, "", sse::errc::no_content},
          row{300, "", sse::errc::status_refused}, row{304, "", sse::errc::status_refused},
          row{401, "", sse::errc::status_refused}, row{403, "", sse::errc::status_refused},
          row{404, "text/event-stream", sse::errc::status_refused}, row{407, "", sse::errc::status_refused},
          row{410, "", sse::errc::status_refused}, row{429, "", sse::errc::status_refused},
          row{500, "", sse::errc::status_refused}, row{502, "", sse::errc::status_refused},
          row{503, "", sse::errc::status_refused}, row{504, "", sse::errc::status_refused}}) {
        for (const bool has_body : {false, true}) {
            CAPTURE(each.status);
            CAPTURE(each.type);
            script_server server([&](connection& c) {
                c.request();
                const std::string field = each.type.empty() ? "" : "Content-Type: " + each.type + "\r\n";
                if (!has_body || each.status == 204 || each.status == 304)
                    return c.send(answer(each.status, field));
                c.send(fmt::format("HTTP/1.1 {} Thus\r\n{}\r\ndata: not for you\n\n", each.status, field));
                c.wait_for_close();  // the body has no end
            });
            client it(options_for(server.url()));
            CHECK(it.run() == each.error);
            CHECK(it.log == strings{"over"});
            REQUIRE(it.errors.size() == 1);
            CHECK(it.errors[0].status == each.status);
            CHECK(it.source.ready_state() == sse::ready_state::closed);
            CHECK(server.connections() == 1);
        }
    }
}

TEST_CASE("a token that has expired is renewed") {
    script_server server([](connection& c) {
        c.send(c.header("Authorization") == "Bearer 2" ? no_content : std::string_view(answer(401)));
    });
    sse::event_source_options options = options_for(server.url());
    int token = 0;
    options.renew_headers = [&](sse::headers& headers) {
        headers.push_back({"Authorization", "Bearer " + std::to_string(++token)});
    };
    options.policy = [](int status, std::string_view type) {
        return status == 401 ? sse::response_action::reconnect : sse::standard_action(status, type);
    };
    client it(std::move(options));
    CHECK(it.run() == sse::errc::no_content);
    CHECK(it.log == strings{"lost", "over"});
    REQUIRE(server.requests().size() == 2);
    CHECK(value_of(server.requests()[0], "Authorization") == "Bearer 1");
    CHECK(value_of(server.requests()[1], "Authorization") == "Bearer 2");
}

TEST_CASE("what a response asks to wait is waited") {
    for (const int status : {429, 503}) {
        for (const std::string_view fields : {"Retry-After: 7200\r\n",
                                              "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                              "Retry-After: Sun, 06 Nov 1994 10:49:37 GMT\r\n"}) {
            CAPTURE(status);
            CAPTURE(fields);
            script_server server([&](connection& c) { c.request(), c.send(answer(status, fields)); });
            sse::event_source_options options = options_for(server.url());
            options.policy = sse::retrying_action;
            client it(std::move(options));
            it.source.on_error([&](const sse::event_source::failure&) { it.source.close(); });
            CHECK_FALSE(it.run());
            REQUIRE(it.errors.size() == 1);
            CHECK(it.errors[0].status == status);
            CHECK(it.errors[0].retry_in == sse::milliseconds(2h));
            CHECK(server.connections() == 1);
        }
    }
}

TEST_CASE("a date to wait for is held against the clock where the response has no date of its own") {
    script_server server([](connection& c) {
        c.request();
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        const std::string in_two_minutes =
            sse::format_http_date(std::chrono::floor<std::chrono::seconds>(now).count() + 120);
        c.send(answer(503, "Retry-After: " + in_two_minutes + "\r\n"));
    });
    sse::event_source_options options = options_for(server.url());
    options.policy = sse::retrying_action;
    options.random = [] { return std::uint64_t{0}; };
    client it(std::move(options));
    it.source.on_error([&](const sse::event_source::failure&) { it.source.close(); });
    CHECK_FALSE(it.run());
    REQUIRE(it.errors.size() == 1);
    CHECK(it.errors[0].retry_in > sse::milliseconds(100s));
    CHECK(it.errors[0].retry_in < sse::milliseconds(121s));
    CHECK(server.connections() == 1);
}

TEST_CASE("what an interim response asks for is not what the final one does") {
    script_server server([](connection& c) {
        c.request();
        c.send("HTTP/1.1 103 Early Hints\r\nRetry-After: 7200\r\n\r\n" + answer(503));
    });
    sse::event_source_options options = options_for(server.url(), 2);
    options.policy = sse::retrying_action;
    client it(std::move(options));
    CHECK(it.run() == sse::errc::status_refused);
    REQUIRE(it.errors.size() == 2);
    CHECK(it.errors[0].retry_in == 0ms);
    CHECK(it.errors[0].status == 503);
}

// Redirects

TEST_CASE("redirects are followed, wherever they lead on this server") {
    for (const int status : {301, 302, 303, 307, 308}) {
        for (const std::string_view location :
             {"/a/next?x=y", "next?x=y", "./next?x=y#z", "../a/next?x=y", "//127.0.0.1:PORT/a/next?x=y",
              "http://127.0.0.1:PORT/a/next?x=y"}) {
            CAPTURE(status);
            CAPTURE(location);
            script_server server([&](connection& c) {
                const std::string target = c.request().url.target;
                if (c.number() == 4) return c.send(no_content);
                if (target == "/a/next?x=y") return c.send(std::string(stream_head) + "data: there\n\n");
                std::string to(location);
                const std::string port = value_of(c.request(), "Host").substr(10);
                if (const auto at = to.find("PORT"); at != std::string::npos) to.replace(at, 4, port);
                c.send(redirect(status, to));
            });
            client it(options_for(server.url("/a/first")));
            CHECK(it.run() == sse::errc::no_content);
            CHECK(it.log == strings{"open", "message there ", "lost", "over"});
            REQUIRE(server.requests().size() == 4);
            // The next attempt begins where the first one did.
            CHECK(server.requests()[2].url.target == "/a/first");
        }
    }
}

TEST_CASE("a chain of redirects is followed to its end, a loop up to the bound") {
    script_server chain([](connection& c) {
        c.request();
        c.send(c.number() == 6 ? std::string(no_content) : redirect(302, fmt::format("/{}", c.number())));
    });
    sse::event_source_options options = options_for(chain.url());
    options.max_redirects = 5;
    client to_its_end(std::move(options));
    CHECK(to_its_end.run() == sse::errc::no_content);
    REQUIRE(chain.requests().size() == 6);
    CHECK(chain.requests()[5].url.target == "/5");

    for (const std::uint32_t bound : {0U, 1U, 20U}) {
        script_server loop([](connection& c) { c.request(), c.send(redirect(307, "/")); });
        options = options_for(loop.url());
        options.max_redirects = bound;
        client it(std::move(options));
        CHECK(it.run() == sse::errc::too_many_redirects);
        CHECK(it.log == strings{"over"});
        CHECK(loop.connections() == static_cast<int>(bound) + 1);
    }
}

TEST_CASE("a redirect to nowhere, or to what is no HTTP, is an error") {
    for (const std::string_view field :
         {"", "Location:\r\n", "Location: \r\n", "Location: file:///etc/passwd\r\n",
          "Location: ftp://127.0.0.1/\r\n", "Location: javascript:alert(1)\r\n", "Location: http://\r\n",
          "Location: http://user@127.0.0.1/\r\n", "Location: http://127.0.0.1:0/\r\n"}) {
        CAPTURE(field);
        script_server server([&](connection& c) { c.request(), c.send(answer(302, field)); });
        client it(options_for(server.url()));
        CHECK(it.run() == sse::errc::redirect_invalid);
        CHECK(it.log == strings{"over"});
        CHECK(server.connections() == 1);
    }
}

TEST_CASE("secrets are kept on the way to the same origin, and dropped on the way to another") {
    const sse::headers secrets = {{"Authorization", "Bearer 1"},
                                  {"cookie", "a=b"},
                                  {"Proxy-Authorization", "Basic eA=="},
                                  {"X-Api-Key", "1"},
                                  {"x-amz-security-token", "1"},
                                  {"X-Own", "1"},
                                  {"X-Public", "1"}};
    script_server other([](connection& c) { c.request(), c.send(no_content); });
    script_server server([&](connection& c) {
        c.request();
        c.send(redirect(307, c.number() == 1 ? "/same" : other.url("/other")));
    });
    sse::event_source_options options = options_for(server.url("/first"));
    options.headers = secrets;
    options.secret_headers = {"x-own"};
    client it(std::move(options));
    CHECK(it.run() == sse::errc::no_content);
    REQUIRE(server.requests().size() == 2);
    for (const sse::header& secret : secrets) {
        CHECK(value_of(server.requests()[0], secret.name) == secret.value);
        CHECK(value_of(server.requests()[1], secret.name) == secret.value);
    }
    REQUIRE(other.requests().size() == 1);
    CHECK(sorted_fields(other.requests()[0]) == strings{"Accept: text/event-stream",
                                                        "Cache-Control: no-cache",
                                                        "Host: 127.0.0.1:" + other.port(), "X-Public: 1"});
}

TEST_CASE("a redirected POST keeps its body where the status says so") {
    for (const int status : {301, 302, 303, 307, 308}) {
        CAPTURE(status);
        script_server server([&](connection& c) {
            c.request();
            c.send(c.number() == 1 ? redirect(status, "/next") : std::string(no_content));
        });
        sse::event_source_options options = options_for(server.url());
        options.method = "POST";
        options.body = "{}";
        options.headers = {{"Content-Type", "application/json"}};
        client it(std::move(options));
        CHECK(it.run() == sse::errc::no_content);
        REQUIRE(server.requests().size() == 2);
        const sse::request& next = server.requests()[1];
        const bool is_kept = status >= 307;
        CHECK(next.method == (is_kept ? "POST" : "GET"));
        CHECK(next.body == (is_kept ? "{}" : ""));
        CHECK(value_of(next, "Content-Length") == (is_kept ? "2" : "(none)"));
        CHECK(value_of(next, "Content-Type") == (is_kept ? "application/json" : "(none)"));
    }
}

// Servers that are down, silent, broken or hostile

TEST_CASE("a stream that falls silent is given up") {
    script_server server([](connection& c) {
        c.request();
        if (c.number() == 2) return c.send(no_content);
        c.send(std::string(stream_head) + "data: one\n\n");
        c.wait_for_close();
    });
    sse::event_source_options options = options_for(server.url());
    options.idle_timeout = 50ms;
    client it(std::move(options));
    CHECK(it.run() == sse::errc::no_content);
    CHECK(it.log == strings{"open", "message one ", "lost", "over"});
    REQUIRE(it.errors.size() == 2);
    CHECK(it.errors[0].code == sse::errc::timed_out);
}

TEST_CASE("no response in time is a failure, however busy the server is") {
    for (const std::string_view endless :
         {"", "x", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nX: "}) {
        CAPTURE(endless);
        script_server server([&](connection& c) {
            c.request();
            if (endless.empty()) c.wait_for_close();
            c.send(endless);
            for (;;) {
                c.pause(5ms);
                c.send(endless.substr(0, endless.ends_with("\r\n\r\n") ? endless.size() : 1));
            }
        });
        sse::event_source_options options = options_for(server.url(), 2);
        options.response_timeout = 50ms;
        client it(std::move(options));
        const std::error_code error = it.run();
        if (endless != "x") CHECK(error == sse::errc::timed_out);  // that one is no HTTP from its first byte
        CHECK(error);
        CHECK(it.log == strings{"lost", "over"});
        CHECK(server.connections() == 2);
    }
}

TEST_CASE("a server that is not there is asked as often as one wants") {
    std::string url;
    {
        const script_server gone([](connection&) {});
        url = gone.url();
    }
    client it(options_for(url, 3));
    CHECK(it.run() == std::errc::connection_refused);
    CHECK(it.log == strings{"lost", "lost", "over"});
}

TEST_CASE("a name that is not known is asked for as often as one wants") {
    client it(options_for("http://nix.invalid/", 3));
    const std::error_code error = it.run();
    CHECK(error);
    CHECK_FALSE(error.message().empty());
    CHECK(it.log == strings{"lost", "lost", "over"});
}

TEST_CASE("a server that closes at once, for ever, makes no storm") {
    for (const std::string_view sent : {std::string_view(), stream_head}) {
        for (const std::string_view retry : {"", "retry: 0\n\n"}) {
            CAPTURE(sent);
            CAPTURE(retry);
            script_server server([&](connection& c) {
                c.request();
                c.send(sent);
                if (!sent.empty()) c.send(retry);
            });
            sse::event_source_options options = options_for(server.url(), 7);
            options.backoff = {.reconnection_time = 1ms, .max_first_jitter = 2ms, .max_jitter = 7ms};
            // The most that can be added is added, for this is one less than a multiple of 3, 5 and 8.
            options.random = [] { return std::uint64_t{119}; };
            client it(std::move(options));
            CHECK(it.run());
            REQUIRE(it.errors.size() == 7);
            const std::int64_t asked = sent.empty() || retry.empty() ? 1 : 0;
            std::size_t i = 0;
            for (const std::int64_t added : {2, 4, 7, 7, 7, 7}) {
                CHECK(it.errors[i++].retry_in == sse::milliseconds(asked + added));
            }
            CHECK_FALSE(it.errors[6].retry_in);
            CHECK(server.connections() == 7);
        }
    }
}

TEST_CASE("a server that closes while it is sent a body is no more than an error") {
    for (const bool is_reset : {false, true}) {
        script_server server([&](connection& c) {
            if (is_reset) c.reset();
        });
        sse::event_source_options options = options_for(server.url(), 3);
        options.method = "POST";
        options.body.resize(std::size_t{16} << 20);
        client it(std::move(options));
        CHECK(it.run());
        CHECK(it.log == strings{"lost", "lost", "over"});
        CHECK(server.connections() == 3);
    }
}

TEST_CASE("a pause is waited to its end") {
    script_server server([](connection& c) { c.request(); });
    sse::event_source_options options = options_for(server.url(), 4);
    options.backoff = {.reconnection_time = 30ms, .max_first_jitter = 0ms};
    client it(std::move(options));
    const auto begin = std::chrono::steady_clock::now();
    it.run();
    CHECK(std::chrono::steady_clock::now() - begin >= 90ms);
    CHECK(it.log == strings{"lost", "lost", "lost", "over"});
}

TEST_CASE("what is no HTTP is an error, and another attempt is made") {
    using namespace std::string_literals;
    for (const std::string& response :
         {"rubbish"s, "rubbish\r\n\r\n"s, std::string(200'000, 'x'), "\0\1\2\3\xFF\r\n\r\n"s,
          "\n\n\n\n\n\n\n\n"s, "HTTP/1.1 abc\r\n\r\n"s, "HTTP/9.1 200 OK\r\n\r\n"s, "HTTP"s,
          "HTTP/1.1 200 OK\r\n"s, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nA\0B: c\r\n\r\n"s,
          "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nno colon\r\n\r\n"s,
          "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: x\r\n\r\n"s,
          std::string(chunked_head) + "zz\r\n", std::string(chunked_head) + "-1\r\n",
          std::string(chunked_head) + "fffffffffffffffff\r\n", std::string(chunked_head) + "2\r\n::X",
          "SSH-2.0-OpenSSH_9.2\r\n"s}) {
        CAPTURE(response.substr(0, 100));
        script_server server([&](connection& c) { c.request(), c.send(response); });
        client it(options_for(server.url(), 2));
        CHECK(it.run());
        REQUIRE(it.errors.size() == 2);
        CHECK(it.errors[0].retry_in);
        CHECK_FALSE(it.errors[1].retry_in);
        CHECK(it.errors[0].code != sse::errc::connection_ended);
        CHECK(server.connections() == 2);
    }
}

TEST_CASE("a head is bounded") {
    for (const bool has_many : {false, true}) {
        CAPTURE(has_many);
        script_server server([&](connection& c) {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n");
            for (int i = 0; i < (has_many ? 300 : 66); ++i)
                c.send("X: " + std::string(has_many ? 1 : 1000, 'x') + "\r\n");
            c.send("\r\ndata: one\n\n");
        });
        client it(options_for(server.url(), 2));
        CHECK(it.run() == sse::errc::http_head_too_large);
        CHECK(it.log == strings{"lost", "over"});
        CHECK(server.connections() == 2);
    }
}

TEST_CASE("interim responses and trailers without end are bounded") {
    struct row {
        std::string begin;
        std::string endless;
        strings log;
    };
    const std::string trailer = "X: " + std::string(1000, 'y') + "\r\n";
    for (const row& each :
         {row{"", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", {"lost", "over"}},
          row{"", "HTTP/1.1 100 Continue\r\n\r\n", {"lost", "over"}},
          row{std::string(chunked_head) + "0\r\n", trailer, {"open", "lost", "open", "over"}}}) {
        CAPTURE(each.endless.substr(0, 30));
        constexpr std::size_t bound = std::size_t{64}
                                      << 20;  // far more than what the system holds on the way
        std::atomic<std::size_t> most = 0;
        script_server server([&](connection& c) {
            c.request();
            c.send(each.begin);
            std::string many;
            while (many.size() < 16'384) many += each.endless;
            for (std::size_t sent = 0; sent < bound; sent += many.size()) {
                most = std::max(most.load(), sent);
                c.send(many);
            }
            most = bound;
        });
        client it(options_for(server.url(), 2));
        CHECK(it.run() == sse::errc::http_head_too_large);
        CHECK(it.log == each.log);
        CHECK(server.connections() == 2);
        CHECK(most < bound);
    }
}

TEST_CASE("nothing is left behind by hundreds of attempts") {
    const auto count_files = [] {
        const std::filesystem::directory_iterator files("/proc/self/fd");
        return std::distance(begin(files), end(files));
    };
    script_server warm_up([](connection& c) { c.request(), c.send(no_content); });
    client(options_for(warm_up.url())).run();
    warm_up.stop();
    const auto before = count_files();
    {
        script_server server([](connection& c) {
            if (c.number() % 3 != 0) c.request();
            if (c.number() % 2 == 0) c.send(std::string(stream_head) + "data: one\n\n");
        });
        client it(options_for(fmt::format("http://localhost:{}", server.port()), 300));
        it.run();
        CHECK(it.errors.size() == 300);
        CHECK(count_files() < before + 20);
    }
    // The thread that looked up the last name may be about to end.
    const auto deadline = std::chrono::steady_clock::now() + guard;
    while (count_files() != before && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    CHECK(count_files() == before);
}

// Listeners

namespace {

/// What a listener of each kind can do, given as a callable.
void listen(client& it, std::string_view to, std::function<void()> what) {
    if (to == "open") it.source.on_open(std::move(what));
    if (to == "message") it.source.on_message([=](const auto&) { what(); });
    if (to == "comment") it.source.on_comment([=](std::string_view) { what(); });
    if (to == "retry") it.source.on_retry([=](sse::milliseconds) { what(); });
    if (to == "error") it.source.on_error([=](const auto&) { what(); });
}

constexpr std::array<std::string_view, 5> kinds = {"open", "message", "comment", "retry", "error"};

/// One of each, in this order; then the end, where that is what the listener waits for.
void send_one_of_each(connection& c, std::string_view kind) {
    c.send(std::string(stream_head) + ": there\nretry: 0\nid: 1\ndata: one\n\nid: 2\ndata: two\n\n");
    if (kind != "error") c.wait_for_close();
}

strings heard_up_to(std::string_view kind) {
    if (kind == "open") return {"open"};
    if (kind == "comment") return {"open", "comment there"};
    if (kind == "retry") return {"open", "comment there", "retry 0"};
    if (kind == "message") return {"open", "comment there", "retry 0", "message one 1"};
    return {"open", "comment there", "retry 0", "message one 1", "message two 2", "lost"};
}

std::string id_after(std::string_view kind) {
    return kind == "message" ? "1" : kind == "error" ? "2" : "(none)";
}

}  // namespace

TEST_CASE("heads are bounded as the options say") {
    script_server server([](connection& c) { c.request(), c.send(stream_head), c.wait_for_close(); });
    client it(options_for(server.url(), 1));
    it.source.on_open([&] { it.source.close(); });
    CHECK(it.run({.limits = {.max_head_bytes = stream_head.size() - 1}}) == sse::errc::http_head_too_large);
    it.source.restart();
    CHECK_FALSE(it.run({.limits = {.max_head_bytes = stream_head.size()}}));
}

TEST_CASE("a source is closed from inside each listener") {
    for (const std::string_view kind : kinds) {
        CAPTURE(kind);
        script_server server([&](connection& c) { c.request(), send_one_of_each(c, kind); });
        client it(options_for(server.url()));
        listen(it, kind, [&] { it.source.close(); });
        CHECK_FALSE(it.run());
        CHECK(it.log == heard_up_to(kind));
        CHECK(server.connections() == 1);
    }
}

TEST_CASE("a source is restarted from inside each listener") {
    for (const std::string_view kind : kinds) {
        CAPTURE(kind);
        script_server server([&](connection& c) {
            c.request();
            if (c.number() == 2) return c.send(no_content);
            send_one_of_each(c, kind);
        });
        sse::event_source_options options = options_for(server.url());
        options.backoff = in_an_hour;
        client it(std::move(options));
        bool was_restarted = false;
        listen(it, kind, [&] {
            if (!std::exchange(was_restarted, true)) it.source.restart();
        });
        CHECK(it.run() == sse::errc::no_content);
        strings heard = heard_up_to(kind);
        heard.emplace_back("over");
        CHECK(it.log == heard);
        REQUIRE(server.requests().size() == 2);
        CHECK(value_of(server.requests()[1], "Last-Event-ID") == id_after(kind));
    }
}

TEST_CASE("a run inside a listener of the same source is an error at once, and starts nothing") {
    for (const std::string_view kind : kinds) {
        CAPTURE(kind);
        script_server server([&](connection& c) { c.request(), send_one_of_each(c, kind); });
        client it(options_for(server.url()));
        std::vector<std::error_code> inner;
        sse::run_control unused;
        unused.close();
        listen(it, kind, [&] {
            inner.push_back(adapter::run(it.source));
            inner.push_back(adapter::run(it.source, {.control = &unused}));
            CHECK(it.source.ready_state() != sse::ready_state::closed);
            it.source.close();
        });
        CHECK_FALSE(it.run());
        CHECK(inner == std::vector<std::error_code>(2, sse::errc::already_running));
        CHECK(it.log == heard_up_to(kind));
        CHECK(server.connections() == 1);
        CHECK(unused.is_told());  // it is still to be obeyed
    }
}

TEST_CASE("so is one inside a hook, or inside the run of another source that a listener runs") {
    script_server server([](connection& c) {
        c.request();
        c.send(std::string(stream_head) + "data: one\n\n");
        c.wait_for_close();
    });
    script_server other_server([](connection& c) { c.request(), c.send(no_content); });
    client other(options_for(other_server.url()));
    sse::event_source* source = nullptr;
    std::vector<std::error_code> inner;
    sse::event_source_options options = options_for(server.url());
    options.renew_headers = [&](sse::headers&) { inner.push_back(adapter::run(*source)); };
    client it(std::move(options));
    source = &it.source;
    other.source.on_error([&](const auto&) { inner.push_back(adapter::run(*source)); });
    it.source.on_message([&](const auto&) {
        CHECK(adapter::run(other.source) == sse::errc::no_content);
        it.source.close();
    });
    CHECK_FALSE(it.run());
    CHECK(inner == std::vector<std::error_code>(2, sse::errc::already_running));
    CHECK(server.connections() == 1);
    CHECK(other_server.connections() == 1);
}

TEST_CASE(
    "a source may be run inside a listener of another one, and again once a run has returned or thrown") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    client it(options_for(server.url()));
    bool has_thrown = false;
    it.source.on_error([&](const auto&) {
        if (!std::exchange(has_thrown, true)) throw std::runtime_error("thrown");
    });
    CHECK_THROWS_AS(it.run(), std::runtime_error);
    it.source.restart();
    CHECK(it.run() == sse::errc::no_content);
    CHECK(server.connections() == 2);
}

TEST_CASE("what a listener throws passes through, and another run goes on behind the last event") {
    for (const std::string_view kind : kinds) {
        CAPTURE(kind);
        script_server server([&](connection& c) {
            c.request();
            if (c.number() == 2) return c.send(no_content);
            send_one_of_each(c, kind);
        });
        client it(options_for(server.url()));
        bool has_thrown = false;
        listen(it, kind, [&] {
            if (!std::exchange(has_thrown, true)) throw std::runtime_error("thrown");
        });
        CHECK_THROWS_WITH_AS(it.run(), "thrown", std::runtime_error);
        CHECK(it.source.ready_state() == sse::ready_state::connecting);
        CHECK(it.log == heard_up_to(kind));
        CHECK(it.run() == sse::errc::no_content);
        REQUIRE(server.requests().size() == 2);
        CHECK(value_of(server.requests()[1], "Last-Event-ID") == id_after(kind));
    }
}

TEST_CASE("what a hook throws passes through, too") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    sse::event_source_options options = options_for(server.url());
    int calls = 0;
    options.renew_headers = [&](sse::headers&) {
        if (++calls == 1) throw std::runtime_error("thrown");
    };
    client it(std::move(options));
    CHECK_THROWS_WITH_AS(it.run(), "thrown", std::runtime_error);
    CHECK(it.run() == sse::errc::no_content);
    CHECK(server.connections() == 1);
}

TEST_CASE("a hook may close the source, and that is that") {
    struct row {
        std::string_view hook;
        int connections;
        strings log;
    };
    for (const row& each :
         {row{"renew_headers", 0, {}}, row{"policy", 1, {}}, row{"is_terminal", 1, {"open"}}}) {
        CAPTURE(each.hook);
        script_server server([](connection& c) {
            c.request();
            c.send(std::string(stream_head) + "data: one\n\ndata: two\n\n");
        });
        sse::event_source* source = nullptr;
        sse::event_source_options options = options_for(server.url());
        options.renew_headers = [&](sse::headers&) {
            if (each.hook == "renew_headers") source->close();
        };
        options.policy = [&](int status, std::string_view type) {
            if (each.hook == "policy") source->close();
            return sse::standard_action(status, type);
        };
        options.is_terminal = [&](const sse::event_view&) {
            if (each.hook == "is_terminal") source->close();
            return false;
        };
        client it(std::move(options));
        source = &it.source;
        CHECK_FALSE(it.run());
        CHECK(it.log == each.log);
        CHECK(it.source.ready_state() == sse::ready_state::closed);
        CHECK_FALSE(it.source.saw_terminal_event());
        CHECK(server.connections() == each.connections);
    }
}

TEST_CASE("what a listener takes is not the server's silence") {
    std::promise<void> begun;
    std::promise<void> sent;
    script_server server([&](connection& c) {
        c.request();
        if (c.number() > 1) return c.send(no_content);
        c.send(std::string(stream_head) + numbered_event(1) + numbered_event(2) + numbered_event(3));
        begun.get_future().wait_for(guard);  // so that the others do not come together with these
        c.send(numbered_event(4) + numbered_event(5) + numbered_event(6));
        c.close();
        sent.set_value();
    });
    sse::event_source_options options = options_for(server.url());
    options.idle_timeout = 30ms;
    options.reconnect_at_end = false;
    client it(std::move(options));
    // All is there before the first event is done with: only the source itself can be late.
    it.source.on_message([&](const sse::event_source::event_view& event) {
        if (event.data == "event 1") begun.set_value(), sent.get_future().wait_for(guard);
        std::this_thread::sleep_for(60ms);
    });
    CHECK_FALSE(it.run());
    CHECK(it.log == strings{"open", "message event 1 1", "message event 2 2", "message event 3 3",
                            "message event 4 4", "message event 5 5", "message event 6 6"});
    CHECK(it.errors.empty());
    CHECK(server.connections() == 1);
}

TEST_CASE("a server has all of its time once a listener is done") {
    std::binary_semaphore done{0};
    script_server server([&](connection& c) {
        c.request();
        c.send(std::string(stream_head) + "data: one\n\n");
        if (done.try_acquire_for(guard)) c.send("data: two\n\n");
        c.wait_for_close();
    });
    sse::event_source_options options =
        options_for(server.url(), 20);  // one of them will be answered in time
    options.idle_timeout = 30ms;
    client it(std::move(options));
    it.source.on_message([&](const sse::event_source::event_view& event) {
        if (event.data == "two") return it.source.close();
        std::this_thread::sleep_for(60ms);
        done.release();
    });
    CHECK_FALSE(it.run());
    CHECK(it.log.back() == "message two ");
}

TEST_CASE("what a hook takes is not the server's, either") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    sse::event_source_options options =
        options_for(server.url(), 20);  // one of them will be answered in time
    options.response_timeout = 40ms;
    options.renew_headers = [](sse::headers&) { std::this_thread::sleep_for(60ms); };
    client it(std::move(options));
    CHECK(it.run() == sse::errc::no_content);
}

TEST_CASE("a source that another loop has left in the middle is taken over") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    client it(options_for(server.url()));
    CHECK(it.source.next(sse::event_source::time_point::clock::now()).step ==
          sse::event_source::step::connect);
    CHECK(it.run() == sse::errc::no_content);
    CHECK(it.log == strings{"lost", "over"});
    CHECK(server.connections() == 1);
}

// From elsewhere

namespace {

/// Where a source is when it is told something.
enum class place { connecting, reading, waiting };

std::atomic<sse::run_control*> control_of_handler = nullptr;

/// Runs a source against a server whose script, once the source is there, does something on its own thread.
struct elsewhere {
    explicit elsewhere(place where, std::function<void(client&)> what)
        : server([this, where, what = std::move(what)](connection& c) {
              c.request();
              if (c.number() == 2) return c.send(no_content);
              if (where == place::reading) c.send(std::string(stream_head) + "data: one\n\n");
              if (where == place::waiting) c.close();
              if (where == place::connecting ||
                  reached.get_future().wait_for(guard) == std::future_status::ready) {
                  what(*it);
              }
              if (where != place::waiting) c.wait_for_close();
          }) {
        sse::event_source_options options = options_for(server.url(), 0);
        options.backoff = in_an_hour;
        options.response_timeout = 1h;
        it = std::make_unique<client>(std::move(options));
        const auto reach = [this](const auto&) { reached.set_value(); };
        if (where == place::reading) it->source.on_message(reach);
        if (where == place::waiting) {
            it->source.on_error([this](const sse::event_source::failure& error) {
                if (error.retry_in) reached.set_value();
            });
        }
    }

    std::promise<void> reached{};
    std::unique_ptr<client> it{};
    script_server server;
};

}  // namespace

namespace {

/// Very many events in few bytes, so that each chunk holds hundreds.
std::string tiny_events() {
    std::string events;
    for (int i = 0; i < 20'000; ++i) events += i % 2 == 0 ? "data: 1\n\n" : ":\nretry: 0\n";
    return events;
}

}  // namespace

TEST_CASE("a close or a restart from elsewhere is obeyed behind the listener, not behind the chunk") {
    for (const std::string_view kind : kinds) {
        for (const bool restarts : {false, true}) {
            if (kind == "error") continue;
            CAPTURE(kind);
            CAPTURE(restarts);
            script_server server([](connection& c) {
                c.request();
                if (c.number() == 2) return c.send(no_content);
                c.send(std::string(stream_head) + tiny_events());
                c.wait_for_close();
            });
            client it(options_for(server.url()));
            std::optional<std::size_t> heard;  // when it was told
            listen(it, kind, [&] {
                if (heard) return;
                heard = it.log.size();
                if (restarts) it.control.restart();
                else it.control.close();
            });
            int behind = 0;
            listen(it, kind, [&] { ++behind; });
            CHECK(it.run() == (restarts ? sse::make_error_code(sse::errc::no_content) : std::error_code()));
            REQUIRE(heard);
            CHECK(it.log.size() == *heard + (restarts ? 1 : 0));  // that it is over
            CHECK(behind == 0);
            CHECK(server.connections() == (restarts ? 2 : 1));
        }
    }
}

TEST_CASE(
    "an event that is read while a close or a restart comes from elsewhere is delivered, and is not lost") {
    for (const bool restarts : {false, true}) {
        CAPTURE(restarts);
        script_server server([](connection& c) {
            const int last = last_event_number(c.request());
            if (c.number() > 1) return c.send(last == 2 ? no_content : std::string_view(answer(500)));
            c.send(stream_head);
            for (int i = 1; i <= 4; ++i) c.send(numbered_event(i));
            c.wait_for_close();
        });
        sse::run_control* control = nullptr;
        sse::event_source_options options = options_for(server.url());
        options.is_terminal = [&](const sse::event_view& event) {
            if (event.last_event_id == "2") restarts ? control->restart() : control->close();
            return false;
        };
        client it(std::move(options));
        control = &it.control;
        const std::error_code error = it.run();
        CHECK(error == (restarts ? sse::make_error_code(sse::errc::no_content) : std::error_code()));
        strings log = {"open", "message event 1 1", "message event 2 2"};
        if (restarts) log.emplace_back("over");
        CHECK(it.log == log);
        CHECK(it.source.last_event_id() == "2");
    }
}

TEST_CASE("behind a close at most one chunk is read, though no listener is called any more") {
    for (const bool from_elsewhere : {false, true}) {
        CAPTURE(from_elsewhere);
        script_server server([](connection& c) {
            c.request();
            c.send(stream_head);
            c.send("data: one\n\nnobody-asks-for-this: ");
            const std::string much(65'536, 'x');
            for (;;) c.send(much);  // up to when the client closes
        });
        client it(options_for(server.url()));
        std::uint64_t before = 0;
        it.source.on_message([&](const auto&) {
            before = it.source.received_bytes();
            if (from_elsewhere) it.control.close();
            else it.source.close();
        });
        CHECK_FALSE(it.run());
        CHECK(it.log == strings{"open", "message one "});
        CHECK(it.source.received_bytes() - before <= 16'384);
        CHECK(server.connections() == 1);
    }
}

TEST_CASE("a close is final until the run has returned, whatever follows it") {
    for (const std::string_view kind : kinds) {
        CAPTURE(kind);
        script_server server([&](connection& c) {
            c.request();
            if (c.number() == 2) return c.send(no_content);
            send_one_of_each(c, kind);
        });
        client it(options_for(server.url()));
        bool is_first = true;
        listen(it, kind, [&] {
            if (!std::exchange(is_first, false)) return;
            it.control.close();
            it.control.restart();
            it.source.restart();
        });
        CHECK_FALSE(it.run());
        CHECK(it.source.ready_state() == sse::ready_state::closed);
        CHECK(it.log == heard_up_to(kind));
        CHECK_FALSE(it.control.is_told());
        it.source.restart();
        CHECK(it.run() == sse::errc::no_content);
        CHECK(server.connections() == 2);
    }
}

TEST_CASE("a source is closed by another thread, wherever it is") {
    for (const place where : {place::connecting, place::reading, place::waiting}) {
        CAPTURE(static_cast<int>(where));
        elsewhere run(where, [](client& it) { it.control.close(); });
        CHECK_FALSE(run.it->run());
        CHECK(run.it->source.ready_state() == sse::ready_state::closed);
        CHECK(run.server.connections() == 1);
    }
}

TEST_CASE("a source is closed by a signal handler, wherever it is") {
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) {
        if (sse::run_control* const control = control_of_handler) control->close();
    };
    REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);
    const pthread_t main_thread = ::pthread_self();
    for (const place where : {place::connecting, place::reading, place::waiting}) {
        for (const bool is_interrupted : {false, true}) {
            CAPTURE(static_cast<int>(where));
            CAPTURE(is_interrupted);
            elsewhere run(where, [&](client& it) {
                control_of_handler = &it.control;
                if (is_interrupted) ::pthread_kill(main_thread, SIGUSR1);
                else ::raise(SIGUSR1);
            });
            CHECK_FALSE(run.it->run());
            CHECK(run.it->source.ready_state() == sse::ready_state::closed);
            CHECK(run.server.connections() == 1);
            control_of_handler = nullptr;
        }
    }
    REQUIRE(::sigaction(SIGUSR1, &before, nullptr) == 0);
}

TEST_CASE("a close by another thread counts, though a restart follows it at once, wherever the source is") {
    for (const place where : {place::connecting, place::reading, place::waiting}) {
        CAPTURE(static_cast<int>(where));
        elsewhere run(where, [](client& it) {
            it.control.close();
            it.control.restart();
        });
        CHECK_FALSE(run.it->run());
        CHECK(run.it->source.ready_state() == sse::ready_state::closed);
        CHECK(run.server.connections() == 1);
    }
}

TEST_CASE("a source is restarted by another thread, wherever it is") {
    for (const place where : {place::connecting, place::reading, place::waiting}) {
        CAPTURE(static_cast<int>(where));
        elsewhere run(where, [](client& it) { it.control.restart(); });
        CHECK(run.it->run() == sse::errc::no_content);
        CHECK(run.server.connections() == 2);
    }
}

TEST_CASE("a connection that is given up is closed before the pause, not behind it") {
    for (const bool is_silent : {false, true}) {
        CAPTURE(is_silent);
        std::atomic<client*> told = nullptr;
        script_server server([&](connection& c) {
            c.request();
            if (is_silent) c.send(stream_head);
            else c.send("HTTP/1.1 503 Thus\r\n\r\nno end");
            try {
                c.wait_for_close();
            } catch (const script_over&) {
                told.load()->control.close();
            }
        });
        sse::event_source_options options = options_for(server.url());
        options.backoff = in_an_hour;
        options.idle_timeout = 20ms;
        options.policy = sse::retrying_action;
        client it(std::move(options));
        told = &it;
        CHECK_FALSE(it.run());
        CHECK(it.errors.size() == 1);
        CHECK(server.connections() == 1);
    }
}

TEST_CASE("what a source is told before it runs is done") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    client it(options_for(server.url()));
    it.control.close();
    CHECK_FALSE(it.run());
    CHECK(it.log.empty());
    it.control.close();
    it.control.restart();  // too late
    CHECK_FALSE(it.run());
    CHECK(it.log.empty());
    it.control.restart();
    CHECK(it.run() == sse::errc::no_content);
    CHECK(server.connections() == 1);
}

TEST_CASE("what a source is told last counts, however much it was told before") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    client it(options_for(server.url()));
    for (int i = 0; i < 100'000; ++i) it.control.restart();  // more than a pipe holds
    it.control.close();
    CHECK_FALSE(it.run());
    CHECK(it.log.empty());
    CHECK(server.connections() == 0);
}

TEST_CASE("who tells a source to close does not wait, and finds errno as it was") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    client it(options_for(server.url()));
    errno = EDOM;
    for (int i = 0; i < 100'000; ++i) it.control.close();  // more than a pipe holds
    CHECK(errno == EDOM);
    CHECK_FALSE(it.run());
    CHECK(it.log.empty());
}

TEST_CASE("a source is closed while its host's name is looked up") {
    client it(options_for("http://slow.test/", 0));
    std::thread closer([&] {
        if (slow_name.wait_for_question()) it.control.close();
    });
    CHECK_FALSE(it.run());
    CHECK(it.log.empty());
    CHECK(slow_name.wait_for_question());  // which is still unanswered
    closer.join();
    slow_name.answer();
}

TEST_CASE("a name that takes too long is given up") {
    sse::event_source_options options = options_for("http://slow.test/", 1);
    options.response_timeout = 30ms;
    client it(std::move(options));
    CHECK(it.run() == sse::errc::timed_out);
    CHECK(slow_name.wait_for_question());  // which is still unanswered
    slow_name.answer();
}

TEST_CASE("who waits does nothing") {
    for (const place where : {place::connecting, place::reading, place::waiting}) {
        CAPTURE(static_cast<int>(where));
        elsewhere run(where, [](client& it) {
            std::this_thread::sleep_for(200ms);
            it.control.close();
        });
        const auto used = [] {
            timespec time{};
            ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
            return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
        };
        const auto before = used();
        CHECK_FALSE(run.it->run());
        CHECK(used() - before < 50ms);
    }
}
