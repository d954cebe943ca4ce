// The parser against the reference, on streams that no one would write by hand.
//
// Deterministic: a failure names the seed of its stream, and shows the stream.
#include "support/chunking.hpp"
#include "support/reference.hpp"
#include "support/show.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::string_literals;

class generator {
public:
    explicit generator(unsigned seed) : random_(seed) {}

    std::size_t below(std::size_t bound) { return random_() % bound; }
    bool one_in(std::size_t bound) { return below(bound) == 0; }

    template <class Range>
    const auto& pick(const Range& range) {
        return range[below(std::size(range))];
    }

    std::string stream() {
        std::string text;
        if (one_in(6)) text += pick(mark_parts);
        switch (below(4)) {
            case 0: add_bytes(text, 1 + below(60)); break;
            case 1: add_pieces(text, 1 + below(40)); break;
            default: add_lines(text, 1 + below(24)); break;
        }
        if (one_in(4)) text.resize(below(text.size() + 1));
        return text;
    }

    test::setup how(std::size_t stream_size) {
        test::setup result;
        if (one_in(2)) result.invalid_utf8 = sse::invalid_utf8::replace;
        if (one_in(2)) result.unfinished_event = sse::unfinished_event::deliver;
        if (one_in(2)) result.max_event_bytes = one_in(2) ? below(24) : below(stream_size + 24);
        if (one_in(4)) result.last_event_id = pick(values);
        return result;
    }

    test::cuts where(std::size_t stream_size) {
        if (one_in(4)) return test::cuts_every(1, stream_size);
        return test::random_cuts(random_, stream_size, below(12));
    }

private:
    void add_bytes(std::string& text, std::size_t count) {
        static const std::string alphabet =
            "dataeventidretry:: 09\r\n\r\n\n\t\0\xEF\xBB\xBF\x80\xE2\xF0\xC2\xFFx"s;
        for (std::size_t i = 0; i < count; ++i) text += pick(alphabet);
    }

    void add_pieces(std::string& text, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            switch (below(5)) {
                case 0: text += pick(names); break;
                case 1: text += pick(separators); break;
                case 2: text += pick(line_ends); break;
                default: add_value(text); break;
            }
        }
    }

    void add_lines(std::string& text, std::size_t count) {
        // Most streams keep to one end of line, as most servers do.
        const std::string& usual_end = pick(line_ends);
        for (std::size_t i = 0; i < count; ++i) {
            if (!one_in(4)) {
                text += one_in(4) ? pick(near_names) : pick(names);
                text += one_in(8) ? pick(separators) : ": ";
                add_value(text);
            }
            text += one_in(8) ? pick(line_ends) : usual_end;
        }
    }

    void add_value(std::string& text) {
        for (std::size_t i = below(4); i > 0; --i) {
            if (one_in(12)) text += std::string(below(200), static_cast<char>('a' + below(26)));
            else text += pick(values);
        }
    }

    inline static const std::vector<std::string> names = {"data", "data", "event", "id", "retry", ""};
    inline static const std::vector<std::string> near_names = {
        "d",       "dat",    "datab",
        "Data",    "data ",  " data",
        "data\0"s, "even",   "events",
        "i",       "ids",    "ID",
        "retr",    "retry ", "\xEF\xBB\xBFid",
        "\xFF",    "other",  "data and more, a long name that no one knows"};
    inline static const std::vector<std::string> separators = {":", ": ", ":  ", "", ":\t", " :", "::"};
    inline static const std::vector<std::string> line_ends = {"\n", "\r", "\r\n", "\n", "\r\n"};
    inline static const std::vector<std::string> mark_parts = {"\xEF\xBB\xBF", "\xEF\xBB", "\xEF",
                                                               "\xEF\xBB\xBF\xEF\xBB\xBF"};
    inline static const std::vector<std::string> values = {"",
                                                           "a",
                                                           "7",
                                                           " ",
                                                           "10",
                                                           "0",
                                                           "tick",
                                                           "message",
                                                           ":",
                                                           "\t",
                                                           "9223372036854775807",
                                                           "9223372036854775808",
                                                           "99999999999999999999999999",
                                                           "00000000000000000000000000000005",
                                                           "5x",
                                                           "-5",
                                                           "\0"s,
                                                           "one two",
                                                           "\x0B\x0C\x1C",
                                                           "\x8A\x8D",
                                                           "\xC2\x85",
                                                           "\xE2\x80\xA8",
                                                           "\xE2\x80\xA6",
                                                           "\xE2\x80",
                                                           "\xE2",
                                                           "\x80",
                                                           "\xC0\x80",
                                                           "\xE0\x80\xAF",
                                                           "\xF5\x80",
                                                           "\xC2",
                                                           "\xED\xA0\x80",
                                                           "\xF0\x90\x80\x80",
                                                           "\xF0\x90\x80",
                                                           "\xF0\x80",
                                                           "\xF4\x90\x80\x80",
                                                           "\xFF",
                                                           "\xEF\xBB\xBF",
                                                           "\xEF\xBF\xBD"};

    std::mt19937 random_;
};

