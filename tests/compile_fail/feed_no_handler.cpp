// expect: a handler is a callable of const sse::event_view
#include <sse/parser.hpp>

struct handler {
#ifdef MISTAKE
    void on_evnt(const sse::event_view&) {}
#else
    void on_event(const sse::event_view&) {}
#endif
};

int main() {
    sse::parser parser;
    auto error = parser.feed("data\n\n", handler{});
    return error ? 1 : 0;
}
