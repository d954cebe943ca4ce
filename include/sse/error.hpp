// What can go wrong, as a value. Layer 0.
//
//     if (sse::error error = sse::encode_to(out, message)) log(error.message());
#pragma once

#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace sse {

/// Every way in which a call of this library fails.
///
/// A malformed stream is not among them: the standard gives each byte of it a meaning.
enum class errc {
    ok = 0,
    event_too_large,       ///< parser: what must be retained exceeds `max_event_bytes`
    event_has_line_break,  ///< encoder: `event` holds CR or LF
    id_has_line_break,     ///< encoder: `id` holds CR or LF
    id_has_nul,            ///< encoder: `id` holds NUL
    retry_negative,        ///< encoder: `retry` is below zero
    buffer_too_small,      ///< encoder: the message does not fit in the span; nothing was written
    sink_failed,           ///< encoder: the sink refused the bytes, or took only a part of them
    source_failed,         ///< events(): the source reported a failure without saying which
};

namespace detail {

constexpr std::string_view describe(errc code) noexcept {
    switch (code) {
        case errc::ok: return "no error";
        case errc::event_too_large: return "event: larger than max_event_bytes allows";
        case errc::event_has_line_break: return "event: contains CR or LF, which would end the field";
        case errc::id_has_line_break: return "id: contains CR or LF, which would end the field";
        case errc::id_has_nul: return "id: contains NUL, for which receivers ignore the field";
        case errc::retry_negative: return "retry: negative, but only digits can be sent";
        case errc::buffer_too_small: return "buffer: too small for the encoded message";
        case errc::sink_failed: return "sink: did not take all the bytes";
        case errc::source_failed: return "source: could not be read";
    }
    return "unknown error";
}

}  // namespace detail

/// The category of this library's codes; its name is "sse".
///
/// Its codes compare equal to the std::errc nearest in meaning (`invalid_argument`, `message_size`,
/// `no_buffer_space`, `io_error`).
const std::error_category& category() noexcept;

std::error_code make_error_code(errc code) noexcept;

/// The outcome of a call: true where something went wrong.
///
///     if (sse::error error = parser.feed(bytes, use)) return error;
///
/// A literal type, so that what returns it works in constant expressions; it converts to
/// `std::error_code`, which is none.
class [[nodiscard]] error {
public:
    constexpr error() noexcept = default;
    constexpr error(errc code) noexcept : code_(code) {}

    constexpr explicit operator bool() const noexcept { return code_ != errc::ok; }
    constexpr errc code() const noexcept { return code_; }

    /// Names the field and what is wrong with it. Lives as long as the program.
    constexpr std::string_view message() const noexcept { return detail::describe(code_); }

    operator std::error_code() const noexcept {
        if (code_ == errc::ok) return {};
        return make_error_code(code_);
    }

    friend constexpr bool operator==(error, error) noexcept = default;

private:
    errc code_ = errc::ok;
};

namespace detail {

class error_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "sse"; }

    std::string message(int code) const override { return std::string(describe(static_cast<errc>(code))); }

    std::error_condition default_error_condition(int code) const noexcept override {
        switch (static_cast<errc>(code)) {
            case errc::event_too_large: return std::errc::message_size;
            case errc::event_has_line_break:
            case errc::id_has_line_break:
            case errc::id_has_nul:
            case errc::retry_negative: return std::errc::invalid_argument;
            case errc::buffer_too_small: return std::errc::no_buffer_space;
            case errc::sink_failed:
            case errc::source_failed: return std::errc::io_error;
            case errc::ok: break;
        }
        return std::error_condition(code, *this);
    }
};

}  // namespace detail

inline const std::error_category& category() noexcept {
    static const detail::error_category instance;
    return instance;
}

inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), category()};
}

}  // namespace sse

template <>
struct std::is_error_code_enum<sse::errc> : std::true_type {};
