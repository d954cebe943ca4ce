// Compiled with -fno-exceptions -fno-rtti, and so without doctest.
#include <sse/sse.hpp>

#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "this is to be compiled without exceptions and RTTI"
#endif

namespace {

constexpr std::string_view stream =
    "event: tick\ndata: one\ndata: two\nid: 7\n\n: still there\n\ndata: \xFF\n\n";
constexpr std::string_view relayed =
    "event: tick\nid: 7\ndata: one\ndata: two\n\nid: 7\ndata: \xEF\xBF\xBD\n\n";

constexpr sse::parser_options options{.invalid_utf8 = sse::invalid_utf8::replace};

struct relay {
    std::string& out;
    void on_event(const sse::event_view& event) const { out += sse::encode(event); }
    void on_comment(std::string_view) const {}
};

int failures = 0;

void check(const char* what, bool holds) {
    if (holds) return;
    std::printf("failed: %s\n", what);
    ++failures;
}

}  // namespace

int main() {
    std::string out;
    sse::parser parser(options);
    check("push", !parser.feed(stream, [&](const sse::event_view& event) { out += sse::encode(event); }));
    check("push", out == relayed);

    out.clear();
    parser.reset();
    for (const char byte : stream) check("push to an object", !parser.feed({&byte, 1}, relay{out}));
    check("push to an object", !parser.finish(sse::unfinished_event::deliver, relay{out}) && out == relayed);

    out.clear();
    sse::fixed_parser<64> fixed(options);
    std::string_view rest = stream;
    while (const auto event = fixed.next(rest)) check("pull", !sse::encode_to(out, *event));
    check("pull", !fixed.finish(sse::unfinished_event::discard) && out == relayed);

    out.clear();
    bool given = false;
    auto source = sse::events(
        [&](std::span<char> room) {
            given = !given;
            return given ? stream.copy(room.data(), room.size()) : 0;
        },
        options);
    for (const sse::event_view& event : source) out += sse::encode(event);
    check("events", !source.error() && out == relayed);

    out.clear();
    sse::encoder encoder([&](std::string_view bytes) {
        out += bytes;
        return std::error_code();
    });
    check("encoder", !encoder.begin_event({.event = "e"}) && !encoder.write_data("a\r") &&
                         !encoder.write_data("\nb") && !encoder.end_event() && !encoder.write_comment("c"));
    check("encoder", out == "event: e\ndata: a\ndata: b\n\n: c\n");

    char room[16];
    check("span",
          sse::encode_to(std::span(room), {.data = "too much for it"}) == sse::errc::buffer_too_small);
    check("FILE", !sse::encode_comment_to(stdout, "done"));
    return failures;
}
