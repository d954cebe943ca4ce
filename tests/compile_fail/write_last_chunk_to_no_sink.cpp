// expect: a sink has append
#include <sse/http1.hpp>

#include <string>

#ifdef MISTAKE
using target = int;
#else
using target = std::string;
#endif

int main() {
    target out{};
    const auto error = sse::write_last_chunk(out);
    return error ? 1 : 0;
}
