// Thousands of subscribers in one process, and whoever publishes to them: how much a server delivers, at what
// cost, and whether every event comes once and in order. Linux; loopback only.
//
//     swarm --events http://127.0.0.1:8080/events --publish http://127.0.0.1:8080/publish --pid 4711
#include "../examples/support/program.hpp"
#include "../examples/support/socket.hpp"

#include <sse/http.hpp>
#include <sse/http1.hpp>
#include <sse/parser.hpp>

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

constexpr std::string_view usage = R"(usage: swarm --events URL --publish URL [options]

Subscribes many times, publishes, and prints as JSON what came of it. The status is 1 where not every event
has come to everybody, once and in order. Where nothing moves any more, the reason is all that is printed.

In the modes lockstep, full and catchup it never sleeps, and takes a whole core: otherwise the server would
pay for waking it with each send.

  --events URL      the stream, of a server on 127.0.0.1
  --publish URL     where events are posted
  --pid P           the server's process: its CPU time and memory are read
  --mode MODE       lockstep  each event reaches all subscribers before the next is published (default)
                    full      as fast as the slowest reading subscriber takes them
                    rate      so many a second, whatever becomes of them
                    hold      lockstep, and few: what subscribers cost that wait
                    catchup   subscribers come back with the Last-Event-ID of --count events ago
  --subscribers N   (default 1000)
  --idle-readers K  of these K read nothing but the head (default 0)
  --count EVENTS    (default 1000; for hold 5; with --for no bound)
  --for SECONDS     publishes that long
  --warm-up EVENTS  published before the measured ones (default 0)
  --rate N          events a second (default 100)
  --window W        the most events that a subscriber is behind in mode full (default 1000)
  --bytes N         of data in an event (default 200)
  --churn N         connections a second that leave, half of them by a reset, and come back with their
                    last id; for servers that keep events
  --patience S      gives up when nothing has moved that long (default 10)
)";

enum class mode { lockstep, full, rate, hold, catchup };

struct settings {
    sse::url events{};
    sse::url publish{};
    int pid = 0;  // none
    enum mode mode = mode::lockstep;
    std::size_t subscribers = 1000;
    std::size_t idle_readers = 0;
    std::uint64_t count = 0;
    double seconds = 0;
    std::uint64_t warm_up = 0;
    double rate = 100;
    std::uint64_t window = 1000;
    std::size_t bytes = 200;
    double churn = 0;
    double patience = 10;
    bool help = false;
};

// Time, in nanoseconds

using nanoseconds = std::uint64_t;

constexpr nanoseconds never = std::numeric_limits<nanoseconds>::max();

nanoseconds clock_now(clockid_t clock = CLOCK_MONOTONIC) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<nanoseconds>(time.tv_sec) * 1'000'000'000 + static_cast<nanoseconds>(time.tv_nsec);
}

constexpr nanoseconds from_seconds(double seconds) { return static_cast<nanoseconds>(seconds * 1e9); }
constexpr double to_seconds(nanoseconds time) { return static_cast<double>(time) / 1e9; }

// Counts spans of time in bins that are 1.6% wide, however long they are.
class histogram {
public:
    void add(nanoseconds time) {
        ++bins_[bin_of(time)];
        ++count_;
        max_ = std::max(max_, time);
    }

    nanoseconds max() const { return max_; }

    // The end of the bin that the fraction falls into.
    nanoseconds percentile(double fraction) const {
        const auto rank = static_cast<std::uint64_t>(static_cast<double>(count_) * fraction);
        std::uint64_t below = 0;
        for (std::size_t bin = 0; bin < bins_.size(); ++bin) {
            below += bins_[bin];
            if (below > rank) return std::min(max_, begin_of(bin + 1));
        }
        return max_;
    }

private:
    static constexpr unsigned precision = 6;  // 2 to its power bins for each doubling of the time
    static constexpr std::size_t bins_each = std::size_t{1} << precision;

    static constexpr std::size_t bin_of(nanoseconds time) {
        if (time < bins_each) return time;
        const auto shift = static_cast<unsigned>(std::bit_width(time)) - precision - 1;
        return shift * bins_each + (time >> shift);
    }

    static constexpr nanoseconds begin_of(std::size_t bin) {
        if (bin < bins_each) return bin;
        const std::size_t shift = bin / bins_each - 1;
        return (bin - shift * bins_each) << shift;
    }

    std::vector<std::uint64_t> bins_ = std::vector<std::uint64_t>((64 - precision + 1) * bins_each);
    std::uint64_t count_ = 0;
    nanoseconds max_ = 0;
};

