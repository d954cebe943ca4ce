// All that a parser retains, in one block of memory, so that one limit bounds it.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace sse::detail {

/// Bytes on the heap. std::vector would do, but to include it costs a quarter of <string>; and std::string
/// takes one byte more than it is asked for.
class heap_memory {
public:
    constexpr heap_memory() noexcept = default;
    constexpr explicit heap_memory(std::size_t size) : data_(new char[size]{}), size_(size) {}
    constexpr heap_memory(const heap_memory& other) {
        if (other.size_ == 0) return;
        *this = heap_memory(other.size_);
        std::char_traits<char>::copy(data_, other.data_, size_);
    }
    constexpr heap_memory(heap_memory&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    constexpr heap_memory& operator=(heap_memory other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    constexpr ~heap_memory() { delete[] data_; }

    constexpr char* data() noexcept { return data_; }
    constexpr const char* data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }

private:
    char* data_ = nullptr;
    std::size_t size_ = 0;
};

/// The values that a parser keeps besides data.
enum class slot : unsigned char { type, id, last_event_id };

/// Data and the line being read grow from the front of the block, the slots from its back:
///
///     | data | line |    room    | slot | slot | slot |
///
/// The slot set last stands innermost, next to the room. Setting one moves only those set since it was, and
/// each of them at most twice until it is set again itself. So the work is linear in the bytes whatever the
/// order of the fields, and data never moves to make room for an id.
///
/// `Memory` has `data()` and `size()`. Where it can be made with a size, as heap_memory or a std::vector, it
/// is replaced by a larger one when it must grow.
template <class Memory>
class event_buffer {
public:
    constexpr explicit event_buffer(std::size_t limit) : limit_(limit) {}
    constexpr event_buffer(std::size_t limit, Memory&& memory) : memory_(std::move(memory)), limit_(limit) {}

    constexpr event_buffer(const event_buffer&) = default;
    constexpr event_buffer& operator=(const event_buffer&) = default;
    constexpr ~event_buffer() = default;

    /// \post `other` is empty
    constexpr event_buffer(event_buffer&& other) noexcept
        : memory_(std::move(other.memory_)), limit_(other.limit_), used_(std::exchange(other.used_, {})) {}
    constexpr event_buffer& operator=(event_buffer&& other) noexcept {
        memory_ = std::move(other.memory_);
        limit_ = other.limit_;
        used_ = std::exchange(other.used_, {});
        return *this;
    }

    /// How many bytes can be kept at most.
    constexpr std::size_t limit() const noexcept {
        if constexpr (growable) return limit_;
        return limit_ < memory_.size() ? limit_ : memory_.size();
    }

    // The views die with the next change.
    constexpr std::string_view data() const noexcept { return {memory_.data(), used_.data}; }
    constexpr std::string_view line() const noexcept { return {memory_.data() + used_.data, used_.line}; }
    constexpr std::string_view operator[](slot which) const noexcept {
        return {memory_.data() + position(which), size_of(which)};
    }

    /// Lengthens the line. \pre what is kept stays within `limit()`, here and below
    constexpr void append_to_line(std::string_view text) {
        reserve(text.size());
        traits::copy(memory_.data() + used_.data + used_.line, text.data(), text.size());
        used_.line += text.size();
    }

    /// Lengthens the line by `size` bytes, and moves what was in it to its end.
    /// \return where the line begins
    constexpr char* open_line(std::size_t size) {
        reserve(size);
        char* const begin = memory_.data() + used_.data;
        traits::move(begin + size, begin, used_.line);
        used_.line += size;
        return begin;
    }

    constexpr void drop_line() noexcept { used_.line = 0; }
    constexpr void drop_data() noexcept { used_.data = 0; }
    constexpr void move_line_to_data() noexcept { used_.data += std::exchange(used_.line, 0); }

    constexpr void move_line_to(slot which) noexcept {
        take_out(which);
        const std::string_view text = line();
        traits::move(put_in(which, text.size()), text.data(), text.size());  // no room is needed but its own
        drop_line();
    }

