// A channel beside a model of it, and whatever may be done to both, in any order.
//
//     test::channel_model([&](std::size_t choices) { return random() % choices; }).run(100);
//
// Where they differ, `run` throws std::logic_error.
#pragma once

#include <sse/channel.hpp>
#include <sse/encoder.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

/// What a published event is to the rules.
struct published_event {
    std::string type;
    std::string own_id;
    std::string bytes;
    sse::channel::time_point time;
};

/// A cursor, and where it ought to be.
struct model_reader {
    sse::cursor real;
    std::vector<std::string> types;
    std::uint64_t number = 0;
    std::uint64_t stop = UINT64_MAX;
    std::uint64_t missed = 0;
    std::size_t offset = 0;
    sse::cursor_state state = sse::cursor_state::following;

    bool wants(const published_event& event) const {
        return types.empty() || std::find(types.begin(), types.end(), event.type) != types.end();
    }
};

/// A channel, beside a plain list of all that it was ever given and the rules of its documentation. Which
/// part of the log the bound on bytes takes is the channel's choice: of that it is asked how many are left.
template <class Pick>
class channel_model {
public:
    /// \param pick gives one of so many choices: `pick(3)` is 0, 1 or 2
    explicit channel_model(Pick pick) : pick_(std::move(pick)) {
        constexpr std::size_t events[] = {1, 2, 3, 5, 20, 200, 100'000};
        constexpr std::size_t bytes[] = {300, 1000, 5000, 20'000, ample};
        constexpr int ages[] = {0, 0, 1, 10, 100};
        options_.max_events = events[pick_(std::size(events))];
        options_.max_bytes = bytes[pick_(std::size(bytes))];
        options_.max_age = sse::milliseconds(ages[pick_(std::size(ages))]);
        options_.make_ids = pick_(4) != 0;
        options_.epoch = epoch;
        options_.wake_up = [this] { ++woken_; };
        real_.emplace(options_);
    }

    void run(std::size_t steps) {
        for (std::size_t i = 0; i < steps; ++i) {
            step();
            check();
        }
        if (pick(2) == 0) real_.reset(), is_closed_ = true;
        for (model_reader& each : readers_) {
            for (int i = 0; i < 1000 && (i < 2 || each.offset > 0); ++i) take(each);
        }
    }

private:
    static constexpr std::size_t ample = 4 << 20;
    static constexpr std::uint64_t epoch = 0xAB;
    static constexpr const char* prefix = "0000000000ab-";
    static constexpr const char* types[] = {"a", "ab", "message", "b"};

    std::size_t pick(std::size_t choices) { return pick_(choices); }
    static std::string made(std::uint64_t number) { return prefix + std::to_string(number); }
    static sse::channel::time_point at(std::chrono::milliseconds time) {
        return sse::channel::time_point(std::chrono::hours(1)) + time;
    }
    std::uint64_t next() const { return events_.size() + 1; }
    const published_event& event(std::uint64_t number) const {
        return events_[static_cast<std::size_t>(number - 1)];
    }

    static void expect(bool holds, const char* what) {
        if (!holds) throw std::logic_error(what);
    }

    void step() {
        const std::size_t choice = pick(100);
        if (choice < 30) publish();
        else if (choice < 42) subscribe();
        else if (choice < 85) take_one();
        else if (choice < 90) leave();
        else if (choice < 94) pass_time();
        else if (choice < 97) skip();
        else if (choice < 99) end_here();
        else if (pick(4) == 0) close();
    }

    std::optional<sse::channel::time_point> now() {
        if (pick(20) == 0) return at(now_ - std::chrono::milliseconds(pick(50)));  // back
        return at(now_);
    }

    void keep_time(sse::channel::time_point now) {
        if (options_.max_age.count() == 0) return;
        latest_ = std::max(latest_, now);
        while (first_ < next() && latest_ - event(first_).time > std::chrono::milliseconds(options_.max_age))
            ++first_;
    }

    void publish() {
        struct content {
            std::optional<std::string> type, data, id;
        };
        constexpr std::size_t sizes[] = {0, 5, 30, 30, 30, 200, 700, 3000};
        std::vector<content> contents(1 + (pick(4) == 0 ? pick(6) : 0));
        std::vector<sse::message> batch;
        sse::errc refusal = sse::errc::ok;
        for (content& each : contents) {
            if (pick(2) == 0) each.type = pick(8) == 0 ? "" : types[pick(std::size(types))];
            if (pick(8) != 0) each.data = std::string(pick(sizes[pick(std::size(sizes))] + 1), 'x');
            if (pick(2) == 0) each.id = pick(8) == 0 ? "" : "own " + std::to_string(pick(30));
            if (pick(40) == 0 && refusal == sse::errc::ok) {
                each.id = "\n";
                refusal = sse::errc::id_has_line_break;
            } else if (pick(30) == 0) {  // as the channel's own
                each.id = made(pick(events_.size() + 4));
                if (options_.make_ids && refusal == sse::errc::ok) refusal = sse::errc::id_reserved;
            }
            sse::message sent{.event = each.type, .data = each.data, .id = each.id};
            if (pick(8) == 0) sent.retry = std::chrono::milliseconds(pick(1000));
            batch.push_back(sent);
        }
        const std::optional<sse::channel::time_point> time = now();
        const std::uint64_t held_before = real_->stats().held_events;
        const bool is_received = batch.size() == 1 && batch[0].data && !batch[0].retry && pick(4) == 0;
        const auto publish_received = [&] {  // its ID is not sent
            const sse::event_view event{batch[0].event.value_or("message"), *batch[0].data,
                                        batch[0].id.value_or("")};
            if (event.type == "message") batch[0].event.reset();
            batch[0].id.reset();
            refusal = sse::errc::ok;
            return real_->publish(event, time);
        };
        const sse::publish_result result = is_received         ? publish_received()
                                           : batch.size() == 1 ? real_->publish(batch[0], time)
                                                               : real_->publish(batch, time);

        if (result.error) {
            if (result.error == sse::errc::event_too_large) {
                expect(std::any_of(batch.begin(), batch.end(),
                                   [&](const sse::message& each) {
                                       return sse::encoded_size(each) + 150 > options_.max_bytes;
                                   }),
                       "not too large");
            } else {
                expect(result.error == (refusal != sse::errc::ok ? refusal : sse::errc::channel_closed),
                       "refused");
                expect(refusal != sse::errc::ok || is_closed_, "refused as closed");
            }
            expect(real_->stats().held_events == held_before, "what is refused changed the log");
            return;
        }
        expect(refusal == sse::errc::ok && !is_closed_, "was to be refused");
        keep_time(*time);
        const sse::channel::time_point stamp = options_.max_age.count() == 0 ? *time : latest_;
        std::string made_id;
        for (const sse::message& each : batch) {
            sse::message sent = each;
            made_id.clear();
            const std::string id = made(next());
            if (options_.make_ids && !each.id) sent.id = made_id = id;
            const std::string_view type = each.event.value_or("");
            events_.push_back({std::string(type.empty() ? "message" : type),
                               std::string(each.id.value_or("")), sse::encode(sent), stamp});
        }
        expect(result.sequence == events_.size(), "sequence");
        expect(result.id() == made_id, "made ID");
        if (next() - first_ > options_.max_events) first_ = next() - options_.max_events;
        const std::uint64_t held = real_->stats().held_events;
        expect(held >= 1 && held <= next() - first_, "the bounds on events and age");
        expect(options_.max_bytes != ample || held == next() - first_, "dropped too many");
        first_ = next() - held;
        if (is_waiting_ || (may_wait_ && woken_ > expected_woken_)) ++expected_woken_;
        is_waiting_ = may_wait_ = false;
    }

    void subscribe() {
        if (readers_.size() >= 8) return;
        std::string id;
        const std::size_t choice = pick(8);
        if (choice < 4) id = made(pick(events_.size() + 4));
        else if (choice < 6) id = "own " + std::to_string(pick(32));
        else if (choice < 7) id = std::string(prefix) + "x";
        else if (!readers_.empty()) id = readers_[pick(readers_.size())].real.last_event_id();

        model_reader added;
        if (pick(3) == 0) {
            for (std::size_t i = 0; i <= pick(2); ++i)
                added.types.emplace_back(types[pick(std::size(types))]);
        }
        const bool replay_to_new = pick(2) == 0;
        const std::optional<sse::channel::time_point> time = now();
        const bool only_new = pick(3) == 0;
        added.real = real_->subscribe(
            id,
            {.types = added.types,
             .replay_to_new = replay_to_new,
             .when_unknown = only_new ? sse::when_unknown::only_new : sse::when_unknown::replay_all},
            time);
        keep_time(*time);

        sse::resumption resumption = sse::resumption::live;
        added.number = replay_to_new ? first_ : next();
        if (!id.empty()) {
            std::optional<std::uint64_t> last;
            for (std::uint64_t number = 0; number < next() && !last && options_.make_ids; ++number) {
                if (id == made(number)) last = number;
            }
            for (std::uint64_t number = first_; number < next(); ++number) {
                if (id == event(number).own_id) last = number;
            }
            resumption = last ? sse::resumption::resumed : sse::resumption::unknown;
            added.number = last ? *last + 1 : only_new ? next() : first_;
            if (added.number < first_) {
                resumption = sse::resumption::gap;
                added.missed = first_ - added.number;
                added.number = first_;
            }
        }
        expect(added.real.resumption() == resumption, "resumption");
        readers_.push_back(std::move(added));
    }

    void take_one() {
        if (!readers_.empty()) take(readers_[pick(readers_.size())]);
    }

    void take(model_reader& each) {
        const std::string_view bytes = each.real.next_bytes();
        const std::size_t size = expect_pending(each, bytes);
        if (real_ && pick(8) == 0) publish();  // the view stays
        std::size_t left = pick(3) == 0 ? pick(size + 1) : size;
        each.real.consume(left);
        if (pick(8) == 0) {  // too much counts as all that was given, and once
            constexpr std::size_t too_much[] = {1, 100, UINT32_MAX, SIZE_MAX};
            each.real.consume(size - left + too_much[pick(std::size(too_much))] % (SIZE_MAX - size));
            each.real.consume(too_much[pick(std::size(too_much))]);
            left = size;
        }
        while (left > 0) {
            const std::size_t of_event = event(each.number).bytes.size() - each.offset;
            each.offset = left < of_event ? each.offset + left : 0;
            if (left >= of_event) ++each.number;
            left -= std::min(left, of_event);
        }
    }

    /// \return how many bytes there are
    std::size_t expect_pending(model_reader& each, std::string_view bytes) {
        const std::size_t size = bytes.size();
        if (each.state == sse::cursor_state::ended || each.number >= each.stop) {
            each.state = sse::cursor_state::ended;
        } else if (each.number < first_ && each.offset == 0) {
            if (each.state != sse::cursor_state::behind) ++fell_behind_;
            each.state = sse::cursor_state::behind;
        } else {
            const std::uint64_t end = each.number < first_ ? each.number + 1 : std::min(next(), each.stop);
            while (each.number < end && !each.wants(event(each.number))) ++each.number;
            if (each.number == end) {
                if (is_closed_ || end == each.stop) each.state = sse::cursor_state::ended;
                (each.state == sse::cursor_state::ended ? may_wait_ : is_waiting_) = true;
            } else {
                // At least one event, and of those that follow in a row as many as the channel likes.
                std::size_t offset = each.offset;
                for (std::uint64_t number = each.number; number == each.number || !bytes.empty(); ++number) {
                    expect(number < end && each.wants(event(number)), "more than there is");
                    const std::string_view expected = std::string_view(event(number).bytes).substr(offset);
                    expect(bytes.starts_with(expected), "the bytes of an event");
                    bytes.remove_prefix(expected.size());
                    offset = 0;
                }
                return size;
            }
        }
        expect(size == 0, "something where nothing ought to be");
        return 0;
    }

    void leave() {
        if (readers_.empty()) return;
        std::swap(readers_[pick(readers_.size())], readers_.back());
        readers_.pop_back();
    }

    void pass_time() {
        now_ += std::chrono::milliseconds(pick(30));
        if (pick(2) == 0) return;
        const std::optional<sse::channel::time_point> time = now();
        real_->trim(time);
        keep_time(*time);
    }

    void skip() {
        if (readers_.empty()) return;
        model_reader& each = readers_[pick(readers_.size())];
        if (each.offset > 0) return;
        const bool to_latest = pick(2) == 0;
        if (each.state == sse::cursor_state::ended)
            return expect(each.real.skip(to_latest ? sse::skip_to::latest : sse::skip_to::oldest) == 0,
                          "skipped");
        const std::uint64_t to = to_latest ? next() : std::max(each.number, first_);
        each.missed = to - each.number;
        each.number = to;
        if (each.state == sse::cursor_state::behind) each.state = sse::cursor_state::following;
        expect(each.real.skip(to_latest ? sse::skip_to::latest : sse::skip_to::oldest) == each.missed,
               "skipped");
    }

    void end_here() {
        if (readers_.empty()) return;
        model_reader& each = readers_[pick(readers_.size())];
        each.real.end_here();
        each.stop = std::min(each.stop, next());
    }

    void close() {
        real_->close();
        if (!is_closed_) ++expected_woken_;
        is_closed_ = true;
    }

    void check() {
        const sse::channel_stats stats = real_->stats();
        expect(stats.published == events_.size(), "published");
        expect(stats.held_events == next() - first_, "held_events");
        expect(stats.subscribers == readers_.size(), "subscribers");
        expect(stats.held_bytes <= options_.max_bytes + readers_.size() * max_kept_bytes_,
               "the bound on bytes");
        expect(stats.fell_behind == fell_behind_, "fell_behind");
        expect(woken_ == expected_woken_, "wake-ups");
        std::size_t behind = 0;
        for (const model_reader& each : readers_) {
            behind += each.state == sse::cursor_state::behind;
            expect(each.real.state() == each.state, "state");
            expect(each.real.missed() == each.missed, "missed");
            expect(each.real.in_event() == (each.offset > 0), "in_event");
        }
        expect(stats.behind == behind, "behind");
        if (readers_.empty()) return;
        const model_reader& one = readers_[pick(readers_.size())];
        const std::uint64_t before = one.number - 1;
        const bool has_own = before >= first_ && before < next() && !event(before).own_id.empty();
        expect(one.real.last_event_id() == (has_own             ? event(before).own_id
                                            : options_.make_ids ? made(before)
                                                                : ""),
               "last_event_id");
    }

    Pick pick_;
    sse::channel_options options_{};
    std::optional<sse::channel> real_{};
    std::vector<published_event> events_{};  // all, ever: the number of the first is 1
    std::vector<model_reader> readers_{};
    std::size_t max_kept_bytes_ = 64 << 10;  // by a reader, of what has left the log: a segment, or one event
    std::uint64_t first_ = 1;
    std::chrono::milliseconds now_{0};
    sse::channel::time_point latest_{};
    std::uint64_t fell_behind_ = 0;
    std::size_t woken_ = 0;
    std::size_t expected_woken_ = 0;
    bool is_waiting_ = false;  // a cursor has found nothing
    bool may_wait_ = false;    // one has ended where it found nothing, which the hook may count or not
    bool is_closed_ = false;
};

}  // namespace test
