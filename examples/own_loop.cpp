// The client in a loop of one's own: here poll(), which waits for commands on standard input as well.
//
//     own_loop http://127.0.0.1:8080/stream
#include "support/program.hpp"
#include "support/socket.hpp"

#include <sse/event_source.hpp>
#include <sse/fmt.hpp>
#include <sse/http1.hpp>

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace {

using clock = sse::event_source::time_point::clock;

constexpr std::string_view usage = R"(usage: own_loop URL

Shows the events of the stream at an http:// URL. On standard input, r connects
anew at once, and q or the end quits.
)";

// Connecting and sending may block here: sse::posix::connection goes without that.
std::error_code connect(const sse::url& url, support::descriptor& socket) {
    support::addresses list;
    try {
        list = support::resolve(std::string(host_name(url)), std::to_string(url.port));
    } catch (const std::runtime_error&) {
        return std::make_error_code(std::errc::host_unreachable);
    }
    for (const addrinfo* each = list.get(); each != nullptr; each = each->ai_next) {
        socket = support::descriptor(::socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, 0));
        if (::connect(socket.get(), each->ai_addr, each->ai_addrlen) == 0) return {};
    }
    return support::last_error();
}

std::error_code send(const sse::request& request, support::descriptor& socket) {
    std::string bytes;
    if (const sse::error refused = sse::write_request(bytes, request)) return refused;
    if (const std::error_code error = connect(request.url, socket)) return error;
    return support::write_all(socket.get(), bytes);
}

// Tells the source what has come.
void read(const support::descriptor& socket, sse::response_reader& reader, sse::event_source& source) {
    std::array<char, 16384> buffer;
    const auto count = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    const auto now = clock::now();
    if (count < 0) return source.handle_error(support::last_error(), now);
    if (count == 0 && reader.finish() == sse::http_part::end) return source.handle_end(now);

    std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
    for (;;) {
        switch (reader.next(bytes)) {
            case sse::http_part::head: source.handle_response(reader.response(), now); break;
            case sse::http_part::body: source.handle_bytes(reader.body(), now); break;
            case sse::http_part::end: return source.handle_end(now);
            case sse::http_part::none:
                if (reader.error()) source.handle_error(reader.error(), now);
                return;
        }
    }
}

void obey(sse::event_source& source) {
    std::array<char, 64> commands;
    const auto count = ::read(STDIN_FILENO, commands.data(), commands.size());
    if (count <= 0) return source.close();
    for (const char command : std::string_view(commands.data(), static_cast<std::size_t>(count))) {
        if (command == 'r') source.restart();
        if (command == 'q') source.close();
    }
}

int own_loop(support::command_line arguments) {
    if (!arguments.next()) throw support::usage_error("no URL");
    if (arguments.is("--help")) {
        support::write_out(usage);
        return 0;
    }
    const std::string url(arguments.current());
    if (arguments.is_option() || arguments.next()) arguments.refuse();

    sse::event_source source({.url = url});
    source.on_event(
        [](const sse::event_source::event_view& event) { support::write_out(fmt::format("{}\n", event)); });
    source.on_error(
        [](const sse::event_source::failure& error) { support::complain("own_loop", error.code.message()); });

    support::descriptor socket;
    sse::response_reader reader;
    for (;;) {
        const sse::event_source::task task = source.next(clock::now());
        if (task.step != sse::event_source::step::read) socket = {};
        if (task.step == sse::event_source::step::finished) return source.error() ? 1 : 0;
        if (task.step == sse::event_source::step::connect) {
            reader.reset();
            if (task.request->url.scheme != "http") source.handle_fatal_error(sse::errc::tls_unavailable);
            else if (const auto error = send(*task.request, socket)) source.handle_error(error, clock::now());
            continue;
        }
        std::array<pollfd, 2> polled{{{socket.get(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
        if (::poll(polled.data(), polled.size(), support::milliseconds_until(task.until)) < 0) continue;
        if (polled[0].revents != 0) read(socket, reader, source);
        if (polled[1].revents != 0) obey(source);
    }
}

}  // namespace

int main(int argc, char** argv) { return support::run("own_loop", argc, argv, own_loop); }
