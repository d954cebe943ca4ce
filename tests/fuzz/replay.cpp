// Gives a fuzz target each file that is named, or that lies in a folder that is named, and with --mutations about so
// many changed copies of them all: the same ones in every run.
//
//     fuzz_replay_http1 [--mutations N] tests/fuzz/corpus/http1
#include "../support/exact_copy.hpp"
#include "../support/show.hpp"

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t max_bytes = 4096;  // as libFuzzer has it

std::string current;  // input, for whoever has to find out

extern "C" void show_current(int) {
    std::fprintf(stderr, "input: %s\n", test::show(current, max_bytes).c_str());
    std::_Exit(1);
}

void run(std::string input) {
    current = std::move(input);
    const test::exact_copy bytes(current);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), current.size());
}

/// Text is changed by text: by bits, by bytes that mean something, and by what stands elsewhere.
std::string mutate(std::string text, const std::vector<std::string>& seeds, std::mt19937& random) {
    using namespace std::string_view_literals;
    constexpr std::string_view special = "\r\n\0 \t:;,|09azAZ\x7F\x80\xFF"sv;
    const auto below = [&](std::size_t bound) { return bound == 0 ? 0 : std::size_t{random()} % bound; };
    for (std::size_t left = 1 + below(4); left > 0; --left) {
        const std::size_t at = below(text.size());
        const std::size_t size = 1 + below(std::min<std::size_t>(text.size() - at, 32));
        const std::string part = text.substr(at, size);
        switch (below(6)) {
            case 0:
                if (!text.empty()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
                break;
            case 1: text.insert(at, 1, special[below(special.size())]); break;
            case 2: text.erase(at, size); break;
            case 3: text.insert(below(text.size()), part); break;
            case 4:
                for (std::size_t times = 1 + below(100); times > 0 && text.size() < max_bytes; --times) {
                    text.insert(at, part);
                }
                break;
            case 5: {
                const std::string& other = seeds[below(seeds.size())];
                text.replace(at, std::string::npos, other, below(other.size()));
                break;
            }
        }
    }
    return text.substr(0, max_bytes);
}

}  // namespace

int main(int argc, char** argv) {
    namespace fs = std::filesystem;
    std::vector<fs::path> files;
    std::size_t mutations = 0;
    for (int i = 1; i < argc; ++i) {
        if (argv[i] == std::string_view("--mutations") && i + 1 < argc) {
            mutations = static_cast<std::size_t>(std::strtoull(argv[++i], nullptr, 10));
            continue;
        }
        if (!fs::is_directory(argv[i])) {
            files.emplace_back(argv[i]);
            continue;
        }
        for (const fs::directory_entry& entry : fs::recursive_directory_iterator(argv[i])) {
            if (entry.is_regular_file()) files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());

    std::vector<std::string> seeds;
    for (const fs::path& file : files) {
        std::ifstream in(file, std::ios::binary);
        seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
        if (in.fail() && seeds.back().empty()) {
            std::fprintf(stderr, "%s: cannot be read\n", file.string().c_str());
            return 1;
        }
    }
    if (seeds.empty()) {
        std::fputs("there is nothing to replay\n", stderr);
        return 1;
    }

    std::signal(SIGABRT, show_current);
    if (test::has_guard_pages) std::signal(SIGSEGV, show_current);
    const std::size_t mutations_of_each = (mutations + seeds.size() - 1) / seeds.size();
    for (std::size_t i = 0; i < seeds.size(); ++i) {
        run(seeds[i]);
        std::mt19937 random(static_cast<std::uint32_t>(i));
        for (std::size_t k = 0; k < mutations_of_each; ++k) run(mutate(seeds[i], seeds, random));
    }
    std::printf("%zu files, and %zu mutations of each\n", seeds.size(), mutations_of_each);
}
