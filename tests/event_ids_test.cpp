// How a channel makes IDs, and finds those of the caller's own: beside a list of events instead of a log.
#include <sse/detail/event_ids.hpp>

#include "support/exact_copy.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using sse::detail::made_ids;
using sse::detail::own_ids;
using test::exact_copy;
using namespace std::string_literals;

constexpr std::uint64_t epoch = 0xAB;
const std::string prefix = "0000000000ab-";

/// What `own_ids` needs of a log.
class events {
public:
    struct entry {
        std::string id;
        std::uint64_t link = own_ids::unchained;
    };
    struct event {
        entry& of;

        std::string_view id() const {
            ++ids_read;
            return of.id;
        }
        std::uint64_t& previous() const { return of.link; }
    };

    std::uint64_t first() const { return first_; }
    std::uint64_t next() const { return all_.size() + 1; }
    event at(std::uint64_t number) const {
        if (number < first_ || number >= next()) throw std::logic_error("the event is not kept");
        return {all_[static_cast<std::size_t>(number - 1)]};
    }

    /// \param id empty for none
    void add(own_ids& table, const std::string& id) {
        std::uint64_t link = own_ids::unchained;
        if (!id.empty()) {
            const std::size_t size = table.size_for(next() - first_, SIZE_MAX);
            if (size != table.size()) {
                table.set_size(size);
                table.link_all(*this);
            }
            link = table.add(exact_copy(id), *this);
        }
        all_.push_back({id, link});
    }
    void leave(std::uint64_t count) { first_ += count; }

    std::optional<std::uint64_t> expected(std::string_view id) const {
        for (std::uint64_t number = next() - 1; number >= first_; --number) {
            if (at(number).of.id == id) return number;
        }
        return std::nullopt;
    }

    static inline std::size_t ids_read = 0;

private:
    mutable std::vector<entry> all_{};  // as in a log, whose entries the table changes
    std::uint64_t first_ = 1;
};

}  // namespace

TEST_CASE("a made ID is the epoch in 12 digits, a hyphen, and the number") {
    const struct {
        std::uint64_t epoch;
        std::uint64_t number;
        std::string_view id;
    } rows[] = {
        {1, 1, "000000000001-1"},
        {0xAB, 0, "0000000000ab-0"},
        {0x123456789ABC, 42, "123456789abc-42"},
        {0xFFFFFFFFFFFF, UINT64_MAX, "ffffffffffff-18446744073709551615"},
        {0xFFFF000000000001, 7, "000000000001-7"},  // 48 bits count
    };
    for (const auto& each : rows) {
        CAPTURE(each.id);
        const made_ids ids(true, each.epoch);
        CHECK(ids.make(each.number).view() == each.id);
        CHECK(ids.make(each.number).view().size() <= made_ids::max_id_bytes);
        CHECK(ids.find(exact_copy(each.id), UINT64_MAX).has_value() == (each.number < UINT64_MAX));
    }
    CHECK(made_ids(true, epoch).make(UINT64_MAX).view().size() == made_ids::max_id_bytes);
}

TEST_CASE("without an epoch no two have the same prefix") {
    std::set<std::string> found;
    for (int i = 0; i < 1000; ++i) found.emplace(made_ids(true, 0).make(1).view());
    CHECK(found.size() == 1000);
    found.clear();
    for (int i = 0; i < 1000; ++i) found.emplace(made_ids(true, 0xABCD000000000000).make(1).view());
    CHECK(found.size() == 1000);
}

TEST_CASE("a made ID is found by its number, if that is below the next one") {
    const made_ids ids(true, epoch);
    for (std::uint64_t number = 0; number < 200; ++number) {
        CAPTURE(number);
        const exact_copy id(ids.make(number).view());
        CHECK(ids.find(id, number + 1) == number);
        CHECK(ids.find(id, UINT64_MAX) == number);
        CHECK_FALSE(ids.find(id, number).has_value());
    }
}

TEST_CASE("only what is made exactly so is found, but whatever begins so is reserved") {
    const made_ids ids(true, epoch);
    for (const char* number : {"", "00", "01", "+1", "-1", " 1", "1 ", "1x", "x", "1.0", "0x1",
                               "18446744073709551616", "99999999999999999999999"}) {
        CAPTURE(number);
        const exact_copy id(prefix + number);
        CHECK_FALSE(ids.find(id, UINT64_MAX).has_value());
        CHECK(ids.is_reserved(id));
    }
    CHECK_FALSE(ids.find(exact_copy(prefix + "1\0"s), UINT64_MAX).has_value());
    for (const char* id :
         {"", "1", "-1", "0000000000ab", "0000000000AB-1", "0000000000ac-1", "ab-1", " 0000000000ab-1"}) {
        CAPTURE(id);
        CHECK_FALSE(ids.find(exact_copy(id), UINT64_MAX).has_value());
        CHECK_FALSE(ids.is_reserved(exact_copy(id)));
    }
}

