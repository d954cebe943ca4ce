// Runs the parser over a stream that is cut anywhere, in every way to use it, and holds it against the
// reference.
//
//     const std::string fault = test::fault(stream, how, way, passes, test::expectation(stream, how, way));
//
// Each chunk lies in a block of exactly its size, so that a read beyond it is seen; the block is overwritten
// and freed when the call returns, so that a view kept too long is seen.
#pragma once

#include <sse/parser.hpp>

#include "exact_copy.hpp"
#include "reference.hpp"
#include "show.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

/// How a stream is to be parsed.
struct setup {
    sse::invalid_utf8 invalid_utf8 = sse::invalid_utf8::keep;
    sse::unfinished_event unfinished_event = sse::unfinished_event::discard;
    std::size_t max_event_bytes = sse::parser_options{}.max_event_bytes;
    std::string last_event_id{};
};

/// Where a stream is cut: ascending, and an offset that occurs twice makes an empty chunk.
using cuts = std::vector<std::size_t>;

/// Which of the optional functions a handler has.
enum hears : unsigned {
    nothing = 0,
    comments = 1,
    retries = 2,
    ids = 4,
    unknown_fields = 8,
    everything = 15
};

/// A handler that takes down what it is told, and lacks the functions that `Heard` does not name.
template <unsigned Heard>
class recorder {
public:
    explicit recorder(std::vector<notification>& log) : log_(log) {}

    void on_event(const sse::event_view& event) {
        log_.push_back({notification::kind::event, std::string(event.type), std::string(event.data),
                        std::string(event.last_event_id)});
    }
    void on_comment(std::string_view text) requires((Heard & comments) != 0) {
        log_.push_back({notification::kind::comment, std::string(text)});
    }
    void on_retry(sse::milliseconds time) requires((Heard & retries) != 0) {
        log_.push_back({notification::kind::retry, std::to_string(time.count())});
    }
    void on_id(std::string_view id) requires((Heard & ids) != 0) {
        log_.push_back({notification::kind::id, std::string(id)});
    }
    void on_unknown_field(std::string_view name,
                          std::string_view value) requires((Heard & unknown_fields) != 0) {
        log_.push_back({notification::kind::unknown_field, std::string(name), std::string(value)});
    }

private:
    std::vector<notification>& log_;
};

/// What a run showed, and what was wrong with it besides.
struct observation {
    outcome result{};
    std::string complaint{};
};

/// What separates two streams that one parser reads.
enum class between { reset, finish };

/// A stream, or the same stream twice as two connections.
struct job {
    std::string_view stream;
    const setup& how;
    std::span<const cuts> passes;
    between separator;
};

template <class Use>
void for_each_chunk(std::string_view stream, const cuts& where, Use&& use) {
    for (std::size_t i = 0, begin = 0; i <= where.size(); ++i) {
        const std::size_t end = i < where.size() ? where[i] : stream.size();
        const std::size_t size = end - begin;
        exact_block block(size);
        std::copy_n(stream.data() + begin, size, block.data());
        use(std::string_view(block.data(), size));
        std::fill_n(block.data(), size, '\xDD');
        begin = end;
    }
}

template <class Parser, class Feed, class Finish>
observation run(const job& work, Feed&& feed, Finish&& finish) {
    Parser parser({.max_event_bytes = work.how.max_event_bytes,
                   .last_event_id = work.how.last_event_id,
                   .invalid_utf8 = work.how.invalid_utf8});
    observation seen;
    const auto expect = [&](bool holds, const char* complaint) {
        if (!holds && seen.complaint.empty()) seen.complaint = complaint;
    };
    for (const cuts& where : work.passes) {
        if (&where != &work.passes.front()) {
            if (work.separator == between::finish)
                finish(parser, work.how.unfinished_event, seen.result.log, expect);
            if (work.separator == between::reset || parser.error()) parser.reset();
            expect(!parser.in_event(), "in an event between two streams");
            expect(!parser.error(), "an error between two streams");
        }
        seen.result = {};
        for_each_chunk(work.stream, where, [&](std::string_view chunk) {
            // Goes on after an error: it must stay, and nothing more be delivered.
            const sse::error before = parser.error();
            feed(parser, chunk, seen.result.log, expect);
            expect(!before || parser.error() == before, "the error did not stay");
        });
        seen.result.in_event = parser.in_event();
    }
    finish(parser, work.how.unfinished_event, seen.result.log, expect);
    expect(!parser.in_event(), "in an event after finish");
    expect(!parser.error() || parser.error() == sse::errc::event_too_large,
           "another error than event_too_large");
    seen.result.too_large = bool(parser.error());
    seen.result.last_event_id = parser.last_event_id();
    if (parser.reconnection_time()) seen.result.reconnection_time = parser.reconnection_time()->count();
    return seen;
}

/// Pushes the stream to a handler that the function makes of the log.
template <class Parser, class MakeHandler>
observation push_to(const job& work, MakeHandler&& make_handler) {
    return run<Parser>(
        work,
        [&](Parser& parser, std::string_view chunk, auto& log, auto& expect) {
            const sse::error error = parser.feed(chunk, make_handler(log));
            expect(error == parser.error(), "feed returned another error than error()");
        },
        [&](Parser& parser, sse::unfinished_event unfinished_event, auto& log, auto& expect) {
            const sse::error error = parser.finish(unfinished_event, make_handler(log));
            expect(error == parser.error(), "finish returned another error than error()");
        });
}

template <class Parser, unsigned Heard>
observation push(const job& work) {
    return push_to<Parser>(work, [](std::vector<notification>& log) { return recorder<Heard>(log); });
}

