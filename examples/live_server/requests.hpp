// A client's requests, and the answers that it has not got yet: HTTP without the socket.
#pragma once

#include "server.hpp"
#include "settings.hpp"

#include <sse/error.hpp>
#include <sse/http.hpp>
#include <sse/http1.hpp>

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace live_server {

inline constexpr std::size_t max_body_bytes = std::size_t{1} << 20;
inline constexpr std::size_t max_bodies_bytes = std::size_t{64} << 20;  // of all requests under way

// Targets

// "a%20b+c" is "a b c".
inline std::string decode(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        unsigned char byte = 0;
        const bool is_coded =
            text.size() >= 3 && text[0] == '%' &&
            std::from_chars(text.data() + 1, text.data() + 3, byte, 16).ptr == text.data() + 3;
        if (is_coded) result += static_cast<char>(byte);
        else result += text[0] == '+' ? ' ' : text[0];
        text.remove_prefix(is_coded ? 3 : 1);
    }
    return result;
}

// The values that a target's query has for a name.
inline std::vector<std::string> parameters(std::string_view target, std::string_view name) {
    std::vector<std::string> result;
    const std::size_t mark = target.find('?');
    std::string_view rest = mark == std::string_view::npos ? "" : target.substr(mark + 1);
    while (!rest.empty()) {
        const std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
        const std::size_t equals = std::min(pair.find('='), pair.size());
        if (decode(pair.substr(0, equals)) != name) continue;
        result.push_back(decode(pair.substr(std::min(equals + 1, pair.size()))));
    }
    return result;
}

inline std::string first_parameter(std::string_view target, std::string_view name) {
    const std::vector<std::string> values = parameters(target, name);
    return values.empty() ? std::string() : values.front();
}

inline std::string_view path_of(std::string_view target) { return target.substr(0, target.find('?')); }

// Pages of others

// Whether the host is an address, or a name that somebody gave this server. Any page can let its own name lead
// to this server's address (DNS rebinding). The browser takes the two for one origin, and lets the page read and
// publish. An address cannot be misled like this, and browsers keep localhost for their own machine. They always
// name a host, so a client of HTTP/1.0 that names none is no browser.
inline bool is_own_name(std::string_view host, const std::vector<std::string>& names) {
    in_addr address{};
    const bool is_address =
        host.starts_with('[') || ::inet_pton(AF_INET, std::string(host).c_str(), &address) == 1;
    if (host.empty() || is_address) return true;
    if (host.ends_with('.')) host.remove_suffix(1);
    return host == "localhost" || host.ends_with(".localhost") ||
           std::find(names.begin(), names.end(), host) != names.end();
}

// Whether a page sends the request whose origin is neither this server's nor among those that are named. Any
// page can make its reader's browser send one. The browser tells by Origin and Sec-Fetch-Site, of which one may
// be missing; other programs send neither.
inline bool is_foreign(const sse::request& request, const std::vector<std::string>& named) {
    const auto from = sse::find_header(request.headers, "Origin");
    const bool is_own = !from || from->ends_with("://" + sse::authority(request.url));  // also behind TLS
    const std::string_view site = sse::find_header(request.headers, "Sec-Fetch-Site").value_or("none");
    if (is_own && (site == "same-origin" || site == "none")) return false;  // none: no page sent it
    return std::none_of(named.begin(), named.end(),
                        [&](const std::string& each) { return each == "*" || each == from; });
}

// Reading and answering

// A request's body. All bodies share `max_bodies_bytes`, and none keeps its memory beyond its request.
class shared_body {
public:
    explicit shared_body(std::atomic<std::size_t>& total) noexcept : total_(total) {}
    shared_body(const shared_body&) = delete;
    shared_body& operator=(const shared_body&) = delete;
    ~shared_body() { clear(); }

    std::string_view text() const noexcept { return text_; }

    // Returns whether there is room. The body must not become larger than `max_body_bytes`.
    bool append(std::string_view bytes) {
        const std::size_t size = text_.size() + bytes.size();
        if (size > text_.capacity()) {
            const std::size_t room = std::clamp(2 * text_.capacity(), size, max_body_bytes);
            const std::size_t added = room - std::exchange(counted_, room);
            if (total_.fetch_add(added, std::memory_order_relaxed) + added > max_bodies_bytes) return false;
            text_.reserve(room);
        }
        text_ += bytes;
        return true;
    }

