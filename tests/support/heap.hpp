// What a program allocates, counted by operator new. To be included by one of its translation units.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(begin, size) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(begin, size) static_cast<void>(0)
#endif

namespace test {

inline struct {
    std::size_t allocations = 0;
    std::size_t bytes = 0;  // allocated now
    std::size_t peak_bytes = 0;
    std::size_t allowed = SIZE_MAX;  // allocations before memory has run out
} heap;

// Each block is preceded by its size, which nobody else may read.
inline constexpr std::size_t block_header = alignof(std::max_align_t);

/// Counts what is allocated while it lives.
class count {
public:
    count() : allocations_(heap.allocations), bytes_(heap.bytes) { heap.peak_bytes = heap.bytes; }
    std::size_t allocations() const { return heap.allocations - allocations_; }
    std::size_t bytes() const { return heap.bytes - bytes_; }
    std::size_t peak_bytes() const { return heap.peak_bytes - bytes_; }

private:
    std::size_t allocations_;
    std::size_t bytes_;
};

}  // namespace test

void* operator new(std::size_t size) {
    auto* const block = static_cast<std::byte*>(std::malloc(size + test::block_header));
    if (block == nullptr) std::abort();
    if (test::heap.allowed == 0) {
        std::free(block);
        throw std::bad_alloc();
    }
    --test::heap.allowed;
    ::new (block) std::size_t(size);
    ASAN_POISON_MEMORY_REGION(block, test::block_header);
    ++test::heap.allocations;
    test::heap.bytes += size;
    test::heap.peak_bytes = std::max(test::heap.peak_bytes, test::heap.bytes);
    return block + test::block_header;
}
void operator delete(void* bytes) noexcept {
    if (bytes == nullptr) return;
    auto* const block = static_cast<std::byte*>(bytes) - test::block_header;
    ASAN_UNPOISON_MEMORY_REGION(block, test::block_header);
    test::heap.bytes -= *std::launder(static_cast<std::size_t*>(static_cast<void*>(block)));
    std::free(block);
}
void operator delete(void* bytes, std::size_t) noexcept { operator delete(bytes); }
// By default these call the above, but not under AddressSanitizer.
void* operator new[](std::size_t size) { return operator new(size); }
// NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDelete): this is what frees it
void operator delete[](void* bytes) noexcept { operator delete(bytes); }
void operator delete[](void* bytes, std::size_t) noexcept { operator delete(bytes); }
