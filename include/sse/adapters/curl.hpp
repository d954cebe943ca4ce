// Runs an event_source over libcurl, blocking: TLS, HTTP/2, proxies, compression, authentication. Links it.
//
//     sse::event_source source({.url = "https://example.org/stream"});
//     source.on_message([](const sse::event_source::event_view& event) { use(event.data); });
//     sse::curl::run(source);
#pragma once

#include "../detail/ascii.hpp"
#include "../detail/head_lines.hpp"
#include "../detail/message_checks.hpp"
#include "../error.hpp"
#include "../event_source.hpp"
#include "../http.hpp"
#include "../http1.hpp"
#include "../url.hpp"
#include "detail/poll.hpp"
#include "detail/signals_blocked.hpp"
#include "detail/with_date.hpp"
#include "run_control.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <ctime>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <curl/curl.h>
#include <unistd.h>

namespace sse::curl {

struct run_options {
    /// Closes or restarts the source from elsewhere.
    run_control* control = nullptr;

    /// Sets options of libcurl before each request, after those that are set here: a proxy, certificates, a
    /// user's name. Certificates are checked unless this says otherwise. Headers and codings are better left
    /// alone: for these see the source's options and `accept_compressed`.
    ///
    /// Redirects come here, too: the URL says where the request goes. At another origin than the source's,
    /// CURLOPT_USERPWD, CURLOPT_XOAUTH2_BEARER, CURLOPT_NETRC, CURLOPT_HTTPHEADER, CURLOPT_SHARE and all
    /// options for cookies are undone, and so are CURLOPT_SSLCERT, CURLOPT_SSLKEY, CURLOPT_TLSAUTH_USERNAME
    /// and what goes with them.
    std::function<void(CURL*, const sse::url&)> configure{};

    /// Whether the server may compress what it sends, with any coding that this libcurl can undo. A few bytes
    /// can then become very many, and the time for a stream is linear in those. Otherwise only `identity` is
    /// asked for, and a response that is coded all the same is refused.
    bool accept_compressed = true;

    http1_options limits{};  ///< of the heads of responses, whatever the version of HTTP
};

/// The category of libcurl's codes.
const std::error_category& category() noexcept;

namespace detail {

using time_point = event_source::time_point;

/// While it lives, this thread is not told of a SIGPIPE, nor afterwards of one that has come meanwhile.
/// CURLOPT_NOSIGNAL has libcurl not care for that, and what it does TLS with may write to the socket without
/// more ado: a server that has gone would end the program.
class no_broken_pipe {
public:
    no_broken_pipe() noexcept = default;
    no_broken_pipe(const no_broken_pipe&) = delete;
    no_broken_pipe& operator=(const no_broken_pipe&) = delete;
    ~no_broken_pipe() {
        if (was_pending_) return;
        const sigset_t these = broken_pipe();
#if defined(_POSIX_REALTIME_SIGNALS) && _POSIX_REALTIME_SIGNALS > 0
        constexpr std::timespec at_once{};
        ::sigtimedwait(&these, nullptr, &at_once);
#else
        int which = 0;
        if (is_pending()) ::sigwait(&these, &which);
#endif
    }

private:
    static sigset_t broken_pipe() noexcept {
        sigset_t only;
        sigemptyset(&only);  // these are macros on some systems
        sigaddset(&only, SIGPIPE);
        return only;
    }
    static bool is_pending() noexcept {
        sigset_t pending;
        ::sigpending(&pending);
        return sigismember(&pending, SIGPIPE) == 1;
    }

    sse::detail::signals_blocked blocked_{broken_pipe()};
    bool was_pending_ = is_pending();  // it is somebody else's
};

struct free_easy {
    void operator()(CURL* easy) const noexcept {
        const no_broken_pipe meanwhile;
        ::curl_easy_cleanup(easy);
    }
};
struct free_multi {
    void operator()(CURLM* multi) const noexcept {
        const no_broken_pipe meanwhile;
        ::curl_multi_cleanup(multi);
    }
};
struct free_share {
    void operator()(CURLSH* share) const noexcept { ::curl_share_cleanup(share); }
};
struct free_list {
    void operator()(curl_slist* list) const noexcept { ::curl_slist_free_all(list); }
};

/// Whether another attempt would end the same way.
constexpr bool is_fatal(CURLcode code) noexcept {
    switch (code) {
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_URL_MALFORMAT:
        case CURLE_NOT_BUILT_IN:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        case CURLE_LOGIN_DENIED: return true;
        default: return false;
    }
}

template <class Handle>
Handle* check(Handle* handle) {
    if (handle == nullptr) throw std::bad_alloc();
    return handle;
}

inline void check(CURLMcode code) {
    if (code != CURLM_OK) throw std::runtime_error(::curl_multi_strerror(code));
}

/// One transfer after the other.
class transfer {
    event_source& source_;
    const run_options& options_;
    const sse::detail::controlled_run& running_;

