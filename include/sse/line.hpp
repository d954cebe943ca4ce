// Where the lines of a stream end: BOM, CR, LF and CR LF, over any chunking. Layer 1.
//
//     lines.split(chunk, [](std::string_view line) { …; return true; }, [](std::string_view part) { … });
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace sse {

namespace detail {

/// Eight bytes of text as a number whose lowest byte is the first, on any machine.
constexpr std::uint64_t load_8(const char* text) noexcept {
    std::uint64_t word = 0;
    for (int i = 0; i < 8; ++i) word |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
    return word;
}

/// Walks over the CR and LF bytes of a text, in order.
///
/// A word of 64 bits says which of the next 64 bytes end a line, so that short lines do not cost a search
/// each.
class line_end_finder {
public:
    constexpr line_end_finder(const char* first, const char* last) noexcept
        : next_block_(first), last_(last) {}

    /// \return the next CR or LF, or nullptr where there is no more
    constexpr const char* next() noexcept {
        while (mask_ == 0) {
            if (next_block_ == last_) return nullptr;
            load_block();
        }
        const char* const end = block_ + std::countr_zero(mask_);
        mask_ &= mask_ - 1;
        return end;
    }

private:
    constexpr void load_block() noexcept {
        block_ = next_block_;
        if (last_ - block_ >= 64) {
            for (int i = 0; i < 8; ++i) mask_ |= ends_in(load_8(block_ + 8 * i)) << (8 * i);
            next_block_ += 64;
        } else {
            for (int i = 0; next_block_ != last_; ++next_block_, ++i) {
                if (*next_block_ == '\n' || *next_block_ == '\r') mask_ |= std::uint64_t{1} << i;
            }
        }
    }

    /// One bit for each of eight bytes: is it CR or LF?
    static constexpr std::uint64_t ends_in(std::uint64_t word) noexcept {
        const std::uint64_t high_bits = zero_bytes(word ^ (ones * '\n')) | zero_bytes(word ^ (ones * '\r'));
        return (high_bits >> 7) * 0x0102040810204080 >> 56;  // gathers bit 8 * i into bit i
    }

    /// The high bit of each byte that is zero. No carry leaves a byte, so the answer is exact for each.
    static constexpr std::uint64_t zero_bytes(std::uint64_t word) noexcept {
        return ~(((word & ~high) + ~high) | word | ~high);
    }

    static constexpr std::uint64_t ones = 0x0101010101010101;
    static constexpr std::uint64_t high = 0x8080808080808080;

    const char* block_ = nullptr;  // where the 64 bytes begin that the mask is of
    const char* next_block_;
    const char* last_;
    std::uint64_t mask_ = 0;       // the line ends of the block that are still to come
};

}  // namespace detail

/// Cuts a stream into lines, chunk by chunk, without copying and without holding back a finished line.
///
/// Lines end at CR LF, LF or CR; a CR ends its line at once, and an LF right after it, were it in the next
/// chunk, is dropped. One byte order mark at the very start is dropped, also when it comes in parts.
///
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
class line_splitter {
public:
    /// Calls `on_line(text)` for each line that ends in `chunk`, without its terminator, until that returns
    /// false; then, at the end of the chunk, `on_part(text)` with the beginning of a line whose end has not
    /// come. A line of which parts were given out before is completed by the next `on_line`.
    ///
    /// \post `chunk` begins behind the last line given out, or is empty. The views point into it, save for
    ///       the first bytes of a byte order mark that proved to be none: these live as long as the program.
    /// \complexity linear in the bytes taken off `chunk`, and at most 64 more
    template <class OnLine, class OnPart>
    constexpr void split(std::string_view& chunk, OnLine&& on_line, OnPart&& on_part) {
        if (chunk.empty()) return;
        if (at_start_) {
            if (!pass_byte_order_mark(chunk, on_part)) return;
        } else if (after_cr_ && chunk.front() == '\n') {
            chunk.remove_prefix(1);
        }
        after_cr_ = false;

        const char* line = chunk.data();
        const char* const last = line + chunk.size();
        detail::line_end_finder ends(line, last);
        while (const char* const end = ends.next()) {
            const std::string_view text(line, static_cast<std::size_t>(end - line));
            line = end + 1;
            if (*end == '\r') {
                if (line == last) {
                    after_cr_ = true;
                } else if (*line == '\n') {
                    ends.next();
                    ++line;
                }
            }
            if (!on_line(text)) {
                chunk.remove_prefix(static_cast<std::size_t>(line - chunk.data()));
                return;
            }
        }
        if (line != last) on_part(std::string_view(line, static_cast<std::size_t>(last - line)));
        chunk.remove_prefix(chunk.size());
    }

    /// The bytes so far of what may yet be a byte order mark; at the end of the stream they are text.
    constexpr std::string_view held() const noexcept {
        return at_start_ ? byte_order_mark.substr(0, mark_size_) : std::string_view();
    }

    /// The next chunk begins a new stream.
    constexpr void reset() noexcept { *this = {}; }

private:
    static constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

    /// \return whether the start of the stream is decided
    template <class OnPart>
    constexpr bool pass_byte_order_mark(std::string_view& chunk, OnPart& on_part) {
        while (mark_size_ < byte_order_mark.size()) {
            if (chunk.empty()) return false;
            if (chunk.front() != byte_order_mark[mark_size_]) {
                if (mark_size_ > 0) on_part(held());
                break;
            }
            ++mark_size_;
            chunk.remove_prefix(1);
        }
        at_start_ = false;
        return true;
    }

    bool at_start_ = true;
    bool after_cr_ = false;
    std::uint8_t mark_size_ = 0;  // how much of a byte order mark has come
};

}  // namespace sse
