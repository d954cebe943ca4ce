// libcurl, over the loopback.
#include <sse/adapters/curl.hpp>

namespace adapter = sse::curl;

#include "support/adapter_cases.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace {

/// What libcurl has its library for gzip do, some KiB each time, and what is to happen then.
struct {
    int count = 0;
    std::function<void()> then{};
} inflations;

}  // namespace

/// Takes the place of zlib's, in libcurl.
extern "C" int inflate(void* stream, int flush) {
    using function = int (*)(void*, int);
    static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "inflate"));
    ++inflations.count;
    if (inflations.then) inflations.then();
    return real(stream, flush);
}

namespace {

// Should the machine have one for everything.
[[maybe_unused]] const int without_proxy = ::setenv("no_proxy", "*", 1);

std::string little_endian(std::uint32_t value, int bytes) {
    std::string result;
    for (int i = 0; i < bytes; ++i) result += static_cast<char>(value >> (8 * i) & 0xFF);
    return result;
}

std::uint32_t crc32(std::string_view bytes) {
    std::uint32_t crc = 0xFFFFFFFF;
    for (const char byte : bytes) {
        crc ^= static_cast<unsigned char>(byte);
        for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ (crc % 2 * 0xEDB88320);
    }
    return ~crc;
}

/// As RFC 1952 has it, in one block that is stored as it is (RFC 1951).
std::string gzip(std::string_view bytes) {
    const auto size = static_cast<std::uint32_t>(bytes.size());
    const std::string head("\x1F\x8B\x08\0\0\0\0\0\0\xFF\x01", 11);
    return head + little_endian(size, 2) + little_endian(~size, 2) + std::string(bytes) +
           little_endian(crc32(bytes), 4) + little_endian(size, 4);
}

/// The beginning of a gzip of some bytes, and then 258 times as many `x` as are asked for: 13 bits for each.
/// The codes of Huffman are the fixed ones.
std::string gzip_bomb(std::string_view bytes, int repetitions) {
    std::string result("\x1F\x8B\x08\0\0\0\0\0\0\xFF", 10);
    unsigned filled = 8;
    const auto put = [&](unsigned bit) {
        if (filled == 8) result += '\0', filled = 0;
        result.back() = static_cast<char>(static_cast<unsigned char>(result.back()) | bit << filled++);
    };
    const auto put_code = [&](unsigned code, int size) {
        while (size-- > 0) put(code >> size & 1);
    };
    put(1), put(1), put(0);  // the last block
    for (const char byte : bytes) put_code(0x30 + static_cast<unsigned char>(byte), 8);
    put_code(0x30 + 'x', 8);
    for (int i = 0; i < repetitions; ++i) {
        put_code(0xC5, 8);  // 258 bytes
        put_code(0, 5);     // that stand one byte before
    }
    return result;
}

/// As RFC 8878 has it: some bytes as they are, and so many blocks that are 128 KiB of `x`, four bytes each.
std::string zstd_bomb(std::string_view bytes, int blocks) {
    const auto size = static_cast<std::uint32_t>(bytes.size());
    std::string result = "\x28\xB5\x2F\xFD" + std::string("\0\x38", 2);  // a window of 128 KiB
    result += little_endian(size << 3, 3) + std::string(bytes);
    for (int i = 0; i < blocks; ++i) result += little_endian(std::uint32_t{1} << 20 | 2, 3) + 'x';
    return result;
}

}  // namespace

TEST_CASE("a compressed stream is read") {
    script_server server([](connection& c) {
        c.request();
        if (c.number() == 2) return c.send(no_content);
        const std::string body = gzip("id: 1\ndata: one\n\ndata: two\n\n");
        c.send(
            fmt::format("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n"
                        "Content-Length: {}\r\n\r\n{}",
                        body.size(), body));
    });
    client it(options_for(server.url()));
    CHECK(it.run() == sse::errc::no_content);
    CHECK(it.log == strings{"open", "message one 1", "message two 1", "lost", "over"});
    REQUIRE(server.requests().size() == 2);
    CHECK(value_of(server.requests()[0], "Accept-Encoding").find("gzip") != std::string::npos);
    CHECK(value_of(server.requests()[1], "Last-Event-ID") == "1");
}

