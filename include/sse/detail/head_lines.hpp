// Reads the lines of an HTTP/1.1 head, and of the chunked coding, out of chunks of any size.
#pragma once

#include "../error.hpp"
#include "../http.hpp"
#include "ascii.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sse::detail {

/// Takes lines off the front of chunks, within a limit. A line that lies in one chunk is not copied.
class head_lines {
public:
    /// How much a message may take, see `http1_options`.
    struct limits {
        std::size_t max_bytes;   ///< of all lines since the construction, `reset()` or `restore_room()`
        std::size_t max_fields;  ///< of a head, or of the trailers
    };

private:
    limits limits_;
    std::size_t room_ = limits_.max_bytes;  // how many more bytes the lines may take
    std::string begun_{};                   // a line that spans chunks, as far as it has come
    bool is_complete_ = false;              // the last line was: `begun_` holds nothing of the next one
    sse::error error_{};

public:
    explicit head_lines(const limits& given) noexcept : limits_(given) {}

    /// Takes a line and its end off the front of `bytes`, or all bytes if the end of the line is not among
    /// them.
    ///
    /// \return the line without its end, if it is complete. Otherwise nothing, and `error()` may say why.
    /// \post the line lives until the next call, and no longer than the bytes
    /// \spec RFC 9112, section 2.2: a recipient may accept a single LF as the end of a line. The grammar of
    ///       each line refuses a CR elsewhere.
    std::optional<std::string_view> take_line(std::string_view& bytes) {
        std::optional<std::string_view> line = take_to_lf(bytes);
        if (line && line->ends_with('\r')) line->remove_suffix(1);
        return line;
    }

    /// The same for a line of the chunked coding, which only CR LF ends: two recipients that disagree whether
    /// a LF ends this line disagree where the message ends.
    ///
    /// \spec RFC 9112, section 7.1
    std::optional<std::string_view> take_chunk_line(std::string_view& bytes) {
        std::optional<std::string_view> line = take_to_lf(bytes);
        if (!line) return std::nullopt;
        if (!line->ends_with('\r')) {
            error_ = errc::http_malformed;
            return std::nullopt;
        }
        line->remove_suffix(1);
        return line;
    }

    /// Why no line can be taken, until `reset()`.
    sse::error error() const noexcept { return error_; }

    /// The lines that follow may again take `max_bytes`.
    void restore_room() noexcept { room_ = limits_.max_bytes; }

    /// Reads a line that is not empty: a field or, if `folds`, the rest of the field before it.
    /// \spec RFC 9112, section 5
    sse::error add_field(std::string_view line, headers& fields, bool folds) const {
        if (line.starts_with(' ') || line.starts_with('\t')) {
            // Section 5.2: a user agent replaces a fold by a space, and a server may refuse it. Section 2.2:
            // there is none before the first field.
            const std::string_view rest = trim(line);
            if (!folds || fields.empty() || has_control(rest)) return errc::http_malformed;
            std::string& value = fields.back().value;
            if (!value.empty() && !rest.empty()) value += ' ';
            value += rest;
            return {};
        }
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) return errc::http_malformed;
        const std::string_view name = line.substr(0, colon);  // section 5.1: no space before the colon
        const std::string_view value = trim(line.substr(colon + 1));
        if (check_header(name, value)) return errc::http_malformed;
        if (fields.size() >= limits_.max_fields) return errc::http_head_too_large;
        fields.push_back({std::string(name), std::string(value)});
        return {};
    }

    /// Whether a line has begun and its end has not come.
    /// \pre the last call returned no line
    bool is_within_line() const noexcept { return !begun_.empty(); }

    void reset() noexcept {
        begun_.clear();
        restore_room();
        error_ = {};
    }

private:
    std::optional<std::string_view> take_to_lf(std::string_view& bytes) {
        if (is_complete_) begun_.clear();
        const std::size_t size = bytes.find('\n');  // each byte is searched once
        is_complete_ = size != std::string_view::npos;
        std::string_view line = bytes.substr(0, is_complete_ ? size + 1 : size);
        if (line.size() > room_) {
            error_ = errc::http_head_too_large;
            return std::nullopt;
        }
        room_ -= line.size();
        bytes.remove_prefix(line.size());
        if (!is_complete_ || !begun_.empty()) line = begun_.append(line);
        if (!is_complete_) return std::nullopt;
        line.remove_suffix(1);
        return line;
    }
};

}  // namespace sse::detail
