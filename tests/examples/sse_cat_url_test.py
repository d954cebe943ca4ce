"""sse-cat with a URL: connecting, resuming, what it sends, and the status line."""

import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import unicodedata
import unittest

from support import (CHUNKED, LAST_CHUNK, LIMIT, NO_CONTENT, Process, Script, Terminal, chunk, has_curl, head, hold,
                     program, redirect, reset, run, wait_until)

DONE = b"event: done\ndata\n\n"  # for --until done
UNAVAILABLE = b"503 Service Unavailable"
LENGTH_0 = b"Content-Length: 0\r\n"


def cat(script, *arguments, **options):
    """Runs sse-cat to its end, with the script's URL."""
    with script:
        return run("sse-cat", *arguments, script.url, **options)


class Case(unittest.TestCase):
    def shows(self, expected, script, *arguments, **options):
        result = cat(script, *arguments, **options)
        self.assertEqual((result.returncode, result.stdout.decode(), result.stderr), (0, expected, b""))
        self.assertEqual(script.connections, len(script.answers))

    def fails(self, complaint, script, *arguments, shown=""):
        result = cat(script, *arguments)
        self.assertEqual((result.returncode, result.stdout.decode()), (1, shown))
        self.assertRegex(result.stderr.decode(), rf"\Asse-cat: [^\n]*{complaint}[^\n]*\n\Z")
        self.assertEqual(script.connections, len(script.answers))

    def complains(self, pattern, *arguments):
        result = run("sse-cat", *arguments, stdin=subprocess.DEVNULL)
        self.assertEqual((result.returncode, result.stdout), (2, b""))
        self.assertRegex(result.stderr.decode(),
                         rf"\Asse-cat: [^\n]*{pattern}[^\n]*\nTry 'sse-cat --help'\.\n\Z")


