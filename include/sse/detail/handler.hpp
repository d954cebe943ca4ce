// Who is told of events: the concept, and which notifications a handler has functions for.
#pragma once

#include "../event.hpp"

#include <string_view>
#include <type_traits>

namespace sse {

namespace detail {

template <class Handler>
concept event_callable = requires(Handler& handler, const event_view& event) { handler(event); };

template <class Handler>
concept has_on_event = requires(Handler& handler, const event_view& event) { handler.on_event(event); };

template <class Handler>
concept has_on_comment = requires(Handler& handler, std::string_view text) { handler.on_comment(text); };

template <class Handler>
concept has_on_retry = requires(Handler& handler, milliseconds time) { handler.on_retry(time); };

template <class Handler>
concept has_on_id = requires(Handler& handler, std::string_view id) { handler.on_id(id); };

template <class Handler>
concept has_on_unknown_field =
    requires(Handler& handler, std::string_view text) { handler.on_unknown_field(text, text); };

// A notification that is there but cannot be called would otherwise be passed over in silence. (Overloaded
// ones still are.)
template <class Handler>
constexpr bool notifications_are_callable =
    (has_on_comment<Handler> || !requires { &Handler::on_comment; }) &&
    (has_on_retry<Handler> || !requires { &Handler::on_retry; }) &&
    (has_on_id<Handler> || !requires { &Handler::on_id; }) &&
    (has_on_unknown_field<Handler> || !requires { &Handler::on_unknown_field; });

// Nobody would look at what a function of a handler returns. One that is not there returns nothing.
template <class Handler>
constexpr bool returns_nothing =
    (!has_on_event<Handler> || requires(Handler& handler, const event_view& event) {
        requires std::is_void_v<decltype(handler.on_event(event))>;
    }) && (has_on_event<Handler> || !event_callable<Handler> ||
           requires(Handler& handler, const event_view& event) {
               requires std::is_void_v<decltype(handler(event))>;
           }) && (!has_on_comment<Handler> || requires(Handler& handler, std::string_view text) {
        requires std::is_void_v<decltype(handler.on_comment(text))>;
    }) && (!has_on_retry<Handler> || requires(Handler& handler, milliseconds time) {
        requires std::is_void_v<decltype(handler.on_retry(time))>;
    }) && (!has_on_id<Handler> || requires(Handler& handler, std::string_view id) {
        requires std::is_void_v<decltype(handler.on_id(id))>;
    }) && (!has_on_unknown_field<Handler> || requires(Handler& handler, std::string_view text) {
        requires std::is_void_v<decltype(handler.on_unknown_field(text, text))>;
    });

}  // namespace detail

/// Who is told of events: a callable of `const event_view&`, or an object with `on_event(const event_view&)`
/// and any of these, each costing nothing where it is not there:
///
///     void on_comment(std::string_view text);     // after the colon, less one space
///     void on_retry(sse::milliseconds time);      // the reconnection time is now this
///     void on_id(std::string_view id);            // the last event ID is now this, event or not
///     void on_unknown_field(std::string_view name, std::string_view value);
///
/// The views live during the call. All of these return nothing, since nobody would look at it. What they
/// throw passes through.
template <class Handler>
concept handler = (detail::event_callable<std::remove_reference_t<Handler>> ||
                   detail::has_on_event<std::remove_reference_t<Handler>>) &&
                  detail::returns_nothing<std::remove_reference_t<Handler>>;

namespace detail {

template <class Handler>
consteval void check_handler() {
    using type = std::remove_reference_t<Handler>;
    static_assert(returns_nothing<type>,
                  "a handler returns nothing, and so does each of its on_ functions: nobody would look at it");
    static_assert(event_callable<type> || has_on_event<type>,
                  "a handler is a callable of const sse::event_view&, "
                  "or an object with on_event(const sse::event_view&)");
    static_assert(notifications_are_callable<type>,
                  "the handler's on_comment, on_retry, on_id or on_unknown_field cannot be called: "
                  "sse::handler lists their signatures");
}

}  // namespace detail

}  // namespace sse