TEST_CASE("behind a close nothing goes on to be inflated, whatever the coding" *
          doctest::skip((::curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_ZSTD) == 0)) {
    // 4 MiB that would become 128 GiB: longer than a test may take.
    const std::string body = zstd_bomb("data: one\n\nnobody-asks-for-this: ", 1 << 20);
    for (const bool by_control : {false, true}) {
        CAPTURE(by_control);
        script_server server([&](connection& c) {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: zstd\r\n\r\n");
            c.send(body);
            c.wait_for_close();
        });
        client it(options_for(server.url()));
        it.source.on_message([&](const auto&) { by_control ? it.control.close() : it.source.close(); });
        CHECK_FALSE(it.run());
        CHECK(it.log == strings{"open", "message one "});
    }
}

TEST_CASE("behind a close or a restart at most one more chunk is inflated, however many a few bytes hold") {
    // 256 KiB that become 40 MiB: a field of an event, of which nobody is told.
    const std::string body = gzip_bomb("data: one\n\nnobody-asks-for-this: ", 160'000);
    for (const std::string_view what :
         {"close", "restart", "control.close", "control.restart", "elsewhere"}) {
        CAPTURE(what);
        script_server server([&](connection& c) {
            c.request();
            if (c.number() == 2) return c.send(no_content);
            c.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n");
            c.send(body);
            c.wait_for_close();
        });
        client it(options_for(server.url()));
        inflations = {};
        int before = -1;
        const auto act = [&] {
            before = inflations.count;
            if (what == "close") it.source.close();
            if (what == "restart") it.source.restart();
            if (what == "control.close") it.control.close();
            if (what == "control.restart") it.control.restart();
        };
        it.source.on_message([&](const auto&) { act(); });
        if (what == "elsewhere") {  // while nobody is called
            inflations.then = [&] {
                if (inflations.count != 5) return;
                before = 5;
                it.control.close();
            };
        }
        const bool restarts = what.ends_with("restart");
        CHECK(it.run() == (restarts ? sse::make_error_code(sse::errc::no_content) : std::error_code()));
        CHECK(it.log ==
              (restarts ? strings{"open", "message one ", "over"} : strings{"open", "message one "}));
        CHECK(before > 0);
        CHECK(inflations.count - before <= 1);
        inflations = {};
    }
}

TEST_CASE("of a body that nobody wants a few chunks are inflated, however many it holds") {
    const std::string body = gzip_bomb("", 160'000);
    for (const int status : {503, 404, 307}) {
        CAPTURE(status);
        script_server server([&](connection& c) {
            c.request();
            if (c.number() == 3) return c.send(no_content);
            c.send(fmt::format("HTTP/1.1 {} Thus\r\nLocation: /\r\nContent-Encoding: gzip\r\n\r\n", status));
            c.send(body);
            c.wait_for_close();
        });
        sse::event_source_options options = options_for(server.url());
        options.policy = sse::retrying_action;
        client it(std::move(options));
        inflations = {};
        const std::error_code error = it.run();
        CHECK(error == (status == 404 ? sse::errc::status_refused : sse::errc::no_content));
        CHECK(server.connections() == (status == 404 ? 1 : 3));
        CHECK(inflations.count < 20);  // of 2500 in each attempt
    }
}

TEST_CASE("a short body behind a redirect is read, so that the connection is used again") {
    script_server server([](connection& c) {
        c.request();
        c.send("HTTP/1.1 307 Thus\r\nLocation: /next\r\nContent-Length: 5\r\n\r\nthere");
        c.next_request();
        c.send(no_content);
    });
    client it(options_for(server.url()));
    CHECK(it.run() == sse::errc::no_content);
    CHECK(server.requests().size() == 2);
    CHECK(server.connections() == 1);
}

TEST_CASE(
    "a stream comes as it is where that is asked for, and is refused where it is compressed all the same") {
    for (const bool is_compressed : {false, true}) {
        CAPTURE(is_compressed);
        script_server server([&](connection& c) {
            c.request();
            const std::string event = "data: one\n\n";
            c.send(fmt::format("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{}\r\n{}",
                               is_compressed ? "Content-Encoding: gzip\r\n" : "",
                               is_compressed ? gzip(event) : event));
        });
        sse::event_source_options options = options_for(server.url());
        options.reconnect_at_end = false;
        client it(std::move(options));
        const std::error_code error = it.run({.accept_compressed = false});
        CHECK(error ==
              (is_compressed ? sse::make_error_code(sse::errc::http_unsupported) : std::error_code()));
        CHECK(it.log == (is_compressed ? strings{"over"} : strings{"open", "message one "}));
        REQUIRE(server.requests().size() == 1);
        CHECK(value_of(server.requests()[0], "Accept-Encoding") == "identity");
    }
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    sse::event_source_options options = options_for(server.url());
    options.headers = {{"accept-encoding", "identity;q=1"}};  // one's own stands
    client it(std::move(options));
    it.run({.accept_compressed = false});
    REQUIRE(server.requests().size() == 1);
    CHECK(sorted_fields(server.requests()[0]).back() == "accept-encoding: identity;q=1");
}

TEST_CASE("the defaults are those that the documents name") {
    const sse::curl::run_options options;
    CHECK(options.control == nullptr);
    CHECK_FALSE(options.configure);
    CHECK(options.accept_compressed);
    CHECK(options.limits.max_head_bytes == std::size_t{64} << 10);
    CHECK(options.limits.max_headers == 256);
}

TEST_CASE("a run that configure begins is an error, and the one that called it goes on") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    client it(options_for(server.url()));
    std::error_code inner;
    CHECK(it.run({.configure = [&](CURL*, const sse::url&) { inner = sse::curl::run(it.source); }}) ==
          sse::errc::no_content);
    CHECK(inner == sse::errc::already_running);
    CHECK(server.connections() == 1);
}

TEST_CASE("a coding that libcurl cannot undo is an error, and no event comes of it") {
    for (const bool accept_compressed : {true, false}) {
        CAPTURE(accept_compressed);
        script_server server([](connection& c) {
            c.request();
            c.send(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: x-unheard-of\r\n\r\n"
                "data: one\n\n");
        });
        client it(options_for(server.url(), 2));
        const std::error_code error = it.run({.accept_compressed = accept_compressed});
        if (accept_compressed) {  // libcurl is to undo it, and says that it cannot
            CHECK(error == std::error_code(CURLE_BAD_CONTENT_ENCODING, sse::curl::category()));
            CHECK(server.connections() == 2);
        } else {
            CHECK(error == sse::errc::http_unsupported);
            CHECK(server.connections() == 1);
        }
        CHECK(std::count(it.log.begin(), it.log.end(), "message one ") == 0);
    }
}

TEST_CASE("a connection that the server keeps is used again") {
    script_server server([](connection& c) {
        c.request();
        c.send(respond(framing::chunked, {numbered_event(1)}));
        c.next_request();
        c.send("HTTP/1.1 307 Thus\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n");
        c.next_request();
        c.send(no_content);
    });
    client it(options_for(server.url()));
    CHECK(it.run() == sse::errc::no_content);
    CHECK(it.log == strings{"open", "message event 1 1", "lost", "over"});
    REQUIRE(server.requests().size() == 3);
    CHECK(value_of(server.requests()[1], "Last-Event-ID") == "1");
    CHECK(value_of(server.requests()[2], "Last-Event-ID") == "1");
    CHECK(server.connections() == 1);
}

TEST_CASE("configure is called at each attempt, and has the last word") {
    script_server server([](connection& c) {
        c.request();
        if (c.number() == 1) return c.send(redirect(307, "/next"));
        if (c.number() == 4) return c.send(no_content);
    });
    client it(options_for(server.url()));
    int calls = 0;
    it.run({.configure = [&](CURL* easy, const sse::url&) {
        ++calls;
        ::curl_easy_setopt(easy, CURLOPT_USERAGENT, fmt::format("test/{}", calls).c_str());
        ::curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, nullptr);
        if (calls == 4) ::curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "OPTIONS");
    }});
    CHECK(it.log == strings{"lost", "lost", "over"});
    REQUIRE(server.requests().size() == 4);
    int number = 0;
    for (const sse::request& request : server.requests()) {
        CHECK(value_of(request, "User-Agent") == fmt::format("test/{}", ++number));
        CHECK(value_of(request, "Accept-Encoding") == "(none)");
        CHECK(request.method == (number == 4 ? "OPTIONS" : "GET"));
    }
    CHECK(calls == 4);
}

