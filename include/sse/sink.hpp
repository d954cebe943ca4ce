// What takes bytes: the sink concept. Layer 2.
//
//     static_assert(sse::sink<my_socket>);  // so encode_to(my_socket(), {.data = "hello"}) compiles
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace sse {

namespace detail {

template <class Sink>
concept has_append = requires(Sink& sink, const char* bytes, std::size_t size) {
    sink.append(bytes, size);
};

template <class Sink>
concept has_write = requires(Sink& sink, const char* bytes, std::size_t size) {
    sink.write(bytes, size);
};

template <class Sink>
concept takes_string_view = requires(Sink& sink, std::string_view bytes) {
    sink(bytes);
};

template <class Sink>
constexpr bool is_char_span = false;
template <std::size_t Size>
constexpr bool is_char_span<std::span<char, Size>> = true;

template <class Sink>
concept is_span = is_char_span<std::remove_const_t<Sink>>;

template <class Stream>
concept is_file = std::same_as<std::remove_const_t<Stream>, std::FILE*>;

/// How many bytes a sink took or a source gave.
template <class Result>
concept says_count = std::integral<Result> && !std::same_as<Result, bool>;

}  // namespace detail

/// Takes bytes: all of them, or it fails. The exemplar:
///
///     struct my_socket {
///         std::error_code write(const char* bytes, std::size_t size);
///     };
///
/// The call that encodes returns the sink's failure. What the sink returns means:
/// - nothing: success;
/// - bool: whether it succeeded; the sink itself, if it is a stream: whether the stream is still good;
/// - sse::error, std::error_code and what converts to them: that error;
/// - an integer: how many bytes it took; fewer than all is `errc::sink_failed`.
///
/// A sink with a buffer of its own, such as std::FILE and std::ofstream, may fail only when it is flushed.
///
/// Models, of which the first that fits is used: std::FILE*; a std::span of char, which is shortened as it is
/// filled if it is an lvalue; what has `append(const char*, std::size_t)`, such as std::string; what has
/// `write(const char*, n)`, such as std::ostream; a callable of `std::string_view`.
template <class T, class Sink = std::remove_reference_t<T>>
concept sink = detail::has_append<Sink> || detail::has_write<Sink> || detail::takes_string_view<Sink> ||
    detail::is_span<Sink> || detail::is_file<Sink>;

static_assert(sink<std::FILE*> && sink<std::span<char>> && sink<std::string> &&
              sink<bool (*)(std::string_view)>);

}  // namespace sse
