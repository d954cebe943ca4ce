// expect: (deleted|use of deleted)
#include <sse/channel.hpp>

int main() {
    sse::channel news;
#ifdef MISTAKE
    const std::string_view bytes = news.subscribe().next_bytes();  // of a cursor that is gone
#else
    sse::cursor cursor = news.subscribe();
    const std::string_view bytes = cursor.next_bytes();
#endif
    return bytes.empty() ? 0 : 1;
}
