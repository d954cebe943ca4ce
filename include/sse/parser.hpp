// Bytes in, events out. Layer 2.
//
//     sse::parser parser;
//     auto error = parser.feed(bytes, [](const sse::event_view& event) { use(event.type, event.data); });
#pragma once

#include "detail/event_buffer.hpp"
#include "detail/handler.hpp"
#include "detail/line.hpp"
#include "detail/macros.hpp"
#include "detail/utf8.hpp"
#include "error.hpp"
#include "event.hpp"

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace sse {

/// What becomes of bytes that are not UTF-8.
enum class invalid_utf8 : unsigned char {
    keep,     ///< they are handed on as they came
    replace,  ///< they become U+FFFD, just as in a browser
};

/// What becomes of an event that the stream ends in the middle of.
enum class unfinished_event : unsigned char {
    discard,  ///< it is dropped, as the standard says
    deliver,  ///< it is completed, as some LLM servers need that leave out the last blank line
};

struct parser_options {
    /// The most that may be retained of a stream at any byte of it: the last event ID, and of the event being
    /// read its id, its type, its data with the LFs that join the lines, and the unfinished value.
    /// Comments and unknown fields that no handler asks for are not retained and do not count.
    /// While its memory grows a parser holds the old block beside the new one: at most twice the limit, and
    /// only until the bytes have moved.
    /// The default is far above what servers send, and far below what would hurt.
    std::size_t max_event_bytes = std::size_t{16} << 20;

    /// The ID to begin with, from an earlier connection. Copied.
    /// \pre without CR, LF and NUL, as any that was received
    std::string_view last_event_id{};

    sse::invalid_utf8 invalid_utf8 = sse::invalid_utf8::keep;
};

namespace detail {

/// The value of a `retry` field, read in as many parts as one likes: only digits, held at the largest value.
class retry_value {
public:
    constexpr void read(std::string_view text) noexcept {
        for (const char c : text) {
            if (c < '0' || c > '9') {
                valid_ = false;
                return;
            }
            const int digit = c - '0';
            // Only constants are divided: on 32 bits to divide 64 is a lot of code.
            constexpr std::int64_t max = INT64_MAX;
            const bool fits = value_ < max / 10 || (value_ == max / 10 && digit <= max % 10);
            value_ = fits ? value_ * 10 + digit : max;
            empty_ = false;
        }
    }

    constexpr std::optional<milliseconds> get() const noexcept {
        return valid_ && !empty_ ? std::optional(milliseconds(value_)) : std::nullopt;
    }

private:
    std::int64_t value_ = 0;
    bool valid_ = true;
    bool empty_ = true;
};

}  // namespace detail

/// Reads an event stream, in chunks of any size, and hands out its events.
///
/// Events are the same under every chunking. No byte sequence is an error; only the limit is.
///
/// An event that lies in one chunk and has one data line is not copied: the views of its type and its data
/// point into the chunk, and so does that of its id for a handler. It is copied if
/// - its block also has a line other than `event`, `id` and a comment that no handler asks for; or a field
///   without a colon, or an id with a NUL;
/// - a line of it, with the rest of the chunk, has less than 8 bytes, as `id: 1` and the blank line behind it
///   at the end of a chunk;
/// - bytes of it are replaced, as `invalid_utf8::replace` asks for;
/// - the chunk is larger than the room that the limit leaves, and the event all but reaches that limit.
///
/// `Memory` holds what is retained between chunks: `sse::parser` has it on the heap, `sse::fixed_parser`
/// within itself. A std::vector<char> serves as well, for the sake of its allocator; so does anything with
/// `data()` and `size()` that, if it is to grow, can be made with a size.
///
/// It cannot be copied if its memory belongs to somebody else, as that of a std::span: the copies would write
/// into the same bytes.
///
/// \pre Only `const` functions are called from inside a handler. Another one does nothing there: `feed` and
///      `finish` return `errc::called_from_handler`, `next` nothing. Only an assignment to it is done: the
///      rest of the chunk is then lost. A parser that was moved from can be destroyed, assigned to, or
///      `reset()`.
/// \complexity linear in the bytes, in every shape of stream and chunking. No allocation once the memory
///             has grown to what the largest event needs; in a fixed_parser none ever.
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
template <class Memory>
class basic_parser {
public:
    constexpr basic_parser() : basic_parser(parser_options{}) {}

    /// \post `error()` is set where `options.last_event_id` alone exceeds the limit
    /// \throws what allocating a copy of `options.last_event_id` throws
    constexpr explicit basic_parser(const parser_options& options)
        : kept_(options.max_event_bytes), invalid_utf8_(options.invalid_utf8) {
        start_from(options.last_event_id);
    }

    /// Retains what it must in `memory`, or in larger ones with its allocator.
    /// \post as above
    /// \throws as above
    constexpr basic_parser(const parser_options& options, Memory memory)
        : kept_(options.max_event_bytes, std::move(memory)), invalid_utf8_(options.invalid_utf8) {
        start_from(options.last_event_id);
    }

    /// Push: reads a chunk, and calls `handler` for each event that is complete with it.
    ///
    /// \pre the handler asks for the same notifications in every call, as long as a line may be unfinished
    /// \return `errc::event_too_large` once the limit is passed, and then until `reset()`. Events before
    ///         that have been delivered. `errc::called_from_handler`, and nothing is read.
    /// \throws what the handler and the allocator throw. The rest of the chunk is then lost, the parser is as
    ///         after `reset()`. A block whose handler threw counts as received, and so does its id.
    template <class Handler>
    constexpr sse::error feed(std::string_view bytes, Handler&& handler) {
        detail::check_handler<Handler>();
        if (is_in_handler()) return errc::called_from_handler;
        reading guard(*this);
        read(bytes, handler);
        guard.done();
        return error_;
    }

    /// Pull: takes bytes off the front of `bytes` up to and with the next event, and returns that.
    ///
    ///     while (auto event = parser.next(bytes)) use(*event);
    ///
    /// \return nothing, where all bytes are taken and no event is complete, or where the limit is passed:
    ///         `error()` tells
    /// \post The views live until the next call of a function that is not const, and as long as the chunk.
    /// \throws what the allocator throws; then as for `feed`, but an id does not count without its event
    [[nodiscard]] constexpr std::optional<event_view> next(std::string_view& bytes) SSE_LIFETIMEBOUND {
        if (is_in_handler()) return std::nullopt;
        reading guard(*this);
        std::optional<event_view> event;
        puller handler{event};
        read(bytes, handler);
        guard.done();
        return event;
    }

    /// The stream has ended: drops the event half read, or completes it and calls `handler`.
    ///
    /// \return `error()`; with an error nothing is delivered
    /// \post as after `reset()`, save that an error stays
    /// \throws as `feed`
    template <class Handler>
    constexpr sse::error finish(unfinished_event what, Handler&& handler) {
        detail::check_handler<Handler>();
        if (is_in_handler()) return errc::called_from_handler;
        reading guard(*this);
        read_end(what, handler);
        guard.done();
        return error_;
    }

    /// The same for those who pull. \post The views live until the next call of a function that is not const.
    /// \throws what the allocator throws; then as for `feed`
    constexpr std::optional<event_view> finish(unfinished_event what) SSE_LIFETIMEBOUND {
        if (is_in_handler()) return std::nullopt;
        reading guard(*this);
        std::optional<event_view> event;
        puller handler{event};
        read_end(what, handler);
        guard.done();
        return event;
    }

    /// A new connection: forgets the event half read and the error, keeps the last event ID and the
    /// reconnection time.
    constexpr void reset() noexcept {
        if (is_in_handler()) return;
        end_block();
        restart();
        error_ = {};
    }

    /// What stopped the parser, until `reset()`.
    constexpr sse::error error() const noexcept { return error_; }

    /// Whether the stream stands within an event: something of one, or of a line, was read since the last
    /// blank line.
    constexpr bool in_event() const noexcept {
        if (dispatched_ || error_) return false;
        return keeps_ || !lines_.held().empty();
    }

    /// The ID to send when connecting again: that of the last complete block which had one, or else the one
    /// begun with. Lives until the next call of a function that is not const.
    constexpr std::string_view last_event_id() const noexcept SSE_LIFETIMEBOUND {
        if (dispatched_ && has_id_) return kept_[slot::id];
        return call_.last_event_id.data() ? call_.last_event_id : kept_[slot::last_event_id];
    }

    /// What the server asked for by `retry`, if it did.
    constexpr std::optional<milliseconds> reconnection_time() const noexcept { return reconnection_time_; }

private:
    using slot = detail::slot;

    /// What is read of a line that does not lie in the chunk as a whole: the value of one of the four fields,
    /// a comment, another field, what nobody asks for, or still the name. None: no such line is being read.
    enum class part : unsigned char { data, event, id, retry, comment, unknown, dropped, name, none };

    static constexpr std::array<std::string_view, 5> names{"data", "event", "id", "retry", ""};  // by part

    static constexpr std::string_view name_of(part field) noexcept {
        return names[static_cast<std::size_t>(field)];
    }

    /// The handler where events are pulled: reading stops at each.
    struct puller {
        std::optional<event_view>& event;
        constexpr void on_event(const event_view& pulled) noexcept { event = pulled; }
    };

    /// The values of a block that lies in the chunk so far. Only what has `data()` was read.
    struct loose_block {
        std::string_view type{};
        std::string_view data{};
        std::string_view id{};

        constexpr bool empty() const noexcept { return !type.data() && !data.data() && !id.data(); }
    };

    /// What belongs to one call that reads. A copy that a handler makes of the parser is in no call.
    struct call {
        std::string_view last_event_id{};  // in the chunk, and instead of the one kept, where it has data()
        bool is_reading = false;

        constexpr call() noexcept = default;
        constexpr call(const call&) noexcept {}
        constexpr call& operator=(const call&) noexcept {
            last_event_id = {};
            is_reading = false;  // the bytes being read were for what was here before
            return *this;
        }
        constexpr ~call() = default;
    };

    constexpr bool is_in_handler() const noexcept {
        assert(!call_.is_reading && "called from inside a handler");
        return call_.is_reading;
    }

    /// One call that reads. Should an exception end it, no half event is left, nor a view into the chunk.
    class reading {
    public:
        constexpr explicit reading(basic_parser& owner) noexcept : owner_(owner) {
            owner_.call_.is_reading = true;
            if (owner_.dispatched_) owner_.end_block();
        }
        reading(const reading&) = delete;
        reading& operator=(const reading&) = delete;
        constexpr ~reading() {
            if (!done_) owner_.abandon();
            owner_.call_.is_reading = false;
        }

        constexpr void done() noexcept { done_ = true; }

    private:
        basic_parser& owner_;
        bool done_ = false;
    };

    constexpr void start_from(std::string_view last_event_id) {
        if (fits(last_event_id.size())) kept_.set(slot::last_event_id, last_event_id);
    }

    // Reading a chunk

    template <class Handler>
    constexpr void read(std::string_view& bytes, Handler& handler) {
        if (error_) return;
        if (line_ == part::none || continue_line(bytes, handler)) read_lines(bytes, handler);
        if (error_) give_up();
    }

    /// \return whether there is more to read
    template <class Handler>
    constexpr bool continue_line(std::string_view& bytes, Handler& handler) {
        const auto [text, ended] = lines_.take_rest(bytes);
        if (line_ == part::data && !after_colon_) keep(text);
        else read_part<Handler>(text);
        if (ended) end_line(handler);
        if (!ended || error_ || !call_.is_reading) return false;
        if (lines_.take_empty(bytes)) {
            dispatch_kept(handler);
            if (dispatched_ || !call_.is_reading) return false;
        }
        if (bytes.size() > 64 || detail::find_line_end(bytes) < bytes.size()) return true;
        if (!bytes.empty()) read_part<Handler>(bytes);  // of which only the beginning is here
        bytes.remove_prefix(bytes.size());
        return false;
    }

    /// Nearly every block lies in one chunk. Its values are left there, and `block` is all that is known of
    /// them until the blank line; whatever is different goes by way of what is kept.
    template <class Handler>
    [[gnu::noinline]] constexpr void read_lines(std::string_view& bytes, Handler& handler) {
        const bool careful = invalid_utf8_ == sse::invalid_utf8::replace || bytes.size() + 2 > kept_.room();
        const char* const last = bytes.data() + bytes.size();
        bool slow = careful || keeps_;
        bool stopped = false;
        loose_block block;
        lines_.split(
            bytes,
            [&](std::string_view line) SSE_INLINE {
                if (!slow || (!keeps_ && is_plain(line, block))) [[likely]] {
                    if (line.empty()) {  // an empty line dispatches the event
                        if (!dispatch(block, handler)) {
                            stopped = true;
                            return false;
                        }
                        block = {};
                        return true;
                    }
                    if (read_field(line, last, block)) return true;
                    if (line.front() == ':' && !detail::has_on_comment<Handler>) return true;
                }
                keep(block);
                const bool goes_on = read_kept(line, handler);
                slow = careful || keeps_;
                return goes_on;
            },
            [&](std::string_view text) {
                settle();  // an id that another has replaced must not take up room
                keep(block);
                read_part<Handler>(text);
                slow = true;
            });
        if (error_) return;
        if (!stopped) keep(block);
        settle();
    }

    /// \return whether the line is data, event or id: most lines are, and only these are looked for here
    /// \pre up to `last` the bytes behind the line can be read
    /// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#processField
    [[gnu::always_inline]] constexpr bool read_field(std::string_view line, const char* last,
                                                     loose_block& block) {
        const char* const text = line.data();
        if (last - text < 8) return false;
        // No name holds a line end, so what equals one lies in this line.
        const auto begins_with = [&](std::string_view name) {
            return detail::load<std::uint32_t>(text) == word(name);
        };
        const auto value_from = [&](const char* begin) {
            return std::string_view(begin, static_cast<std::size_t>(text + line.size() - begin));
        };
        if (begins_with("data")) {  // appended, each line behind an LF
            const char* const value = behind_colon(text + 4);
            if (value == nullptr) return false;
            block.data = block.data.data() ? append_data(block.data, value_from(value)) : value_from(value);
            return true;
        }
        if (begins_with("even") && text[4] == 't') {  // becomes the type
            const char* const value = behind_colon(text + 5);
            if (value == nullptr) return false;
            block.type = value_from(value);
            return true;
        }
        if (text[0] == 'i' && text[1] == 'd') {  // becomes the id, unless it has a NUL
            const char* const value = behind_colon(text + 2);
            if (value == nullptr || detail::has_nul(line)) return false;
            block.id = value_from(value);
            return true;
        }
        return false;
    }

    static constexpr std::uint32_t word(std::string_view text) noexcept {
        return detail::load<std::uint32_t>(text.data());
    }

    /// \return where the value begins, behind the colon and one space; nullptr where no colon is
    static constexpr const char* behind_colon(const char* colon) noexcept {
        if (colon[0] == ':' && colon[1] == ' ') [[likely]] return colon + 2;
        return colon[0] == ':' ? colon + 1 : nullptr;
    }

    static constexpr std::string_view without_space(std::string_view value) noexcept {
        return detail::behind(value, value.starts_with(' ') ? 1 : 0);
    }

    /// \return whether the line fits for certain, and is handed on as it came
    constexpr bool is_plain(std::string_view line, const loose_block& block) const noexcept {
        const std::size_t loose = block.type.size() + block.id.size() + (has_data_ ? 0 : block.data.size());
        return line.size() + loose <= room() &&
               (invalid_utf8_ == sse::invalid_utf8::keep || detail::is_well_formed(line));
    }

    /// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage
    template <class Handler>
    constexpr bool dispatch(const loose_block& block, Handler& handler) {
        std::string_view id = block.id;
        if (!id.data()) {
            id = last_event_id();
        } else {  // first, the id becomes the last event ID
            if (has_data_ || std::is_same_v<Handler, puller>) {
                kept_.set(slot::last_event_id, id);
            } else {
                kept_.reserve_block(id.size());  // so that settle() need not allocate
                call_.last_event_id = id;
            }
            if constexpr (detail::has_on_id<Handler>) handler.on_id(id);
        }
        if (!block.data.data()) return call_.is_reading;  // without a data line there is no event
        const std::string_view type = block.type.empty() ? "message" : block.type;
        if (has_data_) {
            dispatched_ = true;
            if (!notify({type, kept_.data(), id}, handler)) return false;
            end_block();
            return true;
        }
        return notify({type, block.data, id}, handler);
    }

    /// \return whether to go on
    template <class Handler>
    constexpr bool notify(const event_view& event, Handler& handler) const {
        if constexpr (detail::has_on_event<Handler>) handler.on_event(event);
        else handler(event);
        return !std::is_same_v<Handler, puller> && call_.is_reading;
    }

    /// Reads a line of a block that is kept, or that is to be kept from here on.
    template <class Handler>
    constexpr bool read_kept(std::string_view line, Handler& handler) {
        settle();
        if (line_ == part::none && line.empty()) {
            dispatch_kept(handler);
        } else {
            read_part<Handler>(line);
            end_line(handler);
        }
        return !error_ && !dispatched_ && call_.is_reading;
    }

    /// From here on what was read of the block is kept.
    constexpr void keep(loose_block& block) {
        if (block.empty()) return;
        keep_values(block);
        block = {};
    }

    [[gnu::noinline]] constexpr void keep_values(const loose_block& block) {
        settle();
        if (!block.type.empty()) kept_.set(slot::type, block.type);
        if (block.id.data()) {
            kept_.set(slot::id, block.id);
            has_id_ = true;
        }
        if (block.data.data()) keep_data(block.data);
        keeps_ = keeps_block();
    }

    constexpr void keep_data(std::string_view data) {
        if (has_data_) return;
        kept_.append_to_line(data);
        kept_.move_line_to_data();
        has_data_ = true;
    }

    /// A further line of data: together they have to be contiguous, and so are kept.
    /// \return all of the data
    constexpr std::string_view append_data(std::string_view data, std::string_view line) {
        if (!has_data_) [[unlikely]] {
            settle();
            keep_data(data);
        }
        kept_.append_data_line(line);
        return kept_.data();
    }

    template <class Handler>
    constexpr void set_reconnection_time(Handler& handler) {
        const std::optional<milliseconds> time = retry_.get();
        if (!time) return;
        reconnection_time_ = time;
        if constexpr (detail::has_on_retry<Handler>) handler.on_retry(*time);
    }

    template <class Handler>
    static constexpr void notify_of_unknown_field(std::string_view line, Handler& handler) {
        const std::size_t colon = line.find(':');
        const bool has_value = colon != std::string_view::npos;
        const std::string_view rest = has_value ? detail::behind(line, colon + 1) : std::string_view();
        handler.on_unknown_field(detail::front(line, colon), without_space(rest));
    }

    // Reading a line in parts: what it is shows as soon as its name is over, and only what counts is kept.

    template <class Handler>
    constexpr void read_part(std::string_view text) {
        if (line_ == part::none) {
            keeps_ = true;
            if (begins_with_data(text)) {
                line_ = part::data;
                if (has_data_) keep("\n");
                const char* const value = behind_colon(text.data() + 4);
                return keep(detail::behind(text, static_cast<std::size_t>(value - text.data())));
            }
            line_ = part::name;
            name_size_ = 0;
        }
        if (line_ == part::name) read_name<Handler>(text);
        if (text.empty() || error_) return;
        if (after_colon_) text = without_space(text);
        after_colon_ = false;

        switch (line_) {
            case part::data:
            case part::event:
            case part::comment:
            case part::unknown: keep(text); break;
            case part::id:
                keep(detail::front(text, text.find('\0')));
                if (text.find('\0') != std::string_view::npos) {  // the field is to be ignored
                    kept_.drop_line();
                    line_ = part::dropped;
                }
                break;
            case part::retry: retry_.read(text); break;
            case part::dropped:
            case part::name:
            case part::none: break;
        }
    }

    static constexpr bool begins_with_data(std::string_view text) noexcept {
        return text.size() >= 8 && detail::load<std::uint32_t>(text.data()) == word("data") && text[4] == ':';
    }

    /// Takes the name of the field and its colon off the front of `text`.
    template <class Handler>
    constexpr void read_name(std::string_view& text) {
        if (text.empty()) return;
        if (name_size_ == 0) name_ = part_beginning_with(text.front());
        if (name_ == part::unknown) return begin_unknown<Handler>();
        const std::string_view name = name_of(name_);
        for (; name_size_ < name.size(); ++name_size_, text.remove_prefix(1)) {
            if (text.empty()) return;
            if (text.front() != name[name_size_]) return begin_unknown<Handler>();
        }
        if (text.empty()) return;
        if (text.front() != ':') return begin_unknown<Handler>();
        text.remove_prefix(1);
        begin_value<Handler>();
    }

    static constexpr part part_beginning_with(char byte) noexcept {
        switch (byte) {
            case 'd': return part::data;
            case 'e': return part::event;
            case 'i': return part::id;
            case 'r': return part::retry;
            case ':': return part::comment;
            default: return part::unknown;
        }
    }

    template <class Handler>
    constexpr void begin_value() {
        line_ = name_;
        after_colon_ = true;
        if (line_ == part::data && has_data_) keep("\n");
        if (line_ == part::retry) retry_ = {};
        if (line_ == part::comment && !detail::has_on_comment<Handler>) line_ = part::dropped;
    }

    template <class Handler>
    constexpr void begin_unknown() {
        line_ = part::dropped;
        if constexpr (detail::has_on_unknown_field<Handler>) {
            line_ = part::unknown;
            if (name_size_ != 0) keep(detail::front(name_of(name_), name_size_));
        }
    }

    template <class Handler>
    constexpr void end_line(Handler& handler) {
        if (line_ == part::name) {
            if (name_size_ == name_of(name_).size()) begin_value<Handler>();
            else begin_unknown<Handler>();
        }
        const part ended = std::exchange(line_, part::none);
        after_colon_ = false;
        if (error_ || !(invalid_utf8_ == sse::invalid_utf8::keep || replace_in_line())) return;

        const std::string_view line = kept_.line();
        switch (ended) {
            case part::data:
                has_data_ = true;
                kept_.move_line_to_data();
                break;
            case part::event: kept_.move_line_to(slot::type); break;
            case part::id:
                kept_.move_line_to(slot::id);
                has_id_ = true;
                break;
            case part::retry: set_reconnection_time(handler); break;
            case part::comment:
                if constexpr (detail::has_on_comment<Handler>) handler.on_comment(line);
                kept_.drop_line();
                break;
            case part::unknown:
                if constexpr (detail::has_on_unknown_field<Handler>) notify_of_unknown_field(line, handler);
                kept_.drop_line();
                break;
            case part::dropped:
            case part::name:
            case part::none: break;
        }
        keeps_ = keeps_block();
    }

    /// \return whether what replaces the ill-formed parts of the line stays within the limit
    constexpr bool replace_in_line() {
        if (detail::is_well_formed(kept_.line())) return true;
        const std::size_t growth = detail::replacement_growth(kept_.line());
        if (!fits(growth)) return false;
        char* const begin = kept_.open_line(growth);
        detail::replace_ill_formed(detail::behind(kept_.line(), growth), begin);
        return true;
    }

    [[gnu::always_inline]] constexpr void keep(std::string_view text) {
        if (fits(text.size())) kept_.append_to_line(text);
    }

    // The end of a block, and of the stream

    /// As dispatch(), of what is kept.
    template <class Handler>
    constexpr void dispatch_kept(Handler& handler) {
        dispatched_ = true;
        if constexpr (detail::has_on_id<Handler>) {
            if (has_id_) handler.on_id(last_event_id());
        }
        if (has_data_) {
            const std::string_view type = kept_[slot::type];
            if (!notify({type.empty() ? "message" : type, kept_.data(), last_event_id()}, handler)) return;
        }
        end_block();
    }

    /// Forgets the block; if it was dispatched, its id is the last event ID from now on.
    constexpr void end_block() noexcept {
        if (dispatched_ && has_id_) kept_.rename_id_to_last_event_id();
        kept_.drop_block();
        has_data_ = false;
        has_id_ = false;
        dispatched_ = false;
        keeps_ = line_ != part::none;
    }

    template <class Handler>
    constexpr void read_end(unfinished_event what, Handler& handler) {
        if (what == unfinished_event::deliver && !error_) {
            if (!lines_.held().empty()) read_part<Handler>(lines_.held());
            if (line_ != part::none) end_line(handler);
            if (!error_) dispatch_kept(handler);
        }
        restart();
        if (!dispatched_) end_block();
        if (error_) give_up();
    }

    constexpr void restart() noexcept {
        lines_.reset();
        line_ = part::none;
        keeps_ = false;
        after_colon_ = false;
        kept_.drop_line();
    }

    // What is retained

    /// \return whether so many bytes more may be retained; if not, that is the error
    /// \pre nothing is loose of what has been read
    constexpr bool fits(std::size_t size) noexcept {
        if (size <= kept_.room()) return true;
        error_ = errc::event_too_large;
        return false;
    }

    /// How many bytes more may be retained, besides what is loose of the block.
    constexpr std::size_t room() const noexcept {
        const std::size_t stale = call_.last_event_id.data() ? kept_[slot::last_event_id].size() : 0;
        return kept_.limit() - (kept_.size() - stale + call_.last_event_id.size());
    }

    constexpr bool keeps_block() const noexcept {
        return has_data_ || has_id_ || !kept_[slot::type].empty();
    }

    /// From here on the chunk is not needed for the last event ID.
    constexpr void settle() noexcept {
        if (!call_.last_event_id.data()) return;
        kept_.set(slot::last_event_id, call_.last_event_id);
        call_.last_event_id = {};
    }

    /// Lets go of the block and of the chunk.
    constexpr void abandon() noexcept {
        end_block();
        restart();
        settle();
    }

    /// The limit was passed: whoever sent that shall not keep the memory either. (Where an ID has to stay, it
    /// does.)
    constexpr void give_up() noexcept {
        abandon();
        kept_.release();
    }

    // Values are kept, or loose: views into the chunk, while that is read.
    detail::event_buffer<Memory> kept_;
    call call_{};

    detail::line_splitter lines_{};
    detail::retry_value retry_{};
    std::optional<milliseconds> reconnection_time_{};
    sse::error error_{};
    sse::invalid_utf8 invalid_utf8_;

    bool has_data_ = false;    // a data line was read: no data and empty data differ
    bool has_id_ = false;      // the block has an id, which does not count before the block is complete
    bool dispatched_ = false;  // the block is complete, and whoever gets its event has it
    bool keeps_ = false;       // something of the block is kept, or of a line in parts
    part line_ = part::none;
    part name_ = part::none;        // which field the name can be of, while line_ is part::name
    std::uint8_t name_size_ = 0;    // and how much of it has come
    bool after_colon_ = false;      // a space would not belong to the value
};

/// A parser that grows on the heap, up to its limit.
using parser = basic_parser<detail::heap_memory>;

/// A parser that never allocates: `Size` is the limit, where `max_event_bytes` is not less.
template <std::size_t Size>
using fixed_parser = basic_parser<std::array<char, Size>>;

}  // namespace sse
