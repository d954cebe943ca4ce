// Shows the events of a stream, each as soon as it is complete, and stays connected where it is a URL's.
//
//     sse-cat https://example.com/stream
//     curl -sN https://example.com/stream | sse-cat --type tick
#include "support/event_text.hpp"
#include "support/program.hpp"
#include "support/safe_text.hpp"
#include "support/socket.hpp"
#include "support/status_line.hpp"

#include <sse/event_source.hpp>
#include <sse/parser.hpp>
#include <sse/version.hpp>

#ifdef SSE_EXAMPLES_WITH_CURL
#include <sse/adapters/curl.hpp>
#else
#include <sse/adapters/posix.hpp>
#endif

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

// The default is that of `settings`.
constexpr std::string_view usage = R"(usage: sse-cat [options] [URL | file]

Shows the events of a stream, from the URL, the file or standard input: each
as soon as its blank line has come.

  --type TYPE         only events of this type; may be given several times
  --until TYPE        ends after the first event of this type
  --llm               as LLM services stream: ends at [DONE] or with the
                      response, does not connect again, and shows a last event
                      without its blank line
  --json              a JSON object for each event, on a line of its own
  --data-only         only the data
  --comments          comments too
  --limit BYTES       how large an event may be (default {})
  --deliver           at the end of a file, an event without its blank line too
  --help              this text
  --version           the version of the library

From a URL it connects again whenever the stream ends, until Ctrl-C:
  -H 'NAME: VALUE'    a header for the request; may be given several times
  --post FILE         sends the file (- is standard input) by POST, as JSON
                      unless -H says otherwise
  --last-event-id ID  begins behind this event
  --attempts N        gives up after so many failures in a row
  --cacert FILE       trusts the certificates in the file

The exit status is 0 at the end of a file or of what was asked for, and where
the server says that there is no more; 1 after an error, 2 for bad options.

  sse-cat -H 'Authorization: Bearer 123' --until done https://example.com/jobs
)";

struct settings {
    std::string answer;  // what to print instead: the help, the version
    std::string input = "-";
    std::vector<std::string_view> types;
    std::optional<std::string_view> until;
    bool llm = false;
    bool json = false;
    bool data_only = false;
    bool comments = false;
    sse::unfinished_event unfinished_event = sse::unfinished_event::discard;
    std::size_t limit = sse::parser_options{}.max_event_bytes;

    std::string_view for_urls_only;  // the last option that is
    sse::headers headers;
    std::optional<std::string> post;
    std::string last_event_id;
    std::optional<std::uint32_t> attempts;
    std::string certificates;

    bool is_url() const noexcept { return input.find("://") != std::string::npos; }
};

sse::header parse_header(std::string_view text) {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) {
        throw support::usage_error(fmt::format("-H wants 'NAME: VALUE', not '{}'", text));
    }
    std::string_view value = text.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    if (const sse::error invalid = sse::check_header(text.substr(0, colon), value)) {
        throw support::usage_error(fmt::format("-H '{}': {}", text, invalid.message()));
    }
    return {std::string(text.substr(0, colon)), std::string(value)};
}

settings parse(support::command_line& arguments) {
    settings wanted;
    bool has_input = false;
    while (arguments.next()) {
        const auto is_for_urls = [&](std::string_view option) {
            if (!arguments.is(option)) return false;
            wanted.for_urls_only = option;
            return true;
        };
        if (arguments.is("--type")) wanted.types.push_back(arguments.value());
        else if (arguments.is("--until")) wanted.until = arguments.value();
        else if (arguments.is("--llm")) wanted.llm = true;
        else if (arguments.is("--json")) wanted.json = true;
        else if (arguments.is("--data-only")) wanted.data_only = true;
        else if (arguments.is("--comments")) wanted.comments = true;
        else if (arguments.is("--limit"))
            wanted.limit = arguments.number<std::size_t>(1, std::numeric_limits<std::size_t>::max());
        else if (arguments.is("--deliver")) wanted.unfinished_event = sse::unfinished_event::deliver;
        else if (is_for_urls("-H")) wanted.headers.push_back(parse_header(arguments.value()));
        else if (is_for_urls("--post")) wanted.post = arguments.value();
        else if (is_for_urls("--last-event-id")) wanted.last_event_id = arguments.value();
        else if (is_for_urls("--attempts")) wanted.attempts = arguments.number<std::uint32_t>(1, 1'000'000);
        else if (is_for_urls("--cacert")) wanted.certificates = arguments.value();
        else if (arguments.is("--help")) wanted.answer = fmt::format(usage, settings{}.limit);
        else if (arguments.is("--version")) wanted.answer = fmt::format("sse-cat {}\n", sse::version);
        else if (arguments.is_option() || has_input) arguments.refuse();
        else {
            wanted.input = arguments.current();
            has_input = true;
        }
    }
    if (wanted.data_only && (wanted.json || wanted.comments))
        throw support::usage_error("--data-only goes with neither --json nor --comments");
#ifndef SSE_EXAMPLES_WITH_CURL
    if (!wanted.certificates.empty())
        throw support::usage_error("--cacert: built without libcurl, and so without TLS");
#endif
    if (wanted.answer.empty() && !wanted.is_url() && !wanted.for_urls_only.empty())
        throw support::usage_error(fmt::format("{} wants a URL", wanted.for_urls_only));
    if (wanted.llm) wanted.unfinished_event = sse::unfinished_event::deliver;
    return wanted;
}

