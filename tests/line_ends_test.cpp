// Each way to find line ends against a loop over the bytes. What is read lies in memory of exactly its size,
// so that a read beyond it is seen.
#include <sse/detail/line_ends.hpp>

#include "support/exact_copy.hpp"

#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace detail = sse::detail;
using test::exact_copy;
using namespace std::string_view_literals;

constexpr bool is_line_end(char byte) { return byte == '\n' || byte == '\r'; }

/// Bit i for byte i, of up to 64 bytes.
std::uint64_t expected_mask(std::string_view text) {
    std::uint64_t mask = 0;
    for (std::size_t i = 0; i < text.size(); ++i) mask |= std::uint64_t{is_line_end(text[i])} << i;
    return mask;
}

std::vector<std::size_t> expected_ends(std::string_view text) {
    std::vector<std::size_t> ends;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_line_end(text[i])) ends.push_back(i);
    }
    return ends;
}

/// Bytes that are one bit, one carry or one sign away from CR, LF or NUL.
constexpr std::string_view look_alikes =
    "\x00\x01\x02\x05\x08\x09\x0B\x0C\x0E\x0F\x1A\x1D\x2A\x2D\x4A\x4D\x7F\x80\x81\x8A\x8D\xF2\xF5\xFF"sv;

/// One byte in `every` ends a line, or none where that is 0; the others look alike.
std::string random_text(std::mt19937& random, std::size_t size, unsigned every) {
    std::string text(size, '\0');
    for (char& byte : text) {
        if (every != 0 && random() % every == 0) byte = random() % 2 == 0 ? '\n' : '\r';
        else byte = look_alikes[random() % look_alikes.size()];
    }
    return text;
}

constexpr unsigned densities[] = {1, 2, 3, 8, 40, 200, 0};

/// Says which of some bytes end a line.
struct finder {
    const char* name;
    std::size_t size;
    std::uint64_t (*line_ends)(const char* text);
};

/// Those that this build and this processor have.
std::vector<finder> finders() {
    std::vector<finder> all = {{"line_ends_in_16", 16, detail::line_ends_in_16},
                               {"line_ends_in_64", 64, detail::line_ends_in_64},
                               {"portable::line_ends_in_8", 8, detail::portable::line_ends_in_8},
                               {"portable::line_ends_in_16", 16, detail::portable::line_ends_in_16},
                               {"portable::line_ends_in_64", 64, detail::portable::line_ends_in_64}};
#if defined(__GNUC__) && defined(__SSE2__)
    all.push_back({"sse2::line_ends_in_16", 16, detail::sse2::line_ends_in_16});
    all.push_back({"sse2::line_ends_in_64", 64, detail::sse2::line_ends_in_64});
    if (detail::avx2::available()) {
        all.push_back({"avx2::line_ends_in_32", 32, detail::avx2::line_ends_in_32});
        all.push_back({"avx2::line_ends_in_64", 64, detail::avx2::line_ends_in_64});
    }
#elif defined(__GNUC__) && defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    all.push_back({"neon::line_ends_in_64", 64, detail::neon::line_ends_in_64});
#endif
    return all;
}

/// Stops after `most` of them.
std::vector<std::size_t> found_ends(std::string_view text, std::size_t window, std::size_t most) {
    std::vector<std::size_t> ends;
    detail::for_each_line_end(text, window, [&](const char* end) {
        ends.push_back(static_cast<std::size_t>(end - text.data()));
        return ends.size() < most;
    });
    return ends;
}

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

}  // namespace

#if defined(__GNUC__) && defined(__SSE2__)

TEST_CASE("AVX2 is taken if the processor has it, and only then; or if the compiler was told that it has") {
#if defined(__AVX2__) || defined(SSE_SIMD_AVX2)
    CHECK(detail::avx2::available());
#else
    CHECK(detail::avx2::available() == bool(__builtin_cpu_supports("avx2")));
#endif
}

#endif

