// expect: will be destroyed at the end of the full-expression
#include <sse/event.hpp>

sse::event get() { return sse::event(); }

bool has_data(const sse::message& message) { return message.data.has_value(); }

int main() {
#ifdef MISTAKE
    const sse::message it = get();
#else
    const bool it = has_data(get());
#endif
    static_cast<void>(it);
}
