// Which bytes end a line: 64 of them at a time, by the widest instructions that the processor has.
#pragma once

#include "bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

// SSE_SIMD_BYTEWISE, SSE_SIMD_PORTABLE, SSE_SIMD_SSE2, SSE_SIMD_AVX2 or SSE_SIMD_NEON, where defined, forces
// a path.
#if ((defined(SSE_SIMD_SSE2) || defined(SSE_SIMD_AVX2)) && !defined(__SSE2__)) || \
    (defined(SSE_SIMD_NEON) && !defined(__aarch64__))
#error "the path that SSE_SIMD_… forces is one of another processor"
#endif
#if defined(SSE_SIMD_BYTEWISE) || defined(SSE_SIMD_PORTABLE) || !defined(__GNUC__)
#define SSE_PATH portable
#elif defined(__SSE2__)
#define SSE_PATH sse2
#if !defined(SSE_SIMD_SSE2)
#define SSE_PATH_AVX2
#endif
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SSE_PATH neon
#else
#define SSE_PATH portable
#endif
// For small devices, to which 64 bits are no help: saves a parser 1 KiB of code and 256 bytes of stack.
#if defined(SSE_SIMD_BYTEWISE) || (defined(__OPTIMIZE_SIZE__) && !defined(SSE_SIMD_PORTABLE) && \
                                   !defined(__SSE2__) && !defined(__aarch64__))
#define SSE_BYTEWISE
#endif

namespace sse::detail {

/// How many bytes one mask answers for: a bit for each.
inline constexpr std::size_t mask_bytes = 64;

// Each path answers for 64 bytes, and some for 16, which of them are CR or LF: bit i for byte i.

namespace portable {

/// The high bit of each byte that is zero. No carry leaves a byte, so the answer is exact for each.
constexpr std::uint64_t zero_bytes(std::uint64_t word) noexcept {
    constexpr std::uint64_t low_bits = 0x7F7F7F7F7F7F7F7F;
    return ~(((word & low_bits) + low_bits) | word | low_bits);
}

constexpr std::uint64_t line_ends_in_8(const char* text) noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101;
    const auto word = load<std::uint64_t>(text);
    const std::uint64_t high_bits = zero_bytes(word ^ (ones * '\n')) | zero_bytes(word ^ (ones * '\r'));
    return (high_bits >> 7) * 0x0102040810204080 >> 56;  // gathers bit 8 * i into bit i
}

constexpr std::uint64_t line_ends_in_16(const char* text) noexcept {
    return line_ends_in_8(text) | line_ends_in_8(text + 8) << 8;
}

constexpr std::uint64_t line_ends_in_64(const char* text) noexcept {
    return line_ends_in_16(text) | line_ends_in_16(text + 16) << 16 | line_ends_in_16(text + 32) << 32 |
           line_ends_in_16(text + 48) << 48;
}

}  // namespace portable

// The compiler's own vectors spare the price of the headers of intrinsics, which is that of <string>.
#if defined(__SSE2__) && defined(__GNUC__)

namespace sse2 {

using bytes [[gnu::vector_size(16)]] = char;

[[gnu::always_inline]] inline std::uint64_t line_ends_in_16(const char* text) noexcept {
    bytes block;
    std::memcpy(&block, text, sizeof block);
    const auto ends = (block == '\n') | (block == '\r');
    return static_cast<std::uint32_t>(__builtin_ia32_pmovmskb128(reinterpret_cast<const bytes&>(ends)));
}

[[gnu::always_inline]] inline std::uint64_t line_ends_in_64(const char* text) noexcept {
    return line_ends_in_16(text) | line_ends_in_16(text + 16) << 16 | line_ends_in_16(text + 32) << 32 |
           line_ends_in_16(text + 48) << 48;
}

}  // namespace sse2

