// The IDs of a channel's events: how it makes its own, and the table that finds those of the caller's own.
#pragma once

#include "macros.hpp"
#include "min_max.hpp"
#include "sip_hash.hpp"
#include "split_mix.hpp"

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace sse::detail {

/// An ID as a channel makes it.
struct made_id {
    std::array<char, 40> text{};
    std::size_t size = 0;
    std::string_view view() const noexcept SSE_LIFETIMEBOUND { return {text.data(), size}; }
};

/// 48 bits that no other channel has.
///
/// A restart differs by the time at least, another machine by how long it has been up, two channels of a
/// process by the count. No address goes in: the IDs would give it away.
inline std::uint64_t unique_epoch() noexcept {
    static std::atomic<std::uint64_t> count{0};
    const auto now = std::chrono::system_clock::now().time_since_epoch().count();
    const auto up = std::chrono::steady_clock::now().time_since_epoch().count();
    auto value = static_cast<std::uint64_t>(now);
    value ^= static_cast<std::uint64_t>(up) << 20;
    return split_mix(value + split_mix_step * ++count) >> 16;
}

/// The IDs that a channel makes: its epoch in 12 hexadecimal digits, '-', and the number of the event.
///
/// Nothing is stored for such an ID, because it says which event has it: "0000000000ab-7" is the seventh.
class made_ids {
    static constexpr std::size_t epoch_digits = 12;

    std::array<char, epoch_digits + 1> prefix_{};
    bool are_made_;  // if not, no ID is reserved and none is found

public:
    static constexpr std::size_t max_id_bytes = epoch_digits + 1 + 20;

    /// \param epoch 48 bits; 0 for those of `unique_epoch`
    made_ids(bool are_made, std::uint64_t epoch) noexcept : are_made_(are_made) {
        std::uint64_t digits = epoch << 16;
        if (digits == 0) digits = unique_epoch() << 16;
        for (std::size_t i = 0; i < epoch_digits; ++i, digits <<= 4) {
            prefix_[i] = "0123456789abcdef"[digits >> 60];
        }
        prefix_.back() = '-';
    }

    bool are_made() const noexcept { return are_made_; }

    /// Whether only the channel may give this ID to an event.
    bool is_reserved(std::string_view id) const noexcept { return are_made_ && id.starts_with(prefix()); }

    /// The ID of the event with that number.
    made_id make(std::uint64_t number) const noexcept {
        made_id made;
        char* const begin = made.text.data();
        std::char_traits<char>::copy(begin, prefix_.data(), prefix_.size());
        const char* const end = std::to_chars(begin + prefix_.size(), begin + made.text.size(), number).ptr;
        made.size = static_cast<std::size_t>(end - begin);
        return made;
    }

    /// The number of the event whose ID is made so, also of one that has left the log; nothing if the ID is
    /// not exactly what `make` gives for a number below `next`.
    std::optional<std::uint64_t> find(std::string_view id, std::uint64_t next) const noexcept {
        if (!is_reserved(id)) return std::nullopt;
        const std::string_view digits = id.substr(prefix_.size());
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        const bool is_number = error == std::errc() && end == digits.data() + digits.size();
        const bool is_padded = digits != "0" && digits.starts_with('0');
        return is_number && !is_padded && number < next ? std::optional(number) : std::nullopt;
    }

private:
    std::string_view prefix() const noexcept { return {prefix_.data(), prefix_.size()}; }
};

/// Finds kept events by IDs of the caller's own: a hash table of chains that run through the events.
///
///     slot:  latest event with that hash  ->  the one before  ->  ...  ->  one that has left
///
/// The table holds the number of each chain's first event, and an event's entry in the log holds the number
/// of the next. The number of an event that has left ends a chain, because all that follow are older and
/// have left too: so an event that leaves need not be unlinked.
///
/// A chain holds each ID once, at its latest event: or else a few IDs that come again and again would make it
/// long. Nobody can choose IDs that share a chain, because the key of the hash is secret.
///
/// `Events` is the log, as this table sees it:
///
///     events.first()                // the number of the oldest event that is kept
///     events.next()                 // the number that the next event will have
///     events.at(number).id()        // the ID of a kept event
///     events.at(number).previous()  // a reference to what its entry holds for this table
///
/// \pre for `find` and `add`: `process_hash_key` has a value if an ID has ever been added
class own_ids {
    std::vector<std::uint64_t> chains_{};  // the size is a power of two, or 0 before the first ID
    std::size_t max_id_bytes_ = 0;         // of the IDs that were ever added

public:
    /// What an event's entry holds if the event is in no chain.
    static constexpr std::uint64_t unchained = UINT64_MAX;

    static constexpr std::size_t memory_for(std::size_t chains) noexcept {
        return chains * sizeof(std::uint64_t);
    }

    std::size_t size() const noexcept { return chains_.size(); }
    std::size_t memory() const noexcept { return memory_for(chains_.capacity()); }

    /// How many chains there should be before an ID is added: more than events, as far as memory allows, and
    /// at least one.
    std::size_t size_for(std::uint64_t events, std::size_t max_memory) const noexcept {
        const std::size_t grown = chains_.empty() ? 1 : 2 * chains_.size();
        const bool is_too_much = grown > 1 && memory_for(grown) > max_memory;
        return events < chains_.size() || is_too_much ? chains_.size() : grown;
    }

    /// Makes that many chains, all empty: `link_all` has to follow if there are events.
    ///
    /// \throws std::bad_alloc, and nothing has changed
    void set_size(std::size_t chains) { std::vector<std::uint64_t>(chains).swap(chains_); }

    /// Puts all events into the chains that were in one before `set_size`.
    template <class Events>
    void link_all(const Events& events) noexcept {
        for (std::uint64_t number = events.first(); number < events.next(); ++number) {
            const auto each = events.at(number);
            if (each.previous() == unchained) continue;
            each.previous() = std::exchange(chain_of(each.id()), number);
        }
    }

    /// The number of the latest kept event that has this ID.
    template <class Events>
    std::optional<std::uint64_t> find(std::string_view id, const Events& events) noexcept {
        // So a client cannot make us hash more than the publisher has given.
        if (chains_.empty() || id.size() > max_id_bytes_) return std::nullopt;
        const std::uint64_t* const link = find_link(chain_of(id), id, events);
        return link != nullptr ? std::optional(*link) : std::nullopt;
    }

    /// Puts the next event at the front of its chain, and takes out the one that has had its ID.
    ///
    /// \pre there are chains
    /// \return what the event's entry has to hold
    template <class Events>
    std::uint64_t add(std::string_view id, const Events& events) noexcept {
        std::uint64_t& chain = chain_of(id);
        if (std::uint64_t* const link = find_link(chain, id, events)) {
            *link = std::exchange(events.at(*link).previous(), unchained);
        }
        max_id_bytes_ = larger(max_id_bytes_, id.size());
        return std::exchange(chain, events.next());
    }

private:
    /// \pre there are chains
    std::uint64_t& chain_of(std::string_view id) noexcept {
        return chains_[sip_hash(id, *process_hash_key()) & (chains_.size() - 1)];
    }

    /// The slot or entry that leads to the event with this ID; null if there is no such event.
    template <class Events>
    static std::uint64_t* find_link(std::uint64_t& chain, std::string_view id,
                                    const Events& events) noexcept {
        std::uint64_t* link = &chain;
        while (*link >= events.first()) {
            const auto each = events.at(*link);
            if (each.id() == id) return link;
            link = &each.previous();
        }
        return nullptr;
    }
};

}  // namespace sse::detail
