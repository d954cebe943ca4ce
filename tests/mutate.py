#!/usr/bin/env python3
"""Breaks the library on purpose, in one place after another, and sees that a test notices."""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SOURCES = pathlib.Path(__file__).resolve().parent
INCLUDE = SOURCES.parent / "include/sse"
TIME_LIMIT = 120  # seconds that a test may take: a mutation can make a loop endless, which a test notices so

# What is broken: a header, what stands there once, what is put in its place, and the tests that should notice.
MUTATIONS = [
    # Where lines end
    ("line.hpp", "if (text.empty() && end != first && end[-1] == '\\r' && *end == '\\n') return true;", "", "line"),
    ("line.hpp", "after_cr_ = line[-1] == '\\r';", "after_cr_ = false;", "line"),
    ("line.hpp", "} else if (after_cr_ && chunk.front() == '\\n') {", "} else if (after_cr_) {", "line"),
    ("line.hpp", "after_cr_ = is_cr && chunk.empty();", "after_cr_ = is_cr;", "line"),
    ("line.hpp", "if (mark_size_ > 0) on_part(held());", "", "line"),
    ("line.hpp", 'byte_order_mark = "\\xEF\\xBB\\xBF"', 'byte_order_mark = "\\xEF\\xBB\\xBE"', "line"),
    ("detail/line_ends.hpp", "(((word & low_bits) + low_bits) | word | low_bits)",
     "(((word & low_bits) + low_bits) | low_bits)", "line_ends"),
    ("detail/line_ends.hpp", "line_ends_in_16(first + size - 32) << (size - 32)",
     "line_ends_in_16(first + size - 32) << (size - 31)", "line_ends"),
    ("detail/line_ends.hpp", "i = i + 64 < last ? i + 64 : last", "i = i + 64 < last ? i + 64 : i + 64", "line_ends"),
    ("detail/line_ends.hpp", "if (rest != 0) *masks = LineEndsIn64(last + rest - 64) >> (64 - rest);", "",
     "line_ends"),
    # Lines to events
    ("parser.hpp", "if (colon[0] == ':' && colon[1] == ' ') [[likely]] return colon + 2;", "", "parser"),
    ("parser.hpp", "detail::behind(value, value.starts_with(' ') ? 1 : 0)", "value", "parser conformance"),
    ("parser.hpp", "if (!block.data.data()) return true;", "if (block.data.empty()) return true;", "conformance"),
    ("parser.hpp", "if (value == nullptr || detail::has_nul(line)) return false;",
     "if (value == nullptr) return false;", "conformance"),
    ("parser.hpp", 'const std::string_view type = block.type.empty() ? "message" : block.type;',
     "const std::string_view type = block.type;", "conformance"),
    ("parser.hpp", "if (dispatched_ && has_id_) kept_.rename_id_to_last_event_id();",
     "if (has_id_) kept_.rename_id_to_last_event_id();", "conformance parser"),
    ("parser.hpp", "if (line_ == part::retry) retry_ = {};", "", "conformance differential"),
    ("parser.hpp", "if (size <= kept_.room()) return true;", "if (size <= kept_.room() + 1) return true;",
     "conformance differential"),
    ("parser.hpp", "if (!dispatched_) end_block();\n        if (error_) give_up();", "if (!dispatched_) end_block();",
     "parser allocation"),
    ("parser.hpp", "if (!dispatched_) end_block();", "", "parser conformance"),
    ("parser.hpp", "has_id_ = false;\n        dispatched_ = false;", "dispatched_ = false;", "conformance"),
    ("parser.hpp", "if (!fits(growth)) return false;", "", "differential allocation"),
    ("parser.hpp", "if (line_ == part::data && has_data_) keep(\"\\n\");", "", "conformance"),
    ("parser.hpp", "if (after_colon_) text = without_space(text);", "", "conformance"),
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
    ("encoder.hpp", "after_cr_ = piece.back() == '\\r';", "after_cr_ = false;", "encoder"),
    ("encoder.hpp", 'output.put(begun_ ? "\\n\\n" : "\\n");', 'output.put("\\n\\n");', "encoder"),
    ("encoder.hpp", "error_ = errc::sink_failed;  // and so it stays if the sink throws", "", "io"),
    ("detail/sink.hpp", "if (needed.size > sink.size()) return errc::buffer_too_small;",
     "if (needed.size >= sink.size()) return errc::buffer_too_small;", "encoder"),
    ("detail/sink.hpp", "if (!error) guard.keep();", "guard.keep();", "encoder io"),
    # Backoff
    ("backoff.hpp", "if (last.open_for && *last.open_for >= options_.stable_after) failures_ = 0;",
     "if (last.open_for) failures_ = 0;", "backoff"),
    ("backoff.hpp", "value > most / 2 ? most : 2 * value", "2 * value", "backoff"),
    # HTTP
    ("http.hpp", "is_named = is_named || (!from.empty() && from != \"*\" && origin == from);",
     "is_named = is_named || origin == from;", "http"),
    ("http.hpp", 'any = any || (origin == "*" && !cors.credentials);', 'any = any || origin == "*";', "http"),
    ("http.hpp", "if (authority.find('@') != std::string_view::npos) return errc::url_has_credentials;", "", "http"),
    ("http.hpp", "result = equal_ignoring_case(essence, media_type);",
     "result = result || equal_ignoring_case(essence, media_type);", "http"),
    ("http1.hpp", "if (coded && (result.length || minor_version == 0)) contradictory = true;", "", "http1"),
    ("http1.hpp", "if (line.size() > room_) {", "if (line.size() > room_ + 1) {", "http1"),
    ("http1.hpp", "only_chunked = !coded && equal_ignoring_case(coding, \"chunked\");",
     "only_chunked = equal_ignoring_case(coding, \"chunked\");", "http1"),
    ("http1.hpp", "if (fields.size() >= options_.max_headers)", "if (fields.size() > options_.max_headers)", "http1"),
    ("http1.hpp", "if (!line.ends_with('\\r')) {\n            failure = errc::http_malformed;\n"
     "            return false;\n        }\n        line.remove_suffix(1);",
     "if (line.ends_with('\\r')) line.remove_suffix(1);", "http1"),
    ("http1.hpp", "if (hosts > 1 || (hosts == 0 && minor_version_ > 0)) return false;", "", "http1"),
    ("http1.hpp", "if (bytes.empty()) return {};\n    const std::string size", "const std::string size", "http1"),
    # The client
    ("event_source.hpp", "if (!same_origin(request_.url, next)) {", "if (false) {", "event_source"),
    ("event_source.hpp", "if (++redirects_ > options_.max_redirects)",
     "if (++redirects_ > options_.max_redirects + 1)", "event_source"),
    ("event_source.hpp", 'if (request_.url.scheme == "https" && next.scheme != "https")', "if (false)",
     "event_source"),
    ("event_source.hpp", "if (is_sendable_id(id, options_.max_last_event_id_bytes)) {", "if (!id.empty()) {",
     "event_source"),
    ("event_source.hpp", "if (is_called_) return ask_again(now);", "", "event_source"),
    ("event_source.hpp", "if (id.size() > options_.max_last_event_id_bytes) id = {};", "", "event_source"),
    ("http.hpp", "if (to_string(resolved).size() > max_url_bytes) return errc::url_invalid;", "", "http"),
    ("event_source.hpp", "received_bytes_ += bytes.size();\n        is_fed_ = true;",
     "received_bytes_ += bytes.size();", "event_source"),
    ("event_source.hpp", "if (state_ == state::open) ++connection_;", "", "event_source"),
    # The server
    ("channel.hpp", "catch_up();  // mark_if_behind() may have been asked before what had been given was consumed", "",
     "channel"),
    ("channel.hpp", "if (next_ - first() > options_.max_events) drop_before(next_ - options_.max_events);",
     "if (next_ - first() > options_.max_events + 1) drop_before(next_ - options_.max_events - 1);", "channel"),
    ("channel.hpp", "if (own_bytes_ + memory > options_.max_bytes) {", "if (own_bytes_ > options_.max_bytes) {", "channel"),
    ("channel.hpp", "result.number = last ? *last + 1 : first();", "result.number = last ? *last : first();",
     "channel"),
    ("channel.hpp", "return is_number && !is_padded && number < next_ ?", "return is_number && number < next_ ?",
     "channel"),
    ("channel.hpp", "milliseconds(latest_ - entry(number).time) > options_.max_age",
     "milliseconds(latest_ - entry(number).time) >= options_.max_age", "channel"),
    ("channel.hpp", "oldest->finish();  // it may be the last: cursors must not wait there", "", "channel"),
    ("channel.hpp", "if (spare_ == nullptr && oldest->memory() <= usual_segment() && oldest->has_one_owner()) {",
     "if (spare_ == nullptr && oldest->memory() <= usual_segment()) {", "channel"),
    ("channel.hpp", "log_->arm();\n", "\n", "channel"),
    ("channel.hpp", "if (size > largest_event) return true;", "", "channel"),
    ("detail/segment.hpp", "return used <= capacity_ && event_bytes <= capacity_ - used;",
     "return used <= capacity_;", "channel"),
    ("channel.hpp", "if (!segments_.empty()) segments_.back()->finish();", "", "channel"),
    ("channel.hpp", "stop_ = detail::smaller(stop_, log_->next());", "stop_ = log_->next();", "channel"),
    ("session.hpp", "if (ends_when_behind() && cursor_.mark_if_behind()) return finish(session_end::behind);", "",
     "session"),
    ("session.hpp", "if (!has_waited_ || was_spared_) return finish(session_end::timed_out);",
     "if (!has_waited_) return finish(session_end::timed_out);", "session"),
    ("session.hpp", "const auto added = static_cast<std::int64_t>(random % (spread + 1));",
     "const auto added = static_cast<std::int64_t>(0 * random * spread);", "session"),
    ("session.hpp", "if (cursor_.has_passed_over()) say_position();", "", "session"),
    ("session.hpp", "cursor_.end_here();", "", "session"),
]