namespace avx2 {

using bytes [[gnu::vector_size(32)]] = char;

/// Whether the processor has it, where the compiler was not told so.
inline bool available() noexcept {
#if defined(__AVX2__) || defined(SSE_SIMD_AVX2)
    return true;
#else
    return __builtin_cpu_supports("avx2") != 0;
#endif
}

[[gnu::target("avx2")]] inline std::uint64_t line_ends_in_32(const char* text) noexcept {
    bytes block;
    std::memcpy(&block, text, sizeof block);
    const auto ends = (block == '\n') | (block == '\r');
    return static_cast<std::uint32_t>(__builtin_ia32_pmovmskb256(reinterpret_cast<const bytes&>(ends)));
}

[[gnu::target("avx2")]] inline std::uint64_t line_ends_in_64(const char* text) noexcept {
    return line_ends_in_32(text) | line_ends_in_32(text + 32) << 32;
}

}  // namespace avx2

#elif defined(__aarch64__) && defined(__GNUC__)

namespace neon {

using bytes [[gnu::vector_size(16)]] = unsigned char;

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

inline std::uint64_t line_ends_in_64(const char* text) noexcept {
    const bytes pairs_1 = add_pairs(line_end_bits_in_16(text), line_end_bits_in_16(text + 16));
    const bytes pairs_2 = add_pairs(line_end_bits_in_16(text + 32), line_end_bits_in_16(text + 48));
    const bytes quads = add_pairs(pairs_1, pairs_2);
    const bytes octets = add_pairs(quads, quads);
    std::uint64_t mask;
    std::memcpy(&mask, &octets, sizeof mask);
    return mask;
}

using portable::line_ends_in_16;

}  // namespace neon

#endif

// What follows does not know which path is taken.

[[gnu::always_inline]] constexpr std::uint64_t line_ends_in_64(const char* text) noexcept {
    if (std::is_constant_evaluated()) return portable::line_ends_in_64(text);
    return SSE_PATH::line_ends_in_64(text);
}

[[gnu::always_inline]] constexpr std::uint64_t line_ends_in_16(const char* text) noexcept {
    if (std::is_constant_evaluated()) return portable::line_ends_in_16(text);
    return SSE_PATH::line_ends_in_16(text);
}

/// The same of fewer than 64 bytes. Loads that overlap find some ends twice, which does no harm.
[[gnu::always_inline]] constexpr std::uint64_t line_ends_in(std::string_view text) noexcept {
    const char* const first = text.data();
    const std::size_t size = text.size();
    std::uint64_t mask = 0;
    if (size >= 16) {
        mask = line_ends_in_16(first) | line_ends_in_16(first + size - 16) << (size - 16);
        if (size <= 32) return mask;
        mask |= line_ends_in_16(first + 16) << 16 | line_ends_in_16(first + size - 32) << (size - 32);
    } else if (size >= 8) {
        mask = portable::line_ends_in_8(first) | portable::line_ends_in_8(first + size - 8) << (size - 8);
    } else {
        for (std::size_t i = 0; i < size; ++i) {
            mask |= std::uint64_t{first[i] == '\n' || first[i] == '\r'} << i;
        }
    }
    return mask;
}

/// A mask for each 64 bytes of a text, and one for what is left of it. The bytes `ahead` of it will be needed
/// next.
/// \pre the text has at least 64 bytes
template <auto LineEndsIn64>
[[gnu::always_inline]] constexpr void mark_by(std::string_view text, std::size_t ahead,
                                              std::uint64_t* masks) noexcept {
    const std::size_t rest = text.size() % 64;
    const char* const last = text.data() + (text.size() - rest);
    for (const char* block = text.data(); block != last; block += 64) {
#if defined(__GNUC__)
        if (!std::is_constant_evaluated()) __builtin_prefetch(block + ahead);
#endif
        *masks++ = LineEndsIn64(block);
    }
    if (rest != 0) *masks = LineEndsIn64(last + rest - 64) >> (64 - rest);
}

