// expect: a sink has append
#include <sse/encoder.hpp>

#include <string>

#ifdef MISTAKE
struct target {};
#else
using target = std::string;
#endif

int main() {
    target out;
    auto error = sse::encode_to(out, {.data = "hello"});
    return error ? 1 : 0;
}
