// The server's log of encoded events, and the cursors that read it: one log, many subscribers. Layer 4.
//
//     sse::channel news;
//     auto cursor = news.subscribe(last_event_id);
//     if (auto published = news.publish({.event = "tick", .data = json}); published.error) …
//     send(fd, cursor.next_bytes());  // as many events as there are
#pragma once

#include "detail/macros.hpp"
#include "detail/min_max.hpp"
#include "detail/segment.hpp"
#include "detail/sip_hash.hpp"
#include "detail/split_mix.hpp"
#include "encoder.hpp"
#include "error.hpp"
#include "event.hpp"

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace sse {

struct channel_options {
    /// How many events the log keeps at most; 0 counts as 1. A subscriber that is more events behind loses
    /// some.
    std::size_t max_events = 10'000;

    /// How much memory the log takes at most, in bytes: its events, and the tables by which it finds them.
    ///
    /// A subscriber that reads nothing keeps one segment of the log besides: at most min(64 KiB, max_bytes /
    /// 8), or one event that is larger. So `n` such subscribers may bring `held_bytes` to max_bytes + n * 64
    /// KiB, or to max_bytes + n times the largest event. When its cursor's `next_bytes()` is called, a
    /// subscriber that has fallen behind gives the segment back. Only if it has consumed a part of an event
    /// does it keep the rest: a copy if that is at most 4 KiB, or else the segment. So a server asks every
    /// session (`session::next`) at least once a second, also one whose socket takes nothing.
    std::size_t max_bytes = std::size_t{8} << 20;

    /// How long the log keeps an event; 0 for ever, within the bounds above.
    milliseconds max_age{0};

    /// Whether the channel makes an ID for an event that has none: nobody can resume after an event without.
    /// Switch this off if several channels publish the same IDs, because none knows those that another made.
    bool make_ids = true;

    /// What the IDs of this channel begin with, as 48 bits that are written in 12 hexadecimal digits; 0 for
    /// something that no other channel has, also after a restart. For those who must know the IDs beforehand.
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

/// What a cursor's `next_bytes()` means when it is empty.
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
    replay_all,  ///< all of the log: nothing is missing that could be had, and some may come twice
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

/// What a client dispatches. Not a message: of a braced list the compiler would not know which it is.
template <class Event>
concept received_event = std::derived_from<Event, event_view> || std::derived_from<Event, event>;

}  // namespace detail

namespace detail {

/// An ID as a channel makes it.
struct made_id {
    std::array<char, 40> text{};
    std::size_t size = 0;
    std::string_view view() const noexcept SSE_LIFETIMEBOUND { return {text.data(), size}; }
};

}  // namespace detail

/// What has become of a `publish`.
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

namespace detail {

/// What a channel and its cursors share and own: the last of them destroys it.
class log {
public:
    using time_point = std::chrono::steady_clock::time_point;

    static constexpr std::size_t max_segment_bytes = std::size_t{64} << 10;  // 250 events of 200 bytes a send
    static constexpr std::size_t min_segment_bytes = 1024;
    static constexpr std::size_t max_event_bytes = std::size_t{1} << 30;

    explicit log(channel_options options) : options_(std::move(options)) {
        if (options_.max_events == 0) options_.max_events = 1;
        std::uint64_t digits = options_.epoch << 16;
        if (digits == 0) digits = unlike_any_other();
        for (std::size_t i = 0; i < epoch_size; ++i, digits <<= 4) {
            prefix_[i] = "0123456789abcdef"[digits >> 60];
        }
        prefix_[epoch_size] = '-';
    }
    log(const log&) = delete;
    log& operator=(const log&) = delete;

    void add_owner() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
    void drop_owner() noexcept {
        if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    // The channel's

    publish_result publish(std::span<const message> messages, std::optional<time_point> now) {
        publish_result result;
        for (const message& each : messages) {
            result.error = check(each);
            if (!result.error && is_reserved(each)) result.error = errc::id_reserved;
            if (!result.error && is_too_large(each)) result.error = errc::event_too_large;
            if (!result.error && has_own_id(each)) result.error = process_hash_key().error();
            if (result.error) return result;
        }
        {
            const std::lock_guard lock(mutex_);
            if (is_closed()) {
                result.error = errc::channel_closed;
                return result;
            }
            keep_time(now);
            for (const message& each : messages) append(each, result);
            result.sequence = next_ - 1;
        }
        if (!messages.empty()) wake_waiting();
        return result;
    }

    void trim(std::optional<time_point> now) {
        const std::lock_guard lock(mutex_);
        keep_time(now);
    }

    /// \return whether it was open
    bool close() noexcept {
        const std::lock_guard lock(mutex_);
        const bool was_closed = is_closed();
        closed_.store(true, std::memory_order_release);
        return !was_closed;
    }

    void wake_up() {
        const share alive(*this);
        if (options_.wake_up) options_.wake_up();
    }

    void wake_waiting() {
        if (waiting_.load(std::memory_order_seq_cst) == 0) return;
        if (waiting_.exchange(0, std::memory_order_seq_cst) == 0) return;
        const share alive(*this);
        struct guard {  // a hook that throws has woken nobody
            std::atomic<std::uint32_t>& waiting;
            bool returned = false;
            ~guard() {
                if (!returned) waiting.store(1, std::memory_order_seq_cst);
            }
        } guard{waiting_};
        wake_up();
        guard.returned = true;
    }

    channel_stats stats() const {
        const std::lock_guard lock(mutex_);
        return {.published = next_ - 1,
                .held_events = next_ - first(),
                .held_bytes = held_bytes_.load(std::memory_order_relaxed),
                .subscribers = subscribers_.load(std::memory_order_relaxed),
                .fell_behind = fell_behind_.load(std::memory_order_relaxed),
                .behind = behind_.load(std::memory_order_relaxed)};
    }

    // The cursors'

    /// The number of the oldest event that is kept; of the next one where there is none.
    std::uint64_t first() const noexcept { return first_.load(std::memory_order_acquire); }
    bool is_closed() const noexcept { return closed_.load(std::memory_order_acquire); }

    /// A position in the log. It owns a share of the segment.
    struct position {
        std::uint64_t number = 0;
        segment* at = nullptr;  // null while the log has no segment
        sse::resumption resumption = sse::resumption::live;
        std::uint64_t missed = 0;
    };

    position subscribe(std::string_view id, const subscribe_options& options, std::optional<time_point> now) {
        const std::lock_guard lock(mutex_);
        keep_time(now);
        position result{.number = options.replay_to_new ? first() : next_};
        if (!id.empty()) {
            const std::optional<std::uint64_t> last = find(id);
            const bool replays = options.when_unknown == when_unknown::replay_all;
            result.resumption = last ? resumption::resumed : resumption::unknown;
            result.number = last ? *last + 1 : replays ? first() : next_;
            if (result.number < first()) {
                result.resumption = resumption::gap;
                result.missed = first() - result.number;
                result.number = first();
            }
        }
        result.at = keep_segment(result.number);
        subscribers_.fetch_add(1, std::memory_order_relaxed);
        return result;
    }

    /// The position from which on nothing has left yet, or that of what is published next.
    position after_gap(std::uint64_t number, skip_to where) {
        const std::lock_guard lock(mutex_);
        position result{.number = where == skip_to::latest ? next_ : larger(number, first())};
        result.missed = result.number - number;
        result.at = keep_segment(result.number);
        return result;
    }

    /// The segment that the event is in, or will be in; null if the event has left.
    segment* enter(std::uint64_t number) {
        const std::lock_guard lock(mutex_);
        return number < first() ? nullptr : keep_segment(number);
    }

    void leave(segment* at) noexcept {
        if (at == nullptr) return;
        const std::size_t memory = at->memory();
        if (!at->drop_owner()) return;
        segment::destroy(at);
        held_bytes_.fetch_sub(memory, std::memory_order_relaxed);
    }

    /// A segment of one cursor's own, for the end of an event that has left the log.
    segment* copy(std::uint64_t number, std::string_view bytes) {
        segment* const made = segment::make(segment::memory_for(bytes.size()));
        held_bytes_.fetch_add(made->memory(), std::memory_order_relaxed);
        made->begin_at(number);
        bytes.copy(made->room(bytes.size()).data(), bytes.size());
        made->add(bytes.size(), {}, unchained);
        made->finish();
        return made;
    }

    std::uint64_t next() const {
        const std::lock_guard lock(mutex_);
        return next_;
    }

    /// The ID of an event, or one that stands for it. \pre the number is below the next one
    std::string id(std::uint64_t number) const {
        const std::lock_guard lock(mutex_);
        if (number >= first()) {
            const std::string_view id = id_of(event(number));
            if (!id.empty()) return std::string(id);
        }
        if (!options_.make_ids) return {};
        return std::string(make_id(number).view());
    }

    /// Called by a cursor that found nothing; it must look again afterwards. All these accesses are seq_cst:
    /// either that second look sees a concurrent event, or its publisher sees `waiting_` and wakes.
    void arm() noexcept {
        if (waiting_.load(std::memory_order_seq_cst) == 0) waiting_.store(1, std::memory_order_seq_cst);
    }

    void count_behind() noexcept {
        fell_behind_.fetch_add(1, std::memory_order_relaxed);
        behind_.fetch_add(1, std::memory_order_relaxed);
    }
    void count_caught_up() noexcept { behind_.fetch_sub(1, std::memory_order_relaxed); }
    void count_gone() noexcept { subscribers_.fetch_sub(1, std::memory_order_relaxed); }

private:
    /// Keeps the log, and with it the hook, while the hook runs: that may destroy the channel.
    struct share {
        explicit share(log& log) noexcept : kept(log) { kept.add_owner(); }
        share(const share&) = delete;
        share& operator=(const share&) = delete;
        ~share() { kept.drop_owner(); }

        log& kept;
    };

    static constexpr std::size_t epoch_size = 12;
    static constexpr std::size_t max_made_id_bytes = epoch_size + 1 + 20;
    static constexpr std::uint64_t unchained = UINT64_MAX;

    ~log() {
        for (; oldest_ < segments_.size(); ++oldest_) segment::destroy(segments_[oldest_]);
        if (spare_ != nullptr) segment::destroy(spare_);
    }

    /// Both clocks and a count: a restart differs by the first at least, another machine by how long it has
    /// been up, two channels of a process by the last. No address, because IDs would give it away.
    static std::uint64_t unlike_any_other() noexcept {
        static std::atomic<std::uint64_t> count{0};
        const auto now = std::chrono::system_clock::now().time_since_epoch().count();
        const auto up = std::chrono::steady_clock::now().time_since_epoch().count();
        auto value = static_cast<std::uint64_t>(now);
        value ^= static_cast<std::uint64_t>(up) << 20;
        return split_mix(value + split_mix_step * ++count);
    }

    static bool has_own_id(const message& message) noexcept { return message.id && !message.id->empty(); }

    /// Whether its ID is for the channel to make: a number stands behind the prefix, and says what follows.
    bool is_reserved(const message& message) const noexcept {
        return options_.make_ids && message.id && message.id->starts_with(prefix());
    }

    /// Whether it does not fit by itself, with the smallest tables. It gets an ID, of the longest there is,
    /// or has one of its own, which takes a chain.
    bool is_too_large(const message& message) const noexcept {
        const bool is_given_id = !message.id && options_.make_ids;
        const std::size_t id_size = is_given_id ? std::string_view("id: \n").size() + max_made_id_bytes : 0;
        const std::size_t size = encoded_size(message);
        if (size > max_event_bytes) return true;
        const std::size_t tables = list_size(0) * sizeof(segment*) + sizeof(chains_[0]);
        return segment::memory_for(size + id_size) + tables > options_.max_bytes;
    }

    // Under the lock, from here on.

    segment* keep_segment(std::uint64_t number) const noexcept {
        segment* const found = segment_of(number);
        if (found != nullptr) found->add_owner();
        return found;
    }

    /// \pre it is kept, or the next one
    segment* segment_of(std::uint64_t number) const noexcept {
        std::size_t low = oldest_;
        std::size_t high = segments_.size();
        while (high - low > 1) {
            const std::size_t middle = low + (high - low) / 2;
            (segments_[middle]->first() <= number ? low : high) = middle;
        }
        return segments_.empty() ? nullptr : segments_[low];
    }

    const segment::entry& entry(std::uint64_t number) const noexcept {
        const segment& found = *segment_of(number);
        return found.entry_at(static_cast<std::uint32_t>(number - found.first()));
    }
    std::string_view event(std::uint64_t number) const noexcept {
        const segment& found = *segment_of(number);
        return found.event(static_cast<std::uint32_t>(number - found.first()));
    }

    // IDs

    std::string_view prefix() const noexcept { return {prefix_.data(), prefix_.size()}; }

    made_id make_id(std::uint64_t number) const noexcept {
        made_id made;
        char* const begin = made.text.data();
        std::char_traits<char>::copy(begin, prefix_.data(), prefix_.size());
        const char* const last = std::to_chars(begin + prefix_.size(), begin + made.text.size(), number).ptr;
        made.size = static_cast<std::size_t>(last - begin);
        return made;
    }

    /// The number of the event that has this ID, or, if the channel made the ID, of one that had it.
    std::optional<std::uint64_t> find(std::string_view id) noexcept {
        // A client cannot make us hash more than the publisher has given.
        if (!chains_.empty() && id.size() <= max_own_id_bytes_) {
            if (const std::uint64_t* const link = find_link(chain_of(id), id)) return *link;
        }
        if (!options_.make_ids || !id.starts_with(prefix())) return std::nullopt;
        const std::string_view digits = id.substr(prefix_.size());
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        const bool is_number = error == std::errc() && end == digits.data() + digits.size();
        const bool is_padded = digits != "0" && digits.starts_with('0');
        return is_number && !is_padded && number < next_ ? std::optional(number) : std::nullopt;
    }

    /// IDs of the caller's own, by their hash. The chain leads from the latest event to those before, of
    /// which no two have the same ID: else a few IDs that come again and again would make it long.
    ///
    /// \pre there are chains
    std::uint64_t& chain_of(std::string_view id) noexcept {
        return chains_[sip_hash(id, *process_hash_key()) & (chains_.size() - 1)];
    }

    std::uint64_t& previous_of(std::uint64_t number) noexcept {
        segment& found = *segment_of(number);
        return found.previous_of(static_cast<std::uint32_t>(number - found.first()));
    }

    /// What in a chain leads to the event with this ID; null if there is no such event.
    std::uint64_t* find_link(std::uint64_t& chain, std::string_view id) noexcept {
        // The number of an event that has left ends the chain, because all those behind it are older.
        for (std::uint64_t* link = &chain; *link >= first(); link = &previous_of(*link)) {
            if (id_of(event(*link)) == id) return link;
        }
        return nullptr;
    }

    /// Puts the next event at the front of its chain, instead of the one that has had its ID.
    ///
    /// \return the number of the event that comes second
    std::uint64_t chain_next(std::string_view id) noexcept {
        std::uint64_t& chain = chain_of(id);
        if (std::uint64_t* const link = find_link(chain, id)) {
            *link = std::exchange(previous_of(*link), unchained);
        }
        max_own_id_bytes_ = larger(max_own_id_bytes_, id.size());
        return std::exchange(chain, next_);
    }

    /// Sees to it that there are more chains than events, as far as memory allows.
    void make_chains() {
        const std::size_t count = chains_.empty() ? 1 : 2 * chains_.size();
        const std::size_t memory = count * sizeof(chains_[0]);
        if (next_ - first() < chains_.size() || (count > 1 && memory > options_.max_bytes / 16)) return;
        while (own_bytes_ + memory > options_.max_bytes) drop_something();
        set_chains(count);
        for (std::uint64_t number = first(); number < next_; ++number) {
            segment& found = *segment_of(number);
            const auto index = static_cast<std::uint32_t>(number - found.first());
            if (found.previous_of(index) == unchained) continue;
            found.previous_of(index) = std::exchange(chain_of(id_of(found.event(index))), number);
        }
    }

    void set_chains(std::size_t count) {
        const std::size_t before = memory_of(chains_);
        std::vector<std::uint64_t>(count).swap(chains_);
        count_bytes(before, memory_of(chains_));
    }

    // Adding

    void append(const message& given, publish_result& result) {
        message sent = given;
        result.made_id_ = {};
        if (!given.id && options_.make_ids) {
            result.made_id_ = make_id(next_);
            sent.id = result.id();
        }
        if (has_own_id(given)) make_chains();

        const std::size_t size = encoded_size(sent);
        segment& last = with_room(size);
        span_writer<std::span<char>> output{last.room(size)};
        put_message(output, sent);
        last.add(size, latest_, has_own_id(given) ? chain_next(*given.id) : unchained);
        ++next_;
        if (next_ - first() > options_.max_events) drop_before(next_ - options_.max_events);
    }

    /// The last segment, or a new one in its place.
    segment& with_room(std::size_t event_bytes) {
        if (!segments_.empty() && segments_.back()->has_room(event_bytes)) return *segments_.back();

        std::size_t memory = segments_.empty() ? min_segment_bytes : 2 * segments_.back()->memory();
        memory = larger(smaller(memory, usual_segment()), segment::memory_for(event_bytes));
        // Each of the two may have to drop what the other needs, also its room in the list.
        for (;;) {
            const bool is_list_full = segments_.size() == segments_.capacity();
            if (!is_list_full && spare_ != nullptr && spare_->memory() >= memory) break;
            const std::size_t size = list_size(segments_.size() - oldest_);
            const std::size_t needed = is_list_full ? size * sizeof(segment*) : memory;
            if (own_bytes_ + needed > options_.max_bytes) {
                drop_something();
            } else if (is_list_full) {
                set_list(size);
            } else {
                drop_spare();
                spare_ = segment::make(memory);
                count_bytes(0, memory);
            }
        }
        // Nothing can fail any more: until now a smaller event might still have had room in the last one.
        if (!segments_.empty()) segments_.back()->finish();
        spare_->begin_at(next_);
        segments_.push_back(std::exchange(spare_, nullptr));
        return *segments_.back();
    }

    /// For how many segments the list has room when it is made: twice as many as it holds. Until so many have
    /// left again, they are only marked as having left.
    static std::size_t list_size(std::size_t segments) noexcept { return 2 * segments + 2; }

    /// \pre size is as `list_size` says, or 0 and there are no segments
    void set_list(std::size_t size) {
        std::vector<segment*> list;
        list.reserve(size);
        list.assign(segments_.begin() + static_cast<std::ptrdiff_t>(oldest_), segments_.end());
        const std::size_t before = memory_of(segments_);
        segments_.swap(list);
        oldest_ = 0;
        count_bytes(before, memory_of(segments_));
    }

    template <class Table>
    static std::size_t memory_of(const Table& table) noexcept {
        // NOLINTNEXTLINE(bugprone-sizeof-expression): one table holds pointers
        return table.capacity() * sizeof(typename Table::value_type);
    }

    std::size_t usual_segment() const noexcept {
        return smaller(max_segment_bytes, options_.max_bytes / 8 / alignof(segment) * alignof(segment));
    }

    // Dropping

    /// Sets the time, and drops what has become too old.
    void keep_time(std::optional<time_point> now) {
        if (options_.max_age.count() <= 0) return;
        latest_ = larger(latest_, now ? *now : std::chrono::steady_clock::now());
        std::uint64_t number = first();
        while (number < next_ && milliseconds(latest_ - entry(number).time) > options_.max_age) ++number;
        drop_before(number);
    }

    void drop_before(std::uint64_t number) noexcept {
        first_.store(number, std::memory_order_release);
        while (segments_.size() - oldest_ > 1 && segments_[oldest_]->next() <= number) drop_oldest_segment();
    }

    /// Makes room. The oldest segment may become the spare one, and be of use at once.
    ///
    /// \pre there is something: `is_too_large` has counted what is there in the end
    void drop_something() {
        if (spare_ != nullptr) {
            drop_spare();
        } else if (!segments_.empty()) {
            drop_oldest_segment();
        } else {  // tables of no event
            set_list(0);
            if (chains_.size() > 1) set_chains(1);
        }
    }

    void count_bytes(std::size_t before, std::size_t after) noexcept {
        own_bytes_ += after - before;
        held_bytes_.fetch_add(after - before, std::memory_order_relaxed);
    }

    void drop_oldest_segment() noexcept {
        segment* const oldest = segments_[oldest_++];
        // It may be the last one: cursors must not wait in it.
        oldest->finish();
        if (oldest_ >= segments_.size() - oldest_) {  // so each is moved up but once or so
            segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(oldest_));
            oldest_ = 0;
        }
        const std::uint64_t left = segments_.empty() ? next_ : segments_[oldest_]->first();
        first_.store(larger(first(), left), std::memory_order_release);
        if (spare_ == nullptr && oldest->memory() <= usual_segment() && oldest->has_one_owner()) {
            spare_ = oldest;
        } else {
            own_bytes_ -= oldest->memory();
            leave(oldest);
        }
    }

    void drop_spare() noexcept {
        if (spare_ == nullptr) return;
        own_bytes_ -= spare_->memory();
        leave(std::exchange(spare_, nullptr));
    }

    channel_options options_;  // not changed once the channel is there
    std::array<char, epoch_size + 1> prefix_{};

    mutable std::mutex mutex_{};
    std::vector<segment*> segments_{};     // by the numbers of their events
    std::size_t oldest_ = 0;               // of them: those before it have left
    segment* spare_ = nullptr;             // for the next one, so that nothing is allocated
    std::vector<std::uint64_t> chains_{};  // a power of two; empty until an ID of the caller's own comes
    std::size_t max_own_id_bytes_ = 0;     // in bytes, of those that were ever published
    std::uint64_t next_ = 1;               // the number of the next event
    time_point latest_{};
    std::size_t own_bytes_ = 0;  // of the segments and tables above: at most `max_bytes`

    std::atomic<std::uint32_t> owners_{1};
    std::atomic<std::uint64_t> first_{1};
    std::atomic<std::size_t> held_bytes_{0};  // of those, and of segments that only cursors own
    std::atomic<std::size_t> subscribers_{0};
    std::atomic<std::uint64_t> fell_behind_{0};
    std::atomic<std::size_t> behind_{0};
    // 1: a cursor has found nothing since the last wake-up. Not a bool: exchanging one needs libatomic on
    // RISC-V.
    std::atomic<std::uint32_t> waiting_{0};
    std::atomic<bool> closed_{false};
};

}  // namespace detail

/// A subscriber's position in a channel's log. It gives the bytes to send next.
///
///     const std::string_view bytes = cursor.next_bytes();
///     const ssize_t size = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
///     if (size > 0) cursor.consume(static_cast<std::size_t>(size));
///
/// The bytes are those of the log, shared by all. A cursor may outlive the channel.
///
/// \pre one thread at a time. Different cursors, and the channel, may be used by different threads.
class cursor {
public:
    /// A cursor that has ended, as is one that was moved from.
    cursor() noexcept = default;

    cursor(cursor&& other) noexcept { swap(other); }
    cursor& operator=(cursor&& other) noexcept {
        cursor taken(std::move(other));
        swap(taken);
        return *this;
    }
    ~cursor() {
        if (log_ == nullptr) return;
        if (state_ == cursor_state::behind) log_->count_caught_up();
        log_->count_gone();
        log_->leave(segment_);
        log_->drop_owner();
    }

    /// What it got when it subscribed.
    sse::resumption resumption() const noexcept { return resumption_; }

    /// How many events, of whatever type, it has missed: at `resumption::gap`, or by the last `skip`.
    std::uint64_t missed() const noexcept { return missed_; }

    /// The bytes that are next, of as many events as lie in a row: up to 64 KiB, or one event. If there are
    /// none, `state()` says why. If what follows has left the log, an event that has been consumed in part is
    /// still given to its end, and none is begun.
    ///
    /// \post The view lives until the next call of a function of this cursor that is not const.
    /// \complexity constant, and a short lock once a segment; with types, also linear in the events that it
    ///             looks at the first time, and in the types for each
    /// \throws std::bad_alloc, only if the end of an event that has left the log has to be copied: it can be
    ///         called again
    std::string_view next_bytes() & SSE_LIFETIMEBOUND {
        bool has_armed = false;
        while (log_ != nullptr && state_ != cursor_state::ended) {
            if (number_ >= stop_) return end();
            if (number_ < log_->first()) return in_event() ? rest_of_event() : fall_behind();
            catch_up();  // mark_if_behind() may have been asked before what had been given was consumed
            const bool is_closed = log_->is_closed();  // asked before: what comes before that must be seen
            if (const std::string_view bytes = find_bytes(); !bytes.empty()) return bytes;
            // Meanwhile the event may have left, or those that are not wanted led to the end.
            if (number_ < log_->first() || number_ >= stop_) continue;
            if (is_closed) return end();
            if (has_armed) break;
            log_->arm();
            has_armed = true;
        }
        return {};
    }
    void next_bytes() && = delete;

    /// So many bytes from the front of the last `next_bytes()` have been sent; it may be in the midst of an
    /// event. If that is more than is left of those, it counts as what is left.
    void consume(std::size_t bytes) noexcept {
        if (run_end_ == 0) return;  // none have been given
        const std::uint32_t end = segment_->end_of(run_end_ - 1);
        bytes = detail::smaller(bytes, std::size_t{end - offset_});
        if (bytes == 0) return;
        has_passed_over_ = false;
        offset_ += static_cast<std::uint32_t>(bytes);
        while (index() < run_end_ && segment_->end_of(index()) <= offset_) ++number_;
    }

    /// Whether a part of an event has been consumed. Whatever else is sent has to wait for its end.
    bool in_event() const noexcept { return segment_ != nullptr && offset_ != segment_->begin_of(index()); }

    /// Whether events of other types have gone by since the last that was consumed: the client does not know
    /// of these.
    bool has_passed_over() const noexcept { return has_passed_over_; }

    /// Whether it has fallen behind, or will have at the end of the event that it is in. `state()` then says
    /// so.
    bool mark_if_behind() noexcept {
        const std::uint64_t next = number_ + (in_event() ? 1 : 0);
        if (log_ == nullptr || next >= stop_ || next >= log_->first()) return false;
        note_behind();
        return true;
    }

    cursor_state state() const noexcept { return log_ == nullptr ? cursor_state::ended : state_; }

    /// Goes on with the oldest event that is left, or with what is published from now on. In the midst of an
    /// event it does nothing: the client needs the rest first.
    ///
    /// \return how many events, of whatever type, have been passed over
    std::uint64_t skip(skip_to where = skip_to::oldest) {
        if (log_ == nullptr || state_ == cursor_state::ended || in_event()) return 0;
        move_to(log_->after_gap(number_, where));
        catch_up();
        return missed_;
    }

    /// Ends the cursor after what has been published by now.
    void end_here() {
        if (log_ != nullptr) stop_ = detail::smaller(stop_, log_->next());
    }

    /// The ID with which a client that has got all up to here would come back: that of the event before, or
    /// one that stands for it. Empty if the channel makes none and that event has none or has left.
    ///
    /// Sent as an `id` of its own, it lets a client resume that has not got an event yet.
    /// \throws std::bad_alloc
    std::string last_event_id() const { return log_ == nullptr ? std::string() : log_->id(number_ - 1); }

private:
    friend class channel;

    cursor(detail::log& log, const detail::log::position& start, std::vector<std::string> types) noexcept
        : types_(std::move(types)), log_(&log), resumption_(start.resumption) {
        log.add_owner();
        move_to(start);
    }

    void swap(cursor& other) noexcept {
        std::swap(types_, other.types_);
        std::swap(log_, other.log_);
        std::swap(segment_, other.segment_);
        std::swap(number_, other.number_);
        std::swap(stop_, other.stop_);
        std::swap(missed_, other.missed_);
        std::swap(offset_, other.offset_);
        std::swap(run_end_, other.run_end_);
        std::swap(resumption_, other.resumption_);
        std::swap(state_, other.state_);
        std::swap(is_run_over_, other.is_run_over_);
        std::swap(has_passed_over_, other.has_passed_over_);
    }

    std::uint32_t index() const noexcept { return static_cast<std::uint32_t>(number_ - segment_->first()); }

    bool is_wanted(std::uint32_t index) const noexcept {
        if (types_.empty()) return true;
        const std::string_view type = detail::type_of(segment_->event(index));
        for (const std::string& wanted : types_) {
            if (type == wanted) return true;
        }
        return false;
    }

    /// Of an event that has left the log. A small rest does not keep the segment: it may be long before the
    /// client reads on. The copy begins one byte before, so that it too is in the midst of an event.
    std::string_view rest_of_event() {
        const std::uint32_t end = segment_->end_of(index());
        if (end - offset_ <= max_copied_bytes && segment_->memory() > max_copy_memory) {
            move_into(log_->copy(number_, segment_->bytes(offset_ - 1, end)));
            offset_ = 1;
        }
        run_end_ = index() + 1;
        is_run_over_ = true;
        return segment_->bytes(offset_, segment_->end_of(index()));
    }

    std::string_view end() noexcept {
        catch_up();
        state_ = cursor_state::ended;
        move_into(nullptr);
        return {};
    }

    std::string_view fall_behind() noexcept {
        note_behind();
        move_into(nullptr);  // one who does not read the log must not keep it
        return {};
    }

    void note_behind() noexcept {
        if (std::exchange(state_, cursor_state::behind) != cursor_state::behind) log_->count_behind();
    }

    void catch_up() noexcept {
        if (state_ != cursor_state::behind) return;
        state_ = cursor_state::following;
        log_->count_caught_up();
    }

    void move_to(const detail::log::position& start) noexcept {
        number_ = start.number;
        missed_ = start.missed;
        move_into(start.at);
    }

    /// Takes over a share of the segment.
    void move_into(detail::segment* segment) noexcept {
        log_->leave(std::exchange(segment_, segment));
        offset_ = segment_ == nullptr ? 0 : segment_->begin_of(index());
        run_end_ = 0;
    }

    /// Goes on to the next event that is wanted, if there is one.
    std::string_view find_bytes() {
        for (;;) {
            if (segment_ != nullptr) {
                const auto [events, is_complete] = segment_->read_extent();
                const auto last = static_cast<std::uint32_t>(
                    detail::smaller(std::uint64_t{events}, stop_ - segment_->first()));
                if (index() >= run_end_) begin_run(last);
                if (index() < last) return continue_run(last);
                if (!is_complete || number_ == stop_) return {};
            }
            detail::segment* const next = log_->enter(number_);
            if (next == nullptr) return {};
            move_into(next);  // never the same one again: after a complete one there is another
        }
    }

    /// Passes over events that are not wanted.
    void begin_run(std::uint32_t last) noexcept {
        run_end_ = 0;
        is_run_over_ = false;
        std::uint32_t next = index();
        while (next < last && !is_wanted(next)) ++next;
        if (next == index()) return;
        has_passed_over_ = true;
        number_ = segment_->first() + next;
        offset_ = segment_->begin_of(next);
    }

    /// Looks only at events that it has not looked at yet: bytes may be consumed one by one.
    ///
    /// \pre the next event is wanted
    std::string_view continue_run(std::uint32_t last) noexcept {
        run_end_ = detail::larger(run_end_, index() + 1);
        while (!is_run_over_ && run_end_ < last) {
            if (is_wanted(run_end_)) ++run_end_;
            else is_run_over_ = true;
        }
        return segment_->bytes(offset_, segment_->end_of(run_end_ - 1));
    }

    static constexpr std::size_t max_copied_bytes = 4096;
    static constexpr std::size_t max_copy_memory = detail::segment::memory_for(1 + max_copied_bytes);

    std::vector<std::string> types_{};
    detail::log* log_ = nullptr;          // null: it has ended, and all below is as here
    detail::segment* segment_ = nullptr;  // null: the log had none yet, or this has been given up
    std::uint64_t number_ = 0;            // of the event that is next
    std::uint64_t stop_ = UINT64_MAX;     // the number of the first that does not come any more
    std::uint64_t missed_ = 0;
    std::uint32_t offset_ = 0;  // in the segment, of the byte that is next
    // The events of the segment before this one have been given, from the next one on; all of them are
    // wanted. 0: none have been.
    std::uint32_t run_end_ = 0;
    sse::resumption resumption_ = sse::resumption::live;
    cursor_state state_ = cursor_state::following;
    bool is_run_over_ = false;  // the event at the run's end is not wanted
    bool has_passed_over_ = false;
};

/// A log of events, each encoded once for all subscribers, and bounded whatever they do.
///
/// `publish` waits for no subscriber: the bytes stay where they are, and each cursor finds them there. The
/// oldest events leave the log to make room; a cursor that has not read them by then is behind.
///
/// May be used by any thread, as may different cursors. An instance that nobody has published to has
/// allocated only some hundred bytes, so there may be millions.
class channel {
public:
    using time_point = std::chrono::steady_clock::time_point;

    /// \throws std::bad_alloc
    explicit channel(channel_options options = {}) : log_(new detail::log(std::move(options))) {}

    channel(const channel&) = delete;
    channel& operator=(const channel&) = delete;

    /// Ends the cursors, as `close()` does, but calls nothing.
    ~channel() {
        static_cast<void>(log_->close());
        log_->drop_owner();
    }

    /// Adds an event after all others. One without data is sent, and no client dispatches it.
    ///
    /// \param now for the bound on age: read from the clock if there is such a bound and this is absent. It
    ///        does not go back whatever it is
    /// \return what `encode_to` refuses; `errc::id_reserved` for an ID that begins as the channel's own do,
    ///         if it makes any; `errc::event_too_large` for an event that would not fit into the log even by
    ///         itself, or has a GiB; `errc::channel_closed`; `errc::no_randomness`, if the system gives no
    ///         random bytes for the first ID of the caller's own in a process. The log is then as it was.
    /// \throws std::bad_alloc: the event has not been published, but older ones may have made room. What
    ///         `wake_up` throws: the event has been published
    /// \complexity linear in the bytes, whatever the number of subscribers. Once the log has been full, its
    ///             oldest segment becomes its newest. Memory is then allocated only for events that take more
    ///             than 64 KiB or an eighth of `max_bytes`, if a cursor is still in that segment, or if
    ///             several leave at once.
    publish_result publish(const message& message, std::optional<time_point> now = {}) {
        return log_->publish({&message, 1}, now);
    }

    /// Adds several events, with nothing between them and one wake-up: all of them, or none if one is
    /// refused.
    ///
    /// The log is locked meanwhile, and a batch that is larger than its bounds leaves every cursor behind.
    /// \throws as for one event; but if memory runs out, the events before have been published, and nobody is
    ///         woken
    publish_result publish(std::span<const message> messages, std::optional<time_point> now = {}) {
        return log_->publish(messages, now);
    }

    /// Adds an event as it was received elsewhere, an `event_view` or an `event`: its type and data. Its ID
    /// is of another stream, so this channel makes one of its own. With `make_ids` off none is sent: to keep
    /// the other stream's IDs, publish messages that have them.
    ///
    /// \return, \throws, \complexity as for a message
    template <detail::received_event Event>
    publish_result publish(const Event& event, std::optional<time_point> now = {}) {
        message again = event;
        again.id.reset();
        return publish(again, now);
    }

    /// A cursor after the event with that ID, or as its `resumption()` says. Nothing that is published
    /// meanwhile is lost or comes twice.
    ///
    /// \param last_event_id as it came with the request; empty: none. Whatever it holds, it is no error.
    /// \complexity logarithmic in the segments. An ID is found by a hash whose key no client can know, and
    ///             no longer ID is hashed than the longest of the caller's own
    /// \throws nothing but what copying `options` does
    [[nodiscard]] cursor subscribe(std::string_view last_event_id = {}, subscribe_options options = {},
                                   std::optional<time_point> now = {}) {
        const detail::log::position start = log_->subscribe(last_event_id, options, now);
        return {*log_, start, std::move(options.types)};
    }

    /// Drops what has become too old: else only `publish` and `subscribe` do.
    void trim(std::optional<time_point> now = {}) { log_->trim(now); }

    /// Takes no more events: cursors end when they have come to the last one.
    ///
    /// \throws what `wake_up` throws: it is closed then
    void close() {
        if (log_->close()) log_->wake_up();
    }

    channel_stats stats() const { return log_->stats(); }

private:
    detail::log* log_;
};

}  // namespace sse