template <class Parser>
observation push_to_callable(const job& work) {
    return push_to<Parser>(work, [](std::vector<notification>& log) {
        return [&log](const sse::event_view& event) { recorder<nothing>(log).on_event(event); };
    });
}

template <class Parser>
observation pull(const job& work) {
    return run<Parser>(
        work,
        [](Parser& parser, std::string_view chunk, auto& log, auto& expect) {
            while (const std::optional<sse::event_view> event = parser.next(chunk)) {
                recorder<nothing>(log).on_event(*event);
                expect(!parser.error(), "an event together with an error");
            }
            expect(parser.error() || chunk.empty(), "next left bytes behind");
        },
        [](Parser& parser, sse::unfinished_event unfinished_event, auto& log, auto&) {
            if (const std::optional<sse::event_view> event = parser.finish(unfinished_event))
                recorder<nothing>(log).on_event(*event);
        });
}

/// One way to use the parser.
struct driver {
    const char* name;
    std::size_t capacity;  ///< of the parser's buffer
    unsigned heard;
    observation (*run)(const job&);
};

inline constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

inline constexpr std::array drivers = {
    driver{"push to a callable", unbounded, nothing, push_to_callable<sse::parser>},
    driver{"push to a handler", unbounded, everything, push<sse::parser, everything>},
    driver{"pull", unbounded, nothing, pull<sse::parser>},
    driver{"push to a handler, fixed_parser<64>", 64, everything, push<sse::fixed_parser<64>, everything>},
    driver{"pull, fixed_parser<512>", 512, nothing, pull<sse::fixed_parser<512>>},
};

/// What the reference says a driver should show; `first` is the connection before, if there was one.
inline outcome expectation(const std::string& stream, const setup& how, const driver& way,
                           const outcome* first = nullptr) {
    outcome result = reference(stream, {.replace = how.invalid_utf8 == sse::invalid_utf8::replace,
                                        .deliver = how.unfinished_event == sse::unfinished_event::deliver,
                                        .last_event_id = first ? first->last_event_id : how.last_event_id,
                                        .reconnection_time = first ? first->reconnection_time : std::nullopt,
                                        .max_event_bytes = std::min(how.max_event_bytes, way.capacity),
                                        .keeps_comments = (way.heard & comments) != 0,
                                        .keeps_unknown_fields = (way.heard & unknown_fields) != 0});
    std::erase_if(result.log, [&](const notification& entry) {
        switch (entry.what) {
            case notification::kind::event: return false;
            case notification::kind::comment: return (way.heard & comments) == 0;
            case notification::kind::retry: return (way.heard & retries) == 0;
            case notification::kind::id: return (way.heard & ids) == 0;
            case notification::kind::unknown_field: return (way.heard & unknown_fields) == 0;
        }
        return false;
    });
    return result;
}

/// The same for the second of two passes.
inline outcome second_expectation(const std::string& stream, const setup& how, const driver& way,
                                  between separator) {
    setup first_how = how;
    if (separator == between::reset) first_how.unfinished_event = sse::unfinished_event::discard;
    const outcome first = expectation(stream, first_how, way);
    return expectation(stream, how, way, &first);
}

inline std::string show(const cuts& where, std::size_t stream_size) {
    if (where.empty()) return "whole";
    if (where.size() + 1 == stream_size && where.front() == 1 && where.back() == where.size())
        return "byte by byte";
    std::string text = "cut at";
    for (const std::size_t cut : where) text += ' ' + std::to_string(cut);
    return text;
}

/// Runs the stream, and where there are two passes runs it once more.
///
/// \return what is wrong, for a person to read; empty where all is well
inline std::string fault(const std::string& stream, const setup& how, const driver& way,
                         std::span<const cuts> passes, const outcome& expected,
                         between separator = between::reset) {
    observation seen = way.run({stream, how, passes, separator});
    outcome wanted = expected;
    // After an error there is nothing to wait for; what in_event() says then is no promise.
    if (wanted.too_large) wanted.in_event = seen.result.in_event = false;
    if (seen.complaint.empty() && seen.result == wanted) return {};

    std::string text = "stream " + show(stream) + '\n';
    text += way.name;
    if (how.invalid_utf8 == sse::invalid_utf8::replace) text += ", invalid_utf8::replace";
    if (how.unfinished_event == sse::unfinished_event::deliver) text += ", unfinished_event::deliver";
    if (how.max_event_bytes != setup{}.max_event_bytes)
        text += ", max_event_bytes " + std::to_string(how.max_event_bytes);
    if (!how.last_event_id.empty()) text += ", last_event_id " + show(how.last_event_id);
    text += '\n';
    for (const cuts& where : passes) {
        if (&where != &passes.front())
            text += separator == between::reset ? "; then, after a reset, " : "; then, after finish, ";
        text += show(where, stream.size());
    }
    text += '\n';
    if (!seen.complaint.empty()) text += "complaint: " + seen.complaint + '\n';
    return text + "expected\n" + show(wanted) + "got\n" + show(seen.result);
}

/// Offsets in ascending order, some of them more than once. The same on every platform.
inline cuts random_cuts(std::mt19937& random, std::size_t stream_size, std::size_t count) {
    cuts where(count);
    for (std::size_t& cut : where) cut = random() % (stream_size + 1);
    if (count > 1 && random() % 2 == 0) where.back() = where.front();
    std::sort(where.begin(), where.end());
    return where;
}

inline cuts cuts_every(std::size_t chunk_size, std::size_t stream_size) {
    cuts where;
    for (std::size_t cut = chunk_size; cut < stream_size; cut += chunk_size) where.push_back(cut);
    return where;
}

}  // namespace test
