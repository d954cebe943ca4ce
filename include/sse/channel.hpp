// The server's log of encoded events, and the cursors that read it: one log, many subscribers. Layer 4.
//
//     sse::channel news;
//     auto cursor = news.subscribe(last_event_id);
//     if (auto published = news.publish({.event = "tick", .data = json}); published.error) …
//     send(fd, cursor.next_bytes());  // as many events as there are
#pragma once

#include "detail/segment.hpp"
#include "encoder.hpp"
#include "error.hpp"
#include "event.hpp"

#include <array>
#include <atomic>
#include <cassert>
#include <charconv>
#include <chrono>
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
    /// The most events that are kept, at least 1. A subscriber that is behind by more has fallen out.
    std::size_t max_events = 10'000;

    /// The most memory that the log takes. Besides, a cursor keeps the part that it stands in, of 64 KiB at
    /// most or one event: where that has left the log, until it is asked for `next_bytes()`, and in the midst of
    /// an event until that is over. Where no more than 4 KiB are left of the event, it keeps but these.
    std::size_t max_bytes = std::size_t{8} << 20;

    /// How long events are kept; 0 for ever, within the bounds above.
    milliseconds max_age{0};

    /// Whether an event that has no ID is given one: without, nobody can resume behind it. To be switched off
    /// where IDs are shared between several channels, for no other knows those of this one.
    bool make_ids = true;

    /// What the IDs of this channel begin with, 48 bits in hexadecimal digits; 0 for something that no other
    /// channel has, also after a restart. For those who must know the IDs beforehand.
    std::uint64_t epoch = 0;

    /// Called when there is something to send, by the thread that published it, without a lock. Once: not
    /// again until a cursor has found that there is nothing more. By `close()`, too. For an event loop's own
    /// wake-up, such as a write to an eventfd; of several loops, wake all. With a condition variable count
    /// the calls under its mutex, and wait for another count than before the cursor was asked: it may be
    /// called between the two.
    std::function<void()> wake_up{};
};

/// What a subscriber gets, by the last event ID that it came with.
enum class resumption : unsigned char {
    live,     ///< it came without one: what is published from now on, and before with `replay_to_new`
    resumed,  ///< all that followed that event
    gap,      ///< some of that has left the log already: what is left of it
    unknown,  ///< no event of this channel, or one with an ID of the caller's own that has left: all there is
};

enum class cursor_state : unsigned char {
    following,  ///< `next_bytes()` is all there is, for now
    behind,     ///< the next event has left the log: `skip()`, or end the connection
    ended,      ///< nothing will come any more
};

/// Where `cursor::skip` goes on.
enum class skip_to : unsigned char {
    oldest,  ///< with the oldest event that is left
    latest,  ///< with what is published next
};

struct subscribe_options {
    /// Only events of these types; none: of all. `message` is the type of those that have none. One that
    /// falls behind is behind the whole log: what it has missed may be of other types.
    std::vector<std::string> types{};

    /// Whether one that comes without a last event ID gets what is in the log already.
    bool replay_to_new = false;
};

namespace detail {
class log;
}

/// What has become of a `publish`.
class [[nodiscard]] publish_result {
public:
    sse::error error{};          ///< nothing has been published
    std::uint64_t sequence = 0;  ///< how many the channel has published, with this one

    /// The ID that the channel made for the last event; empty where that had its own.
    std::string_view id() const noexcept { return {made_id_.data(), made_id_size_}; }

private:
    friend class detail::log;

    std::array<char, 40> made_id_{};
    std::size_t made_id_size_ = 0;
};

struct channel_stats {
    std::uint64_t published = 0;    ///< events, ever
    std::uint64_t held_events = 0;  ///< in the log
    std::size_t held_bytes = 0;     ///< of memory, with what subscribers keep of it
    std::size_t subscribers = 0;    ///< cursors
    std::uint64_t fell_behind = 0;  ///< how often a cursor found that its next event had left
    std::size_t behind = 0;         ///< cursors that have found so, and have not skipped yet
};

namespace detail {

/// What a channel and its cursors share, and live by: the last of them destroys it.
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
            if (!result.error && is_too_large(each)) result.error = errc::event_too_large;
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

    void wake_up() const {
        if (options_.wake_up) options_.wake_up();
    }

