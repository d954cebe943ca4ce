// Every kind of sink: how it is called, and what its results mean.
#include <sse/sink.hpp>

#include <sse/encoder.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <iterator>
#include <memory>
#include <ostream>
#include <span>
#include <sstream>
#include <streambuf>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using namespace std::string_literals;
using sse::errc;

const std::error_code broken = std::make_error_code(std::errc::broken_pipe);

// Sinks, with write or to be called, that return a `Result`

template <class Result>
struct writer {
    Result result;
    std::string bytes{};
    Result write(const char* text, std::size_t size) {
        bytes.append(text, size);
        return result;
    }
};

template <class Result>
auto callable(std::string& bytes, Result result) {
    return [&bytes, result](std::string_view text) {
        bytes += text;
        return result;
    };
}

/// What the sinks return is understood as `expected`, both ways; all bytes have been given to them.
template <class Error = sse::error, class Result>
void check_result(Result result, Error expected) {
    static_assert(sse::sink<writer<Result>> && sse::sink<writer<Result>&>);
    const std::string text = "data: abc\n\n";
    writer<Result> sink{result};
    const auto error = sse::encode_to(sink, {.data = "abc"});
    static_assert(std::is_same_v<decltype(error), const Error>);
    CHECK(error == expected);
    CHECK(sink.bytes == text);

    std::string bytes;
    CHECK(sse::encode_to(callable(bytes, result), {.data = "abc"}) == expected);
    CHECK(bytes == text);
    bytes.clear();
    CHECK(sse::encode_comment_to(callable(bytes, result), "abcdefgh") == expected);
    CHECK(bytes == ": abcdefgh\n");  // as long as the message
}

/// A stream's buffer with room for so many bytes.
class bounded_buffer : public std::streambuf {
public:
    explicit bounded_buffer(std::size_t room) : room_(room) {}
    std::string bytes{};

protected:
    int_type overflow(int_type byte) override {
        if (bytes.size() == room_) return traits_type::eof();
        bytes += traits_type::to_char_type(byte);
        return byte;
    }

private:
    std::size_t room_;
};

struct file_closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using file = std::unique_ptr<std::FILE, file_closer>;

std::string content(std::FILE* opened) {
    std::rewind(opened);
    std::string bytes;
    for (int byte = std::getc(opened); byte != EOF; byte = std::getc(opened))
        bytes += static_cast<char>(byte);
    return bytes;
}

struct neither {};

}  // namespace

static_assert(sse::sink<std::ostream> && sse::sink<std::ostringstream&> && sse::sink<std::FILE*&>);
static_assert(sse::sink<std::string&> && sse::sink<std::vector<char>> == false);
static_assert(sse::sink<std::function<void(std::string_view)>> && sse::sink<const std::span<char>>);
static_assert(!sse::sink<int> && !sse::sink<neither> && !sse::sink<std::span<const char>>);

TEST_CASE("what a sink returns says whether it failed") {
    SUBCASE("a bool") {
        check_result(true, sse::error());
        check_result(false, sse::error(errc::sink_failed));
    }
    SUBCASE("an sse::error, itself") {
        check_result(sse::error(), sse::error());
        check_result(sse::error(errc::buffer_too_small), sse::error(errc::buffer_too_small));
    }
    SUBCASE("an std::error_code, itself") {
        check_result(std::error_code(), std::error_code());
        check_result(broken, broken);
    }
    SUBCASE("a count, signed or not: fewer than all is a failure") {
        check_result<sse::error, long>(11, {});
        check_result<sse::error, int>(11, {});
        check_result<sse::error, std::size_t>(11, {});
        check_result<sse::error, unsigned>(11, {});
        check_result<sse::error, long>(10, errc::sink_failed);
        check_result<sse::error, std::size_t>(10, errc::sink_failed);
        check_result<sse::error, std::size_t>(0, errc::sink_failed);
        check_result<sse::error, int>(0, errc::sink_failed);
        check_result<sse::error, long>(-1, errc::sink_failed);
        check_result<sse::error, int>(-11, errc::sink_failed);
    }
    SUBCASE("nothing: it succeeded") {
        std::string bytes;
        CHECK_FALSE(sse::encode_to([&](std::string_view text) { bytes += text; }, {.data = "a"}));
        CHECK(bytes == "data: a\n\n");
    }
    SUBCASE("sse::errc") {
        check_result(errc::ok, sse::error());
        check_result(errc::id_has_nul, sse::error(errc::id_has_nul));
    }
    SUBCASE("std::errc") {
        check_result(std::errc(), std::make_error_code(std::errc()));
        check_result(std::errc::broken_pipe, broken);
    }
    SUBCASE("a class that converts to std::error_code, as other libraries have") {
        struct code {
            std::error_code value;
            explicit operator bool() const { return bool(value); }
            operator std::error_code() const { return value; }
        };
        check_result(code{}, std::error_code());
        check_result(code{broken}, broken);
    }
}

