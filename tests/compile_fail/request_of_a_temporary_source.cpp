// expect: (deleted|use of deleted)
#include <sse/event_source.hpp>

int main() {
    sse::event_source source({.url = "http://127.0.0.1/"});
#ifdef MISTAKE
    const sse::event_source::task task = sse::event_source({.url = "http://127.0.0.1/"}).next({});
#else
    const sse::event_source::task task = source.next({});
#endif
    return task.request != nullptr ? 0 : 1;
}