TEST_CASE("what configure throws passes through, and another run makes another attempt") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    client it(options_for(server.url()));
    int calls = 0;
    const sse::curl::run_options options{.configure = [&](CURL*, const sse::url&) {
        if (++calls == 1) throw std::runtime_error("thrown");
    }};
    CHECK_THROWS_WITH_AS(it.run(options), "thrown", std::runtime_error);
    CHECK(it.run(options) == sse::errc::no_content);
    CHECK(calls == 2);
    CHECK(server.connections() == 1);
}

namespace {

/// A stream that only a proxy knows, once.
sse::event_source_options behind_proxy() {
    sse::event_source_options options = options_for("http://behind.test/stream");
    options.reconnect_at_end = false;
    return options;
}

void go_through(const script_server& proxy, CURL* easy) {
    ::curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    ::curl_easy_setopt(easy, CURLOPT_PROXY, proxy.origin().c_str());
}

}  // namespace

TEST_CASE("what a proxy says on the way is not the server's response") {
    script_server proxy([](connection& c) {
        c.skip_head();
        c.send("HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n");
        c.request();
        c.send(std::string(stream_head) + "data: one\n\n");
    });
    client it(behind_proxy());
    CHECK_FALSE(it.run({.configure = [&](CURL* easy, const sse::url&) {
        go_through(proxy, easy);
        ::curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    }}));
    CHECK(it.log == strings{"open", "message one "});
    REQUIRE(proxy.requests().size() == 1);
    CHECK(value_of(proxy.requests()[0], "Host") == "behind.test");
}

