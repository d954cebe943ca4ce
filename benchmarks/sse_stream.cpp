// Writes a stream of the benchmarks to standard output: sse_stream llm 67108864 > llm.txt
#include "../tests/support/streams.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>

int main(int argc, char** argv) {
    const std::string_view name = argc == 3 ? argv[1] : "";
    const std::string_view digits = argc == 3 ? argv[2] : "";
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
    const bool is_number = error == std::errc() && end == digits.data() + digits.size();
    if (std::count(test::stream_names.begin(), test::stream_names.end(), name) == 0 || !is_number) {
        fmt::print(stderr, "usage: sse_stream {} BYTES\n", fmt::join(test::stream_names, "|"));
        return 2;
    }
    const std::string stream = test::make_stream(name, size);
    if (std::fwrite(stream.data(), 1, stream.size(), stdout) != stream.size() || std::fflush(stdout) != 0) {
        fmt::print(stderr, "sse_stream: cannot write\n");
        return 1;
    }
}
