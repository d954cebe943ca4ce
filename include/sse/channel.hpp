// The server's log of encoded events, and the cursors that read it: one log, many subscribers. Layer 4.
//
//     sse::channel news;
//     auto cursor = news.subscribe(last_event_id);
//     if (auto published = news.publish({.event = "tick", .data = json}); published.error) …
//     send(fd, cursor.next_bytes());  // as many events as there are
//
// The options and results are in channel_types.hpp. How the log works is described in detail/log.hpp.
#pragma once

#include "channel_types.hpp"
#include "detail/log.hpp"
#include "detail/macros.hpp"
#include "detail/min_max.hpp"
#include "detail/segment.hpp"
#include "encoder.hpp"
#include "error.hpp"
#include "event.hpp"

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sse {

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
    // The position is the event `number_`, which is in `segment_` or is the first one after it, and the byte
    // `offset_` of the segment. That is where the event begins, unless a part of it has been consumed.
    //
    // The run is what `next_bytes` gave last and `consume` has not taken: the rest of the event `number_`,
    // and the events after it up to the index `run_end_` of the segment. All are wanted. The run is empty
    // if `run_end_` is not above the index of `number_`.

    std::vector<std::string> types_{};    // those that are wanted; all if empty
    detail::log* log_ = nullptr;          // null: default-made or moved from, and all below is as here
    detail::segment* segment_ = nullptr;  // owns a share; null: no segment yet, or behind, or ended
    std::uint64_t number_ = 0;
    std::uint64_t stop_ = UINT64_MAX;  // the cursor ends before the event with this number
    std::uint64_t missed_ = 0;
    std::uint32_t offset_ = 0;
    std::uint32_t run_end_ = 0;
    sse::resumption resumption_ = sse::resumption::live;
    cursor_state state_ = cursor_state::ended;  // as the caller was told, and as the log counts it
    bool is_run_over_ = false;                  // the event at `run_end_` is not wanted: the run cannot grow
    bool has_passed_over_ = false;  // events that are not wanted, since the last that was consumed

    /// Where the event `number_` is: on this depends what the cursor gives.
    enum class next_event : unsigned char {
        in_log,    // in the log, or yet to be published
        begun,     // it has left the log, but a part of it has been consumed: its rest comes, then no other
        left,      // it has left the log: the cursor is behind
        past_end,  // it is not for this cursor, by `end_here`
        none,      // the cursor has ended
    };

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
        change_to(cursor_state::ended);
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
        for (bool is_armed = false;;) {
            switch (find_next_event()) {
                case next_event::none: return {};
                case next_event::past_end: return end();
                case next_event::begun: return rest_of_event();
                case next_event::left: return fall_behind();
                case next_event::in_log: break;
            }
            // mark_if_behind() may have been asked before what had been given was consumed.
            change_to(cursor_state::following);
            const bool is_closed = log_->is_closed();  // before the look: see detail/log.hpp
            if (const std::string_view bytes = find_bytes(); !bytes.empty()) return bytes;
            // Meanwhile the event may have left, or those that are not wanted led to the end.
            if (find_next_event() != next_event::in_log) continue;
            if (is_closed) return end();
            if (is_armed) return {};
            log_->arm();
            is_armed = true;
        }
    }
    void next_bytes() && = delete;

    /// So many bytes from the front of the last `next_bytes()` have been sent; the last of them may be in the
    /// middle of an event. If that is more than is left of those, it counts as what is left.
    void consume(std::size_t bytes) noexcept {
        if (segment_ == nullptr || run_end_ <= index()) return;  // the run is empty
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
        switch (find_next_event()) {
            case next_event::none:
            case next_event::past_end:
            case next_event::in_log: return false;
            case next_event::begun:
                if (number_ + 1 >= detail::smaller(stop_, log_->first())) return false;
                break;
            case next_event::left: break;
        }
        change_to(cursor_state::behind);
        return true;
    }

    cursor_state state() const noexcept { return state_; }

    /// Goes on with the oldest event that is left, or with what is published from now on. In the middle of an
    /// event it does nothing: the client needs the rest first.
    ///
    /// \return how many events, of whatever type, have been passed over
    std::uint64_t skip(skip_to where = skip_to::oldest) {
        if (state_ == cursor_state::ended || in_event()) return 0;
        move_to(log_->after_gap(number_, where));
        change_to(cursor_state::following);
        return missed_;
    }

    /// Ends the cursor after what has been published by now.
    void end_here() {
        if (log_ != nullptr) stop_ = detail::smaller(stop_, log_->next());
    }

    /// The ID with which a client that has got all up to here would come back: that of the event before, or
    /// one that stands for it. Empty if the channel makes none and that event has none or has left.
    ///
    /// A server sends it as an `id` of its own, so that a client can resume that has not got an event yet.
    /// \throws std::bad_alloc
    std::string last_event_id() const { return log_ == nullptr ? std::string() : log_->id(number_ - 1); }

