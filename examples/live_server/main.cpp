// A server of live events for tens of thousands of subscribers: one log, epoll, a thread per core at most.
//
//     live_server [--host H] [--port N]
//
// `/` is a page that shows the events of `/events`; `/publish` takes new ones by POST. A subscriber that comes
// back with Last-Event-ID, as browsers do by themselves, gets what it has missed.
//
// Each file includes only those before it: settings, server (what threads share), requests, client, routes,
// and then loop and ticker.
#include "../support/listener.hpp"
#include "../support/program.hpp"
#include "../support/socket.hpp"
#include "loop.hpp"
#include "server.hpp"
#include "settings.hpp"
#include "ticker.hpp"

#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

namespace live_server {
namespace {

int serve(support::command_line arguments) {
    const settings options = parse(arguments);
    if (options.help) {
        support::write_out(help());
        return 0;
    }
    support::raise_descriptor_limit();
    const support::descriptor stopped = support::stop_on_signals();
    const support::descriptor listener = support::listen_on(options.host, options.port, options.send_buffer);
    // A client that acknowledges nothing for so long is gone, or reads nothing although the kernel still took
    // bytes for it. The clients' sockets inherit this option.
    const auto timeout = static_cast<unsigned>(options.subscriber.send_timeout.count());
    static_cast<void>(::setsockopt(listener.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout));
    server shared(options, max_connections(options));
    std::vector<std::unique_ptr<loop>> loops;
    loops.reserve(options.threads);
    for (mailbox& each : shared.mailboxes) loops.push_back(std::make_unique<loop>(shared, each, listener));
    std::vector<std::jthread> threads;
    threads.reserve(loops.size());
    struct ending {
        server& shared;
        const support::descriptor& listener;
        ~ending() {
            ::shutdown(listener.get(), SHUT_RD);  // a client that comes now is refused, and does not wait
            shared.drain();
        }
    };
    const ending at_end{shared, listener};
    for (const auto& each : loops) threads.emplace_back([&each] { each->run(); });

    support::write_out(fmt::format("listening on http://{}/\n", support::name_of(listener)));
    tick_until(stopped, shared);
    return 0;
}

}  // namespace
}  // namespace live_server

int main(int argc, char** argv) { return support::run("live_server", argc, argv, live_server::serve); }
