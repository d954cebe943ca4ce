// Streams an answer from an LLM service: a POST, then events until [DONE], and never a second attempt.
//
//     llm_client                                           # a stand-in that this program brings
//     API_KEY=… llm_client https://api.example.com/v1/chat/completions
#include "support/program.hpp"
#include "support/safe_text.hpp"
#include "support/socket.hpp"

#include <sse/encoder.hpp>
#include <sse/event_source.hpp>
#include <sse/http1.hpp>

#ifdef SSE_EXAMPLES_WITH_CURL
#include <sse/adapters/curl.hpp>
namespace adapter = sse::curl;
#else
#include <sse/adapters/posix.hpp>
namespace adapter = sse::posix;
#endif

#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

namespace {

constexpr std::string_view usage = R"(usage: llm_client [URL]

Asks an LLM service for a short answer and shows each event of it as it comes.
Without a URL it asks a stand-in of its own. The environment's API_KEY is sent
to no one but the URL's origin.
)";

int ask(const std::string& url) {
    const char* key = std::getenv("API_KEY");
    sse::event_source source({
        .url = url,
        .method = "POST",
        .body = R"({"model":"small","stream":true,"messages":[{"role":"user","content":"Say hello."}]})",
        .headers = {{"Content-Type", "application/json"},
                    {"Authorization", fmt::format("Bearer {}", key != nullptr ? key : "none")}},
        .max_attempts = 1,                                   // to ask again would cost again
        .reconnect_at_end = false,                           // the answer is complete
        .unfinished_event = sse::unfinished_event::deliver,  // some leave out the last blank line
        .is_terminal = [](const sse::event_view& event) { return event.data == "[DONE]"; },
    });
    source.on_event([](const sse::event_source::event_view& event) {
        // JSON, for the library of your choice.
        support::write_out(fmt::format("{}\n", support::safe_text(event.data)));
    });
    if (const std::error_code error = adapter::run(source)) throw std::system_error(error);
    if (!source.saw_terminal_event()) throw std::runtime_error("the answer was cut short");
    return 0;
}

// A service on this machine that gives one answer.
class stand_in {
public:
    stand_in() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const generic = reinterpret_cast<sockaddr*>(&address);
        if (::bind(listener_.get(), generic, size) != 0 || ::listen(listener_.get(), 1) != 0 ||
            ::getsockname(listener_.get(), generic, &size) != 0) {
            throw std::system_error(errno, std::generic_category(), "no port for the stand-in");
        }
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    stand_in(const stand_in&) = delete;
    stand_in& operator=(const stand_in&) = delete;
    ~stand_in() {
        ::shutdown(listener_.get(), SHUT_RDWR);  // ends accept(), should nobody have come
        thread_.join();
    }

    std::string url() const { return fmt::format("http://127.0.0.1:{}/v1/chat/completions", port_); }

private:
    void serve() const {
        const support::descriptor peer(::accept(listener_.get(), nullptr, nullptr));
        if (!peer) return;
        sse::request_reader reader;
        std::array<char, 4096> buffer;
        std::string_view bytes;
        for (sse::http_part part; (part = reader.next(bytes)) != sse::http_part::end;) {
            if (part != sse::http_part::none) continue;
            if (reader.error()) return;
            const auto count = ::recv(peer.get(), buffer.data(), buffer.size(), 0);
            if (count <= 0) return;
            bytes = {buffer.data(), static_cast<std::size_t>(count)};
        }
        answer(peer);
    }

    static void answer(const support::descriptor& peer) {
        const auto send = [&](std::string_view bytes) { return support::write_all(peer.get(), bytes); };
        if (sse::write_head(send, {.status = 200,
                                   .reason = "OK",
                                   .headers = {{"Content-Type", "text/event-stream"},
                                               {"Transfer-Encoding", "chunked"}}})) {
            return;
        }
        for (const std::string_view data :
             {R"({"choices":[{"delta":{"content":"Hello"}}]})",
              R"({"choices":[{"delta":{"content":", world"}}]})",
              R"({"choices":[{"delta":{"content":"."},"finish_reason":"stop"}]})", "[DONE]"}) {
            if (sse::write_chunk(send, sse::encode({.data = data}))) return;
        }
        static_cast<void>(sse::write_last_chunk(send));
    }

    support::descriptor listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    unsigned port_ = 0;
    std::thread thread_{};
};

int llm_client(support::command_line arguments) {
    if (!arguments.next()) return ask(stand_in().url());
    if (arguments.is("--help")) {
        support::write_out(usage);
        return 0;
    }
    const std::string url(arguments.current());
    if (arguments.is_option() || arguments.next()) arguments.refuse();
    return ask(url);
}

}  // namespace

int main(int argc, char** argv) { return support::run("llm_client", argc, argv, llm_client); }
