// The parser over a stream under every chunking that matters, held against the reference.
//
//     test::check_every_chunking("data: a\r\n\r\n");
#pragma once

#include "chunking.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace test {

inline std::vector<cuts> every_chunking(std::size_t size) {
    std::vector<cuts> all = {{}, cuts_every(1, size)};
    cuts with_empty;
    for (std::size_t cut = 0; cut <= std::min<std::size_t>(size, 64); ++cut)
        with_empty.insert(with_empty.end(), 2, cut);
    all.push_back(with_empty);

    if (size <= 256) {
        for (std::size_t cut = 1; cut < size; ++cut) all.push_back({cut});
    } else {
        // Around the sizes that a scan by blocks is likely to work in.
        for (const std::size_t step : {3u, 31u, 63u, 64u, 65u, 127u, 1460u, 4096u})
            all.push_back(cuts_every(step, size));
    }
    if (size <= 20) {
        for (std::size_t first = 1; first < size; ++first)
            for (std::size_t second = first + 1; second < size; ++second) all.push_back({first, second});
    }
    std::mt19937 random(20);
    for (std::size_t i = 0; i < 24; ++i) all.push_back(random_cuts(random, size, 1 + i % 8));
    return all;
}

/// Checks every driver under every chunking, and that a parser can be used for one stream after another.
inline void check_every_chunking(const std::string& stream, const setup& how = {}) {
    const std::vector<cuts> all = every_chunking(stream.size());
    for (const driver& way : drivers) {
        const outcome expected = expectation(stream, how, way);
        std::string text;
        for (std::size_t i = 0; i < all.size() && text.empty(); ++i)
            text = fault(stream, how, way, std::span(all).subspan(i, 1), expected);
        CHECK_MESSAGE(text.empty(), text);

        for (const between separator : {between::reset, between::finish}) {
            const outcome again = second_expectation(stream, how, way, separator);
            text = fault(stream, how, way, std::span(all).first(2), again, separator);
            CHECK_MESSAGE(text.empty(), text);
        }
    }
}

}  // namespace test
