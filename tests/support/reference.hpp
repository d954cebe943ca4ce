// The standard's algorithms, step by step and without haste, for the parser to be held against.
//
//     test::outcome expected = test::reference(stream, {.replace = true});
//
// Shares nothing with the parser but the vocabulary of sse/event.hpp.
#pragma once

#include <sse/event.hpp>

#include "show.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace test {

/// One call to a handler.
struct notification {
    enum class kind { event, comment, retry, id, unknown_field };

    kind what;
    std::string first;     ///< the event's type, the comment, the id, the field's name; the retry in digits
    std::string second{};  ///< the event's data, the field's value
    std::string third{};   ///< the event's last event ID

    friend bool operator==(const notification&, const notification&) = default;
};

/// What can be seen of a parse.
struct outcome {
    std::vector<notification> log{};
    std::string last_event_id{};
    std::optional<std::int64_t> reconnection_time{};
    bool in_event = false;   ///< before the end is announced
    bool too_large = false;  ///< the limit was exceeded

    std::vector<sse::event> events() const {
        std::vector<sse::event> result;
        for (const notification& entry : log) {
            if (entry.what != notification::kind::event) continue;
            sse::event event;
            event.type = entry.first;
            event.data = entry.second;
            event.last_event_id = entry.third;
            result.push_back(event);
        }
        return result;
    }

    friend bool operator==(const outcome&, const outcome&) = default;
};

struct reference_options {
    bool replace = false;  ///< ill-formed UTF-8 becomes U+FFFD; else bytes stay as they are
    bool deliver = false;  ///< the end of the stream ends the unfinished line, and then its block
    std::string last_event_id{};
    std::optional<std::int64_t> reconnection_time{};
    std::size_t max_event_bytes = std::numeric_limits<std::size_t>::max();
    bool keeps_comments = false;        ///< the handler has on_comment
    bool keeps_unknown_fields = false;  ///< the handler has on_unknown_field
};

inline std::string show(const notification& entry) {
    switch (entry.what) {
        case notification::kind::event:
            return "event " + show(entry.first) + " data " + show(entry.second) + " id " + show(entry.third);
        case notification::kind::comment: return "comment " + show(entry.first);
        case notification::kind::retry: return "retry " + entry.first;
        case notification::kind::id: return "id " + show(entry.first);
        case notification::kind::unknown_field:
            return "unknown field " + show(entry.first) + " value " + show(entry.second);
    }
    return {};
}

inline std::string show(const outcome& result) {
    std::string text;
    for (const notification& entry : result.log) text += "  " + show(entry) + '\n';
    text += "  last event ID " + show(result.last_event_id);
    if (result.reconnection_time) text += ", reconnection time " + std::to_string(*result.reconnection_time);
    if (result.in_event) text += ", in_event";
    if (result.too_large) text += ", too large";
    return text + '\n';
}

/// The code point in UTF-8.
inline std::string encode_code_point(char32_t code_point) {
    const auto byte = [](char32_t value) { return static_cast<char>(static_cast<unsigned char>(value)); };
    if (code_point < 0x80) return {byte(code_point)};
    if (code_point < 0x800) return {byte(0xC0 | (code_point >> 6)), byte(0x80 | (code_point & 0x3F))};
    if (code_point < 0x10000)
        return {byte(0xE0 | (code_point >> 12)), byte(0x80 | ((code_point >> 6) & 0x3F)),
                byte(0x80 | (code_point & 0x3F))};
    return {byte(0xF0 | (code_point >> 18)), byte(0x80 | ((code_point >> 12) & 0x3F)),
            byte(0x80 | ((code_point >> 6) & 0x3F)), byte(0x80 | (code_point & 0x3F))};
}

