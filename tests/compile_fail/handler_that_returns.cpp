// expect: a handler returns nothing
#include <sse/parser.hpp>

int main() {
    sse::parser parser;
    int events = 0;
#ifdef MISTAKE
    auto error = parser.feed("data\n\n", [&](const sse::event_view&) { return ++events; });
#else
    auto error = parser.feed("data\n\n", [&](const sse::event_view&) { ++events; });
#endif
    return error ? 1 : 0;
}
