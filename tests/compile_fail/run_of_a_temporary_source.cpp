// expect: (deleted|use of deleted)
#include <sse/adapters/posix.hpp>

int main() {
    sse::event_source source({.url = "http://127.0.0.1/"});
#ifdef MISTAKE
    return sse::posix::run(sse::event_source({.url = "http://127.0.0.1/"})) ? 1 : 0;
#else
    return sse::posix::run(source) ? 1 : 0;
#endif
}
