// expect: will be destroyed at the end of the full-expression
#include <sse/parser.hpp>

#include <optional>

constexpr auto deliver = sse::unfinished_event::deliver;

int main() {
#ifdef MISTAKE
    const std::optional<sse::event_view> it = sse::parser().finish(deliver);
#else
    const bool it = sse::parser().finish(deliver).has_value();
#endif
    static_cast<void>(it);
}
