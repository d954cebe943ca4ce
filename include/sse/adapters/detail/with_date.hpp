// Adds a Date to the head of a response that has none.
#pragma once

#include "../../http.hpp"

#include <chrono>

namespace sse::detail {

/// Adds when the response came, if the server has sent no Date: otherwise `retry_after` could not read a
/// date. A recipient with a clock may do so.
/// \spec RFC 9110, section 6.6.1
inline response with_date(response head) {
    if (!find_header(head.headers, "Date")) {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        const auto seconds = std::chrono::floor<std::chrono::seconds>(now).count();
        set_header(head.headers, "Date", format_http_date(seconds));
    }
    return head;
}

}  // namespace sse::detail