// What the server's process uses, as the kernel counts it.
struct process_usage {
    double cpu_s = 0;
    std::uint64_t rss_bytes = 0;
    std::uint64_t peak_bytes = 0;  // the most that rss_bytes has been
    std::uint64_t descriptors = 0;
};

double cpu_time_of(const std::string& folder) {
    std::ifstream file(folder + "stat");
    std::string text;
    if (!std::getline(file, text)) throw std::runtime_error("the server's process is gone");
    std::istringstream rest(text.substr(text.rfind(')') + 1));  // the name before it may hold anything
    const std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};  // from the third on
    const double ticks = std::stod(fields.at(14 - 3)) + std::stod(fields.at(15 - 3));  // user's and system's
    return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

process_usage usage_of(int pid) {
    if (pid == 0) return {};
    const std::string folder = fmt::format("/proc/{}/", pid);
    process_usage used{.cpu_s = cpu_time_of(folder)};
    std::ifstream status(folder + "status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmRSS:")) used.rss_bytes = std::stoull(line.substr(6)) << 10;
        if (line.starts_with("VmHWM:")) used.peak_bytes = std::stoull(line.substr(6)) << 10;
    }
    const std::filesystem::directory_iterator descriptors(folder + "fd");
    used.descriptors = static_cast<std::uint64_t>(std::distance(begin(descriptors), end(descriptors)));
    return used;
}

// What an event's data says of it: which swarm published it, as which of its events, and when.
struct stamp {
    std::uint64_t number = 0;
    nanoseconds time = 0;
};

constexpr std::size_t max_stamp_bytes = 64;  // a tag and two numbers

std::string make_data(std::string_view tag, const stamp& stamp, std::size_t bytes) {
    std::string data = fmt::format("{}{} {} ", tag, stamp.number, stamp.time);
    data.resize(bytes, 'x');
    return data;
}

// Nothing where it is of somebody else, or not whole.
std::optional<stamp> read_stamp(std::string_view tag, std::string_view data, std::size_t bytes) {
    if (!data.starts_with(tag) || data.size() != bytes) return std::nullopt;
    stamp result;
    const char* const last = data.data() + data.size();
    const auto number = std::from_chars(data.data() + tag.size(), last, result.number);
    if (number.ec != std::errc() || number.ptr == last) return std::nullopt;
    const auto time = std::from_chars(number.ptr + 1, last, result.time);
    return time.ec == std::errc() ? std::optional(result) : std::nullopt;
}

// Sockets

[[noreturn]] void throw_errno(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

sockaddr_in loopback_address(const sse::url& url) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(url.port);
    const std::string host = url.host == "localhost" ? "127.0.0.1" : url.host;
    const bool parsed = ::inet_pton(AF_INET, host.c_str(), &address.sin_addr) == 1;
    if (!parsed || ntohl(address.sin_addr.s_addr) >> 24 != 127)
        throw support::usage_error(fmt::format("{} is not on 127.0.0.1", url.host));
    return address;
}

void set_option(const support::descriptor& socket, int level, int option, int value) {
    if (::setsockopt(socket.get(), level, option, &value, sizeof value) != 0) throw_errno("setsockopt");
}

support::descriptor begin_connecting(const sockaddr_in& address, int receive_buffer = 0) {
    support::descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) throw_errno("socket");
    set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    if (receive_buffer != 0) set_option(socket, SOL_SOCKET, SO_RCVBUF, receive_buffer);
    const auto* const to = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(socket.get(), to, sizeof address) != 0 && errno != EINPROGRESS) throw_errno("connect");
    return socket;
}

std::string to_text(const sse::request& request) {
    std::string text;
    if (const std::error_code error = sse::write_request(text, request)) throw std::system_error(error);
    return text;
}

// Posts events on one connection, without waiting for the answers to those before.
class publisher {
public:
    explicit publisher(const sse::url& url)
        : request_{.method = "POST", .url = url, .headers = {{"Content-Type", "text/plain"}}},
          address_(loopback_address(url)) {}

    void connect() { socket_ = begin_connecting(address_); }
    bool is_connected() const { return bool(socket_); }
    int socket() const { return socket_.get(); }
    bool is_idle() const { return unanswered_ == 0; }

    void post(std::string body) {
        request_.body = std::move(body);
        unsent_ += to_text(request_);
        ++unanswered_;
    }

