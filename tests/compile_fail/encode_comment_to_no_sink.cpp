// expect: a sink has append
#include <sse/encoder.hpp>

#include <string>

#ifdef MISTAKE
using target = int;
#else
using target = std::string;
#endif

int main() {
    target out{};
    const auto error = sse::encode_comment_to(out, "hello");
    return error ? 1 : 0;
}