TEST_CASE("a sink that returns std::error_code gets refusals as such") {
    std::string bytes;
    const std::error_code error = sse::encode_to(callable(bytes, std::error_code()), {.id = "\n"});
    CHECK(error == errc::id_has_line_break);
    CHECK(bytes.empty());
}

TEST_CASE("a string, and anything with append, has the bytes appended") {
    std::string string = "prior ";
    CHECK_FALSE(sse::encode_to(string, {.data = "a"}));
    CHECK(string == "prior data: a\n\n");

    struct appender {
        std::string bytes{};
        std::size_t room = 100;
        bool append(const char* text, std::size_t size) {
            bytes.append(text, std::min(size, room - bytes.size()));
            return bytes.size() < room;
        }
    };
    appender sink;
    CHECK_FALSE(sse::encode_to(sink, {.event = "e", .data = "a\nb"}));
    CHECK(sink.bytes == "event: e\ndata: a\ndata: b\n\n");

    appender small{.room = 12};
    CHECK(sse::encode_to(small, {.event = "e", .data = "a\nb"}) == errc::sink_failed);
    CHECK(small.bytes == "event: e\ndat");
}

TEST_CASE("an ostream is written to, and fails when it does") {
    std::ostringstream out;
    out << "prior ";
    CHECK_FALSE(sse::encode_to(out, {.data = "a"}));
    CHECK_FALSE(sse::encode_comment_to(static_cast<std::ostream&>(out), "b"));
    CHECK(out.str() == "prior data: a\n\n: b\n");

    const std::string text = "event: e\ndata: a\n\n";
    for (std::size_t room = 0; room <= text.size(); ++room) {
        bounded_buffer buffer(room);
        std::ostream bounded(&buffer);
        const sse::error error = sse::encode_to(bounded, {.event = "e", .data = "a"});
        CHECK(error == (room < text.size() ? errc::sink_failed : errc::ok));
        CHECK(buffer.bytes == text.substr(0, room));
    }
    out.setstate(std::ios::badbit);
    CHECK(sse::encode_to(out, {.data = "c"}) == errc::sink_failed);
    CHECK(out.str() == "prior data: a\n\n: b\n");
}

TEST_CASE("a FILE is written to, and fails when it does") {
    const file out(std::tmpfile());
    REQUIRE(out);
    CHECK_FALSE(sse::encode_to(out.get(), {.data = "a\0b"s}));
    std::FILE* const same = out.get();
    sse::encoder encoder(same);
    CHECK_FALSE(encoder.write_comment("c"));
    CHECK_FALSE(encoder.write({.data = std::string(5000, 'x')}));
    CHECK(content(out.get()) == "data: a\0b\n\n: c\ndata: "s + std::string(5000, 'x') + "\n\n");

#ifdef HAS_PIPES
    const file read_only(std::fopen("/dev/null", "r"));
    REQUIRE(read_only);
    CHECK(sse::encode_to(read_only.get(), {.data = "a"}) == errc::sink_failed);
#endif
}

TEST_CASE("a sink may be one that cannot be copied, and one that is const to be called") {
    auto log = std::make_unique<std::string>();
    const std::string& bytes = *log;
    auto sink = [log = std::move(log)](std::string_view text) { *log += text; };
    CHECK_FALSE(sse::encode_to(sink, {.data = "a"}));
    CHECK_FALSE(sse::encode_to(std::as_const(sink), {.data = "b"}));
    CHECK_FALSE(sse::encode_to(std::move(sink), {.data = "c"}));
    CHECK(bytes == "data: a\n\ndata: b\n\ndata: c\n\n");

    std::string other;
    const std::function<void(std::string_view)> function = [&](std::string_view text) { other += text; };
    CHECK_FALSE(sse::encode_to(function, {.data = "d"}));
    CHECK(other == "data: d\n\n");
}

