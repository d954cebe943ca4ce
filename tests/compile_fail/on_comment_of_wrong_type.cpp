// expect: the handler's on_comment, .* cannot be called
#include <sse/parser.hpp>

#include <string_view>

struct handler {
    void on_event(const sse::event_view&) {}
#ifdef MISTAKE
    void on_comment(int) {}
#else
    void on_comment(std::string_view) {}
#endif
};

int main() {
    sse::parser parser;
    auto error = parser.feed(": hello\n", handler{});
    return error ? 1 : 0;
}
