// The machine alone: time and randomness are passed in, nothing is connected to, nobody sleeps.
#include <sse/event_source.hpp>

#include "support/death.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using time_point = sse::event_source::time_point;
using sse::event_source;

/// A source, the loop around it, and a log of what its listeners hear.
struct client {
    explicit client(sse::event_source_options options) : source(filled(std::move(options))) {
        source.on_open([this] { log.emplace_back("open"); });
        source.on_error([this](const event_source::failure& error) {
            const std::string when = error.retry_in ? std::to_string(error.retry_in->count()) : "never";
            log.push_back(fmt::format("{} {} {}", name(error.code), error.status, when));
        });
        source.on_message([this](const event_source::event_view& event) {
            log.push_back(fmt::format("message {} {} {}", event.data, event.last_event_id, event.origin));
        });
        source.on_comment([this](std::string_view text) { log.push_back(fmt::format("comment {}", text)); });
        source.on_retry(
            [this](sse::milliseconds time) { log.push_back(fmt::format("retry {}", time.count())); });
    }

    static sse::event_source_options filled(sse::event_source_options options) {
        if (options.url.empty()) options.url = "http://a.example/stream";
        if (!options.random) options.random = [] { return std::uint64_t{0}; };
        return options;
    }

    static std::string name(std::error_code code) {
        if (code == sse::errc::connection_ended) return "ended";
        if (code == sse::errc::timed_out) return "timeout";
        if (code == sse::errc::no_content) return "no-content";
        if (code == sse::errc::not_event_stream) return "type";
        if (code == sse::errc::status_refused) return "status";
        if (code == sse::errc::redirect_invalid) return "location";
        if (code == sse::errc::redirect_insecure) return "insecure";
        if (code == sse::errc::too_many_redirects) return "redirects";
        if (code == std::errc::connection_refused) return "refused";
        return code.message();
    }

    /// So that what comes next may belong to an attempt before this one.
    void give_up_one_attempt() {
        REQUIRE(connect() != nullptr);
        source.restart();
    }

    /// Lets time pass up to the next attempt. \return the request, or nullptr where there is none
    const sse::request* connect() {
        for (;;) {
            const event_source::task task = source.next(now);
            if (task.step == event_source::step::connect) return task.request;
            if (task.step != event_source::step::wait) return nullptr;
            now = *task.until;
        }
    }

    void answer(int status, std::initializer_list<sse::header> headers = {}) {
        source.handle_response({.status = status, .headers = headers}, now);
    }
    void accept() { answer(200, {{"Content-Type", "text/event-stream"}}); }
    void connect_and_accept() {
        REQUIRE(connect() != nullptr);
        accept();
    }
    void send(std::string_view bytes) { source.handle_bytes(bytes, now); }
    void end() { source.handle_end(now); }
    void refuse() { source.handle_error(std::make_error_code(std::errc::connection_refused), now); }

    std::vector<std::string> take_log() { return std::exchange(log, {}); }

    time_point now{};
    sse::event_source source;
    std::vector<std::string> log{};
};

using strings = std::vector<std::string>;

std::string value_of(const sse::request* request, std::string_view name) {
    REQUIRE(request != nullptr);
    return std::string(sse::find_header(request->headers, name).value_or("(none)"));
}

// Listeners and the loop refer to it.
static_assert(!std::is_copy_constructible_v<event_source> && !std::is_copy_assignable_v<event_source>);
static_assert(!std::is_move_constructible_v<event_source> && !std::is_move_assignable_v<event_source>);

}  // namespace

TEST_CASE("a stream is asked for, opened, read, and asked for again behind its last event") {
    client it({});
    CHECK(it.source.ready_state() == sse::ready_state::connecting);
    const sse::request* request = it.connect();
    CHECK(request->method == "GET");
    CHECK(to_string(request->url) == "http://a.example/stream");
    CHECK(request->headers == sse::headers{{"Accept", "text/event-stream"}, {"Cache-Control", "no-cache"}});
    CHECK(it.source.next(it.now).step == event_source::step::read);

    it.accept();
    CHECK(it.source.ready_state() == sse::ready_state::open);
    it.send("id: 7\ndata: one\n\n: there\nretry: 50\ndata: tw");
    it.send("o\n\nid: 8\ndata: half");
    it.end();
    CHECK(it.source.ready_state() == sse::ready_state::connecting);
    CHECK(it.take_log() == strings{"open", "message one 7 http://a.example", "comment there", "retry 50",
                                   "message two 7 http://a.example", "ended 0 50"});
    CHECK(it.source.next(it.now).step == event_source::step::wait);
    CHECK(value_of(it.connect(), "Last-Event-ID") == "7");
}

TEST_CASE("what each response means") {
    struct row {
        int status;
        std::string_view type;
        std::string_view heard;
        bool is_final;
    };
    for (const row& each :
         {row{200, "text/event-stream", "open", false},
          row{200, "Text/Event-Stream;charset=latin1", "open", false},
          row{200, "text/html", "type 200 never", true}, row{200, "", "type 200 never", true},
          row{201, "text/event-stream", "status 201 never", true},
          row{204, "text/event-stream", "no-content 204 never", true},
          row{301, "", "location 301 never", true}, row{304, "", "status 304 never", true},
          row{401, "", "status 401 never", true}, row{404, "text/event-stream", "status 404 never", true},
          row{429, "", "status 429 never", true}, row{500, "", "status 500 never", true},
          row{503, "", "status 503 never", true}}) {
        CAPTURE(each.status);
        CAPTURE(each.type);
        client it({});
        REQUIRE(it.connect() != nullptr);
        if (each.type.empty()) it.answer(each.status);
        else it.answer(each.status, {{"content-type", std::string(each.type)}});
        CHECK(it.log == strings{std::string(each.heard)});
        CHECK((it.source.next(it.now).step == event_source::step::finished) == each.is_final);
        CHECK((it.source.ready_state() == sse::ready_state::closed) == each.is_final);
        CHECK(static_cast<bool>(it.source.error()) == each.is_final);
    }
}

TEST_CASE("a policy may try again, and what the response asks for is waited") {
    client it({.policy = sse::retrying_action});
    REQUIRE(it.connect() != nullptr);
    it.answer(503, {{"Retry-After", "120"}});
    REQUIRE(it.connect() != nullptr);
    CHECK(it.now == time_point(120s));
    it.answer(429);
    REQUIRE(it.connect() != nullptr);
    CHECK(it.now == time_point(123s));
    it.answer(404);
    CHECK(it.log == strings{"status 503 120000", "status 429 3000", "status 404 never"});
}