    /// \pre `text` does not lie in this buffer
    constexpr void set(slot which, std::string_view text) {
        take_out(which);
        reserve(text.size());
        traits::copy(put_in(which, text.size()), text.data(), text.size());
    }

    constexpr void drop(slot which) noexcept {
        if (size_of(which) != 0) take_out(which);
    }

    /// What is kept as the id is from now on kept as the last event ID.
    constexpr void rename_id_to_last_event_id() noexcept {
        take_out(slot::last_event_id);
        std::swap(used_.sizes[index(slot::id)], used_.sizes[index(slot::last_event_id)]);
        for (slot& which : used_.order) {
            if (which == slot::id) which = slot::last_event_id;
            else if (which == slot::last_event_id) which = slot::id;
        }
    }

    /// Makes the block as large as `size`, so that so much can be set later without an allocation.
    constexpr void reserve_block(std::size_t size) {
        if (size > memory_.size()) grow(size);
    }

private:
    using traits = std::char_traits<char>;  // copies and moves bytes, in constant expressions too

    static constexpr bool growable = std::is_constructible_v<Memory, std::size_t>;

    struct layout {
        std::size_t data = 0;
        std::size_t line = 0;
        std::array<std::size_t, 3> sizes{};
        std::array<slot, 3> order{slot::last_event_id, slot::id, slot::type};  // outermost first
    };

    static constexpr std::size_t index(slot which) noexcept { return static_cast<std::size_t>(which); }
    constexpr std::size_t size_of(slot which) const noexcept { return used_.sizes[index(which)]; }
    constexpr std::size_t slots_size() const noexcept {
        return used_.sizes[0] + used_.sizes[1] + used_.sizes[2];
    }

    constexpr std::size_t position(slot which) const noexcept {
        std::size_t position = memory_.size();
        for (const slot each : used_.order) {
            position -= size_of(each);
            if (each == which) break;
        }
        return position;
    }

    /// Empties a slot, closes the gap, and makes the slot the innermost.
    constexpr void take_out(slot which) noexcept {
        const std::size_t innermost = memory_.size() - slots_size();
        char* const begin = memory_.data() + innermost;
        traits::move(begin + size_of(which), begin, position(which) - innermost);
        used_.sizes[index(which)] = 0;

        std::size_t i = 0;
        while (used_.order[i] != which) ++i;
        for (; i + 1 < used_.order.size(); ++i) used_.order[i] = used_.order[i + 1];
        used_.order[i] = which;
    }

    /// Gives a slot its size. \pre it has just been taken out
    /// \return where it begins
    constexpr char* put_in(slot which, std::size_t size) noexcept {
        used_.sizes[index(which)] = size;
        return memory_.data() + memory_.size() - slots_size();
    }

    constexpr void reserve(std::size_t size) {
        const std::size_t needed = used_.data + used_.line + slots_size() + size;
        assert(needed <= limit());
        if (needed > memory_.size()) grow(needed);
    }

    constexpr void grow(std::size_t needed) {
        if constexpr (growable) {
            std::size_t size = memory_.size() < limit_ / 2 ? 2 * memory_.size() : limit_;
            if (size < 128) size = limit_ < 128 ? limit_ : 128;
            if (size < needed) size = needed;
            Memory wider = new_memory(size);
            const std::size_t back = slots_size();
            traits::copy(wider.data(), memory_.data(), used_.data + used_.line);
            traits::copy(wider.data() + size - back, memory_.data() + memory_.size() - back, back);
            memory_ = std::move(wider);
        }
    }

    constexpr Memory new_memory(std::size_t size) const {
        if constexpr (requires { memory_.get_allocator(); }) return Memory(size, memory_.get_allocator());
        else return Memory(size);
    }

    Memory memory_{};
    std::size_t limit_;
    layout used_{};
};

}  // namespace sse::detail
