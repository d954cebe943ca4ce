// The plain socket, over the loopback.
#include <sse/adapters/posix.hpp>

namespace adapter = sse::posix;

#include "support/adapter_cases.hpp"
#include "support/death.hpp"

#include <cstdint>
#include <new>
#include <type_traits>

#include <malloc.h>
#include <sys/resource.h>

// The operator new of Clang's ThreadSanitizer gives way to no other.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NOT_COUNTED
#endif
#endif

namespace {

// It refers to its source, and the system to its socket.
static_assert(!std::is_copy_constructible_v<sse::posix::connection>);
static_assert(!std::is_copy_assignable_v<sse::posix::connection>);
static_assert(!std::is_move_constructible_v<sse::posix::connection>);
static_assert(!std::is_move_assignable_v<sse::posix::connection>);

/// What each thread allocates: a test runs besides its server.
thread_local struct {
    std::ptrdiff_t bytes = 0;        // now; those that another thread frees are taken off there
    std::size_t allowed = SIZE_MAX;  // allocations before memory has run out
} heap;

#ifdef NOT_COUNTED
constexpr bool is_counted = false;
#else
constexpr bool is_counted = true;
#endif

thread_local int socket_type = 0;  // as it was last asked for

}  // namespace

// These take the places of the libraries'.

#ifndef NOT_COUNTED
void* operator new(std::size_t size) {
    void* const block = heap.allowed > 0 ? std::malloc(size) : nullptr;
    if (block == nullptr) throw std::bad_alloc();
    --heap.allowed;
    heap.bytes += static_cast<std::ptrdiff_t>(::malloc_usable_size(block));
    return block;
}
void operator delete(void* block) noexcept {
    heap.bytes -= static_cast<std::ptrdiff_t>(::malloc_usable_size(block));
    std::free(block);
}
void operator delete(void* block, std::size_t) noexcept { operator delete(block); }
// By default these call the above, but not under AddressSanitizer.
void* operator new[](std::size_t size) { return operator new(size); }
void operator delete[](void* block) noexcept { operator delete(block); }
void operator delete[](void* block, std::size_t) noexcept { operator delete(block); }
#endif

extern "C" int socket(int family, int type, int protocol) noexcept {
    using function = int (*)(int, int, int);
    static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "socket"));
    socket_type = type;
    return real(family, type, protocol);
}

namespace {

/// While it lives, no further file is opened whose number is not below this.
class descriptors_limited {
public:
    explicit descriptors_limited(rlim_t most) {
        require(::getrlimit(RLIMIT_NOFILE, &before_) == 0, "getrlimit");
        const rlimit limit{most, before_.rlim_max};
        require(::setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    }
    descriptors_limited(const descriptors_limited&) = delete;
    descriptors_limited& operator=(const descriptors_limited&) = delete;
    ~descriptors_limited() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

}  // namespace

TEST_CASE("https is final: there is no TLS here") {
    client it(options_for("https://127.0.0.1:1/"));
    CHECK(it.run() == sse::errc::tls_unavailable);
    CHECK(it.log == strings{"over"});

    script_server server([](connection& c) { c.request(), c.send(redirect(302, "https://127.0.0.1:1/")); });
    client redirected(options_for(server.url()));
    CHECK(redirected.run() == sse::errc::tls_unavailable);
    CHECK(redirected.log == strings{"over"});
    CHECK(server.connections() == 1);
}

TEST_CASE("the server is asked to close behind its response, unless one says otherwise") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    client it(options_for(server.url()));
    it.run();
    REQUIRE(server.requests().size() == 1);
    CHECK(value_of(server.requests()[0], "Connection") == "close");

    script_server other([](connection& c) { c.request(), c.send(no_content); });
    sse::event_source_options options = options_for(other.url());
    options.headers = {{"connection", "keep-alive"}};
    client own(std::move(options));
    own.run();
    REQUIRE(other.requests().size() == 1);
    CHECK(value_of(other.requests()[0], "Connection") == "keep-alive");
}

TEST_CASE("a coded body is refused") {
    for (const std::string_view coding : {"gzip", "br", "x-unheard-of"}) {
        script_server server([&](connection& c) {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: " +
                   std::string(coding) + "\r\n\r\ndata: one\n\n");
        });
        client it(options_for(server.url()));
        CHECK(it.run() == sse::errc::http_unsupported);
        CHECK(it.log == strings{"over"});
        CHECK(server.connections() == 1);
    }
}

