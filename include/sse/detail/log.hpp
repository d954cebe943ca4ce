// The log of a channel: what `sse::channel` and its cursors share. `channel.hpp` is for users.
#pragma once

#include "../channel_types.hpp"
#include "../encoder.hpp"
#include "../error.hpp"
#include "../event.hpp"
#include "event_ids.hpp"
#include "min_max.hpp"
#include "segment.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// How it works
//
//     segments_:  [1 ... 40]  [41 ... 80]  ...  [121 ... 130, room]      spare_: [empty]
//                     ^            ^                        ^
//                  cursor A    cursors B, C             cursor D, which has read all
//
// `publish` encodes an event once, at the end of the last segment. The event gets the next number, counted
// from 1, and its bytes never move or change: cursors give the segment's own bytes to be sent. If the log
// exceeds a bound, `first_` moves past its oldest events, which have then left; a segment whose events have
// all left goes from the list.
//
// Who owns a segment. The log owns one share of each segment in the list and of the spare one, and each
// cursor one of the segment that it reads. Whoever gives back the last share frees the segment (`leave`): the
// log when the segment leaves the list, or later the last cursor in it. A cursor gets its share under the
// lock, and only of a segment in the list (`keep_segment`), so the count never rises from zero; it gives the
// share back without the lock. For the same reason a segment that leaves the list with the log as its only
// owner has no reader and gets none: it becomes the spare one, to be filled again. The log itself is owned by
// the channel, by each cursor, and by a running hook; the last of them destroys it.
//
// What subscribers can pin. The log's own segments and tables never exceed `max_bytes` (`own_bytes_`).
// Besides, each of n cursors can keep one segment that has left: of at most min(64 KiB, max_bytes / 8), or
// with a single event that is larger. So all together never exceed max_bytes + n * the larger of these two. A
// cursor gives its segment back when it is asked for bytes and its next event has left. In the middle of an
// event it keeps the rest: a copy of up to 4 KiB, or else the segment until the rest has been consumed.
//
// What the lock covers. `mutex_` covers whatever changes the log or looks anything up in it: adding an event,
// encoding included, dropping, IDs, and giving out shares. Nothing of the user's is called under it. Cursors
// read without it: `first_`, `closed_`, and the events of their segment up to its extent. The publisher
// writes the bytes of an event, then its entry, then the extent, and a cursor reads the extent first.
//
// Why no wake-up is lost. A cursor that finds nothing says that it waits, and looks once more:
//
//     publisher (`publish`)                              cursor (`next_bytes`)
//     P1  stores the extent of the segment               C1  `arm`: stores 1 in `waiting_`, unless it is 1
//     P2  reads `waiting_`; if it is 0: done             C2  reads the extent of the segment
//     P3  exchanges `waiting_` for 0; if it was 0: done  C3  finds nothing, and the caller waits for the hook
//     P4  calls the hook
//
// All of these accesses are seq_cst, so they have one order. The claim: if P1 publishes an event that the
// cursor has not seen at C2, a call of the hook begins after C1. The caller keeps in mind calls that come
// before it waits (see `channel_options::wake_up`), and asks the cursor again after each.
//
// - P1 is before C2: then the cursor sees the event, and does not wait. Otherwise C1, C2, P1, P2 have this
//   order, and `waiting_` is 1 from C1 until somebody exchanges it. If that is this publisher, it calls the
//   hook. If it is another one, that one calls the hook, after its exchange and so after C1.
// - The call may come from another publisher, and so early that the cursor, asked again, looks before P1 once
//   more. Then it arms again before it waits again, and the same holds for this C1 and C2.
// - Two publishers have both read 1: one exchange gives 1 and the other 0, so one of them calls the hook.
//   That is enough: both have stored their extents before, and the cursor looks after the call.
// - The cursor has no segment yet, or a complete one whose events it has read: then C2 is `enter`, which
//   looks for the segment under the lock. Either the publisher has had the lock before, and the new segment
//   is in the list with its event; or it takes the lock after C2, and so P2 comes after C1.
// - A segment leaves the list while cursors wait at its end: it is completed first, so that they look for the
//   next one, as above, rather than wait where nothing is added any more.
// - `close` stores `closed_` under the lock, then calls the hook, whatever `waiting_` says. A cursor reads
//   `closed_` before it looks. If it is true, all that was ever published can be seen, and a cursor that
//   finds nothing has ended. If it is false, the call of the hook is yet to come.
// - A hook that throws has woken nobody: `waiting_` becomes 1 again, so that the next publisher calls it.
//
// Nobody has to be woken when events leave: a cursor that waits has read them.

