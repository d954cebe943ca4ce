// Text in a heap block of exactly its size, so that AddressSanitizer sees what is read beyond it.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace test {

/// A copy with nothing behind it.
class exact_copy {
public:
    explicit exact_copy(std::string_view text) : bytes_(new char[text.size()]), size_(text.size()) {
        text.copy(bytes_.get(), size_);
    }

    const char* data() const { return bytes_.get(); }
    operator std::string_view() const { return {bytes_.get(), size_}; }

private:
    std::unique_ptr<char[]> bytes_;
    std::size_t size_;
};

}  // namespace test
