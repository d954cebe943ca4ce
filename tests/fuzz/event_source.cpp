// Invariant: whatever the server, the clock and the listeners do, the machine moves as its table has it and
// says so; what a listener or a hook calls of the loop's functions changes nothing; it never asks to wait for
// what is past; it calls no listener of a stream that is over; the events it tells are those of the bytes,
// and so are the IDs that cannot be sent back; the next request asks for what is behind them; no request has
// a field that forges another, an ID that was not received, or a secret for another origin; redirects and
// failures in a row are bounded.
//
// The input is a script. Its first line chooses options: words of a letter and a digit, see `options_of`.
// Each further line is an operation and its argument, see `perform`, escaped as script.hpp has it.
#include <sse/event_source.hpp>

#include "../support/exact_copy.hpp"
#include "../support/reference.hpp"
#include "require.hpp"
#include "script.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using sse::detail::event_source_input;
using sse::detail::event_source_state;
using test::number_of;
using test::require;
using test::take_line;
using test::unescaped;
using time_point = sse::event_source::time_point;
using kind = test::notification::kind;

constexpr std::array secrets = {"Authorization", "Cookie", "Proxy-Authorization",
                                "Host",          "X-Own",  "x-API-key"};

/// What a listener throws.
struct thrown {};

sse::event_source_options options_of(std::string_view words) {
    const auto choose = [&](char key, auto... values) {
        constexpr std::size_t count = sizeof...(values);
        const std::array choices = {values...};
        const std::size_t at = words.find(key);
        return choices[at < words.size() - 1 ? static_cast<unsigned char>(words[at + 1]) % 16 % count : 0];
    };
    if (words.empty()) words = " ";
    const auto anything = [](int, std::string_view) { return sse::response_action::open; };
    using policy = sse::response_action (*)(int, std::string_view);
    sse::event_source_options options;
    options.policy =
        choose('p', policy(sse::standard_action), policy(sse::retrying_action), policy(anything));
    options.url = choose('u', "http://a.example/stream", "https://a.example/stream", "http://[::1]:81/?q");
    options.method = choose('m', "GET", "POST", "PUT");
    options.body = options.method == "GET" ? "" : "{}";
    options.headers = {{"X-Public", "1"}, {"Content-Type", "application/json"}, {"Authorization", "secret"}};
    if (choose('h', 0, 1) != 0) {
        for (const char* const name : secrets) options.headers.push_back({name, "secret"});
        options.headers.push_back({"Last-Event-ID", "own"});
        options.headers.push_back({"Accept", "*/*"});
    }
    options.secret_headers = {"x-own"};
    options.max_last_event_id_bytes = choose('l', std::size_t{4096}, std::size_t{4});
    const bool is_short = options.max_last_event_id_bytes == 4;  // one that cannot be sent is refused
    options.last_event_id = choose('i', "", is_short ? "7" : "begun with");
    options.max_event_bytes = choose('e', std::size_t{256}, std::size_t{16}, std::size_t{4096});
    options.invalid_utf8 = choose('t', sse::invalid_utf8::replace, sse::invalid_utf8::keep);
    options.unfinished_event = choose('d', sse::unfinished_event::discard, sse::unfinished_event::deliver);
    options.reconnect_at_end = choose('o', true, false);
    options.max_attempts = choose('a', 0U, 1U, 3U);
    options.max_redirects = choose('r', 20U, 0U, 2U);
    options.response_timeout = sse::milliseconds(choose('c', 30'000, 0, 1, -1));
    options.idle_timeout = sse::milliseconds(choose('s', 0, 5000, 1));
    const sse::milliseconds ever = (sse::milliseconds::max)();
    const sse::milliseconds none{0};
    options.backoff = choose('b', sse::backoff_options{}, sse::backoff_options{none, none, none, none, none},
                             sse::backoff_options{none, ever, ever, ever, sse::milliseconds{1}},
                             sse::backoff_options{ever, ever, ever, ever, ever});
    if (choose('f', 0, 1) != 0) {
        options.is_terminal = [](const sse::event_view& event) { return event.data == "[DONE]"; };
    }
    return options;
}

/// What was seen of a stream that is open, or has been until a moment ago.
struct stream {
    std::string begun_with{};  // the last event ID
    std::string bytes{};
    std::vector<test::notification> heard{};
    bool ended_inside = false;  // by a listener
    std::string id{};           // when that was
};

/// A source, and beside it what must be true of it.
class machine {
public:
    explicit machine(sse::event_source_options options) : options_(std::move(options)), source_(observed()) {
        for (int i = 0; i < 2; ++i) listen(i == 0);
        check_state();
    }

    void perform(std::string_view line) {
        constexpr std::string_view operations = "nwtarbexcsolh";
        if (line.empty()) return;
        const std::size_t known = operations.find(line.front());
        const auto otherwise = static_cast<unsigned char>(line.front()) % operations.size();
        const std::string argument = unescaped(line.substr(1));
        switch (known < operations.size() ? line[0] : operations[otherwise]) {
            case 'n': return next();
            case 'w': return connect();
            case 't': return pass(number_of(argument));
            case 'a': return respond("200|Content-Type: text/event-stream");
            case 'r': return respond(line.substr(1));
            case 'b': return read(argument);
            case 'e': return end();
            case 'x':
                if (requests_ == 0) return;
                return tell([&] { source_.handle_error(std::make_error_code(std::errc::io_error), now_); });
            case 'c':
                tell([&] { source_.close(), apply(event_source_input::over); });
                return require(source_.ready_state() == sse::ready_state::closed);
            case 's':
                tell([&] { restart(); });
                return require(source_.ready_state() == sse::ready_state::connecting && !source_.error());
            case 'o': random_ = number_of(argument); return;
            case 'l': acts_.assign(argument.begin(), argument.end()); return;  // of the next listeners called
            case 'h': renewed_ = argument; return;                             // by the next attempt
        }
    }

private:
    sse::event_source_options observed() {
        sse::event_source_options options = options_;
        options.random = [this] {
            interfere();
            return ++calls_, random_;
        };
        options.renew_headers = [this](sse::headers& headers) {
            interfere();
            ++calls_;
            if (!renewed_) return;
            const std::string field = *std::exchange(renewed_, std::nullopt);
            if (field.starts_with('!')) throw thrown();
            const std::size_t colon = field.find(": ");
            headers.push_back({field.substr(0, colon),
                               colon == std::string::npos ? std::string() : field.substr(colon + 2)});
            has_renewed_ = true;
        };
        if (options.is_terminal) {
            options.is_terminal = [this](const sse::event_view& event) {
                interfere();
                if (!options_.is_terminal(event)) return false;
                end_inside();
                apply(event_source_input::over);
                stream_->id = kept(event.last_event_id);
                return true;
            };
        }
        return options;
    }

    // Listening. The first of two listeners takes down what the second must find again.

    void listen(bool first) {
        source_.on_open([this, first] {
            if (first) {
                require(telling_response_);
                apply(event_source_input::accepted);
                stream_.emplace();
                stream_->begun_with = source_.last_event_id();
                opened_at_ = now_;
                is_fed_ = true;
            }
            hear();
        });
        for (const char* const type : {"message", "tick"}) {
            source_.on(type, [this, first, type](const sse::event_source::event_view& event) {
                require(event.type == type && event.origin == sse::origin(sent_->url));
                require(kept(event.last_event_id) == source_.last_event_id());
                hear(first, {kind::event, std::string(event.type), std::string(event.data),
                             std::string(event.last_event_id)});
            });
        }
        source_.on_comment([this, first](std::string_view text) {
            hear(first, {kind::comment, std::string(text)});
        });
        source_.on_unsendable_id([this, first](std::string_view id) {
            require(!is_sendable(id) && !id.empty());
            hear(first, {kind::id, std::string(id)});
        });
        source_.on_retry([this, first](sse::milliseconds time) {
            reconnection_time_ = time;
            hear(first, {kind::retry, std::to_string(time.count())});
        });
        source_.on_error(
            [this, first](const sse::event_source::failure& error) { hear_error(first, error); });
    }

    void hear(bool first, const test::notification& what) {
        require(stream_.has_value());
        if (first) stream_->heard.push_back(what);
        require(!stream_->heard.empty() && stream_->heard.back() == what);
        hear();
    }

    void hear() {
        require(stream_ && !stream_->ended_inside && source_.ready_state() == sse::ready_state::open);
        act(true);
    }

    void hear_error(bool first, const sse::event_source::failure& error) {
        require(static_cast<bool>(error.code));
        if (!first) return act(false);
        ++errors_;
        last_error_ = error.code;
        if (error.code == sse::errc::too_many_redirects) require(redirects_ == options_.max_redirects);
        require(error.retry_in.has_value() == (source_.ready_state() == sse::ready_state::connecting));
        if (!error.retry_in) {
            require(source_.error() == error.code);
            apply(event_source_input::over);
            return act(false);
        }
        count_failure();
        require(source_.failures() == failures_);
        require(options_.max_attempts == 0 || failures_ < options_.max_attempts);
        require(*error.retry_in >= std::min(reconnection_time_, options_.backoff.max_reconnection_time));
        apply(event_source_input::lost);
        due_.reset();  // later than that it may be held at the end of time
        if (*error.retry_in < sse::milliseconds(1'000'000'000)) {
            due_ = now_ + std::chrono::milliseconds(*error.retry_in);
        }
        act(false);
    }

    std::chrono::milliseconds stable_after() const {
        const auto most = std::chrono::floor<std::chrono::milliseconds>((time_point::duration::max)());
        return std::min(std::chrono::milliseconds(options_.backoff.stable_after), most);
    }

    void count_failure() {
        if (state_ == event_source_state::open && now_ - opened_at_ >= stable_after()) failures_ = 0;
        ++failures_;
    }

    void act(bool of_stream) {
        require(++calls_ < 10'000);
        if (acts_.empty()) return interfere();
        const char what = acts_.front();
        acts_.pop_front();
        if (what == 'c') source_.close(), apply(event_source_input::over);
        if (what == 'r') restart();
        if (what == 'a' && ++added_ < 4)
            source_.on_message([this](const sse::event_source::event_view&) { hear(); });
        if (what == 't' && of_stream) {
            count_failure();
            apply(event_source_input::lost);
            due_.reset();
            if (options_.max_attempts != 0 && failures_ >= options_.max_attempts)
                apply(event_source_input::over);
        }
        if (of_stream && (what == 'c' || what == 'r' || what == 't')) end_inside();
        interfere();
        if (what == 't') throw thrown();
    }

    void end_inside() {
        stream_->ended_inside = true;
        stream_->id = source_.last_event_id();
    }

    /// Calls from inside a call what is not to do anything there.
    void interfere() {
        const sse::ready_state state = source_.ready_state();
        const std::string id(source_.last_event_id());
        const sse::event_source::task task = source_.next(latest);
        require((task.step == sse::event_source::step::finished) == (state == sse::ready_state::closed));
        require(task.step != sse::event_source::step::connect && task.request == nullptr);
        if (task.step != sse::event_source::step::finished) require(task.until == latest);
        const std::error_code error = sse::errc::connection_ended;
        source_.handle_response({.status = 200, .headers = {{"Content-Type", "text/event-stream"}}}, latest);
        source_.handle_bytes("id: forged\ndata: forged\n\nretry: 7\n: forged\n", latest);
        source_.handle_end(latest);
        source_.handle_error(error, latest);
        source_.handle_fatal_error(error);
        require(source_.ready_state() == state && source_.last_event_id() == id);
    }

    /// What is kept of an ID: one that is too long to be sent is not.
    std::string_view kept(std::string_view id) const noexcept {
        return id.size() <= options_.max_last_event_id_bytes ? id : std::string_view();
    }

    /// Whether a header can hold it as it is, and it is not too long to be sent.
    bool is_sendable(std::string_view id) const noexcept {
        return !id.empty() && id.size() <= options_.max_last_event_id_bytes && id.front() != ' ' &&
               id.back() != ' ' && std::none_of(id.begin(), id.end(), [](char byte) {
                   return static_cast<unsigned char>(byte) < ' ' || byte == 0x7F;
               });
    }

    void restart() {
        source_.restart();
        restarted_ = true;
        apply(event_source_input::restart);
        failures_ = 0;
    }

    // Telling

    /// Each of these has to be of use: else nobody would have been told.
    void apply(event_source_input what) {
        const event_source_state next = sse::detail::next_state(state_, what);
        const bool is_late = next == state_ && what != event_source_input::restart;
        require(!is_late || (what == event_source_input::over && state_ == event_source_state::closed));
        state_ = next;
    }

    void check_state() const {
        const sse::ready_state state = state_ == event_source_state::open     ? sse::ready_state::open
                                       : state_ == event_source_state::closed ? sse::ready_state::closed
                                                                              : sse::ready_state::connecting;
        require(source_.ready_state() == state);
        require(source_.last_event_id().size() <= options_.max_event_bytes);
        require(kept(source_.last_event_id()) == source_.last_event_id());
    }

    template <class Call>
    void tell(Call call, bool at_end = false) {
        errors_ = 0;
        calls_ = 0;
        restarted_ = false;
        const bool was_closed = state_ == event_source_state::closed;
        try {
            call();
        } catch (const thrown&) {
        }
        if (stream_ && state_ != event_source_state::open) {
            check_stream(at_end);
            stream_.reset();
        }
        check_state();
        if (was_closed && !restarted_) require(state_ == event_source_state::closed && calls_ == 0);
    }

    void next() {
        const std::size_t most_calls = 8 + 4 * acts_.size();
        sse::event_source::task task;
        bool returned = false;
        if (std::exchange(is_fed_, false)) heard_at_ = now_;  // silence is counted from here
        tell([&] { task = source_.next(now_), returned = true; });
        require(calls_ <= most_calls);
        if (!returned) return;
        // Made to start anew by who was told that its headers are no good.
        const bool is_anew = restarted_ && state_ == event_source_state::ready;
        if (is_anew && task.step == sse::event_source::step::wait) return require(task.until == now_);
        require(!task.until || *task.until > now_);
        require((task.request != nullptr) == (task.step == sse::event_source::step::connect));
        switch (task.step) {
            case sse::event_source::step::connect:
                if (state_ == event_source_state::waiting) {
                    require(!due_ || now_ >= *due_);
                    apply(event_source_input::time);
                }
                require(state_ == event_source_state::ready || state_ == event_source_state::redirected);
                check_request(*task.request);
                apply(event_source_input::sent);
                ++requests_;
                heard_at_ = now_;
                is_fed_ = true;
                check_until(task, options_.response_timeout);
                break;
            case sse::event_source::step::read:
                require(state_ == event_source_state::requesting || state_ == event_source_state::open);
                check_until(task, state_ == event_source_state::open ? options_.idle_timeout
                                                                     : options_.response_timeout);
                break;
            case sse::event_source::step::wait:
                require(state_ == event_source_state::waiting && task.until &&
                        task.until == due_.value_or(*task.until));
                due_ = task.until;
                break;
            case sse::event_source::step::finished:
                require(state_ == event_source_state::closed && !task.until);
                break;
        }
        check_state();
    }

    void connect() {
        for (int i = 0;
             i < 3 && (state_ == event_source_state::waiting || state_ == event_source_state::ready ||
                       state_ == event_source_state::redirected);
             ++i) {
            if (state_ == event_source_state::waiting && due_) now_ = std::clamp(*due_, now_, latest);
            next();
        }
    }

    void pass(std::uint64_t time) {
        const auto left = std::chrono::floor<std::chrono::milliseconds>(latest - now_);
        const auto most = static_cast<std::uint64_t>(left.count());
        now_ += std::chrono::milliseconds(static_cast<std::int64_t>(std::min(time, most)));
        next();
    }

    void respond(std::string_view text) {
        sse::response response;
        for (std::size_t field = 0; !text.empty(); ++field) {
            const std::string line = unescaped(text.substr(0, text.find('|')));
            text.remove_prefix(std::min(line.size() + 1, text.size()));
            const std::size_t colon = line.find(": ");
            if (field == 0) response.status = static_cast<int>(number_of(line) % 1000);
            else if (colon != std::string::npos) {
                response.headers.push_back({line.substr(0, colon), line.substr(colon + 2)});
            }
        }
        const bool was_requesting = state_ == event_source_state::requesting;
        if (requests_ == 0 || (requests_ == 1 && state_ == event_source_state::open)) return;
        telling_response_ = was_requesting;
        tell([&] {
            source_.handle_response(response, now_);
            if (!was_requesting || state_ != event_source_state::requesting) return;
            apply(event_source_input::redirect);  // for nobody was told anything
            require(++redirects_ <= options_.max_redirects);
        });
        telling_response_ = false;
    }

    void read(std::string_view bytes) {
        if (requests_ == 0 || (requests_ == 1 && state_ == event_source_state::requesting)) return;
        const test::exact_copy block(bytes);  // under AddressSanitizer a view kept too long is seen
        if (stream_) stream_->bytes += bytes, is_fed_ = true;
        tell([&] { source_.handle_bytes(block, now_); });
    }

    void end() {
        if (requests_ == 0) return;
        tell(
            [&] {
                source_.handle_end(now_);
                const bool is_over = state_ == event_source_state::open && !options_.reconnect_at_end;
                if (is_over) apply(event_source_input::over), require(!source_.error());
            },
            true);
    }

    // Looking closer

    void check_until(const sse::event_source::task& task, sse::milliseconds timeout) const {
        if (timeout.count() <= 0) return require(!task.until);
        require(task.until == heard_at_ + std::chrono::milliseconds(timeout));
    }

    /// Of a stream that is over, by what the standard says of its bytes.
    void check_stream(bool at_end) const {
        const test::outcome all = test::reference(
            stream_->bytes, {.replace = options_.invalid_utf8 == sse::invalid_utf8::replace,
                             .deliver = at_end && options_.unfinished_event == sse::unfinished_event::deliver,
                             .last_event_id = stream_->begun_with,
                             .max_event_bytes = options_.max_event_bytes,
                             .keeps_comments = true});
        std::vector<test::notification> expected;
        for (const test::notification& each : all.log) {
            const bool is_event = each.what == kind::event;
            if (is_event && options_.is_terminal && options_.is_terminal({.data = each.second})) break;
            const bool is_wanted = !is_event || each.first == "message" || each.first == "tick";
            const bool is_told = is_event || each.what == kind::comment || each.what == kind::retry ||
                                 (each.what == kind::id && !each.first.empty() && !is_sendable(each.first));
            if (is_wanted && is_told) expected.push_back(each);
        }
        const std::vector<test::notification>& heard = stream_->heard;
        if (stream_->ended_inside) {
            require(heard.size() <= expected.size());
            require(std::equal(heard.begin(), heard.end(), expected.begin()));
            require(source_.last_event_id() == stream_->id);
        } else {
            require(heard == expected && source_.last_event_id() == kept(all.last_event_id));
            require(all.too_large == (errors_ > 0 && last_error_ == sse::errc::event_too_large));
        }
    }

    void check_request(const sse::request& request) {
        const bool is_redirected = state_ == event_source_state::redirected;
        const sse::request before = is_redirected ? *sent_ : sse::request{};
        sent_ = request;
        const auto reparsed = sse::parse_url(sse::to_string(request.url));
        require(reparsed && *reparsed == request.url);
        std::size_t ids = 0;
        for (const auto& [name, value] : request.headers) {
            require(!sse::check_header(name, value));
            ids += sse::equal_ignoring_case(name, "Last-Event-ID");
        }
        const auto value_of = [&](std::string_view name) { return sse::find_header(request.headers, name); };
        const std::string_view id = source_.last_event_id();
        const bool is_sent = is_sendable(id);
        if (is_sent) require(ids == 1 && value_of("Last-Event-ID") == id);
        require(value_of("Accept").has_value() && value_of("Cache-Control").has_value());
        require(request.method == options_.method || (is_redirected && request.method == "GET"));
        const bool has_body = request.method != "GET";
        require(request.body == (has_body ? options_.body : ""));
        if (options_.method != "GET") require(value_of("Content-Type").has_value() == has_body);

        if (!is_redirected) {
            redirects_ = 0;
            require(request.url == source_.url() && request.method == options_.method);
            for (const sse::header& field : options_.headers) {
                if (is_sent && field.name == "Last-Event-ID") continue;
                require(std::count(request.headers.begin(), request.headers.end(), field) > 0);
            }
            const bool has_own = has_renewed_ || sse::find_header(options_.headers, "Last-Event-ID");
            if (!is_sent && !has_own) require(ids == 0);
            has_renewed_ = false;
            has_left_ = false;
            return;
        }
        require(before.url.scheme == "http" || request.url.scheme == "https");
        has_left_ = has_left_ || !sse::same_origin(before.url, request.url);
        for (const char* const name : secrets) {
            if (has_left_) require(!value_of(name));
            else require(value_of(name) == sse::find_header(before.headers, name));
        }
    }

    static constexpr time_point latest{std::chrono::hours(24 * 365 * 100)};

    sse::event_source_options options_;
    time_point now_{};
    std::uint64_t random_ = 0;
    std::deque<char> acts_{};
    int added_ = 0;  // listeners
    std::optional<std::string> renewed_{};
    bool has_renewed_ = false;

    event_source_state state_ = event_source_state::ready;
    std::optional<stream> stream_{};
    std::optional<sse::request> sent_{};
    bool has_left_ = false;  // the origin that was begun with
    bool telling_response_ = false;
    bool restarted_ = false;  // in this call
    std::uint64_t requests_ = 0;  // handed out
    std::uint32_t redirects_ = 0;
    std::uint32_t failures_ = 0;
    std::size_t errors_ = 0;  // told in this call
    std::error_code last_error_{};
    std::size_t calls_ = 0;  // of listeners, and others, in this call
    time_point opened_at_{};
    time_point heard_at_{};
    bool is_fed_ = false;  // heard since it was last asked what to do
    std::optional<time_point> due_{};
    sse::milliseconds reconnection_time_ = options_.backoff.reconnection_time;

    sse::event_source source_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view script(reinterpret_cast<const char*>(data), size);
    machine it(options_of(take_line(script)));
    while (!script.empty()) it.perform(take_line(script));
    it.perform("c");  // a stream that is open is then looked at
    return 0;
}
