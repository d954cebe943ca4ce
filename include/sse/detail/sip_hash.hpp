// A hash that a client cannot steer: who does not know the key cannot choose texts whose hashes are alike.
#pragma once

#include "../error.hpp"
#include "bytes.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

// What the system gives, because <random> costs three quarters of <string>.
#if defined(__linux__)
#include <cerrno>

#include <sys/random.h>
#else
#include <random>
#endif

namespace sse::detail {

struct hash_key {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
};

/// SipHash-1-3: one round for each eight bytes, three at the end.
///
/// \spec https://www.aumasson.jp/siphash/siphash.pdf
constexpr std::uint64_t sip_hash(std::string_view text, const hash_key& key) noexcept {
    std::uint64_t a = key.low ^ 0x736f6d6570736575;
    std::uint64_t b = key.high ^ 0x646f72616e646f6d;
    std::uint64_t c = key.low ^ 0x6c7967656e657261;
    std::uint64_t d = key.high ^ 0x7465646279746573;
    const auto mix = [&] {
        a += b;
        c += d;
        b = std::rotl(b, 13) ^ a;
        d = std::rotl(d, 16) ^ c;
        a = std::rotl(a, 32);
        c += b;
        a += d;
        b = std::rotl(b, 17) ^ c;
        d = std::rotl(d, 21) ^ a;
        c = std::rotl(c, 32);
    };
    const auto take = [&](std::uint64_t word) {
        d ^= word;
        mix();
        a ^= word;
    };
    std::uint64_t last = std::uint64_t{text.size()} << 56;
    for (; text.size() >= 8; text.remove_prefix(8)) take(load<std::uint64_t>(text.data()));
    for (std::size_t i = 0; i < text.size(); ++i) {
        last |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
    }
    take(last);
    c ^= 0xFF;
    for (int i = 0; i < 3; ++i) mix();
    return a ^ b ^ c ^ d;
}

/// A key that nobody can know.
///
/// \return `errc::no_randomness` if the system gives no random bytes
/// \throws elsewhere than on Linux: what std::random_device throws
inline result<hash_key> draw_hash_key() {
    hash_key key;
#if defined(__linux__)
    // So few bytes are given whole. A signal interrupts only one who waits for them, soon after a boot.
    ssize_t size = 0;
    do size = ::getrandom(&key, sizeof key, 0);
    while (size < 0 && errno == EINTR);
    if (size != static_cast<ssize_t>(sizeof key)) return errc::no_randomness;
#else
    std::random_device source;
    const auto draw = [&] { return std::uint64_t{source()} << 32 ^ source(); };
    key = {draw(), draw()};
#endif
    return key;
}

/// The key of this process, drawn when it is first needed.
inline const result<hash_key>& process_hash_key() {
    static const result<hash_key> key = draw_hash_key();
    return key;
}

}  // namespace sse::detail