    // Freed in the reverse order, as libcurl wants it
    std::unique_ptr<CURLM, free_multi> multi_{};
    std::unique_ptr<CURLSH, free_share> share_{};            // what one attempt leaves to the next
    std::unique_ptr<CURLSH, free_share> share_elsewhere_{};  // the same at other origins: no cookies
    std::unique_ptr<CURL, free_easy> easy_{};
    std::unique_ptr<curl_slist, free_list> headers_{};
    bool is_open_ = false;  // `easy_` is part of `multi_`

    // The response, which may be an interim one, or be followed by another after a 401
    sse::detail::head_lines lines_;
    response response_{};
    bool is_complete_ = false;     // the head is, of a response that is not interim
    bool is_told_ = false;         // the event source knows the response
    bool is_unwanted_ = false;     // the event source has given it up, and one chunk has come since
    sse::error refused_{};         // what the server sent, for this reason
    std::exception_ptr thrown_{};  // by a listener, to be thrown again outside of libcurl

public:
    transfer(event_source& source, const run_options& options, const sse::detail::controlled_run& running)
        : source_(source),
          options_(options),
          running_(running),
          lines_({.max_bytes = options.limits.max_head_bytes, .max_fields = options.limits.max_headers}) {
        static const CURLcode initialised = ::curl_global_init(CURL_GLOBAL_DEFAULT);
        if (initialised != CURLE_OK) throw std::system_error(initialised, category(), "curl_global_init");
        multi_.reset(check(::curl_multi_init()));
        for (auto* const share : {&share_, &share_elsewhere_}) {
            share->reset(check(::curl_share_init()));
            ::curl_share_setopt(share->get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
        }
        if (source.with_credentials()) {
            ::curl_share_setopt(share_.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
        }
    }
    transfer(const transfer&) = delete;
    transfer& operator=(const transfer&) = delete;
    ~transfer() { close(); }

    bool is_open() const noexcept { return is_open_; }

    void close() noexcept {
        if (!std::exchange(is_open_, false)) return;
        const no_broken_pipe meanwhile;
        ::curl_multi_remove_handle(multi_.get(), easy_.get());
    }

    /// Begins to ask for the resource.
    /// \pre it is closed
    void open(const request& request) {
        // A redirect may have led elsewhere. Credentials are for where they were meant to go.
        const bool is_at_home = same_origin(request.url, source_.url());
        easy_.reset(check(::curl_easy_init()));  // curl_easy_reset() leaks the names of jars
        set(CURLOPT_SHARE, share_.get());
        set(CURLOPT_URL, to_string(request.url).c_str());
        set_method(request);
        set_headers(request);
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_TCP_KEEPALIVE, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
        set(CURLOPT_QUICK_EXIT, 1L);  // else close() waits for the name to be resolved
#endif
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        if (options_.accept_compressed) set(CURLOPT_ACCEPT_ENCODING, "");  // all that this libcurl can undo
        if (source_.with_credentials()) set(CURLOPT_COOKIEFILE, "");       // a jar in memory
        set(CURLOPT_HEADERFUNCTION, &on_header);
        set(CURLOPT_HEADERDATA, this);
        set(CURLOPT_WRITEFUNCTION, &on_body);
        set(CURLOPT_WRITEDATA, this);
        if (options_.configure) options_.configure(easy_.get(), request.url);
        if (!is_at_home) drop_credentials();

        lines_.reset();
        begin_head();
        refused_ = {};
        is_unwanted_ = false;
        check(::curl_multi_add_handle(multi_.get(), easy_.get()));
        is_open_ = true;
    }

    /// Waits for the server, for the control or for the time, and goes on.
    void wait(std::optional<time_point> until) {
        curl_waitfd other{};
        if (options_.control != nullptr) {
            other.fd = options_.control->file();
            other.events = CURL_WAIT_POLLIN;
        }
        const unsigned others = options_.control != nullptr ? 1 : 0;
        int timeout = sse::detail::milliseconds_until(until);
        // While it connects, libcurl may have something to do of which it wakes nobody: a host's next
        // address.
        if (is_open_ && !is_told_) timeout = std::min(timeout, 500);
        check(::curl_multi_poll(multi_.get(), &other, others, timeout, nullptr));
    }

    void go_on() {
        const CURLMcode code = perform();
        if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
        check(code);
        int left = 0;
        while (const CURLMsg* message = ::curl_multi_info_read(multi_.get(), &left)) {
            if (message->msg == CURLMSG_DONE) finish(message->data.result);
        }
    }

private:
    static time_point now() { return time_point::clock::now(); }

    CURLMcode perform() {
        const no_broken_pipe meanwhile;
        int running = 0;
        return ::curl_multi_perform(multi_.get(), &running);
    }

    template <class Value>
    void set(CURLoption option, Value value) {
        const CURLcode code = ::curl_easy_setopt(easy_.get(), option, value);
        if (code != CURLE_OK) throw std::system_error(code, category(), "curl_easy_setopt");
    }

    /// Undoes what is set that another origin must not see. What this libcurl does not know, nobody has set.
    void drop_credentials() {
        constexpr CURLoption secrets[] = {
            CURLOPT_USERNAME,
            CURLOPT_PASSWORD,
            CURLOPT_XOAUTH2_BEARER,
            CURLOPT_COOKIE,
            CURLOPT_SSLCERT,
            CURLOPT_SSLCERTTYPE,  // the type may stand for one: an engine's
            CURLOPT_SSLKEY,
            CURLOPT_KEYPASSWD,
#if LIBCURL_VERSION_NUM >= 0x074700
            CURLOPT_SSLCERT_BLOB,
            CURLOPT_SSLKEY_BLOB,
#endif
            CURLOPT_TLSAUTH_USERNAME,
            CURLOPT_TLSAUTH_PASSWORD
        };
        for (const CURLoption secret : secrets) {
            static_cast<void>(::curl_easy_setopt(easy_.get(), secret, nullptr));
        }
        set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
        set(CURLOPT_HTTPHEADER, headers_.get());
        // Cookies know no port, so the other origin would see them. Let go of a jar that is shared, forget
        // the file to write, and last stop libcurl's engine with all that it holds: the line before starts
        // it.
        set(CURLOPT_SHARE, share_elsewhere_.get());
        for (const CURLoption jar : {CURLOPT_COOKIEJAR, CURLOPT_COOKIEFILE}) {
            static_cast<void>(::curl_easy_setopt(easy_.get(), jar, nullptr));
        }
    }

    void set_method(const request& request) {
        if (sse::detail::has_content(request)) {
            set(CURLOPT_POST, 1L);
            set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
            set(CURLOPT_COPYPOSTFIELDS, request.body.c_str());
        }
        // Not where it is the default: libcurl would take it for a wish of its own.
        if (request.method != "GET") set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }

    void set_headers(const request& request) {
        headers_.reset();
        const auto add = [this](const std::string& line) {
            curl_slist* const longer = check(::curl_slist_append(headers_.get(), line.c_str()));
            static_cast<void>(headers_.release());
            headers_.reset(longer);
        };
        // What libcurl would add of its own is not wanted: it waits a second for an answer to the first, and
        // takes every body for a form.
        if (!find_header(request.headers, "Expect")) add("Expect:");
        if (!find_header(request.headers, "Content-Type")) add("Content-Type:");
        if (!options_.accept_compressed && !find_header(request.headers, "Accept-Encoding")) {
            add("Accept-Encoding: identity");
        }
        for (const auto& [name, value] : request.headers) {
            if (sse::detail::is_written_apart(name) && !equal_ignoring_case(name, "Host")) continue;
            std::string line = name;
            if (sse::detail::trim(value).empty()) line += ';';
            else line.append(": ").append(value);
            add(line);
        }
        set(CURLOPT_HTTPHEADER, headers_.get());
    }

    // What libcurl calls. No exception may pass through it: it is written in C.

    static std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* self) noexcept {
        auto& transfer = *static_cast<curl::detail::transfer*>(self);
        return transfer.call(size * count, [&] { transfer.take_line({bytes, size * count}); });
    }

    static std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* self) noexcept {
        auto& transfer = *static_cast<curl::detail::transfer*>(self);
        const std::size_t used = transfer.call(size * count, [&] {
            transfer.tell_response();
            transfer.source_.handle_bytes({bytes, size * count}, now());
        });
        return transfer.is_closed() || transfer.is_given_up() ? 0 : used;
    }