TEST_CASE("cookies are sent back where credentials are wanted, and only there") {
    for (const bool are_wanted : {false, true}) {
        CAPTURE(are_wanted);
        script_server server([](connection& c) {
            c.request();
            if (c.number() == 3) return c.send(no_content);
            if (c.number() == 2) return c.send(redirect(302, "/next"));
            c.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nSet-Cookie: a=b; Path=/\r\n\r\n");
        });
        sse::event_source_options options = options_for(server.url());
        options.with_credentials = are_wanted;
        client it(std::move(options));
        CHECK(it.run() == sse::errc::no_content);
        REQUIRE(server.requests().size() == 3);
        CHECK(value_of(server.requests()[0], "Cookie") == "(none)");
        CHECK(value_of(server.requests()[1], "Cookie") == (are_wanted ? "a=b" : "(none)"));
        CHECK(value_of(server.requests()[2], "Cookie") == (are_wanted ? "a=b" : "(none)"));
    }
}

TEST_CASE("no redirect takes cookies to another origin, and none of its cookies comes back") {
    std::string jar = std::filesystem::temp_directory_path() / "sse_curl_jar_XXXXXX";
    const sse::detail::descriptor file(::mkstemp(jar.data()));
    REQUIRE(file);
    const std::unique_ptr<CURLSH, sse::curl::detail::free_share> share(::curl_share_init());
    REQUIRE(::curl_share_setopt(share.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE) == CURLSHE_OK);
    struct row {
        std::string_view name;
        bool with_credentials;
        std::function<void(CURL*)> configure;
    };
    const auto nothing = [](CURL*) {};
    const auto use_file = [&](CURL* easy) {
        ::curl_easy_setopt(easy, CURLOPT_COOKIEFILE, jar.c_str());
        ::curl_easy_setopt(easy, CURLOPT_COOKIEJAR, jar.c_str());
    };
    const auto use_list = [](CURL* easy) {
        ::curl_easy_setopt(easy, CURLOPT_COOKIELIST, "127.0.0.1\tFALSE\t/\tFALSE\t0\tmine\t1");
    };
    const auto use_share = [&](CURL* easy) {
        ::curl_easy_setopt(easy, CURLOPT_SHARE, share.get());
        ::curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "");
    };
    for (const row& each :
         {row{"with_credentials", true, nothing}, row{"COOKIEFILE and COOKIEJAR", false, use_file},
          row{"all of these", true, use_file}, row{"COOKIELIST", false, use_list},
          row{"COOKIELIST, too", true, use_list}, row{"SHARE", false, use_share},
          row{"SHARE, too", true, use_share}}) {
        CAPTURE(each.name);
        std::string first;
        script_server other([&](connection& c) {
            c.request();
            const std::string field = "Set-Cookie: theirs=1; Path=/\r\n";
            if (c.number() == 1) return c.send(answer(503, field));
            c.send(answer(307, field + "Location: " + first + "/back\r\n"));
        });
        script_server server([&](connection& c) {
            const std::string target = c.request().url.target;
            if (c.number() == 5) return c.send(no_content);
            if (target == "/back") return c.send(answer(503));
            if (c.number() == 1) return c.send(answer(503, "Set-Cookie: mine=1; Path=/\r\n"));
            c.send(redirect(307, other.url()));
        });
        first = server.origin();
        sse::event_source_options options = options_for(server.url(), 0);
        options.policy = sse::retrying_action;
        options.with_credentials = each.with_credentials;
        client it(std::move(options));
        CHECK(it.run({.configure = [&](CURL* easy, const sse::url&) { each.configure(easy); }}) ==
              sse::errc::no_content);
        REQUIRE(server.requests().size() == 5);
        for (std::size_t i = 1; i < 5; ++i) CHECK(value_of(server.requests()[i], "Cookie") == "mine=1");
        REQUIRE(other.requests().size() == 2);
        for (const sse::request& request : other.requests()) CHECK(value_of(request, "Cookie") == "(none)");
        std::ifstream in(jar);
        const std::string kept(std::istreambuf_iterator<char>(in), {});
        CHECK(kept.find("theirs") == std::string::npos);
        std::ofstream(jar).flush();  // it is empty again
    }
    ::unlink(jar.c_str());
}

