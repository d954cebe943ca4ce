// expect: a source has read
#include <sse/io.hpp>

#include <cstddef>
#include <span>

struct input {
#ifdef MISTAKE
    void read(std::span<char>) {}
#else
    std::size_t read(std::span<char>) { return 0; }
#endif
};

int main() {
    input in;
    for (const sse::event_view& event : sse::events(in)) static_cast<void>(event);
}
