// What a parser keeps of the event that it reads: all that has to outlive a chunk.
#pragma once

#include "bytes.hpp"
#include "event_buffer.hpp"
#include "utf8.hpp"

#include <cstddef>
#include <string_view>
#include <utility>

namespace sse::detail {

/// The buffers of the standard, the line being read, and the limit that bounds them together.
///
/// | kept          | what it is                                                                        |
/// |---------------|-----------------------------------------------------------------------------------|
/// | line          | the value of the line being read, behind an LF if that is a further data line     |
/// | data          | the data lines of the block with LFs between; has_data() tells none from empty    |
/// | type          | the event type of the block; empty means "message"                                |
/// | id            | the id of the block, if has_id(); commit_id() makes it the last event ID          |
/// | last event ID | the id of the last complete block that had one                                    |
///
/// If something does not fit, it is not kept, and is_too_large() stays true until admit().
template <class Memory>
class kept_event {
public:
    constexpr explicit kept_event(std::size_t limit) : buffer_(limit) {}
    constexpr kept_event(std::size_t limit, Memory&& memory) : buffer_(limit, std::move(memory)) {}

    constexpr std::string_view line() const noexcept { return buffer_.line(); }
    constexpr std::string_view data() const noexcept { return buffer_.data(); }
    constexpr std::string_view type() const noexcept { return buffer_[slot::type]; }
    constexpr std::string_view last_event_id() const noexcept { return buffer_[slot::last_event_id]; }
    constexpr bool has_data() const noexcept { return has_data_; }
    constexpr bool has_id() const noexcept { return has_id_; }

    /// Whether something of a block is kept: not only a line, or the last event ID.
    constexpr bool has_block() const noexcept { return has_data_ || has_id_ || !type().empty(); }

    // The limit

    constexpr std::size_t room() const noexcept { return buffer_.room(); }
    constexpr bool is_too_large() const noexcept { return is_too_large_; }
    constexpr void admit() noexcept { is_too_large_ = false; }

    /// \return whether so many bytes more can be kept; if not, the event is too large
    constexpr bool fits(std::size_t size) noexcept {
        if (size <= room()) return true;
        is_too_large_ = true;
        return false;
    }

    // A line, as its bytes come

    [[gnu::always_inline]] constexpr void append_to_line(std::string_view text) {
        if (fits(text.size())) buffer_.append_to_line(text);
    }

    /// What stands before the value of a data line.
    constexpr void begin_data_line() {
        if (has_data_) append_to_line("\n");
    }

    /// Replaces what is not UTF-8.
    constexpr void replace_in_line() {
        if (is_well_formed(line())) return;
        const std::size_t growth = replacement_growth(line());
        if (!fits(growth)) return;
        char* const begin = buffer_.open_line(growth);
        replace_ill_formed(behind(line(), growth), begin);
    }

    constexpr void drop_line() noexcept { buffer_.drop_line(); }

    // A line that has ended: what becomes of its value

    constexpr void move_line_to_data() noexcept {
        buffer_.move_line_to_data();
        has_data_ = true;
    }
    constexpr void move_line_to_type() noexcept { buffer_.move_line_to(slot::type); }
    constexpr void move_line_to_id() noexcept {
        buffer_.move_line_to(slot::id);
        has_id_ = true;
    }

    // Values that lie in a chunk. \pre they fit, and no line is being read

    constexpr void set_type(std::string_view type) { buffer_.set(slot::type, type); }
    constexpr void set_id(std::string_view id) {
        buffer_.set(slot::id, id);
        has_id_ = true;
    }
    constexpr void set_data(std::string_view line) {
        buffer_.append_to_line(line);
        move_line_to_data();
    }
    /// \pre has_data()
    constexpr void append_data_line(std::string_view line) { buffer_.append_data_line(line); }

    // The last event ID

    /// Where this throws, it is as it was.
    constexpr void set_last_event_id(std::string_view id) { buffer_.set(slot::last_event_id, id); }

    /// From here on it can be set to `id` without an allocation, if nothing else is kept.
    constexpr void reserve_last_event_id(std::string_view id) { buffer_.reserve_block(id.size()); }

    // The end of a block

    /// The block's id becomes the last event ID, if there is one.
    constexpr void commit_id() noexcept {
        if (has_id_) buffer_.rename_id_to_last_event_id();
        has_id_ = false;
    }

    constexpr void drop_block() noexcept {
        buffer_.drop_block();
        has_data_ = false;
        has_id_ = false;
    }

    /// Gives the memory back, if nothing is kept.
    constexpr void release() noexcept { buffer_.release(); }

private:
    event_buffer<Memory> buffer_;
    bool has_data_ = false;
    bool has_id_ = false;
    bool is_too_large_ = false;
};

}  // namespace sse::detail