TEST_CASE("a 401 that libcurl answers by itself is not the end") {
    for (const std::string_view challenge :
         {"Digest realm=\"r\", nonce=\"n\", qop=\"auth\"", "Basic realm=\"r\""}) {
        for (const bool is_accepted : {false, true}) {
            CAPTURE(challenge);
            CAPTURE(is_accepted);
            script_server server([&](connection& c) {
                const bool is_answered = c.header("Authorization").has_value();
                if (is_answered && is_accepted) return c.send(std::string(stream_head) + "data: one\n\n");
                c.send(
                    fmt::format("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {}\r\n"
                                "Content-Type: text/event-stream\r\nContent-Length: 12\r\n"
                                "Connection: close\r\n\r\ndata: none\n\n",
                                challenge));
            });
            sse::event_source_options options = options_for(server.url());
            options.reconnect_at_end = false;
            client it(std::move(options));
            const std::error_code error = it.run({.configure = [](CURL* easy, const sse::url&) {
                ::curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC | CURLAUTH_DIGEST);
                ::curl_easy_setopt(easy, CURLOPT_USERNAME, "user");
                ::curl_easy_setopt(easy, CURLOPT_PASSWORD, "password");
            }});
            REQUIRE(server.requests().size() == 2);
            CHECK(value_of(server.requests()[0], "Authorization") == "(none)");
            const std::string_view scheme = challenge.substr(0, challenge.find(' ') + 1);
            CHECK(value_of(server.requests()[1], "Authorization").starts_with(scheme));
            if (is_accepted) {
                CHECK_FALSE(error);
                CHECK(it.log == strings{"open", "message one "});
            } else {
                CHECK(error == sse::errc::status_refused);
                CHECK(it.log == strings{"over"});
            }
        }
    }
}

TEST_CASE("nor is a 407 of a proxy") {
    script_server proxy([](connection& c) {
        if (c.header("Proxy-Authorization")) return c.send(std::string(stream_head) + "data: one\n\n");
        c.send(
            "HTTP/1.1 407 Thus\r\nProxy-Authenticate: Basic realm=\"r\"\r\n"
            "Content-Length: 4\r\nConnection: close\r\n\r\nnone");
    });
    client it(behind_proxy());
    CHECK_FALSE(it.run({.configure = [&](CURL* easy, const sse::url&) {
        go_through(proxy, easy);
        ::curl_easy_setopt(easy, CURLOPT_PROXYAUTH, CURLAUTH_BASIC | CURLAUTH_DIGEST);
        ::curl_easy_setopt(easy, CURLOPT_PROXYUSERPWD, "user:password");
    }}));
    CHECK(it.log == strings{"open", "message one "});
    CHECK(proxy.requests().size() == 2);
}

TEST_CASE("a 401 that nobody has told libcurl to answer is told at once") {
    for (const int status : {401, 407}) {
        CAPTURE(status);
        script_server server([&](connection& c) {
            c.request();
            c.send(fmt::format("HTTP/1.1 {} Thus\r\nContent-Length: 12\r\n\r\n", status));
            c.wait_for_close();  // the body does not come
        });
        sse::event_source_options options = options_for(server.url(), 1);
        options.response_timeout = 5s;
        client it(std::move(options));
        CHECK(it.run() == sse::errc::status_refused);
        CHECK(it.log == strings{"over"});
    }
}

