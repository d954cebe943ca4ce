// What a channel is told and what it tells: its options, and the results of its functions. Layer 4.
//
//     sse::channel news({.max_events = 1000, .max_age = std::chrono::minutes(10)});
#pragma once

#include "detail/event_ids.hpp"
#include "detail/macros.hpp"
#include "error.hpp"
#include "event.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sse {

struct channel_options {
    /// How many events the log keeps at most; 0 counts as 1. A subscriber that is more events behind loses
    /// some.
    std::size_t max_events = 10'000;

    /// How much memory the log takes at most, in bytes: its events, and the tables that find them.
    ///
    /// A subscriber that reads nothing keeps one segment of the log besides: at most min(64 KiB, max_bytes /
    /// 8), or one event if that is larger. So `n` such subscribers may bring `held_bytes` to max_bytes + n *
    /// 64 KiB, or to max_bytes + n times the largest event. A subscriber that has fallen behind gives the
    /// segment back when its cursor's `next_bytes()` is called. Only if it has consumed a part of an event
    /// does it keep the rest: a copy if that is at most 4 KiB, or else the segment. So a server asks every
    /// session (`session::next`) at least once a second, even if its socket takes nothing.
    std::size_t max_bytes = std::size_t{8} << 20;

    /// How long the log keeps an event; 0 for ever, within the bounds above.
    milliseconds max_age{0};

    /// Whether the channel makes an ID for an event that has none: without an ID nobody can resume after that
    /// event. Switch this off if several channels publish the same IDs, because none knows those that another
    /// made.
    bool make_ids = true;

    /// What the IDs of this channel begin with, as 48 bits that are written in 12 hexadecimal digits. 0: bits
    /// that no other channel has, not even this one after a restart. For those who must know the IDs
    /// beforehand.
    std::uint64_t epoch = 0;

    /// Called without a lock, by the publishing thread, when there may be something to send, and by
    /// `close()`. Called again only after a cursor's `next_bytes()` came back empty. It wakes an event loop,
    /// for example by a write to an eventfd; if there are several loops, it wakes all of them. With a
    /// condition variable, count the calls under its mutex, and wait until the count differs from the one
    /// before the cursor was asked: the call may come between the two. It may use the channel, and destroy
    /// it.
    std::function<void()> wake_up{};
};

/// What a subscriber gets, by the last event ID that it came with.
enum class resumption : unsigned char {
    live,     ///< it came without one: what is published from now on, and the log first if `replay_to_new`
    resumed,  ///< all that followed that event
    gap,      ///< some of what followed has left the log: what is left of it
    unknown,  ///< no such event, or one with an ID of the caller's own that has left: see `when_unknown`
};

/// Why a cursor's `next_bytes()` is empty.
enum class cursor_state : unsigned char {
    following,  ///< there is nothing more for now
    behind,     ///< the next event has left the log: `skip()`, or end the connection
    ended,      ///< nothing will come any more
};

/// The name of the enumerator: "resumed".
constexpr std::string_view to_string(resumption value) noexcept {
    switch (value) {
        case resumption::live: return "live";
        case resumption::resumed: return "resumed";
        case resumption::gap: return "gap";
        case resumption::unknown: return "unknown";
    }
    return "invalid";
}

/// The name of the enumerator: "following".
constexpr std::string_view to_string(cursor_state value) noexcept {
    switch (value) {
        case cursor_state::following: return "following";
        case cursor_state::behind: return "behind";
        case cursor_state::ended: return "ended";
    }
    return "invalid";
}

/// Where a cursor goes on after `cursor::skip`.
enum class skip_to : unsigned char {
    oldest,  ///< with the oldest event that is left
    latest,  ///< with what is published next
};

/// What a subscriber gets whose last event ID is unknown.
enum class when_unknown : unsigned char {
    replay_all,  ///< all of the log: nothing is missing that is still there, but some events may come twice
    only_new,    ///< what is published from now on: the answer to a made-up ID costs nothing
};

struct subscribe_options {
    /// Only events of these types; if there are none, events of all types. `message` is the type of an event
    /// that names none. A cursor that is behind has missed events of whatever type.
    std::vector<std::string> types{};

    /// Whether one that comes without a last event ID gets what is in the log already.
    bool replay_to_new = false;

    sse::when_unknown when_unknown = sse::when_unknown::replay_all;
};

namespace detail {
class log;
}

/// What `publish` did.
class [[nodiscard]] publish_result {
public:
    sse::error error{};          ///< if true, nothing has been published
    std::uint64_t sequence = 0;  ///< how many events the channel has published, with this one

    /// The ID that the channel made for the last event; empty if that had its own.
    ///
    /// \post The view lives as long as this result.
    std::string_view id() const& noexcept SSE_LIFETIMEBOUND { return made_id_.view(); }
    void id() const&& = delete;

private:
    friend class detail::log;

    detail::made_id made_id_{};
};

struct channel_stats {
    std::uint64_t published = 0;    ///< events, ever
    std::uint64_t held_events = 0;  ///< in the log

    /// Memory on the heap, in bytes: the log with its tables, and the segments and copies that subscribers
    /// keep besides. Only the channel itself, some hundred bytes, and its cursors with their types are not
    /// counted.
    std::size_t held_bytes = 0;

    std::size_t subscribers = 0;    ///< cursors
    std::uint64_t fell_behind = 0;  ///< how often a cursor found that its next event had left
    std::size_t behind = 0;         ///< cursors that have found so, and have not skipped yet
};

}  // namespace sse
