#!/usr/bin/env python3
"""Breaks the library on purpose, in one place after another, and sees that a test notices.

Without options: each mutation of the table below. With --random: as many as asked for, chosen by the seed and spread
evenly over the lines of the headers. A survivor that changes nothing a user sees stands in tests/equivalent_mutations,
with the reason; any other needs a test.
"""
import argparse
import concurrent.futures
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile

SOURCES = pathlib.Path(__file__).resolve().parent
INCLUDE = SOURCES.parent / "include/sse"
COMPILER = os.environ.get("CXX", "g++")
# Seconds that a test may take: a mutation can make a loop endless, which a test notices so.
TIME_LIMIT = 120
PROCESSOR_TIME_LIMIT = 40
MEMORY_LIMIT = 4 << 30  # bytes: a mutation can make a program take ever more

# What is broken: a header, what stands there once, what is put in its place, and the tests that should notice.
MUTATIONS = [
    # Where lines end
    ("detail/line.hpp", "if (text.empty() && end != first && end[-1] == '\\r' && *end == '\\n') return true;", "",
     "line"),
    ("detail/line.hpp", "after_cr_ = line[-1] == '\\r';", "after_cr_ = false;", "line"),
    ("detail/line.hpp", "} else if (after_cr_ && chunk.front() == '\\n') {", "} else if (after_cr_) {", "line"),
    ("detail/line.hpp", "after_cr_ = is_cr && chunk.empty();", "after_cr_ = is_cr;", "line"),
    ("detail/line.hpp", "if (mark_size_ > 0) on_unfinished(held());", "", "line"),
    ("detail/line.hpp", 'byte_order_mark = "\\xEF\\xBB\\xBF"', 'byte_order_mark = "\\xEF\\xBB\\xBE"', "line"),
    ("detail/line_ends.hpp", "(((word & low_bits) + low_bits) | word | low_bits)",
     "(((word & low_bits) + low_bits) | low_bits)", "line_ends"),
    ("detail/line_ends.hpp", "line_ends_in_16(first + size - 32) << (size - 32)",
     "line_ends_in_16(first + size - 32) << (size - 31)", "line_ends"),
    ("detail/line_ends.hpp", "i = i + 64 < last ? i + 64 : last", "i = i + 64 < last ? i + 64 : i + 64", "line_ends"),
    ("detail/line_ends.hpp", "if (rest != 0) *masks = LineEndsIn64(last + rest - 64) >> (64 - rest);", "",
     "line_ends"),
    # Lines to events
    ("parser.hpp", "block.data.data() != nullptr, block.type", "!block.data.empty(), block.type", "conformance"),
    ("parser.hpp", "if (!value.data() || detail::has_nul(line)) return false;", "if (!value.data()) return false;",
     "conformance"),
    ("parser.hpp", "dispatched_ ? kept_.data() : block.data;", "block.data;", "parser"),
    ("parser.hpp", 'type.empty() ? "message" : type', "type", "conformance"),
    ("parser.hpp", "handler.on_id(id);\n                if (!call_.is_reading) return false;", "handler.on_id(id);",
     "parser"),
    ("parser.hpp", "kept_.commit_id();", "", "conformance parser"),
    ("parser.hpp", "kept_.commit_id();\n        dispatched_ = true;", "kept_.commit_id();", "parser"),
    ("parser.hpp", "if (!dispatched_) drop_block();\n        if (kept_.is_too_large()) give_up();",
     "if (!dispatched_) drop_block();", "parser allocation"),
    ("parser.hpp", "if (!dispatched_) drop_block();", "", "parser conformance"),
    ("parser.hpp", "if (line.front() == ':' && !detail::has_on_comment<Handler>) return true;", "", "parser"),
    ("parser.hpp", "if (next == way::loose || (next == way::checked && passes(line, block))) [[likely]] {",
     "if (next == way::loose) {", "parser"),
    ("parser.hpp", "next = way::kept;  // for the rest", "// for the rest", "conformance differential"),
    ("parser.hpp", "constexpr call(const call&) noexcept {}", "constexpr call(const call&) noexcept = default;",
     "parser"),
    ("detail/field.hpp", "return from(colon + 2);", "return from(colon + 1);", "parser conformance"),
    ("detail/field.hpp", "behind(value, value.starts_with(' ') ? 1 : 0)", "value", "parser conformance"),
    ("detail/field_reader.hpp", "if (field_ == field::retry) retry_ = {};", "", "conformance differential"),
    ("detail/field_reader.hpp", "if (field_ == field::data) kept.begin_data_line();", "", "conformance"),
    ("detail/field_reader.hpp", "phase_ = phase::value;\n        kept.begin_data_line();", "phase_ = phase::value;",
     "parser conformance"),
    ("detail/field_reader.hpp", "bytes = without_space(bytes);", "", "conformance"),
    ("detail/field_reader.hpp", "kept.drop_line();\n        return line;", "return line;", "parser conformance"),
    ("detail/kept_event.hpp", "if (size <= room()) return true;", "if (size <= room() + 1) return true;",
     "conformance differential"),
    ("detail/kept_event.hpp", "if (!fits(growth)) return;", "", "differential allocation"),
    ("detail/kept_event.hpp", "buffer_.drop_block();", "commit_id();\n        buffer_.drop_block();",
     "conformance parser"),
    ("detail/kept_event.hpp", "has_data_ = false;\n        has_id_ = false;", "has_data_ = false;", "conformance"),
    ("detail/event_buffer.hpp", "return std::exchange(from, Memory());", "return from;", "parser"),
    ("detail/event_buffer.hpp", "if (each > back) each -= size;", "", "parser differential"),
    ("detail/event_buffer.hpp", "if (size < needed) size = needed;", "", "parser differential"),
    ("detail/bytes.hpp", "return ((((front - ones) & ~front) | ((back - ones) & ~back)) & (ones << 7)) != 0;",
     "return (((front - ones) & ~front) & (ones << 7)) != 0;", "bytes"),
    ("detail/utf8.hpp", "lead == 0xED ? 0x9F", "lead == 0xED ? 0xBF", "conformance differential"),
    ("detail/utf8.hpp", "if (lead < 0xC2 || lead > 0xF4) return {1, false};",
     "if (lead < 0xC0 || lead > 0xF4) return {1, false};", "conformance differential"),
    # Messages to bytes
    ("encoder.hpp", "if (message.event && has_line_break(*message.event)) return errc::event_has_line_break;", "",
     "encoder"),
    ("encoder.hpp", "if (message.id && message.id->find('\\0') != std::string_view::npos) return errc::id_has_nul;", "",
     "encoder"),
    ("encoder.hpp", 'behind(text, size).starts_with("\\r\\n") ? 2 : 1', "1", "encoder"),
    ("encoder.hpp", 'data_field = "data: "', 'data_field = "data:"', "encoder"),
    ("encoder.hpp", "after_cr_ = chunk.back() == '\\r';", "after_cr_ = false;", "encoder"),
    ("encoder.hpp", 'output.put(begun_ ? "\\n\\n" : "\\n");', 'output.put("\\n\\n");', "encoder"),
    ("encoder.hpp", "error_ = errc::sink_failed;  // and so it stays if the sink throws", "", "sink"),
    ("encoder.hpp", 'return type.empty() ? "message" : type;', "return type;", "encoder"),
    ("encoder.hpp", "bytes.remove_prefix(bytes.find('\\n') + 1);", "bytes.remove_prefix(bytes.find('\\n'));", "encoder"),
    ("detail/sink.hpp", "if (needed.size > sink.size()) return errc::buffer_too_small;",
     "if (needed.size >= sink.size()) return errc::buffer_too_small;", "encoder"),
    ("detail/sink.hpp", "if (!error) guard.keep();", "guard.keep();", "encoder sink"),
    ("detail/sink.hpp", "if (!output.fits) return errc::buffer_too_small;", "", "fmt"),
    ("detail/sink.hpp", "if (bytes.size() > rest.size()) [[unlikely]] {", "if (false) {", "fmt"),
    ("detail/sink.hpp", "const bool is_own = (lies_in(sink, texts) || ...);", "const bool is_own = false;", "encoder"),
    ("io.hpp", "return checked(read_stream(source, room));", "return read_stream(source, room);", "io"),
    # Values and versions
    ("error.hpp", "return !error_; }", "return true; }", "error"),
    ("version.hpp", "version_patch = 0;\n\nstatic_assert(SSE_VERSION == version_major * 10'000 + version_minor * 100"
     " + version_patch);", "version_patch = 1;", "version"),
    # Backoff
    ("backoff.hpp", "if (last.open_for && *last.open_for >= options_.stable_after) failures_ = 0;",
     "if (last.open_for) failures_ = 0;", "backoff"),
    ("backoff.hpp", "value > max / 2 ? max : 2 * value", "2 * value", "backoff"),
    # HTTP
    ("http.hpp", "return equal_ignoring_case(field.name, added.name);", "return equal_ignoring_case(field.name, name);",
     "http"),
    ("detail/http_date.hpp", "early > first ? early : first", "early", "http_date"),
    ("http.hpp", "is_named = is_named || (!from.empty() && from != \"*\" && origin == from);",
     "is_named = is_named || origin == from;", "http"),
    ("http.hpp", 'any = any || (origin == "*" && !cors.credentials);', 'any = any || origin == "*";', "http"),
    ("url.hpp", "if (authority.find('@') != std::string_view::npos) return errc::url_has_credentials;", "", "url"),
    ("http.hpp", "result = equal_ignoring_case(essence, media_type);",
     "result = result || equal_ignoring_case(essence, media_type);", "http"),
    ("detail/body_framing.hpp", "if (coded && (found.length || minor_version == 0)) contradictory = true;", "",
     "body_framing"),
    ("detail/head_lines.hpp", "if (line.size() > room_) {", "if (line.size() > room_ + 1) {", "head_lines"),
    ("detail/body_framing.hpp", "only_chunked = !coded && equal_ignoring_case(coding, \"chunked\");",
     "only_chunked = equal_ignoring_case(coding, \"chunked\");", "body_framing"),
    ("detail/head_lines.hpp", "if (fields.size() >= limits_.max_fields)", "if (fields.size() > limits_.max_fields)",
     "head_lines"),
    ("detail/head_lines.hpp", "if (!line->ends_with('\\r')) {\n            error_ = errc::http_malformed;\n"
     "            return std::nullopt;\n        }\n        line->remove_suffix(1);",
     "if (line->ends_with('\\r')) line->remove_suffix(1);", "head_lines"),
    ("http1.hpp", "{ detail::put_parts(output, size, \"\\r\\n\", bytes, \"\\r\\n\"); }, bytes);",
     "{ detail::put_parts(output, size, \"\\r\\n\", bytes, \"\\r\\n\"); });", "http1"),
    ("http1.hpp", "std::size_t max_headers = 256;", "std::size_t max_headers = 255;", "http1"),
    ("http1.hpp", "if (hosts > 1 || (hosts == 0 && minor_version_ > 0)) return false;", "", "http1"),
    ("http1.hpp", "if (bytes.empty()) return {};\n    const std::string size", "const std::string size", "http1"),
    # The client
    ("detail/redirect.hpp", "if (!same_origin(request.url, *next)) {", "if (false) {", "redirect"),
    ("event_source.hpp", "++redirects_ > options_.max_redirects", "++redirects_ > options_.max_redirects + 1",
     "event_source"),
    ("detail/redirect.hpp", 'if (request.url.scheme == "https" && next->scheme != "https")', "if (false)", "redirect"),
    ("event_source.hpp", "if (is_sendable_id(id, options_.max_last_event_id_bytes)) {", "if (!id.empty()) {",
     "event_source"),
    ("event_source.hpp", "if (is_called_) return ask_again(now);", "", "event_source"),
    ("event_source.hpp", "if (id.size() > options_.max_last_event_id_bytes) id = {};", "", "event_source"),
    ("url.hpp", "if (resolved && to_string(*resolved).size() > max_url_bytes) return errc::url_invalid;", "", "url"),
    ("event_source.hpp", "received_bytes_ += bytes.size();\n        is_fed_ = true;",
     "received_bytes_ += bytes.size();", "event_source"),
    ("event_source.hpp", "if (moved && state_ == state::open) ++connection_;", "", "event_source"),
    ("event_source.hpp", "opened_at_.reset();", "", "event_source"),
    ("event_source.hpp", "id.empty() || is_sendable_id(id, options.max_last_event_id_bytes);",
     "id.empty() || is_sendable_id(id, SIZE_MAX);", "event_source"),
    ("event_source.hpp", "if (!id.empty() && !is_sendable_id(id, source.options_.max_last_event_id_bytes)) {",
     "if (false) {", "event_source"),
    ("detail/redirect.hpp", "if (is_secret_header(name)) return true;", "", "redirect"),
    ("event_source.hpp", "assert((state_ != state::open || first_request_ == first_request::superseded) &&",
     "assert(true &&", "event_source"),
    ("event_source.hpp", "move(input::redirect);", "move(input::restart);", "event_source"),
    ("event_source.hpp", "has_begun_(!source.is_called_ && !source.run_)", "has_begun_(!source.run_)", "run_control"),
    ("event_source.hpp", "has_begun_(!source.is_called_ && !source.run_)", "has_begun_(!source.is_called_)",
     "run_control"),
    ("event_source.hpp", "call(listener);\n                source.obey();", "call(listener);", "posix"),
    ("event_source.hpp", "if (is_over()) return;\n                call(listener);",
     "source.obey();\n                if (is_over()) return;\n                call(listener);", "posix"),
    ("event_source.hpp", "if (!is_over()) source.keep_id(id);", "source.keep_id(id);", "event_source"),
    ("adapters/run_control.hpp", "command told = command::none;\n        command_.compare_exchange_strong(told, "
     "command::restart);", "command_ = command::restart;", "run_control"),
    ("adapters/run_control.hpp", "else if (told == command::close) source.close();",
     "else if (command_.exchange(command::none) == command::close) source.close();", "run_control"),
    ("adapters/run_control.hpp", "if (control_ != nullptr) control_->end_run();", "", "posix"),
    ("adapters/posix.hpp", "void close() noexcept {\n        is_resolving_ = false;", "void close() noexcept {",
     "posix"),
    ("adapters/curl.hpp", "return transfer.is_closed() || transfer.is_given_up() ? 0 : used;", "return used;", "curl"),
    ("adapters/curl.hpp", "transfer.is_closed() || transfer.is_given_up()", "transfer.is_closed()", "curl"),
    ("adapters/curl.hpp", "running_.obey();", "", "curl"),
    ("adapters/curl.hpp", "std::exchange(is_unwanted_, true)", "true", "curl"),
    ("adapters/curl.hpp", "for (const CURLoption jar : {CURLOPT_COOKIEJAR, CURLOPT_COOKIEFILE}) {",
     "for (const CURLoption jar : {CURLOPT_COOKIEJAR}) {", "curl"),
    ("adapters/curl.hpp", "if (sse::detail::has_content(request)) {", "if (!request.body.empty()) {", "curl"),
    ("detail/message_checks.hpp", ' || method == "PATCH"', "", "message_checks"),
    # The server
    ("channel.hpp", "            change_to(cursor_state::following);\n            const bool is_closed",
     "            const bool is_closed", "channel"),
    ("detail/log.hpp", "if (next_ - first() > options_.max_events) drop_before(next_ - options_.max_events);",
     "if (next_ - first() > options_.max_events + 1) drop_before(next_ - options_.max_events - 1);", "channel"),
    ("detail/log.hpp", "if (own_bytes_ + needed > options_.max_bytes) {", "if (own_bytes_ > options_.max_bytes) {", "channel"),
    ("detail/log.hpp", "result.number = last ? *last + 1 : replays", "result.number = last ? *last : replays", "channel"),
    ("detail/log.hpp", "options.when_unknown == when_unknown::replay_all;", "true;", "channel session"),
    ("channel.hpp", "bytes = detail::smaller(bytes, std::size_t{end - offset_});", "", "channel"),
    ("channel.hpp", "        if (segment_ == nullptr || run_end_ <= index()) return;  // the run is empty", "", "channel"),
    ("channel.hpp", "state_ == cursor_state::ended || in_event()) return 0;", "state_ == cursor_state::ended) return 0;",
     "channel"),
    ("channel.hpp", "if (state_ == cursor_state::behind) log_->count_caught_up();", "", "channel"),
    ("channel.hpp", "if (number_ + 1 >= detail::smaller(stop_, log_->first())) return false;", "return false;", "channel"),
    ("detail/log.hpp", "if (!result.error && each.id && made_ids_.is_reserved(*each.id)) result.error = errc::id_reserved;",
     "", "channel"),
    ("detail/event_ids.hpp", "return are_made_ && id.starts_with(prefix());", "return id.starts_with(prefix());",
     "event_ids channel"),
    ("detail/event_ids.hpp", "digits.data(), digits.data() + digits.size(), number);",
     "digits.data(), digits.data() + 20, number);", "event_ids channel"),
    ("detail/event_ids.hpp", "id.size() > max_id_bytes_)", "id.size() >= max_id_bytes_)", "event_ids channel"),
    ("detail/event_ids.hpp", "*link = std::exchange(events.at(*link).previous(), unchained);", "*link = 0;",
     "event_ids channel"),
    ("detail/event_ids.hpp", "if (each.previous() == unchained) continue;", "", "event_ids channel"),
    ("channel.hpp", "again.id.reset();", "", "channel"),
    ("detail/log.hpp", "held_bytes_.fetch_add(made->memory(), std::memory_order_relaxed);", "", "channel"),
    ("detail/log.hpp", "count_bytes(before, own_ids_.memory());", "count_bytes(before, before);", "channel"),
    ("detail/log.hpp", "        oldest_ = 0;\n        count_bytes(before, list_memory());", "        oldest_ = 0;", "channel"),
    ("channel.hpp", "end - offset_ <= max_copied_bytes && ", "", "channel"),
    ("channel.hpp", "            offset_ = 1;\n", "", "channel"),
    ("detail/sip_hash.hpp", "std::uint64_t last = std::uint64_t{text.size()} << 56;", "std::uint64_t last = 0;", "sip_hash"),
    ("detail/event_ids.hpp", "return is_number && !is_padded && number < next ?", "return is_number && number < next ?",
     "event_ids channel"),
    ("detail/log.hpp", "milliseconds(latest_ - event(number).time()) > options_.max_age",
     "milliseconds(latest_ - event(number).time()) >= options_.max_age", "channel"),
    ("detail/log.hpp", "oldest->finish();", "", "channel"),
    ("detail/log.hpp", "if (spare_ == nullptr && oldest->memory() <= usual_segment() && oldest->has_one_owner()) {",
     "if (spare_ == nullptr && oldest->memory() <= usual_segment()) {", "channel"),
    ("channel.hpp", "log_->arm();\n", "\n", "channel"),
    ("detail/log.hpp", "if (size > max_event_bytes) return true;", "", "channel"),
    ("detail/segment.hpp", "return used <= capacity_ && event_bytes <= capacity_ - used;",
     "return used <= capacity_;", "channel"),
    ("detail/log.hpp", "if (!segments_.empty()) segments_.back()->finish();", "", "channel"),
    ("channel.hpp", "stop_ = detail::smaller(stop_, log_->next());", "stop_ = log_->next();", "channel"),
    ("session.hpp", "if (ends_when_behind() && cursor_.mark_if_behind()) return finish(session_end::behind);", "",
     "session"),
    ("session.hpp", "deadline_.idle();", "", "session"),
    ("session.hpp", "        phase_ = phase::farewell;\n", "", "session"),
    ("detail/send_deadline.hpp", "if (extension_ == extension::none) extension_", "extension_", "send_deadline session"),
    ("detail/send_deadline.hpp", "waiting_ = smaller(waiting_, bytes);", "", "send_deadline session"),
    ("session.hpp", "const auto added = static_cast<std::int64_t>(random % (spread + 1));",
     "const auto added = static_cast<std::int64_t>(0 * random * spread);", "session"),
    ("session.hpp", "if (cursor_.has_passed_over()) say_position();", "", "session"),
    ("session.hpp", "cursor_.end_here();", "", "session"),
    ("session.hpp", "bytes = detail::smaller(bytes, given_);", "", "session"),
    ("session.hpp", "        given_ -= bytes;\n", "", "session"),
    ("session.hpp", "end == session_end::closed || end == session_end::drained;", "end == session_end::closed;", "session"),
]