TEST_CASE("secrets that are set by configure are not for those to whom a redirect leads") {
    std::string netrc = std::filesystem::temp_directory_path() / "sse_curl_test_XXXXXX";
    const sse::detail::descriptor file(::mkstemp(netrc.data()));
    REQUIRE(file);
    constexpr std::string_view entry = "default login a password b\n";
    REQUIRE(::write(file.get(), entry.data(), entry.size()) == static_cast<::ssize_t>(entry.size()));

    const std::unique_ptr<curl_slist, sse::curl::detail::free_list> own_headers(
        ::curl_slist_append(nullptr, "X-Api-Key: 1"));
    struct row {
        std::string_view header;
        std::string_view value;
        std::function<void(CURL*)> configure;
    };
    for (const row& each :
         {row{"Authorization", "Basic dXNlcjpwYXNzd29yZA==",  // user:password
              [](CURL* easy) { ::curl_easy_setopt(easy, CURLOPT_USERPWD, "user:password"); }},
          row{"Authorization", "Basic dXNlcjo=",  // user:
              [](CURL* easy) { ::curl_easy_setopt(easy, CURLOPT_USERNAME, "user"); }},
          row{"Authorization", "Bearer token",
              [](CURL* easy) {
                  ::curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
                  ::curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, "token");
              }},
          row{"Cookie", "a=b", [](CURL* easy) { ::curl_easy_setopt(easy, CURLOPT_COOKIE, "a=b"); }},
          row{"X-Api-Key", "1",
              [&](CURL* easy) { ::curl_easy_setopt(easy, CURLOPT_HTTPHEADER, own_headers.get()); }},
          row{"Authorization", "Basic YTpi",  // a:b
              [&](CURL* easy) {
                  ::curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_OPTIONAL));
                  ::curl_easy_setopt(easy, CURLOPT_NETRC_FILE, netrc.c_str());
              }}}) {
        CAPTURE(each.value);
        script_server other([](connection& c) { c.request(), c.send(no_content); });
        script_server server([&](connection& c) {
            c.request();
            c.send(redirect(307, c.number() == 1 ? "/same" : other.url("/other")));
        });
        client it(options_for(server.url()));
        strings targets;
        CHECK(it.run({.configure = [&](CURL* easy, const sse::url& url) {
            targets.push_back(url.target);
            each.configure(easy);
        }}) == sse::errc::no_content);
        CHECK(targets == strings{"/", "/same", "/other"});
        REQUIRE(server.requests().size() == 2);
        for (const sse::request& request : server.requests()) {
            CHECK(value_of(request, each.header) == each.value);
        }
        REQUIRE(other.requests().size() == 1);
        CHECK(value_of(other.requests()[0], each.header) == "(none)");
    }
    ::unlink(netrc.c_str());
}

TEST_CASE("nor are certificates and the like") {
    const curl_version_info_data& libcurl = *::curl_version_info(CURLVERSION_NOW);
    if (!std::string_view(libcurl.ssl_version ? libcurl.ssl_version : "").starts_with("OpenSSL")) return;
    // None of these can be used. Where libcurl has one, OpenSSL says so before it greets the server.
    struct row {
        std::string_view name;
        std::function<void(CURL*)> configure;
        CURLcode refused = CURLE_SSL_CERTPROBLEM;
    };
    std::vector<row> rows = {
        {"SSLCERT", [](CURL* easy) { ::curl_easy_setopt(easy, CURLOPT_SSLCERT, "/nowhere/cert.pem"); }},
        {"SSLCERT_BLOB",
         [](CURL* easy) {
             std::string text = "no certificate";
             curl_blob blob{text.data(), text.size(), CURL_BLOB_COPY};
             ::curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &blob);
         }},
        {"all of them",
         [](CURL* easy) {
             ::curl_easy_setopt(easy, CURLOPT_SSLCERT, "/nowhere/cert.p12");
             ::curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "P12");
             ::curl_easy_setopt(easy, CURLOPT_SSLKEY, "/nowhere/key.pem");
             ::curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "password");
         }},
        // The engine's own certificate, where none is named.
        {"SSLCERTTYPE", [](CURL* easy) { ::curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "ENG"); }}};
    if ((libcurl.features & CURL_VERSION_TLSAUTH_SRP) != 0) {
        rows.push_back({"TLSAUTH_USERNAME",
                        [](CURL* easy) {
                            const std::string too_long(300, 'u');
                            ::curl_easy_setopt(easy, CURLOPT_TLSAUTH_USERNAME, too_long.c_str());
                            ::curl_easy_setopt(easy, CURLOPT_TLSAUTH_PASSWORD, "password");
                        },
                        CURLE_BAD_FUNCTION_ARGUMENT});
    }
    for (const row& each : rows) {
        CAPTURE(each.name);
        script_server other([](connection& c) { c.send("no TLS\r\n"), c.wait_for_close(); });
        const std::string secured = "https://127.0.0.1:" + other.port();
        script_server server([&](connection& c) { c.request(), c.send(redirect(307, secured)); });
        const auto error_at = [&](const std::string& url) {
            client it(options_for(url, 1));
            const std::error_code error =
                it.run({.configure = [&](CURL* easy, const sse::url&) { each.configure(easy); }});
            CHECK(error.category() == sse::curl::category());
            return static_cast<CURLcode>(error.value());
        };
        CHECK(error_at(secured) == each.refused);
        CHECK(error_at(server.url()) == CURLE_SSL_CONNECT_ERROR);
    }
}

