// expect: will be destroyed at the end of the full-expression
#include <sse/parser.hpp>

#include <string>
#include <string_view>

sse::parser get() { return sse::parser({.last_event_id = "7"}); }

int main() {
#ifdef MISTAKE
    const std::string_view it = get().last_event_id();
#else
    const std::string it(get().last_event_id());
#endif
    static_cast<void>(it);
}
