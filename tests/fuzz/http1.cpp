// Invariant: however bytes are cut, a reader tells the same head, body, end and error. It tells them once and
// in this order, takes nothing more when it has stopped, hands out the body as views into what it was given,
// and retains no more than its bounds allow. A head that it accepted leaves no doubt where the body ends, can
// be written, and is read back as the same; so is a body that goes in chunks.
#include <sse/http1.hpp>

#include "../support/exact_copy.hpp"
#include "require.hpp"

#ifndef SSE_LIBFUZZER
#include "../support/heap.hpp"
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#ifdef SSE_LIBFUZZER  // what it allocates itself does not go through our operator new
namespace test {
struct count {
    std::size_t bytes() const { return 0; }
    std::size_t peak_bytes() const { return 0; }
};
}  // namespace test
#endif

namespace {

using sse::http_part;
using test::require;

constexpr sse::http1_options roomy{.max_head_bytes = 512, .max_headers = 16};
constexpr sse::http1_options tight{.max_head_bytes = 64, .max_headers = 4};

enum class cut { nowhere, everywhere, by_content };

template <class Use>
void for_each_piece(std::string_view bytes, cut where, Use use) {
    while (!bytes.empty()) {
        std::size_t size = bytes.size();
        if (where == cut::everywhere) size = 1;
        if (where == cut::by_content) size = std::min<std::size_t>(bytes.front() & 31, size);
        use(test::exact_copy(bytes.substr(0, size)));
        if (size == 0) use(test::exact_copy(bytes.substr(0, size = 1)));
        bytes.remove_prefix(size);
    }
}

/// A reader's `next`, held against what is true of it in every state.
template <class Reader>
class checked {
public:
    explicit checked(const sse::http1_options& options)
        : reader(options),
          // The fields, of a head and of trailers, and a line, while the memory for them grows.
          most_retained_(8 * options.max_head_bytes + 6 * sizeof(sse::header) * options.max_headers + 512),
          // A line end, the line before a chunk, and trailers.
          most_skipped_(2 + 2 * options.max_head_bytes) {}

    http_part next(std::string_view& bytes, bool has_stopped) {
        const std::string_view before = bytes;
        const test::count count;
        const http_part part = reader.next(bytes);
        require(retained_ + count.peak_bytes() <= most_retained_);
        retained_ += count.bytes();
        require(bytes.size() <= before.size());
        require(bytes.data() + bytes.size() == before.data() + before.size());
        skipped_ = part == http_part::none ? skipped_ + before.size() - bytes.size() : 0;
        require(skipped_ <= most_skipped_);
        if (has_stopped) require(part == http_part::none && bytes.size() == before.size());
        else if (part == http_part::none) require(bytes.empty() || reader.error());
        return part;
    }

    Reader reader;

private:
    std::size_t most_retained_;
    std::size_t most_skipped_;  // between two parts
    std::size_t retained_ = 0;
    std::size_t skipped_ = 0;
};

bool is_blank(char byte) { return byte == ' ' || byte == '\t'; }

void check_fields(const sse::headers& fields, const sse::http1_options& options) {
    require(fields.size() <= options.max_headers);
    std::size_t size = 0;
    for (const auto& [name, value] : fields) {
        require(!sse::check_header(name, value));
        require(value.empty() || !(is_blank(value.front()) || is_blank(value.back())));
        size += name.size() + value.size();
    }
    require(size <= options.max_head_bytes);
}

/// The one length that the fields name.
std::optional<std::uint64_t> find_length(const sse::headers& fields) {
    std::optional<std::uint64_t> length;
    for (const auto& [name, value] : fields) {
        if (!sse::equal_ignoring_case(name, "Content-Length")) continue;
        std::uint64_t number = 0;
        bool ended = true;  // a number, of which there may be several with commas between them
        for (const char byte : value + ',') {
            if (byte >= '0' && byte <= '9') {
                number = (ended ? 0 : number * 10) + static_cast<unsigned>(byte - '0');
                ended = false;
            } else if (byte == ',') {
                require(!ended && number == length.value_or(number));
                length = number;
                ended = true;
            } else {
                require(is_blank(byte));
            }
        }
    }
    return length;
}

bool is_chunked(const sse::headers& fields) {
    const auto coding = sse::find_header(fields, "Transfer-Encoding");
    if (coding) require(sse::equal_ignoring_case(*coding, "chunked") && !find_length(fields));
    return coding.has_value();
}

sse::headers without(sse::headers fields, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
        std::erase_if(fields, [&](const auto& field) { return sse::equal_ignoring_case(field.name, name); });
    }
    return fields;
}