namespace {

/// A pipe that nobody reads any more, and the signals of who writes into it all the same.
class broken_pipe {
public:
    broken_pipe() : before_(std::signal(SIGPIPE, [](int) { signals_ = signals_ + 1; })) {
        signals_ = 0;
        pipe_.read_end = {};
    }
    broken_pipe(const broken_pipe&) = delete;
    broken_pipe& operator=(const broken_pipe&) = delete;
    ~broken_pipe() { static_cast<void>(std::signal(SIGPIPE, before_)); }

    void write() {
        ++writes_;
        CHECK(::write(pipe_.write_end.get(), "", 1) == -1);
        CHECK(errno == EPIPE);
    }

    int writes() const noexcept { return writes_; }
    int signals() const noexcept { return signals_; }

    /// Has libcurl write where it opens and closes a connection, as what it does TLS with writes.
    void follow(CURL* easy) {
        const curl_sockopt_callback opened = [](void* self, curl_socket_t, curlsocktype) {
            static_cast<broken_pipe*>(self)->write();
            return static_cast<int>(CURL_SOCKOPT_OK);
        };
        const curl_closesocket_callback closes = [](void* self, curl_socket_t socket) {
            static_cast<broken_pipe*>(self)->write();
            return ::close(socket);
        };
        ::curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, opened);
        ::curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, this);
        ::curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, closes);
        ::curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, this);
    }

private:
    static inline volatile std::sig_atomic_t signals_ = 0;
    sse::detail::wake_pipe pipe_{};
    int writes_ = 0;
    void (*before_)(int);
};

bool is_blocked(int signal) {
    sigset_t blocked;
    REQUIRE(::pthread_sigmask(SIG_BLOCK, nullptr, &blocked) == 0);
    return sigismember(&blocked, signal) == 1;
}

bool is_pending(int signal) {
    sigset_t pending;
    REQUIRE(::sigpending(&pending) == 0);
    return sigismember(&pending, signal) == 1;
}

/// What a run makes of signals does not depend on whether the connection ends with it, or with the source.
void write_into(broken_pipe& pipe) {
    for (const bool stays : {false, true}) {
        CAPTURE(stays);
        script_server server([&](connection& c) {
            c.request();
            c.send(stays ? "HTTP/1.1 204 Thus\r\n\r\n" : std::string(stream_head) + "data: one\n\n");
            c.wait_for_close();
        });
        client it(options_for(server.url()));
        it.source.on_event([&](const auto&) {
            pipe.write();
            it.source.close();
        });
        const int before = pipe.writes();
        it.run({.configure = [&](CURL* easy, const sse::url&) { pipe.follow(easy); }});
        CHECK(pipe.writes() - before == (stays ? 2 : 3));
    }
}

}  // namespace

TEST_CASE("no peer that has gone ends the program by a signal") {
    broken_pipe pipe;
    REQUIRE_FALSE(is_blocked(SIGPIPE));
    write_into(pipe);
    CHECK(pipe.signals() == 0);
    CHECK_FALSE(is_pending(SIGPIPE));
    CHECK_FALSE(is_blocked(SIGPIPE));
    CHECK_FALSE(is_blocked(SIGINT));
}

