// What a redirect makes of a request: where it leads, and what of the request goes along.
#pragma once

#include "../error.hpp"
#include "../http.hpp"
#include "../url.hpp"
#include "ascii.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sse::detail {

/// Whether a header is only for the origin that it was meant for: by its name, or because it is among these.
inline bool is_secret(std::string_view name, const std::vector<std::string>& secret_headers) noexcept {
    if (is_secret_header(name)) return true;
    for (const std::string& secret : secret_headers) {
        if (equal_ignoring_case(name, secret)) return true;
    }
    return false;
}

/// Turns a request into the one that this response asks for. The steps are those of the Fetch standard; the
/// caller counts the redirects.
///
/// \return `errc::redirect_invalid`, `errc::redirect_insecure`; the request is then as it was
/// \note Deviation: a redirect from https to http is refused, because anybody on the way could then read the
///       request and forge events.
/// \spec https://fetch.spec.whatwg.org/#http-redirect-fetch
inline error follow_redirect(request& request, const response& response,
                             const std::vector<std::string>& secret_headers) {
    // "If locationURL is failure" or its "scheme is not an HTTP(S) scheme, then return a network error."
    const std::string_view location = find_header(response.headers, "Location").value_or("");
    result<url> next = resolve_url(request.url, location);
    if (!next) return errc::redirect_invalid;
    if (request.url.scheme == "https" && next->scheme != "https") return errc::redirect_insecure;

    // "status is 301 or 302 and request's method is `POST`", or "status is 303 and request's method is not
    // `GET` or `HEAD`": the method becomes GET, and the body and the headers about it go.
    const bool is_post = request.method == "POST";
    const bool is_get = request.method == "GET";
    if ((response.status <= 302 && is_post) || (response.status == 303 && !is_get)) {
        request.method = "GET";
        request.body.clear();
        std::erase_if(request.headers, [](const header& field) {
            return equal_ignoring_case(std::string_view(field.name).substr(0, 8), "Content-");
        });
    }
    // "If request's current URL's origin is not same origin with locationURL's origin", Authorization goes:
    // here with everything else that is secret.
    if (!same_origin(request.url, *next)) {
        std::erase_if(request.headers,
                      [&](const header& field) { return is_secret(field.name, secret_headers); });
    }
    request.url = *std::move(next);
    return {};
}

}  // namespace sse::detail
