// expect: will be destroyed at the end of the full-expression
#include <sse/http1.hpp>

sse::response_reader get() { return {}; }

int main() {
#ifdef MISTAKE
    const sse::response& it = get().response();
#else
    const sse::response it = get().response();
#endif
    static_cast<void>(it);
}
