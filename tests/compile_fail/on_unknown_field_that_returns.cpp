// expect: a handler returns nothing
#include <sse/parser.hpp>

#include <string_view>

#ifdef MISTAKE
using result = bool;
#else
using result = void;
#endif

struct handler {
    void on_event(const sse::event_view&) {}
    result on_unknown_field(std::string_view, std::string_view) { return result(); }
};

int main() {
    sse::parser parser;
    auto error = parser.finish(sse::unfinished_event::deliver, handler());
    return error ? 1 : 0;
}
