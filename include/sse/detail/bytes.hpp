// Loads, searches and copies of the few bytes that most values have, for which a call would cost more.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace sse::detail {

/// The first bytes of a text, or all where it has fewer. As substr(), where the compiler does not always see
/// that nothing is thrown: that alone links an allocator to the program of a small device.
[[gnu::always_inline]] constexpr std::string_view front(std::string_view text, std::size_t size) noexcept {
    return {text.data(), size < text.size() ? size : text.size()};
}

/// What is behind them. \pre there are as many
[[gnu::always_inline]] constexpr std::string_view behind(std::string_view text, std::size_t size) noexcept {
    return {text.data() + size, text.size() - size};
}

/// \return which bit is the lowest that is set \pre `bits` is not zero
[[gnu::always_inline]] constexpr unsigned lowest_bit(std::uint64_t bits) noexcept {
// Clang takes the bsf of old, which is eight operations on some processors. With this prefix those that have
// tzcnt take that; the others ignore it.
#if defined(__clang__) && defined(__x86_64__) && !defined(__BMI__)
    if (!std::is_constant_evaluated()) {
        std::uint64_t index;
        __asm__("rep bsfq %1, %0" : "=r"(index) : "r"(bits) : "cc");
        return static_cast<unsigned>(index);
    }
#endif
    return static_cast<unsigned>(std::countr_zero(bits));
}

/// The bytes of a text as a number whose lowest byte is the first, on any machine.
template <class Word>
[[gnu::always_inline]] constexpr Word load(const char* text) noexcept {
    Word word = 0;
    if (!std::is_constant_evaluated() && std::endian::native == std::endian::little) {
        std::memcpy(&word, text, sizeof word);
    } else {
        for (std::size_t i = 0; i < sizeof word; ++i) {
            word = static_cast<Word>(word | Word{static_cast<unsigned char>(text[i])} << (8 * i));
        }
    }
    return word;
}

/// Whether there is a zero byte. Two words that may overlap cover the ids that servers send.
[[gnu::always_inline]] constexpr bool has_nul(std::string_view text) noexcept {
    if (text.size() < 8 || text.size() > 16) return text.find('\0') != std::string_view::npos;
    constexpr std::uint64_t ones = 0x0101010101010101;
    const auto front = load<std::uint64_t>(text.data());
    const auto back = load<std::uint64_t>(text.data() + text.size() - 8);
    return ((((front - ones) & ~front) | ((back - ones) & ~back)) & (ones << 7)) != 0;
}

template <std::size_t Half>
[[gnu::always_inline]] inline void copy_halves(char* to, const char* from, std::size_t size) noexcept {
    char front[Half], back[Half];
    std::memcpy(front, from, Half);
    std::memcpy(back, from + size - Half, Half);
    std::memcpy(to, front, Half);
    std::memcpy(to + size - Half, back, Half);
}

/// Copies bytes: of few, the two halves, which may overlap, for a call costs more than the bytes.
/// No more than `Most`: g++ would warn of copies that cannot be.
template <std::size_t Most = SIZE_MAX>
[[gnu::always_inline]] constexpr void copy_bytes(char* to, const char* from, std::size_t size) noexcept {
#if defined(__OPTIMIZE_SIZE__) && !defined(__SSE2__) && !defined(__aarch64__)
    std::char_traits<char>::copy(to, from, size);  // without wide registers the halves are a lot of code
#else
    if (std::is_constant_evaluated() || size < 4 || size > 64) std::char_traits<char>::copy(to, from, size);
    else if (Most > 32 && size > 32) copy_halves<32>(to, from, size);
    else if (Most > 16 && size > 16) copy_halves<16>(to, from, size);
    else if (Most > 8 && size > 8) copy_halves<8>(to, from, size);
    else copy_halves<4>(to, from, size);
#endif
}

}  // namespace sse::detail
