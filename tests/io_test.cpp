// Every kind of source, and the events of a source.
#include <sse/io.hpp>

#include "support/show.hpp"

#include <sse/encoder.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <ostream>
#include <ranges>
#include <span>
#include <sstream>
#include <stdexcept>
#include <streambuf>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#ifndef _WIN32
#include <fcntl.h>
#include <unistd.h>
#define HAS_PIPES
#endif

namespace {

using namespace std::string_literals;
using sse::errc;

const std::error_code broken = std::make_error_code(std::errc::broken_pipe);

struct file_closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using file = std::unique_ptr<std::FILE, file_closer>;

/// Gives these texts one by one, and then what `last` says.
struct script {
    std::vector<std::string> texts;
    sse::read_result last{.end = true};
    std::size_t calls = 0;

    sse::read_result read(std::span<char> room) {
        if (calls++ >= texts.size()) return last;
        const std::string& text = texts[calls - 1];
        REQUIRE(text.size() <= room.size());
        std::copy(text.begin(), text.end(), room.begin());
        return {.bytes = text.size()};
    }
};

/// A callable that gives a text in steps of so many bytes, as read(2) does.
template <class Count>
auto counting(std::string text, std::size_t step, Count last = 0) {
    return [text = std::move(text), step, last](std::span<char> room) mutable -> Count {
        const std::size_t size = std::min({step, text.size(), room.size()});
        if (size == 0) return last;
        text.copy(room.data(), size);
        text.erase(0, size);
        return static_cast<Count>(size);
    };
}

/// A buffer that has been given so much, and where reading on would mean to wait.
class live_buffer : public std::streambuf {
public:
    std::vector<std::string> chunks{};
    bool closed = false;

protected:
    int_type underflow() override {
        if (chunks.empty()) {
            if (!closed) throw std::logic_error("would wait");
            return traits_type::eof();
        }
        chunk_ = std::move(chunks.front());
        chunks.erase(chunks.begin());
        setg(chunk_.data(), chunk_.data(), chunk_.data() + chunk_.size());
        return traits_type::to_int_type(*gptr());
    }

private:
    std::string chunk_{};
};

/// As std::cin is while it is synchronised with stdin: it has no memory but for one byte looked at.
class unbuffered : public std::streambuf {
public:
    std::string bytes{};
    bool closed = false;

protected:
    int_type underflow() override {
        if (!bytes.empty()) return traits_type::to_int_type(bytes.front());
        if (!closed) throw std::logic_error("would wait");
        return traits_type::eof();
    }
    int_type uflow() override {
        const int_type byte = underflow();
        if (!bytes.empty()) bytes.erase(0, 1);
        return byte;
    }
};

/// The data of all events.
template <class Stream>
std::vector<std::string> all_data(Stream&& stream) {
    std::vector<std::string> all;
    for (const sse::event_view& event : stream) all.emplace_back(event.data);
    return all;
}

using strings = std::vector<std::string>;
const std::string three_events = "data: 1\n\ndata: 2\r\n\r\ndata: 3\r\r";
const strings one_two_three = {"1", "2", "3"};

struct neither {};
struct reads_bool {
    bool read(std::span<char>);
};

}  // namespace

// What is a source

static_assert(sse::source<script> && sse::source<script&> && sse::source<std::istream&>);
static_assert(sse::source<std::ifstream> && sse::source<std::FILE*> && sse::source<std::FILE* const&>);
static_assert(sse::source<std::function<int(std::span<char>)>>);
static_assert(!sse::source<neither> && !sse::source<reads_bool> && !sse::source<int>);