class Connections(Case):
    def test_follow_one_another_and_nothing_is_lost(self):
        """An event that was cut off comes again, for its id has not been sent back."""
        script = Script(head() + b"retry: 1\nid: 1\ndata: a\n\nid: 2\ndata: hal",
                        head() + b"id: 2\ndata: half\n\n" + DONE)
        result = cat(script, "--until", "done")
        self.assertEqual((result.returncode, result.stdout), (0, b"message  1\n  a\nmessage  2\n  half\ndone  2\n"))
        self.assertRegex(result.stderr.decode(), r"\Asse-cat: 127\.0\.0\.1:\d+: connection: ended; connecting again in [01]\.\d s\n\Z")
        first, second = script.requests
        for request in [first, second]:
            self.assertEqual(request.line, "GET /stream HTTP/1.1")
            self.assertEqual(request.get("Host"), f"127.0.0.1:{script.port}")
            self.assertEqual(request.get("Accept"), "text/event-stream")
            self.assertEqual(request.get("Cache-Control"), "no-cache")
        self.assertIsNone(first.get("Last-Event-ID"))
        self.assertEqual(second.get("Last-Event-ID"), "1")

    def test_may_break(self):
        shown = threading.Event()

        def broken():
            yield CHUNKED + chunk(b"retry: 1\nid: 1\ndata: a\n\n")
            shown.wait(LIMIT)  # a reset may overtake what was sent before it
            yield reset

        with Script(broken(), head() + DONE) as script, Process("sse-cat", "--until", "done", script.url) as process:
            process.wait_for_line("^  a$")
            shown.set()
            self.assertEqual(process.wait(), 0)
        self.assertEqual([request.get("Last-Event-ID") for request in script.requests], [None, "1"])
        self.assertRegex("\n".join(process.errors), r"\Asse-cat: [^\n]+; connecting again in [01]\.\d s\Z")

    def test_are_made_again_where_the_server_is_overloaded(self):
        script = Script(head() + b"retry: 1\nid: 1\ndata: a\n\n",
                        head(b"Retry-After: 0\r\n" + LENGTH_0, UNAVAILABLE), head() + DONE)
        result = cat(script, "--data-only", "--until", "done")
        self.assertEqual((result.returncode, result.stdout), (0, b"a\n\n"))
        self.assertRegex(result.stderr.decode(), r"\A(sse-cat: [^\n]+; connecting again in [0-2]\.\d s\n){2}\Z")
        self.assertEqual([request.get("Last-Event-ID") for request in script.requests], [None, "1", "1"])

    def test_are_not_made_before_retry_after(self):
        with Script(head(b"Retry-After: 3600\r\n" + LENGTH_0, UNAVAILABLE)) as script:
            with Process("sse-cat", script.url) as process:
                wait_until(lambda: process.errors, "a message")
                # And up to a second at random.
                self.assertRegex(process.errors[0], r"connecting again in 360[01]\.\d s$")

    def test_are_not_made_after_204(self):
        self.shows("", Script(NO_CONTENT))

    def test_are_not_made_after_a_response_that_would_come_again(self):
        for status in [b"404 Not Found", b"401 Unauthorized", b"304 Not Modified", b"501 Not Implemented"]:
            with self.subTest(status):
                self.fails(f"response: .*{status[:3].decode()}", Script(head(LENGTH_0, status)))
        self.fails("text/event-stream", Script(head(b"Content-Type: text/html\r\n") + b"data: x\n\n"))
        self.fails("text/event-stream", Script(head(b"") + b"data: x\n\n"))

    def test_may_be_limited_in_number(self):
        self.fails("ended", Script(head() + b"data: a\n\n"), "--attempts", "1", "--data-only", shown="a\n")
        script = Script(head() + b"retry: 1\n\n", head(LENGTH_0, UNAVAILABLE))
        result = cat(script, "--attempts=2")
        self.assertEqual((result.returncode, script.connections), (1, 2))
        self.assertRegex(result.stderr.decode(),
                         r"\Asse-cat: [^\n]*connecting again[^\n]*\nsse-cat: [^\n]*: response: .*503.*\n\Z")

    def test_to_nobody(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # and does not listen
            result = run("sse-cat", "--attempts", "1", f"http://127.0.0.1:{unused.getsockname()[1]}/")
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertRegex(result.stderr.decode(), r"\Asse-cat: .*[Cc]onnect.*\n\Z")
        result = run("sse-cat", "--attempts", "1", "http://nowhere.invalid/")
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertRegex(result.stderr.decode(), r"\Asse-cat: .+\n\Z")

    def test_that_cannot_be_encrypted(self):
        if has_curl():
            self.skipTest("sse-cat knows https")
        result = run("sse-cat", "https://127.0.0.1:1/")
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertRegex(result.stderr.decode(), r"\Asse-cat: [^\n]*https[^\n]*\n\Z")


class Redirects(Case):
    def test_are_followed(self):
        for status in [b"301 Moved", b"302 Found", b"303 See Other", b"307 Temporary Redirect", b"308 Moved"]:
            with self.subTest(status), Script(head() + DONE) as other:
                self.shows("\n", Script(redirect(other.url + "?x", status)), "--data-only", "--until", "done")
            self.assertEqual([request.target for request in other.requests], ["/stream?x"])

    def test_take_no_secret_elsewhere(self):
        secrets = {"Authorization": "Bearer x", "Cookie": "a=b"}
        headers = secrets | {"X-Mine": "y"}
        arguments = [each for name, value in headers.items() for each in ("-H", f"{name}: {value}")]
        with Script(NO_CONTENT) as other:
            script = Script(redirect("/here"), redirect(other.url))
            self.shows("", script, *arguments)
        for request in script.requests:
            self.assertEqual({name: request.get(name) for name in headers}, headers)
        self.assertEqual({name: other.requests[0].get(name) for name in headers},
                         {"Authorization": None, "Cookie": None, "X-Mine": "y"})

    def test_of_a_post(self):
        for status, method, body in [(b"303 See Other", "GET", b""), (b"307 Temporary Redirect", "POST", b"{}")]:
            with self.subTest(status):
                script = Script(redirect("/other", status), NO_CONTENT)
                self.shows("", script, "--post", "-", input=b"{}")
                last = script.requests[-1]
                self.assertEqual((last.method, last.target, last.body), (method, "/other", body))
                self.assertEqual(last.get("Content-Type"), "application/json" if body else None)

    def test_to_nowhere(self):
        self.fails("redirect", Script(head(LENGTH_0, b"302 Found")))
        for location in ["", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "http://"]:
            with self.subTest(location):
                self.fails("redirect", Script(redirect(location)))

    def test_without_end(self):
        self.fails("redirect", Script(*[redirect("/stream")] * 21))  # browsers follow 20


class TheRequest(Case):
    def test_may_have_headers(self):
        script = Script(NO_CONTENT)
        headers = ["X-One: 1", "x-two:2:3", "X-One:   again ", "X-None:", "Accept: */*"]
        self.shows("", script, *(each for header in headers for each in ("-H", header)))
        request = script.requests[0]
        self.assertEqual(request.all("X-One"), ["1", "again"])
        self.assertEqual([request.get(name) for name in ["x-two", "X-None", "Accept"]], ["2:3", "", "*/*"])

    def test_with_bad_headers_is_not_made(self):
        self.complains("-H wants 'NAME: VALUE', not 'no colon'", "-H", "no colon", "http://127.0.0.1:1/")
        for header in [": x", "a b: c", "\xe9: x", "A\r\nB: c"]:
            with self.subTest(header):
                named = re.escape("-H '" + header.replace("\r\n", r"\u000d\u000a"))
                self.complains(named, "-H", "Good: x", "-H", header, "http://127.0.0.1:1/")
        for value in ["b\r\nC: d", "b\nc", "\x01", "\x7f"]:
            with self.subTest(value):
                self.complains("-H 'A: ", "-H", "A: " + value, "http://127.0.0.1:1/")
        self.complains("-H wants", "http://127.0.0.1:1/", "-H")

    def test_may_be_a_post(self):
        body = bytes(range(256)) * 1000
        with tempfile.NamedTemporaryFile() as file:
            file.write(body)
            file.flush()
            for path, options in [(file.name, {}), ("-", {"input": body})]:
                with self.subTest(path):
                    script = Script(NO_CONTENT)
                    self.shows("", script, "--post", path, **options)
                    request = script.requests[0]
                    self.assertEqual((request.method, request.body == body), ("POST", True))
                    self.assertEqual(request.get("Content-Type"), "application/json")
                    self.assertEqual(request.get("Accept"), "text/event-stream")

    def test_may_be_a_post_of_another_type_or_of_nothing(self):
        script = Script(NO_CONTENT)
        self.shows("", script, "--post", "-", "-H", "content-type: text/plain", input=b"")
        request = script.requests[0]
        self.assertEqual((request.method, request.get("Content-Length"), request.get("Content-Type")),
                         ("POST", "0", "text/plain"))

    def test_posts_the_same_again(self):
        script = Script(head() + b"retry: 1\nid: 1\n\n", NO_CONTENT)
        self.assertEqual(cat(script, "--post", "-", input=b"question").returncode, 0)
        self.assertEqual([request.body for request in script.requests], [b"question"] * 2)
        self.assertEqual(script.requests[1].get("Last-Event-ID"), "1")

    def test_posts_no_file_that_cannot_be_read(self):
        result = run("sse-cat", "--post", "/nonexistent/file", "http://127.0.0.1:1/")
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertRegex(result.stderr.decode(), r"\Asse-cat: cannot read /nonexistent/file: [^\n]+\n\Z")

    def test_may_begin_behind_an_event(self):
        script = Script(head() + DONE)
        self.shows("done  a b:c\n", script, "--last-event-id", "a b:c", "--until", "done")
        self.assertEqual(script.requests[0].get("Last-Event-ID"), "a b:c")
        script = Script(NO_CONTENT)
        self.shows("", script, "--last-event-id=")
        self.assertIsNone(script.requests[0].get("Last-Event-ID"))
        for id in ["1\r\nX: y", "1\n", "a\x7f"]:
            self.complains("last event id", "--last-event-id", id, "http://127.0.0.1:1/")


class Output(Case):
    STREAM = b": hi\n\ndata: a\n\nevent: tick\nid: 7\ndata: b\ndata: c\n\n" + DONE + b"data: beyond\n\n"

    def shows_of_stream(self, expected, *arguments):
        self.shows(expected, Script([head() + self.STREAM, hold]), "--until", "done", *arguments)

    def test_is_chosen_as_for_files(self):
        self.shows_of_stream("message\n  a\ntick  7\n  b\n  c\ndone  7\n")
        self.shows_of_stream("a\nb\nc\n\n", "--data-only")
        self.shows_of_stream(": hi\nmessage\n  a\ntick  7\n  b\n  c\ndone  7\n", "--comments")
        self.shows_of_stream("b\nc\n", "--data-only", "--type", "tick")

    def test_is_json_line_by_line(self):
        with Script([head() + self.STREAM, hold]) as script:
            result = run("sse-cat", "--json", "--comments", "--until", "done", script.url)
        self.assertEqual([json.loads(line) for line in result.stdout.splitlines()], [
            {"comment": "hi"},
            {"type": "message", "data": "a", "id": ""},
            {"type": "tick", "data": "b\nc", "id": "7"},
            {"type": "done", "data": "", "id": "7"}])

    def test_comes_event_by_event(self):
        shown = threading.Event()

        def steps():
            yield CHUNKED + chunk(b"data: one\n\ndata: two\n")
            shown.wait(LIMIT)
            yield chunk(b"\n")
            yield hold

        with Script(steps()) as script, Process("sse-cat", script.url) as process:
            process.wait_for_line("^  one$")
            shown.set()
            process.wait_for_line("^  two$")

    def test_has_a_limit_for_events(self):
        self.fails("--limit 1000", Script([head() + b"data: ok\n\ndata: " + b"x" * 2000, hold]),
                   "--limit", "1000", "--data-only", shown="ok\n")

    def test_may_end_with_an_event_in_a_file_too(self):
        for arguments, expected in [([], b"a\nb\nc\n\n"), (["--type", "tick"], b"b\nc\n")]:
            result = run("sse-cat", "--until", "done", "--data-only", *arguments, input=self.STREAM)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, expected, b""))
        # It does not wait for the end of the input.
        with Process("sse-cat", "--until", "done", stdin=subprocess.PIPE) as process, process.process.stdin as input:
            input.write("event: done\ndata\n\n")
            input.flush()
            self.assertEqual(process.wait(), 0)

    def test_ends_quietly_when_nobody_reads_it(self):
        stop = threading.Event()

        def steps():
            yield head()
            while not stop.is_set():
                yield b"data: x\n\n"

        with Script(steps()) as script:
            process = subprocess.Popen([program("sse-cat"), script.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            with process.stderr:
                self.assertEqual(process.stdout.readline(), b"message\n")
                process.stdout.close()
                try:
                    self.assertEqual(process.wait(LIMIT), 0)
                    self.assertEqual(process.stderr.read(), b"")
                finally:
                    stop.set()
                    process.kill()
                    process.wait()


class Llm(Case):
    def test_ends_at_done(self):
        script = Script([CHUNKED + chunk(b"data: a\n\ndata: [DONE]\n\ndata: b\n\n"), hold])
        self.shows("a\n", script, "--llm", "--data-only", "--post", "-", input=b"{}")
        self.assertEqual(script.requests[0].method, "POST")

    def test_ends_at_done_in_a_file_too(self):
        result = run("sse-cat", "--llm", "--data-only", input=b"data: a\n\ndata: [DONE]\n\ndata: b\n\n")
        self.assertEqual((result.returncode, result.stdout), (0, b"a\n"))

    def test_ends_with_the_response(self):
        stream = b"data: a\n\ndata: b\n\n"
        for answer in [CHUNKED + chunk(stream) + LAST_CHUNK, head() + stream,
                       head(b"Content-Type: text/event-stream\r\nContent-Length: %d\r\n" % len(stream)) + stream]:
            with self.subTest(answer):
                self.shows("a\nb\n", Script(answer), "--llm", "--data-only")

    def test_shows_a_last_event_without_its_blank_line(self):
        for end in [b"data: b", b"data: b\n", b"event: x\ndata: b\r"]:
            with self.subTest(end):
                self.shows("a\nb\n", Script(CHUNKED + chunk(b"data: a\n\n" + end) + LAST_CHUNK), "--llm", "--data-only")
        self.shows("a\n", Script(CHUNKED + chunk(b"data: a\n\ndata: [DONE]") + LAST_CHUNK), "--llm", "--data-only")

    def test_cut_off_is_a_failure_and_costs_no_second_request(self):
        whole = CHUNKED + chunk(b"data: a\n\ndata: b")
        for answer in [whole, whole[:-1], whole + LAST_CHUNK[:3]]:
            with self.subTest(answer):
                self.fails("", Script(answer), "--llm", "--data-only", shown="a\n")
        self.fails("503", Script(head(LENGTH_0, UNAVAILABLE)), "--llm")

    def test_may_be_asked_again_on_demand(self):
        script = Script(CHUNKED + chunk(b"retry: 1\ndata: a\n\n"), CHUNKED + chunk(b"data: b\n\n") + LAST_CHUNK)
        result = cat(script, "--llm", "--data-only", "--attempts", "2")
        self.assertEqual((result.returncode, result.stdout, script.connections), (0, b"a\nb\n", 2))


class CommandLine(Case):
    def test_with_a_bad_url(self):
        for url in ["http://", "https://", "http:///x", "http://x:y/", "http://x:0/", "http://x:65536/", "http://u@x/",
                    "http://u:p@x/", "http://[::1/", "http://x\\y/", "http://x/\r\nA: b", "http://a b/"]:
            with self.subTest(url):
                self.complains("url: ", url)

    def test_with_what_only_a_url_takes(self):
        for arguments in [["-H", "A: b"], ["--post", "-"], ["--last-event-id", "1"], ["--attempts", "1"],
                          *([["--cacert", "x"]] if has_curl() else [])]:
            for input in [[], ["-"], ["/nonexistent/file"]]:
                with self.subTest(arguments + input):
                    self.complains(f"{arguments[0]} wants a URL", *arguments, *input)

    def test_with_bad_numbers(self):
        for number in ["0", "-1", "x", "", "1000001", "99999999999999999999"]:
            with self.subTest(number):
                self.complains("--attempts wants a number", "--attempts", number, "http://127.0.0.1:1/")


def cells(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


class StatusLine(unittest.TestCase):
    def test_tells_of_the_connection(self):
        steps = threading.Semaphore(0)
        stream = b"retry: 1\n\nid: 1\ndata: a\n\n"
        again = b"id: 2\ndata: b\n\n:" + b"x" * 20_000 + b"\n"

        def first():
            steps.acquire(timeout=LIMIT)
            yield CHUNKED
            steps.acquire(timeout=LIMIT)
            yield chunk(stream)
            steps.acquire(timeout=LIMIT)

        def second():
            steps.acquire(timeout=LIMIT)
            yield CHUNKED + chunk(again)
            yield hold

        with Script(first(), second()) as script, Terminal("sse-cat", script.url, columns=120) as terminal:
            terminal.wait_for_last_line(r"^connecting$")
            self.assertEqual(len(terminal.screen()), 1)
            steps.release()
            terminal.wait_for_last_line(r"^open \| 0 bytes$")
            steps.release()
            terminal.wait_for_last_line(rf"^open \| 1 event \| last id 1 \| {len(stream)} bytes$")
            self.assertEqual(terminal.screen()[:-1], ["message  1", "  a"])
            steps.release()
            terminal.wait_for_last_line(r"^connecting again in [01]\.\d s: .* \| 1 event \| last id 1 \| \d+ bytes$")
            steps.release()
            terminal.wait_for_last_line(r"^open \| 2 events \| last id 2 \| 1 reconnection \| \d+ KB$")
            self.assertEqual(terminal.screen()[:-1], ["message  1", "  a", "message  2", "  b"])
            self.assertEqual(terminal.end(signal.SIGINT), (-signal.SIGINT, ""))
            self.assertEqual(terminal.screen(), ["message  1", "  a", "message  2", "  b", ""])

    def test_counts_large_amounts_in_larger_units(self):
        stream = b":" + b"x" * 30_000 + b"\n\nid: 1\ndata\n\n"
        with Script([CHUNKED + chunk(stream), hold]) as script, Terminal("sse-cat", script.url) as terminal:
            terminal.wait_for_last_line(r"^open \| 1 event \| last id 1 \| 30 KB$")

    def test_is_gone_at_the_end(self):
        for arguments, answer, status in [
                (["--until", "done"], [head() + b"data: a\n\n" + DONE, hold], 0),
                (["--llm"], head() + b"data: a\n\nevent: done\ndata: \n\n", 0),
                (["--attempts", "1"], head() + b"data: a\n\n" + DONE, 1),
                (["--limit", "100"], [head() + b"data: a\n\n" + DONE + b"data:" + b"x" * 200, hold], 1)]:
            with self.subTest(arguments), Script(answer) as script:
                with Terminal("sse-cat", *arguments, script.url) as terminal:
                    code, errors = terminal.finish()
                    self.assertEqual(code, status)
                    self.assertRegex(errors, r"\Asse-cat: [^\n]+\n\Z" if status else r"\A\Z")
                    self.assertEqual(terminal.screen(), ["message", "  a", "done", ""])
                    self.assertIn("open | ", terminal.written())

    def test_is_never_wider_than_the_terminal(self):
        for id in ["x" * 200, "日" * 100, "\x1b" * 100]:
            for columns in [8, 20, 21, 40, 80]:
                with self.subTest(id=id[0], columns=columns):
                    stream = f"event: 0\nid: {id}\ndata\n\n".encode()
                    with Script([head() + stream, hold]) as script:
                        with Terminal("sse-cat", "--data-only", script.url, columns=columns) as terminal:
                            wait_until(lambda: "1 event"[:max(0, columns - 8)] in terminal.screen()[-1] and
                                       terminal.screen()[0] == "" and len(terminal.screen()) > 1, "the line")
                            # With an empty line for the event, it would be a third if the terminal broke it.
                            self.assertEqual(len(terminal.screen()), 2, terminal.screen())
                            self.assertLess(cells(terminal.screen()[-1]), columns)

    def test_leaves_out_what_does_not_fit(self):
        """Whole parts of it, so that what is there can be read."""
        for columns, line in [(34, "open | 1 event | last id 12345"), (31, "open | 1 event | last id 12345"),
                              (30, "open | 1 event | 25 bytes"), (26, "open | 1 event | 25 bytes"),
                              (25, "open | 1 event"), (14, "open")]:
            with self.subTest(columns), Script([head() + b"event: 0\nid: 12345\ndata\n\n", hold]) as script:
                with Terminal("sse-cat", "--data-only", script.url, columns=columns) as terminal:
                    terminal.wait_for_last_line(f"^{re.escape(line)}$")

    def test_obeys_no_one(self):
        evil = "\x1b]0;title\x07\x08\x7f\x9b2J\t\u202e"
        shown = r"\u001b]0;title\u0007\u0008\u007f\u009b2J\u0009\u202e"
        with Script([head() + f"id: {evil}\n\ndata: x\n\n".encode(), hold]) as script:
            with Terminal("sse-cat", script.url, columns=200) as terminal:
                terminal.wait_for_last_line(rf"last id {re.escape(shown)} \| \d+ bytes$")
                self.assertNotRegex(terminal.written(), "[\x07\x08\x7f\x9b\t\u202e]")

    def test_is_below_json_and_data_too(self):
        for argument, line in [("--json", '{"type":"message","data":"a","id":""}'), ("--data-only", "a")]:
            with self.subTest(argument), Script([head() + b"data: a\n\n", hold]) as script:
                with Terminal("sse-cat", argument, script.url) as terminal:
                    terminal.wait_for_last_line(r"\| 1 event \| \d+ bytes$")
                    self.assertEqual(terminal.screen()[:-1], [line])

    def test_is_nowhere_in_a_pipe(self):
        with Script([head() + b"id: 1\ndata: a\n\n" + DONE, hold]) as script:
            result = run("sse-cat", "--until", "done", script.url)
        self.assertEqual((result.stdout, result.stderr), (b"message  1\n  a\ndone  1\n", b""))

    def test_is_not_there_for_files(self):
        with Terminal("sse-cat") as terminal:
            self.assertEqual(terminal.finish(b"data: a\n\n"), (0, ""))
            self.assertEqual(terminal.screen(), ["message", "  a", ""])
            self.assertNotIn("event", terminal.written())


class Signals(unittest.TestCase):
    """Each answer with what the status line begins with then."""
    STATES = {
        "connecting": [hold],
        "open": [head(), hold],
        "connecting again": head() + b"retry: 3600000\n\n",
    }

    def test_end_it_at_once_in_every_state(self):
        for number in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]:
            for state, answer in self.STATES.items():
                with self.subTest(state=state, signal=number), Script(answer) as script:
                    with Terminal("sse-cat", script.url) as terminal:
                        terminal.wait_for_last_line(f"^{state}")
                        wait_until(lambda: script.requests, "the request")
                        self.assertEqual(terminal.end(number), (-number, ""))
                        self.assertEqual(terminal.screen(), [""])
                self.assertEqual(script.connections, 1)

    def test_that_are_ignored_stay_so(self):
        """As nohup has it, in a pipe and on a terminal."""
        def steps():
            yield head() + b"data: one\n\n"
            sent.wait(LIMIT)
            yield DONE

        def ignore():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        sent = threading.Event()
        with Script(steps()) as script:
            with Process("sse-cat", "--until", "done", script.url, preexec_fn=ignore) as process:
                process.wait_for_line("^  one$")
                process.process.send_signal(signal.SIGHUP)
                sent.set()
                self.assertEqual(process.wait(), 0)

        sent.clear()
        with Script(steps()) as script:
            with Terminal("sse-cat", "--until", "done", script.url, preexec_fn=ignore) as terminal:
                terminal.wait_for_last_line("^open")
                terminal.process.send_signal(signal.SIGHUP)
                sent.set()
                self.assertEqual(terminal.finish()[0], 0)

    def test_end_it_while_nobody_takes_what_it_shows(self):
        def steps():
            yield head()
            while True:
                yield b"data: " + b"x" * 10_000 + b"\n\n"

        output, into = os.pipe()
        size = fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)  # before anything is in it that would not fit
        with open(output, "rb"), Script(steps()) as script:
            process = subprocess.Popen([program("sse-cat"), script.url], stdout=into, stderr=subprocess.PIPE)
            os.close(into)
            with process.stderr:
                try:
                    wait_until(lambda: unread(output) == size, "the pipe being full")
                    process.send_signal(signal.SIGTERM)
                    self.assertEqual(process.wait(LIMIT), -signal.SIGTERM)
                    self.assertEqual(process.stderr.read(), b"")
                finally:
                    process.kill()
                    process.wait()

    def test_end_it_while_its_terminal_takes_nothing(self):
        """After Ctrl-S, say; the first signal waits for the terminal to be left in order, a further one does not."""
        with Script([head() + b"data: " + b"x" * 1_000_000 + b"\n\n", hold]) as script:
            with Terminal("sse-cat", script.url, is_read=False) as terminal:
                wait_until(lambda: unread(terminal.ours) > 1000, "a part of the event")
                wait_until(lambda: terminal.process.send_signal(signal.SIGINT) or terminal.process.poll(), "the end")
                self.assertEqual(terminal.process.returncode, -signal.SIGINT)


def unread(file):
    return struct.unpack("i", fcntl.ioctl(file, termios.FIONREAD, b"    "))[0]


if __name__ == "__main__":
    unittest.main()
