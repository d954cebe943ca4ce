// What live_server answers, by path: the page, the stream, the figures, and what is published by POST.
#pragma once

#include "client.hpp"
#include "page.hpp"
#include "requests.hpp"
#include "server.hpp"

#include <sse/channel.hpp>
#include <sse/encoder.hpp>
#include <sse/http.hpp>
#include <sse/http1.hpp>
#include <sse/parser.hpp>
#include <sse/session.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace live_server {

inline constexpr std::size_t max_types = 16;
inline constexpr std::size_t max_type_bytes = 64;
inline constexpr std::size_t max_name_bytes = 32;

inline void show_page(client& peer, server&, steady::time_point) {
    peer.http->answer(200, "OK", page(), {}, "text/html; charset=utf-8");
}

inline void show_stats(client& peer, server& shared, steady::time_point) {
    peer.http->answer(200, "OK", shared.stats() + "\n", {{"Cache-Control", "no-store"}}, "application/json");
}

inline void cut_by_name(client& peer, server& shared, steady::time_point) {
    const std::string name = first_parameter(peer.http->request().url.target, "client");
    const bool is_name = !name.empty() && name.size() <= max_name_bytes;  // most clients have none
    if (is_name && !shared.cut(name))
        return peer.http->answer(503, "Service Unavailable", "too many names at once\n");
    peer.http->answer(204, "No Content", "");
}

// The loop takes the stream from here.
inline void open_stream(client& peer, server& shared, steady::time_point now) {
    const sse::request& request = peer.http->request();
    const std::string_view target = request.url.target;
    sse::subscribe_options wanted{.types = parameters(target, "type"),
                                  .when_unknown = shared.options.when_unknown};
    std::string name = first_parameter(target, "client");
    const bool has_long_type =
        std::any_of(wanted.types.begin(), wanted.types.end(),
                    [](const std::string& type) { return type.size() > max_type_bytes; });
    if (wanted.types.size() > max_types || has_long_type || name.size() > max_name_bytes)
        return peer.http->answer(400, "Bad Request", "too many types, or too long a type or name\n");

    sse::response head = sse::stream_response(request.headers, shared.options.cors);
    head.headers.push_back({"Connection", "close"});
    std::string first = std::move(peer.http->unsent);
    static_cast<void>(sse::write_head(first, head));  // cannot fail: all it repeats is an origin that we know
    const std::string_view id = sse::find_header(request.headers, "Last-Event-ID").value_or("");
    peer.stream.emplace(shared.options.subscriber, shared.channel.subscribe(id, std::move(wanted)),
                        std::move(first), now);
    peer.name = std::move(name);
}

// Publishing

inline std::size_t max_batch_events(const server& shared) {
    return std::min<std::size_t>(1000, shared.options.log.max_events);
}

// The events in a request's body: at most `max`, or one more if there are more.
inline std::vector<sse::event> events_of(const sse::request& request, std::string_view body,
                                         std::size_t max) {
    std::vector<sse::event> result;
    if (sse::is_event_stream(sse::find_header(request.headers, "Content-Type").value_or(""))) {
        sse::parser parser;
        while (result.size() <= max) {
            const auto event = parser.next(body);
            if (!event) break;
            result.emplace_back(*event);
        }
        const auto take = [&](const sse::event_view& event) { result.emplace_back(event); };
        static_cast<void>(parser.finish(sse::unfinished_event::deliver, take));  // the body is complete
    } else {
        sse::event& event = result.emplace_back();
        event.type = first_parameter(request.url.target, "type");
        event.data = body;
    }
    return result;
}

inline void publish(client& peer, server& shared, steady::time_point) {
    const sse::request& request = peer.http->request();
    const sse::headers readable_by = sse::cors_headers(request.headers, shared.options.cors);
    const auto say = [&](int status, std::string reason, std::string_view text) {
        peer.http->answer(status, std::move(reason), fmt::format("{}\n", text), readable_by);
    };
    const std::size_t max = max_batch_events(shared);
    const std::vector<sse::event> events = events_of(request, peer.http->body.text(), max);
    if (events.empty()) return say(400, "Bad Request", "no event");
    std::vector<sse::message> messages;
    std::size_t size = 0;
    for (const sse::event& each : events) {
        if (each.type == "gap" || each.type == "drain")
            return say(403, "Forbidden", "that is for the server to say");
        if (each.type.size() > max_type_bytes) return say(400, "Bad Request", "too long a type");
        sse::message message{.data = each.data};
        if (!each.type.empty() && each.type != "message") message.event = each.type;
        size += sse::encoded_size(message);
        messages.push_back(message);
    }
    // More at once than the log holds would leave everybody behind.
    if (messages.size() > max || size > shared.options.log.max_bytes / 2)
        return say(413, "Content Too Large", "too many events, or too large ones");
    const sse::publish_result published = shared.channel.publish(messages);
    if (published.error == sse::errc::event_too_large)
        return say(413, "Content Too Large", published.error.message());
    if (published.error) return say(400, "Bad Request", published.error.message());
    // Some subscribers may have got their farewell before it. 200 promises that all get the event.
    if (shared.is_draining) return say(503, "Service Unavailable", "going down");
    say(200, "OK", published.id());
}

// The table

// A method has no comma and no space.
inline bool contains(std::string_view methods, std::string_view method) {
    return fmt::format(" {},", methods).find(fmt::format(" {},", method)) != std::string::npos;
}

// Answers a request that is complete, or opens `peer.stream`.
inline void respond(client& peer, server& shared, steady::time_point now) {
    struct route {
        std::string_view path, methods;
        void (*handle)(client&, server&, steady::time_point);
    };
    static constexpr std::array routes{
        route{"/", "GET, HEAD", show_page},       route{"/events", "GET", open_stream},
        route{"/stats", "GET, HEAD", show_stats}, route{"/publish", "POST", publish},
        route{"/cut", "POST", cut_by_name},
    };
    exchange& http = *peer.http;
    const sse::request& request = http.request();
    const std::string_view path = path_of(request.url.target);
    const auto* const found =
        std::find_if(routes.begin(), routes.end(), [path](const route& each) { return each.path == path; });
    if (found == routes.end()) return http.answer(404, "Not Found", "");
    if (!contains(found->methods, request.method))
        return http.answer(405, "Method Not Allowed", "", {{"Allow", std::string(found->methods)}});
    if (request.method == "POST" && is_foreign(request, shared.options.cors.origins))
        return http.answer(403, "Forbidden", "from a page of an origin that no --origin has named\n");
    found->handle(peer, shared, now);
}

}  // namespace live_server
