#include <sse/detail/bytes.hpp>

#include "support/exact_copy.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace detail = sse::detail;
using test::exact_copy;
using namespace std::string_view_literals;

}  // namespace

TEST_CASE("NUL is seen at any place, and nothing else is taken for it") {
    for (std::size_t size = 0; size <= 100; ++size) {
        CAPTURE(size);
        for (const char around : {'a', '\x01', '\x7F', '\x80', '\x81', '\xFF'}) {
            std::string text(size, around);
            CHECK_FALSE(detail::has_nul(exact_copy(text)));
            for (char& byte : text) {
                byte = '\0';
                CHECK(detail::has_nul(exact_copy(text)));
                byte = around;
            }
        }
    }
}

TEST_CASE("the lowest bit of a word, whatever lies above it") {
    std::mt19937_64 random(3);
    for (unsigned bit = 0; bit < 64; ++bit) {
        CAPTURE(bit);
        CHECK(detail::lowest_bit(std::uint64_t{1} << bit) == bit);
        CHECK(detail::lowest_bit(~std::uint64_t{0} << bit) == bit);
        CHECK(detail::lowest_bit((random() | 1) << bit) == bit);
    }
}

TEST_CASE("the first byte is the lowest of the word, on any machine and wherever it lies") {
    const exact_copy text("\x01\xF2\x03\xF4\x05\xF6\x07\xF8\x09"sv);
    CHECK(detail::load<std::uint8_t>(text.data() + 1) == 0xF2);
    CHECK(detail::load<std::uint16_t>(text.data()) == 0xF201);
    CHECK(detail::load<std::uint16_t>(text.data() + 7) == 0x09F8);
    CHECK(detail::load<std::uint32_t>(text.data()) == 0xF403F201);
    CHECK(detail::load<std::uint32_t>(text.data() + 5) == 0x09F807F6);
    CHECK(detail::load<std::uint64_t>(text.data()) == 0xF807F605F403F201);
    CHECK(detail::load<std::uint64_t>(text.data() + 1) == 0x09F807F605F403F2);
}

TEST_CASE("as many bytes are copied as are asked for, and none around them") {
    for (std::size_t size = 0; size <= 200; ++size) {
        CAPTURE(size);
        std::string text(size, ' ');
        for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('!' + i % 90);
        const exact_copy from(text);

        std::vector<char> exact(size);  // AddressSanitizer sees a write beyond it
        detail::copy_bytes(exact.data(), from.data(), size);
        CHECK(std::string_view(exact.data(), size) == text);

        std::string framed(size + 2, '~');
        detail::copy_bytes(framed.data() + 1, from.data(), size);
        CHECK(framed == "~" + text + "~");
    }
}

// Constant expressions

static_assert(detail::load<std::uint16_t>("\x01\xF2") == 0xF201);
static_assert(detail::load<std::uint32_t>("\x01\xF2\x03\xF4") == 0xF403F201);
static_assert(detail::load<std::uint64_t>("\x01\xF2\x03\xF4\x05\xF6\x07\xF8") == 0xF807F605F403F201);

static_assert(detail::lowest_bit(1) == 0);
static_assert(detail::lowest_bit(0b1101000) == 3);
static_assert(detail::lowest_bit(std::uint64_t{1} << 63) == 63);

static_assert(!detail::has_nul("") && !detail::has_nul("1234567") && !detail::has_nul("12345678"));
static_assert(detail::has_nul("1234567\0"sv) && detail::has_nul("\00012345678"sv));
static_assert(detail::has_nul("123456\0"sv) && detail::has_nul("12345678901234567\0"sv));

constexpr bool copies(std::string_view text) {
    std::array<char, 100> copy{};
    detail::copy_bytes(copy.data(), text.data(), text.size());
    return std::string_view(copy.data(), text.size()) == text && copy[text.size()] == 0;
}
static_assert(copies("") && copies("123") && copies("12345678") && copies("0123456789abcdef0"));
