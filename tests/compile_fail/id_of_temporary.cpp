// expect: (deleted|use of deleted)
#include <sse/channel.hpp>

int main() {
    sse::channel news;
#ifdef MISTAKE
    const std::string_view id = news.publish({.data = "hello"}).id();  // of a result that is gone
#else
    const sse::publish_result published = news.publish({.data = "hello"});
    const std::string_view id = published.id();
#endif
    return id.empty() ? 1 : 0;
}
