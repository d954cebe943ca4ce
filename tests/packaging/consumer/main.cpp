#include <sse/sse.hpp>

#include <string_view>

int main() {
    static_assert(std::string_view(sse::version) == EXPECTED_VERSION);

    sse::parser parser;
    std::string data;
    auto error = parser.feed(sse::encode({.data = "hello"}), [&](const sse::event_view& event) { data = event.data; });
    return !error && data == "hello" ? 0 : 1;
}
