// Invariant: however a stream is cut, whether events are pushed or pulled, whatever functions the handler has
// and however large the buffer is, the parser tells what the literal algorithm of the standard tells, and is
// left as that leaves it; and what it retains is within the limit. The same holds of each way to find line
// ends: there is a program for each.
//
// The first line of the input chooses options, see `setup_of`; behind it comes the stream. That line, whatever
// it says, also chooses how the stream is cut and who reads it. With SSE_FUZZ_THOROUGH each input is tried in
// every way, which takes thirty times as long.
#include <sse/parser.hpp>

#include "../support/chunking.hpp"
#include "count.hpp"
#include "require.hpp"
#include "script.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <random>
#include <span>
#include <string>
#include <string_view>

namespace {

using test::require;

/// Words: `r` to replace what is ill-formed, `d` to deliver what is left at the end, `l5` for a limit of 5, `i`
/// before a last event ID.
test::setup setup_of(std::string_view words) {
    test::setup how;
    while (!words.empty()) {
        const std::string_view word = words.substr(0, words.find(' '));
        words.remove_prefix(std::min(word.size() + 1, words.size()));
        if (word.empty()) continue;
        const std::string_view argument = word.substr(1);
        if (word[0] == 'r') how.invalid_utf8 = sse::invalid_utf8::replace;
        if (word[0] == 'd') how.unfinished_event = sse::unfinished_event::deliver;
        if (word[0] == 'l') how.max_event_bytes = test::number_of<std::size_t>(argument);
        if (word[0] == 'i') how.last_event_id = test::unescaped(argument);
    }
    return how;
}

void require_none(const std::string& fault) {
    if (!fault.empty()) std::fputs(fault.c_str(), stderr);
    require(fault.empty());
}

std::array<test::cuts, 4> chunkings_of(const std::string& stream, std::size_t number) {
    std::mt19937 random(static_cast<std::uint32_t>(number));
    return {test::cuts(), test::cuts_every(1, stream.size()),
            test::random_cuts(random, stream.size(), 1 + number % 8),
            test::cuts_every(1 + number % 97, stream.size())};
}

void check_retained(std::string_view stream, const test::setup& how, std::size_t chunk) {
    const test::count count;
    sse::parser parser({.max_event_bytes = how.max_event_bytes,
                        .last_event_id = how.last_event_id,
                        .invalid_utf8 = how.invalid_utf8});
    require(count.bytes() <= how.max_event_bytes);
    for (; !stream.empty(); stream.remove_prefix(std::min(chunk, stream.size()))) {
        static_cast<void>(parser.feed(stream.substr(0, chunk), [](const sse::event_view&) {}));
        require(count.bytes() <= how.max_event_bytes);
    }
    static_cast<void>(parser.finish(how.unfinished_event, [](const sse::event_view&) {}));
    require(count.bytes() <= how.max_event_bytes);
}

#ifdef SSE_FUZZ_THOROUGH

void check(const std::string& stream, const test::setup& how, std::string_view) {
    const std::array chunkings = chunkings_of(stream, stream.size());
    for (const test::driver& way : test::drivers) {
        const test::outcome expected = test::expectation(stream, how, way);
        for (const test::cuts& where : chunkings) {
            require_none(test::fault(stream, how, way, {&where, 1}, expected));
        }
        for (const test::between separator : {test::between::reset, test::between::finish}) {
            const test::outcome again = test::second_expectation(stream, how, way, separator);
            const std::span passes = std::span(chunkings).last(2);
            require_none(test::fault(stream, how, way, passes, again, separator));
        }
    }
    for (const std::size_t chunk : {std::size_t{1}, 1 + stream.size() % 97, stream.size() + 1})
        check_retained(stream, how, chunk);
}

#else

void check(const std::string& stream, const test::setup& how, std::string_view words) {
    std::seed_seq seed(words.begin(), words.end());
    std::mt19937 random(seed);
    const auto below = [&](std::size_t bound) { return std::size_t{random()} % bound; };
    const test::driver& way = test::drivers[below(test::drivers.size())];
    const std::size_t cut = below(4);
    const std::size_t use = below(8);
    const std::array chunkings = chunkings_of(stream, below(1000));
    if (use == 0) {
        check_retained(stream, how, 1 + below(100));
    } else if (use <= 2) {
        const auto separator = use == 1 ? test::between::reset : test::between::finish;
        const std::array passes = {chunkings[cut], chunkings[below(4)]};
        const test::outcome again = test::second_expectation(stream, how, way, separator);
        require_none(test::fault(stream, how, way, passes, again, separator));
    } else {
        const test::outcome expected = test::expectation(stream, how, way);
        require_none(test::fault(stream, how, way, {&chunkings[cut], 1}, expected));
    }
}

#endif

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::string_view words = test::take_line(input);
    check(std::string(input), setup_of(words), words);
    return 0;
}
