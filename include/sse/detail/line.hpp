// Where the lines of a stream end: BOM, CR, LF and CR LF, under any chunking. Layer 1.
//
//     lines.split(chunk, [](std::string_view line) { …; return true; },
//                 [](std::string_view beginning) { … });
#pragma once

#include "bytes.hpp"
#include "line_ends.hpp"
#include "macros.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace sse::detail {

/// Cuts a stream into lines, chunk by chunk, without copying and without holding back a finished line.
///
/// A line ends at CR LF, LF or CR. A CR ends its line at once; an LF right after it is dropped, even if it is
/// in the next chunk. One byte order mark at the very start is dropped, even if a chunk ends within it.
///
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
class line_splitter {
public:
    /// Calls `on_line(text)` for each line that ends in `chunk`, without its line end, until that returns
    /// false; then, at the end of the chunk, `on_unfinished(text)` with the beginning of a line whose end has
    /// not come. The next `on_line` completes a line whose beginning was given out before.
    ///
    /// \post `chunk` begins behind the last line given out, or is empty. The views point into it, except for
    ///       the first bytes of a byte order mark that proved to be none: these live as long as the program.
    /// \throws what `on_line` and `on_unfinished` throw; only `reset()` may follow
    /// \complexity linear in the bytes taken off `chunk`, by this call and the one before
    template <class OnLine, class OnUnfinished>
    SSE_INLINE constexpr void split(std::string_view& chunk, OnLine on_line, OnUnfinished on_unfinished) {
        if (chunk.empty()) return;
        if (at_start_) {
            if (!pass_byte_order_mark(chunk, on_unfinished)) return;
        } else if (after_cr_ && chunk.front() == '\n') {
            chunk.remove_prefix(1);
        }
        after_cr_ = false;

        const char* const first = chunk.data();
        const char* const last = first + chunk.size();
        const char* line = first;
        bool goes_on = true;
        for_each_line_end(chunk, window_, [&](const char* end) SSE_INLINE {
            const std::string_view text(line, static_cast<std::size_t>(end - line));
            line = end + 1;
            // The LF of a CR LF is no line end, but is marked as one: masks that tell CR from LF would cost a
            // second comparison of every byte. Here it is skipped for one comparison a line.
            if (text.empty() && end != first && end[-1] == '\r' && *end == '\n') return true;
            return goes_on = on_line(text);
        });
        if (goes_on) {
            if (line != last) on_unfinished(std::string_view(line, static_cast<std::size_t>(last - line)));
            line = last;
        }
        window_ = static_cast<std::size_t>(line - first) / mask_bytes * mask_bytes + mask_bytes;
        // If reading stopped behind a CR, its LF goes here, so that `chunk` begins with the next line. If the
        // chunk ended there, the next call drops it. (At least one byte was read, which is before `line`.)
        after_cr_ = line[-1] == '\r';
        if (after_cr_ && line != last && *line == '\n') {
            after_cr_ = false;
            ++line;
        }
        chunk.remove_prefix(static_cast<std::size_t>(line - first));
    }

    struct rest {
        std::string_view text;
        bool ended;  ///< or else the line goes on in the next chunk
    };

    /// Takes the rest of a line whose beginning was given out off the front of `chunk`, and its end. Does
    /// what split() does for one line, in less time.
    ///
    /// \pre the chunk before this one ended within a line
    /// \post the text points into `chunk`
    [[gnu::always_inline]] constexpr rest take_rest(std::string_view& chunk) noexcept {
        const std::size_t size = find_line_end(chunk);
        const std::string_view text = front(chunk, size);
        chunk.remove_prefix(size);
        if (chunk.empty()) return {text, false};
        take_end(chunk);
        return {text, true};
    }

    /// Takes an empty line off the front of `chunk`, if there is one.
    ///
    /// \pre take_rest() has just taken a line that ended
    constexpr bool take_empty(std::string_view& chunk) noexcept {
        if (!chunk.starts_with('\n') && !chunk.starts_with('\r')) return false;
        take_end(chunk);
        return true;
    }

    /// The bytes so far of what may yet be a byte order mark; at the end of the stream they are text.
    constexpr std::string_view held() const noexcept {
        return at_start_ ? front(byte_order_mark, mark_size_) : std::string_view();
    }

    /// The next chunk begins a new stream.
    constexpr void reset() noexcept { *this = {}; }

private:
    static constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

    /// \return whether it is known that the stream begins with a byte order mark, or that it does not
    template <class OnUnfinished>
    constexpr bool pass_byte_order_mark(std::string_view& chunk, OnUnfinished& on_unfinished) {
        while (mark_size_ < byte_order_mark.size()) {
            if (chunk.empty()) return false;
            if (chunk.front() != byte_order_mark[mark_size_]) {
                if (mark_size_ > 0) on_unfinished(held());
                break;
            }
            ++mark_size_;
            chunk.remove_prefix(1);
        }
        at_start_ = false;
        return true;
    }

    /// Takes a line end off the front of `chunk`, as far as it has come.
    constexpr void take_end(std::string_view& chunk) noexcept {
        const bool is_cr = chunk.front() == '\r';
        chunk.remove_prefix(1);
        after_cr_ = is_cr && chunk.empty();
        if (is_cr && chunk.starts_with('\n')) chunk.remove_prefix(1);
    }

    /// How many bytes to mark the line ends of at first: whole masks, as many as the last call read before
    /// its caller stopped it. A caller that takes one event at a time stops after a few lines, and the marks
    /// behind them would be made again by the next call; one that never stops soon has the largest window.
    std::size_t window_ = mask_bytes;
    bool at_start_ = true;        // within the byte order mark, or before it
    bool after_cr_ = false;       // the last chunk ended with a CR: an LF would belong to it
    std::uint8_t mark_size_ = 0;  // how much of a byte order mark has come
};

}  // namespace sse::detail
