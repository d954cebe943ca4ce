// expect: a sink returns nothing, a bool, the number of bytes it took
#include <sse/encoder.hpp>

#include <optional>
#include <string_view>
#include <system_error>

// Whether a value there means success or failure is anybody's guess.
#ifdef MISTAKE
using result = std::optional<std::error_code>;
#else
using result = std::error_code;
#endif

int main() {
    auto error = sse::encode_to([](std::string_view) { return result(); }, {.data = "hello"});
    return error ? 1 : 0;
}
