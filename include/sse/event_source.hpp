// The browser's EventSource as a state machine, without a socket, a timer or a thread. Layer 5.
//
//     sse::event_source source({.url = "https://example.org/stream"});
//     source.on_message([](const sse::event_source::event_view& event) { use(event.data); });
//     // and a loop that does what source.next(now) says, and tells what came of it
#pragma once

#include "backoff.hpp"
#include "detail/after.hpp"
#include "detail/listeners.hpp"
#include "detail/macros.hpp"
#include "detail/raise.hpp"
#include "detail/redirect.hpp"
#include "detail/split_mix.hpp"
#include "error.hpp"
#include "event.hpp"
#include "http.hpp"
#include "parser.hpp"
#include "url.hpp"

#include <array>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace sse {

/// The browser's three. Waiting to connect again is connecting, too.
enum class ready_state : unsigned char { connecting = 0, open = 1, closed = 2 };

/// Times are written as `5s` or `250ms`. Where the compiler only says that no constructor matches, one of
/// these has another type than it was given: options that are a variable of their own have it say which.
struct event_source_options {
    std::string url{};

    std::string method = "GET";
    std::string body{};

    /// Sent besides Accept, Cache-Control and Last-Event-ID, which are added. Some services want a
    /// User-Agent.
    sse::headers headers{};

    /// Called before each attempt with a fresh copy of the headers above, to set those that expire: what it
    /// did for the attempt before is forgotten. See `set_header`.
    std::function<void(sse::headers&)> renew_headers{};

    /// Whether the transport may keep what the server gives it to recognise the client by: curl::run then
    /// sends its cookies back for as long as it runs, to this origin alone; the posix adapter knows of none.
    /// The headers above are sent in any case.
    bool with_credentials = false;

    /// Headers that are for this origin alone, besides those that `is_secret_header` knows by their names. A
    /// redirect to another origin goes without any of them; another port is another origin.
    std::vector<std::string> secret_headers{};

    /// The ID to begin with, from an earlier run. One that could not be sent is refused, see `check`.
    std::string last_event_id{};

    /// A longer one is not sent: servers bound a request's head, and would refuse all of it. Nor is it kept
    /// any longer than the stream that brought it. Listeners learn of it by `on_unsendable_id`.
    /// \note Deviation: in a browser it goes on to the events of the next stream.
    std::size_t max_last_event_id_bytes = default_max_last_event_id_bytes;

    /// What the head of a response means, see `standard_action` and `retrying_action`.
    std::function<response_action(int status, std::string_view content_type)> policy = standard_action;

    backoff_options backoff{};

    /// After so many attempts in a row that failed there is no further one; 0 for no limit. One whose stream
    /// has ended counts, too: with 1 there is one attempt.
    std::uint32_t max_attempts = 0;

    std::uint32_t max_redirects = 20;  ///< as many as a browser follows