TEST_CASE("if none are made, none is found and none reserved") {
    const made_ids ids(false, epoch);
    CHECK_FALSE(ids.are_made());
    CHECK_FALSE(ids.is_reserved(prefix + "1"));
    CHECK_FALSE(ids.find(prefix + "1", UINT64_MAX).has_value());
    CHECK(made_ids(true, epoch).are_made());
}

TEST_CASE("an empty table finds nothing, and takes no memory") {
    own_ids table;
    const events none;
    CHECK(table.size() == 0);
    CHECK(table.memory() == 0);
    CHECK_FALSE(table.find("a", none).has_value());
    CHECK_FALSE(table.find("", none).has_value());
}

TEST_CASE("the table has more chains than events, as far as memory allows, and at least one") {
    own_ids table;
    CHECK(table.size_for(0, 0) == 1);
    CHECK(table.size_for(1000, 0) == 1);  // one doubling for each ID that is added
    table.set_size(1);
    CHECK(table.memory() == own_ids::memory_for(1));
    CHECK(table.size_for(0, 0) == 1);
    CHECK(table.size_for(1, own_ids::memory_for(2)) == 2);
    CHECK(table.size_for(1, own_ids::memory_for(2) - 1) == 1);
    table.set_size(64);
    CHECK(table.memory() == own_ids::memory_for(64));
    CHECK(table.size_for(63, SIZE_MAX) == 64);
    CHECK(table.size_for(64, SIZE_MAX) == 128);
    CHECK(table.size_for(64, own_ids::memory_for(128)) == 128);
    CHECK(table.size_for(64, own_ids::memory_for(128) - 1) == 64);
}

TEST_CASE("an ID is found at its latest event until that leaves, and its earlier events are not") {
    own_ids table;
    events log;
    for (const char* id : {"a", "b", "a", "", "c", "a", "b"}) log.add(table, id);
    CHECK(table.find("a", log) == 6);
    CHECK(table.find("b", log) == 7);
    CHECK(table.find("c", log) == 5);
    CHECK_FALSE(table.find("d", log).has_value());
    log.leave(5);
    CHECK(table.find("a", log) == 6);
    CHECK_FALSE(table.find("c", log).has_value());
    log.leave(1);
    CHECK_FALSE(table.find("a", log).has_value());
    CHECK(table.find("b", log) == 7);
    log.add(table, "a");
    CHECK(table.find("a", log) == 8);
}

TEST_CASE("a chain holds each ID once, however often it comes") {
    own_ids table;
    events log;
    for (int i = 0; i < 1000; ++i) log.add(table, i % 2 == 0 ? "one" : "other");
    table.set_size(1);  // so all are in one chain
    table.link_all(log);
    CHECK(table.find("one", log) == 999);
    CHECK(table.find("other", log) == 1000);
    events::ids_read = 0;
    CHECK_FALSE(table.find("none", log).has_value());
    CHECK(events::ids_read == 2);

    for (int i = 0; i < 1000; ++i) {
        log.add(table, "other");
        events::ids_read = 0;
        CHECK(table.find("one", log) == 999);
        CHECK(events::ids_read <= 2);
    }
}

TEST_CASE("an ID longer than any that was added is not even looked up") {
    own_ids table;
    events log;
    log.add(table, "1234");
    events::ids_read = 0;
    CHECK(table.find("1234", log) == 1);
    CHECK(events::ids_read == 1);
    CHECK_FALSE(table.find("1235", log).has_value());
    CHECK(events::ids_read == 2);  // there is one chain
    CHECK_FALSE(table.find("12345", log).has_value());
    CHECK_FALSE(table.find(std::string(1 << 20, 'x'), log).has_value());
    CHECK(events::ids_read == 2);
}

TEST_CASE("whatever is added and leaves, each ID is found where a search of the list finds it") {
    for (std::uint32_t seed = 0; seed < 30; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        own_ids table;
        events log;
        const std::size_t ids = 1 + random() % 300;
        for (int step = 0; step < 500; ++step) {
            if (random() % 4 == 0) log.add(table, "");
            else log.add(table, "own " + std::to_string(random() % ids));
            if (random() % 3 == 0) log.leave(random() % (1 + log.next() - log.first()) / 8);
            if (random() % 50 == 0) {
                table.set_size(std::size_t{1} << random() % 10);
                table.link_all(log);
            }
            for (int i = 0; i < 5; ++i) {
                const std::string id = "own " + std::to_string(random() % (ids + 5));
                CHECK(table.find(exact_copy(id), log) == log.expected(id));
            }
        }
    }
}
