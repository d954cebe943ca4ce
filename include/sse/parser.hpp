// Bytes in, events out. Layer 2.
//
//     sse::parser parser;
//     auto error = parser.feed(bytes, [](const sse::event_view& event) { use(event.type, event.data); });
//
// The way of a byte, from a chunk to the handler:
//
//     detail/line.hpp finds where its line ends.
//     ├─ If all of its block lies in the chunk so far:
//     │  read_field() makes a view of the value; only data lines behind the first are copied, to join them.
//     │  At the blank line, dispatch() commits the id and calls the handler.
//     └─ Otherwise:
//        detail/field_reader.hpp reads as much of the line as has come, and decides what counts.
//        detail/kept_event.hpp keeps that; at the end of the line it becomes data, type or id.
//        At the blank line, dispatch_kept() commits the id and calls the handler.
#pragma once

#include "detail/bytes.hpp"
#include "detail/event_buffer.hpp"
#include "detail/field.hpp"
#include "detail/field_reader.hpp"
#include "detail/handler.hpp"
#include "detail/kept_event.hpp"
#include "detail/line.hpp"
#include "detail/line_ends.hpp"
#include "detail/macros.hpp"
#include "detail/utf8.hpp"
#include "error.hpp"
#include "event.hpp"

#include <array>
#include <cassert>
#include <cstddef>
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

/// What becomes of an event if the stream ends in the middle of it.
enum class unfinished_event : unsigned char {
    discard,  ///< it is dropped, as the standard says
    deliver,  ///< it is completed, for LLM servers that leave out the last blank line
};

struct parser_options {
    /// The most that may be retained of a stream at any byte of it: the last event ID, and of the event being
    /// read its id, its type, its data with the LFs that join the lines, and the unfinished value.
    /// Comments and unknown fields that no handler asks for are not retained and do not count.
    /// While its memory grows, a parser holds the old bytes beside the new ones: at most twice the limit, and
    /// only until they have moved.
    /// The default is far above what servers send, and far below what would hurt.
    std::size_t max_event_bytes = std::size_t{16} << 20;

    /// The ID to begin with, from an earlier connection. Copied.
    /// \pre has no CR, LF or NUL, as no received one has
    std::string_view last_event_id{};

    sse::invalid_utf8 invalid_utf8 = sse::invalid_utf8::keep;
};

/// Reads an event stream, in chunks of any size, and hands out its events.
///
/// Events are the same under every chunking. No byte sequence is an error; only the limit is.
///
/// An event that lies in one chunk and has one data line is not copied: the views of its type and its data
/// point into the chunk, and so does that of its id for a handler. It is copied if
/// - its block has any line but `data:`, `event:`, `id:` without a NUL, and comments that the handler does
///   not ask for: a `retry`, an unknown field, a field without a colon, an id with a NUL;
/// - one of these lines is not UTF-8, and is replaced as `invalid_utf8::replace` says;
/// - the chunk is larger than the room that the limit leaves, and the event hardly fits.
///
/// `Memory` holds what is retained between chunks: `sse::parser` has it on the heap, `sse::fixed_parser`
/// within itself. A std::vector<char> can be used for its allocator, and so can anything with `data()` and
/// `size()`. It grows if it can be made with a size.
///
/// A parser cannot be copied if its memory belongs to somebody else, as that of a std::span does: the copies
/// would write into the same bytes.
///
/// \pre Only `const` functions are called from inside a handler. Any other does nothing there: `feed` and
///      `finish` return `errc::called_from_handler`, `next` returns nothing. Only an assignment to the parser
///      is done: the rest of the chunk is then lost. A parser that was moved from can be destroyed, assigned
///      to, or `reset()`.
/// \complexity linear in the bytes, in every shape of stream and chunking. No allocation once the memory
///             has grown to what the largest event needs; in a fixed_parser none ever.
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
template <class Memory>
class basic_parser {
public:
    constexpr basic_parser() : basic_parser(parser_options{}) {}

    /// \post `error()` is set if `options.last_event_id` alone exceeds the limit
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
    /// \return `errc::event_too_large` once the limit is passed, and then until `reset()`; events before that
    ///         have been delivered. `errc::called_from_handler` if called from inside one: nothing is read.
    /// \throws what the handler and the allocator throw. The rest of the chunk is then lost; the parser is as
    ///         after `reset()`. A block counts as received if the handler threw at its end; so does its id.
    template <class Handler>
    constexpr sse::error feed(std::string_view bytes, Handler&& handler) {
        detail::check_handler<Handler>();
        if (is_in_handler()) return errc::called_from_handler;
        reading guard(*this);
        read(bytes, handler);
        guard.done();
        return error();
    }