    /// How long to wait for the head of a response, connecting included; 0 for ever. This and the next are
    /// counted from when the loop asks what to do: what a listener takes is not the server's fault.
    milliseconds response_timeout{30'000};

    /// A stream that is silent for longer, without even a comment, is taken for dead; 0 for never.
    milliseconds idle_timeout{0};

    /// Whether to connect again when the response is complete, as the standard says. LLM servers end so.
    bool reconnect_at_end = true;

    /// What becomes of an event that a complete response ends in the middle of.
    sse::unfinished_event unfinished_event = sse::unfinished_event::discard;

    /// Tells an event after which no more is wanted, such as `[DONE]`. It is not delivered;
    /// `saw_terminal_event()` says whether it came.
    std::function<bool(const event_view&)> is_terminal{};

    /// What is retained of a stream while it is open: of an event, or a comment, and the last event ID. One
    /// that needs more closes the source. For the next attempt an ID of up to `max_last_event_id_bytes` is
    /// retained once more, and again in the request that sends it: both come on top of this.
    std::size_t max_event_bytes = parser_options{}.max_event_bytes;

    sse::invalid_utf8 invalid_utf8 = sse::invalid_utf8::replace;

    /// Evenly distributed over all values; for the pauses between attempts, not for secrets.
    std::function<std::uint64_t()> random{};
};

namespace detail {

enum class event_source_state : unsigned char {
    waiting,     ///< for the end of a pause
    ready,       ///< to make a request
    redirected,  ///< to send the request that a redirect has made
    requesting,  ///< for the head of a response
    open,        ///< reading a stream
    closed,
};

enum class event_source_input : unsigned char {
    time,      ///< the pause is over
    sent,      ///< the request is handed out
    accepted,  ///< the response is an event stream
    redirect,  ///< the response names another URL
    lost,      ///< no stream, or no longer; another attempt may help
    over,      ///< another attempt would not help, or is not wanted
    restart,
};

/// Where each input leads from each state. To itself: the input is late, and ignored.
///
/// Some of what an event_source holds is not in this table, because it never decides where an input leads:
/// - that a call of the loop has not returned (`is_called_`): until then no other call has an effect;
/// - when the state has lasted too long (`deadline_`, which `is_fed_` tells `next` to set): that is then an
///   input, `time` or `lost`;
/// - how many redirects and failed attempts there were (`redirects_`, `backoff_`): beyond their limits the
///   input is `over` instead;
/// - which of the connections is being read (`connection_`): handlers of an earlier one tell nothing more;
/// - why the source is closed (`error_`, `saw_terminal_event_`);
/// - what has become of the first request (`first_request_`), for assertions only.
inline constexpr auto event_source_transitions = [] {
    using enum event_source_state;
    return std::array<std::array<event_source_state, 7>, 6>{{
        // clang-format off
        // time       sent        accepted    redirect    lost        over    restart
        {ready,       waiting,    waiting,    waiting,    waiting,    closed, ready},  // waiting
        {ready,       requesting, ready,      ready,      ready,      closed, ready},  // ready
        {redirected,  requesting, redirected, redirected, redirected, closed, ready},  // redirected
        {requesting,  requesting, open,       redirected, waiting,    closed, ready},  // requesting
        {open,        open,       open,       open,       waiting,    closed, ready},  // open
        {closed,      closed,     closed,     closed,     closed,     closed, ready},  // closed
        // clang-format on
    }};
}();

constexpr event_source_state next_state(event_source_state state, event_source_input input) noexcept {
    return event_source_transitions[static_cast<std::size_t>(state)][static_cast<std::size_t>(input)];
}

class source_run;

}  // namespace detail

/// A client that stays connected: connects, reads, notices that the stream is gone, waits, connects again and
/// resumes behind the last event.
///
/// It does nothing by itself. A loop asks what to do next, does it, and tells what happened:
///
///     for (;;) {
///         const sse::event_source::task task = source.next(now());
///         switch (task.step) { … }
///     }
///
/// Listeners and hooks are called from inside these functions. They may call any other of the source, but
/// until the function that called them returns, `next` changes nothing and asks only to be asked again, and
/// the `handle_…` do nothing. They must not destroy the source. Each call of `on` adds a listener, for as
/// long as the source lives; they are called in that order, with views that live during the call. What a
/// listener throws passes through: the stream is then lost, and asked for again behind the event that was
/// being delivered. The same happens if there is no memory for a stream.
///
/// What a loop tells of an attempt that has been given up comes late, and is ignored: after `close()`, after
/// `restart()`, after another attempt has begun. Debug builds assert what cannot be late: that `next` has
/// handed out a request before any `handle_…` is called, and that the first request has one response, before
/// its bytes. A test of one's own listeners has to call `next`, too.
///
/// Allocates for each attempt, and for what the parser retains; not for an event.
///
/// \pre one thread at a time
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#the-eventsource-interface
class event_source {
public:
    using time_point = std::chrono::steady_clock::time_point;

    /// An event with where it came from. Views, valid during the call.
    struct event_view : sse::event_view {
        std::string_view origin{};  ///< of the URL at the end of the redirects, as "https://example.org"
    };

    /// Why there is no stream, and whether there will be one.
    struct failure {
        std::error_code code{};                  ///< one of errc, or what the transport reported
        int status = 0;                          ///< of the response, where one came
        std::optional<milliseconds> retry_in{};  ///< when the next attempt is due; nothing where it is over
    };

    /// What the loop around an event_source has to do next.
    enum class step : unsigned char {
        connect,   ///< send `request`, and tell what comes of it
        read,      ///< go on reading the connection
        wait,      ///< for nothing but the time
        finished,  ///< it is closed
    };

    /// In every step except `read`, the loop closes the connection if there still is one.
    struct task {
        event_source::step step = event_source::step::finished;
        const sse::request* request = nullptr;  ///< lives until the next call of `next` or `handle_…`
        std::optional<time_point> until{};      ///< when to ask again at the latest
    };

private:
    using state = detail::event_source_state;
    using input = detail::event_source_input;

