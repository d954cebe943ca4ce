// expect: ignoring return(ed)? value
#include <sse/channel.hpp>

int main() {
    sse::channel news;
#ifdef MISTAKE
    news.publish({.data = "hello"});
#else
    if (news.publish({.data = "hello"}).error) return 1;
#endif
}