# The tests that should notice a random mutation of a header, the likeliest first.
TESTS = {
    "adapters/curl.hpp": "curl",
    "adapters/detail/descriptor.hpp": "descriptor",
    "adapters/detail/poll.hpp": "poll",
    "adapters/detail/signals_blocked.hpp": "signals_blocked",
    "adapters/detail/wake_pipe.hpp": "wake_pipe run_control",
    "adapters/detail/with_date.hpp": "with_date",
    "adapters/posix.hpp": "posix",
    "adapters/run_control.hpp": "run_control posix",
    "backoff.hpp": "backoff",
    "channel.hpp": "channel session",
    "channel_types.hpp": "channel_types channel",
    "detail/after.hpp": "after session event_source",
    "detail/ascii.hpp": "ascii",
    "detail/body_framing.hpp": "body_framing http1",
    "detail/bytes.hpp": "bytes parser encoder",
    "detail/event_buffer.hpp": "parser differential allocation conformance",
    "detail/event_ids.hpp": "event_ids channel",
    "detail/field.hpp": "parser conformance differential",
    "detail/field_reader.hpp": "parser conformance differential",
    "detail/handler.hpp": "parser conformance",
    "detail/head_lines.hpp": "head_lines http1",
    "detail/http_date.hpp": "http_date",
    "detail/kept_event.hpp": "parser conformance differential allocation",
    "detail/line.hpp": "line parser conformance",
    "detail/line_ends.hpp": "line_ends line",
    "detail/listeners.hpp": "listeners event_source",
    "detail/log.hpp": "channel channel_threads",
    "detail/message_checks.hpp": "message_checks http1",
    "detail/min_max.hpp": "channel session",
    "detail/redirect.hpp": "redirect event_source",
    "detail/saturating.hpp": "saturating",
    "detail/segment.hpp": "channel",
    "detail/send_deadline.hpp": "send_deadline session",
    "detail/sink.hpp": "encoder sink http1 fmt",
    "detail/sip_hash.hpp": "sip_hash channel",
    "detail/split_mix.hpp": "split_mix",
    "detail/utf8.hpp": "conformance differential",
    "encoder.hpp": "encoder sink round_trip channel",
    "error.hpp": "error http url",
    "event.hpp": "event encoder parser",
    "event_source.hpp": "event_source posix",
    "fmt.hpp": "fmt",
    "http.hpp": "http event_source",
    "http1.hpp": "http1 posix",
    "io.hpp": "io",
    "parser.hpp": "parser conformance differential allocation",
    "session.hpp": "session",
    "sink.hpp": "sink encoder",
    "url.hpp": "url",
}


