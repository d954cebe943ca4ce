// expect: will be destroyed at the end of the full-expression
#include <sse/http1.hpp>

sse::request_reader get() { return {}; }

int main() {
#ifdef MISTAKE
    const sse::request& it = get().request();
#else
    const sse::request it = get().request();
#endif
    static_cast<void>(it);
}
