// All that a parser retains, in one block of memory, so that one limit bounds it.
#pragma once

#include "bytes.hpp"

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
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
    constexpr explicit heap_memory(std::size_t size)
        : data_(size == 0 ? nullptr : new char[size]{}), size_(size) {}
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

/// How many bytes a kind of memory has room for, where that is known.
template <class Memory>
constexpr std::size_t max_bytes_of = SIZE_MAX;
template <std::size_t Size>
constexpr std::size_t max_bytes_of<std::array<char, Size>> = Size;

/// Whether copies of such a memory are the same bytes, as those of a span: then a constant one, too, gives
/// access that is not.
template <class Memory>
concept shares_bytes = requires(const Memory& memory) {
    requires std::is_same_v<decltype(memory.data()), char*>;
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

    // Not if both would then write into the same bytes.
    constexpr event_buffer(const event_buffer&) requires(!shares_bytes<Memory>) = default;
    constexpr event_buffer& operator=(const event_buffer&) requires(!shares_bytes<Memory>) = default;
    constexpr ~event_buffer() = default;

    /// \post `other` is empty, and has no memory that it would share
    constexpr event_buffer(event_buffer&& other) noexcept
        requires(!shares_bytes<Memory> || std::is_default_constructible_v<Memory>)
        : memory_(take(other.memory_)), limit_(other.limit_), used_(std::exchange(other.used_, {})) {}
    constexpr event_buffer& operator=(event_buffer&& other) noexcept
        requires(!shares_bytes<Memory> || std::is_default_constructible_v<Memory>) {
        memory_ = take(other.memory_);
        limit_ = other.limit_;
        used_ = std::exchange(other.used_, {});
        return *this;
    }

    /// How many bytes are kept.
    constexpr std::size_t size() const noexcept { return used_.data + used_.line + slots_size(); }

    /// How many bytes can be kept at most.
    constexpr std::size_t limit() const noexcept {
        if constexpr (growable) return limit_;
        return limit_ < memory_.size() ? limit_ : memory_.size();
    }

    /// How many bytes more can be kept.
    constexpr std::size_t room() const noexcept { return limit() - size(); }

    // The views die with the next change.
    constexpr std::string_view data() const noexcept { return {memory_.data(), used_.data}; }
    constexpr std::string_view line() const noexcept { return {memory_.data() + used_.data, used_.line}; }
    constexpr std::string_view operator[](slot which) const noexcept {
        return {memory_.data() + position(which), size_of(which)};
    }

    /// Lengthens the line. \pre what is kept stays within `limit()`, here and below
    [[gnu::always_inline]] constexpr void append_to_line(std::string_view text) {
        reserve(text.size());
        copy_bytes<max_bytes_of<Memory>>(memory_.data() + used_.data + used_.line, text.data(), text.size());
        used_.line += text.size();
    }

    /// Lengthens the data by an LF and a line. \pre the line being read is empty
    constexpr void append_data_line(std::string_view text) {
        reserve(1 + text.size());
        char* const end = memory_.data() + used_.data;
        *end = '\n';
        copy_bytes<max_bytes_of<Memory>>(end + 1, text.data(), text.size());
        used_.data += 1 + text.size();
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
    constexpr void drop_block() noexcept {
        used_.data = 0;
        if ((size_of(slot::type) | size_of(slot::id)) != 0) {
            drop(slot::type);
            drop(slot::id);
        }
    }
    constexpr void move_line_to_data() noexcept { used_.data += std::exchange(used_.line, 0); }

    constexpr void move_line_to(slot which) noexcept {
        drop(which);
        const std::string_view text = line();
        traits::move(put_in(which, text.size()), text.data(), text.size());  // no room is needed but its own
        drop_line();
    }

    /// Where this throws, the slot is as it was. \pre `text` does not lie in this buffer
    constexpr void set(slot which, std::string_view text) {
        if (size_of(which) != text.size()) {
            reserve_block(size() - size_of(which) + text.size());
            drop(which);
            put_in(which, text.size());
        }
        copy_bytes<max_bytes_of<Memory>>(memory_.data() + position(which), text.data(), text.size());
    }

    constexpr void drop(slot which) noexcept {
        if (size_of(which) != 0) take_out(which);
    }

    /// What is kept as the id is from now on kept as the last event ID.
    constexpr void rename_id_to_last_event_id() noexcept {
        drop(slot::last_event_id);
        std::swap(used_.sizes[index(slot::id)], used_.sizes[index(slot::last_event_id)]);
        std::swap(used_.backs[index(slot::id)], used_.backs[index(slot::last_event_id)]);
    }

    /// Makes the block as large as `size`, so that so much can be set later without an allocation.
    constexpr void reserve_block(std::size_t size) {
        assert(size <= limit());
        if (size > memory_.size()) [[unlikely]] grow(size);
    }

    /// Gives the memory back, where nothing is kept.
    constexpr void release() noexcept {
        if constexpr (growable) {
            if (size() != 0) return;
            memory_ = new_memory(0);
            used_ = {};
        }
    }

private:
    using traits = std::char_traits<char>;  // copies and moves bytes, in constant expressions too

    static constexpr bool growable = std::is_constructible_v<Memory, std::size_t>;

    struct layout {
        std::size_t data = 0;
        std::size_t line = 0;
        std::size_t slots = 0;  // the size of them all
        std::array<std::size_t, 3> sizes{};
        std::array<std::size_t, 3> backs{};  // how far each slot begins before the end of the block
    };

    static constexpr Memory take(Memory& from) noexcept {
        if constexpr (shares_bytes<Memory>) return std::exchange(from, Memory());
        else return std::move(from);
    }

    static constexpr std::size_t index(slot which) noexcept { return static_cast<std::size_t>(which); }
    constexpr std::size_t size_of(slot which) const noexcept { return used_.sizes[index(which)]; }
    constexpr std::size_t position(slot which) const noexcept {
        return memory_.size() - used_.backs[index(which)];
    }
    constexpr std::size_t slots_size() const noexcept { return used_.slots; }

    /// Empties a slot and closes the gap.
    constexpr void take_out(slot which) noexcept {
        const std::size_t back = used_.backs[index(which)];
        const std::size_t size = std::exchange(used_.sizes[index(which)], 0);
        const std::size_t further_in = used_.slots - back;
        used_.slots -= size;
        char* const begin = memory_.data() + (memory_.size() - back - further_in);
        traits::move(begin + size, begin, further_in);
        for (std::size_t& each : used_.backs) {
            if (each > back) each -= size;
        }
    }

    /// Gives an empty slot its size, as the innermost.
    /// \return where it begins
    constexpr char* put_in(slot which, std::size_t size) noexcept {
        used_.sizes[index(which)] = size;
        used_.slots += size;
        used_.backs[index(which)] = slots_size();
        return memory_.data() + (memory_.size() - slots_size());
    }

    constexpr void reserve(std::size_t size) { reserve_block(this->size() + size); }

    [[gnu::noinline]] constexpr void grow(std::size_t needed) {
        if constexpr (growable) {
            std::size_t size = memory_.size() < limit_ / 2 ? 2 * memory_.size() : limit_;
            // Not less than 128: otherwise it would grow several times for the first few values.
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