TEST_CASE("a source is read to its end, whatever it says how many bytes came by") {
    for (const std::size_t step : {1u, 2u, 3u, 7u, 1000u}) {
        CAPTURE(step);
        CHECK(all_data(sse::events(counting<long>(three_events, step))) == one_two_three);
        CHECK(all_data(sse::events(counting<int>(three_events, step))) == one_two_three);
        CHECK(all_data(sse::events(counting<std::size_t>(three_events, step))) == one_two_three);
        CHECK(all_data(sse::events(counting<unsigned short>(three_events, step))) == one_two_three);
    }
    script source{{three_events}};
    auto stream = sse::events(source);
    CHECK(all_data(stream) == one_two_three);
    CHECK_FALSE(stream.error());

    struct reader {
        decltype(counting<long>("", 1)) next;
        long read(std::span<char> room) { return next(room); }
    };
    CHECK(all_data(sse::events(reader{counting<long>(three_events, 1)})) == one_two_three);
}

TEST_CASE("a source that claims more than there was room for has failed") {
    auto stream = sse::events([](std::span<char> room) { return room.size() + 1; });
    CHECK_FALSE(stream.next());
    CHECK(stream.error() == errc::source_failed);
}

TEST_CASE("a negative count is a failure, after the events before it") {
    auto stream = sse::events(counting<long>(three_events, 1, -1));
    CHECK(all_data(stream) == one_two_three);
    CHECK(stream.error() == errc::source_failed);
    CHECK(all_data(stream).empty());
    CHECK(stream.error() == errc::source_failed);
}

TEST_CASE("an error that comes with bytes is told after the events in them") {
    auto stream = sse::events([](std::span<char> room) -> sse::read_result {
        return {three_events.copy(room.data(), room.size()), false, broken};
    });
    CHECK(stream.next()->data == "1");
    CHECK_FALSE(stream.error());
    CHECK(stream.next()->data == "2");
    CHECK(stream.next()->data == "3");
    CHECK_FALSE(stream.error());
    CHECK_FALSE(stream.next());
    CHECK(stream.error() == broken);
}

TEST_CASE("an end that comes with bytes is the end after the events in them") {
    int calls = 0;
    auto stream = sse::events([&](std::span<char> room) -> sse::read_result {
        ++calls;
        return {three_events.copy(room.data(), room.size()), true, {}};
    });
    CHECK(all_data(stream) == one_two_three);
    CHECK_FALSE(stream.error());
    CHECK(calls == 1);
}

TEST_CASE("no bytes and nothing else means to read again") {
    script source{{"", "data: 1\n", "", "", "\n", ""}};
    auto stream = sse::events(source);
    CHECK(all_data(stream) == strings{"1"});
    CHECK_FALSE(stream.error());
    CHECK(source.calls == 7);
}

TEST_CASE("after its end, or a failure, a source is not read again") {
    for (const sse::read_result last : {sse::read_result{.end = true}, sse::read_result{.error = broken}}) {
        script source{{"data: 1\n\n"}, last};
        auto stream = sse::events(source);
        CHECK(all_data(stream) == strings{"1"});
        CHECK(source.calls == 2);
        CHECK_FALSE(stream.next());
        CHECK(all_data(stream).empty());
        CHECK(source.calls == 2);
        CHECK(stream.error() == last.error);
    }
}

TEST_CASE("an event is handed out before the source is read again") {
    script source{{"data: 1\n\ndata: 2\n", "\n"}};
    auto stream = sse::events(source);
    CHECK(source.calls == 0);
    CHECK(stream.next()->data == "1");
    CHECK(source.calls == 1);
    CHECK(stream.next()->data == "2");
    CHECK(source.calls == 2);
}