    void wake_waiting() {
        if (waiting_.load(std::memory_order_seq_cst) == 0) return;
        if (waiting_.exchange(0, std::memory_order_seq_cst) == 0) return;
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

    /// A place in the log, which keeps the segment.
    struct position {
        std::uint64_t number = 0;
        segment* at = nullptr;  // none while there is no segment
        sse::resumption resumption = sse::resumption::live;
        std::uint64_t missed = 0;
    };

    position subscribe(std::string_view id, bool replay_to_new, std::optional<time_point> now) {
        const std::lock_guard lock(mutex_);
        keep_time(now);
        position result{.number = replay_to_new ? first() : next_};
        if (!id.empty()) {
            const std::optional<std::uint64_t> last = find(id);
            result.resumption = last ? resumption::resumed : resumption::unknown;
            result.number = last ? *last + 1 : first();
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

    /// The place from which on nothing has left yet.
    position after_gap(std::uint64_t number, skip_to where) {
        const std::lock_guard lock(mutex_);
        position result{.number = where == skip_to::latest ? next_ : larger(number, first())};
        result.missed = result.number - number;
        result.at = keep_segment(result.number);
        return result;
    }

    /// The segment that the event is in, or will be in, if it is kept.
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
        publish_result result;
        make_id(number, result);
        return std::string(result.id());
    }

    /// A cursor has found nothing. It has to look once more: an event that it misses then is behind this in
    /// the one order of these operations, and so is the publisher's look at what is set here.
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
    static constexpr std::size_t epoch_size = 12;
    static constexpr std::size_t max_id_bytes = epoch_size + 1 + 20;
    static constexpr std::uint64_t unchained = UINT64_MAX;

    ~log() {
        for (; oldest_ < segments_.size(); ++oldest_) segment::destroy(segments_[oldest_]);
        if (spare_ != nullptr) segment::destroy(spare_);
    }

    /// Both clocks and a count: a restart differs by the first at least, another machine by how long it has
    /// been up, two channels of a process by the last. Nothing that gives away where the program lies in
    /// memory.
    static std::uint64_t unlike_any_other() noexcept {
        static std::atomic<std::uint64_t> count{0};
        const auto now = std::chrono::system_clock::now().time_since_epoch().count();
        const auto up = std::chrono::steady_clock::now().time_since_epoch().count();
        auto value = static_cast<std::uint64_t>(now);
        value ^= static_cast<std::uint64_t>(up) << 20;
        value += 0x9E3779B97F4A7C15 * ++count;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }

    /// With the longest ID that may be made for it, or a chain for its own.
    bool is_too_large(const message& message) const noexcept {
        const bool is_given_id = !message.id && options_.make_ids;
        const std::size_t id_size = is_given_id ? std::string_view("id: \n").size() + max_id_bytes : 0;
        const std::size_t size = encoded_size(message);
        if (size > max_event_bytes) return true;
        return segment::memory_for(size + id_size) + sizeof(chains_[0]) > options_.max_bytes;
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

    void make_id(std::uint64_t number, publish_result& result) const noexcept {
        char* const begin = result.made_id_.data();
        std::char_traits<char>::copy(begin, prefix_.data(), prefix_.size());
        char* const end = begin + result.made_id_.size();
        const char* const last = std::to_chars(begin + prefix_.size(), end, number).ptr;
        result.made_id_size_ = static_cast<std::size_t>(last - begin);
    }

    /// The number of the event that has this ID; of the last one where there are several.
    std::optional<std::uint64_t> find(std::string_view id) const noexcept {
        for (std::uint64_t number = chains_.empty() ? 0 : chain_of(id); number >= first();) {
            if (id_of(event(number)) == id) return number;
            number = entry(number).previous;
        }
        if (!id.starts_with(std::string_view(prefix_.data(), prefix_.size()))) return std::nullopt;
        const std::string_view digits = id.substr(prefix_.size());
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        const bool is_number = error == std::errc() && end == digits.data() + digits.size();
        const bool is_padded = digits != "0" && digits.starts_with('0');
        return is_number && !is_padded && number < next_ ? std::optional(number) : std::nullopt;
    }

    /// IDs of the caller's own, by their hash: each chain leads from the latest event to those before.
    std::uint64_t& chain_of(std::string_view id) noexcept {
        return chains_[std::hash<std::string_view>()(id) & (chains_.size() - 1)];
    }
    const std::uint64_t& chain_of(std::string_view id) const noexcept {
        return chains_[std::hash<std::string_view>()(id) & (chains_.size() - 1)];
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
            if (found.entry_at(index).previous == unchained) continue;
            found.set_previous(index, std::exchange(chain_of(id_of(found.event(index))), number));
        }
    }

    void set_chains(std::size_t count) {
        const std::size_t before = chains_.size() * sizeof(chains_[0]);
        std::vector<std::uint64_t>(count).swap(chains_);
        count_bytes(before, count * sizeof(chains_[0]));
    }

    // Adding

    void append(const message& given, publish_result& result) {
        message sent = given;
        result.made_id_size_ = 0;
        if (!given.id && options_.make_ids) {
            make_id(next_, result);
            sent.id = result.id();
        }
        const std::string_view own_id = given.id.value_or(std::string_view());
        if (!own_id.empty()) make_chains();

        const std::size_t size = encoded_size(sent);
        segment& last = with_room(size);
        span_writer<std::span<char>> output{last.room(size)};
        put_message(output, sent);
        std::uint64_t previous = unchained;
        if (!own_id.empty()) previous = std::exchange(chain_of(own_id), next_);
        last.add(size, latest_, previous);
        ++next_;
        if (next_ - first() > options_.max_events) drop_before(next_ - options_.max_events);
    }

    /// The last segment, or a new one in its place.
    segment& with_room(std::size_t event_bytes) {
        if (!segments_.empty() && segments_.back()->has_room(event_bytes)) return *segments_.back();

        std::size_t memory = segments_.empty() ? min_segment_bytes : 2 * segments_.back()->memory();
        memory = larger(smaller(memory, usual_segment()), segment::memory_for(event_bytes));
        if (segments_.size() == segments_.capacity()) segments_.reserve(2 * segments_.size() + 2);
        while (spare_ == nullptr || spare_->memory() < memory) {
            if (own_bytes_ + memory > options_.max_bytes) {
                drop_something();
            } else {
                drop_spare();
                spare_ = segment::make(memory);
                count_bytes(0, memory);
            }
        }
        // Nothing can fail any more: until now a smaller event might still have had its place there.
        if (!segments_.empty()) segments_.back()->finish();
        spare_->begin_at(next_);
        segments_.push_back(std::exchange(spare_, nullptr));
        return *segments_.back();
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
    void drop_something() {
        if (spare_ != nullptr) drop_spare();
        else if (!segments_.empty()) drop_oldest_segment();
        else set_chains(1);  // of no event
    }

    void count_bytes(std::size_t before, std::size_t after) noexcept {
        own_bytes_ += after - before;
        held_bytes_.fetch_add(after - before, std::memory_order_relaxed);
    }

    void drop_oldest_segment() noexcept {
        segment* const oldest = segments_[oldest_++];
        oldest->finish();  // it may be the last: cursors must not wait there
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
    std::vector<segment*> segments_{};      // by the numbers of their events
    std::size_t oldest_ = 0;                // of them: those before it have left
    segment* spare_ = nullptr;              // for the next one, so that nothing is allocated
    std::vector<std::uint64_t> chains_{};   // a power of two; empty until an ID of the caller's own comes
    std::uint64_t next_ = 1;                // the number of the next event
    time_point latest_{};
    std::size_t own_bytes_ = 0;             // of the segments above

    std::atomic<std::uint32_t> owners_{1};
    std::atomic<std::uint64_t> first_{1};
    std::atomic<std::size_t> held_bytes_{0};  // of all segments
    std::atomic<std::size_t> subscribers_{0};
    std::atomic<std::uint64_t> fell_behind_{0};
    std::atomic<std::size_t> behind_{0};
    // 1: a cursor has found nothing since the last wake-up. To exchange a bool takes a library on RISC-V.
    std::atomic<std::uint32_t> waiting_{0};
    std::atomic<bool> closed_{false};
};

}  // namespace detail

/// A subscriber's place in a channel's log: what is to be sent to it next.
///
///     const std::string_view bytes = cursor.next_bytes();
///     const ssize_t size = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
///     if (size > 0) cursor.consume(static_cast<std::size_t>(size));
///
/// The bytes are those of the log, shared by all. It may outlive the channel.
///
/// \pre one thread at a time. Different cursors, and the channel, may be used by different threads.
class cursor {
public:
    /// One that has ended.
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

    /// The bytes that are next, of as many events as lie in a row: up to 64 KiB, or one event. Where there
    /// are none, `state()` says why. Should what follows have left the log, an event that has been consumed
    /// in part is still given to its end, and none is begun.
    ///
    /// \post The view lives until the next call of a function of this cursor that is not const.
    /// \complexity without types constant, and a short lock once a segment; with types linear in the events
    ///             that are passed over
    /// \throws what allocating throws, where the end of an event that has left the log has to be copied: it
    ///         can be called again
    std::string_view next_bytes() {
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

    /// Some of `next_bytes()`, from its front, have been sent. It may be in the midst of an event.
    ///
    /// \pre no more than that
    void consume(std::size_t bytes) noexcept {
        if (bytes == 0) return;
        has_passed_over_ = false;
        if (!rest_.empty()) {
            assert(bytes <= rest_.size());
            rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(bytes));
            if (!rest_.empty()) return;
            std::vector<char>().swap(rest_);
            ++number_;
            return;
        }
        offset_ += static_cast<std::uint32_t>(bytes);
        const std::uint32_t events = segment_->read_extent().events;
        assert(index() < events && offset_ <= segment_->end_of(events - 1));
        while (index() < events && segment_->end_of(index()) <= offset_) ++number_;
    }

    /// Whether a part of an event has been consumed. What is sent besides has to wait for its end.
    bool in_event() const noexcept {
        return !rest_.empty() || (segment_ != nullptr && offset_ != segment_->begin_of(index()));
    }

    /// Whether events of other types have gone by since the last that was consumed: of these the client does
    /// not know.
    bool has_passed_over() const noexcept { return has_passed_over_; }

    /// Whether it has fallen behind, or will have at the end of the event that it is in.
    bool mark_if_behind() noexcept {
        const std::uint64_t next = number_ + (in_event() ? 1 : 0);
        if (log_ == nullptr || next >= stop_ || next >= log_->first()) return false;
        note_behind();
        return true;
    }

    cursor_state state() const noexcept { return log_ == nullptr ? cursor_state::ended : state_; }

    /// Goes on with the oldest event that is left, or with what is published from now on.
    ///
    /// \pre not in an event
    /// \return how many events, of whatever type, have been passed over
    std::uint64_t skip(skip_to where = skip_to::oldest) {
        assert(!in_event());
        if (log_ == nullptr || state_ == cursor_state::ended) return 0;
        move_to(log_->after_gap(number_, where));
        catch_up();
        return missed_;
    }

    /// It ends behind what has been published by now.
    void end_here() {
        if (log_ != nullptr) stop_ = detail::smaller(stop_, log_->next());
    }

    /// What a client that has got all up to here would come back with: the ID of the event before, or one
    /// that stands for it. Empty where the channel makes none and that event has none or has left.
    ///
    /// Sent as an `id` of its own, it lets a client resume that has not got an event yet.
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
        std::swap(rest_, other.rest_);
        std::swap(log_, other.log_);
        std::swap(segment_, other.segment_);
        std::swap(number_, other.number_);
        std::swap(stop_, other.stop_);
        std::swap(missed_, other.missed_);
        std::swap(offset_, other.offset_);
        std::swap(resumption_, other.resumption_);
        std::swap(state_, other.state_);
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

    /// Of an event that has left the log. The segment is not kept for a small rest: it may be long before the
    /// client reads on.
    std::string_view rest_of_event() {
        if (rest_.empty()) {
            const std::string_view rest = segment_->bytes(offset_, segment_->end_of(index()));
            if (rest.size() > max_copied_bytes) return rest;
            rest_.assign(rest.begin(), rest.end());
            move_into(nullptr);
        }
        return {rest_.data(), rest_.size()};
    }

    std::string_view end() noexcept {
        catch_up();
        state_ = cursor_state::ended;
        move_into(nullptr);
        return {};
    }

    std::string_view fall_behind() noexcept {
        note_behind();
        move_into(nullptr);  // the log must not be kept by who does not read it
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

    /// \pre its owner is this cursor
    void move_into(detail::segment* segment) noexcept {
        log_->leave(std::exchange(segment_, segment));
        offset_ = segment_ == nullptr ? 0 : segment_->begin_of(index());
    }

    /// Goes on to the next event that is wanted, if there is one.
    std::string_view find_bytes() {
        for (;;) {
            if (segment_ != nullptr) {
                const auto [events, is_complete] = segment_->read_extent();
                const auto last = static_cast<std::uint32_t>(
                    detail::smaller(std::uint64_t{events}, stop_ - segment_->first()));
                if (index() < last && !is_wanted(index())) pass_over(last);
                if (index() < last) return segment_->bytes(offset_, segment_->end_of(end_of_run(last) - 1));
                if (!is_complete || number_ == stop_) return {};
            }
            detail::segment* const next = log_->enter(number_);
            if (next == nullptr) return {};
            move_into(next);  // never the same one again: behind a complete one there is another
        }
    }

    /// Events that are not wanted.
    void pass_over(std::uint32_t last) noexcept {
        has_passed_over_ = true;
        std::uint32_t next = index() + 1;
        while (next < last && !is_wanted(next)) ++next;
        number_ = segment_->first() + next;
        offset_ = segment_->begin_of(next);
    }

    /// Where those that are wanted end.
    std::uint32_t end_of_run(std::uint32_t last) const noexcept {
        if (types_.empty()) return last;
        std::uint32_t end = index() + 1;
        while (end < last && is_wanted(end)) ++end;
        return end;
    }

    static constexpr std::size_t max_copied_bytes = 4096;

    std::vector<std::string> types_{};
    std::vector<char> rest_{};            // of the event that it is in, when the segment is given up
    detail::log* log_ = nullptr;
    detail::segment* segment_ = nullptr;  // none: there was none yet, or it has been given up
    std::uint64_t number_ = 0;            // of the event that is next
    std::uint64_t stop_ = UINT64_MAX;     // the number of the first that is not
    std::uint64_t missed_ = 0;
    std::uint32_t offset_ = 0;  // in the segment
    sse::resumption resumption_ = sse::resumption::live;
    cursor_state state_ = cursor_state::following;
    bool has_passed_over_ = false;
};

/// A log of events, each encoded once for all subscribers, and bounded whatever they do.
///
/// To publish waits for no subscriber: the bytes stay where they are, and each cursor finds them there. What
/// has to make room leaves the log, oldest first; a cursor that has not come by is then behind.
///
/// May be used by any thread, as may different cursors. Where there are millions of channels, those that
/// nobody has published to have allocated but their few hundred bytes.
///
/// \throws what allocating throws: but for batches the log is then as it was, or has made room
class channel {
public:
    using time_point = std::chrono::steady_clock::time_point;

    explicit channel(channel_options options = {}) : log_(new detail::log(std::move(options))) {}

    channel(const channel&) = delete;
    channel& operator=(const channel&) = delete;

    /// Ends the cursors, as `close()` does, but calls nothing.
    ~channel() {
        static_cast<void>(log_->close());
        log_->drop_owner();
    }

    /// Adds an event behind all others. One without data is sent, and no client dispatches it.
    ///
    /// \param now for the bound on age: read from the clock where there is one and this is absent, and not
    ///        going back whatever it is
    /// \return what `encode_to` refuses; `errc::event_too_large` for one that would not fit into the log even
    ///         by itself, or has a GiB; `errc::channel_closed`. The log is then as it was.
    /// \throws what `wake_up` throws: the event has then been published
    /// \complexity linear in the bytes, whatever the number of subscribers. Once the log has been full, its
    ///             oldest part becomes its newest: allocated is only for events that take more than 64 KiB or
    ///             an eighth of `max_bytes`, where a cursor is still in that part, or several leave at once.
    publish_result publish(const message& message, std::optional<time_point> now = {}) {
        return log_->publish({&message, 1}, now);
    }

    /// Several, with nothing between them and one wake-up: all, or where one of them is refused, none. But
    /// where there is no memory for one, those before it have been published, and nobody is woken.
    ///
    /// The log is locked meanwhile, and a batch that is larger than its bounds leaves every cursor behind.
    publish_result publish(std::span<const message> messages, std::optional<time_point> now = {}) {
        return log_->publish(messages, now);
    }

    /// A cursor behind the event with that ID, or as its `resumption()` says. Nothing that is published meanwhile is
    /// lost or comes twice.
    ///
    /// \param last_event_id as it came with the request; empty: none. Whatever it holds, it is no error.
    /// \complexity logarithmic in the segments; with an ID of the caller's own, linear in those that share
    ///             its hash
    [[nodiscard]] cursor subscribe(std::string_view last_event_id = {}, subscribe_options options = {},
                                   std::optional<time_point> now = {}) {
        const detail::log::position start = log_->subscribe(last_event_id, options.replay_to_new, now);
        return {*log_, start, std::move(options.types)};
    }

    /// Drops what has become too old: else that is done when somebody publishes or subscribes.
    void trim(std::optional<time_point> now = {}) { log_->trim(now); }

    /// No more events: cursors end when they have come to the last one.
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