TEST_CASE("a response that contradicts itself is an error, and another attempt is made") {
    for (const std::string_view fields :
         {"Content-Length: 5\r\nContent-Length: 7\r\n", "Content-Length: 5, 7\r\n",
          "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Content-Length: -5\r\n"}) {
        CAPTURE(fields);
        script_server server([&](connection& c) {
            c.request();
            c.send(fmt::format("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{}\r\ndata:", fields));
        });
        client it(options_for(server.url(), 2));
        CHECK(it.run() == sse::errc::http_framing);
        CHECK(it.log == strings{"lost", "over"});
        CHECK(server.connections() == 2);
    }
}

TEST_CASE("what is wrong has its own error") {
    const auto error_after = [](std::string_view response) {
        script_server server([&](connection& c) { c.request(), c.send(response); });
        client it(options_for(server.url(), 1));
        return it.run();
    };
    CHECK(error_after("") == sse::errc::http_cut_off);
    CHECK(error_after("HTTP/1.1 200 OK\r\nContent-Ty") == sse::errc::http_cut_off);
    CHECK(error_after(std::string(chunked_head) + "9\r\ndata") == sse::errc::http_cut_off);
    CHECK(error_after(std::string(chunked_head) + "9\r\ndata: one\r\n0\r\n\r\n") ==
          sse::errc::connection_ended);
    CHECK(error_after(stream_head) == sse::errc::connection_ended);
    CHECK(error_after("rubbish\r\n\r\n") == sse::errc::http_malformed);
    CHECK(error_after("HTTP/1.1 101 Switching Protocols\r\n\r\n") == sse::errc::http_unsupported);

    script_server resets([](connection& c) { c.request(), c.reset(); });
    client reset(options_for(resets.url(), 1));
    CHECK(reset.run() == std::errc::connection_reset);

    client unknown(options_for("http://nix.invalid/", 1));
    const std::error_code error = unknown.run();
    CHECK(error == std::error_code(EAI_NONAME, sse::posix::resolver_category()));
    CHECK(error.message() == ::gai_strerror(EAI_NONAME));
    CHECK(std::string_view(error.category().name()) == "getaddrinfo");

    client broken(options_for("http://broken.test/", 1));
    CHECK(broken.run() == std::errc::not_enough_memory);  // what errno says
}

TEST_CASE("a complete response is complete, though the server keeps the connection") {
    for (const framing how : {framing::chunked, framing::length}) {
        script_server server([&](connection& c) {
            c.request();
            if (c.number() == 1) c.send(respond(how, {numbered_event(1), "data: half"}));
            else c.send("HTTP/1.1 204 No Content\r\n\r\n");
            c.wait_for_close();
        });
        client it(options_for(server.url()));
        CHECK(it.run() == sse::errc::no_content);
        CHECK(it.log == strings{"open", "message event 1 1", "lost", "over"});
        CHECK(server.connections() == 2);
    }
}

TEST_CASE("no program that is started inherits a connection") {
    script_server server([](connection& c) { c.request(), c.send(stream_head), c.wait_for_close(); });
    const auto inherited = [] {
        int count = 0;
        for (int file = 0; file < 1024; ++file) {
            const int flags = ::fcntl(file, F_GETFD);
            if (flags >= 0 && (flags & FD_CLOEXEC) == 0) ++count;
        }
        return count;
    };
    const int before = inherited();
    client it(options_for("http://localhost:" + server.port()));
    int during = -1;
    it.source.on_open([&] {
        during = inherited();
        it.source.close();
    });
    CHECK_FALSE(it.run());
    CHECK(during == before);
}