TEST_CASE("an event half read at the end is dropped, or delivered where that is asked for") {
    for (const std::string half : {"data: 1\n\nid: 7\ndata: 2\n", "data: 1\n\nid: 7\ndata: 2"}) {
        script dropped{{half}};
        auto discards = sse::events(dropped);
        CHECK(all_data(discards) == strings{"1"});
        CHECK(discards.parser().last_event_id() == "");
        CHECK_FALSE(discards.error());

        script delivered{{half}};
        auto delivers = sse::events(delivered, {}, sse::unfinished_event::deliver);
        CHECK(delivers.next()->data == "1");
        const auto last = delivers.next();
        REQUIRE(last);
        CHECK(*last == sse::event_view{.data = "2", .last_event_id = "7"});
        CHECK_FALSE(delivers.next());
        CHECK(delivers.parser().last_event_id() == "7");
        CHECK_FALSE(delivers.error());

        // A connection that broke has not ended, whatever else is said of it.
        for (const bool says_end : {false, true}) {
            auto breaks = sse::events(script{{half}, {.end = says_end, .error = broken}}, {},
                                      sse::unfinished_event::deliver);
            CHECK(all_data(breaks) == strings{"1"});
            CHECK(breaks.error() == broken);
        }
    }
    CHECK(all_data(sse::events(script{{"\n", ": comment\n"}}, {}, sse::unfinished_event::deliver)).empty());
}

TEST_CASE("an event too large ends the stream with that error, after the events before it") {
    auto stream = sse::events(script{{"data: 1234\n\ndata: 12345\n\ndata: 1\n\n"}}, {.max_event_bytes = 4});
    CHECK(all_data(stream) == strings{"1234"});
    CHECK(stream.error() == errc::event_too_large);
    CHECK_FALSE(stream.next());
    CHECK(stream.error() == errc::event_too_large);
}

TEST_CASE("an event that becomes too large as it is delivered at the end is an error too") {
    // U+FFFD takes three bytes, and is put in once the line is over.
    auto stream = sse::events(script{{"data: \xFF"}},
                              {.max_event_bytes = 2, .invalid_utf8 = sse::invalid_utf8::replace},
                              sse::unfinished_event::deliver);
    CHECK(all_data(stream).empty());
    CHECK(stream.error() == errc::event_too_large);
}

TEST_CASE("a stream begins with the id it is given, and knows the last one and the reconnection time") {
    script source{{"data: 1\n\nid: 8\nretry: 10\ndata: 2\n\nid: 9\n\nid: 10\n"}};
    auto stream = sse::events(source, {.last_event_id = "7"});
    CHECK(stream.parser().last_event_id() == "7");
    CHECK(stream.next()->last_event_id == "7");
    CHECK_FALSE(stream.parser().reconnection_time());
    CHECK(stream.next()->last_event_id == "8");
    CHECK(stream.parser().reconnection_time() == sse::milliseconds(10));
    CHECK_FALSE(stream.next());
    CHECK(stream.parser().last_event_id() == "9");  // the block of 10 was not complete
}

TEST_CASE("events are an input range, to be walked once") {
    using stream = sse::event_stream<script&>;
    static_assert(std::input_iterator<stream::iterator>);
    static_assert(!std::forward_iterator<stream::iterator>);
    static_assert(std::ranges::input_range<stream>);
    static_assert(std::is_same_v<std::iter_value_t<stream::iterator>, sse::event_view>);
    static_assert(std::is_same_v<std::iter_reference_t<stream::iterator>, const sse::event_view&>);

    script source{{three_events, three_events}};
    auto events = sse::events(source);
    static_assert(std::is_same_v<decltype(events), stream>);
    auto it = events.begin();
    CHECK(it != events.end());
    CHECK((*it).data == "1");
    CHECK(it->data == "1");
    CHECK((++it)->data == "2");
    it++;
    CHECK(it->data == "3");
    CHECK(all_data(events) == one_two_three);  // of the second text
    CHECK(events.begin() == events.end());
}

TEST_CASE("a stream of events stays where it is: what it has read and not yet parsed lies in it") {
    using refers = sse::event_stream<script&>;
    using owns = sse::event_stream<script>;
    static_assert(!std::is_copy_constructible_v<refers> && !std::is_copy_assignable_v<refers>);
    static_assert(!std::is_move_constructible_v<refers> && !std::is_move_assignable_v<refers>);
    static_assert(!std::is_copy_constructible_v<owns> && !std::is_copy_assignable_v<owns>);
    static_assert(!std::is_move_constructible_v<owns> && !std::is_move_assignable_v<owns>);
    static_assert(!std::is_copy_constructible_v<sse::detail::write_guard<std::string>>);
    static_assert(!std::is_copy_assignable_v<sse::detail::write_guard<std::string>>);
}