TEST_CASE("each input is of use in the states where it makes sense, and is ignored in the others") {
    const auto wait = [](client& it) {
        REQUIRE(it.connect() != nullptr);
        it.refuse();
    };
    const auto go_on = [](client& it) { CHECK(it.source.next(it.now).step == event_source::step::read); };
    const auto request = [&](client& it) {
        REQUIRE(it.connect() != nullptr);
        go_on(it);
    };
    const auto open = [&](client& it) {
        it.connect_and_accept();
        go_on(it);
    };
    const auto redirect = [&](client& it) {
        request(it);
        it.answer(302, {{"Location", "/x"}});
    };
    const auto close = [](client& it) { it.source.close(); };
    const auto nothing = [](client&) {};
    struct state {
        const char* name;
        std::function<void(client&)> reach;
        event_source::step step;
        sse::ready_state ready_state;
    };
    const std::vector<state> states = {
        {"ready", nothing, event_source::step::connect, sse::ready_state::connecting},
        {"waiting", wait, event_source::step::wait, sse::ready_state::connecting},
        {"requesting", request, event_source::step::read, sse::ready_state::connecting},
        {"open", open, event_source::step::read, sse::ready_state::open},
        {"redirected", redirect, event_source::step::connect, sse::ready_state::connecting},
        {"closed", close, event_source::step::finished, sse::ready_state::closed},
    };
    struct input {
        const char* name;
        std::function<void(client&)> give;
        std::vector<const char*> lead_to;  // from each state in turn
    };
    const std::vector<input> inputs = {
        {"accepted",
         [](client& it) { it.accept(); },
         {"ready", "waiting", "open", "open", "redirected", "closed"}},
        {"redirected",
         [](client& it) {
             it.answer(302, {{"Location", "/x"}});
         },
         {"ready", "waiting", "redirected", "open", "redirected", "closed"}},
        {"no content",
         [](client& it) { it.answer(204); },
         {"ready", "waiting", "closed", "open", "redirected", "closed"}},
        {"refused",
         [](client& it) { it.answer(404); },
         {"ready", "waiting", "closed", "open", "redirected", "closed"}},
        {"bytes",
         [](client& it) { it.send("data: x\n\n"); },
         {"ready", "waiting", "requesting", "open", "redirected", "closed"}},
        {"end",
         [](client& it) { it.end(); },
         {"ready", "waiting", "waiting", "waiting", "redirected", "closed"}},
        {"error",
         [](client& it) { it.refuse(); },
         {"ready", "waiting", "waiting", "waiting", "redirected", "closed"}},
        {"fatal error",
         [](client& it) { it.source.handle_fatal_error(sse::errc::tls_unavailable); },
         {"ready", "waiting", "closed", "closed", "redirected", "closed"}},
        {"time",
         [](client& it) { it.now += 1h; },
         {"ready", "ready", "waiting", "open", "redirected", "closed"}},
        {"close",
         [](client& it) { it.source.close(); },
         {"closed", "closed", "closed", "closed", "closed", "closed"}},
        {"restart",
         [](client& it) { it.source.restart(); },
         {"ready", "ready", "ready", "ready", "ready", "ready"}},
    };
    for (const input& each : inputs) {
        for (std::size_t from = 0; from < states.size(); ++from) {
            CAPTURE(each.name);
            CAPTURE(states[from].name);
            client it({});
            it.give_up_one_attempt();
            states[from].reach(it);
            CHECK(it.source.ready_state() == states[from].ready_state);
            const bool was_told = each.lead_to[from] != std::string_view(states[from].name);
            it.take_log();
            each.give(it);
            const auto to = std::find_if(states.begin(), states.end(), [&](const state& state) {
                return state.name == std::string_view(each.lead_to[from]);
            });
            REQUIRE(to != states.end());
            const event_source::task task = it.source.next(it.now);
            CHECK(task.step == to->step);
            CHECK(it.source.ready_state() == to->ready_state);
            if (task.step == event_source::step::connect) {
                const bool is_redirected = to->name == std::string_view("redirected");
                CHECK(task.request->url.target == (is_redirected ? "/x" : "/stream"));
            }
            const bool is_quiet = std::string_view(each.name) == "close" ||
                                  std::string_view(each.name) == "restart" ||
                                  std::string_view(each.name) == "redirected" ||
                                  std::string_view(states[from].name) == "waiting";
            const bool is_message =
                std::string_view(each.name) == "bytes" && to->ready_state == sse::ready_state::open;
            CHECK(it.log.size() == ((was_told && !is_quiet) || is_message ? 1 : 0));
        }
    }
}

TEST_CASE("the table of transitions has no way but those") {
    using sse::detail::next_state;
    using enum sse::detail::event_source_state;
    using enum sse::detail::event_source_input;
    for (const auto from :
         {waiting, ready, redirected, requesting, open, sse::detail::event_source_state::closed}) {
        CAPTURE(static_cast<int>(from));
        const bool is_closed = from == sse::detail::event_source_state::closed;
        CHECK(next_state(from, restart) == ready);
        CHECK(next_state(from, over) == sse::detail::event_source_state::closed);
        CHECK(next_state(from, sse::detail::event_source_input::time) == (from == waiting ? ready : from));
        CHECK(next_state(from, sent) == (from == ready || from == redirected ? requesting : from));
        CHECK(next_state(from, accepted) == (from == requesting ? open : from));
        CHECK(next_state(from, redirect) == (from == requesting ? redirected : from));
        CHECK(next_state(from, lost) == (from == requesting || from == open ? waiting : from));
        CHECK((is_closed || next_state(from, lost) != sse::detail::event_source_state::closed));
    }
}

TEST_CASE("what cannot be late is asserted: it is a mistake of the loop" *
          doctest::skip(!test::has_asserts)) {
    const std::vector<std::function<void(client&)>> reports = {
        [](client& it) { it.accept(); }, [](client& it) { it.send("data: x\n\n"); },
        [](client& it) { it.end(); }, [](client& it) { it.refuse(); },
        [](client& it) { it.source.handle_fatal_error(sse::errc::tls_unavailable); }};
    for (const auto& report : reports) {
        client unasked({});
        CHECK(test::is_asserted([&] { report(unasked); }));
        unasked.source.close();
        CHECK(test::is_asserted([&] { report(unasked); }));
        client asked({});
        asked.give_up_one_attempt();
        CHECK_FALSE(test::is_asserted([&] { report(asked); }));
    }
    client it({});
    REQUIRE(it.connect() != nullptr);
    CHECK(test::is_asserted([&] { it.send("data: x\n\n"); }));  // before the response
    CHECK_FALSE(test::is_asserted([&] { it.end(); }));
    it.accept();
    CHECK(test::is_asserted([&] { it.accept(); }));  // once more
    CHECK_FALSE(test::is_asserted([&] { it.send("data: x\n\n"); }));
    it.end();
    CHECK_FALSE(test::is_asserted([&] { it.send("data: x\n\n"); }));
    REQUIRE(it.connect() != nullptr);
    CHECK_FALSE(test::is_asserted([&] { it.send("data: x\n\n"); }));  // they may be of the first response
    it.accept();
    CHECK_FALSE(test::is_asserted([&] { it.accept(); }));
    CHECK_FALSE(test::is_asserted([&] { event_source unused({.url = "http://a/"}); }));
}

TEST_CASE("no source is destroyed inside its own listener or hook" * doctest::skip(!test::has_asserts)) {
    for (const bool by_hook : {false, true}) {
        CAPTURE(by_hook);
        client* doomed = nullptr;
        const auto destroy = [&] { doomed->source.~event_source(); };
        client it({.is_terminal = [&](const sse::event_view&) {
            if (by_hook) destroy();
            return false;
        }});
        doomed = &it;
        if (!by_hook) it.source.on_message([&](const event_source::event_view&) { destroy(); });
        it.connect_and_accept();
        CHECK(test::is_asserted([&] { it.send("data: x\n\n"); }));
    }
}

