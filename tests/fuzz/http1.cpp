// Invariant: however bytes are cut, a reader tells the same head, body, end and error. It tells them once and
// in this order, takes nothing more when it has stopped, hands out the body as views into what it was given,
// and retains no more than its bounds allow. Once it is reset, it is as good as new. A head that it accepted
// leaves no doubt where the body ends, can be written, and is read back as the same; so is a body that goes in
// chunks.
#include <sse/http1.hpp>

#include "../support/exact_copy.hpp"
#include "count.hpp"
#include "require.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

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
          most_retained_(static_cast<std::ptrdiff_t>(8 * options.max_head_bytes +
                                                     6 * sizeof(sse::header) * options.max_headers + 512)),
          // A line end, the line before a chunk, and trailers.
          most_skipped_(2 + 2 * options.max_head_bytes) {}

    http_part next(std::string_view& bytes, bool has_stopped) {
        const std::string_view before = bytes;
        const test::count count;
        const http_part part = reader.next(bytes);
        require(retained_ + static_cast<std::ptrdiff_t>(count.peak_bytes()) <= most_retained_);
        retained_ += static_cast<std::ptrdiff_t>(count.bytes());
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
    std::ptrdiff_t most_retained_;
    std::size_t most_skipped_;  // between two parts
    std::ptrdiff_t retained_ = 0;
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
                const auto digit = static_cast<unsigned>(byte - '0');
                if (ended) number = 0;
                require(number <= (UINT64_MAX - digit) / 10);
                number = number * 10 + digit;
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

// What comes of bytes and the end of the connection

const sse::response& head_of(const sse::response_reader& reader) { return reader.response(); }
const sse::request& head_of(const sse::request_reader& reader) { return reader.request(); }

bool is_same(const sse::response& left, const sse::response& right) {
    return left.status == right.status && left.reason == right.reason && left.headers == right.headers;
}

bool is_same(const sse::request& left, const sse::request& right) {
    return left.method == right.method && left.url == right.url && left.headers == right.headers &&
           left.body.empty() && right.body.empty();
}

template <class Head>
struct seen {
    Head head{};
    std::string body{};
    bool has_head = false;
    bool has_ended = false;
    bool keep_alive = false;
    bool takes_chunks = false;  // of a request
    sse::error error{};
    std::string rest{};

    friend bool operator==(const seen& left, const seen& right) {
        // Which bytes of the line that is too long have been taken depends on how it was cut.
        const bool is_rest_same = left.error == sse::errc::http_head_too_large || left.rest == right.rest;
        return is_same(left.head, right.head) && left.body == right.body && left.has_head == right.has_head &&
               left.has_ended == right.has_ended && left.keep_alive == right.keep_alive &&
               left.takes_chunks == right.takes_chunks && left.error == right.error && is_rest_same;
    }
};

using response_seen = seen<sse::response>;
using request_seen = seen<sse::request>;

template <class Reader>
auto read(std::string_view bytes, cut where, const sse::http1_options& options) {
    checked<Reader> it(options);
    const Reader& reader = it.reader;
    seen<std::remove_cvref_t<decltype(head_of(reader))>> result;
    for_each_piece(bytes, where, [&](std::string_view left) {
        for (;;) {
            const char* const begin = left.data();
            switch (it.next(left, result.has_ended || reader.error())) {
                case http_part::none: result.rest += left; return;
                case http_part::head:
                    require(!result.has_head);
                    result.has_head = true;
                    result.head = head_of(reader);
                    break;
                case http_part::body:
                    require(result.has_head && !result.has_ended && !reader.body().empty());
                    require(reader.body().data() >= begin);
                    require(reader.body().data() + reader.body().size() == left.data());
                    result.body += reader.body();
                    break;
                case http_part::end:
                    require(result.has_head && !result.has_ended);
                    result.has_ended = true;
                    break;
            }
            require(result.has_ended || !reader.keep_alive());
        }
    });
    result.keep_alive = reader.keep_alive();
    const bool had_stopped = result.has_ended || reader.error();
    if (it.reader.finish() == http_part::end) {
        require(result.has_head && !had_stopped);
        result.has_ended = true;
    }
    result.error = reader.error();
    require(!result.has_ended || !result.error);
    for (std::string_view more : {"HTTP/1.1 200 OK\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"}) {
        require(it.next(more, true) == http_part::none && it.reader.finish() == http_part::none);
    }
    require(reader.error() == result.error && !reader.keep_alive());
    if (!result.has_head) return result;

    require(is_same(head_of(reader), result.head));
    if constexpr (std::is_same_v<Reader, sse::request_reader>) result.takes_chunks = reader.takes_chunks();
    check_fields(result.head.headers, options);
    return result;
}

/// Of a body that has one of these, or none.
template <class Head>
void check_framing(const seen<Head>& it) {
    const std::optional<std::uint64_t> length = find_length(it.head.headers);
    static_cast<void>(is_chunked(it.head.headers));
    if (length) require(it.has_ended ? it.body.size() == *length : it.body.size() < *length);
}

/// However they are cut, bytes mean the same; and a reader with less room sees the same, or refuses.
///
/// \return what they mean
template <class Read>
auto check_every_cut(std::string_view bytes, Read read_it) {
    auto expected = read_it(bytes, cut::nowhere, roomy);
    require(read_it(bytes, cut::everywhere, roomy) == expected);
    require(read_it(bytes, cut::by_content, roomy) == expected);

    const auto bounded = read_it(bytes, cut::nowhere, tight);
    require(read_it(bytes, cut::everywhere, tight) == bounded);
    require(bounded.error == sse::errc::http_head_too_large || bounded == expected);
    return expected;
}

/// A reader that was reset is as good as new.
template <class Reader>
void check_reset(std::string_view bytes) {
    Reader used(roomy);
    for (bool goes_on = true; goes_on; used.reset()) {
        const auto expected = read<Reader>(bytes, cut::nowhere, roomy);
        std::string body;
        for (http_part part; (part = used.next(bytes)) != http_part::none;) {
            if (part == http_part::body) body += used.body();
        }
        goes_on = used.keep_alive();
        require(goes_on == expected.keep_alive && body == expected.body && bytes == expected.rest);
        static_cast<void>(used.finish());
        require(used.error() == expected.error);
        if (expected.has_head) require(is_same(head_of(used), expected.head));
    }
}

// Responses

response_seen read_response(std::string_view bytes, cut where, const sse::http1_options& options) {
    response_seen it = read<sse::response_reader>(bytes, where, options);
    require(it.has_ended != static_cast<bool>(it.error));
    if (!it.has_head) return it;

    const int status = it.head.status;
    require(status >= 200 && status <= 999 && !sse::check_header("-", it.head.reason));
    if (status == 204 || status == 304) {
        require(it.body.empty() && it.has_ended);
        return it;
    }
    check_framing(it);
    require(find_length(it.head.headers) || is_chunked(it.head.headers) || !it.keep_alive);
    return it;
}

void check_written(const response_seen& expected) {
    std::string bytes;
    require(!sse::write_head(bytes, expected.head));
    const bool has_body = expected.head.status != 204 && expected.head.status != 304;
    if (has_body && is_chunked(expected.head.headers)) {
        require(!sse::write_chunk(bytes, expected.body));
        if (expected.has_ended) require(!sse::write_last_chunk(bytes));
    } else {
        bytes += expected.body;
    }
    const response_seen again = read_response(bytes, cut::nowhere, {});
    require(is_same(again.head, expected.head) && again.body == expected.body && again.rest.empty());
    require(again.has_ended == expected.has_ended);
}

void check_response(std::string_view bytes) {
    const response_seen expected = check_every_cut(bytes, read_response);
    if (expected.has_head) check_written(expected);
    check_reset<sse::response_reader>(bytes);
}

// Requests

request_seen read_request(std::string_view bytes, cut where, const sse::http1_options& options) {
    request_seen it = read<sse::request_reader>(bytes, where, options);
    // Or nobody has sent any.
    const bool is_absent = bytes.find_first_not_of("\r\n") == std::string_view::npos;
    require(it.has_ended || it.error || is_absent);
    if (!it.has_head) return it;

    require(it.head.url.target.starts_with('/'));
    const sse::headers& fields = it.head.headers;
    const std::size_t hosts = fields.size() - without(fields, {"Host"}).size();
    require(hosts == 1 || (hosts == 0 && !it.takes_chunks));
    check_framing(it);
    if (!find_length(fields) && !is_chunked(fields)) require(it.body.empty() && it.has_ended);
    return it;
}

void check_written(const request_seen& original) {
    sse::request expected = original.head;
    expected.body = original.body;
    if (expected.url.host.empty()) {  // of an HTTP/1.0 client: there is nobody to ask
        std::string nothing;
        require(sse::write_request(nothing, expected) == sse::errc::url_host_invalid && nothing.empty());
        return;
    }
    if (expected.url.scheme == "https") {
        // What goes to a server does not say so, but then Host has the port.
        expected.url.scheme = "http";
        expected.headers = without(expected.headers, {"Host"});
    }
    std::string bytes;
    require(!sse::write_request(bytes, expected));
    const request_seen again = read_request(bytes, cut::nowhere, {});
    require(again.takes_chunks && again.has_ended && again.body == expected.body && again.rest.empty());
    require(again.head.method == expected.method && again.head.url == expected.url);
    const auto unframed = [](const sse::headers& fields) {
        return without(fields, {"Host", "Content-Length", "Transfer-Encoding"});
    };
    require(unframed(again.head.headers) == unframed(expected.headers));
    require(find_length(again.head.headers).value_or(0) == expected.body.size());
}

void check_request(std::string_view bytes) {
    const request_seen expected = check_every_cut(bytes, read_request);
    if (expected.has_head) check_written(expected);
    check_reset<sse::request_reader>(bytes);
}

// Chunks

void check_chunks(std::string_view body) {
    std::string bytes;
    for_each_piece(body, cut::by_content,
                   [&](std::string_view chunk) { require(!sse::write_chunk(bytes, chunk)); });
    require(!sse::write_last_chunk(bytes));
    bytes += "rest";
    const auto check = [&](const auto& it) {
        require(it.has_ended && it.keep_alive && it.body == body && it.rest == "rest");
    };
    const std::string response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + bytes;
    const std::string request = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + bytes;
    for (const cut where : {cut::nowhere, cut::by_content}) {
        check(read_response(response, where, tight));
        check(read_request(request, where, tight));
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