/// UTF-8 decode without BOM, error mode "replacement", and the result in UTF-8 again.
///
/// \spec https://encoding.spec.whatwg.org/#utf-8-decoder
inline std::string decode_utf8(std::string_view bytes) {
    constexpr char32_t replacement = 0xFFFD;
    std::string text;
    char32_t code_point = 0;
    int bytes_seen = 0;
    int bytes_needed = 0;
    unsigned lower_boundary = 0x80;
    unsigned upper_boundary = 0xBF;

    for (std::size_t position = 0;;) {
        // 1. The end within a sequence is one error; the step after it finds the end again.
        if (position == bytes.size() && bytes_needed != 0) {
            bytes_needed = 0;
            text += encode_code_point(replacement);
            continue;
        }
        // 2. The end elsewhere finishes.
        if (position == bytes.size()) return text;
        const unsigned byte = static_cast<unsigned char>(bytes[position++]);

        // 3. The first byte of a sequence says how many follow, and narrows the range of the second.
        if (bytes_needed == 0) {
            if (byte <= 0x7F) {
                text += encode_code_point(byte);
            } else if (byte >= 0xC2 && byte <= 0xDF) {
                bytes_needed = 1;
                code_point = byte & 0x1F;
            } else if (byte >= 0xE0 && byte <= 0xEF) {
                if (byte == 0xE0) lower_boundary = 0xA0;
                if (byte == 0xED) upper_boundary = 0x9F;
                bytes_needed = 2;
                code_point = byte & 0xF;
            } else if (byte >= 0xF0 && byte <= 0xF4) {
                if (byte == 0xF0) lower_boundary = 0x90;
                if (byte == 0xF4) upper_boundary = 0x8F;
                bytes_needed = 3;
                code_point = byte & 0x7;
            } else {
                text += encode_code_point(replacement);
            }
            continue;
        }
        // 4. A byte out of range ends the sequence in error, and is read again as a first byte.
        if (byte < lower_boundary || byte > upper_boundary) {
            code_point = 0;
            bytes_needed = 0;
            bytes_seen = 0;
            lower_boundary = 0x80;
            upper_boundary = 0xBF;
            --position;
            text += encode_code_point(replacement);
            continue;
        }
        // 5. Only the second byte has a range of its own.
        lower_boundary = 0x80;
        upper_boundary = 0xBF;
        // 6. Its six bits join the code point.
        code_point = (code_point << 6) | (byte & 0x3F);
        // 7, 8. One more is seen; are more needed?
        bytes_seen += 1;
        if (bytes_seen != bytes_needed) continue;
        // 9 to 11. The code point is whole.
        text += encode_code_point(code_point);
        code_point = 0;
        bytes_needed = 0;
        bytes_seen = 0;
    }
}

/// The lines of a stream, without what ended them, and what follows the last of them.
struct lines {
    std::vector<std::string> finished{};
    std::string unfinished{};
};

/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
inline lines split_lines(std::string_view stream) {
    lines result;
    for (std::size_t position = 0; position < stream.size();) {
        const char c = stream[position++];
        if (c != '\r' && c != '\n') {
            result.unfinished += c;
            continue;
        }
        // CR LF is one end of line; so is each LF with no CR before it, and each CR with no LF after it.
        if (c == '\r' && position < stream.size() && stream[position] == '\n') ++position;
        result.finished.push_back(result.unfinished);
        result.unfinished.clear();
    }
    return result;
}

/// What is associated with a stream while it is interpreted, and what comes of it.
///
/// \spec https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
class interpreter {
public:
    explicit interpreter(const reference_options& options) : id_buffer_(options.last_event_id) {
        // A second connection goes on with both of these. By the letter of the standard the buffer would
        // begin empty; browsers begin with the last event ID, and web-platform-tests (format-field-id) want
        // it so.
        result.last_event_id = options.last_event_id;
        result.reconnection_time = options.reconnection_time;
    }

    outcome result;

    void process_line(const std::string& line) {
        // An empty line dispatches the event.
        if (line.empty()) {
            dispatch();
            return;
        }
        // A line that starts with a colon is ignored. (Handlers may want to see it.)
        if (line.front() == ':') {
            report({notification::kind::comment, without_leading_space(line.substr(1))});
            return;
        }
        // A line with a colon: the name is before the first, the value after it, less one space at its start.
        const std::size_t colon = line.find(':');
        if (colon != std::string::npos) {
            process_field(line.substr(0, colon), without_leading_space(line.substr(colon + 1)));
            return;
        }
        // A line without: all of it is the name, and the value is empty.
        process_field(line, "");
    }

    /// Is an event half read?
    bool block_is_open() const { return !data_buffer_.empty() || !type_buffer_.empty() || id_in_block_; }

    /// What must be kept between two lines.
    std::size_t kept_bytes() const {
        // The LF at the end of the data goes at dispatch.
        const std::size_t data = data_buffer_.empty() ? 0 : data_buffer_.size() - 1;
        const std::size_t pending_id = id_in_block_ ? id_buffer_.size() : 0;
        return result.last_event_id.size() + pending_id + type_buffer_.size() + data;
    }

    bool has_data_line() const { return !data_buffer_.empty(); }

private:
    static std::string without_leading_space(std::string value) {
        if (!value.empty() && value.front() == ' ') value.erase(0, 1);
        return value;
    }

    void process_field(const std::string& name, const std::string& value) {
        if (name == "event") {
            // The event type buffer becomes the value.
            type_buffer_ = value;
        } else if (name == "data") {
            // The value and one LF are appended to the data buffer.
            data_buffer_ += value;
            data_buffer_ += '\n';
        } else if (name == "id") {
            // The last event ID buffer becomes the value, unless there is a NUL in it.
            if (value.find('\0') != std::string::npos) return;
            id_buffer_ = value;
            id_in_block_ = true;
        } else if (name == "retry") {
            // The reconnection time becomes the value, if that is ASCII digits and nothing else. The standard
            // sets no upper end: here it is the largest that the type can hold.
            const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
            if (value.empty() || !std::all_of(value.begin(), value.end(), is_digit)) return;
            constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
            std::int64_t time = 0;
            for (const char c : value) {
                const std::int64_t digit = c - '0';
                time = time > (largest - digit) / 10 ? largest : time * 10 + digit;
            }
            result.reconnection_time = time;
            report({notification::kind::retry, std::to_string(time)});
        } else {
            // Any other field is ignored. (Handlers may want to see it.)
            report({notification::kind::unknown_field, name, value});
        }
    }

