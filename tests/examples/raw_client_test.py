"""raw_client, against a server that says exactly what the test wants."""

import contextlib
import re
import socket
import subprocess
import threading
import unittest

from support import LIMIT, Process, program, run, run_on_terminal

STREAM = b": hello\n\nevent: tick\nid: 7\ndata: one\ndata:  two\n\ndata\n\ndata: half an eve"
SHOWN = ": hello\ntick  7\n  one\n   two\nmessage  7\n"
TYPE = b"Content-Type: text/event-stream\r\n"


def head(fields=TYPE, status=b"200 OK"):
    return b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\n"


def chunk(data, extension=b""):
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


CHUNKED = head(TYPE + b"Transfer-Encoding: chunked\r\n")
LAST_CHUNK = b"0\r\n\r\n"


class Script:
    """A server for one connection: reads a request, sends the parts, and closes."""

    def __init__(self, *parts):
        self.parts = parts
        self.request = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(LIMIT)
        self.url = "http://127.0.0.1:%d/stream" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        # A client that has seen enough goes; what it has said until then is what counts.
        with contextlib.suppress(OSError), self.listener.accept()[0] as connection:
            connection.settimeout(LIMIT)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while b"\r\n\r\n" not in self.request:
                self.request += connection.recv(65536)
            for part in self.parts:
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.thread.join(LIMIT)


def run_client(parts, *arguments):
    with Script(*parts) as script:
        result = run("raw_client", *arguments, script.url)
    result.request = script.request
    return result


class Client(unittest.TestCase):
    def shows(self, *parts):
        result = run_client(parts)
        self.assertEqual((result.returncode, result.stdout.decode(), result.stderr), (0, SHOWN, b""))

    def fails(self, complaint, *parts, shown=""):
        result = run_client(parts)
        self.assertEqual((result.returncode, result.stdout.decode()), (1, shown))
        self.assertRegex(result.stderr.decode(), rf"\Araw_client: [^\n]*{complaint}[^\n]*\n\Z")


class TheRequest(unittest.TestCase):
    def test_says_what_is_wanted(self):
        request = run_client([head()]).request.decode()
        self.assertTrue(request.startswith("GET /stream HTTP/1.1\r\n"), request)
        self.assertRegex(request, r"\r\nHost: 127\.0\.0\.1:\d+\r\n")
        self.assertIn("\r\nAccept: text/event-stream\r\n", request)
        self.assertIn("\r\nCache-Control: no-cache\r\n", request)
        self.assertNotIn("Last-Event-ID", request)

    def test_may_have_a_last_event_id(self):
        self.assertIn(b"\r\nLast-Event-ID: a b:c\r\n", run_client([head()], "--last-event-id", "a b:c").request)
        self.assertNotIn(b"Last-Event-ID", run_client([head()], "--last-event-id=").request)

    def test_the_last_event_id_is_that_of_the_events_too(self):
        result = run_client([head() + b"data: x\n\n"], "--last-event-id", "9")
        self.assertEqual(result.stdout, b"message  9\n  x\n")

    def test_targets(self):
        for path, target in [("", "/"), ("/", "/"), ("?a=b", "/?a=b"), ("/x/y?z#f", "/x/y?z"), ("#f", "/")]:
            with self.subTest(path), Script(head()) as script:
                run("raw_client", script.url.replace("/stream", path))
                script.thread.join(LIMIT)
                self.assertEqual(script.request.split(b" ")[1].decode(), target)


class Bodies(Client):
    def test_that_end_with_the_connection(self):
        self.shows(head() + STREAM)

    def test_byte_by_byte(self):
        self.shows(*(bytes([byte]) for byte in head() + STREAM))

    def test_with_a_length(self):
        self.shows(head(TYPE + b"Content-Length: %d\r\n" % len(STREAM)) + STREAM + b"d\n\ndata: beyond\n\n")

    def test_with_a_length_of_nothing(self):
        result = run_client([head(TYPE + b"Content-Length: 0\r\n")])
        self.assertEqual((result.returncode, result.stdout), (0, b""))

    def test_in_one_chunk(self):
        self.shows(CHUNKED + chunk(STREAM) + LAST_CHUNK)

    def test_with_each_byte_in_a_chunk_of_its_own(self):
        self.shows(CHUNKED + b"".join(chunk(bytes([byte])) for byte in STREAM) + LAST_CHUNK)

    def test_with_each_byte_in_a_chunk_and_a_packet_of_its_own(self):
        whole = CHUNKED + b"".join(chunk(bytes([byte])) for byte in STREAM) + LAST_CHUNK
        self.shows(*(bytes([byte]) for byte in whole))

    def test_with_chunk_extensions_and_a_trailer(self):
        self.shows(CHUNKED + chunk(STREAM[:9], b";name=value") + chunk(STREAM[9:40], b' ; x="y z"') +
                   b"000%X;q\r\n" % len(STREAM[40:]) + STREAM[40:] + b"\r\n" + b"00;end\r\nX-Sum: 1\r\nY: 2\r\n\r\n")

    def test_end_with_the_last_chunk(self):
        self.shows(CHUNKED + chunk(STREAM) + LAST_CHUNK + b"\n\ndata: beyond\n\n")


