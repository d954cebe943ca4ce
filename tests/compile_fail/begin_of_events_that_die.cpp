// expect: (deleted|use of deleted)
#include <sse/io.hpp>

#include <cstddef>
#include <span>

std::size_t read(std::span<char>) { return 0; }

int main() {
#ifdef MISTAKE
    auto event = sse::events(read).begin();
#else
    auto stream = sse::events(read);
    auto event = stream.begin();
#endif
    static_cast<void>(event);
    for (const sse::event_view& each : sse::events(read)) static_cast<void>(each);
}
