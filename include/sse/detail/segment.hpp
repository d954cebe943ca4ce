// A segment of a channel's log.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string_view>

namespace sse::detail {

/// A segment of the log: one block of memory, with encoded events from its front, and an entry for each from
/// its back.
///
///     | segment | bytes of event 0 | bytes of event 1 | ->   room   <- | entry 1 | entry 0 |
///
/// Events are only added, by one thread at a time under the lock of the log, and read by others meanwhile.
/// What is below the extent does not change any more, but for `entry::previous`, which only the log uses,
/// under its lock. Who owns a segment, and who frees it, is described in log.hpp.
class segment {
public:
    struct entry {
        std::chrono::steady_clock::time_point time;
        std::uint64_t previous;  // for `own_ids`: the number of the next event of its chain, an older one
        std::uint32_t end;       // where its bytes end, counted from the first byte of all
    };

private:
    static constexpr std::uint32_t complete = std::uint32_t{1} << 31;

    std::uint64_t first_ = 0;   // the number of its first event
    std::size_t capacity_ = 0;  // how many bytes follow this object
    std::atomic<std::uint32_t> owners_{1};
    std::atomic<std::uint32_t> extent_{0};  // `added_`, for readers, and `complete` if no event will be added
    std::uint32_t added_ = 0;               // how many events it has; for the one who adds

public:
    /// What a reader may read.
    struct extent {
        std::uint32_t events;
        bool is_complete;  // no more will be added
    };

    /// How much memory an event takes in a segment of its own.
    static constexpr std::size_t memory_for(std::size_t event_bytes) noexcept {
        const std::size_t aligned = (event_bytes + alignof(entry) - 1) / alignof(entry) * alignof(entry);
        return sizeof(segment) + sizeof(entry) + aligned;
    }

    /// \pre memory is a multiple of the entries' alignment
    static segment* make(std::size_t memory) {
        return new (::operator new(memory)) segment(memory);
    }
    static void destroy(segment* self) noexcept {
        self->~segment();
        ::operator delete(self);
    }

    segment(const segment&) = delete;
    segment& operator=(const segment&) = delete;

    void add_owner() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
    bool drop_owner() noexcept { return owners_.fetch_sub(1, std::memory_order_acq_rel) == 1; }
    bool has_one_owner() const noexcept { return owners_.load(std::memory_order_acquire) == 1; }

    std::size_t memory() const noexcept { return sizeof(segment) + capacity_; }
    std::uint64_t first() const noexcept { return first_; }

    /// How many events have been added, and so can be read. Seq_cst, as is what adds them: see "Why no
    /// wake-up is lost" in log.hpp.
    extent read_extent() const noexcept {
        const std::uint32_t value = extent_.load(std::memory_order_seq_cst);
        return {value & ~complete, (value & complete) != 0};
    }

    std::uint32_t begin_of(std::uint32_t index) const noexcept { return index == 0 ? 0 : end_of(index - 1); }
    std::uint32_t end_of(std::uint32_t index) const noexcept { return entry_at(index).end; }
    std::string_view bytes(std::uint32_t begin, std::uint32_t end) const noexcept {
        return {data() + begin, end - begin};
    }
    std::string_view event(std::uint32_t index) const noexcept {
        return bytes(begin_of(index), end_of(index));
    }

    // For the one who adds, under its lock:

    std::uint64_t next() const noexcept { return first_ + added_; }
    const entry& entry_at(std::uint32_t index) const noexcept { return *(entries_end() - 1 - index); }
    std::uint64_t& previous_of(std::uint32_t index) noexcept { return (entries_end() - 1 - index)->previous; }

    bool has_room(std::size_t event_bytes) const noexcept {
        const std::size_t used = begin_of(added_) + (added_ + std::size_t{1}) * sizeof(entry);
        return used <= capacity_ && event_bytes <= capacity_ - used;
    }

    /// \pre there is room
    std::span<char> room(std::size_t event_bytes) noexcept {
        return {data() + begin_of(added_), event_bytes};
    }

    /// Makes an event visible whose bytes have been put into the room: the entry first, then the extent.
    void add(std::size_t event_bytes, std::chrono::steady_clock::time_point time,
             std::uint64_t previous) noexcept {
        const auto end = static_cast<std::uint32_t>(begin_of(added_) + event_bytes);
        new (entries_end() - 1 - added_) entry{time, previous, end};
        extent_.store(++added_, std::memory_order_seq_cst);
    }
    void finish() noexcept { extent_.store(added_ | complete, std::memory_order_seq_cst); }

    /// \pre nobody reads it
    void begin_at(std::uint64_t first) noexcept {
        first_ = first;
        added_ = 0;
        extent_.store(0, std::memory_order_relaxed);
    }

private:
    explicit segment(std::size_t memory) noexcept : capacity_(memory - sizeof(segment)) {}
    ~segment() = default;

    char* data() noexcept { return reinterpret_cast<char*>(this + 1); }
    const char* data() const noexcept { return reinterpret_cast<const char*>(this + 1); }
    entry* entries_end() noexcept { return static_cast<entry*>(static_cast<void*>(data() + capacity_)); }
    const entry* entries_end() const noexcept {
        return static_cast<const entry*>(static_cast<const void*>(data() + capacity_));
    }
};

}  // namespace sse::detail