    /// \return what tells libcurl to go on, or to stop
    template <class Call>
    std::size_t call(std::size_t size, Call tell) noexcept {
        try {
            tell();
        } catch (...) {
            thrown_ = std::current_exception();
        }
        return thrown_ || refused_ ? 0 : size;
    }

    // libcurl reads on as long as there is something to read, and a few bytes may become billions. So whether
    // anybody wants them is asked at each chunk.

    bool is_closed() const noexcept {
        running_.obey();
        return source_.ready_state() == ready_state::closed;
    }

    /// For another request one chunk is read of what nobody wants: behind a short body, such as that of a
    /// redirect, the connection can be used again.
    bool is_given_up() noexcept { return !source_.is_reading() && std::exchange(is_unwanted_, true); }

    // The head

    void begin_head() {
        response_ = {};
        is_complete_ = false;
        is_told_ = false;
    }

    void take_line(std::string_view bytes) {
        if (bytes.starts_with("HTTP/")) begin_head();
        const auto line = lines_.take_line(bytes);
        if (lines_.error()) refused_ = lines_.error();
        if (!line) return;
        if (line->empty()) end_head();
        else if (!line->starts_with("HTTP/")) refused_ = lines_.add_field(*line, response_.headers, true);
    }

    void end_head() {
        long status = 0;
        ::curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
        response_.status = static_cast<int>(status);
        is_complete_ = status >= 200;
        // Interim responses are skipped. Where somebody is to prove who he is, libcurl may have been told
        // how, and this is not the last response then.
        const bool may_go_on = options_.configure && (status == 401 || status == 407);
        if (is_complete_ && !may_go_on) tell_response();
    }

