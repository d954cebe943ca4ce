// Shows the events of a stream, and stays connected: a program of one's own would begin like this.
//
//     raw_client http://127.0.0.1:8080/stream
#include <sse/adapters/posix.hpp>

#include <sse/fmt.hpp>

#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <system_error>

using namespace std::chrono_literals;

// NOLINTNEXTLINE(bugprone-exception-escape): it may end so where not even the complaint can be written
int main(int argc, char** argv) {
    if (argc != 2) {
        fmt::print(stderr, "usage: raw_client URL\n");
        return 2;
    }
    try {
        sse::event_source source({.url = argv[1], .idle_timeout = 60s});
        source.on_event([](const sse::event_source::event_view& event) {
            fmt::print("{:?}: {:?}\n", event.type, event.data);  // escaped: no terminal obeys the server
            std::fflush(stdout);
        });
        source.on_error([](const sse::event_source::failure& error) {
            fmt::print(stderr, "{}\n", error.code.message());
            if (error.retry_in) fmt::print(stderr, "again in {} ms\n", error.retry_in->count());
        });
        const std::error_code error = sse::posix::run(source);
        return error ? 1 : 0;
    } catch (const std::system_error& error) {
        fmt::print(stderr, "raw_client: {}\n", error.what());
        return 1;
    }
}
