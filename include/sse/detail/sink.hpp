// How each kind of sink is called, what its results mean, and how an operation writes to it as a whole.
#pragma once

#include "../error.hpp"
#include "../sink.hpp"
#include "bytes.hpp"
#include "saturating.hpp"

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace sse::detail {

/// One call of a sink, returning whatever it returns.
template <class Sink>
constexpr decltype(auto) call_sink(Sink& sink, std::string_view bytes) {
    if constexpr (is_file<Sink>) {
        return sink != nullptr ? std::fwrite(bytes.data(), 1, bytes.size(), sink) : 0;  // it was not opened
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
                  "a sink has append(const char*, std::size_t) or write(const char*, std::size_t), or is a "
                  "callable of std::string_view, a std::FILE*, or a std::span of char");
}

// What the calls of a sink can return, besides nothing, a bool, and sse::error or sse::errc:

template <class Result>
concept says_error_code = !std::convertible_to<Result, error> && requires(const Result result) {
    requires std::convertible_to<Result, std::error_code> || std::is_error_condition_enum_v<Result>;
};

/// The sink itself: a stream, which knows its state, or a string, which cannot fail but by an exception.
template <class Result, class Sink>
concept is_sink_itself = std::derived_from<std::remove_const_t<Sink>, Result>;

template <class Sink>
using sink_result = std::remove_cvref_t<decltype(call_sink(std::declval<Sink&>(), {}))>;

/// What an operation on a sink returns: std::error_code if the sink does, so that its codes come through.
template <class Sink>
struct sink_error {
    using type = error;
};
template <sink Sink>
    requires(!is_span<Sink>) && says_error_code<sink_result<Sink>>
struct sink_error<Sink> {
    using type = std::error_code;
};

template <class Sink>
using sink_error_t = typename sink_error<std::remove_reference_t<Sink>>::type;

/// Hands all of `bytes` to a sink.
template <class Sink>
constexpr sink_error_t<Sink> write_to(Sink& sink, std::string_view bytes) {
    using result = sink_result<Sink>;
    if constexpr (std::is_void_v<result>) {
        call_sink(sink, bytes);
        return {};
    } else if constexpr (std::convertible_to<result, error>) {
        return call_sink(sink, bytes);
    } else if constexpr (std::is_error_condition_enum_v<result>) {
        return make_error_code(call_sink(sink, bytes));
    } else if constexpr (says_error_code<result>) {
        return call_sink(sink, bytes);
    } else if constexpr (says_count<result>) {
        return std::cmp_equal(call_sink(sink, bytes), bytes.size()) ? errc::ok : errc::sink_failed;
    } else if constexpr (std::same_as<result, bool> ||
                         (is_sink_itself<result, Sink> && std::is_constructible_v<bool, result&>)) {
        return static_cast<bool>(call_sink(sink, bytes)) ? errc::ok : errc::sink_failed;
    } else {
        static_assert(is_sink_itself<result, Sink>,
                      "a sink returns nothing, a bool, the number of bytes it took, an sse::error, what "
                      "converts to std::error_code, or itself");
        call_sink(sink, bytes);
        return {};
    }
}

/// Whether what was written to a sink can be taken back, as from a string.
template <class Sink>
concept can_take_back = has_append<Sink> && requires(Sink& sink) { sink.resize(sink.size()); };

/// Takes back what was written unless told to keep it: an exception must not leave half an event in a string.
template <can_take_back Sink>
class write_guard {
public:
    constexpr explicit write_guard(Sink& sink) noexcept : sink_(sink), size_(sink.size()) {}
    write_guard(const write_guard&) = delete;
    write_guard& operator=(const write_guard&) = delete;
    constexpr ~write_guard() {
        if (!kept_) sink_.resize(size_);
    }

    constexpr void keep() noexcept { kept_ = true; }

private:
    Sink& sink_;
    std::size_t size_;
    bool kept_ = false;
};

/// Gathers what is put, so that a sink which may be a system call is called seldom.
template <class Sink>
class gather {
public:
    constexpr explicit gather(Sink& sink) noexcept : sink_(sink) {}

    constexpr void put(std::string_view bytes) {
        if (bytes.empty()) return;
        if constexpr (has_append<Sink>) {
            forward(bytes);
        } else if (bytes.size() >= gathered_.size()) {
            flush();
            forward(bytes);
        } else {
            const std::string_view fitting = front(bytes, gathered_.size() - size_);
            gather_bytes(fitting);
            if (size_ == gathered_.size()) flush();
            gather_bytes(behind(bytes, fitting.size()));
        }
    }

    constexpr sink_error_t<Sink> finish() {
        flush();
        return error_;
    }

private:
    constexpr void gather_bytes(std::string_view bytes) noexcept {
        std::char_traits<char>::copy(gathered_.data() + size_, bytes.data(), bytes.size());
        size_ += bytes.size();
    }

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
    constexpr void put(std::string_view bytes) noexcept { size = add_saturating(size, bytes.size()); }
};

/// Puts into a span, off whose front it takes what it fills. Bytes that do not fit are left out.
template <class Span>
struct span_writer {
    Span rest;
    bool fits = true;
    constexpr void put(std::string_view bytes) noexcept {
        if (bytes.size() > rest.size()) [[unlikely]] {
            fits = false;
            return;
        }
        std::char_traits<char>::copy(rest.data(), bytes.data(), bytes.size());
        rest = rest.subspan(bytes.size());
    }
};

/// Whether a text lies in the memory of a string, which moves when the string grows.
template <class Sink>
constexpr bool lies_in(const Sink& sink, std::string_view text) noexcept {
    if constexpr (requires { std::string_view(sink.data(), sink.capacity()); }) {
        if (std::is_constant_evaluated()) return false;
        const auto begin = reinterpret_cast<std::uintptr_t>(sink.data());
        const auto address = reinterpret_cast<std::uintptr_t>(text.data());
        return address >= begin && address - begin < sink.capacity();
    } else {
        return false;
    }
}

template <class Sink, class PutAll>
constexpr sink_error_t<Sink> write_beside(Sink& sink, const PutAll& put_all);

/// Runs `put_all(output)`, where the output is one of the above that ends in `sink`. `texts` are what it
/// reads, as far as the caller can name that: a string may be appended to itself.
///
/// For a span it is run twice, since a span is not touched before it is known to be large enough. If more is
/// put the second time than the first and the span cannot hold that, the span is not shortened.
template <class Sink, class PutAll, class... Texts>
constexpr sink_error_t<Sink> write_through(Sink& sink, PutAll put_all, const Texts&... texts) {
    if constexpr (is_span<Sink>) {
        counter needed;
        put_all(needed);
        if (needed.size > sink.size()) return errc::buffer_too_small;
        span_writer<std::span<char>> output{sink};
        put_all(output);
        if (!output.fits) return errc::buffer_too_small;
        if constexpr (std::same_as<Sink, std::span<char>>) sink = output.rest;
        return {};
    } else if constexpr (can_take_back<Sink>) {
        if constexpr (sizeof...(Texts) != 0 && std::is_copy_constructible_v<Sink> &&
                      std::is_move_assignable_v<Sink>) {
            const bool is_own = (lies_in(sink, texts) || ...);
            if (is_own) return write_beside(sink, put_all);
        }
        write_guard<Sink> guard(sink);
        gather<Sink> output(sink);
        put_all(output);
        const sink_error_t<Sink> error = output.finish();
        if (!error) guard.keep();
        return error;
    } else if constexpr (sse::sink<Sink>) {
        gather<Sink> output(sink);
        put_all(output);
        return output.finish();
    } else {
        check_sink<Sink>();  // fails, and says what a sink is
        return errc::sink_failed;
    }
}

/// Appends to a copy of the string, so that its own memory can be read meanwhile.
template <class Sink, class PutAll>
[[gnu::noinline, gnu::cold]] constexpr sink_error_t<Sink> write_beside(Sink& sink, const PutAll& put_all) {
    Sink copy(sink);
    const sink_error_t<Sink> error = write_through(copy, put_all);
    if (!error) sink = std::move(copy);
    return error;
}

/// For writing again and again: a span that cannot be shortened is replaced by one that can.
template <class Sink>
using advancing_sink_t =
    std::conditional_t<is_span<std::remove_reference_t<Sink>> && !std::same_as<Sink, std::span<char>&>,
                       std::span<char>, Sink>;

/// Whether a failed operation leaves nothing written.
template <class Sink>
concept all_or_nothing = is_span<Sink> || can_take_back<Sink>;

}  // namespace sse::detail