    void dispatch() {
        // 1. The event source's last event ID becomes the buffer's. The buffer is not reset.
        result.last_event_id = id_buffer_;
        if (id_in_block_) report({notification::kind::id, id_buffer_});
        id_in_block_ = false;
        // 2. With no data, the buffers are emptied and there is no event.
        if (data_buffer_.empty()) {
            type_buffer_ = "";
            return;
        }
        // 3. One LF at the end of the data is removed.
        if (data_buffer_.back() == '\n') data_buffer_.pop_back();
        // 4 to 6. The event is a "message", or what the type buffer says.
        std::string type = "message";
        if (!type_buffer_.empty()) type = type_buffer_;
        const notification event = {notification::kind::event, type, data_buffer_, result.last_event_id};
        // 7. The buffers are emptied.
        data_buffer_ = "";
        type_buffer_ = "";
        // 8. The event is dispatched.
        report(event);
    }

    void report(const notification& entry) { result.log.push_back(entry); }

    std::string data_buffer_;
    std::string type_buffer_;
    std::string id_buffer_;
    bool id_in_block_ = false;
};

/// What must be kept of a line, given its bytes so far: nothing where the rest can be understood without it.
inline std::size_t kept_of_line(std::string_view line, bool has_ended, const interpreter& block,
                                const reference_options& options) {
    constexpr std::array<std::string_view, 4> names = {"data", "event", "id", "retry"};
    if (line.empty()) return 0;
    const std::size_t colon = line.find(':');
    const bool has_colon = colon != std::string_view::npos;
    if (!has_ended && !has_colon) {
        // It may still become one of the names.
        for (const std::string_view known : names)
            if (known.substr(0, line.size()) == line) return 0;
    }
    const std::string_view name = line.substr(0, colon);
    std::string_view value = has_colon ? line.substr(colon + 1) : std::string_view();
    if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    if (name.empty()) return options.keeps_comments ? value.size() : 0;
    if (name == "data") return value.size() + (block.has_data_line() ? 1 : 0);
    if (name == "event") return value.size();
    if (name == "id")
        return value.find('\0') == std::string_view::npos ? value.size() : 0;  // else it is ignored
    if (name == "retry") return 0;
    return options.keeps_unknown_fields ? line.size() : 0;
}

/// All that comes of a stream.
///
/// `max_event_bytes` is this library's, not the standard's: where what must be kept exceeds it at any byte,
/// the parse ends there, and what was complete before that byte counts. Ill-formed UTF-8 is replaced once its
/// line has ended.
inline outcome reference(const std::string& bytes, const reference_options& options) {
    constexpr std::string_view bom = "\xEF\xBB\xBF";
    // https://encoding.spec.whatwg.org/#utf-8-decode: one BOM at the start is dropped.
    const bool has_bom = std::string_view(bytes).substr(0, 3) == bom;
    const std::string stream = has_bom ? bytes.substr(3) : bytes;

    // Decoding neither makes nor removes an end of line: the n-th line of the one is the n-th of the other.
    const lines raw = split_lines(stream);
    const lines text = options.replace ? split_lines(decode_utf8(stream)) : raw;

    if (options.last_event_id.size() > options.max_event_bytes) return {.too_large = true};
    interpreter block(options);
    const auto exceeded_by = [&](std::string_view line, bool has_ended) {
        const std::size_t kept = block.kept_bytes() + kept_of_line(line, has_ended, block, options);
        block.result.too_large = kept > options.max_event_bytes;
        return block.result.too_large;
    };
    const auto exceeded_within = [&](std::string_view line, bool first) {
        // So high a limit is beyond all that this stream holds.
        if (options.max_event_bytes / 4 > bytes.size() + options.last_event_id.size()) return false;
        for (std::size_t size = 1; size <= line.size(); ++size) {
            const std::string_view part = line.substr(0, size);
            // It may still become a BOM.
            if (first && !has_bom && size < bom.size() && part == bom.substr(0, size)) continue;
            if (exceeded_by(part, false)) return true;
        }
        return false;
    };

    for (std::size_t i = 0; i < text.finished.size(); ++i) {
        if (exceeded_within(raw.finished[i], i == 0) || exceeded_by(text.finished[i], true))
            return block.result;
        block.process_line(text.finished[i]);
    }
    if (exceeded_within(raw.unfinished, text.finished.empty())) return block.result;
    block.result.in_event = block.block_is_open() || !raw.unfinished.empty();

    // A block that lacks its empty line is discarded, unless it is asked for.
    if (options.deliver) {
        if (exceeded_by(text.unfinished, true)) return block.result;
        if (!text.unfinished.empty()) block.process_line(text.unfinished);
        block.process_line("");
    }
    return block.result;
}

}  // namespace test
