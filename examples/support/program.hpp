// What the examples share as programs: the command line, standard output, exit statuses.
//
//     int main(int argc, char** argv) { return support::run("name", argc, argv, body); }
#pragma once

#include "safe_text.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace support {

// A command line that makes no sense: exit status 2.
struct usage_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// There is nothing more to do: --help has been answered, or nobody reads standard output any more, as after
// `| head`. Exit status 0.
struct quiet_end {};

// All of it, at once: what is written here does not wait in a buffer.
inline std::error_code write_all(int file, std::string_view text) noexcept {
    while (!text.empty()) {
        const auto written = ::write(file, text.data(), text.size());
        if (written >= 0) text.remove_prefix(static_cast<std::size_t>(written));
        else if (errno != EINTR) return {errno, std::generic_category()};
    }
    return {};
}

inline void write_out(std::string_view text) {
    const std::error_code error = write_all(STDOUT_FILENO, text);
    if (error == std::errc::broken_pipe) throw quiet_end();
    if (error) throw std::system_error(error, "cannot write to standard output");
}

// Options (`--name value`, `--name=value`), and operands, in the order they were given.
class command_line {
public:
    command_line(int argc, char** argv) noexcept : at_(argc > 0 ? argv + 1 : argv), end_(argv + argc) {}

    // Goes to the next argument, if there is one.
    bool next() {  // NOLINT(misc-no-recursion): once, after `--`
        if (attached_) throw usage_error(fmt::format("{} takes no value", current_));
        if (at_ == end_) return false;
        current_ = *at_++;
        is_option_ = !only_operands_ && current_.size() > 1 && current_.front() == '-';
        if (!is_option_) return true;
        if (current_ == "--") {
            only_operands_ = true;
            return next();
        }
        if (const auto equals = current_.find('='); equals != std::string_view::npos) {
            attached_ = current_.substr(equals + 1);
            current_ = current_.substr(0, equals);
        }
        return true;
    }

    bool is_option() const noexcept { return is_option_; }
    bool is(std::string_view option) const noexcept { return is_option_ && current_ == option; }
    std::string_view current() const noexcept { return current_; }

    // The value of the current option.
    std::string_view value() {
        if (attached_) return *std::exchange(attached_, std::nullopt);
        if (at_ == end_) throw usage_error(fmt::format("{} wants a value", current_));
        return *at_++;
    }

    template <class Number>
    Number number(Number min, Number max) {
        const std::string_view text = value();
        Number result{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
        if (error != std::errc() || end != text.data() + text.size() || result < min || result > max)
            throw usage_error(
                fmt::format("{} wants a number from {} to {}, not '{}'", current_, min, max, text));
        return result;
    }

    // All of the command line, for programs whose only option is --port N. 0: any that is free.
    std::uint16_t port(std::string_view usage) {
        std::uint16_t result = 8080;
        while (next()) {
            if (is("--port")) result = number<std::uint16_t>(0, 65535);
            else if (!is("--help")) refuse();
            else {
                write_out(usage);
                throw quiet_end();
            }
        }
        return result;
    }

    [[noreturn]] void refuse() const {
        throw usage_error(fmt::format("unexpected {} '{}'", is_option_ ? "option" : "argument", current_));
    }

private:
    char** at_;
    char** end_;
    std::string_view current_;
    std::optional<std::string_view> attached_;  // of `--name=value`
    bool is_option_ = false;
    bool only_operands_ = false;  // after `--`
};

// On standard error, in one line: a file's name or an argument may hold line ends and what terminals obey.
inline void complain(std::string_view name, std::string_view what, std::string_view hint = {}) {
    static_cast<void>(write_all(STDERR_FILENO, fmt::format("{}: {}\n{}", name, safe_line(what), hint)));
}

// Runs a program's body; what it throws becomes a line on standard error and an exit status.
inline int run(std::string_view name, int argc, char** argv, int (*body)(command_line)) {
    // Without this a closed standard output, or a peer that has gone, would kill the program unheard.
    std::signal(SIGPIPE, SIG_IGN);
    // Where standard input or output is closed, a socket would take its number, and get what is printed.
    for (const int file : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(file, F_GETFD) == -1) static_cast<void>(::open("/dev/null", O_RDWR));
    }
    try {
        return body(command_line(argc, argv));
    } catch (const quiet_end&) {
        return 0;
    } catch (const usage_error& error) {
        complain(name, error.what(), fmt::format("Try '{} --help'.\n", name));
        return 2;
    } catch (const std::exception& error) {
        complain(name, error.what());
        return 1;
    }
}

}  // namespace support
