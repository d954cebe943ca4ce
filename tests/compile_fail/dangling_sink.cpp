// expect: will be destroyed at the end of the full-expression
#include <sse/encoder.hpp>

#include <string>

auto get() { return sse::encoder(std::string("text")); }

int main() {
#ifdef MISTAKE
    const std::string& it = get().sink();
#else
    const std::string it = get().sink();
#endif
    static_cast<void>(it);
}