class BrokenBodies(Client):
    def test_chunk_sizes(self):
        for size in [b"", b"x", b"-1", b"+1", b" 1", b"0x1", b"1 ", b"1 1", b"1\t", b"10000000000000000", b"1,2"]:
            with self.subTest(size):
                self.fails("bad chunk size", CHUNKED + chunk(b"data: a\n\n") + size + b"\r\n", shown="message\n  a\n")

    def test_a_chunk_that_is_never_whole(self):
        self.fails("cut off", CHUNKED + b"FFFFFFFFFFFFFFFF\r\n" + b"data: a\n\n", shown="message\n  a\n")

    def test_lines_without_their_cr(self):
        self.fails("without CR", CHUNKED + b"1\nx\r\n")
        self.fails("control character", CHUNKED + b"1\rx\r\n")

    def test_a_chunk_longer_than_its_size(self):
        self.fails("longer than its size", CHUNKED + b"1\r\nxy\r\n0\r\n\r\n")

    def test_lines_without_end(self):
        self.fails("too long a line", CHUNKED + b"1;" + b"x" * 1_000_000)
        self.fails("too long a trailer", CHUNKED + b"0\r\n" + b"X: y\r\n" * 200_000)

    def test_a_bad_trailer(self):
        self.fails("bad trailer", CHUNKED + b"0\r\ndata\r\n\r\n")

    def test_that_are_cut_off(self):
        whole = CHUNKED + chunk(b"data: a\n\n") + LAST_CHUNK
        for end in [len(CHUNKED), len(CHUNKED) + 1, len(CHUNKED) + 5, len(whole) - 7, len(whole) - 5, len(whole) - 1]:
            with self.subTest(end):
                result = run_client([whole[:end]])
                self.assertEqual(result.returncode, 1)
                self.assertEqual(result.stderr, b"raw_client: the stream was cut off\n")
        self.fails("cut off", head(TYPE + b"Content-Length: 10\r\n") + b"data: a\n\n", shown="message\n  a\n")

    def test_framing_that_contradicts_itself(self):
        length, chunked = b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n"
        for fields in [length + chunked, length + length, chunked + chunked]:
            self.fails("in two ways", head(TYPE + fields) + b"data: a\n\n")
        self.fails("Content-Length", head(TYPE + b"Content-Length: -1\r\n"))
        self.fails("Content-Length", head(TYPE + b"Content-Length: 1x\r\n"))
        self.fails("transfer coding", head(TYPE + b"Transfer-Encoding: gzip, chunked\r\n"))


