// expect: (deleted|use of deleted)
#include <sse/session.hpp>

int main() {
    sse::channel news;
    const sse::session_options options;
#ifdef MISTAKE
    sse::session session(sse::session_options(), news.subscribe(), "", {});
#else
    sse::session session(options, news.subscribe(), "", {});
#endif
    return session.end() == sse::session_end::none ? 0 : 1;
}
