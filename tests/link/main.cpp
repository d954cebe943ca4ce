#include <sse/fmt.hpp>
#include <sse/sse.hpp>

const std::error_category* category_seen_by_other();

int main() {
    // Codes of one translation unit must be recognised in another.
    return &sse::category() == category_seen_by_other() ? 0 : 1;
}
