// expect: will be destroyed at the end of the full-expression
#include <sse/io.hpp>

#include <cstddef>
#include <span>
#include <string>

std::size_t read(std::span<char>) { return 0; }

int main() {
#ifdef MISTAKE
    const sse::parser& it = sse::events(read).parser();
#else
    const std::string it(sse::events(read).parser().last_event_id());
#endif
    static_cast<void>(it);
}
