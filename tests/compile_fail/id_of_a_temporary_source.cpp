// expect: (deleted|use of deleted)
#include <sse/event_source.hpp>

int main() {
    sse::event_source source({.url = "http://127.0.0.1/"});
#ifdef MISTAKE
    const std::string_view id = sse::event_source({.url = "http://127.0.0.1/"}).last_event_id();
#else
    const std::string_view id = source.last_event_id();
#endif
    return id.empty() ? 0 : 1;
}