    /// Inputs about the first request cannot be late, so that the loop's mistakes show: debug builds assert
    /// it.
    enum class first_request : unsigned char {
        to_come,
        handed_out,
        answered,
        superseded,  // another one has been handed out: anything may be late
    };

    /// With the type of events that it is for; none: for all.
    using event_listener = std::pair<std::optional<std::string>, std::function<void(const event_view&)>>;

    // What the caller gave
    event_source_options options_;
    sse::url url_{};
    detail::listeners<event_listener> listeners_{};
    detail::listeners<std::function<void()>> on_open_{};
    detail::listeners<std::function<void(const failure&)>> on_error_{};
    detail::listeners<std::function<void(std::string_view)>> on_comment_{};
    detail::listeners<std::function<void(milliseconds)>> on_retry_{};
    detail::listeners<std::function<void(std::string_view)>> on_unsendable_id_{};

    // The state; see the table
    state state_ = state::ready;
    bool is_called_ = false;  // by the loop, and that call has not returned
    bool is_fed_ = false;     // the request was handed out, or the server sent something since `next` was
                              // called: the next call counts the silence from then
    bool saw_terminal_event_ = false;
    first_request first_request_ = first_request::to_come;
    std::optional<time_point> deadline_{};  // of the state, if it has one; waiting always has
    std::error_code error_{};               // why it is closed
    detail::source_run* run_ = nullptr;     // of an adapter that has not returned

    // The attempts
    sse::backoff backoff_;
    sse::request request_{};                 // as made by `make_request` and changed by redirects
    std::uint32_t redirects_ = 0;            // of this request
    std::optional<time_point> opened_at_{};  // the stream of this attempt, if it came that far
    std::uint64_t seed_ =
        reinterpret_cast<std::uintptr_t>(this) ^
        static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());

    // The stream
    sse::parser parser_{};          // holds memory only while a stream is open
    std::uint64_t connection_ = 0;  // how many streams have been open and are no longer
    std::string origin_{};          // of the stream that is open
    std::string last_event_id_{};   // never longer than `max_last_event_id_bytes`
    std::uint64_t received_bytes_ = 0;

public:
    /// \throws std::system_error with what `check` returns, and std::bad_alloc; if exceptions are switched
    ///         off, aborts
    explicit event_source(event_source_options options)
        : options_(std::move(options)), backoff_(options_.backoff) {
        if (const sse::error invalid = check(options_)) detail::raise(invalid);
        url_ = *parse_url(options_.url);
        keep_id(std::exchange(options_.last_event_id, std::string()));
    }

    event_source(const event_source&) = delete;  // listeners refer to it
    event_source& operator=(const event_source&) = delete;

    /// \pre no listener or hook of its own destroys it, nor anybody while an adapter runs it: what called
    ///      them would go on with what is no longer there. Asserted in debug builds.
    ~event_source() {
        assert(!is_called_ && "an event_source is destroyed inside one of its own listeners or hooks");
        assert(run_ == nullptr && "an event_source is destroyed while an adapter runs it");
    }

    /// \return what is wrong with the options: the codes of `parse_url` and `check_header`,
    ///         `errc::method_invalid`, `errc::last_event_id_invalid`
    /// \throws std::bad_alloc
    [[nodiscard]] static sse::error check(const event_source_options& options) {
        if (const auto parsed = parse_url(options.url); !parsed) return parsed.error();
        // Responses to these two have no body to read.
        const bool is_bodiless = options.method == "HEAD" || options.method == "CONNECT";
        const bool is_forgotten = options.method == "GET" && !options.body.empty();
        if (!detail::is_token(options.method) || is_bodiless || is_forgotten) return errc::method_invalid;
        for (const header& header : options.headers) {
            if (const sse::error invalid = check_header(header.name, header.value)) return invalid;
        }
        const std::string_view id = options.last_event_id;
        const bool is_sendable = id.empty() || is_sendable_id(id, options.max_last_event_id_bytes);
        const bool is_retained = id.size() <= options.max_event_bytes;
        return is_sendable && is_retained ? errc::ok : errc::last_event_id_invalid;
    }

    // Listening. All of these throw std::bad_alloc, and nothing is added then.