# What nearly every test includes, precompiled once: a quarter of the time.
COMMON = """
#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
"""


def compile_(include, source, program, *options, language="c++"):
    command = [COMPILER, "-std=c++20", "-pthread", f"-I{include}", f"-I{SOURCES}", "-DFMT_HEADER_ONLY",
               f"-x{language}", source, "-xnone"]
    return subprocess.run([str(word) for word in [*command, *options, "-o", program]], capture_output=True, text=True)


def passes(program):
    """Whether a test passes within the limits. What it has started ends with it."""
    command = ["prlimit", f"--as={MEMORY_LIMIT}", f"--cpu={PROCESSOR_TIME_LIMIT}", program, "--abort-after=1"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          start_new_session=True) as run:
        try:
            return run.wait(TIME_LIMIT) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            try:
                os.killpg(run.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def mutated(header, before, after):
    text = (INCLUDE / header).read_text()
    if text.count(before) != 1:
        raise SystemExit(f"{header}: {text.count(before)} times, not once: {before}")
    return text.replace(before, after)


def first_to_fail(include, tests, main):
    """Of the tests, the first that fails with these headers, and how; None if none does."""
    with tempfile.TemporaryDirectory() as folder:
        for test in tests:
            program = pathlib.Path(folder) / test
            libraries = ["-lcurl"] if test == "curl" else []
            source = SOURCES / f"{test}_test.cpp"
            if compile_(include, source, program, main, "-include", main.with_name("common.hpp"),
                        *libraries).returncode != 0:
                return f"{test}_test, which does not compile"
            if not passes(program):
                return f"{test}_test"
    return None


def try_one(header, text, tests, main):
    """Which test notices that the header has this text; None if none does. Raises ValueError if it does not compile."""
    with tempfile.TemporaryDirectory() as folder:
        include = pathlib.Path(folder)
        shutil.copytree(INCLUDE, include / "sse")
        (include / "sse" / header).write_text(text)
        found = first_to_fail(include, tests, main)
        if found and found.endswith("compile"):
            alone = compile_(include, include / "sse" / header, "/dev/null", "-fsyntax-only")
            if alone.returncode != 0:
                raise ValueError(alone.stderr[:1000])
        return found


# Random mutations

OPERATORS = {
    "==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "&&": "||", "||": "&&", "+": "-", "-": "+",
    "+=": "-=", "-=": "+=", "*": "/", "/": "*", "%": "*", "&": "|", "|": "&", "<<": ">>", ">>": "<<", "|=": "&=",
    "&=": "|=",
}
CODE = re.compile(r'"(?:[^"\\\\]|\\\\.)*"|\'(?:[^\'\\\\]|\\\\.)+\'|//.*')
STATEMENT = re.compile(r"^\s+(?!return\b|using\b|friend\b|static_assert\b|typename\b|public|private|case\b|default\b)"
                       r"(?:\*|\+\+|--)?[a-z_][\w:.>\-\[\]]*(?:\(.*\)|\+\+|--| [-+*/|&^]?= .*);$")


def without_text(line):
    """The line with its strings, characters and comments blanked, so that columns stay."""
    return CODE.sub(lambda found: " " * len(found.group()), line)


def conditions(code):
    """Where the conditions of the ifs and whiles of a line begin and end, if they end there."""
    for found in re.finditer(r"\b(?:if|while) \(", code):
        depth = 1
        for end in range(found.end(), len(code)):
            depth += {"(": 1, ")": -1}.get(code[end], 0)
            if depth == 0:
                inner = code[found.end():end]
                if ";" not in inner and not re.search(r"[^=!<>]=[^=]", inner):
                    yield found.end(), end
                break


def changes(line):
    """What can become of a line, each in one place."""
    code = without_text(line)
    if code.lstrip().startswith("#") or "static_assert" in code or "template <" in code or "requires" in code:
        return
    for found in re.finditer(r"(?<= )(==|!=|<=|>=|&&|\|\||[-+|&]=|<<|>>|[-+*/%<>&|])(?= )", code):
        yield line[:found.start()] + OPERATORS[found.group()] + line[found.end():]
    for found in re.finditer(r"\+\+|--", code):
        yield line[:found.start()] + {"++": "--", "--": "++"}[found.group()] + line[found.end():]
    for found in re.finditer(r"!(?=[a-z_(*])", code):
        yield line[:found.start()] + line[found.end():]
    for found in re.finditer(r"(?<![\w.\'])\d[\d\']*(?![\w.\'])", code):
        number = int(found.group().replace("'", ""))
        for other in {number + 1, max(number - 1, 0)} - {number}:
            yield line[:found.start()] + str(other) + line[found.end():]
    for found in re.finditer(r"\b(true|false)\b", code):
        yield line[:found.start()] + {"true": "false", "false": "true"}[found.group()] + line[found.end():]
    for begin, end in conditions(code):
        if "constexpr" not in code[:begin]:
            for constant in "true", "false":
                yield line[:begin] + constant + line[end:]
    if STATEMENT.match(code) and code.count("(") == code.count(")"):
        yield re.match(r"\s*", line).group() + ";"


def random_mutations(seed, count):
    """As many as asked for: the lines that can be changed are cut into as many runs, and each gives one."""
    chosen = random.Random(seed)
    lines = []
    for header in sorted(TESTS):
        text = (INCLUDE / header).read_text().splitlines(keepends=True)
        for number, line in enumerate(text):
            possible = list(changes(line.rstrip("\n")))
            if possible:
                lines.append((header, number, line.rstrip("\n"), possible))
    for i in range(count):
        run = lines[i * len(lines) // count:(i + 1) * len(lines) // count]
        chosen.shuffle(run)
        yield [(header, number, line, other) for header, number, line, possible in run
               for other in chosen.sample(possible, len(possible))]


def known_survivors():
    """By header, the line and what becomes of it: why that changes nothing."""
    known, new = {}, []
    for line in (SOURCES / "equivalent_mutations").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("    "):
            for key in new:
                known[key] = line.strip()
            continue
        if known.get(new[-1] if new else None):
            new = []
        new.append(line)
    return known


def key_of(header, before, after):
    return f"{header}: {' '.join(before.split())} -> {' '.join(after.split())}"


def is_compiled_here(header, number):
    """Whether a line of a header belongs to this machine's code: not to that of another compiler or system."""
    lines = (INCLUDE / header).read_text().splitlines(keepends=True)
    lines[number] = "this_line_is_compiled\n"
    expanded = subprocess.run([COMPILER, "-std=c++20", f"-I{INCLUDE.parent}", "-iquote", (INCLUDE / header).parent,
                               "-DFMT_HEADER_ONLY", "-E", "-xc++", "-"],
                              input="".join(lines), capture_output=True, text=True)
    return "this_line_is_compiled" in expanded.stdout


def try_random(possible, main):
    """Of the possible mutations the first that compiles: where it is, what it is, and who noticed it."""
    for header, number, line, other in possible[:20]:
        if not is_compiled_here(header, number):
            continue
        text = (INCLUDE / header).read_text().splitlines(keepends=True)
        text[number] = other + "\n"
        try:
            found = try_one(header, "".join(text), TESTS[header].split(), main)
        except ValueError:
            continue
        return f"{header}:{number + 1}", key_of(header, line, other), found
    return None


def run_random(seed, chosen, main, pool):
    known = known_survivors()
    tried, survived, explained = 0, [], 0
    for outcome in pool.map(lambda possible: try_random(possible, main), chosen):
        if outcome is None:
            continue
        place, key, found = outcome
        tried += 1
        if found:
            print(f"{place} noticed by {found}\n    {key}", flush=True)
        elif key in known:
            explained += 1
            print(f"{place} changes nothing: {known[key]}\n    {key}", flush=True)
        else:
            survived.append(key)
            print(f"{place} NOT NOTICED\n    {key}", flush=True)
    print(*survived, sep="\n")
    print(f"seed {seed}: {tried} mutations, {explained} of them known to change nothing, {len(survived)} not noticed")
    return len(survived)


def run_table(chosen, main, pool):
    def try_row(row):
        try:
            return try_one(*row, main)
        except ValueError as error:
            raise SystemExit(f"{row[0]} does not compile any more: {error}") from error

    missed = 0
    texts = [(header, mutated(header, before, after), tests.split()) for header, before, after, tests in chosen]
    for (header, before, after, _), found in zip(chosen, pool.map(try_row, texts)):
        missed += found is None
        place = f"{header}: {' '.join(before.split())[:70]}"
        print(f"{place}\n    {f'noticed by {found}' if found else 'NOT NOTICED'}", flush=True)
    print(f"{len(chosen)} mutations, {missed} of them not noticed")
    return missed


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--every", type=int, default=1, metavar="N", help="only one in so many")
    options.add_argument("--from", type=int, default=0, dest="first", metavar="N", help="the first of them (0)")
    options.add_argument("--random", type=int, metavar="SEED", help="random mutations instead of the table")
    options.add_argument("--count", type=int, default=300, metavar="N", help="how many of these (300)")
    options = options.parse_args()
    subprocess.run([SOURCES.parent / ".ci/install", "g++", "doctest-dev", "libfmt-dev", "libcurl4-openssl-dev"],
                   check=True)
    for header, before, after, _ in MUTATIONS:
        mutated(header, before, after)
    chosen = MUTATIONS[options.first :: options.every]
    if options.random is None:
        tests = sorted({test for *_, tests in chosen for test in tests.split()})
    else:
        tests = sorted({test for tests in TESTS.values() for test in tests.split()})
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count() + 1) as pool:
        main_object = pathlib.Path(folder) / "main.o"
        compile_(INCLUDE.parent, SOURCES / "main.cpp", main_object, "-c")
        common = main_object.with_name("common.hpp")
        common.write_text(COMMON)
        compile_(INCLUDE.parent, common, f"{common}.gch", language="c++-header")
        for found in pool.map(lambda test: first_to_fail(INCLUDE.parent, [test], main_object), tests):
            if found:
                raise SystemExit(f"without any mutation fails {found}")
        if options.random is None:
            missed = run_table(chosen, main_object, pool)
        else:
            chosen = list(random_mutations(options.random, options.count))[options.first :: options.every]
            missed = run_random(options.random, chosen, main_object, pool)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