TEST_CASE("CR and LF are marked, and no other value, at any place, whatever lies around it") {
    for (const finder& way : finders()) {
        for (const char around : {'a', '\0', '\n', '\r', '\xFF'}) {
            for (unsigned value = 0; value < 256; ++value) {
                const char byte = static_cast<char>(value);
                for (std::size_t place = 0; place < way.size; ++place) {
                    std::uint64_t expected = is_line_end(around) ? ~std::uint64_t{0} >> (64 - way.size) : 0;
                    if (is_line_end(around) != is_line_end(byte)) expected ^= std::uint64_t{1} << place;

                    std::array<char, 64> block;
                    block.fill(around);
                    block[place] = byte;
                    CHECK_MESSAGE(way.line_ends(block.data()) == expected, way.name, ": ", value, " at ",
                                  place, " among ", int{around});
                }
            }
        }
    }
}

TEST_CASE("what looks like CR or LF is not taken for it, many or few of them among it") {
    std::mt19937 random(640);
    for (const finder& way : finders()) {
        for (const unsigned every : densities) {
            for (int i = 0; i < 500; ++i) {
                const exact_copy text(
                    random_text(random, way.size, every));  // now at one edge, now at the other
                CHECK_MESSAGE(way.line_ends(text.data()) == expected_mask(text), way.name, ": one in ",
                              every);
            }
        }
    }
}

TEST_CASE("of fewer than 64 bytes no bit is set behind the last one") {
    std::mt19937 random(63);
    for (std::size_t size = 0; size < 64; ++size) {
        CAPTURE(size);
        for (std::size_t place = 0; place < size; ++place) {
            for (const char byte : {'\n', '\r'}) {
                std::string text(size, 'a');
                text[place] = byte;
                for (const test::edge where : test::edges) {
                    CHECK(detail::line_ends_in(exact_copy(text, where)) == std::uint64_t{1} << place);
                }
            }
        }
        for (const unsigned every : densities) {
            const exact_copy text(random_text(random, size, every));
            CHECK(detail::line_ends_in(text) == expected_mask(text));
        }
    }
}

TEST_CASE("each 64 bytes of a text get a mask of their own, and so does what is left of it") {
    std::mt19937 random(64);
    std::vector<std::size_t> sizes = {detail::max_window_bytes - 1, detail::max_window_bytes};
    for (std::size_t size = 64; size <= 320; ++size) sizes.push_back(size);
    for (const std::size_t size : sizes) {
        for (const unsigned every : densities) {
            const exact_copy both(random_text(random, 2 * size, every));
            // First with more text ahead, then up to its very end.
            for (const std::size_t begin : {std::size_t{0}, size}) {
                const std::string_view text = std::string_view(both).substr(begin, size);
                const std::size_t blocks = (size + 63) / 64;
                // As many as there are blocks: AddressSanitizer sees one mask too many.
                const std::unique_ptr<std::uint64_t[]> masks(new std::uint64_t[blocks]);
                detail::mark_line_ends(text, size - begin, masks.get());
                for (std::size_t i = 0; i < blocks; ++i) {
                    CHECK_MESSAGE(masks[i] == expected_mask(text.substr(64 * i, 64)), "block ", i, " of ",
                                  size, " bytes, one in ", every);
                }
            }
        }
    }
}