#ifdef NDEBUG  // or else it is an assertion

TEST_CASE("behind the last event there is an empty one, not somebody else's memory") {
    script nothing{{}};
    auto none = sse::events(nothing);
    const auto end = none.begin();
    CHECK(*end == sse::event_view());
    CHECK(end->data.empty());

    script source{{three_events}};
    auto events = sse::events(source);
    auto it = events.begin();
    while (it != events.end()) ++it;
    CHECK(it->data.empty());
    CHECK((++it)->data.empty());
}

#endif

TEST_CASE("a source that is an lvalue is referred to, one that is not is owned") {
    script source{{three_events}};
    CHECK(all_data(sse::events(source)) == one_two_three);
    CHECK(source.calls == 2);

    auto next = std::make_unique<script>(script{{three_events}});
    auto owned = sse::events([next = std::move(next)](std::span<char> room) { return next->read(room); });
    CHECK(owned.next()->data == "1");
    CHECK(all_data(owned) == strings{"2", "3"});
}

namespace {

// The next allocation fails, if it is of this size or a larger one.
std::size_t too_many_bytes = SIZE_MAX;

}  // namespace

void* operator new[](std::size_t size) {
    if (size >= too_many_bytes) {
        too_many_bytes = SIZE_MAX;
        throw std::bad_alloc();
    }
    return operator new(size);
}
void operator delete[](void* bytes) noexcept { operator delete(bytes); }
void operator delete[](void* bytes, std::size_t) noexcept { operator delete(bytes); }

TEST_CASE("where memory runs out in mid-event, the rest of it is no event of its own") {
    const strings chunks = {"data: abc\nda", "ta: " + std::string(1000, 'x') + "\ndata: tail\n\n"};
    std::size_t next = 0;
    auto stream = sse::events([&](std::span<char> room) {
        return next < chunks.size() ? chunks[next++].copy(room.data(), room.size()) : 0;
    });
    too_many_bytes = 1000;
    CHECK_THROWS_AS(static_cast<void>(stream.next()), std::bad_alloc);
    CHECK_FALSE(stream.next());
    CHECK(stream.error() == std::errc::not_enough_memory);
}

TEST_CASE("what a source throws passes through") {
    struct thrown {};
    auto stream = sse::events([](std::span<char>) -> int { throw thrown(); });
    CHECK_THROWS_AS(static_cast<void>(stream.next()), thrown);
    CHECK_THROWS_AS(static_cast<void>(stream.begin()), thrown);
}

