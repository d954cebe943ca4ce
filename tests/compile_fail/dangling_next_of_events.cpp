// expect: will be destroyed at the end of the full-expression
#include <sse/io.hpp>

#include <cstddef>
#include <optional>
#include <span>

std::size_t read(std::span<char>) { return 0; }

int main() {
#ifdef MISTAKE
    const std::optional<sse::event_view> it = sse::events(read).next();
#else
    const bool it = sse::events(read).next().has_value();
#endif
    static_cast<void>(it);
}
