// Shows the events of a stream, each as soon as it is complete.
//
//     curl -sN https://example.com/stream | sse-cat --type tick
#include "support/event_text.hpp"
#include "support/program.hpp"
#include "support/socket.hpp"

#include <sse/parser.hpp>
#include <sse/version.hpp>

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

constexpr std::string_view usage = R"(usage: sse-cat [options] [file]

Shows the events of a stream, from the file or from standard input: each as
soon as its blank line has come.

  --type TYPE    only events of this type; may be given several times
  --json         a JSON object for each event, on a line of its own
  --data-only    only the data
  --comments     comments too
  --limit BYTES  the largest event to accept (default 16777216)
  --deliver      at the end of the stream, an event without its blank line too
  --help         this text
  --version      the version of the library
)";

struct settings {
    std::string answer;  // what to print instead: the help, the version
    std::string file = "-";
    std::vector<std::string_view> types;
    bool json = false;
    bool data_only = false;
    bool comments = false;
    sse::at_end at_end = sse::at_end::discard;
    std::size_t limit = sse::parser_options{}.max_event_bytes;
};

settings parse(support::command_line& arguments) {
    settings wanted;
    bool has_file = false;
    while (arguments.next()) {
        if (arguments.is("--type")) wanted.types.push_back(arguments.value());
        else if (arguments.is("--json")) wanted.json = true;
        else if (arguments.is("--data-only")) wanted.data_only = true;
        else if (arguments.is("--comments")) wanted.comments = true;
        else if (arguments.is("--limit"))
            wanted.limit = arguments.number<std::size_t>(1, std::numeric_limits<std::size_t>::max());
        else if (arguments.is("--deliver")) wanted.at_end = sse::at_end::deliver;
        else if (arguments.is("--help")) wanted.answer = usage;
        else if (arguments.is("--version")) wanted.answer = fmt::format("sse-cat {}\n", sse::version);
        else if (arguments.is_option() || has_file) arguments.refuse();
        else {
            wanted.file = arguments.current();
            has_file = true;
        }
    }
    if (wanted.data_only && (wanted.json || wanted.comments))
        throw support::usage_error("--data-only goes with neither --json nor --comments");
    return wanted;
}

// As a JSON string. What a terminal may act on is escaped, as are the characters that JSON demands.
void append_json(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        const std::string_view character = support::take_character(text);
        const char32_t code = support::code_point(character);
        if (code == '\n') out += "\\n";
        else if (code == '"' || code == '\\') out.append({'\\', character.front()});
        else if (support::is_unsafe(code)) support::append_escape(out, code);
        else out += character;
    }
    out += '"';
}

// What the parser calls, for events and for comments.
class printer {
public:
    explicit printer(const settings& wanted) : wanted_(wanted) {}

    bool on_terminal() const noexcept { return text_.on_terminal(); }

    void on_event(const sse::event_view& event) {
        const auto& types = wanted_.types;
        if (!types.empty() && std::find(types.begin(), types.end(), event.type) == types.end()) return;
        if (wanted_.json) json({{"type", event.type}, {"data", event.data}, {"id", event.last_event_id}});
        else if (wanted_.data_only) text_.data(event.data);
        else text_.event(event);
    }

    void on_comment(std::string_view comment) {
        if (wanted_.json) json({{"comment", comment}});
        else text_.comment(comment);
    }

    void flush() {
        support::write_out(text_.out);
        text_.out.clear();
    }

private:
    using member = std::pair<std::string_view, std::string_view>;

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
    support::event_text text_{STDOUT_FILENO};
};

support::descriptor open(const std::string& file) {
    if (file == "-") return support::descriptor(::dup(STDIN_FILENO));
    return support::descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
}

[[noreturn]] void fail(const std::string& file) {
    throw std::system_error(errno, std::generic_category(),
                            "cannot read " + (file == "-" ? "standard input" : file));
}

template <class Handler>
sse::error show(const support::descriptor& input, const settings& wanted, printer& print, Handler& handler) {
    sse::parser parser({.max_event_bytes = wanted.limit,
                        .text = wanted.json || print.on_terminal() ? sse::text::replace : sse::text::as_is});
    std::array<char, 65536> buffer;
    for (;;) {
        // What is there, as soon as it is there: std::fread() would wait until the buffer is full.
        const auto count = ::read(input.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) fail(wanted.file);
        const sse::error error = count > 0
                                     ? parser.feed({buffer.data(), static_cast<std::size_t>(count)}, handler)
                                     : parser.finish(wanted.at_end, handler);
        print.flush();
        if (error || count == 0) return error;
    }
}

int sse_cat(support::command_line arguments) {
    const settings wanted = parse(arguments);
    if (!wanted.answer.empty()) {
        support::write_out(wanted.answer);
        return 0;
    }
    const support::descriptor input = open(wanted.file);
    if (!input) fail(wanted.file);

    // A parser retains comments only for a handler that asks for them.
    printer print(wanted);
    auto events_only = [&print](const sse::event_view& event) { print.on_event(event); };
    const sse::error error =
        wanted.comments ? show(input, wanted, print, print) : show(input, wanted, print, events_only);
    if (error) throw std::runtime_error(fmt::format("{} (--limit {})", error.message(), wanted.limit));
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return support::run("sse-cat", argc, argv, sse_cat); }
