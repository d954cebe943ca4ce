// expect: (deleted|use of deleted|no matching)
#include <sse/parser.hpp>

#include <array>
#include <span>
#include <utility>

int main() {
    std::array<char, 100> memory{};
    sse::basic_parser<std::span<char>> parser({}, memory);
#ifdef MISTAKE
    auto other = parser;
#else
    auto other = std::move(parser);
#endif
    return other.error() ? 1 : 0;
}