private:
    friend class channel;

    cursor(detail::log& log, const detail::log::position& start, std::vector<std::string> types) noexcept
        : types_(std::move(types)),
          log_(&log),
          resumption_(start.resumption),
          state_(cursor_state::following) {
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

    // Where it is

    std::uint32_t index() const noexcept { return static_cast<std::uint32_t>(number_ - segment_->first()); }

    next_event find_next_event() const noexcept {
        if (state_ == cursor_state::ended) return next_event::none;
        if (number_ >= stop_) return next_event::past_end;
        if (number_ >= log_->first()) return next_event::in_log;
        return in_event() ? next_event::begun : next_event::left;
    }

    /// The only function that changes the state: the log counts those that are behind.
    void change_to(cursor_state state) noexcept {
        if (state == state_) return;
        if (state_ == cursor_state::behind) log_->count_caught_up();
        if (state == cursor_state::behind) log_->count_behind();
        state_ = state;
    }

    void move_to(const detail::log::position& start) noexcept {
        number_ = start.number;
        missed_ = start.missed;
        move_into(start.at);
    }

    /// Takes over a share of the segment, and gives back the one before.
    void move_into(detail::segment* segment) noexcept {
        log_->leave(std::exchange(segment_, segment));
        offset_ = segment_ == nullptr ? 0 : segment_->begin_of(index());
        run_end_ = 0;
    }

    // What `next_bytes` does, by where the next event is

    std::string_view end() noexcept {
        change_to(cursor_state::ended);
        move_into(nullptr);
        return {};
    }

    std::string_view fall_behind() noexcept {
        change_to(cursor_state::behind);
        move_into(nullptr);  // a cursor that does not read the log must not keep it
        return {};
    }

    /// A small rest does not keep the segment, because it may be long before the client reads on. The copy
    /// begins one byte earlier, so that the cursor is in the middle of an event there too.
    std::string_view rest_of_event() {
        const std::uint32_t end = segment_->end_of(index());
        if (end - offset_ <= max_copied_bytes && segment_->memory() > max_copy_memory) {
            move_into(log_->copy(number_, segment_->bytes(offset_ - 1, end)));
            offset_ = 1;
        }
        run_end_ = index() + 1;
        return segment_->bytes(offset_, segment_->end_of(index()));
    }

    /// Goes on to the next event that is wanted, if there is one. Inline, because the call would cost a tenth
    /// of what it does.
    [[gnu::always_inline]] std::string_view find_bytes() {
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

    bool is_wanted(std::uint32_t index) const noexcept {
        if (types_.empty()) return true;
        const std::string_view type = detail::type_of(segment_->event(index));
        for (const std::string& wanted : types_) {
            if (type == wanted) return true;
        }
        return false;
    }

    static constexpr std::size_t max_copied_bytes = 4096;
    static constexpr std::size_t max_copy_memory = detail::segment::memory_for(1 + max_copied_bytes);
};

namespace detail {

/// What a client dispatches. Not a message: of a braced list the compiler would not know which it is.
template <class Event>
concept received_event = std::derived_from<Event, event_view> || std::derived_from<Event, event>;

}  // namespace detail

/// A log of events, each encoded once for all subscribers, and bounded whatever they do.
///
/// `publish` waits for no subscriber: the bytes stay where they are, and each cursor finds them there. The
/// oldest events leave the log to make room; a cursor that has not read them by then is behind.
///
/// May be used by any thread, as may different cursors. An instance that nobody has published to has
/// allocated only some hundred bytes, so there may be millions.
class channel {
    detail::log* log_;  // one of its owners, as each cursor is

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
};

}  // namespace sse