TEST_CASE("each line end is visited once, in order, whatever the size and the first window") {
    std::vector<std::size_t> sizes(301);
    for (std::size_t i = 0; i < sizes.size(); ++i) sizes[i] = i;
    for (const std::size_t size : {1000u, 2047u, 2048u, 2049u, 2112u, 4096u, 6271u, 10'000u})
        sizes.push_back(size);
    std::vector<std::size_t> windows = {no_limit};
    for (std::size_t size = 64; size <= detail::max_window_bytes + 64; size += 64) windows.push_back(size);

    std::mt19937 random(300);
    for (const std::size_t size : sizes) {
        for (const unsigned every : {1u, 3u, 40u, 0u}) {
            const std::string text = random_text(random, size, every);
            const std::vector<std::size_t> expected = expected_ends(text);
            for (const test::edge where : test::edges) {
                const exact_copy copy(text, where);
                for (const std::size_t window : windows) {
                    CHECK_MESSAGE(found_ends(copy, window, no_limit) == expected, size, " bytes, one in ",
                                  every, ", first window ", window);
                }
            }
        }
    }
}

TEST_CASE("nothing is visited after the one at which the visitor stops") {
    std::mt19937 random(1);
    for (const unsigned every : {1u, 8u, 70u}) {
        const exact_copy text(random_text(random, 1500, every));
        const std::vector<std::size_t> expected = expected_ends(text);
        for (const std::size_t window : {64u, 128u, 192u, 512u, 2048u}) {
            for (std::size_t most = 1; most <= expected.size(); ++most) {
                const auto end = expected.begin() + static_cast<std::ptrdiff_t>(most);
                CHECK_MESSAGE(found_ends(text, window, most) == std::vector(expected.begin(), end), "one in ",
                              every, ", first window ", window, ", stopped after ", most);
            }
        }
    }
}

TEST_CASE("the first line end is found, or the size where there is none") {
    std::mt19937 random(2);
    for (std::size_t size = 0; size <= 300; ++size) {
        CAPTURE(size);
        const std::string none = random_text(random, size, 0);
        for (const test::edge where : test::edges) {
            CHECK(detail::find_line_end(exact_copy(none, where)) == size);
        }
        for (std::size_t place = 0; place < size; ++place) {
            // Before it there is none; behind it there are none, or nothing else.
            std::string text = none.substr(0, place) + random_text(random, size - place, place % 2);
            text[place] = place % 3 == 0 ? '\r' : '\n';
            CHECK(detail::find_line_end(exact_copy(text)) == place);
        }
    }
}

// Constant expressions, which take the portable way

constexpr std::string_view block =
    "\n......."
    "......\r."
    "\r\n\r\n...."
    "\v\f\x0E\t\x8A\x8D\0\xFF"
    "\n\v\n\v\r\f\r\f"
    "\n\n\n\n\r\r\r\r"
    "........"
    ".......\n"sv;
static_assert(block.size() == 64);
constexpr std::uint64_t block_mask = 0x80'00'FF'55'00'0F'40'01;  // the last row of the block comes first
static_assert(detail::line_ends_in_64(block.data()) == block_mask);
static_assert(detail::line_ends_in_16(block.data() + 32) == 0xFF'55);

template <std::size_t Size>
constexpr bool short_form_is_right() {
    return detail::line_ends_in(block.substr(0, Size)) == (block_mask & ((std::uint64_t{1} << Size) - 1));
}
static_assert(short_form_is_right<0>() && short_form_is_right<1>() && short_form_is_right<7>());
static_assert(short_form_is_right<8>() && short_form_is_right<13>() && short_form_is_right<15>());
static_assert(short_form_is_right<16>() && short_form_is_right<17>() && short_form_is_right<31>());
static_assert(short_form_is_right<32>() && short_form_is_right<47>() && short_form_is_right<63>());

/// In three blocks and the beginning of a fourth.
constexpr std::size_t count_line_ends(std::size_t window, std::size_t most) {
    std::array<char, 3 * 64 + 10> text{};
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = block[i % 64];
    std::size_t count = 0;
    detail::for_each_line_end({text.data(), text.size()}, window,
                              [&](const char* end) { return is_line_end(*end) && ++count < most; });
    return count;
}
static_assert(std::popcount(block_mask) == 19);
static_assert(count_line_ends(64, no_limit) == 3 * 19 + 1);
static_assert(count_line_ends(128, no_limit) == 3 * 19 + 1);
static_assert(count_line_ends(no_limit, no_limit) == 3 * 19 + 1);
static_assert(count_line_ends(128, 20) == 20);

constexpr std::size_t find_behind(std::size_t size) {
    std::array<char, 200> text{};
    text[size] = '\r';
    return detail::find_line_end({text.data(), text.size()});
}
static_assert(detail::find_line_end("") == 0);
static_assert(detail::find_line_end("abc") == 3);
static_assert(detail::find_line_end("ab\nc\n") == 2);
static_assert(find_behind(0) == 0 && find_behind(63) == 63 && find_behind(64) == 64);
static_assert(find_behind(127) == 127 && find_behind(199) == 199);