def compile_(include, source, program, *options):
    command = ["g++", "-std=c++20", f"-I{include}", f"-I{SOURCES}", "-DFMT_HEADER_ONLY", *options, source]
    return subprocess.run([str(part) for part in [*command, "-o", program]], capture_output=True, text=True)


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
            if compile_(include, SOURCES / f"{test}_test.cpp", program, main, "-pthread").returncode != 0:
                return f"{test}_test, which does not compile"
            try:
                if subprocess.run([program], capture_output=True, timeout=TIME_LIMIT).returncode != 0:
                    return f"{test}_test"
            except subprocess.TimeoutExpired:
                return f"{test}_test, which does not end"
    return None


def try_one(mutation, main):
    """Which test has noticed it; None if none has."""
    header, before, after, tests = mutation
    text = mutated(header, before, after)
    with tempfile.TemporaryDirectory() as folder:
        include = pathlib.Path(folder)
        shutil.copytree(INCLUDE, include / "sse")
        (include / "sse" / header).write_text(text)
        alone = compile_(include, include / "sse" / header, "/dev/null", "-fsyntax-only", "-xc++")
        if alone.returncode != 0:
            raise SystemExit(f"{header} does not compile any more with {after}\n{alone.stderr[:1000]}")
        return first_to_fail(include, tests.split(), main)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--every", type=int, default=1, metavar="N", help="only one in so many")
    options.add_argument("--from", type=int, default=0, dest="first", metavar="N", help="the first of them (0)")
    options = options.parse_args()
    subprocess.run([SOURCES.parent / ".ci/install", "g++", "doctest-dev", "libfmt-dev"], check=True)
    for header, before, after, _ in MUTATIONS:
        mutated(header, before, after)
    chosen = MUTATIONS[options.first :: options.every]
    tests = sorted({test for *_, tests in chosen for test in tests.split()})
    missed = 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        main_object = pathlib.Path(folder) / "main.o"
        compile_(INCLUDE.parent, SOURCES / "main.cpp", main_object, "-c")
        for found in pool.map(lambda test: first_to_fail(INCLUDE.parent, [test], main_object), tests):
            if found:
                raise SystemExit(f"without any mutation fails {found}")
        for mutation, found in zip(chosen, pool.map(lambda each: try_one(each, main_object), chosen)):
            missed += found is None
            place = f"{mutation[0]}: {' '.join(mutation[1].split())[:70]}"
            print(f"{place}\n    {f'noticed by {found}' if found else 'NOT NOTICED'}", flush=True)
    print(f"{len(chosen)} mutations, {missed} of them not noticed")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