TEST_CASE("what a sink throws passes through") {
    struct thrown {};
    const auto sink = [](std::string_view) { throw thrown(); };
    CHECK_THROWS_AS(static_cast<void>(sse::encode_to(sink, {.data = "a"})), thrown);
    CHECK_THROWS_AS(static_cast<void>(sse::encode_comment_to(sink, "a")), thrown);
    sse::encoder encoder(sink);
    CHECK_THROWS_AS(static_cast<void>(encoder.write({.data = "a"})), thrown);
    CHECK(sse::encode_to(sink, {.event = "\n"}) == errc::event_has_line_break);  // it was not called

    bounded_buffer full(0);
    std::ostream out(&full);
    out.exceptions(std::ios::badbit);
    CHECK_THROWS_AS(static_cast<void>(sse::encode_to(out, {.data = "a"})), std::ios::failure);
}

TEST_CASE("a small message is one call of the sink") {
    const std::string lines = "a\r\nb\n\nc\rlonger than the others\n";
    std::vector<std::string> calls;
    const auto sink = [&](std::string_view text) { calls.emplace_back(text); };
    CHECK_FALSE(
        sse::encode_to(sink, {.event = "tick", .data = lines, .id = "7", .retry = sse::milliseconds(10)}));
    CHECK(calls.size() == 1);
    CHECK_FALSE(sse::encode_comment_to(sink, lines));
    CHECK(calls.size() == 2);
    sse::encoder encoder(sink);
    CHECK_FALSE(encoder.write({.data = lines}));
    CHECK(calls.size() == 3);
    CHECK_FALSE(sse::encode_to(sink, {}));
    CHECK(calls.size() == 4);
    for (const std::string& call : calls) CHECK(call.ends_with("\n"));
}

TEST_CASE("a message of any size arrives whole, however it is gathered") {
    for (std::size_t size = 900; size < 1100; ++size) {
        const std::string line(size, 'x');
        const std::string data = line + "\n" + line.substr(size / 2) + "\r" + line;
        const sse::message sent{.event = line, .data = data, .id = "7"};
        std::string gathered;
        CHECK_FALSE(sse::encode_to([&](std::string_view text) { gathered += text; }, sent));
        CHECK(gathered == sse::encode(sent));
    }
}

TEST_CASE("a long line of data goes to the sink from where it lies") {
    const std::string data(1 << 20, 'x');
    int calls = 0;
    int from_there = 0;
    std::string bytes;
    const auto sink = [&](std::string_view text) {
        ++calls;
        from_there += text.data() == data.data() && text.size() == data.size();
        bytes += text;
    };
    CHECK_FALSE(sse::encode_to(sink, {.event = "e", .data = data}));
    CHECK(from_there == 1);
    CHECK(calls == 3);  // what is before it, itself, what is after it
    CHECK(bytes == "event: e\ndata: " + data + "\n\n");
}

TEST_CASE("a failed sink is not called again for the rest of a large message") {
    std::string data;
    for (int i = 0; i < 1000; ++i) data += "a line of some length\n";
    int calls = 0;
    CHECK(sse::encode_to([&](std::string_view) { return ++calls < 3; }, {.data = data}) == errc::sink_failed);
    CHECK(calls == 3);
}

// Sources

TEST_CASE("a size that is too large for its type is held at the largest, and does not begin anew") {
    sse::detail::counter counted{SIZE_MAX - 3};
    counted.put("12");
    CHECK(counted.size == SIZE_MAX - 1);
    counted.put("345");
    CHECK(counted.size == SIZE_MAX);
    counted.put("6");
    CHECK(counted.size == SIZE_MAX);
}

TEST_CASE("what is cut short by an exception leaves nothing in a string") {
    struct thrown {};
    struct limited : std::string {
        std::size_t calls = 0;
        limited& append(const char* bytes, std::size_t size) {
            if (++calls == 4) throw thrown();
            std::string::append(bytes, size);
            return *this;
        }
    };
    limited out;
    out.assign("prior");
    CHECK_THROWS_AS(static_cast<void>(sse::encode_to(out, {.event = "e", .data = "a"})), thrown);
    CHECK(out == "prior");
    CHECK_FALSE(sse::encode_to(out, {.data = "b"}));
    CHECK(out == "priordata: b\n\n");
}

TEST_CASE("an encoder whose sink has thrown in mid-event writes no more") {
    struct thrown {};
    std::string bytes;
    bool fails = false;
    sse::encoder encoder([&](std::string_view text) {
        if (fails) throw thrown();
        bytes += text;
    });
    REQUIRE_FALSE(encoder.begin_event({.id = "7"}));
    fails = true;
    CHECK_THROWS_AS(static_cast<void>(encoder.write_data("x")), thrown);
    fails = false;
    CHECK(encoder.error() == errc::sink_failed);
    CHECK(encoder.write({.data = "taken for another"}) == errc::sink_failed);
    CHECK(bytes == "id: 7\n");
}

