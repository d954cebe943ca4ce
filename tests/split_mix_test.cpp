// The numbers of SplitMix64 against those of its reference implementation.
#include <sse/detail/split_mix.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <initializer_list>

namespace {

using sse::detail::split_mix;
using sse::detail::split_mix_step;

// The first of the sequence from seed 0.
static_assert(split_mix(split_mix_step) == 0xE220A8397B1DCDAF);

std::uint64_t next_split_mix(std::uint64_t& state) {
    return split_mix(state += split_mix_step);
}

}  // namespace

TEST_CASE("the numbers from a seed are those that the algorithm's authors publish") {
    std::uint64_t state = 1234567;
    for (const std::uint64_t expected : {6457827717110365317U, 3203168211198807973U, 9817491932198370423U,
                                         4593380528125082431U, 16408922859458223821U}) {
        CHECK(next_split_mix(state) == expected);
    }
}
