// Which bytes end a line: 64 of them at a time, by the widest instructions that the processor has.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

// SSE_SIMD_PORTABLE, SSE_SIMD_SSE2, SSE_SIMD_NEON or SSE_SIMD_AVX2, where defined, forces one path.
#if !defined(SSE_SIMD_PORTABLE)
#if defined(__SSE2__) && defined(__GNUC__)
#define SSE_HAS_SSE2
#elif defined(__aarch64__) && defined(__ORDER_LITTLE_ENDIAN__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SSE_HAS_NEON
#endif
#endif

namespace sse::detail {

/// The bytes of a text as a number whose lowest byte is the first, on any machine.
template <class Word>
constexpr Word load(const char* text) noexcept {
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

// Each of these says of 64 bytes which are CR or LF: bit i of byte i.

namespace portable {

/// The high bit of each byte that is zero. No carry leaves a byte, so the answer is exact for each.
constexpr std::uint64_t zero_bytes(std::uint64_t word) noexcept {
    constexpr std::uint64_t low_bits = 0x7F7F7F7F7F7F7F7F;
    return ~(((word & low_bits) + low_bits) | word | low_bits);
}

/// The same of eight bytes.
constexpr std::uint64_t line_ends_in_8(const char* text) noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101;
    const auto word = load<std::uint64_t>(text);
    const std::uint64_t high_bits = zero_bytes(word ^ (ones * '\n')) | zero_bytes(word ^ (ones * '\r'));
    return (high_bits >> 7) * 0x0102040810204080 >> 56;  // gathers bit 8 * i into bit i
}

constexpr std::uint64_t line_ends(const char* text) noexcept {
    std::uint64_t mask = 0;
    for (int i = 0; i < 64; i += 8) mask |= line_ends_in_8(text + i) << i;
    return mask;
}

}  // namespace portable

constexpr bool has_nul(std::string_view text) noexcept {
    if (text.size() < 8 || text.size() > 16) return text.find('\0') != std::string_view::npos;
    constexpr std::uint64_t ones = 0x0101010101010101;
    const auto front = load<std::uint64_t>(text.data());
    const auto back = load<std::uint64_t>(text.data() + text.size() - 8);
    return ((((front - ones) & ~front) | ((back - ones) & ~back)) & (ones << 7)) != 0;
}

#if defined(SSE_HAS_SSE2)

namespace sse2 {

typedef char bytes __attribute__((vector_size(16)));

inline std::uint64_t line_ends_in_16(const char* text) noexcept {
    bytes block;
    std::memcpy(&block, text, sizeof block);
    const auto ends = (block == '\n') | (block == '\r');
    return static_cast<std::uint16_t>(__builtin_ia32_pmovmskb128(reinterpret_cast<const bytes&>(ends)));
}

inline std::uint64_t line_ends(const char* text) noexcept {
    return line_ends_in_16(text) | line_ends_in_16(text + 16) << 16 | line_ends_in_16(text + 32) << 32 |
           line_ends_in_16(text + 48) << 48;
}

}  // namespace sse2

namespace avx2 {

typedef char bytes __attribute__((vector_size(32)));

inline bool available() noexcept {
#if defined(__AVX2__) || defined(SSE_SIMD_AVX2)
    return true;
#elif defined(SSE_SIMD_SSE2)
    return false;
#else
    return __builtin_cpu_supports("avx2") != 0;
#endif
}

__attribute__((target("avx2"))) inline std::uint64_t line_ends_in_32(const char* text) noexcept {
    bytes block;
    std::memcpy(&block, text, sizeof block);
    const auto ends = (block == '\n') | (block == '\r');
    return static_cast<std::uint32_t>(__builtin_ia32_pmovmskb256(reinterpret_cast<const bytes&>(ends)));
}

__attribute__((target("avx2"))) inline std::uint64_t mark_line_ends(const char* text, std::size_t blocks,
                                                           std::size_t ahead, std::uint64_t* masks) noexcept {
    std::uint64_t marked = 0;
    for (std::size_t i = 0; i < blocks; ++i, text += 64) {
        __builtin_prefetch(text + ahead);
        masks[i] = line_ends_in_32(text) | line_ends_in_32(text + 32) << 32;
        marked |= std::uint64_t{masks[i] != 0} << i;
    }
    return marked;
}

}  // namespace avx2

#elif defined(SSE_HAS_NEON)

namespace neon {

typedef unsigned char bytes __attribute__((vector_size(16)));

/// In byte i bit i % 8, where that byte of the text ends a line.
inline bytes line_end_bits_in_16(const char* text) noexcept {
    constexpr bytes bits{1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    bytes block;
    std::memcpy(&block, text, sizeof block);
    const auto ends = (block == '\n') | (block == '\r');
    return reinterpret_cast<const bytes&>(ends) & bits;
}

/// Adds neighbours: the first eight sums are of `a`, the others of `b`.
inline bytes add_pairs(bytes a, bytes b) noexcept {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
           __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}

inline std::uint64_t line_ends(const char* text) noexcept {
    const bytes pairs_1 = add_pairs(line_end_bits_in_16(text), line_end_bits_in_16(text + 16));
    const bytes pairs_2 = add_pairs(line_end_bits_in_16(text + 32), line_end_bits_in_16(text + 48));
    const bytes quads = add_pairs(pairs_1, pairs_2);
    const bytes octets = add_pairs(quads, quads);
    std::uint64_t mask;
    std::memcpy(&mask, &octets, sizeof mask);
    return mask;
}

}  // namespace neon

#endif

constexpr std::uint64_t line_ends_in_16(const char* text) noexcept {
#if defined(SSE_HAS_SSE2)
    if (!std::is_constant_evaluated()) return sse2::line_ends_in_16(text);
#endif
    return portable::line_ends_in_8(text) | portable::line_ends_in_8(text + 8) << 8;
}

/// Which of 64 bytes are CR or LF: bit i for byte i.
constexpr std::uint64_t line_ends(const char* text) noexcept {
#if defined(SSE_HAS_SSE2)
    if (!std::is_constant_evaluated()) return sse2::line_ends(text);
#elif defined(SSE_HAS_NEON)
    if (!std::is_constant_evaluated()) return neon::line_ends(text);
#endif
    return portable::line_ends(text);
}

/// The same of fewer than 64 bytes. Loads that overlap find the same bits twice, which does no harm.
constexpr std::uint64_t line_ends(const char* text, std::size_t size) noexcept {
    std::uint64_t mask = 0;
    if (size >= 16) {
        for (std::size_t i = 0; i + 16 < size; i += 16) mask |= line_ends_in_16(text + i) << i;
        mask |= line_ends_in_16(text + size - 16) << (size - 16);
    } else if (size >= 8) {
        mask = portable::line_ends_in_8(text) | portable::line_ends_in_8(text + size - 8) << (size - 8);
    } else {
        for (std::size_t i = 0; i < size; ++i) {
            if (text[i] == '\n' || text[i] == '\r') mask |= std::uint64_t{1} << i;
        }
    }
    return mask;
}

/// The masks of some blocks of 64 bytes. The bytes `ahead` of each will be needed next.
///
/// \return which masks are not zero: bit k for block k
constexpr std::uint64_t mark_line_ends(const char* text, std::size_t blocks, std::size_t ahead, std::uint64_t* masks) noexcept {
#if defined(SSE_HAS_SSE2)
    if (!std::is_constant_evaluated() && avx2::available()) return avx2::mark_line_ends(text, blocks, ahead, masks);
#endif
    std::uint64_t marked = 0;
    for (std::size_t i = 0; i < blocks; ++i) {
        masks[i] = line_ends(text + 64 * i);
        marked |= std::uint64_t{masks[i] != 0} << i;
    }
    return marked;
}

/// How many blocks are looked at ahead at most: 2 KiB, which is far less than the first cache.
inline constexpr std::size_t most_blocks = 32;

template <class OnEnd>
[[gnu::always_inline]] constexpr void for_each_line_end(const char* const first, const char* const last, std::size_t blocks, OnEnd on_end) {
    std::uint64_t masks[most_blocks];
    for (const char* window = first; window != last;) {
        const auto left = static_cast<std::size_t>(last - window);
        std::uint64_t marked;
        const char* next;
        if (left < 64) {
            masks[0] = line_ends(window, left);
            marked = masks[0] != 0;
            next = last;
        } else if (blocks <= 1 || left < 128) {
            masks[0] = line_ends(window);
            marked = masks[0] != 0;
            next = window + 64;
            blocks = 4;
        } else {
            if (blocks > left / 64) blocks = left / 64;
            marked = mark_line_ends(window, blocks, 128 * blocks <= left ? 64 * blocks : 0, masks);
            next = window + 64 * blocks;
            blocks *= 2;
            if (blocks > most_blocks) blocks = most_blocks;
        }
        for (; marked != 0; marked &= marked - 1) {
            const auto block = static_cast<unsigned>(std::countr_zero(marked));
            const char* text = window + std::size_t{64} * block;
            for (std::uint64_t mask = masks[block]; mask != 0; mask &= mask - 1) {
                if (!on_end(text + static_cast<unsigned>(std::countr_zero(mask)))) return;
            }
        }
        window = next;
    }
}

/// \return where the first line end is, or the size
constexpr std::size_t find_line_end(std::string_view text) noexcept {
    std::size_t block = 0;
    std::uint64_t mask = 0;
    for (; mask == 0 && text.size() - block >= 64; block += 64) mask = line_ends(text.data() + block);
    if (mask != 0) return block - 64 + static_cast<unsigned>(std::countr_zero(mask));
    mask = line_ends(text.data() + block, text.size() - block);
    return mask != 0 ? block + static_cast<unsigned>(std::countr_zero(mask)) : text.size();
}

}  // namespace sse::detail

#undef SSE_HAS_SSE2
#undef SSE_HAS_NEON
