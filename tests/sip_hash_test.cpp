#include <sse/detail/sip_hash.hpp>

#include "support/exact_copy.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace {

using sse::detail::hash_key;
using sse::detail::sip_hash;
using namespace std::string_view_literals;

// As CPython 3.11 and later hash bytes, with PYTHONHASHSEED=0 and 42.
constexpr hash_key keys[] = {{0, 0}, {0xdc504fd368cd90af, 0xb920bb9ffe99e9c1}};

struct row {
    std::string_view text;
    std::uint64_t hashes[2];
};

constexpr row rows[] = {
    {"a", {0x407448d2b89b1813, 0xfe4a47335692551e}},
    {"abcdefg", {0x6db12aae9070f506, 0x13162120b6bf06ed}},
    {"abcdefgh", {0x3f7b849c0b8e35ea, 0xb441be6d79f21056}},
    {"abcdefghi", {0xf89b34a3d11eb6e5, 0xad255ab35982cc7f}},
    {"0123456789abcdef", {0x1d42b30f7e060c24, 0xfb45b65d4dce0272}},
    {"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"sv, {0x5282cefa6bc1a1ad, 0x8c122d5ed0b3a224}},
};

static_assert(sip_hash("abcdefgh", keys[0]) == 0x3f7b849c0b8e35ea);
static_assert(sip_hash("abcdefghi", keys[1]) == 0xad255ab35982cc7f);

}  // namespace

TEST_CASE("the hash is SipHash-1-3, of texts of any length") {
    for (const row& each : rows) {
        CAPTURE(each.text);
        for (const test::edge where : test::edges) {
            const test::exact_copy copy(each.text, where);
            CHECK(sip_hash(copy, keys[0]) == each.hashes[0]);
            CHECK(sip_hash(copy, keys[1]) == each.hashes[1]);
        }
    }
    std::string all;
    for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
    CHECK(sip_hash(all, keys[0]) == 0x31ae646afba70308);
    CHECK(sip_hash(all, keys[1]) == 0xd0624090d255259);
}

TEST_CASE("no two texts of the same bytes but another length, nor two keys, have the same hash") {
    std::set<std::uint64_t> hashes;
    const std::string zeros(100, '\0');
    for (std::size_t size = 0; size <= zeros.size(); ++size) {
        hashes.insert(sip_hash(std::string_view(zeros).substr(0, size), keys[1]));
        hashes.insert(sip_hash(std::string_view(zeros).substr(0, size), {size + 1, 0}));
        hashes.insert(sip_hash(std::string_view(zeros).substr(0, size), {0, size + 1}));
    }
    CHECK(hashes.size() == 3 * (zeros.size() + 1));
}

TEST_CASE("each key that is drawn is another one, all bits of it, and the process has one of them") {
    std::uint64_t ones[2] = {};
    std::uint64_t zeros[2] = {};
    std::set<std::uint64_t> halves;
    for (int i = 0; i < 100; ++i) {  // that a bit is the same in all of them: once in 2^92 runs
        const hash_key key = *sse::detail::draw_hash_key();
        halves.insert(key.low);
        halves.insert(key.high);
        ones[0] |= key.low;
        ones[1] |= key.high;
        zeros[0] |= ~key.low;
        zeros[1] |= ~key.high;
    }
    CHECK(halves.size() == 200);
    for (const std::uint64_t each : ones) CHECK(each == UINT64_MAX);
    for (const std::uint64_t each : zeros) CHECK(each == UINT64_MAX);
    const hash_key& key = *sse::detail::process_hash_key();
    CHECK(&key == &*sse::detail::process_hash_key());
    CHECK(key.low != 0);
    CHECK(key.high != 0);
}