    // Sends what the socket takes. To be called when it is writable too, as long as this returns true.
    bool send() {
        while (!unsent_.empty()) {
            const auto sent = ::send(socket_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
            if (sent < 0 && (would_block() || errno == ENOTCONN)) break;
            if (sent < 0) throw_errno("publishing");
            unsent_.erase(0, static_cast<std::size_t>(sent));
        }
        return !unsent_.empty();
    }

    void receive(std::string& room) {
        const auto received = ::recv(socket_.get(), room.data(), room.size(), 0);
        if (received < 0 && would_block()) return;
        if (received < 0) throw_errno("publishing");
        if (received == 0) return end();
        std::string_view bytes(room.data(), static_cast<std::size_t>(received));
        for (sse::http_part part; (part = reader_.next(bytes)) != sse::http_part::none;) {
            if (part == sse::http_part::end) take_answer();
        }
        if (const std::error_code error = reader_.error()) throw std::system_error(error, "publishing");
    }

private:
    // Servers do so when nothing has been asked for a while.
    void end() {
        if (!is_idle()) throw std::runtime_error("the server ended the connection that publishes");
        socket_ = {};
    }

    void take_answer() {
        const int status = reader_.response().status;
        if (status / 100 != 2) throw std::runtime_error(fmt::format("publishing was answered {}", status));
        --unanswered_;
        reader_.reset();
    }

    sse::request request_;
    sockaddr_in address_;
    support::descriptor socket_{};
    std::string unsent_{};
    std::uint64_t unanswered_ = 0;
    sse::response_reader reader_{};
};

// Who of all the subscribers still waits for which events. The window and the end of a run depend on it.
class progress {
public:
    explicit progress(std::size_t subscribers) : subscribers_(subscribers) {}

    std::uint64_t published() const { return first_ + served_.size() - 1; }
    bool is_complete() const { return served_.empty(); }
    bool is_deserted() const { return absent_ == subscribers_; }
    std::uint64_t ahead() const { return served_.size(); }

    void add_event() {
        served_.push_back(absent_);
        drop_complete();
    }

    // A subscriber waits no more for the events after `from`, up to and with `to`.
    void serve(std::uint64_t from, std::uint64_t to) {
        for (std::uint64_t number = std::max(from + 1, first_); number <= to; ++number)
            ++served_[number - first_];
        if (from + 1 == first_) drop_complete();
    }

    // A subscriber that has the events up to `last` waits for none any more.
    void leave(std::uint64_t last) {
        serve(last, published());
        ++absent_;
    }

private:
    void drop_complete() {
        for (; !served_.empty() && served_.front() == subscribers_; ++first_) served_.pop_front();
    }

    std::size_t subscribers_;
    std::size_t absent_ = 0;
    std::uint64_t first_ = 1;           // that not all have
    std::deque<std::size_t> served_{};  // how many do not wait for it, for each event from that on
};

struct subscriber {
    enum class state : unsigned char { away, connecting, head, open, gone };

    support::descriptor socket{};
    sse::response_reader reader{};
    sse::parser parser{};
    std::uint64_t last = 0;  // number of the event seen last
    nanoseconds came = 0;
    state at = state::away;
    bool reads = true;
    bool has_lost = false;
    // It was told of a gap, or came back without an id, and nothing has come since.
    bool may_miss = false;
};

struct counts {
    std::uint64_t deliveries = 0;
    std::uint64_t lost = 0;
    std::uint64_t doubled = 0;
    std::uint64_t out_of_order = 0;
    std::uint64_t gaps = 0;    // events of that type
    std::uint64_t missed = 0;  // events that a gap told of, or that nobody asked for
    std::uint64_t others = 0;  // that this swarm did not publish
    std::uint64_t ended = 0;   // connections that the server ended
    std::uint64_t left = 0;    // connections that came back later
};

// The measured part of a run.
struct measurement {
    process_usage server_begin{}, server_end{};
    nanoseconds begin = 0, end = 0;
    nanoseconds own_begin = 0, own_end = 0;  // CPU time
    std::uint64_t events = 0;                // that each subscriber is to get
};

struct report {
    counts seen{};
    histogram latencies{};
    measurement measured{};
    process_usage before{}, idle{}, busy{}, after{};
};

class swarm {
public:
    explicit swarm(const settings& wanted)
        : settings_(wanted),
          address_(loopback_address(wanted.events)),
          request_{.url = wanted.events, .headers = {{"Accept", std::string(sse::media_type)}}},
          publisher_(wanted.publish),
          epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
        if (!epoll_) throw_errno("epoll_create1");
        connect_publisher();
    }

