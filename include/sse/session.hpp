// One subscriber's connection on a server, without a socket, a timer or a thread. Layer 5.
//
//     sse::session session(options, news.subscribe(last_event_id), head, now);
//     // and a loop that sends what session.next(now) gives it, and says by session.sent how much was sent
#pragma once

#include "channel.hpp"
#include "detail/after.hpp"
#include "detail/saturating.hpp"
#include "detail/min_max.hpp"
#include "detail/send_deadline.hpp"
#include "encoder.hpp"
#include "event.hpp"

#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sse {

/// What becomes of a subscriber whose next event has left the log.
enum class when_behind : unsigned char {
    disconnect,      ///< its connection ends: it will come back with its last event ID
    skip_to_oldest,  ///< it goes on with the oldest event that is left
    skip_to_latest,  ///< it goes on with what is published next
};

/// Shared by any number of sessions, all of which it has to outlive.
struct session_options {
    /// The pause after which the client is asked to come back if the connection is lost, not below zero;
    /// nothing: the client decides.
    std::optional<milliseconds> retry{};

    /// The least number of bytes of the comment that comes first. Some old proxies hold the first 2 KiB back.
    std::size_t padding_bytes = 0;

    /// Whether the client is told an ID if no event tells it its position: when it came without an ID, or
    /// with one that is of no use; when it has skipped; and with the heartbeat, if there were only events of
    /// other types. Whenever it is lost, it then resumes from there.
    bool sends_position = true;