namespace sse::detail {

/// What a channel and its cursors share and own: the last of them destroys it.
///
/// Events have numbers from 1 on: `first_` to `next_` - 1 are kept, and `next_` is yet to be published.
class log {
public:
    using time_point = std::chrono::steady_clock::time_point;

private:
    static constexpr std::size_t max_segment_bytes = std::size_t{64} << 10;  // 250 events of 200 bytes a send
    static constexpr std::size_t min_segment_bytes = 1024;
    static constexpr std::size_t max_event_bytes = std::size_t{1} << 30;

    // Not changed once the channel is there

    channel_options options_;
    made_ids made_ids_;

    // Under the lock

    mutable std::mutex mutex_{};
    // By the numbers of their events. Those before `oldest_` have left, and may be gone: see `list_size`.
    std::vector<segment*> segments_{};
    std::size_t oldest_ = 0;
    segment* spare_ = nullptr;  // the next one for the list, so that nothing is allocated; or null
    own_ids own_ids_{};
    std::uint64_t next_ = 1;
    time_point latest_{};  // the latest time that was ever given, if there is a bound on age
    // Of the segments, their list, the spare one and `own_ids_`: at most `max_bytes`.
    std::size_t own_bytes_ = 0;

    // Written under the lock, read without

    std::atomic<std::uint64_t> first_{1};
    std::atomic<bool> closed_{false};

    // Without the lock

    std::atomic<std::uint32_t> owners_{1};
    std::atomic<std::size_t> held_bytes_{0};  // `own_bytes_`, and the segments that only cursors own
    std::atomic<std::size_t> subscribers_{0};
    std::atomic<std::uint64_t> fell_behind_{0};
    std::atomic<std::size_t> behind_{0};
    // 1: a cursor has found nothing since the last call of the hook. Not a bool: exchanging one needs
    // libatomic on RISC-V.
    std::atomic<std::uint32_t> waiting_{0};

public:
    explicit log(channel_options options)
        : options_(std::move(options)), made_ids_(options_.make_ids, options_.epoch) {
        if (options_.max_events == 0) options_.max_events = 1;
    }
    log(const log&) = delete;
    log& operator=(const log&) = delete;