template <unsigned... Heard>
std::vector<test::driver> handlers_of_all_kinds(std::integer_sequence<unsigned, Heard...>) {
    return {{"push to a handler", test::unbounded, Heard, test::push<sse::parser, Heard>}...};
}

template <std::size_t Size>
void add_fixed(std::vector<test::driver>& all) {
    using parser = sse::fixed_parser<Size>;
    all.insert(
        all.end(),
        {{"fixed_parser, push to a callable", Size, test::nothing, test::push_to_callable<parser>},
         {"fixed_parser, push to a handler", Size, test::everything, test::push<parser, test::everything>},
         {"fixed_parser, pull", Size, test::nothing, test::pull<parser>}});
}

std::vector<test::driver> all_drivers() {
    auto all = handlers_of_all_kinds(std::make_integer_sequence<unsigned, test::everything + 1>());
    // As many of each as there are kinds of handlers, so that each way is taken as often.
    for (int i = 0; i < 8; ++i) {
        all.push_back(
            {"push to a callable", test::unbounded, test::nothing, test::push_to_callable<sse::parser>});
        all.push_back({"pull", test::unbounded, test::nothing, test::pull<sse::parser>});
    }
    add_fixed<1>(all);
    add_fixed<16>(all);
    add_fixed<100>(all);
    add_fixed<4096>(all);
    return all;
}

/// What was seen in all the streams of a test: one that never reaches a limit would test no limit.
struct tally {
    std::size_t events = 0;
    std::size_t too_large = 0;
    std::size_t in_event = 0;
    std::size_t notifications = 0;
};

std::string fault(generator& generate, const std::string& stream, const std::vector<test::driver>& drivers,
                  tally& seen) {
    for (int i = 0; i < 3; ++i) {
        const test::driver& way = generate.pick(drivers);
        const test::setup how = generate.how(stream.size());
        std::vector<test::cuts> passes = {generate.where(stream.size())};
        test::outcome expected = test::expectation(stream, how, way);
        const auto separator = generate.one_in(2) ? test::between::reset : test::between::finish;
        if (generate.one_in(4)) {
            passes.push_back(generate.where(stream.size()));
            expected = test::second_expectation(stream, how, way, separator);
        }
        const std::size_t events = expected.events().size();
        seen.events += events;
        seen.notifications += expected.log.size() - events;
        seen.too_large += expected.too_large;
        seen.in_event += expected.in_event;
        const std::string text = test::fault(stream, how, way, passes, expected, separator);
        if (!text.empty()) return text;
    }
    return {};
}

}  // namespace

TEST_CASE("the parser agrees with the reference on random streams") {
    const std::vector<test::driver> drivers = all_drivers();
    tally seen;
    constexpr unsigned count = 12'000;
    for (unsigned seed = 0; seed < count; ++seed) {
        generator generate(seed);
        const std::string stream = generate.stream();
        const std::string text = fault(generate, stream, drivers, seen);
        REQUIRE_MESSAGE(text.empty(), "seed ", seed, ", ", text);
    }
    CHECK(seen.events > count);
    CHECK(seen.notifications > count);
    CHECK(seen.too_large > count / 4);
    CHECK(seen.in_event > count / 4);
}

TEST_CASE("the parser agrees with the reference on long random streams") {
    const std::vector<test::driver> drivers = all_drivers();
    tally seen;
    for (unsigned seed = 0; seed < 40; ++seed) {
        generator generate(1'000'000 + seed);
        std::string stream;
        while (stream.size() < 10'000) stream += generate.stream();
        const std::string text = fault(generate, stream, drivers, seen);
        REQUIRE_MESSAGE(text.empty(), "seed ", seed, ", ", text);
    }
    CHECK(seen.events > 0);
    CHECK(seen.too_large > 0);
}

// Short streams over the bytes that matter most: all there are of them, not a sample.
TEST_CASE("the parser agrees with the reference on every short stream") {
    const std::vector<std::string> pieces = {"\n", "\r",  "data",         "id",  ":",
                                             " ",  "\0"s, "\xEF\xBB\xBF", "\xE2"};
    constexpr std::size_t length = 4;
    std::size_t count = 1;
    for (std::size_t i = 0; i < length; ++i) count *= pieces.size();

    const test::setup how{.invalid_utf8 = sse::invalid_utf8::replace,
                          .unfinished_event = sse::unfinished_event::deliver,
                          .last_event_id = "0"};
    for (std::size_t number = 0; number < count; ++number) {
        std::string stream = "data:1\r";
        for (std::size_t i = 0, rest = number; i < length; ++i, rest /= pieces.size())
            stream += pieces[rest % pieces.size()];
        const test::driver& way = test::drivers[1];
        const std::vector<test::cuts> whole(1), bytes = {test::cuts_every(1, stream.size())};
        const test::outcome expected = test::expectation(stream, how, way);
        for (const auto& passes : {whole, bytes}) {
            const std::string text = test::fault(stream, how, way, passes, expected);
            REQUIRE_MESSAGE(text.empty(), text);
        }
    }
}
