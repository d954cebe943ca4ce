// Messages on their way: what is sent, and what a receiver is to be told.
//
//     test::sent_stream made;
//     CHECK_FALSE(made.add({.event = "tick", .data = "a"}));
//     CHECK(test::parse(made.bytes, 1) == made.expected);
#pragma once

#include <sse/encoder.hpp>
#include <sse/parser.hpp>

#include "chunking.hpp"
#include "exact_copy.hpp"
#include "reference.hpp"
#include "show.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace test {

/// The lines of a text, of which CR LF, CR and LF alike part one from the next.
inline std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\n' && i > 0 && text[i - 1] == '\r') continue;  // the CR has parted them
        if (text[i] == '\n' || text[i] == '\r') lines.emplace_back();
        else lines.back() += text[i];
    }
    return lines;
}

/// What a receiver gets of data.
inline std::string received(const std::string& data) {
    std::string joined;
    for (const std::string& line : lines_of(data)) joined += line + '\n';
    joined.pop_back();
    return joined;
}

/// A message that owns its strings.
struct sent {
    std::optional<std::string> event{};
    std::optional<std::string> data{};
    std::optional<std::string> id{};
    std::optional<std::int64_t> retry{};

    sse::message view() const {
        sse::message message;
        if (event) message.event = *event;
        if (data) message.data = *data;
        if (id) message.id = *id;
        if (retry) message.retry = sse::milliseconds(*retry);
        return message;
    }

    /// What is to be said of it before a byte is written.
    sse::errc refusal() const {
        const auto has = [](const std::optional<std::string>& text, char byte) {
            return text && text->find(byte) != std::string::npos;
        };
        if (has(event, '\r') || has(event, '\n')) return sse::errc::event_has_line_break;
        if (has(id, '\r') || has(id, '\n')) return sse::errc::id_has_line_break;
        if (has(id, '\0')) return sse::errc::id_has_nul;
        if (retry && *retry < 0) return sse::errc::retry_negative;
        return sse::errc::ok;
    }
};

inline std::string show(const sent& message) {
    std::string text;
    if (message.event) text += " event " + show(*message.event);
    if (message.data) text += " data " + show(*message.data);
    if (message.id) text += " id " + show(*message.id);
    if (message.retry) text += " retry " + std::to_string(*message.retry);
    return text;
}

/// A stream in the making, and what a receiver is to be told of it.
struct sent_stream {
    std::string bytes{};
    outcome expected{};

    sse::error add(const sent& message) {
        if (const sse::error error = sse::encode_to(bytes, message.view())) return error;
        if (message.retry) {
            expected.reconnection_time = message.retry;
            expected.log.push_back({notification::kind::retry, std::to_string(*message.retry)});
        }
        if (message.id) {
            expected.last_event_id = *message.id;
            expected.log.push_back({notification::kind::id, *message.id});
        }
        if (!message.data) return {};
        const bool has_type = message.event && !message.event->empty();
        expected.log.push_back({notification::kind::event, has_type ? *message.event : "message",
                                received(*message.data), expected.last_event_id});
        return {};
    }

    sse::error add_comment(const std::string& text) {
        if (const sse::error error = sse::encode_comment_to(bytes, text)) return error;
        for (const std::string& line : lines_of(text))
            expected.log.push_back({notification::kind::comment, line});
        return {};
    }
};

/// What a parser tells of bytes that come in chunks.
inline outcome parse(const std::string& bytes, std::size_t chunk) {
    outcome result;
    sse::parser parser;
    recorder<everything> recorder(result.log);
    for (std::size_t i = 0; i < bytes.size(); i += chunk)
        result.too_large |= bool(parser.feed(exact_copy(std::string_view(bytes).substr(i, chunk)), recorder));
    result.in_event = parser.in_event();
    result.last_event_id = parser.last_event_id();
    if (parser.reconnection_time()) result.reconnection_time = parser.reconnection_time()->count();
    return result;
}

}  // namespace test
