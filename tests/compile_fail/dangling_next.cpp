// expect: will be destroyed at the end of the full-expression
#include <sse/parser.hpp>

#include <optional>
#include <string_view>

std::string_view bytes = "data\n\n";

int main() {
#ifdef MISTAKE
    const std::optional<sse::event_view> it = sse::parser().next(bytes);
#else
    const bool it = sse::parser().next(bytes).has_value();
#endif
    static_cast<void>(it);
}