// As a JSON string. What a terminal may act on is escaped, as are the characters that JSON demands. The text is
// well-formed, by the parser's `invalid_utf8::replace`: JSON has no escape for other bytes.
void append_json(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        const support::character next = support::take_character(text);
        if (next.code == '\n') out += "\\n";
        else if (next.code == '"' || next.code == '\\') out.append({'\\', next.bytes.front()});
        else if (support::is_unsafe(next.code)) support::append_escape(out, next);
        else out += next.bytes;
    }
    out += '"';
}

// What the parser calls, for events and for comments.
class printer {
public:
    printer(const settings& wanted, support::event_text text) : wanted_(wanted), text_(std::move(text)) {}

    const support::event_text& text() const noexcept { return text_; }

    sse::invalid_utf8 encoding() const noexcept {
        return wanted_.json || text_.on_terminal() ? sse::invalid_utf8::replace : sse::invalid_utf8::keep;
    }

    // Whether what is shown is complete.
    bool is_done() const noexcept { return is_done_; }

    void on_event(const sse::event_view& event) {
        is_done_ = is_done_ || is_end(event);
        if (is_done_) return;
        is_done_ = wanted_.until == event.type;
        const auto& types = wanted_.types;
        if (!types.empty() && std::find(types.begin(), types.end(), event.type) == types.end()) return;
        if (wanted_.json) json({{"type", event.type}, {"data", event.data}, {"id", event.last_event_id}});
        else if (wanted_.data_only) text_.data(event.data);
        else text_.event(event);
    }

    void on_comment(std::string_view comment) {
        if (is_done_) return;
        if (wanted_.json) json({{"comment", comment}});
        else text_.comment(comment);
    }

    std::string take_text() { return std::exchange(text_.out, {}); }

private:
    using member = std::pair<std::string_view, std::string_view>;

    bool is_end(const sse::event_view& event) const { return wanted_.llm && event.data == "[DONE]"; }

    void json(std::initializer_list<member> members) {
        char before = '{';
        for (const auto& [name, value] : members) {
            text_.out += before;
            append_json(text_.out, name);
            text_.out += ':';
            append_json(text_.out, value);
            before = ',';
        }
        text_.out += "}\n";
    }

    const settings& wanted_;
    support::event_text text_;
    bool is_done_ = false;
};

// From a file

support::descriptor open(const std::string& file) {
    if (file == "-") return support::descriptor(::dup(STDIN_FILENO));
    return support::descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
}

[[noreturn]] void fail(const std::string& file) {
    throw std::system_error(errno, std::generic_category(),
                            "cannot read " + (file == "-" ? "standard input" : file));
}

[[noreturn]] void fail(std::string_view message, const settings& wanted) {
    throw std::runtime_error(fmt::format("{} (--limit {})", message, wanted.limit));
}

// Calls `use` with what is there, as soon as it is there: std::fread() would wait until the buffer is full. No
// bytes: the end.
template <class Use>
void read_file(const std::string& file, Use use) {
    const support::descriptor input = open(file);
    if (!input) fail(file);
    std::array<char, 65536> buffer;
    for (bool more = true; more;) {
        const auto count = ::read(input.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) fail(file);
        more = use(std::string_view(buffer.data(), static_cast<std::size_t>(count))) && count > 0;
    }
}

template <class Handler>
void show_file(const settings& wanted, printer& print, Handler& handler) {
    sse::parser parser({.max_event_bytes = wanted.limit, .invalid_utf8 = print.encoding()});
    read_file(wanted.input, [&](std::string_view bytes) {
        const sse::error error =
            bytes.empty() ? parser.finish(wanted.unfinished_event, handler) : parser.feed(bytes, handler);
        support::write_out(print.take_text());
        if (error && !print.is_done()) fail(error.message(), wanted);
        return !print.is_done();
    });
}

// From a URL

// On a terminal, Ctrl-C and the like end the stream, so that the status line can be erased. Then, and where they
// come once more, they have their usual effect.
class interruption {
public:
    explicit interruption(bool on_terminal) {
        if (!on_terminal) return;
        target_ = &control_;
        for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
            if (std::signal(number, handle) == SIG_IGN) std::signal(number, SIG_IGN);  // as nohup wants it
        }
    }
    ~interruption() {
        if (target_ == nullptr) return;
        for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
            if (std::signal(number, SIG_DFL) == SIG_IGN) std::signal(number, SIG_IGN);
        }
        if (caught_ != 0) std::raise(caught_);
    }
    interruption(const interruption&) = delete;
    interruption& operator=(const interruption&) = delete;

    sse::run_control* control() noexcept { return &control_; }

