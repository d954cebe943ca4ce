// Text in memory of exactly its size, so that who reads or writes beyond it is found out: under
// AddressSanitizer and on Windows the memory is from the heap; elsewhere a page that may not be touched lies
// next to it, behind the text or before it.
//
//     for (const test::edge where : test::edges) use(test::exact_copy(text, where));
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SSE_TEST_ON_HEAP
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(_WIN32)
#define SSE_TEST_ON_HEAP
#endif

#ifndef SSE_TEST_ON_HEAP
#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <vector>
#endif

namespace test {

#ifdef SSE_TEST_ON_HEAP
inline constexpr bool has_guard_pages = false;
#else
inline constexpr bool has_guard_pages = true;
#endif

/// Of the text, on which a page lies that may not be touched.
enum class edge { begin, end };

inline constexpr edge edges[] = {edge::begin, edge::end};

/// One or the other, in the same order in each run.
inline edge next_edge() {
    static std::uint32_t random = 1;
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    return random % 2 == 0 ? edge::begin : edge::end;
}

/// Bytes to write to, with nothing behind them or nothing before them.
class exact_block {
public:
    explicit exact_block(std::size_t size, edge where = next_edge());

    char* data() { return data_; }
    const char* data() const { return data_; }
    std::size_t size() const { return size_; }

private:
#ifdef SSE_TEST_ON_HEAP
    std::unique_ptr<char[]> memory_;
#else
    /// Pages between two that may not be touched. They are kept for the next block: to ask the system for them
    /// takes longer than most of what they are used for.
    struct pages {
        char* begin;
        std::size_t size;
    };
    struct give_back {
        using pointer = const pages*;
        void operator()(const pages* used) const { unused().push_back(used); }
    };

    static std::vector<const pages*>& unused() {
        static auto& all = *new std::vector<const pages*>;  // outlives every block
        return all;
    }
    static const pages* take(std::size_t size);

    std::unique_ptr<const pages, give_back> memory_;
#endif
    char* data_;
    std::size_t size_;
};

#ifdef SSE_TEST_ON_HEAP

inline exact_block::exact_block(std::size_t size, edge)
    : memory_(new char[size]), data_(memory_.get()), size_(size) {}

#else

inline const exact_block::pages* exact_block::take(std::size_t size) {
    if (!unused().empty() && unused().back()->size >= size) {
        const pages* const last = unused().back();
        unused().pop_back();
        return last;
    }
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t room = (size / page + 1) * page;
    void* const all = mmap(nullptr, page + room + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) throw std::bad_alloc();
    char* const begin = static_cast<char*>(all) + page;
    if (mprotect(begin, room, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    return new pages{begin, room};
}

inline exact_block::exact_block(std::size_t size, edge where)
    : memory_(take(size)),
      // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): it does not know what was kept
      data_(where == edge::begin ? memory_->begin : memory_->begin + memory_->size - size),
      size_(size) {}

#endif
#undef SSE_TEST_ON_HEAP

/// A copy with nothing behind it, or nothing before it.
class exact_copy {
public:
    explicit exact_copy(std::string_view text, edge where = next_edge()) : block_(text.size(), where) {
        text.copy(block_.data(), text.size());
    }

    const char* data() const { return block_.data(); }
    operator std::string_view() const { return {block_.data(), block_.size()}; }

private:
    exact_block block_;
};

}  // namespace test
