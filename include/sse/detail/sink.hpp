// What takes bytes: the concept, which io.hpp documents, and how each of its models is called.
#pragma once

#include "../error.hpp"

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace sse {

namespace detail {

template <class Sink>
concept has_append = requires(Sink& sink, const char* bytes, std::size_t size) { sink.append(bytes, size); };

template <class Sink>
concept has_write = requires(Sink& sink, const char* bytes, std::size_t size) { sink.write(bytes, size); };

template <class Sink>
concept takes_string_view = requires(Sink& sink, std::string_view bytes) { sink(bytes); };

template <class Sink>
concept is_span = std::same_as<std::remove_const_t<Sink>, std::span<char>>;

template <class Sink>
concept is_file = std::same_as<std::remove_const_t<Sink>, std::FILE*>;

}  // namespace detail

// Documented in io.hpp.
template <class T, class Sink = std::remove_reference_t<T>>
concept sink = detail::has_append<Sink> || detail::has_write<Sink> || detail::takes_string_view<Sink> ||
               detail::is_span<Sink> || detail::is_file<Sink>;

namespace detail {

/// One call of a sink, returning whatever it returns.
template <class Sink>
constexpr decltype(auto) call_sink(Sink& sink, std::string_view bytes) {
    if constexpr (is_file<Sink>) {
        return std::fwrite(bytes.data(), 1, bytes.size(), sink);
    } else if constexpr (has_append<Sink>) {
        return sink.append(bytes.data(), bytes.size());
    } else if constexpr (has_write<Sink> && requires { sink.rdbuf(); }) {
        return sink.write(bytes.data(), static_cast<std::ptrdiff_t>(bytes.size()));  // as streams count
    } else if constexpr (has_write<Sink>) {
        return sink.write(bytes.data(), bytes.size());
    } else {
        return sink(bytes);
    }
}

template <class Sink>
consteval void check_sink() {
    static_assert(sink<Sink>,
                  "a sink has append(const char*, std::size_t) or write(const char*, std::size_t), or is a callable "
                  "of std::string_view, a std::FILE*, or a std::span<char>");
}

/// What an operation on a sink returns: std::error_code if the sink does, so that its codes come through.
template <class Sink>
struct sink_error {
    using type = error;
};
template <sink Sink>
    requires(!is_span<Sink>) &&
            std::same_as<std::remove_cvref_t<decltype(call_sink(std::declval<Sink&>(), {}))>, std::error_code>
struct sink_error<Sink> {
    using type = std::error_code;
};

template <class Sink>
using sink_error_t = typename sink_error<std::remove_reference_t<Sink>>::type;

/// Hands all of `bytes` to a sink.
template <class Sink>
constexpr sink_error_t<Sink> write_to(Sink& sink, std::string_view bytes) {
    using result = std::remove_cvref_t<decltype(call_sink(sink, bytes))>;
    if constexpr (std::is_void_v<result>) {
        call_sink(sink, bytes);
        return {};
    } else if constexpr (std::same_as<result, error> || std::same_as<result, std::error_code>) {
        return call_sink(sink, bytes);
    } else if constexpr (std::integral<result> && !std::same_as<result, bool>) {
        const auto taken = call_sink(sink, bytes);
        return taken >= 0 && static_cast<std::size_t>(taken) == bytes.size() ? errc::ok : errc::sink_failed;
    } else if constexpr (requires { static_cast<bool>(call_sink(sink, bytes)); }) {
        return static_cast<bool>(call_sink(sink, bytes)) ? errc::ok : errc::sink_failed;
    } else {
        call_sink(sink, bytes);  // a string returns itself, and tells nothing
        return {};
    }
}

/// Gathers what is put piece by piece, so that a sink which may be a system call is called seldom.
template <class Sink>
class gather {
public:
    constexpr explicit gather(Sink& sink) noexcept : sink_(sink) {}

    constexpr void put(std::string_view bytes) {
        if constexpr (has_append<Sink>) {
            forward(bytes);
        } else {
            if (bytes.size() > gathered_.size() - size_) flush();
            if (bytes.size() > gathered_.size()) return forward(bytes);
            std::char_traits<char>::copy(gathered_.data() + size_, bytes.data(), bytes.size());
            size_ += bytes.size();
        }
    }

    constexpr sink_error_t<Sink> finish() {
        flush();
        return error_;
    }

private:
    constexpr void flush() {
        if (size_ != 0) forward({gathered_.data(), size_});
        size_ = 0;
    }

    constexpr void forward(std::string_view bytes) {
        if (!error_) error_ = write_to(sink_, bytes);
    }

    Sink& sink_;
    sink_error_t<Sink> error_{};
    std::size_t size_ = 0;
    std::array<char, 1024> gathered_;  // room for most events as a whole
};

/// Only counts what is put.
struct counter {
    std::size_t size = 0;
    constexpr void put(std::string_view bytes) noexcept { size += bytes.size(); }
};

/// Puts into a span, off whose front it takes what it fills.
struct span_writer {
    std::span<char>& span;
    constexpr void put(std::string_view bytes) noexcept {
        std::char_traits<char>::copy(span.data(), bytes.data(), bytes.size());
        span = span.subspan(bytes.size());
    }
};

/// Runs `put_all(output)`, where the output is one of the above that ends in `sink`.
///
/// \pre run twice, it puts the same: a span is not touched before it is known to be large enough
template <class Sink, class PutAll>
constexpr sink_error_t<Sink> write_through(Sink& sink, PutAll put_all) {
    if constexpr (is_span<Sink>) {
        counter needed;
        put_all(needed);
        if (needed.size > sink.size()) return errc::buffer_too_small;
        std::span<char> rest = sink;
        span_writer output{rest};
        put_all(output);
        if constexpr (!std::is_const_v<Sink>) sink = rest;
        return {};
    } else {
        gather<Sink> output(sink);
        put_all(output);
        return output.finish();
    }
}

}  // namespace detail

}  // namespace sse