    /// After so long without a byte a comment is sent: proxies cut what is silent, and only sending notices a
    /// peer that is gone. 0 for none.
    milliseconds heartbeat{15'000};

    /// For how long bytes may wait for the socket to take them, from when `next` offers them first, or the
    /// client is given up; 0 for ever. At most 64 KiB are waited for at once: a large event has more time.
    /// What the kernel has taken does not count: TCP_USER_TIMEOUT is for that.
    milliseconds send_timeout{30'000};

    sse::when_behind when_behind = sse::when_behind::disconnect;

    /// Gives the bytes that tell the client of a gap: whole events or comments, as `encode` writes them.
    /// `missed` is the number of events, of whatever type, that the client will not receive; nothing if that
    /// is not known, because the client came with an unknown ID. It does not use the session.
    std::function<std::string(std::optional<std::uint64_t> missed)> gap{};

    // When draining

    /// The pause that the client is asked to make: at least the one, and at most the other more, evenly
    /// spread, so that they do not all come back at once.
    milliseconds drain_retry{1000};
    milliseconds max_drain_jitter{10'000};

    /// For how long the session may go on, to send what has been published and the farewell; 0 for ever.
    milliseconds drain_timeout{5'000};

    /// Gives the bytes that come last, as `encode` writes them, the pause among them. By default that is all.
    std::function<std::string(milliseconds retry)> farewell{};
};

/// Why a session is over.
enum class session_end : unsigned char {
    none,     ///< it is not
    closed,   ///< the channel is, and all has been sent
    drained,  ///< the farewell has been sent, after what was published, or after a part if the rest had left
    behind,   ///< what is next has left the log, by `when_behind::disconnect`
    timed_out,  ///< the client did not take what it was sent, or draining took too long
    kicked,     ///< by `kick`
};

/// Whether the stream ended in good order: after a whole event, and with nothing unsent that was to be sent.
/// A server may then write the last chunk, or else it cuts the connection so that the client knows.
///
/// A session that drains ends so too if events had left the log before it could send them: the farewell asks
/// the client to come back, which it does with the ID of the last event that it got.
constexpr bool is_complete(session_end end) noexcept {
    return end == session_end::closed || end == session_end::drained;
}

/// The name of the enumerator: "timed_out".
constexpr std::string_view to_string(session_end value) noexcept {
    switch (value) {
        case session_end::none: return "none";
        case session_end::closed: return "closed";
        case session_end::drained: return "drained";
        case session_end::behind: return "behind";
        case session_end::timed_out: return "timed_out";
        case session_end::kicked: return "kicked";
    }
    return "invalid";
}

/// One subscriber: what goes first, then the channel's events as they come, heartbeats, and an end in good
/// order.
///
/// It does nothing by itself. A loop asks what to do, does it, and says how much was sent:
///
///     for (;;) {
///         const sse::session::task task = session.next(now);
///         if (task.step == sse::session::step::finished) return close(fd);
///         if (task.step == sse::session::step::wait) return;  // for wake_up, or until task.until
///         const ssize_t size = ::send(fd, task.bytes.data(), task.bytes.size(), MSG_NOSIGNAL);
///         if (size < 0) return;  // EAGAIN: until the socket can be written, or task.until; else close
///         session.sent(static_cast<std::size_t>(size), now);
///     }
///
/// Takes some 200 bytes; besides, while they are sent, the head and what the options give. A server calls
/// `next` at least once a second, also if the socket takes nothing: see `channel_options::max_bytes`.
///
/// \pre one thread at a time
class session {
public:
    using time_point = std::chrono::steady_clock::time_point;

private:
    /// What a session is doing that is not over.
    enum class phase : unsigned char {
        open,      // sends what is published
        draining,  // sends what had been published when `drain` was called, then the farewell
        farewell,  // sends the farewell, or has sent it
    };

    const session_options* options_;
    sse::cursor cursor_;
    std::string own_;           // what goes before the cursor's bytes; never all sent
    std::size_t own_sent_ = 0;  // of it
    std::size_t given_ = 0;     // of the bytes that `next` gave last, how many have not been sent yet
    std::uint64_t sent_bytes_ = 0;
    time_point last_sent_;
    detail::send_deadline deadline_{};
    milliseconds retry_{};                     // what the farewell asks for, since `drain`
    std::optional<time_point> drain_until_{};  // since `drain`; nothing if it may take for ever
    phase phase_ = phase::open;
    session_end end_ = session_end::none;  // if another one, the cursor has ended and `own_` is empty

public:
    /// What the loop around a session has to do next.
    enum class step : unsigned char {
        send,      ///< send `bytes`, as far as the socket takes them, and say how many these were by `sent`
        wait,      ///< for the channel's wake-up
        finished,  ///< close the connection
    };

    struct task {
        session::step step = session::step::finished;
        std::string_view bytes{};           ///< live until the next call of a function that is not const
        std::optional<time_point> until{};  ///< when to ask again at the latest
    };

    /// \param head what goes first, such as the head of a response by `write_head`; empty if the server has
    ///        sent that. It is sent as it is: with chunked coding, the caller has to wrap what `next` gives.
    /// \pre what `gap` gives ends with a line end, as for `next`: or else it would spoil what follows
    /// \throws std::bad_alloc, what `gap` throws, and std::system_error if `retry` is negative
    session(const session_options& options, sse::cursor cursor, std::string head, time_point now)
        : options_(&options), cursor_(std::move(cursor)), own_(std::move(head)), last_sent_(now) {
        // A comment: the client sees that the stream is open before there is an event.
        own_ += ':';
        if (options.padding_bytes > 2) own_.append(options.padding_bytes - 2, ' ');
        own_ += '\n';
        const resumption found = cursor_.resumption();
        message first{.retry = options.retry};
        const std::string id = found == resumption::live ? position() : std::string();
        if (!id.empty()) first.id = id;
        if (first.id || first.retry) own_ += encode(first);
        if (found != resumption::gap && found != resumption::unknown) return;
        say_gap(found == resumption::gap ? std::optional(cursor_.missed()) : std::nullopt);
    }
    session(const session_options&&, sse::cursor, std::string, time_point) = delete;  // they would not live

    /// \param now does not go back
    /// \return what to do
    /// \throws std::bad_alloc, and what `gap` and `farewell` throw. The session may have lost what these were
    ///         to say: end it
    [[nodiscard]] task next(time_point now) & {
        given_ = 0;
        const task result = what_next(now);
        given_ = result.bytes.size();
        return result;
    }
    void next(time_point) && = delete;

    /// So many of the bytes that `next` gave, from their front, have been sent. If that is more than is left
    /// of those, it counts as what is left.
    void sent(std::size_t bytes, time_point now) noexcept {
        bytes = detail::smaller(bytes, given_);
        if (bytes == 0) return;
        given_ -= bytes;
        last_sent_ = now;
        sent_bytes_ += bytes;
        deadline_.sent(bytes);
        if (own_.empty()) {
            cursor_.consume(bytes);
        } else if (own_sent_ += bytes; own_sent_ == own_.size()) {
            drop_own();
        }
    }

    /// Ends it in good order: what has been published by now, then the farewell. Nobody is woken: ask `next`.
    ///
    /// \param random evenly distributed over all its values, and another one for each session
    void drain(std::uint64_t random, time_point now) {
        if (phase_ != phase::open || end_ != session_end::none) return;
        phase_ = phase::draining;
        cursor_.end_here();
        const auto spread = static_cast<std::uint64_t>(at_least_none(options_->max_drain_jitter));
        const auto added = static_cast<std::int64_t>(random % (spread + 1));
        const std::int64_t base = at_least_none(options_->drain_retry);
        retry_ = milliseconds(detail::add_saturating(base, added));
        drain_until_ = detail::after(now, options_->drain_timeout);
    }

    /// Ends it at once, even in the midst of an event, which the client then discards.
    void kick() noexcept {
        if (end_ == session_end::none) finish(session_end::kicked);
    }

    session_end end() const noexcept { return end_; }

    std::uint64_t sent_bytes() const noexcept { return sent_bytes_; }

private:
    static std::int64_t at_least_none(milliseconds time) noexcept {
        return time.count() > 0 ? time.count() : 0;
    }

    task what_next(time_point now) {
        for (;;) {
            if (end_ != session_end::none) return {};
            if (drain_until_ && now >= *drain_until_) return finish(session_end::timed_out);
            if (ends_when_behind() && cursor_.mark_if_behind()) return finish(session_end::behind);
            if (!own_.empty()) {
                // A client that takes none of it must not keep a segment that has left the log.
                if (cursor_.mark_if_behind()) static_cast<void>(cursor_.next_bytes());
                return offer(std::string_view(own_).substr(own_sent_), now);
            }
            if (const std::string_view bytes = cursor_.next_bytes(); !bytes.empty()) return offer(bytes, now);
            const cursor_state state = cursor_.state();
            if (state == cursor_state::following) {
                const auto heartbeat = detail::after(last_sent_, options_->heartbeat);
                if (!heartbeat || now < *heartbeat) {
                    deadline_.idle();
                    return {step::wait, {}, earlier(heartbeat)};
                }
                own_ = ":\n";
                if (cursor_.has_passed_over()) say_position();
                continue;
            }
            switch (phase_) {
                case phase::open:
                    if (state == cursor_state::ended) return finish(session_end::closed);
                    if (ends_when_behind()) continue;  // it has only just fallen behind: it ends above
                    skip();
                    break;
                case phase::draining: say_farewell(); break;
                case phase::farewell: return finish(session_end::drained);
            }
        }
    }

    task offer(std::string_view bytes, time_point now) {
        const std::optional<time_point> deadline = deadline_.offer(bytes.size(), now, options_->send_timeout);
        if (deadline && now >= *deadline) return finish(session_end::timed_out);
        return {step::send, bytes, earlier(deadline)};
    }

    /// Whether it ends at once if it falls behind. It does not wait for the client to take what it has been
    /// offered: the client may be reading nothing at all.
    bool ends_when_behind() const noexcept {
        return phase_ == phase::open && options_->when_behind == sse::when_behind::disconnect;
    }

    void skip() {
        say_gap(cursor_.skip(options_->when_behind == sse::when_behind::skip_to_latest ? skip_to::latest
                                                                                       : skip_to::oldest));
    }

    /// The text for the gap, and then an ID: a client that comes back has been told of the gap.
    void say_gap(std::optional<std::uint64_t> missed) {
        if (options_->gap) own_ += options_->gap(missed);
        assert(own_.empty() || own_.ends_with('\n'));  // or else it would spoil what follows
        say_position();
    }

    void say_position() {
        if (const std::string id = position(); !id.empty()) own_ += encode({.id = id});
    }

    std::string position() const {
        return options_->sends_position ? cursor_.last_event_id() : std::string();
    }

    void say_farewell() {
        own_ = options_->farewell ? options_->farewell(retry_) : encode({.retry = retry_});
        phase_ = phase::farewell;
    }

    /// Nothing of the log is kept for one that is over.
    task finish(session_end why) noexcept {
        end_ = why;
        given_ = 0;
        cursor_ = sse::cursor();
        drop_own();
        return {};
    }

    /// Frees the memory too: an idle subscriber keeps nothing.
    void drop_own() noexcept {
        std::string().swap(own_);
        own_sent_ = 0;
    }

    std::optional<time_point> earlier(std::optional<time_point> time) const noexcept {
        return drain_until_ && (!time || *drain_until_ < *time) ? drain_until_ : time;
    }
};

}  // namespace sse
