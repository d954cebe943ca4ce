// expect: will be destroyed at the end of the full-expression
#include <sse/error.hpp>

#include <string>

sse::result<std::string> get() { return std::string("text"); }

int main() {
#ifdef MISTAKE
    const std::string& it = *get();
#else
    const std::string it = *get();
#endif
    static_cast<void>(it);
}