    report run() {
        report_.before = usage_of(settings_.pid);
        if (settings_.mode == mode::catchup) catch_up();
        else follow();
        report_.busy = usage_of(settings_.pid);
        count_lost();
        leave_all();
        report_.after = usage_of(settings_.pid);
        return std::move(report_);
    }

private:
    static constexpr std::uint64_t publisher_key = ~std::uint64_t{0};
    static constexpr std::size_t max_connecting = 100;  // no server's backlog is that short
    static constexpr int idle_receive_buffer = 4096;
    static constexpr nanoseconds time_away = 100'000'000;
    static constexpr nanoseconds time_to_settle = 200'000'000;

    // The course of a run

    void follow() {
        gather(settings_.subscribers, {}, 0);
        settle();
        publish_until(settings_.warm_up, never);
        settle();
        report_.idle = usage_of(settings_.pid);
        begin_measuring();
        const nanoseconds end = settings_.seconds > 0 ? now_ + from_seconds(settings_.seconds) : never;
        next_churn_ = settings_.churn > 0 ? now_ : never;
        publish_until(settings_.count == 0 ? never : settings_.warm_up + settings_.count, end);
        end_measuring(progress_.published() - settings_.warm_up);
    }

    // One subscriber listens, and learns the id after which all others want to go on.
    void catch_up() {
        gather(1, {}, 0);
        publish_until(settings_.count + 1, never);
        if (first_id_.empty()) throw std::runtime_error("no event with an id has come");
        leave_all();
        report_.before = usage_of(settings_.pid);

        begin_measuring();
        const std::uint64_t published = progress_.published();
        gather(settings_.subscribers, first_id_, 1, published);
        turn_until([this] { return progress_.is_complete(); });
        end_measuring(settings_.count);
        report_.idle = usage_of(settings_.pid);
    }

    // All of them connect, and have the head; they have seen `last` events, of those that there are.
    void gather(std::size_t number, const std::string& id, std::uint64_t last, std::uint64_t published = 0) {
        subscribers_ = std::vector<subscriber>(number);
        progress_ = progress(number);
        while (progress_.published() < published) progress_.add_event();
        const std::size_t readers = number - std::min(number, settings_.idle_readers);
        for (std::size_t i = 0; i < number; ++i) {
            subscribers_[i].last = last;
            subscribers_[i].reads = i < readers;
            subscribers_[i].parser = sse::parser({.last_event_id = id});
            if (last > 0) progress_.serve(0, last);
            if (i >= readers) progress_.leave(last);
            waiting_.push_back(i);
        }
        turn_until([this] { return waiting_.empty() && connecting_ == 0; });
        if (report_.seen.ended > 0)
            throw std::runtime_error(
                fmt::format("of {} subscribers {} are not served", number, report_.seen.ended));
    }

    void publish_until(std::uint64_t last, nanoseconds end) {
        last_ = last;
        publish_end_ = end;
        next_publish_ = now_;
        turn_until([this] { return !wants_to_publish() && progress_.is_complete() && publisher_.is_idle(); });
        last_ = 0;
        next_churn_ = never;
    }

    void settle() {
        const nanoseconds end = now_ + time_to_settle;
        wake_at_ = end;
        turn_until([this, end] { return now_ >= end; });
        wake_at_ = never;
    }

    void leave_all() {
        const std::uint64_t before = report_.before.descriptors;
        for (subscriber& each : subscribers_) leave(each, subscriber::state::gone);
        away_.clear();
        waiting_.clear();
        const nanoseconds end = now_ + from_seconds(settings_.patience);
        do {
            settle();
        } while (now_ < end && usage_of(settings_.pid).descriptors > before + 1);
        subscribers_.clear();
    }

    void begin_measuring() {
        report_.seen.deliveries = 0;
        report_.latencies = {};
        report_.measured = {.server_begin = usage_of(settings_.pid),
                            .begin = clock_now(),
                            .own_begin = clock_now(CLOCK_PROCESS_CPUTIME_ID)};
    }

    void end_measuring(std::uint64_t events) {
        report_.measured.events = events;
        report_.measured.end = clock_now();
        report_.measured.own_end = clock_now(CLOCK_PROCESS_CPUTIME_ID);
        report_.measured.server_end = usage_of(settings_.pid);
    }

    void count_lost() {
        for (const subscriber& each : subscribers_)
            if (each.reads)
                (each.may_miss ? report_.seen.missed : report_.seen.lost) +=
                    progress_.published() - each.last;
    }

