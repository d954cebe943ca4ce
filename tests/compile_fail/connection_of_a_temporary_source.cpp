// expect: (deleted|use of deleted)
#include <sse/adapters/posix.hpp>

int main() {
    sse::event_source source({.url = "http://127.0.0.1/"});
#ifdef MISTAKE
    sse::posix::connection connection(sse::event_source({.url = "http://127.0.0.1/"}));
#else
    sse::posix::connection connection(source);
#endif
    return connection.is_open() ? 1 : 0;
}
