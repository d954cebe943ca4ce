#include <sse/fmt.hpp>
#include <sse/sse.hpp>

const std::error_category* category_seen_by_other() { return &sse::category(); }
