// Invariant: whatever is published, by whatever bounds, and whoever comes, reads, skips, ends and goes: the channel
// and its cursors do as their model does.
//
// Each byte of the input is a choice, or with the next one the choice among more than 64; printable ones count
// from `0` on.
#include <sse/channel.hpp>

#include "../support/channel_model.hpp"
#include "count.hpp"
#include "require.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const test::count count;
    std::span choices(data, size);
    const auto take = [&]() -> std::size_t {
        if (choices.empty()) return 0;
        const std::uint8_t byte = choices.front();
        choices = choices.subspan(1);
        return static_cast<std::uint8_t>(byte - '0');
    };
    const auto pick = [&](std::size_t number) {
        const std::size_t choice = take();
        return (number > 64 ? choice * 64 + take() : choice) % number;
    };
    test::channel_model(pick).run(size / 4);  // some choices make a step
    test::require(count.bytes() == 0);
    return 0;
}
