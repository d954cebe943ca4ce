// expect: will be destroyed at the end of the full-expression
#include <sse/http.hpp>

#include <optional>
#include <string_view>

sse::response get() { return {.status = 200, .headers = {{"A", "b"}}}; }

int main() {
#ifdef MISTAKE
    const std::optional<std::string_view> it = sse::find_header(get().headers, "A");
#else
    const bool it = sse::find_header(get().headers, "A") == "b";
#endif
    static_cast<void>(it);
}
