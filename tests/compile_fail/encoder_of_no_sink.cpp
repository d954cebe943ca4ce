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
    sse::encoder encoder(out);
    static_cast<void>(encoder);
}