    /// Pull: takes bytes off the front of `bytes` up to and with the next event, and returns that.
    ///
    ///     while (auto event = parser.next(bytes)) use(*event);
    ///
    /// \return nothing if all bytes are taken and no event is complete, or if the limit is passed: `error()`
    ///         tells which
    /// \post The views live until the next call of a function that is not const, and as long as the chunk.
    /// \throws what the allocator throws; then as for `feed`. An id does not count without its event.
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
    /// \post as after `reset()`, except that an error stays
    /// \throws as `feed`
    template <class Handler>
    constexpr sse::error finish(unfinished_event what, Handler&& handler) {
        detail::check_handler<Handler>();
        if (is_in_handler()) return errc::called_from_handler;
        reading guard(*this);
        read_end(what, handler);
        guard.done();
        return error();
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
        drop_block();
        restart();
        kept_.admit();
    }

    /// What stopped the parser, until `reset()`.
    constexpr sse::error error() const noexcept {
        if (kept_.is_too_large()) return errc::event_too_large;
        return {};
    }

    /// Whether the stream stands within an event: something of one, or of a line, was read since the last
    /// blank line.
    constexpr bool in_event() const noexcept {
        if (dispatched_ || kept_.is_too_large()) return false;
        return reader_.is_open() || kept_.has_block() || !lines_.held().empty();
    }

    /// The ID to send when connecting again: that of the last complete block that had one, or else
    /// `parser_options::last_event_id`. Lives until the next call of a function that is not const.
    constexpr std::string_view last_event_id() const noexcept SSE_LIFETIMEBOUND {
        return call_.last_event_id.data() ? call_.last_event_id : kept_.last_event_id();
    }

    /// What the server asked for by `retry`, if it did.
    constexpr std::optional<milliseconds> reconnection_time() const noexcept { return reconnection_time_; }

private:
    /// What belongs to one call that reads. A copy that a handler makes of the parser is in no call.
    struct call {
        std::string_view last_event_id{};  // in the chunk; if it has data(), instead of the one in kept_
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

    // The state. A block is loose while all of it lies in the chunk being read: its values are views, which
    // read_lines() alone knows; only data of several lines, which has to be contiguous, is in kept_. A block
    // that is not loose is in kept_ as a whole. When a call returns, nothing is loose.
    detail::kept_event<Memory> kept_;  // and whether the limit was passed
    call call_{};
    detail::line_splitter lines_{};  // whether the last chunk ended in a CR LF, or in a byte order mark
    detail::field_reader reader_{};  // the line that the last chunk ended in
    std::optional<milliseconds> reconnection_time_{};
    sse::invalid_utf8 invalid_utf8_;
    bool dispatched_ = false;  // the block in kept_ is over: it is dropped once nobody looks at its event

    /// The values of a loose block. A field has been read if its view has data().
    struct loose_block {
        std::string_view type{};
        std::string_view data{};
        std::string_view id{};
    };

    /// How the next line is read.
    enum class way : unsigned char {
        loose,    ///< as one of a loose block
        checked,  ///< as well, if it passes(): it may not fit, or have to be replaced
        kept,     ///< as one of a block that is kept, or over: nothing is loose
    };

    /// The handler if events are pulled: reading stops at each.
    struct puller {
        std::optional<event_view>& event;
        constexpr void on_event(const event_view& pulled) noexcept { event = pulled; }
    };

