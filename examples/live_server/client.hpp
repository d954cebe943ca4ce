// A client of live_server: first an exchange of requests and answers, then perhaps a stream.
#pragma once

#include "requests.hpp"
#include "server.hpp"
#include "settings.hpp"

#include "../support/socket.hpp"

#include <sse/session.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace live_server {

struct client {
    support::descriptor socket;
    std::size_t index;  // in the list
    std::unique_ptr<exchange> http;
    std::optional<sse::session> stream{};  // if there is one, the exchange is over
    std::string name{};                    // by which the stream can be cut
    bool is_blocked = false;               // until the socket can be written
    bool is_gone = false;
};

// The clients of one thread.
class client_list {
public:
    explicit client_list(server& shared) noexcept : server_(shared) {}

    bool empty() const noexcept { return clients_.empty(); }

    client& add(support::descriptor socket, steady::time_point now) {
        auto added = std::make_unique<client>(client{.socket = std::move(socket),
                                                     .index = clients_.size(),
                                                     .http = std::make_unique<exchange>(server_, now)});
        client& result = *added;
        // This allocation may fail, so it comes before the client is counted. Removing clients must not fail,
        // even if all of them go in one round.
        const std::size_t needed = gone_.size() + clients_.size() + 1;
        if (gone_.capacity() < needed) gone_.reserve(2 * needed);
        clients_.push_back(std::move(added));
        count(server_.figures.connections);
        return result;
    }

    // The client lives until `forget_removed`: epoll_wait() may have told of it in this round.
    void remove(client& leaving) noexcept {
        if (std::exchange(leaving.is_gone, true)) return;
        leaving.socket = support::descriptor();
        clients_.back()->index = leaving.index;
        std::swap(clients_.back(), clients_[leaving.index]);
        gone_.push_back(std::move(clients_.back()));
        clients_.pop_back();
        server_.figures.connections.fetch_sub(1, std::memory_order_relaxed);
    }

    void forget_removed() noexcept { gone_.clear(); }

    // If something goes wrong with one client, as when memory is short, that one alone is removed.
    template <class Use>
    void guard(client& each, Use use) {
        try {
            use(each);
        } catch (const std::exception&) {
            remove(each);
        }
    }

    // Backwards, because the last client takes the place of one that is removed.
    template <class Use>
    void for_each(Use use) {
        for (std::size_t i = clients_.size(); i != 0;) guard(*clients_[--i], use);
    }

private:
    server& server_;
    std::vector<std::unique_ptr<client>> clients_{};
    std::vector<std::unique_ptr<client>> gone_{};
};

}  // namespace live_server
