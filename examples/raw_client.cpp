// A client over a plain blocking socket: connects once, and shows the events until the stream ends.
//
//     raw_client [--last-event-id ID] http://127.0.0.1:8080/stream
#include "support/event_text.hpp"
#include "support/http_head.hpp"
#include "support/program.hpp"
#include "support/socket.hpp"

#include <sse/parser.hpp>

#include <fmt/core.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace {

constexpr std::string_view usage = R"(usage: raw_client [--last-event-id ID] URL

Shows the events of the stream at an http:// URL, each as it comes, until the
stream ends.
)";

constexpr std::size_t max_head_bytes = 64 * 1024;
constexpr std::size_t max_chunk_line_bytes = 4 * 1024;

struct location {
    std::string authority, host, port, target;
};

location parse_url(std::string_view url) {
    const auto require = [url](bool condition, std::string_view complaint) {
        if (!condition) throw support::usage_error(fmt::format("'{}' {}", url, complaint));
    };
    constexpr std::string_view scheme = "http://";
    require(support::equal_ignoring_case(url.substr(0, scheme.size()), scheme),
            "does not start with http://");
    // They would end the line of the request that they stand in.
    require(std::none_of(url.begin(), url.end(), [](char c) { return c == ' ' || support::is_control(c); }),
            "has a space or a control character");

    std::string_view rest = url.substr(scheme.size());
    rest = rest.substr(0, rest.find('#'));
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
    const std::string_view target = rest.substr(authority.size());
    require(authority.find('@') == std::string_view::npos, "has a user name");

    std::string_view host = authority.substr(0, authority.find(':'));
    std::string_view port = authority.substr(host.size());
    if (authority.starts_with('[')) {  // an IPv6 address, which has colons of its own
        const auto end = authority.find(']');
        require(end != std::string_view::npos, "has no ']'");
        host = authority.substr(1, end - 1);
        port = authority.substr(end + 1);
    }
    require(!host.empty(), "has no host");
    if (port.empty()) port = ":80";
    std::uint16_t number = 0;
    const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
    require(port.front() == ':' && error == std::errc() && end == port.data() + port.size() && number != 0,
            "has no valid port");

    return {.authority = std::string(authority),
            .host = std::string(host),
            .port = std::to_string(number),
            .target = (target.starts_with('/') ? "" : "/") + std::string(target)};
}

support::descriptor connect_to(const location& server) {
    const support::addresses list = support::resolve(server.host, server.port);
    int error = 0;
    for (const addrinfo* each = list.get(); each != nullptr; each = each->ai_next) {
        support::descriptor socket(
            ::socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, each->ai_protocol));
        if (socket && ::connect(socket.get(), each->ai_addr, each->ai_addrlen) == 0) return socket;
        error = errno;
    }
    throw std::system_error(error, std::generic_category(), "cannot connect to " + server.authority);
}

void send_all(const support::descriptor& socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0) throw std::system_error(errno, std::generic_category(), "cannot send the request");
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

// Nothing comes back at the end.
std::string_view receive(const support::descriptor& socket, std::span<char> buffer) {
    const auto count = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (count < 0) throw std::system_error(errno, std::generic_category(), "cannot read from the server");
    return {buffer.data(), static_cast<std::size_t>(count)};
}

// Takes the number off the front of `text`, where there is one that fits.
std::optional<std::uint64_t> take_number(std::string_view& text, int base) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

// The body of a response, freed of its framing as the bytes come.
// https://www.rfc-editor.org/rfc/rfc9112.html#name-message-body-length
class body_decoder {
public:
    explicit body_decoder(const support::http_head& head) {
        if (head.count("Transfer-Encoding") + head.count("Content-Length") > 1)
            throw std::runtime_error("the server says in two ways how long its answer is");
        if (const auto coding = head.field("Transfer-Encoding")) {
            if (!support::equal_ignoring_case(*coding, "chunked"))
                throw std::runtime_error("the server uses a transfer coding other than chunked");
            at_ = place::chunk_size;
        } else if (auto length = head.field("Content-Length")) {
            const auto number = take_number(*length, 10);
            if (!number || !length->empty()) throw std::runtime_error("the server sent a bad Content-Length");
            left_ = *number;
            at_ = left_ > 0 ? place::counted : place::end;
        }
    }

    // Calls `use` for each piece of the body in `bytes`.
    template <class Use>
    void decode(std::string_view bytes, Use&& use) {
        while (!bytes.empty() && at_ != place::end) {
            if (at_ == place::until_close || at_ == place::counted || at_ == place::chunk) {
                const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
                use(bytes.substr(0, size));
                bytes.remove_prefix(size);
                pass(size);
            } else {
                const auto size = std::min(bytes.find('\n'), bytes.size() - 1) + 1;
                line_ += bytes.substr(0, size);
                bytes.remove_prefix(size);
                if (line_.size() > max_chunk_line_bytes) broken("too long a line");
                if (line_.ends_with('\n')) read_line();
            }
        }
    }

    bool at_end() const noexcept { return at_ == place::end; }
    bool ends_with_connection() const noexcept { return at_ == place::until_close; }

private:
    enum class place { until_close, counted, chunk_size, chunk, chunk_end, trailer, end };

    void pass(std::size_t size) {
        if (at_ == place::until_close) return;
        left_ -= size;
        if (left_ == 0) at_ = at_ == place::counted ? place::end : place::chunk_end;
    }

