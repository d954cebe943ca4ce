// Runs an event_source on a plain socket, blocking: http only, IPv4 and IPv6. For https see curl.hpp.
//
//     sse::event_source source({.url = "http://127.0.0.1:8080/stream"});
//     source.on_message([](const sse::event_source::event_view& event) { use(event.data); });
//     sse::posix::run(source);
#pragma once

#include "../detail/after.hpp"
#include "../error.hpp"
#include "../event_source.hpp"
#include "../http.hpp"
#include "../http1.hpp"
#include "../url.hpp"
#include "detail/descriptor.hpp"
#include "detail/poll.hpp"
#include "detail/signals_blocked.hpp"
#include "detail/wake_pipe.hpp"
#include "detail/with_date.hpp"
#include "run_control.hpp"

#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

namespace sse::posix {

struct run_options {
    /// Closes or restarts the source from elsewhere.
    run_control* control = nullptr;

    /// Of a host's addresses, each is given so long to answer before the next one is tried; 0 for no limit,
    /// as below.
    milliseconds connect_timeout{10'000};

    /// A server that takes nothing of the request for so long is given up. The source's own timeouts bound
    /// the whole way to the response, and the silence after it.
    milliseconds write_timeout{10'000};

    http1_options limits{};  ///< of the heads of responses
};

/// The category of what `getaddrinfo` reports.
const std::error_category& resolver_category() noexcept;

namespace detail {

using sse::detail::descriptor;
using sse::detail::last_error;
using time_point = event_source::time_point;

struct free_addresses {
    void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};
using addresses = std::unique_ptr<addrinfo, free_addresses>;

struct resolution {
    std::error_code error{};
    addresses list{};
};

inline resolution resolve(const std::string& host, const std::string& port, int flags) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* list = nullptr;
    const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
    if (error == EAI_SYSTEM) return {last_error()};
    if (error != 0) return {{error, resolver_category()}};
    return {{}, addresses(list)};
}

/// A socket for which no call waits, and that no program inherits. Where there is none, errno says why.
inline descriptor open_socket(int family, int type, int protocol) noexcept {
#ifdef SOCK_CLOEXEC
    return descriptor(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
#else
    descriptor socket(::socket(family, type, protocol));
    if (socket && !sse::detail::make_private_and_nonblocking(socket.get())) socket = {};
    return socket;
#endif
}

/// Resolves a name on a thread of its own: getaddrinfo() can neither be interrupted nor given a deadline. If
/// nobody waits for it any more, the thread ends alone.
class resolver {
public:
    /// \throws std::system_error where there are no descriptors or threads left
    resolver(std::string host, std::string port) : host_(std::move(host)), port_(std::move(port)) {
        // Signals are for the program's own threads.
        const sse::detail::signals_blocked for_the_thread;
        std::thread([shared = shared_, host = host_, port = port_] {
            shared->result = resolve(host, port, 0);
            shared->is_done = true;
            [[maybe_unused]] const auto written = ::write(shared->done.write_end.get(), "", 1);
        }).detach();
    }

    bool is_busy_with(std::string_view host, std::string_view port) const noexcept {
        return !shared_->is_done && host_ == host && port_ == port;
    }

    /// Can be read, says poll(), when the result is there.
    int file() const noexcept { return shared_->done.read_end.get(); }

    /// \return nothing before the result is there
    std::optional<resolution> take() {
        if (!shared_->is_done) return std::nullopt;
        return std::move(shared_->result);
    }

private:
    struct shared_state {
        sse::detail::wake_pipe done{};
        std::atomic<bool> is_done = false;
        resolution result{};
    };
    std::shared_ptr<shared_state> shared_ = std::make_shared<shared_state>();
    std::string host_;
    std::string port_;
};

inline std::optional<time_point> earlier(std::optional<time_point> a, std::optional<time_point> b) {
    return !a || (b && *b < *a) ? b : a;
}

}  // namespace detail

/// What `run` does, for a poll loop of one's own: one connection after the other, and no function that waits.
///
///     const sse::event_source::task task = source.next(now);
///     if (task.step != sse::event_source::step::read) connection.close();
///     if (task.step == sse::event_source::step::connect) connection.open(*task.request, now), ask_again();
///     …  // poll for connection.awaited(), until task.until or connection.deadline()
///     connection.go_on(revents, now);
///
/// `open` and `go_on` call the source, and so its listeners. These may close the connection, but must neither
/// destroy it nor call the two: debug builds assert that, in others the two then do nothing.
class connection {
public:
    using time_point = event_source::time_point;

private:
    event_source& source_;
    run_options options_;
    bool is_called_ = false;  // `open` or `go_on`, and has not returned

    // It resolves, then connects to one address after another, then sends and receives, or it is closed: then
    // it neither resolves nor has a socket.
    bool is_resolving_ = false;
    detail::descriptor socket_{};
    bool is_connecting_ = false;                  // the socket, if there is one
    std::optional<time_point> deadline_{};        // of the address, or of the request's next byte
    std::optional<detail::resolver> resolver_{};  // may still work for an attempt that was given up
    detail::addresses addresses_{};
    const addrinfo* next_address_ = nullptr;  // the one to try if this one does not answer

    std::string unsent_{};  // the request, of which `sent_` bytes have been sent
    std::size_t sent_ = 0;
    response_reader reader_;
    std::array<char, 16384> buffer_;  // for what is received at once

public:
    /// \pre the source lives longer
    explicit connection(event_source& source, const run_options& options = {})
        : source_(source), options_(options), reader_(options.limits) {}
    explicit connection(event_source&& source, const run_options& options = {}) = delete;
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection() { assert(!is_called_ && "a connection is destroyed inside a listener that it called"); }

    /// Begins to ask for the resource; a connection that is there is closed. Tells the source of failures.
    ///
    /// \throws what the source's listeners and hooks throw, and std::bad_alloc
    void open(const request& request, time_point now) {
        assert(!is_called_ && "called from inside a listener");
        if (is_called_) return;
        const running_call call(*this);
        close();
        if (request.url.scheme != "http") return source_.handle_fatal_error(errc::tls_unavailable);
        sse::request whole = request;
        if (!find_header(whole.headers, "Connection")) whole.headers.push_back({"Connection", "close"});
        unsent_.clear();
        sent_ = 0;
        if (const sse::error refused = write_request(unsent_, whole)) {
            return source_.handle_fatal_error(refused);
        }
        std::string host(host_name(request.url));
        std::string port = std::to_string(request.url.port);
        if (detail::resolution numeric = detail::resolve(host, port, AI_NUMERICHOST); !numeric.error) {
            return use(std::move(numeric), now);
        }
        // Attempts in a row wait for one and the same answer: else a resolver that hangs would fill the
        // process with threads.
        if (!resolver_ || !resolver_->is_busy_with(host, port)) {
            try {
                resolver_.emplace(std::move(host), std::move(port));
            } catch (const std::system_error& error) {
                return source_.handle_error(error.code(), now);
            }
        }
        is_resolving_ = true;
    }

    void close() noexcept {
        is_resolving_ = false;
        socket_ = {};
        deadline_.reset();
    }

    bool is_open() const noexcept { return is_resolving_ || socket_; }

    /// What to wait for; where there is nothing, it has no file, and poll() passes it over.
    pollfd awaited() const noexcept {
        if (is_resolving_) return {resolver_->file(), POLLIN, 0};
        if (is_connecting_) return {socket_.get(), POLLOUT, 0};
        return {socket_.get(), static_cast<short>(is_sent() ? POLLIN : POLLIN | POLLOUT), 0};
    }

    /// When to go on at the latest.
    std::optional<time_point> deadline() const noexcept { return deadline_; }

    /// Goes on after the wait, which has found these events, or none. Tells the source what came. If nothing
    /// is open, does nothing.
    ///
    /// \throws what the source's listeners and hooks throw, and std::bad_alloc
    void go_on(short events, time_point now) {
        assert(!is_called_ && "called from inside a listener");
        if (is_called_) return;
        const running_call call(*this);
        if (is_resolving_) {
            if (std::optional<detail::resolution> result = resolver_->take()) {
                is_resolving_ = false;
                resolver_.reset();
                use(std::move(*result), now);
            }
        } else if (socket_ && is_connecting_) {
            if (events != 0) finish_connecting(now);
            else if (is_late(now)) connect(std::make_error_code(std::errc::timed_out), now);
        } else if (socket_) {
            // What the server says counts, even where it does not listen any more.
            if ((events & ~POLLOUT) != 0) receive(now);
            else if ((events & POLLOUT) != 0) send(now);
            else if (is_late(now)) source_.handle_error(errc::timed_out, now);
        }
    }

private:
    /// Of `open` or `go_on`: what they read and use must not change under them.
    class running_call {
    public:
        explicit running_call(connection& called) noexcept : called_(called) { called.is_called_ = true; }
        running_call(const running_call&) = delete;
        running_call& operator=(const running_call&) = delete;
        ~running_call() { called_.is_called_ = false; }

    private:
        connection& called_;
    };

    bool is_sent() const noexcept { return sent_ == unsent_.size(); }
    bool is_late(time_point now) const noexcept { return deadline_ && now >= *deadline_; }

    void use(detail::resolution result, time_point now) {
        if (result.error) return source_.handle_error(result.error, now);
        addresses_ = std::move(result.list);
        next_address_ = addresses_.get();
        connect({}, now);
    }

    /// Tries the next address; where there is none, `error` is what came of the last one.
    void connect(std::error_code error, time_point now) {
        socket_ = {};
        deadline_.reset();
        while (next_address_ != nullptr) {
            const addrinfo& to = *std::exchange(next_address_, next_address_->ai_next);
            detail::descriptor socket = detail::open_socket(to.ai_family, to.ai_socktype, to.ai_protocol);
            if (socket) {
                set_up(socket.get());
                if (::connect(socket.get(), to.ai_addr, to.ai_addrlen) == 0 || errno == EINPROGRESS) {
                    socket_ = std::move(socket);
                    is_connecting_ = true;
                    deadline_ = sse::detail::after(now, options_.connect_timeout);
                    return;
                }
            }
            error = detail::last_error();
        }
        source_.handle_error(error, now);
    }

    static void set_up(int socket) noexcept {
        const int on = 1;
        // Without data to send, a peer whose machine has gone is noticed by nothing else.
        ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#ifdef SO_NOSIGPIPE
        ::setsockopt(socket, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    }

    void finish_connecting(time_point now) {
        int error = 0;
        socklen_t size = sizeof error;
        if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
        if (error != 0) return connect({error, std::generic_category()}, now);
        is_connecting_ = false;
        deadline_ = sse::detail::after(now, options_.write_timeout);
        reader_.reset();
        send(now);
    }

    void send(time_point now) {
#ifdef MSG_NOSIGNAL
        constexpr int flags = MSG_NOSIGNAL;
#else
        constexpr int flags = 0;
#endif
        const auto count = ::send(socket_.get(), unsent_.data() + sent_, unsent_.size() - sent_, flags);
        if (count >= 0) sent_ += static_cast<std::size_t>(count);
        else if (!sse::detail::would_block()) return source_.handle_error(detail::last_error(), now);
        if (is_sent()) {
            std::string().swap(unsent_);  // the body may have been large, and `= {}` would keep its room
            sent_ = 0;
            deadline_.reset();
        } else if (count > 0) {
            deadline_ = sse::detail::after(now, options_.write_timeout);
        }
    }

    void receive(time_point now) {
        const auto count = ::recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
        if (count > 0) return tell({buffer_.data(), static_cast<std::size_t>(count)}, now);
        if (count < 0 && sse::detail::would_block()) return;
        if (count < 0) return source_.handle_error(detail::last_error(), now);
        if (reader_.finish() == http_part::end) source_.handle_end(now);
        else source_.handle_error(reader_.error(), now);
    }

    /// What comes after the source has had enough, it ignores.
    void tell(std::string_view bytes, time_point now) {
        for (;;) {
            switch (reader_.next(bytes)) {
                case http_part::none:
                    if (reader_.error()) source_.handle_error(reader_.error(), now);
                    return;
                case http_part::head:
                    source_.handle_response(sse::detail::with_date(reader_.response()), now);
                    break;
                case http_part::body: source_.handle_bytes(reader_.body(), now); break;
                case http_part::end: return source_.handle_end(now);
            }
        }
    }
};

/// Connects, reads, waits and connects again, until the source is closed. It sleeps whenever there is nothing
/// to do.
///
/// \return why it is closed: `source.error()`. Besides those of the library, errors that the source and its
///         listeners are told are of std::generic_category, from the sockets, and of `resolver_category`.
///         `errc::already_running` at once, and nothing done, inside a listener of the source or another run.
/// \throws what the source's listeners and hooks throw, std::bad_alloc, and std::system_error if poll()
///         fails; it may be called again then
/// \note Names are resolved on a thread that lives only for that.
inline std::error_code run(event_source& source, const run_options& options = {}) {
    const sse::detail::controlled_run running(source, options.control);
    if (!running.has_begun()) return errc::already_running;
    posix::connection connection(source, options);
    for (;;) {
        running.apply();
        const auto now = detail::time_point::clock::now();
        const event_source::task task = source.next(now);
        if (task.step != event_source::step::read) connection.close();
        if (task.step == event_source::step::finished) return running.end();
        if (task.step == event_source::step::connect) {
            connection.open(*task.request, now);
            continue;
        }
        if (task.step == event_source::step::read && !connection.is_open()) {
            source.handle_error(errc::connection_ended,
                                now);  // an exception has ended the run before this one
            continue;
        }
        std::array<pollfd, 2> polled{connection.awaited(),
                                     pollfd{options.control ? options.control->file() : -1, POLLIN, 0}};
        const auto until = detail::earlier(task.until, connection.deadline());
        const int timeout = sse::detail::milliseconds_until(until);
        if (::poll(polled.data(), polled.size(), timeout) < 0) {
            if (errno == EINTR) continue;
            throw std::system_error(detail::last_error(), "poll");
        }
        if (polled[1].revents == 0) connection.go_on(polled[0].revents, detail::time_point::clock::now());
    }
}

std::error_code run(event_source&& source, const run_options& options = {}) = delete;

namespace detail {

class resolver_error_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "getaddrinfo"; }
    std::string message(int code) const override { return ::gai_strerror(code); }
};

}  // namespace detail

inline const std::error_category& resolver_category() noexcept {
    static const detail::resolver_error_category instance;
    return instance;
}

}  // namespace sse::posix