// Responses

struct response_seen {
    int status = 0;
    std::string reason{};
    sse::headers headers{};
    std::string body{};
    bool has_head = false;
    bool has_ended = false;
    bool keep_alive = false;
    sse::error error{};
    std::string rest{};

    friend bool operator==(const response_seen&, const response_seen&) = default;
};

response_seen read_response(std::string_view bytes, cut where, const sse::http1_options& options) {
    checked<sse::response_reader> it(options);
    const sse::response_reader& reader = it.reader;
    response_seen seen;
    for_each_piece(bytes, where, [&](std::string_view left) {
        for (;;) {
            const char* const begin = left.data();
            switch (it.next(left, seen.has_ended || reader.error())) {
                case http_part::none: seen.rest += left; return;
                case http_part::head:
                    require(!seen.has_head);
                    seen.has_head = true;
                    seen.status = reader.response().status;
                    seen.reason = reader.response().reason;
                    seen.headers = reader.response().headers;
                    break;
                case http_part::body:
                    require(seen.has_head && !seen.has_ended && !reader.body().empty());
                    require(reader.body().data() >= begin);
                    require(reader.body().data() + reader.body().size() == left.data());
                    seen.body += reader.body();
                    break;
                case http_part::end:
                    require(seen.has_head && !seen.has_ended);
                    seen.has_ended = true;
                    break;
            }
            require(seen.has_ended || !reader.keep_alive());
        }
    });
    seen.keep_alive = reader.keep_alive();
    const bool had_stopped = seen.has_ended || reader.error();
    if (it.reader.finish() == http_part::end) {
        require(seen.has_head && !had_stopped);
        seen.has_ended = true;
    }
    seen.error = reader.error();
    require(seen.has_ended != static_cast<bool>(seen.error));
    std::string_view more = "HTTP/1.1 200 OK\r\n\r\n";
    require(it.next(more, true) == http_part::none && it.reader.finish() == http_part::none);
    require(reader.error() == seen.error && !reader.keep_alive());
    if (!seen.has_head) return seen;

    require(reader.response().status == seen.status && reader.response().headers == seen.headers);
    require(seen.status >= 200 && seen.status <= 999 && !sse::check_header("-", seen.reason));
    check_fields(seen.headers, options);
    if (seen.status == 204 || seen.status == 304) {
        require(seen.body.empty() && seen.has_ended);
        return seen;
    }
    const std::optional<std::uint64_t> length = find_length(seen.headers);
    const bool chunked = is_chunked(seen.headers);
    if (length) require(seen.has_ended ? seen.body.size() == *length : seen.body.size() < *length);
    require(length || chunked || !seen.keep_alive);
    return seen;
}

void check_written(const response_seen& expected) {
    std::string bytes;
    require(!sse::write_head(bytes, {expected.status, expected.reason, expected.headers}));
    const bool has_body = expected.status != 204 && expected.status != 304;
    if (has_body && is_chunked(expected.headers)) {
        require(!sse::write_chunk(bytes, expected.body));
        if (expected.has_ended) require(!sse::write_last_chunk(bytes));
    } else {
        bytes += expected.body;
    }
    const response_seen seen = read_response(bytes, cut::nowhere, {});
    require(seen.status == expected.status && seen.reason == expected.reason);
    require(seen.headers == expected.headers && seen.body == expected.body && seen.rest.empty());
    require(seen.has_ended == expected.has_ended);
}

void check_response(std::string_view bytes) {
    const response_seen expected = read_response(bytes, cut::nowhere, roomy);
    const auto is_same = [](response_seen left, response_seen right) {
        // Which bytes of the line that is too long have been taken depends on how it was cut.
        if (left.error == sse::errc::http_head_too_large) left.rest = right.rest;
        return left == right;
    };
    require(is_same(read_response(bytes, cut::everywhere, roomy), expected));
    require(is_same(read_response(bytes, cut::by_content, roomy), expected));

    const response_seen bounded = read_response(bytes, cut::nowhere, tight);
    require(is_same(read_response(bytes, cut::everywhere, tight), bounded));
    require(bounded.error == sse::errc::http_head_too_large || bounded == expected);
    if (expected.has_head) check_written(expected);
}