    /// One call that reads. Should an exception end it, no half event is left, nor a view into the chunk.
    class reading {
    public:
        constexpr explicit reading(basic_parser& owner) noexcept : owner_(owner) {
            owner_.call_.is_reading = true;
            if (owner_.dispatched_) owner_.drop_block();
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

    constexpr bool is_in_handler() const noexcept {
        assert(!call_.is_reading && "called from inside a handler");
        return call_.is_reading;
    }

    constexpr void start_from(std::string_view last_event_id) {
        if (kept_.fits(last_event_id.size())) kept_.set_last_event_id(last_event_id);
    }

    template <class Handler>
    constexpr void read(std::string_view& bytes, Handler& handler) {
        if (kept_.is_too_large()) return;
        if (!reader_.is_open() || continue_line(bytes, handler)) read_lines(bytes, handler);
        if (kept_.is_too_large()) give_up();
    }

    // The fast path: nearly every block lies in one chunk, and its values are left there.
    //
    // A function that returns a bool says whether to go on, if nothing else is said: not behind an event that
    // is pulled, not past the limit, and not once a handler has assigned to this parser.

    template <class Handler>
    [[gnu::noinline]] constexpr void read_lines(std::string_view& bytes, Handler& handler) {
        // To keep a loose block takes no more bytes than it has in the chunk: its values, and the LFs between
        // data lines. So if the chunk fits, each block in it fits.
        const bool fits = bytes.size() <= kept_.room();
        const way usual = fits && invalid_utf8_ == sse::invalid_utf8::keep ? way::loose : way::checked;
        way next = kept_.has_block() ? way::kept : usual;
        loose_block block;
        const char* const last = bytes.data() + bytes.size();
        lines_.split(
            bytes,
            [&](std::string_view line) SSE_INLINE {
                if (next == way::loose || (next == way::checked && passes(line, block))) [[likely]] {
                    if (line.empty()) {  // A blank line dispatches the event.
                        if (dispatch(block, handler)) {
                            block = {};
                            return true;
                        }
                        next = way::kept;  // this takes less time than to clear the block, which is over
                        return false;
                    }
                    if (read_field(line, last, block)) return true;
                    // A line that starts with a colon is ignored.
                    if (line.front() == ':' && !detail::has_on_comment<Handler>) return true;
                }
                keep(block);
                const bool goes_on = read_kept(line, handler);
                next = kept_.has_block() ? way::kept : usual;
                return goes_on;
            },
            [&](std::string_view beginning) {
                settle();  // an id that another has replaced must not take up room
                keep(block);
                reader_.template read<Handler>(beginning, kept_);
                next = way::kept;  // for the rest of a line that began like a byte order mark
            });
        if (next != way::kept) keep(block);
        settle();
    }

    /// \return whether the line is one of those that most are: data, event, or id, with a colon
    /// \pre the bytes behind the line can be read up to `last`
    /// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#processField
    [[gnu::always_inline]] constexpr bool read_field(std::string_view line, const char* last,
                                                     loose_block& block) {
        using detail::field, detail::value_of, detail::min_bytes_of;
        const auto size = static_cast<std::size_t>(last - line.data());
        if (size >= min_bytes_of<field::event>) {  // `data` needs less
            // The value is appended to the data buffer, behind an LF if there is data.
            if (const std::string_view value = value_of<field::data>(line); value.data()) {
                block.data = block.data.data() ? append_data(block.data, value) : value;
                return true;
            }
            // The event type buffer becomes the value.
            if (const std::string_view value = value_of<field::event>(line); value.data()) {
                block.type = value;
                return true;
            }
        }
        // The last event ID buffer becomes the value, unless that has a NUL. (The name has none, and with it
        // most ids are as long as has_nul() likes them.)
        if (size < min_bytes_of<field::id>) return false;
        const std::string_view value = value_of<field::id>(line);
        if (!value.data() || detail::has_nul(line)) return false;
        block.id = value;
        return true;
    }

    /// Dispatches the event of a loose block.
    /// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage
    template <class Handler>
    constexpr bool dispatch(const loose_block& block, Handler& handler) {
        const bool has_id = block.id.data() != nullptr;
        if (has_id) commit<Handler>(block.id);  // which may move what is kept
        const std::string_view id = has_id ? block.id : last_event_id();
        dispatched_ = kept_.has_data();
        const std::string_view data = dispatched_ ? kept_.data() : block.data;
        if (!tell(has_id, id, block.data.data() != nullptr, block.type, data, handler)) return false;
        if (dispatched_) drop_block();
        return true;
    }

    /// The last event ID becomes the id of a loose block.
    template <class Handler>
    constexpr void commit(std::string_view id) {
        if (std::is_same_v<Handler, puller> || kept_.has_data()) {
            kept_.set_last_event_id(id);
        } else {
            // It stays in the chunk, for the next block may well bring another. settle() must not allocate.
            kept_.reserve_last_event_id(id);
            call_.last_event_id = id;
        }
    }

    /// Tells the handler what the end of a block means. \pre its id, if it has one, is the last event ID
    template <class Handler>
    [[gnu::always_inline]] constexpr bool tell(bool has_id, std::string_view id, bool has_data,
                                               std::string_view type, std::string_view data,
                                               Handler& handler) {
        if constexpr (detail::has_on_id<Handler>) {
            if (has_id) {
                handler.on_id(id);
                if (!call_.is_reading) return false;
            }
        }
        // Without a data line there is no event.
        if (!has_data) return true;
        // The type is "message", unless the event type buffer says otherwise.
        const event_view event{type.empty() ? "message" : type, data, id};
        if constexpr (detail::has_on_event<Handler>) handler.on_event(event);
        else handler(event);
        return !std::is_same_v<Handler, puller> && call_.is_reading;
    }

    /// Joins a further data line to those before it.
    /// \return all of the data
    constexpr std::string_view append_data(std::string_view data, std::string_view line) {
        if (!kept_.has_data()) [[unlikely]] {
            settle();
            kept_.set_data(data);
        }
        kept_.append_data_line(line);
        return kept_.data();
    }

    /// \return whether the line fits for certain, and is handed on as it came
    constexpr bool passes(std::string_view line, const loose_block& block) const noexcept {
        const std::size_t data = kept_.has_data() ? 0 : block.data.size();
        return line.size() + block.type.size() + block.id.size() + data <= room() &&
               (invalid_utf8_ == sse::invalid_utf8::keep || detail::is_well_formed(line));
    }

    /// How many bytes more may be retained, besides a loose block.
    constexpr std::size_t room() const noexcept {
        const std::size_t stale = call_.last_event_id.data() ? kept_.last_event_id().size() : 0;
        return kept_.room() + stale - call_.last_event_id.size();
    }

    // From the fast path to the slow one

    /// From here on nothing is loose of the block.
    constexpr void keep(loose_block& block) {
        if (!block.type.data() && !block.data.data() && !block.id.data()) return;
        keep_values(block);
        block = {};
    }

    [[gnu::noinline]] constexpr void keep_values(const loose_block& block) {
        settle();
        if (!block.type.empty()) kept_.set_type(block.type);
        if (block.id.data()) kept_.set_id(block.id);
        if (block.data.data() && !kept_.has_data()) kept_.set_data(block.data);
    }

    /// From here on the last event ID does not lie in the chunk.
    constexpr void settle() noexcept {
        if (!call_.last_event_id.data()) return;
        kept_.set_last_event_id(call_.last_event_id);
        call_.last_event_id = {};
    }

    // The slow path: blocks that span chunks, or have lines unlike most

    /// Reads on in the line that the last chunk ended in.
    template <class Handler>
    constexpr bool continue_line(std::string_view& bytes, Handler& handler) {
        const auto [text, ended] = lines_.take_rest(bytes);
        reader_.template read_on<Handler>(text, kept_);
        if (!ended || !end_line(handler)) return false;
        if (lines_.take_empty(bytes) && !dispatch_kept(handler)) return false;
        // If chunks are small, what is left is often the beginning of a line. In as few bytes as one mask is
        // for, that is known at once, and to read it here takes less time than read_lines() takes to begin.
        if (bytes.size() > detail::mask_bytes || detail::find_line_end(bytes) < bytes.size()) return true;
        if (!bytes.empty()) reader_.template read<Handler>(bytes, kept_);
        bytes.remove_prefix(bytes.size());
        return false;
    }

    /// Reads a line, or the rest of one, whose end has come.
    template <class Handler>
    constexpr bool read_kept(std::string_view line, Handler& handler) {
        settle();
        // A blank line dispatches the event.
        if (line.empty() && !reader_.is_open()) return dispatch_kept(handler);
        reader_.template read<Handler>(line, kept_);
        return end_line(handler);
    }

    template <class Handler>
    constexpr bool end_line(Handler& handler) {
        reader_.end(kept_, invalid_utf8_ == sse::invalid_utf8::replace, reconnection_time_, handler);
        return !kept_.is_too_large() && call_.is_reading;
    }

    /// Dispatches the event of a block that is kept.
    template <class Handler>
    constexpr bool dispatch_kept(Handler& handler) {
        const bool has_id = kept_.has_id();
        kept_.commit_id();
        dispatched_ = true;
        if (!tell(has_id, last_event_id(), kept_.has_data(), kept_.type(), kept_.data(), handler))
            return false;
        drop_block();
        return true;
    }

    template <class Handler>
    constexpr void read_end(unfinished_event what, Handler& handler) {
        if (what == unfinished_event::deliver && !kept_.is_too_large()) {
            if (!lines_.held().empty()) reader_.template read<Handler>(lines_.held(), kept_);
            if (!reader_.is_open() || end_line(handler)) dispatch_kept(handler);
        }
        restart();
        if (!dispatched_) drop_block();
        if (kept_.is_too_large()) give_up();
    }

    // What is forgotten

    constexpr void drop_block() noexcept {
        kept_.drop_block();
        dispatched_ = false;
    }

    /// The next chunk begins a stream.
    constexpr void restart() noexcept {
        lines_.reset();
        reader_.reset();
        kept_.drop_line();
    }

    /// Lets go of the block and of the chunk.
    constexpr void abandon() noexcept {
        drop_block();
        restart();
        settle();
    }

    /// The limit was passed. A peer that sent too much must not make the parser keep the memory either, so it
    /// is freed, unless a last event ID is in it.
    constexpr void give_up() noexcept {
        abandon();
        kept_.release();
    }
};

/// A parser that grows on the heap, up to its limit.
using parser = basic_parser<detail::heap_memory>;

/// A parser that never allocates: `Size` is the limit, unless `max_event_bytes` is less.
template <std::size_t Size>
using fixed_parser = basic_parser<std::array<char, Size>>;

}  // namespace sse
