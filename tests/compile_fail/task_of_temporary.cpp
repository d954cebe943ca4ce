// expect: (deleted|use of deleted)
#include <sse/session.hpp>

int main() {
    sse::channel news;
    const sse::session_options options;
#ifdef MISTAKE
    const sse::session::task task = sse::session(options, news.subscribe(), "", {}).next({});
#else
    sse::session session(options, news.subscribe(), "", {});
    const sse::session::task task = session.next({});
#endif
    return task.bytes.empty() ? 1 : 0;
}
