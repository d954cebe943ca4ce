// expect: (could not convert|no viable conversion|no matching)
#include <sse/event.hpp>

int main() {
#ifdef MISTAKE
    sse::message message{.data = "hello", .retry = 3000};
#else
    sse::message message{.data = "hello", .retry = sse::milliseconds(3000)};
#endif
    return message.retry ? 0 : 1;
}
