// expect: will be destroyed at the end of the full-expression
#include <sse/event.hpp>

#include <cstddef>

sse::event get() { return sse::event(); }

std::size_t size(const sse::event_view& event) { return event.data.size(); }

int main() {
#ifdef MISTAKE
    const sse::event_view it = get();
#else
    const std::size_t it = size(get());
#endif
    static_cast<void>(it);
}