    void read_line() {
        std::string_view line = line_;
        line.remove_suffix(1);
        if (!line.ends_with('\r')) broken("a line ends without CR");
        line.remove_suffix(1);
        if (std::any_of(line.begin(), line.end(), [](char c) { return support::is_control(c) && c != '\t'; }))
            broken("a control character");
        if (at_ == place::chunk_size) {
            const auto size = take_number(line, 16);
            // An extension may follow.
            if (!size || (!line.empty() && !support::trim(line).starts_with(';'))) broken("bad chunk size");
            left_ = *size;
            at_ = left_ > 0 ? place::chunk : place::trailer;
        } else if (at_ == place::chunk_end) {
            if (!line.empty()) broken("a chunk longer than its size");
            at_ = place::chunk_size;
        } else {
            trailer_bytes_ += line.size();
            if (trailer_bytes_ > max_head_bytes) broken("too long a trailer");
            if (line.empty()) at_ = place::end;
            else if (line.find(':') == std::string_view::npos) broken("bad trailer");
        }
        line_.clear();
    }

    [[noreturn]] static void broken(std::string_view what) {
        throw std::runtime_error(fmt::format("broken chunked coding: {}", what));
    }

    place at_ = place::until_close;
    std::uint64_t left_ = std::numeric_limits<std::uint64_t>::max();  // of the body or the chunk
    std::string line_;
    std::size_t trailer_bytes_ = 0;
};

// The status in "HTTP/1.1 200 OK".
std::string_view status_of(std::string_view line) {
    const std::string_view status = line.substr(0, 12).substr(std::min<std::size_t>(line.size(), 9));
    const bool fits = line.starts_with("HTTP/1.") && status.size() == 3 && line[8] == ' ' &&
                      status.find_first_not_of("0123456789") == std::string_view::npos;
    if (!fits) throw std::runtime_error("the server does not speak HTTP/1.1");
    return status;
}

struct answer {
    std::string head;
    std::string body;  // what came of it with the head
};

answer receive_answer(const support::descriptor& socket) {
    std::array<char, 16384> buffer;
    std::string bytes;
    for (std::size_t passed = 0;;) {
        const auto size = bytes.find("\r\n\r\n");
        if (passed + std::min(size, bytes.size()) > max_head_bytes)
            throw std::runtime_error("the server's answer has too long a head");
        if (size == std::string::npos) {
            const std::string_view more = receive(socket, buffer);
            if (more.empty())
                throw std::runtime_error("the server closed the connection before it answered");
            bytes += more;
        } else if (bytes.starts_with("HTTP/1.1 1")) {  // it only says that the answer will come
            passed += size + 4;
            bytes.erase(0, size + 4);
        } else {
            return {.head = bytes.substr(0, size), .body = bytes.substr(size + 4)};
        }
    }
}

void check(const support::http_head& head) {
    if (const auto status = status_of(head.start_line); status != "200")
        throw std::runtime_error(fmt::format("the server answered {}, not 200", status));
    const std::string_view type = head.field("Content-Type").value_or("");
    if (!support::equal_ignoring_case(support::trim(type.substr(0, type.find(';'))), "text/event-stream"))
        throw std::runtime_error("the server sent something other than text/event-stream");
}

// What the parser calls.
struct printer {
    support::event_text text{STDOUT_FILENO};

    void on_event(const sse::event_view& event) { text.event(event); }
    void on_comment(std::string_view comment) { text.comment(comment); }

    void flush() {
        support::write_out(text.out);
        text.out.clear();
    }
};

int raw_client(support::command_line arguments) {
    std::string last_event_id;
    std::optional<location> server;
    while (arguments.next()) {
        if (arguments.is("--help")) {
            support::write_out(usage);
            return 0;
        }
        if (arguments.is("--last-event-id")) last_event_id = arguments.value();
        else if (arguments.is_option() || server) arguments.refuse();
        else server = parse_url(arguments.current());
    }
    if (!server) throw support::usage_error("no URL");
    // It came from a stream: it must not be able to end its line and forge another field.
    if (std::any_of(last_event_id.begin(), last_event_id.end(), support::is_control))
        throw support::usage_error("--last-event-id has a control character");

    const support::descriptor socket = connect_to(*server);
    send_all(socket, fmt::format("GET {} HTTP/1.1\r\n"
                                 "Host: {}\r\n"
                                 "Accept: text/event-stream\r\n"
                                 "Cache-Control: no-cache\r\n"
                                 "{}{}{}"
                                 "Connection: close\r\n"
                                 "\r\n",
                                 server->target, server->authority,
                                 last_event_id.empty() ? "" : "Last-Event-ID: ", last_event_id,
                                 last_event_id.empty() ? "" : "\r\n"));

    const answer answer = receive_answer(socket);
    const auto head = support::parse_http_head(answer.head);
    if (!head) throw std::runtime_error("the server's answer has a broken head");
    check(*head);

    printer print;
    sse::parser parser({.last_event_id = last_event_id,
                        .text = print.text.on_terminal() ? sse::text::replace : sse::text::as_is});
    body_decoder body(*head);
    std::array<char, 16384> buffer;
    std::string_view bytes = answer.body;
    for (;;) {
        body.decode(bytes, [&](std::string_view piece) {
            const sse::error error = parser.feed(piece, print);
            print.flush();
            if (error) throw std::system_error(error);
        });
        if (body.at_end()) return 0;
        bytes = receive(socket, buffer);
        if (bytes.empty() && body.ends_with_connection()) return 0;
        if (bytes.empty()) throw std::runtime_error("the stream was cut off");
    }
}

}  // namespace

int main(int argc, char** argv) { return support::run("raw_client", argc, argv, raw_client); }