    /// Events of one type.
    void on(std::string_view type, std::function<void(const event_view&)> listener) {
        if (listener) listeners_.add({std::string(type), std::move(listener)});
    }
    /// Events of every type.
    void on_event(std::function<void(const event_view&)> listener) {
        if (listener) listeners_.add({std::nullopt, std::move(listener)});
    }
    void on_message(std::function<void(const event_view&)> listener) { on("message", std::move(listener)); }
    void on_open(std::function<void()> listener) { add(on_open_, std::move(listener)); }
    void on_error(std::function<void(const failure&)> listener) { add(on_error_, std::move(listener)); }
    void on_comment(std::function<void(std::string_view)> listener) {
        add(on_comment_, std::move(listener));
    }
    void on_retry(std::function<void(milliseconds)> listener) { add(on_retry_, std::move(listener)); }

    /// An id that the server has sent and that cannot be sent back, see `is_sendable_id`: it is longer than
    /// `max_last_event_id_bytes`, or holds what no header can. The stream goes on, and its events have the
    /// id; but as long as no other id comes, the next attempt asks without a Last-Event-ID, and the server
    /// may repeat or leave out events.
    void on_unsendable_id(std::function<void(std::string_view)> listener) {
        add(on_unsendable_id_, std::move(listener));
    }

    // State

    bool with_credentials() const noexcept { return options_.with_credentials; }

    sse::ready_state ready_state() const noexcept {
        if (state_ == state::open) return sse::ready_state::open;
        return state_ == state::closed ? sse::ready_state::closed : sse::ready_state::connecting;
    }

    /// Whether a terminal event has closed it: else the end of a response may have cut the stream short.
    bool saw_terminal_event() const noexcept { return saw_terminal_event_; }

    /// The one given, whatever redirects there were. Lives as long as the source.
    const sse::url& url() const& noexcept SSE_LIFETIMEBOUND { return url_; }
    const sse::url& url() const&& = delete;

    /// What the next attempt sends, where a header can hold it; none where it is too long to be kept. Lives
    /// until the next call of a function that is not const.
    std::string_view last_event_id() const& noexcept SSE_LIFETIMEBOUND { return last_event_id_; }
    std::string_view last_event_id() const&& = delete;

    /// Why it is closed: no error where `close()` or a terminal event did it, or the end of the response
    /// where `reconnect_at_end` is off.
    std::error_code error() const noexcept { return error_; }

    /// Bytes received from all streams since construction.
    std::uint64_t received_bytes() const noexcept { return received_bytes_; }

    /// Whether there is a connection whose bytes are of use: `next` has handed out a request, and neither the
    /// response nor a listener has ended that attempt since. For transports that cannot be told to stop but
    /// have to ask.
    bool is_reading() const noexcept { return state_ == state::requesting || state_ == state::open; }

    /// How many attempts in a row have failed.
    std::uint32_t failures() const noexcept { return backoff_.failures(); }

    /// No more events, no more attempts. May be called by a listener.
    void close() noexcept {
        move(input::over);
        drop_memory();
    }

    /// Connects at once, whatever the state: a connection is given up, a pause cut short, the row of failures
    /// forgotten. The last event ID stays. May be called by a listener; by one of errors, it takes the pauses
    /// and the limit on attempts away.
    void restart() noexcept {
        move(input::restart);
        drop_memory();
        saw_terminal_event_ = false;
        error_ = {};
        backoff_.reset();
    }

    // The loop

    /// \return what to do, `now`, which must not go back. Its request lives in the source.
    /// \throws what `renew_headers`, `random` and the listeners of errors throw, and std::bad_alloc; called
    ///         again it goes on
    task next(time_point now) & {
        if (is_called_) return ask_again(now);
        const running_call call(*this);
        for (;;) {
            switch (state_) {
                case state::waiting:
                    if (now < *deadline_) return {step::wait, nullptr, deadline_};
                    move(input::time);
                    break;
                case state::ready:
                    if (!make_request() && state_ == state::ready) {
                        // An on_error listener restarted us. Return to the loop, so that we fail at most once
                        // per call of `next`.
                        return {step::wait, nullptr, now};
                    }
                    [[fallthrough]];
                case state::redirected:
                    if (!move(input::sent)) break;  // the hook or a listener has closed us
                    first_request_ = first_request_ == first_request::to_come ? first_request::handed_out
                                                                              : first_request::superseded;
                    opened_at_.reset();
                    is_fed_ = true;
                    return {step::connect, &request_, detail::after(now, options_.response_timeout)};
                case state::requesting:
                case state::open:
                    if (std::exchange(is_fed_, false)) deadline_ = detail::after(now, timeout());
                    if (!deadline_ || now < *deadline_) return {step::read, nullptr, deadline_};
                    lose({.code = errc::timed_out}, now);
                    break;
                case state::closed: return {};
            }
        }
    }
    task next(time_point now) && = delete;

