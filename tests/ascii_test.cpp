// The kinds of ASCII characters, and comparing texts without their case.
#include <sse/detail/ascii.hpp>

#include "support/characters.hpp"
#include "support/exact_copy.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace {

namespace detail = sse::detail;
using detail::equal_ignoring_case;
using test::all_bytes;
using test::digits;
using test::exact_copy;
using test::is_one_of;
using test::lower;
using test::upper;

/// Checks that a predicate is true for the bytes of the set, and for no other.
template <class Predicate>
void check_each_byte(Predicate is_so, std::string_view set) {
    for (const char byte : all_bytes) {
        CAPTURE(static_cast<int>(byte));
        CHECK(is_so(byte) == is_one_of(byte, set));
    }
}

static_assert(detail::is_token("Last-Event-ID") && !detail::is_token("Last Event ID"));
static_assert(detail::trim("\t a b ") == "a b");

}  // namespace

TEST_CASE("each byte is of the kinds that ASCII and RFC 9110 give it") {
    const std::string letters = std::string(lower).append(upper);
    check_each_byte(detail::is_digit, digits);
    check_each_byte(detail::is_alpha, letters);
    check_each_byte(detail::is_hex_digit, "0123456789abcdefABCDEF");
    check_each_byte(detail::is_token_character,
                    std::string(digits).append(letters).append("!#$%&'*+-.^_`|~"));
    std::string controls{'\x7F'};
    for (char control = 0; control < ' '; ++control) controls += control;
    check_each_byte(detail::is_control, controls);
}

TEST_CASE("letters of ASCII become lower case, and every other byte stays as it is") {
    for (const char byte : all_bytes) {
        CAPTURE(static_cast<int>(byte));
        const std::size_t letter = upper.find(byte);
        CHECK(detail::to_lower(byte) == (letter == std::string_view::npos ? byte : lower[letter]));
    }
}

TEST_CASE("a token is not empty, and each of its characters is a token's") {
    CHECK_FALSE(detail::is_token(""));
    CHECK(detail::is_token(exact_copy("a")));
    CHECK_FALSE(detail::is_token(exact_copy(" a")));
    CHECK_FALSE(detail::is_token(exact_copy("a ")));
    CHECK_FALSE(detail::is_token(exact_copy("a:b")));
}

TEST_CASE("a text is trimmed of space at both ends, and not within") {
    for (const std::string_view text : {"", " ", "\t \t"}) CHECK(detail::trim(exact_copy(text)).empty());
    for (const std::string_view text : {"a b", " a b", "a b\t", " \ta b\t "}) {
        CHECK(detail::trim(exact_copy(text)) == "a b");
    }
    CHECK(detail::trim(exact_copy("\ra\n")) == "\ra\n");
    CHECK(detail::trim(exact_copy("\r\n a\n"), "\r\n") == " a");
}

TEST_CASE("names are the same but for the case of ASCII letters, and of nothing else") {
    for (const char left : all_bytes) {
        for (const char right : all_bytes) {
            const std::size_t letter = std::min(lower.find(left), upper.find(left));
            const bool is_same = left == right || (letter < lower.size() &&
                                                   (right == lower[letter] || right == upper[letter]));
            if (equal_ignoring_case({&left, 1}, {&right, 1}) == is_same) continue;
            CAPTURE(static_cast<int>(left));
            CAPTURE(static_cast<int>(right));
            FAIL_CHECK("expected " << is_same);
        }
    }
    CHECK(equal_ignoring_case("", ""));
    CHECK(equal_ignoring_case(lower, upper));
    CHECK_FALSE(equal_ignoring_case("", "a"));
    CHECK_FALSE(equal_ignoring_case("a", ""));
    CHECK_FALSE(equal_ignoring_case("ab", "a"));
    CHECK_FALSE(equal_ignoring_case("aB", "cb"));
    CHECK_FALSE(equal_ignoring_case("aB", "ac"));
    CHECK_FALSE(equal_ignoring_case("\xC3\x89", "\xC3\xA9"));  // É, é
}