    void clear() noexcept {
        std::string().swap(text_);  // clear() would keep the memory
        total_.fetch_sub(std::exchange(counted_, 0), std::memory_order_relaxed);
    }

private:
    std::atomic<std::size_t>& total_;
    std::size_t counted_ = 0;  // in the total
    std::string text_{};
};

// What a client gets that is one too many, before it has asked for anything.
inline constexpr std::string_view busy_answer =
    "HTTP/1.1 503 Service Unavailable\r\n"
    "Retry-After: 5\r\n"
    "Content-Length: 0\r\n"
    "Connection: close\r\n"
    "\r\n";

// One request at a time, and the answers that have not been sent.
struct exchange {
    server& shared;
    std::optional<sse::request_reader> reader{};
    shared_body body;
    std::string unsent{};  // answers, in the order of the requests
    steady::time_point deadline;
    bool is_idle = true;      // no request has begun
    bool is_closing = false;  // no other request is read
    bool is_over = false;     // and its answer has been sent: what the client still sends is thrown away

    exchange(server& server, steady::time_point now)
        : shared(server), body(server.figures.bodies_bytes), deadline(now) {
        expect_request(true, now);
    }

    const sse::request& request() const noexcept { return reader->request(); }

    // Nothing of the previous request stays in memory.
    void expect_request(bool has_no_bytes, steady::time_point now) {
        reader.emplace(sse::http1_options{.max_head_bytes = std::size_t{16} << 10, .max_headers = 100});
        body.clear();
        is_idle = has_no_bytes;
        deadline = now + shared.options.patience;
    }

    // Bytes have come.
    void begin(steady::time_point now) {
        if (std::exchange(is_idle, false)) deadline = now + shared.options.patience;
    }

    // Takes the next part of the request off the front of `bytes`, and refuses what is wrong with it. Returns
    // Returns `none` if it needs more bytes or has refused the request, and `end` if the request can be answered.
    sse::http_part take(std::string_view& bytes) {
        const sse::http_part found = reader->next(bytes);
        if (found == sse::http_part::none && reader->error()) refuse(reader->error());
        if (found == sse::http_part::head) check_head();
        if (found == sse::http_part::body) take_body(reader->body());
        if (found == sse::http_part::end) is_closing = !reader->keep_alive() || shared.is_draining;
        return found;
    }

    void answer(int status, std::string reason, std::string_view content, sse::headers more = {},
                std::string type = "text/plain; charset=utf-8") {
        sse::response head{.status = status, .reason = std::move(reason), .headers = std::move(more)};
        if (status != 204) {
            head.headers.push_back({"Content-Type", std::move(type)});
            head.headers.push_back({"Content-Length", std::to_string(content.size())});
        }
        if (is_closing) head.headers.push_back({"Connection", "close"});
        static_cast<void>(sse::write_head(unsent, head));  // cannot fail: all fields are our own
        if (request().method != "HEAD") unsent += content;
        if (status >= 400) count(shared.figures.rejected);
    }

    // Answers without reading the rest of the request.
    void refuse(int status, std::string reason, std::string_view why = {}) {
        is_closing = true;
        body.clear();
        answer(status, std::move(reason), why);
    }

private:
    void refuse(sse::error error) {
        const std::string why = fmt::format("{}\n", error.message());
        if (error.code() == sse::errc::http_head_too_large)
            refuse(431, "Request Header Fields Too Large", why);
        else if (error.code() == sse::errc::http_unsupported) refuse(501, "Not Implemented", why);
        else refuse(400, "Bad Request", why);
    }

    void check_head() {
        const std::string& host = request().url.host;
        if (!is_own_name(host, shared.options.names)) {
            return refuse(
                421, "Misdirected Request",
                fmt::format("this server serves {0} only if it is started with --name {0}\n", host));
        }
        const sse::headers& fields = request().headers;
        const std::string_view digits = sse::find_header(fields, "Content-Length").value_or("");
        std::uint64_t length = 0;
        std::from_chars(digits.data(), digits.data() + digits.size(), length);
        if (length > max_body_bytes) return refuse(413, "Content Too Large");
        const std::string_view expected = sse::find_header(fields, "Expect").value_or("");
        if (reader->takes_chunks() && sse::equal_ignoring_case(expected, "100-continue"))
            unsent += "HTTP/1.1 100 Continue\r\n\r\n";
    }

    void take_body(std::string_view bytes) {
        if (bytes.size() > max_body_bytes - body.text().size()) return refuse(413, "Content Too Large");
        if (!body.append(bytes)) refuse(503, "Service Unavailable", "too many large requests at once\n");
    }
};

}  // namespace live_server