TEST_CASE("no program that another thread starts inherits a socket, not even one just made") {
    sse::event_source source(options_for("http://127.0.0.1:1/"));
    const auto now = std::chrono::steady_clock::now();
    const sse::request* const request = source.next(now).request;
    sse::posix::connection connection(source);
    connection.open(*request, now);
    CHECK(socket_type == (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK));
    const int file = connection.awaited().fd;
    CHECK((::fcntl(file, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(file, F_GETFL) & O_NONBLOCK) != 0);
}

TEST_CASE("a server that does not take the request is given up") {
    script_server server([](connection& c) { c.pause(guard); }, "127.0.0.1", 4096);
    sse::event_source_options options = options_for(server.url(), 1);
    options.method = "POST";
    options.body.resize(std::size_t{32} << 20);
    options.response_timeout = 0ms;
    client it(std::move(options));
    CHECK(it.run({.connect_timeout = 0ms, .write_timeout = 50ms}) == sse::errc::timed_out);
}

TEST_CASE("once the request is sent, only the source's own timeouts count") {
    script_server server([](connection& c) {
        c.request();
        c.pause(100ms);
        c.send(no_content);
    });
    client it(options_for(server.url(), 1));
    CHECK(it.run({.connect_timeout = 50ms, .write_timeout = 50ms}) == sse::errc::no_content);
}

TEST_CASE("what a server says before it has the whole request counts") {
    for (const bool keeps_connection : {false, true}) {
        script_server server(
            [&](connection& c) {
                c.send(answer(413));
                if (keeps_connection) c.pause(guard);
            },
            "127.0.0.1", 4096);
        sse::event_source_options options = options_for(server.url(), 1);
        options.method = "POST";
        options.body.resize(std::size_t{32} << 20);
        client it(std::move(options));
        CHECK(it.run() == sse::errc::status_refused);
        REQUIRE(it.errors.size() == 1);
        CHECK(it.errors[0].status == 413);
    }
}

TEST_CASE("of the addresses of a host, the next one is tried where one does not answer") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    // A queue that is full: who asks to be let in hears nothing.
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(server.port())));
    const auto* const address = reinterpret_cast<const sockaddr*>(&to);
    const sse::detail::descriptor full(::socket(AF_INET, SOCK_STREAM, 0));
    REQUIRE(::bind(full.get(), address, sizeof to) == 0);
    REQUIRE(::listen(full.get(), 0) == 0);
    std::vector<sse::detail::descriptor> queue;
    for (int i = 0; i < 4; ++i) {
        const int file = queue.emplace_back(::socket(AF_INET, SOCK_STREAM, 0)).get();
        REQUIRE(sse::detail::make_private_and_nonblocking(file));
        static_cast<void>(::connect(file, address, sizeof to));
    }
    client it(options_for("http://several.test:" + server.port(), 1));
    CHECK(it.run({.connect_timeout = 50ms}) == sse::errc::no_content);
    CHECK(server.connections() == 1);
}

TEST_CASE("attempts that wait for one and the same name ask for it once") {
    const int before = slow_name.questions;
    sse::event_source_options options = options_for("http://slow.test/", 3);
    options.response_timeout = 20ms;
    client it(std::move(options));
    CHECK(it.run() == sse::errc::timed_out);
    CHECK(it.log == strings{"lost", "lost", "over"});
    CHECK(slow_name.wait_for_question());
    slow_name.answer();
    CHECK(slow_name.questions - before == 1);
}