    /// The head of a response has come. Ignored if it comes late.
    ///
    /// \pre a Content-Encoding that the transport undoes is not among the headers: bodies that are still
    ///      coded are refused
    /// \throws what `policy`, `random` and the listeners of `on_open` and `on_error` throw, and
    ///         std::bad_alloc
    void handle_response(const response& response, time_point now) {
        if (is_called_) return;
        assert(first_request_ != first_request::to_come && "next() has handed out no request yet");
        assert((state_ != state::open || first_request_ == first_request::superseded) &&
               "the first request has had its response");
        if (first_request_ == first_request::handed_out) first_request_ = first_request::answered;
        if (state_ != state::requesting) return;
        const running_call call(*this);
        const std::string_view type = find_header(response.headers, "Content-Type").value_or("");
        response_action action{};
        lose_on_exception(now, [&] {
            action = options_.policy ? options_.policy(response.status, type)
                                     : standard_action(response.status, type);
        });
        if (state_ != state::requesting) return;  // the policy has closed it
        switch (action) {
            case response_action::open: return open(response, now);
            case response_action::redirect: return follow(response);
            case response_action::reconnect:
                return lose({.code = errc::status_refused, .status = response.status}, now,
                            retry_after(response));
            case response_action::stop: return fail({.code = errc::no_content, .status = response.status});
            case response_action::fail:
                return fail({.code = response.status == 200 ? errc::not_event_stream : errc::status_refused,
                             .status = response.status});
        }
    }

    /// Bytes of the body have come, chunked coding removed. Ignored if they come late.
    ///
    /// \throws what `is_terminal`, `random` and the listeners throw, and std::bad_alloc
    void handle_bytes(std::string_view bytes, time_point now) {
        if (is_called_) return;
        assert(first_request_ != first_request::to_come && "next() has handed out no request yet");
        assert((state_ != state::requesting || first_request_ != first_request::handed_out) &&
               "bytes come after handle_response()");
        if (state_ != state::open) return;
        const running_call call(*this);
        received_bytes_ += bytes.size();
        is_fed_ = true;
        read(now, [&](auto& handler) { return parser_.feed(bytes, handler); });
    }

    /// The response is complete, or the connection has ended where it may. Ignored if it comes late.
    ///
    /// \throws as `handle_bytes`
    void handle_end(time_point now) {
        if (is_called_) return;
        assert(first_request_ != first_request::to_come && "next() has handed out no request yet");
        const running_call call(*this);
        if (state_ == state::open) {
            read(now, [&](auto& handler) { return parser_.finish(options_.unfinished_event, handler); });
        }
        if (state_ == state::open && !options_.reconnect_at_end) return static_cast<void>(move(input::over));
        lose({.code = errc::connection_ended}, now);
    }

    /// The connection could not be made, broke, or its response was no HTTP. Ignored if it comes late.
    ///
    /// \throws what `random` and the listeners of `on_error` throw
    void handle_error(std::error_code code, time_point now) {
        if (is_called_) return;
        assert(first_request_ != first_request::to_come && "next() has handed out no request yet");
        const running_call call(*this);
        lose({.code = code}, now);
    }

    /// The same, but another attempt could not do better: a certificate that is not to be trusted, a scheme
    /// that the transport does not speak.
    ///
    /// \throws what the listeners of `on_error` throw
    void handle_fatal_error(std::error_code code) {
        if (is_called_) return;
        assert(first_request_ != first_request::to_come && "next() has handed out no request yet");
        if (!is_reading()) return;
        const running_call call(*this);
        fail({.code = code});
    }

private:
    friend class detail::source_run;

    /// One call of the loop's. Until it returns, or throws, no other may begin: it may be in the middle of a
    /// chunk, and somebody may be looking at views into the parser.
    class running_call {
    public:
        explicit running_call(event_source& source) noexcept : source_(source) { source.is_called_ = true; }
        running_call(const running_call&) = delete;
        running_call& operator=(const running_call&) = delete;
        ~running_call() {
            source_.is_called_ = false;
            source_.drop_memory();
        }