    void add_owner() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
    void drop_owner() noexcept {
        if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    // For the channel

    publish_result publish(std::span<const message> messages, std::optional<time_point> now) {
        publish_result result;
        for (const message& each : messages) {
            result.error = check(each);
            if (!result.error && each.id && made_ids_.is_reserved(*each.id)) result.error = errc::id_reserved;
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

    channel_stats stats() const {
        const std::lock_guard lock(mutex_);
        return {.published = next_ - 1,
                .held_events = next_ - first(),
                .held_bytes = held_bytes_.load(std::memory_order_relaxed),
                .subscribers = subscribers_.load(std::memory_order_relaxed),
                .fell_behind = fell_behind_.load(std::memory_order_relaxed),
                .behind = behind_.load(std::memory_order_relaxed)};
    }

    // For cursors

    /// The number of the oldest event that is kept; of the next one if there is none.
    std::uint64_t first() const noexcept { return first_.load(std::memory_order_acquire); }
    bool is_closed() const noexcept { return closed_.load(std::memory_order_acquire); }

    /// A position in the log. It owns a share of the segment.
    struct position {
        std::uint64_t number = 0;
        segment* at = nullptr;  // null if the log has no segment yet
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

    /// A share of the segment that the event is in, or will be in; null if the event has left, or the log has
    /// no segment yet.
    segment* enter(std::uint64_t number) {
        const std::lock_guard lock(mutex_);
        return number < first() ? nullptr : keep_segment(number);
    }

    /// Gives a share back, and frees the segment if it was the last one.
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
        made->add(bytes.size(), {}, own_ids::unchained);
        made->finish();
        return made;
    }

    std::uint64_t next() const {
        const std::lock_guard lock(mutex_);
        return next_;
    }

    /// The ID of an event, or one that stands for it.
    ///
    /// \pre the number is below the next one
    std::string id(std::uint64_t number) const {
        const std::lock_guard lock(mutex_);
        if (number >= first()) {
            const std::string_view id = event(number).id();
            if (!id.empty()) return std::string(id);
        }
        if (!made_ids_.are_made()) return {};
        return std::string(made_ids_.make(number).view());
    }

    /// Called by a cursor that found nothing; it must look again afterwards: see "Why no wake-up is lost".
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

    ~log() {
        for (; oldest_ < segments_.size(); ++oldest_) segment::destroy(segments_[oldest_]);
        if (spare_ != nullptr) segment::destroy(spare_);
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

    static bool has_own_id(const message& message) noexcept { return message.id && !message.id->empty(); }

    /// Whether the event would not fit even if it were alone, with the smallest tables: with an ID as long as
    /// the channel's get, or with a chain for one of its own.
    bool is_too_large(const message& message) const noexcept {
        const bool is_given_id = !message.id && made_ids_.are_made();
        const std::size_t id_size =
            is_given_id ? std::string_view("id: \n").size() + made_ids::max_id_bytes : 0;
        const std::size_t size = encoded_size(message);
        if (size > max_event_bytes) return true;
        const std::size_t tables = list_size(0) * sizeof(segment*) + own_ids::memory_for(1);
        return segment::memory_for(size + id_size) + tables > options_.max_bytes;
    }

    // From here on, each function is called under the lock.

    // Finding

    /// \pre the event is kept, or is the next one
    /// \return null if there is no segment
    segment* segment_of(std::uint64_t number) const noexcept {
        std::size_t low = oldest_;
        std::size_t high = segments_.size();
        while (high - low > 1) {
            const std::size_t middle = low + (high - low) / 2;
            (segments_[middle]->first() <= number ? low : high) = middle;
        }
        return segments_.empty() ? nullptr : segments_[low];
    }

    /// The same, and a share of it.
    segment* keep_segment(std::uint64_t number) const noexcept {
        segment* const found = segment_of(number);
        if (found != nullptr) found->add_owner();
        return found;
    }

    struct kept_event {
        segment& in;
        std::uint32_t index;

        std::string_view id() const noexcept { return id_of(in.event(index)); }
        std::uint64_t& previous() const noexcept { return in.previous_of(index); }
        time_point time() const noexcept { return in.entry_at(index).time; }
    };

    /// \pre the event is kept
    kept_event event(std::uint64_t number) const noexcept {
        segment& found = *segment_of(number);
        return {found, static_cast<std::uint32_t>(number - found.first())};
    }

    /// The events that are kept, as `own_ids` sees them.
    struct kept_events {
        const log& in;

        std::uint64_t first() const noexcept { return in.first(); }
        std::uint64_t next() const noexcept { return in.next_; }
        kept_event at(std::uint64_t number) const noexcept { return in.event(number); }
    };

    /// The number of the event that has this ID, or, if the channel made the ID, of one that had it.
    std::optional<std::uint64_t> find(std::string_view id) noexcept {
        if (const std::optional<std::uint64_t> own = own_ids_.find(id, kept_events{*this})) return own;
        return made_ids_.find(id, next_);
    }

    // Adding

    void append(const message& given, publish_result& result) {
        message sent = given;
        result.made_id_ = {};
        if (!given.id && made_ids_.are_made()) {
            result.made_id_ = made_ids_.make(next_);
            sent.id = result.id();
        }
        if (has_own_id(given)) grow_own_ids();

        const std::size_t size = encoded_size(sent);
        segment& last = with_room(size);
        span_writer<std::span<char>> output{last.room(size)};
        put_message(output, sent);
        const std::uint64_t previous =
            has_own_id(given) ? own_ids_.add(*given.id, kept_events{*this}) : own_ids::unchained;
        last.add(size, latest_, previous);
        ++next_;
        if (next_ - first() > options_.max_events) drop_before(next_ - options_.max_events);
    }

    void grow_own_ids() {
        const std::size_t size = own_ids_.size_for(next_ - first(), options_.max_bytes / 16);
        if (size == own_ids_.size()) return;
        while (own_bytes_ + own_ids::memory_for(size) > options_.max_bytes) drop_something();
        set_own_ids(size);
        own_ids_.link_all(kept_events{*this});
    }

    void set_own_ids(std::size_t size) {
        const std::size_t before = own_ids_.memory();
        own_ids_.set_size(size);
        count_bytes(before, own_ids_.memory());
    }

    /// The last segment, or a new one in its place.
    segment& with_room(std::size_t event_bytes) {
        if (!segments_.empty() && segments_.back()->has_room(event_bytes)) return *segments_.back();

        std::size_t memory = segments_.empty() ? min_segment_bytes : 2 * segments_.back()->memory();
        memory = larger(smaller(memory, usual_segment()), segment::memory_for(event_bytes));
        // The segment and its room in the list: to make one may take dropping what was there for the other.
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

    std::size_t usual_segment() const noexcept {
        return smaller(max_segment_bytes, options_.max_bytes / 8 / alignof(segment) * alignof(segment));
    }

    /// For how many segments a list has room that is made for so many: twice as many. Segments that leave are
    /// taken out of the list only when they are half of it, so on average each segment is moved about once.
    static std::size_t list_size(std::size_t segments) noexcept { return 2 * segments + 2; }

    /// \pre size is as `list_size` says, or 0 and there are no segments
    void set_list(std::size_t size) {
        std::vector<segment*> list;
        list.reserve(size);
        list.assign(segments_.begin() + static_cast<std::ptrdiff_t>(oldest_), segments_.end());
        const std::size_t before = list_memory();
        segments_.swap(list);
        oldest_ = 0;
        count_bytes(before, list_memory());
    }

    std::size_t list_memory() const noexcept { return segments_.capacity() * sizeof(segment*); }

    // Dropping

    /// Sets the time, and drops what has become too old.
    void keep_time(std::optional<time_point> now) {
        if (options_.max_age.count() <= 0) return;
        latest_ = larger(latest_, now ? *now : std::chrono::steady_clock::now());
        std::uint64_t number = first();
        while (number < next_ && milliseconds(latest_ - event(number).time()) > options_.max_age) ++number;
        drop_before(number);
    }

    void drop_before(std::uint64_t number) noexcept {
        first_.store(number, std::memory_order_release);
        while (segments_.size() - oldest_ > 1 && segments_[oldest_]->next() <= number) drop_oldest_segment();
    }

    /// Makes some room, and more with each call. The oldest segment may become the spare one: then it can be
    /// of use at once.
    ///
    /// \pre there is something: `is_too_large` has counted what is there in the end
    void drop_something() {
        if (spare_ != nullptr) {
            drop_spare();
        } else if (!segments_.empty()) {
            drop_oldest_segment();
        } else {  // tables of no event
            set_list(0);
            if (own_ids_.size() > 1) set_own_ids(1);
        }
    }

    void drop_oldest_segment() noexcept {
        segment* const oldest = segments_[oldest_++];
        // It may be the last one: cursors must not wait in it.
        oldest->finish();
        if (oldest_ >= segments_.size() - oldest_) {  // see `list_size`
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

    void count_bytes(std::size_t before, std::size_t after) noexcept {
        own_bytes_ += after - before;
        held_bytes_.fetch_add(after - before, std::memory_order_relaxed);
    }
};

}  // namespace sse::detail