TEST_CASE("a thread's mask of signals is as it was, and what was pending is") {
    broken_pipe pipe;
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, SIGPIPE);
    {
        const sse::detail::signals_blocked blocked(only);
        write_into(pipe);
        CHECK_FALSE(is_pending(SIGPIPE));
        CHECK(is_blocked(SIGPIPE));

        pipe.write();
        CHECK(is_pending(SIGPIPE));
        write_into(pipe);
        CHECK(is_pending(SIGPIPE));
        CHECK(pipe.signals() == 0);
    }
    CHECK(pipe.signals() == 1);
    CHECK_FALSE(is_blocked(SIGPIPE));
}

TEST_CASE("errors are libcurl's, and can be told by what they mean") {
    script_server server([](connection& c) { c.request(), c.reset(); });
    client it(options_for(server.url(), 1));
    const std::error_code error = it.run();
    CHECK(error.category() == sse::curl::category());
    CHECK(error == std::errc::connection_reset);
    CHECK(error.message() == ::curl_easy_strerror(static_cast<CURLcode>(error.value())));

    CHECK(std::string_view(error.category().name()) == "curl");
    const auto meaning = [](CURLcode code) { return std::error_code(code, sse::curl::category()); };
    CHECK(meaning(CURLE_OPERATION_TIMEDOUT) == std::errc::timed_out);
    CHECK(meaning(CURLE_COULDNT_CONNECT) == std::errc::connection_refused);
    CHECK(meaning(CURLE_SEND_ERROR) == std::errc::connection_reset);
    CHECK(meaning(CURLE_RECV_ERROR) == std::errc::connection_reset);
    CHECK(meaning(CURLE_SSL_CONNECT_ERROR) != std::errc::connection_reset);
    CHECK(meaning(CURLE_SSL_CONNECT_ERROR) ==
          std::error_condition(CURLE_SSL_CONNECT_ERROR, sse::curl::category()));

    client unknown(options_for("http://nix.invalid/", 1));
    CHECK(unknown.run() == std::error_code(CURLE_COULDNT_RESOLVE_HOST, sse::curl::category()));
}

TEST_CASE("what is wrong with the URL, this libcurl, a certificate or a password is final") {
    for (const CURLcode code :
         {CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT, CURLE_NOT_BUILT_IN, CURLE_PEER_FAILED_VERIFICATION,
          CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_ISSUER_ERROR,
          CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_LOGIN_DENIED}) {
        CAPTURE(code);
        CHECK(sse::curl::detail::is_fatal(code));
    }
    for (const CURLcode code : {CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT, CURLE_OPERATION_TIMEDOUT,
                                CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_SSL_CONNECT_ERROR, CURLE_HTTP2}) {
        CAPTURE(code);
        CHECK_FALSE(sse::curl::detail::is_fatal(code));
    }
}

TEST_CASE("where libcurl fails, an exception says so") {
    CHECK_THROWS_AS(sse::curl::detail::check<CURL>(nullptr), std::bad_alloc);
    CHECK_THROWS_WITH_AS(sse::curl::detail::check(CURLM_BAD_HANDLE), ::curl_multi_strerror(CURLM_BAD_HANDLE),
                         std::runtime_error);
    // It takes no more than 8 MB for a URL.
    client it(options_for("http://127.0.0.1:1/" + std::string(9'000'000, 'a')));
    std::error_code error;
    try {
        it.run();
    } catch (const std::system_error& failure) {
        error = failure.code();
    }
    CHECK(error.category() == sse::curl::category());
}

TEST_CASE("an Expect of one's own is sent, and else none") {
    for (const bool is_wanted : {false, true}) {
        script_server server([](connection& c) { c.request(), c.send(no_content); });
        sse::event_source_options options = options_for(server.url());
        if (is_wanted) options.headers = {{"expect", "100-continue"}};
        client it(std::move(options));
        CHECK(it.run() == sse::errc::no_content);
        REQUIRE(server.requests().size() == 1);
        CHECK(value_of(server.requests()[0], "Expect") == (is_wanted ? "100-continue" : "(none)"));
    }
}

TEST_CASE("what libcurl cannot do at all is final") {
    script_server server([](connection& c) { c.request(), c.send(no_content); });
    client it(options_for(server.url()));
    CHECK(it.run({.configure = [](CURL* easy, const sse::url&) {
        ::curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
    }}) == std::error_code(CURLE_UNSUPPORTED_PROTOCOL, sse::curl::category()));
    CHECK(it.log == strings{"over"});
    CHECK(server.connections() == 0);
}