// Requests

struct request_seen {
    sse::request request{};
    bool has_head = false;
    bool takes_chunks = false;
    sse::error error{};
    std::string rest{};

    friend bool operator==(const request_seen& left, const request_seen& right) {
        return left.request.method == right.request.method && left.request.url == right.request.url &&
               left.request.headers == right.request.headers && left.has_head == right.has_head &&
               left.takes_chunks == right.takes_chunks && left.error == right.error &&
               left.rest == right.rest;
    }
};

request_seen read_request(std::string_view bytes, cut where, const sse::http1_options& options) {
    checked<sse::request_reader> it(options);
    request_seen seen;
    for_each_piece(bytes, where, [&](std::string_view left) {
        for (;;) {
            const http_part part = it.next(left, seen.has_head || it.reader.error());
            if (part == http_part::none) break;
            require(part == http_part::head && !seen.has_head);
            seen.has_head = true;
        }
        seen.rest += left;
    });
    seen.error = it.reader.error();
    if (!seen.has_head) return seen;

    seen.request = it.reader.request();
    seen.takes_chunks = it.reader.takes_chunks();
    require(!seen.error && seen.request.body.empty() && seen.request.url.target.starts_with('/'));
    check_fields(seen.request.headers, options);
    const std::size_t size = seen.request.headers.size();
    const std::size_t hosts = size - without(seen.request.headers, {"Host"}).size();
    require(hosts == 1 || (hosts == 0 && !seen.takes_chunks));
    static_cast<void>(find_length(seen.request.headers));
    static_cast<void>(is_chunked(seen.request.headers));
    return seen;
}

void check_written(const request_seen& original) {
    sse::request expected = original.request;
    expected.body = original.rest;
    if (expected.url.host.empty()) {  // of an HTTP/1.0 client: there is nobody to ask
        std::string nothing;
        require(sse::write_request(nothing, expected) == sse::errc::url_host_invalid && nothing.empty());
        return;
    }
    if (expected.url.scheme ==
        "https") {  // what goes to a server does not say so, but then Host has the port
        expected.url.scheme = "http";
        expected.headers = without(expected.headers, {"Host"});
    }
    std::string bytes;
    require(!sse::write_request(bytes, expected));
    const request_seen seen = read_request(bytes, cut::nowhere, {});
    require(seen.has_head && seen.takes_chunks && seen.rest == expected.body);
    require(seen.request.method == expected.method && seen.request.url == expected.url);
    const auto unframed = [](const sse::headers& fields) {
        return without(fields, {"Host", "Content-Length", "Transfer-Encoding"});
    };
    require(unframed(seen.request.headers) == unframed(expected.headers));
    require(find_length(seen.request.headers).value_or(0) == expected.body.size());
}

void check_request(std::string_view bytes) {
    const request_seen expected = read_request(bytes, cut::nowhere, roomy);
    const auto is_same = [](request_seen left, const request_seen& right) {
        if (left.error == sse::errc::http_head_too_large) left.rest = right.rest;
        return left == right;
    };
    require(is_same(read_request(bytes, cut::everywhere, roomy), expected));
    require(is_same(read_request(bytes, cut::by_content, roomy), expected));

    const request_seen bounded = read_request(bytes, cut::nowhere, tight);
    require(is_same(read_request(bytes, cut::everywhere, tight), bounded));
    require(bounded.error == sse::errc::http_head_too_large || bounded == expected);
    if (expected.has_head) check_written(expected);
}

// Chunks

void check_chunks(std::string_view body) {
    std::string bytes;
    require(!sse::write_head(bytes, {.status = 200, .headers = {{"Transfer-Encoding", "chunked"}}}));
    for_each_piece(body, cut::by_content,
                   [&](std::string_view piece) { require(!sse::write_chunk(bytes, piece)); });
    require(!sse::write_last_chunk(bytes));
    bytes += "rest";
    for (const cut where : {cut::nowhere, cut::by_content}) {
        const response_seen seen = read_response(bytes, where, tight);
        require(seen.has_ended && seen.keep_alive && seen.body == body && seen.rest == "rest");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    check_response(bytes);
    check_request(bytes);
    check_chunks(bytes);
    return 0;
}