class Heads(Client):
    def test_types_that_are_an_event_stream(self):
        for kind in [b"text/event-stream", b"TEXT/Event-Stream", b"text/event-stream; charset=utf-8",
                     b"text/event-stream ;x", b"  text/event-stream;"]:
            with self.subTest(kind):
                self.shows(head(b"CONTENT-type:" + kind + b"\r\n") + STREAM)

    def test_after_interim_answers(self):
        interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        self.shows(b"HTTP/1.1 100 Continue\r\n\r\n" + interim + head() + STREAM)
        self.fails("too long a head", interim * 2000)

    def test_types_that_are_not(self):
        """Among them format-mime-bogus of web-platform-tests; format-mime-valid-bogus is above: parameters count not."""
        for kind in [b"text/html", b"text/event-streams", b"x; text/event-stream", b"",
                     b"text/event-stream, text/html"]:
            with self.subTest(kind):
                self.fails("other than text/event-stream", head(b"Content-Type: " + kind + b"\r\n") + STREAM)
        self.fails("other than text/event-stream", head(b"") + STREAM)

    def test_other_statuses(self):
        for status in [b"204 No Content", b"301 Moved", b"404 Not Found", b"500 \x1b[31m", b"503"]:
            with self.subTest(status):
                if b"\x1b" in status:
                    self.fails("broken head", head(status=status) + STREAM)
                else:
                    self.fails(f"answered {status[:3].decode()}, not 200", head(status=status) + STREAM)

    def test_what_is_not_http(self):
        for answer in [b"hello\r\n\r\n", b"\r\n\r\n", b"HTTP/1.1\r\n\r\n",
                       b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"]:
            with self.subTest(answer):
                self.fails("does not speak", answer)
        self.fails("broken head", head(b"no colon\r\n"))
        self.fails("before it answered", b"HTTP/1.1 200 OK\r\n")
        self.fails("before it answered")

    def test_a_huge_head(self):
        self.fails("too long a head", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000)


class TheProgram(unittest.TestCase):
    def complains(self, status, pattern, *arguments):
        result = run("raw_client", *arguments)
        self.assertEqual((result.returncode, result.stdout), (status, b""))
        hint = r"Try 'raw_client --help'\.\n" if status == 2 else ""
        self.assertRegex(result.stderr.decode(), rf"\Araw_client: [^\n]*{pattern}[^\n]*\n{hint}\Z")

    def test_nobody_listens(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # and does not listen
            port = unused.getsockname()[1]
            self.complains(1, rf"cannot connect to 127\.0\.0\.1:{port}: .*refused", f"http://127.0.0.1:{port}/")

    def test_a_host_that_is_none(self):
        self.complains(1, "cannot resolve nowhere", "http://nowhere.invalid/")

    def test_bad_command_lines(self):
        for arguments in [[], ["https://x/"], ["x"], [""], ["http://"], ["http:///x"], ["http://x:/"], ["http://x:y/"],
                          ["http://x:123456/"], ["http://x:65536/"], ["http://x:0/"], ["http://x:-1/"], ["http://u@x/"], ["http://[::1/"], ["http://[::1]x/"], ["http://x/a b"],
                          ["http://x/\r\nA: b"], ["http://x/", "http://y/"], ["--bogus"],
                          ["http://x/", "--last-event-id"],
                          ["--last-event-id", "1\r\nX: y", "http://x/"], ["--last-event-id", "a\x7f", "http://x/"],
                          ["--last-event-id", "\t", "http://x/"]]:
            with self.subTest(arguments):
                self.assertEqual(run("raw_client", *arguments).returncode, 2)
        self.complains(2, "'https://x/' does not start with http://", "https://x/")
        self.complains(2, "--last-event-id has a control character", "--last-event-id", "1\n", "http://x/")

    def test_shows_each_event_as_it_comes(self):
        ready = threading.Event()

        def parts():
            yield head() + b"id: 1\ndata: first\n\ndata: sec"
            ready.wait(LIMIT)
            yield b"ond\n\n"

        with Script() as script:
            script.parts = parts()
            with Process("raw_client", script.url) as client:
                client.wait_for_line("^  first$")
                ready.set()
                client.wait_for_line("^  second$")
                self.assertEqual(client.process.wait(LIMIT), 0)

    def test_does_not_print_into_its_own_connection(self):
        """With standard output closed, the socket would get its number."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(LIMIT)
            client = subprocess.Popen(
                ["sh", "-c", 'exec "$0" "$1" >&-', program("raw_client"),
                 f"http://127.0.0.1:{listener.getsockname()[1]}/"], stderr=subprocess.PIPE)
            self.addCleanup(client.communicate)
            self.addCleanup(client.kill)
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(LIMIT)
                connection.sendall(head() + STREAM)
                connection.shutdown(socket.SHUT_WR)
                received = b""
                while part := connection.recv(65536):
                    received += part
        self.assertTrue(received.endswith(b"\r\n\r\n"), received)
        self.assertEqual((client.wait(LIMIT), client.stderr.read()), (0, b""))

    def test_an_id_that_is_not_utf_8_does_no_harm_on_a_terminal(self):
        with Script(head() + STREAM) as script:
            status, _ = run_on_terminal("raw_client", "--last-event-id", b"\xff" + b"\x80" * 40, script.url)[:2]
        self.assertEqual(status, 0)

    def test_ends_quietly_when_nobody_reads_it(self):
        stop = threading.Event()

        def parts():
            yield head()
            while not stop.is_set():
                yield b"data: x\n\n"

        with Script() as script:
            script.parts = parts()
            client = subprocess.Popen([program("raw_client"), script.url],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual(client.stdout.readline(), b"message\n")
            client.stdout.close()
            try:
                self.assertEqual(client.wait(LIMIT), 0)
                self.assertEqual(client.stderr.read(), b"")
            finally:
                stop.set()
                client.kill()
                client.wait()
                client.stderr.close()

    def test_comments_are_dim_on_a_terminal_and_nothing_there_is_obeyed(self):
        with Script(head() + b": c\x1b[2J\n\nevent: t\nid: 1\ndata: \x1b]0;x\x07\n\n") as script:
            status, written = run_on_terminal("raw_client", script.url)
        self.assertEqual(status, 0)
        self.assertEqual(written, "\x1b[2m: c\\u001b[2J\x1b[m\n"
                                  "\x1b[1;36mt\x1b[m\x1b[2m  1\x1b[m\n  \\u001b]0;x\\u0007\n")


if __name__ == "__main__":
    unittest.main()