    private:
        event_source& source_;
    };

    /// What the parser tells while one connection is read; nothing more once a listener has ended that.
    struct connection_handler {
        event_source& source;
        const std::uint64_t connection = source.connection_;

        bool is_over() const noexcept { return source.connection_ != connection; }

        /// Calls the listeners up to one that ends this. A close from elsewhere does not wait for the end of
        /// the chunk: it is obeyed behind each listener. Not before one: the ID of the event counts already,
        /// and who resumes behind that would never see the event.
        template <class Listeners, class Call>
        void tell(const Listeners& listeners, Call call) const {
            listeners.for_each([&](const auto& listener) {
                if (is_over()) return;
                call(listener);
                source.obey();
            });
        }

        // Not the parser's: that reads on, to the end of the chunk, and these events are yet to be asked for.
        void on_id(std::string_view id) {
            if (is_over()) return;
            if (!id.empty() && !is_sendable_id(id, source.options_.max_last_event_id_bytes)) {
                tell(source.on_unsendable_id_, [&](const auto& listener) { listener(id); });
            }
            if (!is_over()) source.keep_id(id);
        }

        void on_event(const sse::event_view& event) {
            if (is_over()) return;
            const bool is_last = source.options_.is_terminal && source.options_.is_terminal(event);
            if (is_over()) return;
            if (is_last) {
                source.saw_terminal_event_ = true;
                return source.close();
            }
            event_view with_origin{event, source.origin_};
            tell(source.listeners_, [&](const auto& entry) {
                if (!entry.first || *entry.first == event.type) entry.second(with_origin);
            });
        }
        void on_comment(std::string_view text) {
            tell(source.on_comment_, [&](const auto& listener) { listener(text); });
        }
        void on_retry(milliseconds time) {
            if (is_over()) return;
            source.backoff_.set_reconnection_time(time);
            tell(source.on_retry_, [&](const auto& listener) { listener(time); });
        }
    };

    /// What to do for one who asks from inside a call: nothing that would change anything.
    task ask_again(time_point now) const noexcept {
        if (state_ == state::closed) return {};
        return {is_reading() ? step::read : step::wait, nullptr, now};
    }

    /// Does what an adapter's control was told meanwhile.
    void obey() noexcept;

    template <class Listener>
    static void add(detail::listeners<Listener>& listeners, Listener listener) {
        if (listener) listeners.add(std::move(listener));
    }

    /// \return whether the input was of use
    bool move(input what) noexcept {
        const state next = detail::next_state(state_, what);
        const bool moved = next != state_ || what == input::restart;
        if (moved && state_ == state::open) ++connection_;
        state_ = next;
        return moved;
    }

    /// What is retained of a stream goes with it; but not while it is being read.
    void drop_memory() noexcept {
        if (!is_called_ && state_ != state::open) parser_ = sse::parser();
    }

    void keep_id(std::string_view id) {
        if (id.size() > options_.max_last_event_id_bytes) id = {};
        if (id.size() <= last_event_id_.capacity()) last_event_id_ = id;
        else last_event_id_ = std::string(id);  // assigned, it might take twice the memory
    }

    /// Should a listener throw, the stream is lost: what is left of the bytes is.
    template <class Call>
    void lose_on_exception(time_point now, Call call) {
        struct guard {
            event_source& source;
            time_point now;
            bool returned = false;
            ~guard() {
                if (returned || !source.move(input::lost)) return;
                source.wait(now, source.random(), {});
                if (!source.is_exhausted()) return;
                source.move(input::over);
                source.error_ = errc::connection_ended;
            }
        } guard{*this, now};
        call();
        guard.returned = true;
    }

    /// Runs the parser.
    template <class Parse>
    void read(time_point now, Parse parse) {
        connection_handler handler{*this};
        sse::error error;
        lose_on_exception(now, [&] { error = parse(handler); });
        if (error && !handler.is_over()) fail({.code = error});
    }