    /// For an event stream this is as soon as its head is there.
    void tell_response() {
        if (std::exchange(is_told_, true)) return;
        if (options_.accept_compressed) {
            std::erase_if(response_.headers, [](const header& header) {
                return equal_ignoring_case(header.name, "Content-Encoding");  // libcurl undoes it
            });
        }
        source_.handle_response(sse::detail::with_date(response_), now());
    }

    void finish(CURLcode code) {
        if (refused_) return source_.handle_error(refused_, now());
        if (code == CURLE_OK && is_complete_) {
            tell_response();
            return source_.handle_end(now());
        }
        long sent = 0;
        ::curl_easy_getinfo(easy_.get(), CURLINFO_REQUEST_SIZE, &sent);
        switch (code) {
            case CURLE_OK:  // libcurl does not mind a head that is cut off
            case CURLE_GOT_NOTHING:
            case CURLE_PARTIAL_FILE: return source_.handle_error(errc::http_cut_off, now());
            case CURLE_UNSUPPORTED_PROTOCOL:  // also a response that is no HTTP, and the next one may be
                if (sent > 0) return source_.handle_error(errc::http_malformed, now());
                break;
            default: break;
        }
        const std::error_code error(code, category());
        if (is_fatal(code)) source_.handle_fatal_error(error);
        else source_.handle_error(error, now());
    }
};

}  // namespace detail

/// Connects, reads, waits and connects again, until the source is closed. It sleeps whenever there is nothing
/// to do.
///
/// Redirects are the source's, which bounds them and keeps credentials where they belong; what else libcurl
/// can do is set by `configure`. Where a certificate is not to be trusted, the source is closed.
///
/// \return why it is closed: `source.error()`. Besides those of the library, errors that the source and its
///         listeners are told are of `category`. `errc::already_running` at once, and nothing done, inside a
///         listener of the source or another run.
/// \throws what the source's listeners and hooks and `configure` throw; std::system_error,
///         std::runtime_error and std::bad_alloc if libcurl fails; it may be called again then
/// \complexity linear in the bytes of the bodies, once their compression is undone
/// \note Most listeners are called with SIGPIPE blocked, as libcurl is at work then. One that comes of what
///       they write is dropped: the error is EPIPE.
inline std::error_code run(event_source& source, const run_options& options = {}) {
    const sse::detail::controlled_run running(source, options.control);
    if (!running.has_begun()) return errc::already_running;
    detail::transfer transfer(source, options, running);
    for (;;) {
        running.apply();
        const auto now = detail::time_point::clock::now();
        const event_source::task task = source.next(now);
        if (task.step != event_source::step::read) transfer.close();
        if (task.step == event_source::step::finished) return running.end();
        if (task.step == event_source::step::connect) {
            transfer.open(*task.request);
        } else if (task.step == event_source::step::read && !transfer.is_open()) {
            source.handle_error(errc::connection_ended,
                                now);  // an exception has ended the run before this one
        } else {
            transfer.wait(task.until);
            running.apply();
        }
        transfer.go_on();
    }
}

std::error_code run(event_source&& source, const run_options& options = {}) = delete;

namespace detail {

class curl_error_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "curl"; }
    std::string message(int code) const override {
        return ::curl_easy_strerror(static_cast<CURLcode>(code));
    }
    std::error_condition default_error_condition(int code) const noexcept override {
        switch (code) {
            case CURLE_OPERATION_TIMEDOUT: return std::errc::timed_out;
            case CURLE_COULDNT_CONNECT: return std::errc::connection_refused;
            case CURLE_SEND_ERROR:
            case CURLE_RECV_ERROR: return std::errc::connection_reset;
            default: return {code, *this};
        }
    }
};

}  // namespace detail

inline const std::error_category& category() noexcept {
    static const detail::curl_error_category instance;
    return instance;
}

}  // namespace sse::curl
