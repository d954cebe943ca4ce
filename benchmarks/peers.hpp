// Parsers and encoders as people write them by hand. Each is right on what it is measured with; what it gets
// wrong elsewhere stands above it.
#pragma once

#include <sse/event.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <iterator>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>

namespace peers {

struct event {
    std::string type{};
    std::string data{};
    std::string id{};
};

/// Wrong: needs the whole stream, or blocks amid a line; takes neither CR alone nor a byte order mark, and an
/// id with NUL; counts the id of an unfinished event; has no limit.
template <class Use>
void parse_by_getline(const std::string& stream, Use use) {
    std::istringstream in(stream);
    event event;
    for (std::string line; std::getline(in, line);) {
        if (!line.empty() && line.back() == '\r') line.pop_back();
        if (line.empty()) {
            if (!event.data.empty()) {
                event.data.pop_back();
                if (event.type.empty()) event.type = "message";
                use(event);
            }
            event.type.clear();
            event.data.clear();
            continue;
        }
        const std::size_t colon = line.find(':');
        const std::string name = line.substr(0, colon);
        std::string value = colon == std::string::npos ? "" : line.substr(colon + 1);
        if (!value.empty() && value.front() == ' ') value.erase(0, 1);
        if (name == "data") event.data += value + '\n';
        else if (name == "event") event.type = value;
        else if (name == "id") event.id = value;
    }
}

/// Wrong: takes neither CR nor CR LF, nor a byte order mark, nor a field without the space; forgets the id
/// with each event; loses empty lines at the start of data, and events with empty data; has no limit. Slow:
/// moves what it has not read with each event, and searches it from its start with each chunk, so that it is
/// quadratic in the size of chunks and of events.
class find_parser {
public:
    template <class Use>
    void feed(std::string_view chunk, Use use) {
        buffer_ += chunk;
        std::size_t end;
        while ((end = buffer_.find("\n\n")) != std::string::npos) {
            const std::string block = buffer_.substr(0, end);
            buffer_.erase(0, end + 2);
            const event event = parse(block);
            if (!event.data.empty()) use(event);
        }
    }

private:
    static event parse(const std::string& block) {
        event event{.type = "message"};
        for (std::size_t begin = 0; begin < block.size();) {
            const std::size_t end = block.find('\n', begin);
            const std::string line = block.substr(begin, end - begin);
            if (line.starts_with("data: ")) {
                if (!event.data.empty()) event.data += '\n';
                event.data += line.substr(6);
            } else if (line.starts_with("event: ")) {
                event.type = line.substr(7);
            } else if (line.starts_with("id: ")) {
                event.id = line.substr(4);
            }
            if (end == std::string::npos) break;
            begin = end + 1;
        }
        return event;
    }

    std::string buffer_{};
};

/// Wrong: data can forge fields by a CR, and event and id by an LF as well; loses an LF at the end of data,
/// and empty data.
inline void encode_by_ostream(std::ostream& out, const sse::message& message) {
    if (message.event) out << "event: " << *message.event << '\n';
    if (message.id) out << "id: " << *message.id << '\n';
    std::istringstream data(std::string(message.data.value_or("")));
    for (std::string line; std::getline(data, line);) out << "data: " << line << '\n';
    out << '\n';
}

/// Wrong: data can forge fields by a CR, and event and id by an LF as well.
inline void encode_by_fmt(fmt::memory_buffer& buffer, const sse::message& message) {
    const auto out = std::back_inserter(buffer);
    if (message.event) fmt::format_to(out, "event: {}\n", *message.event);
    if (message.id) fmt::format_to(out, "id: {}\n", *message.id);
    std::string_view data = message.data.value_or("");
    std::size_t end;
    while ((end = data.find('\n')) != std::string_view::npos) {
        fmt::format_to(out, "data: {}\n", data.substr(0, end));
        data.remove_prefix(end + 1);
    }
    fmt::format_to(out, "data: {}\n\n", data);
}

}  // namespace peers
