// expect: a sink has append
#include <sse/fmt.hpp>

#include <string>

#ifdef MISTAKE
using target = int;
#else
using target = std::string;
#endif

int main() {
    target out{};
    const auto error = sse::format_to(out, {.event = "tick"}, "{}", 1);
    return error ? 1 : 0;
}
