// expect: will be destroyed at the end of the full-expression
#include <sse/url.hpp>

#include <string>
#include <string_view>

sse::url get() { return {.scheme = "http", .host = "[::1]"}; }

int main() {
#ifdef MISTAKE
    const std::string_view it = sse::host_name(get());
#else
    const std::string it(sse::host_name(get()));
#endif
    static_cast<void>(it);
}