    void open(const response& response, time_point now) {
        for (const auto& [name, coding] : response.headers) {
            if (!equal_ignoring_case(name, "Content-Encoding")) continue;
            if (coding.empty() || equal_ignoring_case(coding, "identity")) continue;
            return fail({.code = errc::http_unsupported, .status = response.status});
        }
        lose_on_exception(now, [&] {
            // What may throw comes first: an open stream has a parser of its own.
            sse::parser fresh({.max_event_bytes = options_.max_event_bytes,
                               .last_event_id = last_event_id_,
                               .invalid_utf8 = options_.invalid_utf8});
            origin_ = origin(request_.url);
            move(input::accepted);
            parser_ = std::move(fresh);
            opened_at_ = now;
            is_fed_ = true;
            const connection_handler handler{*this};
            handler.tell(on_open_, [](const auto& listener) { listener(); });
        });
    }

    void lose(failure error, time_point now, std::optional<milliseconds> retry_after = {}) {
        if (detail::next_state(state_, input::lost) == state_) return;
        const std::uint64_t chance = options_.random ? options_.random() : random();  // it may throw
        if (!move(input::lost)) return;
        const milliseconds pause = wait(now, chance, retry_after);
        if (is_exhausted()) return fail(error);
        error.retry_in = pause;
        on_error_.for_each([&](const auto& listener) { listener(error); });
    }

    milliseconds wait(time_point now, std::uint64_t random,
                      std::optional<milliseconds> retry_after) noexcept {
        attempt last{.retry_after = retry_after};
        if (opened_at_) last.open_for = milliseconds(now - *opened_at_);
        const milliseconds pause = backoff_.next(random, last);
        deadline_ = detail::after(now, pause).value_or(now);
        return pause;
    }

    bool is_exhausted() const noexcept {
        return options_.max_attempts != 0 && backoff_.failures() >= options_.max_attempts;
    }

    /// For how long the server may be silent.
    milliseconds timeout() const noexcept {
        return state_ == state::open ? options_.idle_timeout : options_.response_timeout;
    }

    void fail(const failure& error) {
        if (!move(input::over)) return;
        error_ = error.code;
        on_error_.for_each([&](const auto& listener) { listener(error); });
    }

    /// \return whether it may be sent
    /// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model
    bool make_request() {
        request_ = {options_.method, url_, options_.headers, options_.body};
        redirects_ = 0;
        if (options_.renew_headers) options_.renew_headers(request_.headers);
        for (const header& header : request_.headers) {
            if (const sse::error invalid = check_header(header.name, header.value)) {
                fail({.code = invalid});
                return false;
            }
        }
        const auto add = [&](std::string_view name, std::string_view value) {
            if (find_header(request_.headers, name)) return;
            request_.headers.push_back({std::string(name), std::string(value)});
        };
        add("Accept", media_type);
        add("Cache-Control", "no-cache");
        const std::string_view id = last_event_id();
        if (is_sendable_id(id, options_.max_last_event_id_bytes)) {
            set_header(request_.headers, "Last-Event-ID", id);
        }
        return true;
    }

    void follow(const response& response) {
        sse::error refused = detail::follow_redirect(request_, response, options_.secret_headers);
        if (!refused && ++redirects_ > options_.max_redirects) refused = errc::too_many_redirects;
        if (refused) return fail({.code = refused, .status = response.status});
        move(input::redirect);
    }

    /// Keeps clients apart that started at the same time.
    std::uint64_t random() noexcept { return detail::split_mix(seed_ += detail::split_mix_step); }
};

namespace detail {

/// A run of an event source by a blocking adapter. While one lives no other begins: it would wait for ever
/// for a source that changes nothing from inside a call.
class source_run {
public:
    /// What closes or restarts a source from elsewhere, if it was told to. Called behind each listener.
    using obey_function = void (*)(void* control, event_source& source) noexcept;

    source_run(event_source& source, void* control, obey_function function) noexcept
        : source_(source),
          control_(control),
          obey_(function),
          has_begun_(!source.is_called_ && !source.run_) {
        if (has_begun_) source_.run_ = this;
    }
    source_run(const source_run&) = delete;
    source_run& operator=(const source_run&) = delete;
    ~source_run() {
        if (has_begun_) source_.run_ = nullptr;
    }

    /// Otherwise the source is called, or another run is under way: this one is none.
    bool has_begun() const noexcept { return has_begun_; }

    void obey() const noexcept {
        if (control_ != nullptr) obey_(control_, source_);
    }

private:
    event_source& source_;
    void* control_;
    obey_function obey_;
    bool has_begun_;
};

}  // namespace detail

inline void event_source::obey() noexcept {
    if (run_ != nullptr) run_->obey();
}

}  // namespace sse