    // The loop

    template <class Condition>
    void turn_until(Condition is_done) {
        moved_ = now_ = clock_now();
        while (!is_done()) {
            connect_waiting();
            if (wants_to_publish() && progress_.is_deserted()) stall("nobody is left to publish to");
            publish_due();
            churn_due();
            if (now_ - moved_ > from_seconds(settings_.patience)) {
                if (is_waiting()) stall("nothing has moved for too long");
                moved_ = now_;
            }
            poll();
        }
    }

    [[noreturn]] void stall(std::string_view why) const {
        const std::uint64_t published = progress_.published();
        throw std::runtime_error(fmt::format(
            "{}: {} connections are not there yet, the server has ended {}; {} events are published, "
            "{} of them still waited for",
            why, waiting_.size() + connecting_, report_.seen.ended, published, progress_.ahead()));
    }

    bool is_waiting() const { return connecting_ > 0 || !progress_.is_complete() || !publisher_.is_idle(); }

    void poll() {
        nanoseconds wake = std::min({moved_ + from_seconds(settings_.patience) + 1, wake_at_,
                                     wants_to_publish() ? next_churn_ : never});
        if (!away_.empty()) wake = std::min(wake, away_.front().until);
        if (settings_.mode == mode::rate && wants_to_publish()) wake = std::min(wake, next_publish_);
        if (publish_end_ > now_) wake = std::min(wake, publish_end_);
        // In the other modes each send would have to wake it, at the server's expense.
        const bool may_sleep = settings_.mode == mode::rate || settings_.mode == mode::hold;
        const nanoseconds wait = may_sleep && wake > now_ ? wake - now_ : 0;
        const timespec timeout{.tv_sec = static_cast<time_t>(wait / 1'000'000'000),
                               .tv_nsec = static_cast<long>(wait % 1'000'000'000)};
        const int ready =
            ::epoll_pwait2(epoll_.get(), events_.data(), static_cast<int>(events_.size()), &timeout, nullptr);
        if (ready < 0 && errno != EINTR) throw_errno("epoll_pwait2");
        now_ = clock_now();
        for (int i = 0; i < ready; ++i) {
            const epoll_event& event = events_[static_cast<std::size_t>(i)];
            if (event.data.u64 == publisher_key) serve_publisher();
            else serve(subscribers_[event.data.u64], event.events);
        }
    }

    void watch(int operation, int socket, std::uint32_t events, std::uint64_t key) {
        epoll_event event{.events = events, .data = {.u64 = key}};
        if (::epoll_ctl(epoll_.get(), operation, socket, &event) != 0) throw_errno("epoll_ctl");
    }

    void watch(int operation, const subscriber& which, std::uint32_t events) {
        watch(operation, which.socket.get(), events, key_of(which));
    }

    std::uint64_t key_of(const subscriber& which) const {
        return static_cast<std::uint64_t>(&which - subscribers_.data());
    }

    // Publishing

    bool wants_to_publish() const { return progress_.published() < last_ && now_ < publish_end_; }

    bool is_due() const {
        if (!wants_to_publish()) return false;
        switch (settings_.mode) {
            case mode::rate: return now_ >= next_publish_;
            case mode::full: return progress_.ahead() < settings_.window;
            default: return progress_.is_complete();
        }
    }

    void connect_publisher() {
        publisher_.connect();
        watch(EPOLL_CTL_ADD, publisher_.socket(), EPOLLIN, publisher_key);
        waits_to_send_ = false;
    }

    void publish_due() {
        if (is_due() && !publisher_.is_connected()) connect_publisher();
        bool published = false;
        for (; is_due(); published = true) {
            moved_ = now_ = clock_now();  // or else an endless loop would not see its end
            progress_.add_event();
            publisher_.post(make_data(tag_, {progress_.published(), now_}, settings_.bytes));
            next_publish_ += from_seconds(1 / settings_.rate);
        }
        if (published) send();
    }

    void send() {
        const bool is_unsent = publisher_.send();
        if (std::exchange(waits_to_send_, is_unsent) == is_unsent) return;
        watch(EPOLL_CTL_MOD, publisher_.socket(), is_unsent ? EPOLLIN | EPOLLOUT : EPOLLIN, publisher_key);
    }

    void serve_publisher() {
        publisher_.receive(room_);
        if (publisher_.is_connected()) send();
    }

    // Coming and going

    void connect_waiting() {
        for (; !away_.empty() && away_.front().until <= now_; away_.pop_front())
            waiting_.push_back(away_.front().key);
        for (; !waiting_.empty() && connecting_ < max_connecting; waiting_.pop_front())
            connect(subscribers_[waiting_.front()]);
    }

    void connect(subscriber& which) {
        which.socket = begin_connecting(address_, which.reads ? 0 : idle_receive_buffer);
        which.at = subscriber::state::connecting;
        which.came = now_;
        ++connecting_;
        watch(EPOLL_CTL_ADD, which, EPOLLOUT);
    }

    void request(subscriber& which) {
        sse::request request = request_;
        const std::string_view id = which.parser.last_event_id();
        if (!id.empty()) sse::set_header(request.headers, "Last-Event-ID", id);
        const std::string text = to_text(request);
        const auto sent = ::send(which.socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
        if (sent != static_cast<ssize_t>(text.size())) return end(which);  // a new connection takes that much
        which.reader.reset();
        which.parser.reset();
        which.at = subscriber::state::head;
        watch(EPOLL_CTL_MOD, which, EPOLLIN | EPOLLRDHUP | EPOLLET);
    }

    void open(subscriber& which) {
        if (which.reader.response().status != 200) return end(which);
        which.at = subscriber::state::open;
        --connecting_;
        moved_ = now_;
        if (!which.reads) watch(EPOLL_CTL_MOD, which, 0);
    }

    // The server ended the connection, or did not take it.
    void end(subscriber& which) {
        ++report_.seen.ended;
        if (settings_.churn > 0 && which.reads) go_away(which);
        else leave(which, subscriber::state::gone);
        if (which.at == subscriber::state::gone && which.reads) progress_.leave(which.last);
    }

    void leave(subscriber& which, subscriber::state to) {
        const bool is_connecting =
            which.at == subscriber::state::connecting || which.at == subscriber::state::head;
        if (is_connecting) --connecting_;
        which.socket = {};
        which.at = to;
    }

    void go_away(subscriber& which) {
        leave(which, subscriber::state::away);
        which.may_miss = which.may_miss || which.parser.last_event_id().empty();
        away_.push_back({now_ + time_away, key_of(which)});
    }

    void churn_due() {
        if (!wants_to_publish()) return;
        for (; next_churn_ <= now_; next_churn_ += from_seconds(1 / settings_.churn)) {
            subscriber& which = subscribers_[random_() % subscribers_.size()];
            if (which.at != subscriber::state::open || !which.reads) continue;
            const linger reset{.l_onoff = 1, .l_linger = 0};
            if (++report_.seen.left % 2 == 0)
                ::setsockopt(which.socket.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            go_away(which);
        }
    }

    // Receiving

    void serve(subscriber& which, std::uint32_t events) {
        if (!which.socket) return;
        if (which.at == subscriber::state::connecting)
            return (events & EPOLLERR) != 0 ? end(which) : request(which);
        if (which.at == subscriber::state::open && !which.reads) return end(which);  // that is all it hears
        // Told once of what has come: all of it is to be read, and where the server has ended, the end too.
        const bool has_ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        while (which.socket && (receive(which) || has_ended)) {
        }
    }

    // Returns whether there may be more bytes.
    bool receive(subscriber& which) {
        const auto received = ::recv(which.socket.get(), room_.data(), room_.size(), 0);
        if (received < 0 && would_block()) return false;
        if (received <= 0) {
            end(which);
            return false;
        }
        now_ = clock_now();
        std::string_view bytes(room_.data(), static_cast<std::size_t>(received));
        const bool is_full = bytes.size() == room_.size();
        take_response(which, bytes);
        return is_full;
    }

    void take_response(subscriber& which, std::string_view bytes) {
        while (which.socket) {
            switch (which.reader.next(bytes)) {
                case sse::http_part::head: open(which); break;
                case sse::http_part::body: feed(which, which.reader.body()); break;
                case sse::http_part::end: return end(which);
                case sse::http_part::none:
                    if (const std::error_code error = which.reader.error())
                        throw std::system_error(error, "a subscriber's response");
                    return;
            }
        }
    }

    void feed(subscriber& which, std::string_view bytes) {
        const sse::error error = which.parser.feed(bytes, [&](const sse::event_view& event) {
            const std::optional<stamp> stamp = read_stamp(tag_, event.data, settings_.bytes);
            if (stamp && stamp->number <= progress_.published())
                return take(which, *stamp, event.last_event_id);
            ++report_.seen.others;
            if (event.type != "gap") return;
            ++report_.seen.gaps;
            which.may_miss = true;
        });
        if (error) throw std::system_error(std::error_code(error));
    }

    void take(subscriber& which, const stamp& stamp, std::string_view id) {
        counts& seen = report_.seen;
        ++seen.deliveries;
        if (stamp.number <= which.last) {
            ++(which.has_lost ? seen.out_of_order : seen.doubled);
            return;
        }
        if (const std::uint64_t skipped = stamp.number - which.last - 1; skipped > 0) {
            (which.may_miss ? seen.missed : seen.lost) += skipped;
            which.has_lost = which.has_lost || !which.may_miss;
        }
        which.may_miss = false;
        progress_.serve(which.last, stamp.number);
        which.last = stamp.number;
        moved_ = now_;
        if (settings_.mode == mode::catchup) report_.latencies.add(now_ - which.came);
        else if (stamp.time >= which.came) report_.latencies.add(now_ - stamp.time);
        if (stamp.number == 1 && first_id_.empty()) first_id_ = id;
    }

    struct absence {
        nanoseconds until;
        std::uint64_t key;
    };

    settings settings_;
    sockaddr_in address_;
    sse::request request_;
    publisher publisher_;
    support::descriptor epoll_;
    std::string tag_ = fmt::format("swarm-{:x} ", clock_now());
    report report_{};

    std::vector<subscriber> subscribers_{};
    progress progress_{0};
    std::string first_id_{};  // of this swarm's first event

    std::deque<std::uint64_t> waiting_{};  // to connect
    std::deque<absence> away_{};
    std::size_t connecting_ = 0;

    nanoseconds now_ = clock_now();
    nanoseconds moved_ = now_;  // when anything last did
    nanoseconds wake_at_ = never;
    nanoseconds next_publish_ = 0;
    nanoseconds publish_end_ = never;
    nanoseconds next_churn_ = never;
    std::uint64_t last_ = 0;  // event to publish
    bool waits_to_send_ = false;

    std::minstd_rand random_{1};
    std::array<epoll_event, 512> events_{};
    std::string room_ = std::string(std::size_t{64} << 10, '\0');
};

// The command line, and what is printed

enum mode parse_mode(std::string_view name) {
    constexpr std::array<std::string_view, 5> names{"lockstep", "full", "rate", "hold", "catchup"};
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) throw support::usage_error(fmt::format("there is no mode '{}'", name));
    return static_cast<enum mode>(found - names.begin());
}

sse::url parse_url(std::string_view text) {
    const auto url = sse::parse_url(text);
    if (!url) throw support::usage_error(fmt::format("{}: {}", text, url.error().message()));
    if (url->scheme != "http") throw support::usage_error(fmt::format("{} is not http", text));
    return *url;
}

settings parse(support::command_line& arguments) {
    constexpr std::uint64_t many = 1'000'000'000;
    constexpr double long_time = 1e6;
    settings result;
    while (arguments.next()) {
        if (arguments.is("--help")) result.help = true;
        else if (arguments.is("--events")) result.events = parse_url(arguments.value());
        else if (arguments.is("--publish")) result.publish = parse_url(arguments.value());
        else if (arguments.is("--pid"))
            result.pid = arguments.number<int>(1, std::numeric_limits<int>::max());
        else if (arguments.is("--mode")) result.mode = parse_mode(arguments.value());
        else if (arguments.is("--subscribers"))
            result.subscribers = arguments.number<std::size_t>(1, 100'000);
        else if (arguments.is("--idle-readers"))
            result.idle_readers = arguments.number<std::size_t>(0, 100'000);
        else if (arguments.is("--count")) result.count = arguments.number<std::uint64_t>(1, many);
        else if (arguments.is("--for")) result.seconds = arguments.number<double>(0, long_time);
        else if (arguments.is("--warm-up")) result.warm_up = arguments.number<std::uint64_t>(0, many);
        else if (arguments.is("--rate")) result.rate = arguments.number<double>(1e-3, 1e6);
        else if (arguments.is("--window")) result.window = arguments.number<std::uint64_t>(1, many);
        else if (arguments.is("--bytes"))
            result.bytes = arguments.number<std::size_t>(max_stamp_bytes, 1'000'000);
        else if (arguments.is("--churn")) result.churn = arguments.number<double>(0, 1e5);
        else if (arguments.is("--patience")) result.patience = arguments.number<double>(0, long_time);
        else arguments.refuse();
    }
    if (result.help) return result;
    if (result.events.host.empty() || result.publish.host.empty())
        throw support::usage_error("--events and --publish are needed");
    if (result.mode == mode::catchup && result.idle_readers > 0)
        throw support::usage_error("--idle-readers has no meaning in mode catchup");
    if (result.count == 0 && result.seconds == 0) result.count = result.mode == mode::hold ? 5 : 1000;
    return result;
}

// Without them the figures of a server whose processes are not known would be infinite, which JSON is not.
double quotient(double over, double under) { return under > 0 ? over / under : 0; }

// Who leaves, or reads nothing, gets fewer deliveries than there are events.
bool is_complete(const report& report, const settings& settings) {
    const counts& seen = report.seen;
    const bool all_stay = settings.churn == 0 && settings.idle_readers == 0;
    const bool all_came = !all_stay || seen.deliveries == settings.subscribers * report.measured.events;
    const bool in_order = seen.doubled == 0 && seen.out_of_order == 0;
    return all_came && in_order && seen.lost == 0 && seen.missed == 0 && seen.gaps == 0;
}

std::string counts_json(const counts& seen) {
    return fmt::format(
        R"("deliveries": {}, "lost": {}, "doubled": {}, "out_of_order": {}, "gaps": {}, "missed": {}, )"
        R"("others": {}, "ended": {}, "left": {})",
        seen.deliveries, seen.lost, seen.doubled, seen.out_of_order, seen.gaps, seen.missed, seen.others,
        seen.ended, seen.left);
}

std::string cost_json(const report& report) {
    const measurement& measured = report.measured;
    const double cpu_s = measured.server_end.cpu_s - measured.server_begin.cpu_s;
    const double wall_s = to_seconds(measured.end - measured.begin);
    const auto deliveries = static_cast<double>(report.seen.deliveries);
    return fmt::format(
        R"("wall_s": {:.6f}, "server_cpu_s": {:.2f}, "swarm_cpu_s": {:.6f}, "deliveries_per_cpu_s": {:.0f}, )"
        R"("deliveries_per_s": {:.0f}, "cpu_us_per_event": {:.2f})",
        wall_s, cpu_s, to_seconds(measured.own_end - measured.own_begin), quotient(deliveries, cpu_s),
        quotient(deliveries, wall_s), quotient(cpu_s * 1e6, static_cast<double>(measured.events)));
}

std::string latency_json(const histogram& latencies) {
    const auto ms = [&](double fraction) { return to_seconds(latencies.percentile(fraction)) * 1e3; };
    return fmt::format(
        R"("latency_ms": {{"p50": {:.3f}, "p90": {:.3f}, "p99": {:.3f}, "p99.9": {:.3f}, "max": {:.3f}}})",
        ms(0.5), ms(0.9), ms(0.99), ms(0.999), to_seconds(latencies.max()) * 1e3);
}

std::string memory_json(const report& report, std::size_t subscribers) {
    const auto four = [&](std::uint64_t process_usage::*figure) {
        return fmt::format(R"("before": {}, "idle": {}, "busy": {}, "after": {})", report.before.*figure,
                           report.idle.*figure, report.busy.*figure, report.after.*figure);
    };
    const auto held = static_cast<double>(std::max(report.idle.rss_bytes, report.busy.rss_bytes));
    const double growth = held - static_cast<double>(report.before.rss_bytes);
    return fmt::format(
        R"("rss_bytes": {{{}, "peak": {}}}, "rss_per_subscriber": {:.0f}, "descriptors": {{{}}})",
        four(&process_usage::rss_bytes), report.after.peak_bytes, growth / static_cast<double>(subscribers),
        four(&process_usage::descriptors));
}

std::string to_json(const report& report, std::size_t subscribers, bool is_complete) {
    return fmt::format("{{\"complete\": {}, \"subscribers\": {}, \"events\": {},\n {},\n {},\n {},\n {}}}\n",
                       is_complete, subscribers, report.measured.events, counts_json(report.seen),
                       cost_json(report), latency_json(report.latencies), memory_json(report, subscribers));
}

int run(support::command_line arguments) {
    const settings settings = parse(arguments);
    if (settings.help) {
        support::write_out(usage);
        return 0;
    }
    support::raise_descriptor_limit();
    const report report = swarm(settings).run();
    const bool complete = is_complete(report, settings);
    support::write_out(to_json(report, settings.subscribers, complete));
    return complete ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) { return support::run("swarm", argc, argv, run); }
