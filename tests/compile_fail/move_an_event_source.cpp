// expect: (deleted|use of deleted)
#include <sse/event_source.hpp>

#include <utility>

int main() {
    sse::event_source source({.url = "http://127.0.0.1/"});
#ifdef MISTAKE
    sse::event_source moved(std::move(source));
    return moved.error() ? 1 : 0;
#else
    return source.error() ? 1 : 0;
#endif
}