TEST_CASE("whether bytes are of use is told") {
    client it({});
    CHECK_FALSE(it.source.is_reading());
    REQUIRE(it.connect() != nullptr);
    CHECK(it.source.is_reading());
    it.answer(302, {{"Location", "/b"}});
    CHECK_FALSE(it.source.is_reading());
    it.connect_and_accept();
    CHECK(it.source.is_reading());
    it.end();
    CHECK_FALSE(it.source.is_reading());
    it.connect_and_accept();
    it.source.restart();
    CHECK_FALSE(it.source.is_reading());
    it.connect_and_accept();
    it.source.close();
    CHECK_FALSE(it.source.is_reading());
}

TEST_CASE("what another attempt could not mend is final") {
    client it({});
    it.connect_and_accept();
    it.source.handle_fatal_error(sse::errc::tls_unavailable);
    CHECK(it.log.back().ends_with(" 0 never"));
    CHECK(it.connect() == nullptr);
    CHECK(it.source.error() == sse::errc::tls_unavailable);
}

TEST_CASE("a pause is waited to its end, and grows while attempts fail") {
    std::uint64_t random = 0;
    client it({.random = [&] { return random; }});
    for (const std::int64_t most : {1000, 2000, 4000, 8000, 16'000, 30'000, 30'000}) {
        REQUIRE(it.connect() != nullptr);
        random = static_cast<std::uint64_t>(most);
        it.refuse();
        const time_point due = it.now + 3s + std::chrono::milliseconds(most);
        it.now = due - 1ns;
        CHECK(it.source.next(it.now).step == event_source::step::wait);
        it.now = due;
    }
    CHECK(it.source.failures() == 7);
}

TEST_CASE("only a stream that stayed up ends a row of failures") {
    client it({.backoff = {.stable_after = 10s}});
    for (int i = 0; i < 3; ++i) {
        it.connect_and_accept();
        it.now += 9s;
        it.end();
    }
    CHECK(it.source.failures() == 3);
    it.connect_and_accept();
    it.now += 10s;
    it.end();
    CHECK(it.source.failures() == 1);
}

TEST_CASE("an attempt that never opens is not stable, however long a stream before it was open") {
    client it({.backoff = {.stable_after = 10s}, .max_attempts = 3});
    it.connect_and_accept();
    it.now += 1h;
    it.end();
    CHECK(it.source.failures() == 1);
    for (std::uint32_t failures = 2; failures <= 3; ++failures) {
        REQUIRE(it.connect() != nullptr);
        it.now += 1min;
        it.refuse();
        CHECK(it.source.failures() == failures);
    }
    CHECK(it.connect() == nullptr);
}

TEST_CASE("a server that closes at once, for ever, with retry: 0, meets patience") {
    std::mt19937_64 random(3);
    client it({.random = [&] { return random(); }});
    int attempts = 0;
    while (it.now < time_point(10min)) {
        it.connect_and_accept();
        it.send("retry: 0\n\n");
        it.end();
        ++attempts;
        if (it.source.next(it.now).step == event_source::step::wait) it.now = *it.source.next(it.now).until;
    }
    CHECK(attempts < 60);
}

TEST_CASE("attempts are limited where that is asked for") {
    client it({.max_attempts = 3});
    for (int i = 0; i < 3; ++i) {
        REQUIRE(it.connect() != nullptr);
        it.refuse();
    }
    CHECK(it.log == strings{"refused 0 3000", "refused 0 3000", "refused 0 never"});
    CHECK(it.connect() == nullptr);
    CHECK(it.source.error() == std::errc::connection_refused);
}

TEST_CASE("attempts run out also where a stream is stable from its first moment") {
    client it({.backoff = {.stable_after = 0s}, .max_attempts = 2});
    REQUIRE(it.connect() != nullptr);
    it.refuse();
    REQUIRE(it.connect() != nullptr);
    it.refuse();
    CHECK(it.connect() == nullptr);
}

TEST_CASE("a source of randomness that throws harms nothing") {
    client it({.random = []() -> std::uint64_t { throw std::runtime_error("none"); }});
    it.connect_and_accept();
    CHECK_THROWS_AS(it.end(), std::runtime_error);
    CHECK(it.source.next(it.now).step == event_source::step::read);
    it.source.close();
    CHECK(it.source.next(it.now).step == event_source::step::finished);
}

TEST_CASE("no response within the timeout is a failure") {
    client it({.response_timeout = 5s});
    REQUIRE(it.connect() != nullptr);
    CHECK(it.source.next(it.now).until == time_point(5s));
    it.now = time_point(5s);
    CHECK(it.source.next(it.now).step == event_source::step::wait);
    CHECK(it.log == strings{"timeout 0 3000"});
    it.accept();  // too late
    CHECK(it.source.ready_state() == sse::ready_state::connecting);
}

TEST_CASE("the watchdog is fed by any byte, and bites in silence") {
    client it({.idle_timeout = 10s});
    it.connect_and_accept();
    for (int i = 0; i < 5; ++i) {
        it.now += 9s;
        CHECK(it.source.next(it.now).step == event_source::step::read);
        it.send(":");
    }
    CHECK(it.source.next(it.now).until == it.now + 10s);
    it.now += 10s;
    CHECK(it.source.next(it.now).step == event_source::step::wait);
    CHECK(it.log.back() == "timeout 0 3000");
}

TEST_CASE("silence is counted from when the loop asks: a slow listener or hook is not the server's fault") {
    time_point* now = nullptr;
    client it(
        {.renew_headers = [&](sse::headers&) { *now += 1min; }, .response_timeout = 5s, .idle_timeout = 5s});
    now = &it.now;
    it.source.on_message([&](const event_source::event_view&) { it.now += 1min; });
    REQUIRE(it.connect() != nullptr);
    CHECK(it.source.next(it.now).until == it.now + 5s);
    it.accept();
    it.send("data: x\n\n");
    CHECK(it.source.next(it.now).until == it.now + 5s);
    it.now += 5s;
    CHECK(it.source.next(it.now).step == event_source::step::wait);
}

TEST_CASE("without timeouts there is nothing to wait for but bytes") {
    client it({.response_timeout = 0ms});
    REQUIRE(it.connect() != nullptr);
    CHECK_FALSE(it.source.next(it.now).until);
    it.accept();
    CHECK_FALSE(it.source.next(it.now).until);
}

TEST_CASE("a clock may count from later than now") {
    client it({.response_timeout = 5s});
    it.now = time_point(-1h);
    REQUIRE(it.connect() != nullptr);
    CHECK(it.source.next(it.now).until == time_point(-1h) + 5s);
    it.refuse();
    CHECK(it.source.next(it.now).until == time_point(-1h) + 3s);
}

// Redirects

TEST_CASE("redirects are followed to the end, and the next attempt begins at the first URL") {
    client it({});
    REQUIRE(it.connect() != nullptr);
    it.answer(302, {{"Location", "/b?x"}});
    CHECK(to_string(it.connect()->url) == "http://a.example/b?x");
    it.answer(308, {{"Location", "https://c.example/d"}});
    CHECK(to_string(it.connect()->url) == "https://c.example/d");
    it.accept();
    it.send("data: x\n\n");
    CHECK(it.log == strings{"open", "message x  https://c.example"});
    it.end();
    CHECK(to_string(it.connect()->url) == "http://a.example/stream");
    CHECK(to_string(it.source.url()) == "http://a.example/stream");
}

TEST_CASE("redirects that lead nowhere, in circles, or into the open, are final") {
    for (const char* location : {"", "ftp://a/", "http://a b/", "http://user@a/"}) {
        CAPTURE(location);
        client it({});
        REQUIRE(it.connect() != nullptr);
        it.answer(302, {{"Location", location}});
        CHECK(it.log == strings{"location 302 never"});
        CHECK(it.connect() == nullptr);
    }
    client circle({.max_redirects = 5});
    int asked = 0;
    for (; circle.connect() != nullptr; ++asked) circle.answer(301, {{"Location", "/stream"}});
    CHECK(asked == 6);
    CHECK(circle.log == strings{"redirects 301 never"});

    client open({.url = "https://a.example/"});
    REQUIRE(open.connect() != nullptr);
    open.answer(307, {{"Location", "https://b.example/"}});
    CHECK(to_string(open.connect()->url) == "https://b.example/");
    open.answer(307, {{"Location", "http://b.example/"}});
    CHECK(open.log == strings{"insecure 307 never"});
}

TEST_CASE("a row of redirects cannot make the URL grow without bound") {
    client it({});
    std::size_t longest = 0;
    int asked = 0;
    for (; const sse::request* request = it.connect(); ++asked) {
        longest = std::max(longest, to_string(request->url).size());
        it.answer(302, {{"Location", std::string(6000, '\xE9') + '/'}});  // each encoded in three
    }
    CHECK(longest <= sse::max_url_bytes);
    CHECK(asked == 4);
    CHECK(it.log == strings{"location 302 never"});
}

TEST_CASE("each attempt may follow as many redirects as the one before") {
    client it({.max_redirects = 1});
    for (int i = 0; i < 3; ++i) {
        REQUIRE(it.connect() != nullptr);
        it.answer(302, {{"Location", "/b"}});
        it.connect_and_accept();
        it.end();
    }
    CHECK(it.source.ready_state() == sse::ready_state::connecting);
}

TEST_CASE("credentials and secrets stay with their origin") {
    const sse::headers all{{"authorization", "a"}, {"Cookie", "b"}, {"Proxy-Authorization", "c"},
                           {"X-Key", "d"},         {"Host", "f"},   {"X-Plain", "e"}};
    for (const char* location : {"http://b.example/", "https://a.example/", "http://a.example:81/"}) {
        CAPTURE(location);
        client it({.headers = all, .secret_headers = {"x-key"}});
        REQUIRE(it.connect() != nullptr);
        it.answer(307, {{"Location", "/same"}});
        CHECK(value_of(it.connect(), "Authorization") == "a");
        it.answer(307, {{"Location", location}});
        const sse::request* request = it.connect();
        for (const char* name : {"Authorization", "Cookie", "Proxy-Authorization", "X-Key", "Host"}) {
            CHECK(value_of(request, name) == "(none)");
        }
        CHECK(value_of(request, "X-Plain") == "e");
        it.answer(307, {{"Location", "http://a.example/back"}});
        if (std::string_view(location).starts_with("https")) continue;
        CHECK(value_of(it.connect(), "Authorization") == "(none)");  // once gone, gone
        it.refuse();
        CHECK(value_of(it.connect(), "Authorization") == "a");  // but not from the next attempt
    }
}

TEST_CASE("a POST keeps its body where the redirect says so, and else becomes a GET") {
    struct row {
        int status;
        std::string_view method;
    };
    for (const row& each :
         {row{301, "GET"}, row{302, "GET"}, row{303, "GET"}, row{307, "POST"}, row{308, "POST"}}) {
        CAPTURE(each.status);
        client it({.method = "POST", .body = "{}", .headers = {{"Content-Type", "application/json"}}});
        CHECK(it.connect()->body == "{}");
        it.answer(each.status, {{"Location", "/b"}});
        const sse::request* request = it.connect();
        CHECK(request->method == each.method);
        CHECK(request->body == (each.method == "POST" ? "{}" : ""));
        CHECK(value_of(request, "Content-Type") == (each.method == "POST" ? "application/json" : "(none)"));
    }
}

TEST_CASE("any other method is kept but by 303, and with the body go the headers about it") {
    for (const int status : {301, 302, 303, 307, 308}) {
        CAPTURE(status);
        client it({.method = "PUT",
                   .body = "{}",
                   .headers = {{"Content-Type", "a/b"}, {"content-language", "de"}, {"X-Content", "c"}}});
        REQUIRE(it.connect() != nullptr);
        it.answer(status, {{"Location", "/b"}});
        const sse::request* request = it.connect();
        CHECK(request->method == (status == 303 ? "GET" : "PUT"));
        CHECK(request->body == (status == 303 ? "" : "{}"));
        CHECK(value_of(request, "Content-Type") == (status == 303 ? "(none)" : "a/b"));
        CHECK(value_of(request, "Content-Language") == (status == 303 ? "(none)" : "de"));
        CHECK(value_of(request, "X-Content") == "c");
    }
}

// Heads

TEST_CASE("headers are renewed before each attempt") {
    int token = 0;
    client it({.headers = {{"X-Plain", "x"}}, .renew_headers = [&](sse::headers& headers) {
                   headers.push_back({"Authorization", "token " + std::to_string(++token)});
               }});
    CHECK(value_of(it.connect(), "Authorization") == "token 1");
    it.refuse();
    const sse::request* request = it.connect();
    CHECK(value_of(request, "Authorization") == "token 2");
    CHECK(request->headers.size() == 4);
}

TEST_CASE("a hook that makes a header nobody may send is not obeyed, even if a listener begins anew") {
    int hooked = 0;
    client it({.renew_headers = [&](sse::headers& headers) {
        headers.push_back({"A", ++hooked < 3 ? "b\r\nC: d" : "e"});
    }});
    it.source.on_error([&](const event_source::failure&) { it.source.restart(); });
    for (int i = 1; i < 3; ++i) {
        const event_source::task task = it.source.next(it.now);
        CHECK(task.step == event_source::step::wait);  // the loop goes round
        CHECK(task.until == it.now);
        CHECK(hooked == i);
    }
    CHECK(value_of(it.connect(), "A") == "e");
}

TEST_CASE("a hook that makes a header nobody may send ends it") {
    client it({.renew_headers = [](sse::headers& headers) { headers.push_back({"A", "b\r\nC: d"}); }});
    CHECK(it.connect() == nullptr);
    CHECK(it.source.error() == sse::errc::header_value_invalid);
}

TEST_CASE("the caller's own Accept stands") {
    client it({.headers = {{"accept", "text/event-stream, */*"}}});
    CHECK(it.connect()->headers ==
          sse::headers{{"accept", "text/event-stream, */*"}, {"Cache-Control", "no-cache"}});
}

TEST_CASE("an ID that no header can carry is not sent, and one that is too long is not even kept") {
    for (const std::string& id : {std::string("a\tb"), std::string("\x01"), std::string("a\x7F")}) {
        client it({.max_last_event_id_bytes = 10});
        it.connect_and_accept();
        it.send("id: " + id + "\ndata\n\n");
        CHECK(it.source.last_event_id() == id);
        it.end();
        CHECK(value_of(it.connect(), "Last-Event-ID") == "(none)");
    }
    client it({.max_last_event_id_bytes = 10});
    it.connect_and_accept();
    it.send("id: 0123456789\n\n");  // counts without an event
    it.end();
    CHECK(value_of(it.connect(), "Last-Event-ID") == "0123456789");
    it.accept();
    it.send("id\n\n");  // clears it
    it.end();
    CHECK(value_of(it.connect(), "Last-Event-ID") == "(none)");

    it.accept();
    it.send("id: 1\n\nid: 01234567890\ndata: a\n\ndata: b\n\n");
    CHECK(it.source.last_event_id().empty());  // and not "1", behind which it is not
    CHECK(it.log.back() == "message b 01234567890 http://a.example");
    it.end();
    CHECK(value_of(it.connect(), "Last-Event-ID") == "(none)");
    it.accept();
    it.send("data: c\n\n");
    CHECK(it.log.back() == "message c  http://a.example");
}

TEST_CASE("an ID that cannot be sent back is told, and the stream goes on") {
    for (const std::string& id : {std::string("0123456789x"), std::string("a\tb"), std::string("\x01"),
                                  std::string("a\x7F"), std::string(" a"), std::string("a ")}) {
        CAPTURE(id);
        client it({.max_last_event_id_bytes = 10});
        it.source.on_unsendable_id(
            [&](std::string_view unsendable) { it.log.push_back(fmt::format("unsendable {}", unsendable)); });
        it.connect_and_accept();
        it.send("id: 0123456789\n\n");  // which can be sent
        CHECK(it.take_log() == strings{"open"});
        it.send("id: " + id + "\ndata: 2\n\ndata: 3\n\nid\ndata: 4\n\nid: 5\ndata: 5\n\n");
        CHECK(it.log == strings{"unsendable " + id, "message 2 " + id + " http://a.example",
                                "message 3 " + id + " http://a.example", "message 4  http://a.example",
                                "message 5 5 http://a.example"});
        it.take_log();
        it.send("id: " + id + "\n\n");  // without an event, too
        CHECK(it.log == strings{"unsendable " + id});
    }
}

TEST_CASE("who is told of an ID that cannot be sent back may close, restart, and throw") {
    for (const char deed : {'c', 'r', 't'}) {
        CAPTURE(deed);
        client it({.max_last_event_id_bytes = 2});
        int told = 0;
        it.source.on_unsendable_id([&](std::string_view) {
            ++told;
            if (deed == 'c') it.source.close();
            if (deed == 'r') it.source.restart();
            if (deed == 't') throw std::runtime_error("bad");
        });
        it.source.on_unsendable_id([&](std::string_view) { ++told; });
        it.source.on_unsendable_id(nullptr);
        it.connect_and_accept();
        const std::string_view bytes = "id: 1\n\nid: 123\ndata: x\n\nid: 456\ndata: y\n\n";
        if (deed == 't') CHECK_THROWS_AS(it.send(bytes), std::runtime_error);
        else it.send(bytes);
        CHECK(told == 1);
        CHECK(it.log == strings{"open"});
        CHECK((it.connect() == nullptr) == (deed == 'c'));
        CHECK(it.source.last_event_id() == "1");  // the event behind it is asked for again
    }
}

TEST_CASE("an ID from an earlier run is sent at once") {
    CHECK(value_of(client({.last_event_id = "41"}).connect(), "Last-Event-ID") == "41");
}

TEST_CASE("wrong options are named when the source is made") {
    const auto check = [](const sse::event_source_options& options) {
        const sse::error error = event_source::check(options);
        if (error) CHECK_THROWS_AS(sse::event_source{options}, std::system_error);
        else CHECK_NOTHROW(sse::event_source{options});
        return error;
    };
    CHECK(check({.url = "http://a/"}) == sse::errc::ok);
    CHECK(check({}) == sse::errc::url_invalid);
    CHECK(check({.url = "ftp://a/"}) == sse::errc::url_scheme_unsupported);
    CHECK(check({.url = "http://a/", .method = "GET /"}) == sse::errc::method_invalid);
    CHECK(check({.url = "http://a/", .method = ""}) == sse::errc::method_invalid);
    CHECK(check({.url = "http://a/", .method = "HEAD"}) == sse::errc::method_invalid);  // nothing to read
    CHECK(check({.url = "http://a/", .method = "CONNECT"}) == sse::errc::method_invalid);
    CHECK(check({.url = "http://a/", .body = "x"}) == sse::errc::method_invalid);  // POST was forgotten
    CHECK(check({.url = "http://a/", .headers = {{"A:", "b"}}}) == sse::errc::header_name_invalid);
    CHECK(check({.url = "http://a/", .headers = {{"A", "b\n"}}}) == sse::errc::header_value_invalid);
    CHECK(check({.url = "http://a/", .last_event_id = "a\nb"}) == sse::errc::last_event_id_invalid);
    CHECK(check({.url = "http://a/", .last_event_id = "abc", .max_event_bytes = 2}) ==
          sse::errc::last_event_id_invalid);
    CHECK(check({.url = "http://a/", .last_event_id = "abc", .max_event_bytes = 3}) == sse::errc::ok);
    CHECK(check({.url = "http://a/", .last_event_id = "abc", .max_last_event_id_bytes = 2}) ==
          sse::errc::last_event_id_invalid);  // it would never be sent
    CHECK(check({.url = "http://a/", .last_event_id = "abc", .max_last_event_id_bytes = 3}) == sse::errc::ok);
    CHECK(check({.url = "http://a/", .max_last_event_id_bytes = 0}) == sse::errc::ok);
}

TEST_CASE("the defaults are those that the documents name") {
    const sse::event_source_options options;
    CHECK(options.method == "GET");
    CHECK(options.body.empty());
    CHECK(options.headers.empty());
    CHECK_FALSE(options.renew_headers);
    CHECK_FALSE(options.with_credentials);
    CHECK(options.secret_headers.empty());
    CHECK(options.last_event_id.empty());
    CHECK(options.max_last_event_id_bytes == 4096);
    CHECK(options.policy(200, "text/event-stream") == sse::response_action::open);
    CHECK(options.policy(503, "") == sse::response_action::fail);
    CHECK(options.max_attempts == 0);
    CHECK(options.max_redirects == 20);
    CHECK(options.response_timeout == 30s);
    CHECK(options.idle_timeout == 0s);
    CHECK(options.reconnect_at_end);
    CHECK(options.unfinished_event == sse::unfinished_event::discard);
    CHECK_FALSE(options.is_terminal);
    CHECK(options.max_event_bytes == std::size_t{16} << 20);
    CHECK(options.invalid_utf8 == sse::invalid_utf8::replace);
    CHECK_FALSE(options.random);
    CHECK(options.backoff.reconnection_time == 3s);
    CHECK(options.backoff.max_first_jitter == 1s);
    CHECK(options.backoff.max_jitter == 30s);
    CHECK(options.backoff.max_reconnection_time == 24h);
    CHECK(options.backoff.stable_after == 10s);
}

// What is read

TEST_CASE("events go to those who asked for their type, in the order in which they asked") {
    client it({});
    strings heard;
    it.source.on("tick", [&](const event_source::event_view&) { heard.emplace_back("first"); });
    it.source.on("tick", [&](const event_source::event_view& event) {
        heard.push_back("second " + std::string(event.data));
        it.source.on("tick", [&](const event_source::event_view&) { heard.emplace_back("late"); });
    });
    it.connect_and_accept();
    it.send("event: tick\ndata: 1\n\nevent: other\ndata: 2\n\n");
    CHECK(heard == strings{"first", "second 1"});
    it.send("event: tick\ndata: 3\n\n");
    CHECK(heard == strings{"first", "second 1", "first", "second 3", "late"});
}

TEST_CASE("those who asked for every type hear each event in their turn") {
    client it({});
    strings heard;
    it.source.on("tick", [&](const event_source::event_view&) { heard.emplace_back("tick"); });
    it.source.on_event(
        [&](const event_source::event_view& event) { heard.push_back("all " + std::string(event.type)); });
    it.source.on_message([&](const event_source::event_view&) { heard.emplace_back("message"); });
    it.connect_and_accept();
    it.send("data: 1\n\nevent: tick\ndata: 2\n\n");
    CHECK(heard == strings{"all message", "message", "tick", "all tick"});
}

TEST_CASE("bytes of streams are counted, of all connections") {
    client it({});
    it.connect_and_accept();
    it.send("data: 1\n\n");
    it.send(":\n");
    it.end();
    it.send("late");
    CHECK(it.source.received_bytes() == 11);
    it.connect_and_accept();
    it.send("\n");
    CHECK(it.source.received_bytes() == 12);
}

TEST_CASE("a body that is still compressed is refused") {
    for (const std::string_view coding : {"gzip", "GZIP", "identity, br"}) {
        client it({});
        REQUIRE(it.connect() != nullptr);
        it.answer(200, {{"Content-Type", "text/event-stream"}, {"content-encoding", std::string(coding)}});
        CHECK(it.source.error() == sse::errc::http_unsupported);
        CHECK(it.log.size() == 1);
    }
    client twice({});
    REQUIRE(twice.connect() != nullptr);
    twice.answer(200, {{"Content-Type", "text/event-stream"},
                       {"Content-Encoding", "gzip"},
                       {"Content-Encoding", "identity"}});
    CHECK(twice.source.error() == sse::errc::http_unsupported);
    for (const std::string_view coding : {"", "identity", "Identity"}) {
        client it({});
        REQUIRE(it.connect() != nullptr);
        it.answer(200, {{"Content-Type", "text/event-stream"}, {"content-encoding", std::string(coding)}});
        CHECK(it.source.ready_state() == sse::ready_state::open);
    }
}

TEST_CASE("whether the transport may keep credentials is told") {
    CHECK_FALSE(client({}).source.with_credentials());
    CHECK(client({.with_credentials = true}).source.with_credentials());
}

TEST_CASE("what a browser would replace in ill-formed UTF-8 is replaced") {
    client it({});
    it.connect_and_accept();
    it.send("data: \xFF\n\n");
    CHECK(it.log.back() == "message \xEF\xBF\xBD  http://a.example");
}

TEST_CASE("a terminal event ends it, and is not delivered") {
    client it({.is_terminal = [](const sse::event_view& event) { return event.data == "[DONE]"; }});
    it.connect_and_accept();
    it.send("data: a\n\ndata: [DONE]\n\ndata: b\n\n");
    CHECK(it.log == strings{"open", "message a  http://a.example"});
    CHECK(it.source.next(it.now).step == event_source::step::finished);
    CHECK_FALSE(it.source.error());
    CHECK(it.source.saw_terminal_event());
    it.source.restart();
    CHECK_FALSE(it.source.saw_terminal_event());

    client cut_short(
        {.reconnect_at_end = false, .is_terminal = [](const sse::event_view&) { return false; }});
    cut_short.connect_and_accept();
    cut_short.send("data: a\n\n");
    cut_short.end();
    CHECK(cut_short.source.next(cut_short.now).step == event_source::step::finished);
    CHECK_FALSE(cut_short.source.saw_terminal_event());
}

TEST_CASE("no function in the place of a listener or of the policy is as if nothing had been said") {
    client it({.policy = nullptr});
    it.source.on("x", nullptr);
    it.source.on_event(nullptr);
    it.source.on_message(nullptr);
    it.source.on_open(nullptr);
    it.source.on_error(nullptr);
    it.source.on_comment(nullptr);
    it.source.on_retry(nullptr);
    it.connect_and_accept();
    it.send(": c\nretry: 5\nevent: x\ndata: 1\n\ndata: 2\n\n");
    it.end();
    CHECK(it.log == strings{"open", "comment c", "retry 5", "message 2  http://a.example", "ended 0 5"});
}

TEST_CASE("a half event at the end is dropped, or delivered where that is asked for") {
    client browser({});
    browser.connect_and_accept();
    browser.send("data: half");
    browser.end();
    CHECK(browser.log == strings{"open", "ended 0 3000"});

    client llm({.reconnect_at_end = false, .unfinished_event = sse::unfinished_event::deliver});
    llm.connect_and_accept();
    llm.send("data: half");
    llm.end();
    CHECK(llm.log == strings{"open", "message half  http://a.example"});
    CHECK(llm.source.next(llm.now).step == event_source::step::finished);

    client broken({.unfinished_event = sse::unfinished_event::deliver});
    broken.connect_and_accept();
    broken.send("data: half");
    broken.refuse();
    CHECK(broken.log == strings{"open", "refused 0 3000"});
    broken.connect_and_accept();
    broken.send("data: whole\n\n");
    CHECK(broken.log.back() == "message whole  http://a.example");
}

TEST_CASE("an event beyond the limit ends it") {
    client it({.max_event_bytes = 100});
    it.connect_and_accept();
    it.send("data: " + std::string(200, 'x'));
    CHECK(it.source.error() == sse::errc::event_too_large);
    CHECK(it.source.next(it.now).step == event_source::step::finished);
}

// From inside a listener

TEST_CASE("close and restart work from inside each listener, and nothing comes behind them") {
    struct row {
        const char* name;
        std::function<void(sse::event_source&, std::function<void()>)> listen;
    };
    const std::vector<row> rows = {
        {"event",
         [](auto& source, auto act) { source.on_message([=](const event_source::event_view&) { act(); }); }},
        {"open", [](auto& source, auto act) { source.on_open(act); }},
        {"error",
         [](auto& source, auto act) { source.on_error([=](const event_source::failure&) { act(); }); }},
        {"comment", [](auto& source, auto act) { source.on_comment([=](std::string_view) { act(); }); }},
        {"retry", [](auto& source, auto act) { source.on_retry([=](sse::milliseconds) { act(); }); }},
    };
    for (const bool restarts : {false, true}) {
        for (const row& each : rows) {
            CAPTURE(each.name);
            CAPTURE(restarts);
            client it({});
            int acted = 0;
            int heard_behind = 0;
            each.listen(it.source, [&] {
                ++acted;
                if (restarts) it.source.restart();
                else it.source.close();
            });
            it.source.on("behind", [&](const event_source::event_view&) { ++heard_behind; });
            it.connect_and_accept();
            it.send("data: x\n: y\n\nretry: 5\nevent: message\ndata: z\n\nevent: behind\ndata: x\n\n");
            it.end();
            CHECK(acted == 1);
            CHECK(heard_behind == (std::string_view(each.name) == "error" ? 1 : 0));
            CHECK(it.source.next(it.now).step ==
                  (restarts ? event_source::step::connect : event_source::step::finished));
            if (!restarts) continue;
            it.accept();
            CHECK(it.source.ready_state() == (std::string_view(each.name) == "open"
                                                  ? sse::ready_state::connecting
                                                  : sse::ready_state::open));
        }
    }
}

TEST_CASE("the loop's functions do nothing inside a listener or a hook, whatever else that has done") {
    enum class place { event, open, error, comment, retry, headers, policy, random, terminal };
    for (const place where : {place::event, place::open, place::error, place::comment, place::retry,
                              place::headers, place::policy, place::random, place::terminal}) {
        for (const char deed : {' ', 'r', 'c', 't'}) {
            CAPTURE(static_cast<int>(where));
            CAPTURE(deed);
            sse::event_source* source = nullptr;
            int acted = 0;
            std::optional<event_source::task> asked;
            const auto act = [&](place here) {
                if (here != where || acted++ != 0) return;
                if (deed == 'r') source->restart();
                if (deed == 'c') source->close();
                asked = source->next(time_point(1h));
                source->handle_response({.status = 200, .headers = {{"Content-Type", "text/event-stream"}}},
                                        time_point(1h));
                source->handle_bytes("data: forged\n\n", time_point(1h));
                source->handle_end(time_point(1h));
                source->handle_error(std::make_error_code(std::errc::io_error), time_point(1h));
                source->handle_fatal_error(sse::errc::tls_unavailable);
                if (deed == 't') throw std::runtime_error("bad");
            };
            client it({.renew_headers = [&](sse::headers&) { act(place::headers); },
                       .policy =
                           [&](int status, std::string_view type) {
                               act(place::policy);
                               return sse::standard_action(status, type);
                           },
                       .is_terminal =
                           [&](const sse::event_view&) {
                               act(place::terminal);
                               return false;
                           },
                       .random =
                           [&] {
                               act(place::random);
                               return std::uint64_t{0};
                           }});
            source = &it.source;
            it.source.on_event([&](const event_source::event_view& event) {
                act(place::event);
                CHECK(event.data == "two\nlines");
                CHECK(event.last_event_id == "7");
            });
            it.source.on_open([&] { act(place::open); });
            it.source.on_error([&](const event_source::failure&) { act(place::error); });
            it.source.on_comment([&](std::string_view) { act(place::comment); });
            it.source.on_retry([&](sse::milliseconds) { act(place::retry); });
            try {
                if (it.connect() != nullptr) {
                    it.accept();
                    it.send(": c\nretry: 5\nid: 7\ndata: two\ndata: lines\n\ndata: half");
                    it.end();
                }
            } catch (const std::runtime_error&) {
                CHECK(deed == 't');
            }
            REQUIRE(acted == 1);
            CHECK(it.source.received_bytes() <= 52);
            CHECK(asked->request == nullptr);
            if (deed == 'c') {
                CHECK(asked->step == event_source::step::finished);
                CHECK(it.source.next(it.now).step == event_source::step::finished);
                CHECK_FALSE(it.source.error());
                continue;
            }
            // It is to ask again, and to keep the connection where there is one.
            const bool is_idle = deed == 'r' || where == place::headers || where == place::error;
            CHECK(asked->step == (is_idle ? event_source::step::wait : event_source::step::read));
            CHECK(asked->until == time_point(1h));
            for (const std::string& heard : it.take_log()) CHECK(heard.find("forged") == std::string::npos);

            // Afterwards it goes on as if nothing had been called, be it after an exception.
            it.source.restart();
            it.connect_and_accept();
            it.send("id: 7\ndata: two\ndata: lines\n\n");
            CHECK(it.log == strings{"open", "message two\nlines 7 http://a.example"});
        }
    }
}

TEST_CASE("a listener that starts anew and runs the loop joins no half event to the new connection's") {
    client it({});
    bool is_first = true;
    it.source.on_message([&](const event_source::event_view& event) {
        if (!std::exchange(is_first, false)) return;
        it.source.restart();
        static_cast<void>(it.source.next(it.now));
        it.accept();
        CHECK(event.data == "one\ntwo");  // it still lives
    });
    it.connect_and_accept();
    it.send("data: one\ndata: two\n\ndata: half\nid: 9\n");
    it.connect_and_accept();
    it.send("data: first\n\n");
    CHECK(it.log ==
          strings{"open", "message one\ntwo  http://a.example", "open", "message first  http://a.example"});
}

TEST_CASE("what a listener has not been told of is asked for again, though it has come") {
    const std::string_view both = "id: 1\ndata: a\n\n: c\nid: 2\ndata: b\n\nid: 3\n\n";
    const auto check = [&](client& it) {
        it.connect_and_accept();
        it.send(both);
        CHECK(it.source.last_event_id() == "1");
        it.source.restart();
        CHECK(value_of(it.connect(), "Last-Event-ID") == "1");
        it.accept();
        it.send("data: next\n\n");
        CHECK(it.log.back() == "message next 1 http://a.example");
    };
    client closing({});
    closing.source.on_message([&](const event_source::event_view& event) {
        if (event.data == "a") closing.source.close();
    });
    check(closing);
    client restarting({});
    restarting.source.on_comment([&](std::string_view) { restarting.source.restart(); });
    check(restarting);
    client done({.is_terminal = [](const sse::event_view& event) { return event.data == "a"; }});
    check(done);
}

TEST_CASE("hooks may close the source, too, and nothing happens behind that") {
    sse::event_source* source = nullptr;
    client renewing({.renew_headers = [&](sse::headers&) { source->close(); }});
    source = &renewing.source;
    CHECK(renewing.connect() == nullptr);
    CHECK(renewing.log.empty());

    // What it leaves behind is not looked at, then.
    client spoiling({.renew_headers = [&](sse::headers& headers) {
        headers.push_back({"X", "a\nb"});
        source->close();
    }});
    source = &spoiling.source;
    CHECK(spoiling.connect() == nullptr);
    CHECK(spoiling.log.empty());
    CHECK_FALSE(spoiling.source.error());

    client choosing({.policy = [&](int, std::string_view) {
        source->close();
        return sse::response_action::open;
    }});
    source = &choosing.source;
    choosing.connect_and_accept();
    CHECK(choosing.source.ready_state() == sse::ready_state::closed);
    CHECK(choosing.log.empty());

    client drawing({.random = [&] {
        source->close();
        return std::uint64_t{0};
    }});
    source = &drawing.source;
    REQUIRE(drawing.connect() != nullptr);
    drawing.refuse();
    CHECK(drawing.source.ready_state() == sse::ready_state::closed);
    CHECK(drawing.log.empty());

    client ending({.is_terminal = [&](const sse::event_view&) {
        source->restart();
        return true;
    }});
    source = &ending.source;
    ending.connect_and_accept();
    ending.send("data: x\n\n");
    CHECK(ending.source.next(ending.now).step == event_source::step::connect);
    CHECK_FALSE(ending.source.saw_terminal_event());
}

TEST_CASE("a hook that starts anew before a request changes nothing") {
    sse::event_source* source = nullptr;
    client it({.renew_headers = [&](sse::headers&) { source->restart(); }});
    source = &it.source;
    it.connect_and_accept();
    CHECK(it.source.ready_state() == sse::ready_state::open);
}

TEST_CASE("once a listener has closed the source, those behind it are not called") {
    client it({});
    int opened = 0;
    int heard = 0;
    it.source.on_open([&] { ++opened; });
    it.source.on_message([&](const event_source::event_view&) { it.source.close(); });
    it.source.on_message([&](const event_source::event_view&) { ++heard; });
    it.connect_and_accept();
    it.send("data: x\n\n");
    CHECK(opened == 1);
    CHECK(heard == 0);

    client at_once({});
    at_once.source.on_open([&] { at_once.source.close(); });
    at_once.source.on_open([&] { ++opened; });
    at_once.connect_and_accept();
    CHECK(opened == 1);

    client told({});
    told.source.on_retry([&](sse::milliseconds) { told.source.close(); });
    told.source.on_retry([&](sse::milliseconds) { ++heard; });
    told.connect_and_accept();
    told.send("retry: 5\n");
    CHECK(heard == 0);
}

TEST_CASE("what comes behind the end that a listener made is no failure, be it beyond the limit") {
    client it({.max_event_bytes = 4});
    it.source.on_message([&](const event_source::event_view&) { it.source.close(); });
    it.connect_and_accept();
    it.send("data: 1234\n\ndata: 12345\n\n");
    CHECK(it.source.ready_state() == sse::ready_state::closed);
    CHECK_FALSE(it.source.error());
    CHECK(it.log == strings{"open", "message 1234  http://a.example"});
}

TEST_CASE("a listener that throws loses the stream, not the source") {
    client it({});
    it.source.on("bad", [](const event_source::event_view&) { throw std::runtime_error("bad"); });
    it.connect_and_accept();
    CHECK_THROWS_AS(it.send("id: 1\nevent: bad\ndata\n\nid: 2\ndata: lost\n\n"), std::runtime_error);
    CHECK(it.source.next(it.now).step == event_source::step::wait);
    CHECK(value_of(it.connect(), "Last-Event-ID") == "1");
    it.accept();
    it.send("id: 2\ndata: found\n\n");
    CHECK(it.log.back() == "message found 2 http://a.example");
}

TEST_CASE("a policy that throws loses the attempt, not the source") {
    bool throws = true;
    client it({.policy = [&](int status, std::string_view type) {
        if (std::exchange(throws, false)) throw std::runtime_error("bad");
        return sse::standard_action(status, type);
    }});
    REQUIRE(it.connect() != nullptr);
    CHECK_THROWS_AS(it.accept(), std::runtime_error);
    it.send("data: of whom nobody knows what it is\n\n");
    CHECK(it.source.next(it.now).step == event_source::step::wait);
    CHECK(it.source.failures() == 1);
    it.connect_and_accept();
    it.send("data: x\n\n");
    CHECK(it.log == strings{"open", "message x  http://a.example"});
}

TEST_CASE("a listener that closes the source, and then throws, leaves it closed") {
    client it({});
    it.source.on_message([&](const event_source::event_view&) {
        it.source.close();
        throw std::runtime_error("bad");
    });
    it.connect_and_accept();
    CHECK_THROWS_AS(it.send("data: x\n\n"), std::runtime_error);
    CHECK(it.source.ready_state() == sse::ready_state::closed);
    CHECK(it.source.failures() == 0);
    CHECK(it.connect() == nullptr);
}

TEST_CASE("attempts are limited also where each ends with a listener that throws") {
    client it({.max_attempts = 2});
    it.source.on_open([] { throw std::runtime_error("bad"); });
    for (int i = 0; i < 2; ++i) {
        REQUIRE(it.connect() != nullptr);
        CHECK_THROWS_AS(it.accept(), std::runtime_error);
    }
    CHECK(it.connect() == nullptr);
    CHECK(it.source.error() == sse::errc::connection_ended);
}

TEST_CASE("so does one of open that throws") {
    client it({});
    it.source.on_open([] { throw std::runtime_error("bad"); });
    REQUIRE(it.connect() != nullptr);
    CHECK_THROWS_AS(it.accept(), std::runtime_error);
    CHECK(it.source.next(it.now).step == event_source::step::wait);
    CHECK(it.source.failures() == 1);
}

TEST_CASE("restart connects at once and resumes") {
    client it({});
    it.connect_and_accept();
    it.send("id: 5\ndata: x\n\ndata: half");
    it.source.restart();
    CHECK(value_of(it.connect(), "Last-Event-ID") == "5");
    it.refuse();
    it.source.restart();
    CHECK(it.source.next(it.now).step == event_source::step::connect);
    it.source.close();
    CHECK(it.source.next(it.now).step == event_source::step::finished);
    it.source.restart();
    it.connect_and_accept();
    it.send("data: y\n\n");
    CHECK(it.log.back() == "message y 5 http://a.example");
}

// Nothing lost, nothing twice

TEST_CASE("across any cuts each event is seen once, in order") {
    std::vector<std::string> frames;
    for (int i = 1; i <= 1000; ++i) {
        frames.push_back(
            fmt::format("id: {}\ndata: {}{}\n\n", i, i, std::string(static_cast<std::size_t>(i % 40), 'x')));
    }
    for (std::uint32_t seed = 0; seed < 1000; ++seed) {
        std::mt19937 random(seed);
        sse::event_source source({.url = "http://a/", .random = [] { return std::uint64_t{0}; }});
        std::size_t seen = 0;
        bool is_right = true;
        source.on_message([&](const event_source::event_view& event) {
            ++seen;
            is_right = is_right && event.last_event_id == std::to_string(seen) &&
                       event.data.starts_with(event.last_event_id);
        });
        time_point now{};
        int connections = 0;
        while (seen < frames.size()) {
            const event_source::task task = source.next(now);
            if (task.step == event_source::step::wait) {
                now = *task.until;
                continue;
            }
            REQUIRE(task.step == event_source::step::connect);
            REQUIRE(++connections < 10'000);
            const std::string_view id =
                sse::find_header(task.request->headers, "Last-Event-ID").value_or("0");
            source.handle_response({.status = 200, .headers = {{"Content-Type", "text/event-stream"}}}, now);
            std::string bytes;
            for (std::size_t i = std::stoul(std::string(id)); i < frames.size() && bytes.size() < 3000; ++i) {
                bytes += frames[i];
            }
            bytes.resize(random() % (bytes.size() + 1));
            std::string_view unsent = bytes;
            while (!unsent.empty()) {
                const std::string_view chunk = unsent.substr(0, 1 + random() % 300);
                unsent.remove_prefix(chunk.size());
                source.handle_bytes(chunk, now);
            }
            if (random() % 2 == 0) source.handle_end(now);
            else source.handle_error(std::make_error_code(std::errc::connection_reset), now);
        }
        CHECK(is_right);
        CHECK(seen == frames.size());
    }
}