/// \return where the first line end is in a text of at least 64 bytes, or the size
template <auto LineEndsIn64>
[[gnu::always_inline]] constexpr std::size_t find_by(std::string_view text) noexcept {
    const std::size_t last = text.size() - 64;
    for (std::size_t i = 0;; i = i + 64 < last ? i + 64 : last) {  // the last 64 overlap what is before
        if (const std::uint64_t mask = LineEndsIn64(text.data() + i)) return i + lowest_bit(mask);
        if (i == last) return text.size();
    }
}

#if defined(SSE_PATH_AVX2)

namespace avx2 {

[[gnu::target("avx2")]] inline void mark_line_ends(std::string_view text, std::size_t ahead,
                                                   std::uint64_t* masks) noexcept {
    mark_by<line_ends_in_64>(text, ahead, masks);
}

[[gnu::target("avx2")]] inline std::size_t find_line_end(std::string_view text) noexcept {
    return find_by<line_ends_in_64>(text);
}

}  // namespace avx2

#endif

constexpr void mark_line_ends(std::string_view text, std::size_t ahead, std::uint64_t* masks) noexcept {
#if defined(SSE_PATH_AVX2)
    if (!std::is_constant_evaluated() && avx2::available()) return avx2::mark_line_ends(text, ahead, masks);
#endif
    mark_by<line_ends_in_64>(text, ahead, masks);
}

/// \return where the first line end is, or the size
constexpr std::size_t find_line_end(std::string_view text) noexcept {
#if defined(SSE_BYTEWISE)
    std::size_t i = 0;
    while (i != text.size() && text[i] != '\n' && text[i] != '\r') ++i;
    return i;
#else
    if (text.size() <= 64) {
        const std::uint64_t mask = text.size() == 64 ? line_ends_in_64(text.data()) : line_ends_in(text);
        return mask != 0 ? lowest_bit(mask) : text.size();
    }
#if defined(SSE_PATH_AVX2)
    if (!std::is_constant_evaluated() && avx2::available()) return avx2::find_line_end(text);
#endif
    return find_by<line_ends_in_64>(text);
#endif
}

/// How far is looked ahead at most: far less than the first cache holds.
inline constexpr std::size_t max_window_bytes = 2048;

/// Calls `on_end(position)` for the CR and LF bytes of a text, in order, until that returns false.
///
/// Two stages over windows of the text: the first makes masks of the line ends, calls nobody and has no
/// branches; the second walks over their bits. So a short line does not cost a search. The caller chooses the
/// size of the first window, a multiple of 64: small where one line end may do.
template <class OnEnd>
[[gnu::always_inline]] constexpr void for_each_line_end(std::string_view text, std::size_t window,
                                                        OnEnd on_end) {
#if defined(SSE_BYTEWISE)
    static_cast<void>(window);
    for (const char& byte : text) {
        if ((byte == '\n' || byte == '\r') && !on_end(&byte)) return;
    }
#else
    std::uint64_t masks[max_window_bytes / 64];
    const char* const last = text.data() + text.size();
    for (const char* block = text.data(); block != last; window *= 4) {
        const auto left = static_cast<std::size_t>(last - block);
        if (window > left) window = left;
        if (window > 64) {
            if (window > max_window_bytes) window = max_window_bytes;
            mark_line_ends({block, window}, window <= left - window ? window : 0, masks);
        } else if (window == 64) {
            masks[0] = line_ends_in_64(block);
        } else if (text.size() < 64) {
            masks[0] = line_ends_in(text);
        } else {  // the end of the text
            masks[0] = line_ends_in_64(last - 64) >> (64 - window);
        }

        const char* const next = block + window;
        const std::uint64_t* const last_mask = masks + (window - 1) / 64;
        for (const std::uint64_t* mask = masks;; ++mask, block += 64) {
            for (std::uint64_t ends = *mask; ends != 0; ends &= ends - 1) {
                if (!on_end(block + lowest_bit(ends))) return;
            }
            if (mask == last_mask) break;
        }
        block = next;
    }
#endif
}

}  // namespace sse::detail

#undef SSE_PATH
#undef SSE_PATH_AVX2
#undef SSE_BYTEWISE