TEST_CASE("an encoder goes on behind what it wrote, in a span of whatever kind") {
    const std::string expected = "data: 1\n\ndata: 2\n\n";
    std::array<char, 64> room{};
    const auto written = [&] { return std::string_view(room.data(), expected.size()); };
    const auto write_two = [&](auto&& encoder) {
        room.fill('.');
        CHECK_FALSE(encoder.begin_event());
        CHECK_FALSE(encoder.write_data("1"));
        CHECK_FALSE(encoder.end_event());
        CHECK_FALSE(encoder.write({.data = "2"}));
        CHECK(written() == expected);
        CHECK(encoder.sink().size() == room.size() - expected.size());
    };
    write_two(sse::encoder(std::span<char>(room)));
    write_two(sse::encoder(std::span<char, 64>(room)));
    const std::span<char> constant(room);
    write_two(sse::encoder(constant));
    const std::span<char, 64> constant_extent(room);
    write_two(sse::encoder(constant_extent));
    std::span<char> shortened(room);
    write_two(sse::encoder(shortened));
    CHECK(shortened.size() == room.size() - expected.size());
}

TEST_CASE("a span that cannot be shortened is written from its front each time") {
    std::array<char, 16> room{};
    const std::span<char> constant(room);
    CHECK_FALSE(sse::encode_to(constant, {.data = "1"}));
    CHECK_FALSE(sse::encode_to(constant, {.data = "2"}));
    CHECK(std::string_view(room.data(), 9) == "data: 2\n\n");
    CHECK(sse::encode_to(std::span<char, 16>(room), {.data = "too large for it"}) == errc::buffer_too_small);
    CHECK(std::string_view(room.data(), 9) == "data: 2\n\n");
}

TEST_CASE("a file with a position is no string: what was written there is not taken to be undone") {
    struct file_like {
        std::string bytes{};
        bool fails = false;
        std::size_t size() const { return bytes.size(); }
        void resize(std::size_t size) { bytes.resize(size); }
        bool write(const char* text, std::size_t size) {
            bytes.append(text, fails ? size / 2 : size);
            return !fails;
        }
    };
    file_like file;
    sse::encoder encoder(file);
    CHECK_FALSE(encoder.write({.data = "1"}));
    file.fails = true;
    CHECK(encoder.write({.data = "2"}) == errc::sink_failed);
    file.fails = false;
    CHECK(encoder.write({.data = "3"}) == errc::sink_failed);
    CHECK(encoder.write({.id = "\n"}) == errc::sink_failed);
}

TEST_CASE("what a string that refuses had taken of an event is taken back") {
    struct refusing {
        std::string bytes = ": before\n";
        int allowed = 0;
        std::size_t size() const { return bytes.size(); }
        void resize(std::size_t size) { bytes.resize(size); }
        bool append(const char* text, std::size_t size) {
            if (allowed-- <= 0) return false;
            bytes.append(text, size);
            return true;
        }
    };
    for (int allowed = 0;; ++allowed) {
        CAPTURE(allowed);
        refusing sink;
        sink.allowed = allowed;
        const sse::error error = sse::encode_to(sink, {.event = "e", .data = "1\n2", .id = "7"});
        if (!error) break;
        CHECK(error == errc::sink_failed);
        CHECK(sink.bytes == ": before\n");
        REQUIRE(allowed < 100);
    }
}

TEST_CASE("a sink is not called with nothing") {
    struct strict {
        std::string bytes{};
        void append(const char* text, std::size_t size) {
            CHECK(text != nullptr);
            CHECK(size > 0);
            bytes.append(text, size);
        }
    };
    strict sink;
    CHECK_FALSE(sse::encode_to(sink, {.event = std::string_view(), .data = std::string_view()}));
    CHECK(sink.bytes == "event: \ndata: \n\n");
}

TEST_CASE("a long message is gathered into as few calls as there are blocks") {
    std::string data;
    for (int line = 0; line < 100; ++line) data += std::string(90, 'x') + "\n";
    std::size_t calls = 0, size = 0;
    CHECK_FALSE(sse::encode_to(
        [&](std::string_view text) {
            ++calls;
            size += text.size();
        },
        {.data = data}));
    CHECK(size == sse::encoded_size({.data = data}));
    CHECK(calls == (size + 1023) / 1024);
}

TEST_CASE("a FILE that could not be opened is a failure") {
    std::FILE* const none = nullptr;
    CHECK(sse::encode_to(none, {.data = "a"}) == errc::sink_failed);
}