TEST_CASE("another name is looked up, or one for another port, and so is one whose answer nobody has taken") {
    sse::event_source source(options_for("http://slow.test/"));
    sse::posix::connection connection(source);
    const auto now = std::chrono::steady_clock::now();
    sse::request request = *source.next(now).request;
    const auto open = [&](std::string_view url) {
        request.url = *sse::parse_url(url);
        connection.open(request, now);
    };
    const auto answered = [&] {
        pollfd awaited = connection.awaited();
        return ::poll(&awaited, 1, 5'000) == 1;  // the slow one is given up later
    };
    const int before = slow_name.questions;
    open("http://slow.test/");
    CHECK(slow_name.wait_for_question());
    slow_name.answer();
    CHECK(answered());
    CHECK(slow_name.questions - before == 1);
    open("http://slow.test/");
    CHECK(slow_name.wait_for_question());
    slow_name.answer();
    CHECK(answered());
    CHECK(slow_name.questions - before == 2);
    open("http://slow.test/");
    CHECK(slow_name.wait_for_question());
    open("http://slow.test:81/");
    open("http://nix.invalid:81/");
    CHECK(answered());  // for this one need not wait for those
    connection.go_on(POLLIN, now);
    CHECK(source.failures() == 1);
    CHECK(slow_name.wait_for_question(2));
    slow_name.answer();
    CHECK(slow_name.questions - before == 4);
}

TEST_CASE("a connection that is closed while a name is looked up is closed, and stays so") {
    sse::event_source source(options_for("http://slow.test/"));
    sse::posix::connection connection(source);
    const auto now = std::chrono::steady_clock::now();
    connection.open(*source.next(now).request, now);
    CHECK(slow_name.wait_for_question());
    CHECK(connection.is_open());
    pollfd looked_up = connection.awaited();
    connection.close();
    CHECK_FALSE(connection.is_open());
    CHECK(connection.awaited().fd == -1);
    slow_name.answer();
    CHECK(::poll(&looked_up, 1, 10'000) == 1);
    connection.go_on(POLLIN, now);
    CHECK_FALSE(connection.is_open());
    CHECK(source.failures() == 0);
}

TEST_CASE("a connection that is not open waits for nothing, and goes on with nothing") {
    sse::event_source source(options_for("http://127.0.0.1:1/"));
    sse::posix::connection connection(source);
    const auto now = std::chrono::steady_clock::now();
    const sse::request* const request = source.next(now).request;
    for (int i = 0; i < 2; ++i) {
        CHECK_FALSE(connection.is_open());
        CHECK(connection.awaited().fd == -1);
        CHECK_FALSE(connection.deadline());
        for (const int events : {0, POLLIN, POLLOUT, POLLIN | POLLOUT | POLLHUP | POLLERR}) {
            connection.go_on(static_cast<short>(events), now);
        }
        CHECK(source.failures() == 0);
        connection.open(*request, now);
        CHECK(connection.is_open());
        connection.close();
    }
}

TEST_CASE("inside a listener that it calls a connection may be closed, but nothing else" *
          doctest::skip(!test::has_asserts)) {
    using sse::posix::connection;
    const std::vector<std::function<void(connection&, const sse::request&)>> mistakes = {
        [](connection& it, const sse::request&) { it.~connection(); },
        [](connection& it, const sse::request& request) { it.open(request, {}); },
        [](connection& it, const sse::request&) { it.go_on(POLLIN, {}); }};
    for (const auto& mistake : mistakes) {
        sse::event_source source(options_for("https://127.0.0.1/"));
        connection it(source);
        const auto now = std::chrono::steady_clock::now();
        const sse::request request = *source.next(now).request;
        bool is_made = true;
        source.on_error([&](const auto&) {
            if (is_made) mistake(it, request);
            it.close();
        });
        CHECK(test::is_asserted([&] { it.open(request, now); }));
        is_made = false;
        CHECK_FALSE(test::is_asserted([&] { it.open(request, now); }));
    }
}

#ifdef NDEBUG  // or else it is an assertion

TEST_CASE("inside a listener that it calls a connection neither opens nor goes on") {
    sse::event_source source(options_for("https://127.0.0.1/"));
    sse::posix::connection it(source);
    const auto now = std::chrono::steady_clock::now();
    sse::request request = *source.next(now).request;
    int errors = 0;
    source.on_error([&](const auto&) {
        ++errors;
        sse::request other = request;
        other.url.scheme = "http";
        it.open(other, now);
        it.go_on(POLLIN, now);
        CHECK_FALSE(it.is_open());
    });
    it.open(request, now);
    CHECK(errors == 1);
}

#endif

TEST_CASE("the defaults are those that the documents name") {
    const sse::posix::run_options options;
    CHECK(options.control == nullptr);
    CHECK(options.connect_timeout == 10s);
    CHECK(options.write_timeout == 10s);
    CHECK(options.limits.max_head_bytes == std::size_t{64} << 10);
    CHECK(options.limits.max_headers == 256);
}

TEST_CASE("the program's signals are not handled on the thread that looks up names") {
    client it(options_for("http://slow.test/", 0));
    sigset_t blocked;
    std::thread closer([&] {
        if (slow_name.wait_for_question()) it.control.close();
    });
    CHECK_FALSE(it.run());
    closer.join();
    slow_name.answer();
    CHECK(slow_name.is_signal_blocked);
    REQUIRE(::pthread_sigmask(SIG_BLOCK, nullptr, &blocked) == 0);
    CHECK(sigismember(&blocked, SIGUSR1) == 0);
}

TEST_CASE("a source that can be closed can be closed where no attempt has to wait for anything") {
    // Connecting to a broadcast address fails at once, and so does the next attempt.
    client it(options_for("http://255.255.255.255:9/", 0));
    int failures = 0;
    it.source.on_error([&](const sse::event_source::failure&) {
        if (++failures == 10) it.control.close();
        if (failures == 1000) it.source.close();
    });
    CHECK_FALSE(it.run());
    CHECK(failures == 10);
}

TEST_CASE("a request that could forge a field is final, and is not sent") {
    sse::event_source source(options_for("http://127.0.0.1:1/"));
    const auto now = std::chrono::steady_clock::now();
    sse::request request = *source.next(now).request;
    request.headers.push_back({"X", "a\r\nY: b"});
    sse::posix::connection connection(source);
    connection.open(request, now);
    CHECK_FALSE(connection.is_open());
    CHECK(source.error() == sse::errc::header_value_invalid);
}

TEST_CASE("where there are no descriptors left, an attempt has failed, or the run") {
    for (const char* const url : {"http://127.0.0.1:1/", "http://slow.test/"}) {
        CAPTURE(url);
        sse::event_source source(options_for(url, 1));
        const auto now = std::chrono::steady_clock::now();
        const sse::request* const request = source.next(now).request;
        sse::posix::connection connection(source);
        {
            const descriptors_limited none(0);
            connection.open(*request, now);
        }
        CHECK_FALSE(connection.is_open());
        CHECK(source.error() == std::errc::too_many_files_open);
    }

    script_server server([](connection& c) {
        c.request();
        if (c.number() == 2) return c.send(no_content);
        c.send(stream_head);
        c.wait_for_close();
    });
    client it(options_for(server.url()));
    {
        std::optional<descriptors_limited> limit;
        it.source.on_open([&] { limit.emplace(1); });  // fewer than poll() is to look at
        CHECK_THROWS_AS(it.run(), std::system_error);
    }
    CHECK(it.run() == sse::errc::no_content);
    CHECK(server.connections() == 2);
}

TEST_CASE("where there is no memory left, no connection is open, and another attempt may be made" *
          doctest::skip(!is_counted)) {
    sse::event_source source(options_for("http://nix.invalid/"));
    const auto now = std::chrono::steady_clock::now();
    const sse::request* const request = source.next(now).request;
    sse::posix::connection connection(source);
    std::size_t failures = 0;
    for (bool has_failed = true; has_failed; failures += has_failed) {
        has_failed = false;
        heap.allowed = failures;  // so that each allocation fails once
        try {
            connection.open(*request, now);
        } catch (const std::bad_alloc&) {
            has_failed = true;
        }
        heap.allowed = SIZE_MAX;
        REQUIRE(connection.is_open() != has_failed);
        CHECK((connection.awaited().fd >= 0) != has_failed);
    }
    CHECK(failures > 0);
}

TEST_CASE("the room that a request took is given back once it is sent" * doctest::skip(!is_counted)) {
    script_server server([](connection& c) { c.request(), c.send(stream_head), c.wait_for_close(); });
    sse::event_source_options options = options_for(server.url());
    options.method = "POST";
    options.body.resize(std::size_t{16} << 20);
    sse::event_source source(std::move(options));
    auto now = std::chrono::steady_clock::now();
    const sse::request* const request = source.next(now).request;
    sse::posix::connection connection(source);
    const std::ptrdiff_t before = heap.bytes;
    connection.open(*request, now);
    CHECK(heap.bytes - before >= std::ptrdiff_t{16} << 20);
    while (source.ready_state() == sse::ready_state::connecting) {
        pollfd awaited = connection.awaited();
        REQUIRE(::poll(&awaited, 1, 10'000) == 1);
        connection.go_on(awaited.revents, now);
    }
    CHECK(source.ready_state() == sse::ready_state::open);
    CHECK(heap.bytes - before < 65536);
}

TEST_CASE("a request that goes in parts arrives whole") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    sse::event_source_options options = options_for(server.url(), 1);
    options.method = "POST";
    options.body.resize(std::size_t{32} << 20);  // more than the kernel takes at once
    for (std::size_t i = 0; i < options.body.size(); ++i) options.body[i] = static_cast<char>(i % 251);
    const std::string body = options.body;
    client it(std::move(options));
    CHECK(it.run() == sse::errc::no_content);
    REQUIRE(server.requests().size() == 1);
    CHECK((server.requests()[0].body == body));
}

TEST_CASE("an event that was none changes nothing, and gives the server no more time") {
    script_server server([](connection& c) { c.pause(guard); }, "127.0.0.1", 4096);
    sse::event_source_options options = options_for(server.url(), 1);
    options.method = "POST";
    options.body.resize(std::size_t{32} << 20);
    sse::event_source source(std::move(options));
    sse::posix::connection connection(source);
    auto now = std::chrono::steady_clock::now();
    connection.open(*source.next(now).request, now);
    const auto changes_nothing = [&](short events) {
        const auto before = connection.deadline();
        now += 1ms;
        connection.go_on(events, now);
        return before && connection.deadline() == before &&
               source.next(now).step == sse::event_source::step::read;
    };
    CHECK(changes_nothing(0));
    pollfd awaited = connection.awaited();
    REQUIRE(::poll(&awaited, 1, 10'000) == 1);
    connection.go_on(awaited.revents, now);
    CHECK(changes_nothing(0));
    CHECK(changes_nothing(POLLIN));
    int sends = 0;
    while (sends < 1000 && !changes_nothing(POLLOUT)) ++sends;  // until the socket takes no more
    CHECK(sends < 1000);
    connection.go_on(0, *connection.deadline());
    CHECK(source.error() == sse::errc::timed_out);
}

TEST_CASE("a connection that breaks while the request is sent is lost") {
    std::binary_semaphore is_begun(0);
    script_server server(
        [&](connection& c) {
            if (is_begun.try_acquire_for(guard)) c.reset();
        },
        "127.0.0.1", 4096);
    sse::event_source_options options = options_for(server.url(), 1);
    options.method = "POST";
    options.body.resize(std::size_t{32} << 20);
    sse::event_source source(std::move(options));
    sse::posix::connection connection(source);
    const auto now = std::chrono::steady_clock::now();
    connection.open(*source.next(now).request, now);
    pollfd awaited = connection.awaited();
    REQUIRE(::poll(&awaited, 1, 10'000) == 1);
    connection.go_on(POLLOUT, now);
    is_begun.release();
    for (awaited.events = 0; !source.error() && ::poll(&awaited, 1, 10'000) == 1;)
        connection.go_on(POLLOUT, now);
    const bool is_lost =
        source.error() == std::errc::connection_reset || source.error() == std::errc::broken_pipe;
    CHECK(is_lost);
}

TEST_CASE("a connection goes on in a loop of one's own, and none of its functions waits") {
    script_server server([](connection& c) {
        c.request();
        c.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n");
        c.wait_for_close();
    });
    sse::event_source source(options_for(server.url()));
    strings heard;
    source.on_message([&](const sse::event_source::event_view& event) {
        heard.emplace_back(event.data);
        source.close();
    });
    sse::posix::connection connection(source);
    int waits = 0;
    for (;; ++waits) {
        const auto now = std::chrono::steady_clock::now();
        const sse::event_source::task task = source.next(now);
        if (task.step != sse::event_source::step::read) connection.close();
        if (task.step == sse::event_source::step::finished) break;
        if (task.step == sse::event_source::step::connect) {
            connection.open(*task.request, now);
            continue;
        }
        pollfd awaited = connection.awaited();
        REQUIRE(::poll(&awaited, 1, 10'000) == 1);
        connection.go_on(awaited.revents, now);
    }
    CHECK(heard == strings{"one"});
    CHECK(waits < 10);
    CHECK_FALSE(connection.is_open());
    CHECK(connection.awaited().fd == -1);
}
