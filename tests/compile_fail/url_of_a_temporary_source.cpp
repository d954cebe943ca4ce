// expect: (deleted|use of deleted)
#include <sse/event_source.hpp>

int main() {
    sse::event_source source({.url = "http://127.0.0.1/"});
#ifdef MISTAKE
    const sse::url& url = sse::event_source({.url = "http://127.0.0.1/"}).url();
#else
    const sse::url& url = source.url();
#endif
    return url.port == 80 ? 0 : 1;
}
