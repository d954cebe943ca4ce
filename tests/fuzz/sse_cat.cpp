// Invariant: what sse-cat shows is the events that it was asked for, and nothing else, however its input is cut. JSON
// gives each of them back. Nothing that a terminal may act on is written to one, nor into JSON.
//
// The first line of the input is a command line, `t` first for a terminal; behind it comes the stream.
#define main sse_cat_main              // NOLINT(readability-identifier-naming): of the program
#include "../../examples/sse_cat.cpp"  // NOLINT(bugprone-suspicious-include): all of it, but its main
#undef main

#include "../support/reference.hpp"
#include "require.hpp"
#include "script.hpp"

namespace {

using test::require;
using kind = test::notification::kind;

constexpr std::size_t columns = 20;

std::vector<std::string> words_of(std::string_view line) {
    std::vector<std::string> words;
    while (!line.empty()) {
        words.emplace_back(line.substr(0, line.find(' ')));
        line.remove_prefix(std::min(words.back().size() + 1, line.size()));
    }
    return words;
}

/// \post It lives no longer than the words.
settings settings_of(std::vector<std::string>& words) {
    std::vector<char*> arguments{nullptr};
    for (std::string& word : words) arguments.push_back(word.data());
    support::command_line command_line(static_cast<int>(arguments.size()), arguments.data());
    return parse(command_line);
}

support::event_text text_of(bool on_terminal) { return {on_terminal ? columns : 0, false}; }

std::string shown(const settings& wanted, bool on_terminal, std::string_view stream, std::size_t chunk) {
    printer print(wanted, text_of(on_terminal));
    auto events_only = [&](const sse::event_view& event) { print.on_event(event); };
    sse::parser parser({.max_event_bytes = wanted.limit, .invalid_utf8 = print.encoding()});
    const auto take = [&](auto& handler) {
        for (; !stream.empty(); stream.remove_prefix(std::min(chunk, stream.size())))
            if (parser.feed(stream.substr(0, chunk), handler)) return;
        static_cast<void>(parser.finish(wanted.unfinished_event, handler));
    };
    wanted.comments ? take(print) : take(events_only);
    return print.take_text();
}

/// What of a stream is to be shown, by the standard's algorithm and the options.
std::vector<test::notification> expected(const settings& wanted, bool replace, const std::string& stream) {
    const test::outcome all =
        test::reference(stream, {.replace = replace,
                                 .deliver = wanted.unfinished_event == sse::unfinished_event::deliver,
                                 .max_event_bytes = wanted.limit,
                                 .keeps_comments = wanted.comments});
    std::vector<test::notification> result;
    for (const test::notification& each : all.log) {
        const std::string& type = each.first;
        if (each.what == kind::comment && wanted.comments) result.push_back(each);
        if (each.what != kind::event) continue;
        if (wanted.llm && each.second == "[DONE]") break;
        const auto& types = wanted.types;
        if (types.empty() || std::find(types.begin(), types.end(), type) != types.end())
            result.push_back(each);
        if (wanted.until == type) break;
    }
    return result;
}

std::string line(std::string_view text, std::string_view margin) {
    return text.empty() ? "\n" : fmt::format("{}{}\n", margin, text);
}

std::string lines(std::string_view text, std::string_view margin) {
    std::string result;
    for (std::size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1))
        result += line(text.substr(0, end), margin);
    return result + line(text, margin);
}

std::string plain(const settings& wanted, const test::notification& each) {
    if (each.what == kind::comment) return ":" + line(each.first, " ");
    if (wanted.data_only) return lines(each.second, "");
    const std::string id = each.third.empty() ? "" : "  " + each.third;
    return each.first + id + "\n" + (each.second.empty() ? "" : lines(each.second, "  "));
}

/// Takes a string of JSON off the front.
std::string take_string(std::string_view& json) {
    std::string result;
    require(json.starts_with('"'));
    for (json.remove_prefix(1); !json.starts_with('"'); json.remove_prefix(1)) {
        require(!json.empty());
        if (json[0] != '\\') {
            result += json[0];
            continue;
        }
        json.remove_prefix(1);
        require(!json.empty());
        if (json[0] != 'u') {
            require(json[0] == '"' || json[0] == '\\' || json[0] == 'n');
            result += json[0] == 'n' ? '\n' : json[0];
            continue;
        }
        std::uint32_t code = 0;
        require(json.size() > 4 &&
                std::from_chars(json.data() + 1, json.data() + 5, code, 16).ptr == json.data() + 5);
        result += test::encode_code_point(code);
        json.remove_prefix(4);
    }
    json.remove_prefix(1);
    return result;
}

void expect(std::string_view& text, std::string_view part) {
    require(text.starts_with(part));
    text.remove_prefix(part.size());
}

/// Takes a line of JSON off the front.
test::notification take_json(std::string_view& text) {
    test::notification result{kind::comment, ""};
    expect(text, "{");
    if (text.starts_with("\"comment\":")) {
        expect(text, "\"comment\":");
        result.first = take_string(text);
    } else {
        result.what = kind::event;
        expect(text, "\"type\":");
        result.first = take_string(text);
        expect(text, ",\"data\":");
        result.second = take_string(text);
        expect(text, ",\"id\":");
        result.third = take_string(text);
    }
    expect(text, "}\n");
    return result;
}

/// What a terminal may act on, by its first bytes and the range of its last one.
struct {
    const char* lead;
    int first, last;
} constexpr unsafe[] = {
    {"\xC2", 0x80, 0x9F},      // the controls C1
    {"\xD8", 0x9C, 0x9C},      // U+061C, and on: what turns the direction of writing
    {"\xE2\x80", 0x8E, 0x8F},  // U+200E
    {"\xE2\x80", 0xA8, 0xAE},  // U+2028, what ends a line, and U+202A
    {"\xE2\x81", 0xA6, 0xA9},  // U+2066
};

void require_safe(const std::string& text) {
    require(test::decode_utf8(text) == text);
    for (const char byte : text) {
        const auto value = static_cast<unsigned char>(byte);
        require(value == '\n' || (value >= 0x20 && value != 0x7F));
    }
    for (const auto& [lead, first, last] : unsafe) {
        for (int byte = first; byte <= last; ++byte)
            require(text.find(lead + std::string(1, static_cast<char>(byte))) == std::string::npos);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    std::vector<std::string> words = words_of(test::take_line(input));
    const std::string stream(input);
    const bool on_terminal = !words.empty() && words.front() == "t";
    if (on_terminal) words.erase(words.begin());

    std::optional<settings> wanted;
    try {
        wanted = settings_of(words);
    } catch (const support::usage_error&) {
        return 0;
    }
    const std::string whole = shown(*wanted, on_terminal, stream, stream.size() + 1);
    require(shown(*wanted, on_terminal, stream, 1) == whole);
    const auto events = expected(*wanted, on_terminal || wanted->json, stream);
    if (on_terminal || wanted->json) require_safe(whole);
    if (wanted->json) {
        std::string_view rest = whole;
        for (const test::notification& each : events) require(take_json(rest) == each);
        require(rest.empty());
    } else if (!on_terminal) {
        std::string text;
        for (const test::notification& each : events) text += plain(*wanted, each);
        require(text == whole);
    }
    return 0;
}