private:
    static void handle(int number) {
        std::signal(number, SIG_DFL);
        caught_ = number;
        target_->close();
    }

    static inline volatile std::sig_atomic_t caught_ = 0;
    static inline sse::run_control* target_ = nullptr;
    sse::run_control control_;
};

sse::event_source_options options_for(const settings& wanted, const printer& print) {
    sse::event_source_options options{.url = wanted.input,
                                      .headers = wanted.headers,
                                      .last_event_id = wanted.last_event_id,
                                      .policy = sse::retrying_action,
                                      .max_attempts = wanted.attempts.value_or(wanted.llm ? 1 : 0),
                                      .reconnect_at_end = !wanted.llm,
                                      .unfinished_event = wanted.unfinished_event,
                                      .max_event_bytes = wanted.limit,
                                      .invalid_utf8 = print.encoding()};
    if (wanted.post) {
        options.method = "POST";
        read_file(*wanted.post, [&](std::string_view bytes) {
            options.body += bytes;
            return true;
        });
        if (!sse::find_header(options.headers, "Content-Type")) {
            options.headers.push_back({"Content-Type", "application/json"});
        }
    }
    if (const sse::error invalid = sse::event_source::check(options)) {
        throw support::usage_error(std::string(invalid.message()));
    }
    return options;
}

std::string amount(std::uint64_t number, std::string_view unit) {
    return fmt::format("{} {}{}", number, unit, number == 1 ? "" : "s");
}

std::string amount_of_bytes(std::uint64_t bytes) {
    if (bytes < 10'000) return amount(bytes, "byte");
    if (bytes < 10'000'000) return fmt::format("{} KB", bytes / 1000);
    return fmt::format("{} MB", bytes / 1'000'000);
}

std::string describe(const sse::event_source::failure& error) {
    if (error.code != sse::errc::status_refused) return error.code.message();
    return fmt::format("{}: {}", error.code.message(), error.status);
}

void show_url(const settings& wanted, printer& print) {
    sse::event_source source(options_for(wanted, print));
    support::status_line status(print.text());
    std::string state = "connecting";
    std::string failure;
    std::uint64_t events = 0;
    std::uint64_t connections = 0;

    const auto show = [&] {
        if (print.is_done()) source.close();
        if (!print.text().on_terminal()) return support::write_out(print.take_text());
        std::vector<std::string> fields{state};
        if (events > 0) fields.push_back(amount(events, "event"));
        const std::string_view id = source.last_event_id();
        if (!id.empty()) fields.push_back(fmt::format("last id {}", id));
        if (connections > 1) fields.push_back(amount(connections - 1, "reconnection"));
        if (connections > 0) fields.push_back(amount_of_bytes(source.received_bytes()));
        support::write_out(status.around(print.take_text(), fields));
    };
    source.on_open([&] {
        ++connections;
        state = "open";
        show();
    });
    source.on_event([&](const sse::event_source::event_view& event) {
        ++events;
        print.on_event(event);
        show();
    });
    if (wanted.comments) {
        source.on_comment([&](std::string_view comment) {
            print.on_comment(comment);
            show();
        });
    }
    source.on_error([&](const sse::event_source::failure& error) {
        failure = fmt::format("{}: {}", authority(source.url()), describe(error));
        if (!error.retry_in) return;
        const auto tenths = error.retry_in->count() / 100;
        state = fmt::format("connecting again in {}.{} s", tenths / 10, tenths % 10);
        if (!print.text().on_terminal()) support::complain("sse-cat", fmt::format("{}; {}", failure, state));
        state += ": " + describe(error);
        show();
    });

    show();
    interruption interruption(print.text().on_terminal());
#ifdef SSE_EXAMPLES_WITH_CURL
    const auto configure = [&](CURL* curl, const sse::url&) {
        if (!wanted.certificates.empty()) {
            ::curl_easy_setopt(curl, CURLOPT_CAINFO, wanted.certificates.c_str());
        }
    };
    const std::error_code error =
        sse::curl::run(source, {.control = interruption.control(), .configure = configure});
#else
    const std::error_code error = sse::posix::run(source, {.control = interruption.control()});
#endif
    support::write_out(status.around(print.take_text(), {}));
    if (error == sse::errc::event_too_large) fail(error.message(), wanted);
    if (error && error != sse::errc::no_content) throw std::runtime_error(failure);
}

int sse_cat(support::command_line arguments) {
    const settings wanted = parse(arguments);
    if (!wanted.answer.empty()) {
        support::write_out(wanted.answer);
        return 0;
    }
    printer print(wanted, support::event_text(STDOUT_FILENO));
    // A parser retains comments only for a handler that asks for them.
    auto events_only = [&print](const sse::event_view& event) { print.on_event(event); };
    if (wanted.is_url()) show_url(wanted, print);
    else if (wanted.comments) show_file(wanted, print, print);
    else show_file(wanted, print, events_only);
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return support::run("sse-cat", argc, argv, sse_cat); }