TEST_CASE("an event larger than what is read at once arrives whole") {
    std::string data(100'000, 'x');
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>('a' + i % 26);
    const std::string bytes = "data: " + data + "\r\n\r\ndata: 2\n\n";
    const strings expected = {data, "2"};
    std::istringstream in(bytes);
    CHECK(all_data(sse::events(in)) == expected);
    CHECK(all_data(sse::events(counting<long>(bytes, bytes.size()))) == expected);
    CHECK(all_data(sse::events(counting<long>(bytes, 999))) == expected);
    const file stored(std::tmpfile());
    REQUIRE(stored);
    REQUIRE(std::fwrite(bytes.data(), 1, bytes.size(), stored.get()) == bytes.size());
    std::rewind(stored.get());
    CHECK(all_data(sse::events(stored.get())) == expected);
}

TEST_CASE("an istream is a source") {
    std::istringstream in(three_events);
    auto stream = sse::events(in);
    CHECK(all_data(stream) == one_two_three);
    CHECK_FALSE(stream.error());

    CHECK(all_data(sse::events(std::istringstream(three_events))) == one_two_three);
    std::istringstream empty;
    auto nothing = sse::events(empty);
    CHECK(all_data(nothing).empty());
    CHECK_FALSE(nothing.error());
}

TEST_CASE("an istream whose buffer claims more than there was room for, or less than nothing, has failed") {
    for (const std::streamsize claimed : {std::streamsize{-1}, std::numeric_limits<std::streamsize>::max()}) {
        struct liar : std::streambuf {
            explicit liar(std::streamsize number) : number_(number) { setg(text_, text_, text_ + 1); }
            std::streamsize xsgetn(char*, std::streamsize) override { return number_; }
            char text_[1] = {'x'};
            std::streamsize number_;
        };
        liar buffer(claimed);
        std::istream in(&buffer);
        auto stream = sse::events(in);
        CHECK_FALSE(stream.next());
        CHECK(stream.error() == sse::errc::source_failed);
    }
}

TEST_CASE("a FILE that could not be opened is a failure, not an empty stream") {
    std::FILE* const none = nullptr;
    auto stream = sse::events(none);
    CHECK_FALSE(stream.next());
    CHECK(stream.error() == sse::errc::source_failed);
}

TEST_CASE("an istream that cannot be read is a failure, not an empty stream") {
    std::ifstream missing("no such folder/no such file");
    auto stream = sse::events(missing);
    CHECK(all_data(stream).empty());
    CHECK(stream.error() == errc::source_failed);

    std::istringstream bad(three_events);
    bad.setstate(std::ios::badbit);
    auto other = sse::events(bad);
    CHECK(all_data(other).empty());
    CHECK(other.error() == errc::source_failed);
}

TEST_CASE("an istream is read no further than it has come") {
    live_buffer buffer;
    std::istream live(&buffer);
    auto stream = sse::events(live);
    for (const strings& chunks :
         {strings{"data: 1\n\n"}, {"data: 1\r", "\r"}, {"da", "ta: 1", "\r\n", "\r\n"}}) {
        buffer.chunks = chunks;
        CHECK(stream.next()->data == "1");
    }
    buffer.chunks = {"data: 1\n\ndata: 2\n\n"};
    CHECK(stream.next()->data == "1");
    CHECK(stream.next()->data == "2");
    buffer.closed = true;
    CHECK_FALSE(stream.next());
    CHECK_FALSE(stream.error());
}

TEST_CASE("an istream without a buffer, as std::cin may be, is read no further either") {
    unbuffered buffer;
    std::istream live(&buffer);
    auto stream = sse::events(live);
    for (const std::string end : {"\n\n", "\r\r", "\r\n\r\n"}) {
        buffer.bytes += "data: 1" + end;
        CHECK(stream.next()->data == "1");
    }
    buffer.bytes += "data: 2\n\ndata: 3\n\n";
    CHECK(stream.next()->data == "2");
    CHECK(stream.next()->data == "3");
    buffer.closed = true;
    CHECK_FALSE(stream.next());
    CHECK_FALSE(stream.error());
}

TEST_CASE("nor does its end need a line end, nor a line fit into what is read at once") {
    const std::string line(20'000, 'x');
    unbuffered buffer;
    std::istream live(&buffer);
    auto stream = sse::events(live, {}, sse::unfinished_event::deliver);
    buffer.bytes = "data: " + line + "\n\ndata: half";
    CHECK(stream.next()->data == line);
    buffer.closed = true;
    CHECK(stream.next()->data == "half");
    CHECK_FALSE(stream.next());
    CHECK_FALSE(stream.error());
}

TEST_CASE("a FILE is a source") {
    const file stored(std::tmpfile());
    REQUIRE(stored);
    CHECK_FALSE(sse::encode_to(stored.get(), {.data = "1\0\n2"s}));
    CHECK_FALSE(sse::encode_to(stored.get(), {.data = "3"}));
    std::rewind(stored.get());
    auto stream = sse::events(stored.get());
    CHECK(all_data(stream) == strings{"1\0\n2"s, "3"});
    CHECK_FALSE(stream.error());

#ifdef HAS_PIPES
    const file write_only(std::fopen("/dev/null", "w"));
    REQUIRE(write_only);
    auto unreadable = sse::events(write_only.get());
    CHECK(all_data(unreadable).empty());
    CHECK(unreadable.error() == errc::source_failed);
#endif
}

#ifdef HAS_PIPES

namespace {

/// A pipe whose end to read from never waits: what reads too far sees a failure, and no test hangs.
struct pipe_ends {
    pipe_ends() {
        REQUIRE(::pipe(ends) == 0);
        REQUIRE(::fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    }
    ~pipe_ends() {
        close_writer();
        if (ends[0] >= 0) ::close(ends[0]);
    }
    pipe_ends(const pipe_ends&) = delete;
    pipe_ends& operator=(const pipe_ends&) = delete;

    void write(std::string_view bytes) {
        REQUIRE(std::cmp_equal(::write(ends[1], bytes.data(), bytes.size()), bytes.size()));
    }
    void close_writer() {
        if (ends[1] >= 0) ::close(std::exchange(ends[1], -1));
    }
    int take_reader() { return std::exchange(ends[0], -1); }

    std::array<int, 2> both() const { return {ends[0], ends[1]}; }

private:
    int ends[2] = {-1, -1};
};

template <class Stream>
void check_live(pipe_ends& pipe, Stream& stream) {
    for (const std::string end : {"\n\n", "\r\r", "\r\n\r\n", "\n\r", "\r\n\r"}) {
        CAPTURE(test::show(end));
        pipe.write("data: 1" + end);
        const auto event = stream.next();
        REQUIRE(event);
        CHECK(event->data == "1");
    }
    pipe.write("\ndata: 2\n\ndata: 3\n\ndata: half");  // the LF of the CR before
    CHECK(stream.next()->data == "2");
    CHECK(stream.next()->data == "3");
    pipe.close_writer();
    CHECK_FALSE(stream.next());
    CHECK_FALSE(stream.error());
}

}  // namespace

TEST_CASE("an event comes out of a FILE as soon as its blank line is in the pipe") {
    pipe_ends pipe;
    const file reader(::fdopen(pipe.take_reader(), "r"));
    REQUIRE(reader);
    auto stream = sse::events(reader.get());
    check_live(pipe, stream);
}

TEST_CASE("an event comes out of read(2) as soon as its blank line is in the pipe") {
    pipe_ends pipe;
    auto stream = sse::events(
        [fd = pipe.both()[0]](std::span<char> room) { return ::read(fd, room.data(), room.size()); });
    check_live(pipe, stream);
}

TEST_CASE("what fails in read(2) is a failure of the source") {
    auto stream = sse::events([](std::span<char> room) { return ::read(-1, room.data(), room.size()); });
    CHECK_FALSE(stream.next());
    CHECK(stream.error() == errc::source_failed);
}

TEST_CASE("events go through a pipe, from write(2) to read(2)") {
    pipe_ends pipe;
    const auto [in, out] = pipe.both();
    sse::encoder encoder(
        [file = out](std::string_view bytes) { return ::write(file, bytes.data(), bytes.size()); });
    auto stream =
        sse::events([file = in](std::span<char> room) { return ::read(file, room.data(), room.size()); });
    CHECK_FALSE(encoder.write({.event = "tick", .data = "one\r\ntwo", .id = "7"}));
    CHECK(stream.next() == sse::event_view{.type = "tick", .data = "one\ntwo", .last_event_id = "7"});
    CHECK_FALSE(encoder.write_comment("keep-alive"));
    CHECK_FALSE(encoder.begin_event());
    CHECK_FALSE(encoder.write_data("in"));
    CHECK_FALSE(encoder.write_data("\npieces"));
    CHECK_FALSE(encoder.end_event());
    CHECK(stream.next() == sse::event_view{.data = "in\npieces", .last_event_id = "7"});
}

#endif
