// expect: ignoring return(ed)? value
#include <sse/parser.hpp>

int main() {
    sse::parser parser;
#ifdef MISTAKE
    parser.feed("data\n\n", [](const sse::event_view&) {});
#else
    static_cast<void>(parser.feed("data\n\n", [](const sse::event_view&) {}));
#endif
}
