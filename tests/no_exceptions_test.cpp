// Compiled with -fno-exceptions -fno-rtti, and so without doctest.
#include <sse/sse.hpp>

#include <cstdio>
#include <string>

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "this is to be compiled without exceptions and RTTI"
#endif

int main() {
    std::string relayed;
    sse::parser parser;
    const auto error = parser.feed("event: tick\ndata: one\ndata: two\nid: 7\n\n: gone\n\ndata\n\n",
                                   [&](const sse::event_view& event) { relayed += sse::encode(event); });
    const std::string expected = "event: tick\nid: 7\ndata: one\ndata: two\n\nid: 7\ndata: \n\n";
    if (!error && relayed == expected) return 0;
    std::printf("expected\n%sgot\n%s", expected.c_str(), relayed.c_str());
    return 1;
}
