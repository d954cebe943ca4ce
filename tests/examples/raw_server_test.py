"""raw_server, over the network."""

import contextlib
import re
import resource
import signal
import socket
import struct
import subprocess
import unittest

from support import LIMIT, Process, Server, Stream, defaults, is_sanitized, memory, program, read_all, run, wait_until

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def status(answer):
    return int(re.match(rb"HTTP/1\.1 (\d{3}) ", answer)[1])


def reset(connection):
    """Closes with a reset, as a program that crashes may."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class TheStream(unittest.TestCase):
    def test_has_the_head_that_event_streams_need(self):
        with Server() as server, Stream(server) as stream:
            first, *fields = stream.head.split("\r\n")
            self.assertEqual(first, "HTTP/1.1 200 OK")
            fields = dict(field.split(": ", 1) for field in fields)
            self.assertEqual(fields["Content-Type"], "text/event-stream")
            self.assertEqual(fields["X-Accel-Buffering"], "no")
            self.assertEqual(fields["Access-Control-Allow-Origin"], "*")
            self.assertIn("no-cache", fields["Cache-Control"])

    def test_begins_with_a_comment_and_connecttime_then_counts(self):
        with Server("--tick", "20", "--retry", "4321") as server, Stream(server) as stream:
            self.assertRegex(stream.block(), rf"\A: [^\n]+\nevent: connecttime\nretry: 4321\ndata: {TIME}\Z")
            blocks = [stream.block() for _ in range(4)]
            self.assertEqual(blocks[0], "event: clients\ndata: 1")
            for number, block in enumerate(blocks[1:], 1):
                self.assertRegex(block, rf"\Aid: {number}\ndata: {TIME}\Z")

    def test_begins_before_the_first_tick(self):
        with Server("--tick", "3600000") as server, Stream(server) as stream:
            self.assertIn("retry: 10000\n", stream.block())

    def test_goes_on_after_last_event_id(self):
        with Server("--tick", "20") as server, Stream(server, "last-event-id:  41 ") as stream:
            self.assertEqual(stream.block_with("^event: resumed$"), "event: resumed\ndata: 41")
            self.assertRegex(stream.block_with("^id: "), rf"\Aid: 42\ndata: {TIME}\Z")

    def test_begins_anew_after_an_id_that_is_none_of_its_own(self):
        with Server("--tick", "20") as server:
            for last_id in ["x", "12x", "-1", "", "99999999999999999999999"]:
                with self.subTest(last_id), Stream(server, f"Last-Event-ID: {last_id}") as stream:
                    blocks = [stream.block()]
                    while not blocks[-1].startswith("id: "):
                        blocks.append(stream.block())
                    self.assertRegex(blocks[-1], r"\Aid: 1\n")
                    self.assertNotIn("resumed", "".join(blocks))

    def test_tells_each_client_how_many_there_are(self):
        with Server() as server, Stream(server) as first:
            first.block_with("^event: clients\ndata: 1$")
            with Stream(server) as second:
                second.block_with("^event: clients\ndata: 2$")
                first.block_with("^event: clients\ndata: 2$")
            first.block_with("^event: clients\ndata: 1$")
            server.wait_for_line(r"came, 1 listening$")
            server.wait_for_line(r"came, 2 listening$")
            server.wait_for_line(r"left, 1 listening$")

    def test_is_read_by_curl(self):
        with Server("--tick", "20") as server:
            curl = subprocess.Popen(["curl", "-sN", "--max-time", str(LIMIT), f"{server.url}/stream"],
                                    stdout=subprocess.PIPE, text=True)
            try:
                lines = []
                while "id: 2\n" not in lines:
                    lines.append(curl.stdout.readline())
                    self.assertTrue(lines[-1], lines)
                self.assertIn("event: connecttime\n", lines)
                self.assertLess(lines.index("id: 1\n"), lines.index("id: 2\n"))
            finally:
                curl.kill()
                curl.wait()
                curl.stdout.close()

    def test_is_read_by_sse_cat(self):
        with Server("--tick", "20") as server:
            with Process("sse-cat", "--last-event-id", "6", f"{server.url}/stream?from=test#x") as client:
                client.wait_for_line(r"^resumed  6$")
                client.wait_for_line(r"^message  7$")
                client.wait_for_line(r"^message  8$")
            server.wait_for_line("left(: connection lost)?, 0 listening$")  # lost if it left events unread


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.end)

    def get(self, path, method="GET", version="HTTP/1.1", fields="Host: x\r\n"):
        return self.server.exchange(f"{method} {path} {version}\r\n{fields}\r\n".encode())

    def test_the_page(self):
        head, body = self.get("/").split(b"\r\n\r\n", 1)
        self.assertEqual(status(head), 200)
        self.assertIn(b"\r\nContent-Type: text/html; charset=utf-8\r\n", head)
        self.assertEqual(int(re.search(rb"Content-Length: (\d+)", head)[1]), len(body))
        self.assertTrue(body.startswith(b"<!DOCTYPE html>\n"))
        self.assertIn(b"new EventSource", body)
        self.assertTrue(body.endswith(b"</html>\n"))

    def test_what_is_not_there(self):
        for path in ["/nothing", "/stream/", "/stream2", "//", "/index.html", "/.."]:
            with self.subTest(path):
                self.assertEqual(status(self.get(path)), 404)

    def test_other_methods(self):
        for method in ["POST", "PUT", "get", "OPTIONS"]:
            for path in ["/", "/stream"]:
                with self.subTest(method=method, path=path):
                    answer = self.get(path, method)
                    self.assertEqual(status(answer), 405)
                    self.assertIn(b"\r\nAllow: GET, HEAD\r\n" if path == "/" else b"\r\nAllow: GET\r\n", answer)

    def test_answers_to_head_have_no_body(self):
        for path, code in [("/", 200), ("/stream", 405), ("/nothing", 404)]:
            with self.subTest(path):
                answer = self.get(path, "HEAD")
                self.assertEqual(status(answer), code)
                self.assertRegex(answer, rb"\r\nContent-Length: [1-9]\d*\r\n")
                self.assertTrue(answer.endswith(b"\r\n\r\n"), answer)

    def test_http_1_0_needs_no_host(self):
        self.assertEqual(status(self.get("/", version="HTTP/1.0", fields="")), 200)

    def test_requests_that_are_none(self):
        for request in [
            b"hello\r\n\r\n", b"\r\n" * 5, b"GET /\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n",
            b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / /x HTTP/1.1\r\nHost: x\r\n\r\n", b"GET x HTTP/1.1\r\nHost: x\r\n\r\n",
            b"G(T / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",                                # no Host
            b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",          # two
            b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",                    # a space before the colon
            b"GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\n folded\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\rA: 1\r\n\r\n",               # CR alone
            bytes(range(256)) + b"\r\n\r\n",
        ]:
            with self.subTest(request):
                self.assertEqual(status(self.server.exchange(request)), 400)

    def test_lines_may_end_with_lf_alone(self):
        self.assertEqual(status(self.server.exchange(b"GET / HTTP/1.1\nHost: x\n\n")), 200)

    def test_a_request_may_come_byte_by_byte(self):
        with self.server.connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n":
                connection.sendall(bytes([byte]))
            self.assertEqual(status(read_all(connection)), 404)

    def test_a_head_may_have_8_kib_and_no_more(self):
        def head(size):
            start, end = b"GET /nothing HTTP/1.1\r\nHost: x\r\nX: ", b"\r\n\r\n"
            return start + b"x" * (size - len(start) - len(end)) + end

        self.assertEqual(status(self.server.exchange(head(8192))), 404)
        self.assertEqual(status(self.server.exchange(head(8193))), 431)
        self.assertEqual(status(self.server.exchange(b"x" * 8193)), 431)
        self.assertEqual(status(self.server.exchange(head(1_000_000))), 431)  # not lost in a reset


class Clients(unittest.TestCase):
    def test_half_a_request_is_dropped_and_holds_nobody_up(self):
        with Server("--tick", "20", "--patience", "300") as server, contextlib.ExitStack() as stack:
            halves = [stack.enter_context(server.connect()) for _ in range(20)]
            for number, half in enumerate(halves):
                half.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n"[:number])
            with Stream(server) as stream:
                stream.block_with("^id: 3$")
            for half in halves:
                self.assertEqual(half.recv(1), b"")

    def test_a_listener_is_not_dropped_for_its_patience(self):
        with Server("--tick", "20", "--patience", "100") as server, Stream(server) as stream:
            stream.block_with("^id: 20$")

    def test_200_at_once(self):
        with Server("--tick", "50") as server, contextlib.ExitStack() as stack:
            streams = [stack.enter_context(Stream(server)) for _ in range(200)]
            for stream in streams:
                stream.block_with("^event: clients\ndata: 200$")
                stream.block_with("^id: ")
            for stream in streams[1:]:
                stream.close()
            streams[0].block_with("^event: clients\ndata: 1$")

    def test_their_requests_leave_no_memory_behind(self):
        if is_sanitized("raw_server"):
            self.skipTest("what is freed stays for a while")
        with Server("--tick", "3600000") as server, contextlib.ExitStack() as stack:
            stack.enter_context(Stream(server))
            before = memory(server)
            for _ in range(400):
                stack.enter_context(Stream(server, "X: " + "x" * 7000))
            self.assertLess(memory(server) - before, 1600)  # KiB: half of what they sent

    def test_those_that_leave_are_noticed_however_they_leave(self):
        with Server("--tick", "5") as server, Stream(server) as witness:
            for leave in [Stream.close, lambda stream: reset(stream.connection),
                          lambda stream: stream.connection.shutdown(socket.SHUT_WR)]:
                stream = Stream(server)
                stream.connection.recv(1)  # in the middle of an event
                witness.block_with("^event: clients\ndata: 2$")
                leave(stream)
                witness.block_with("^event: clients\ndata: 1$")
                stream.close()

    def test_one_that_never_reads_is_dropped_and_holds_nobody_up(self):
        with Server("--tick", "1") as server, Stream(server) as witness, socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.settimeout(LIMIT)
            deaf.connect(("127.0.0.1", server.port))
            deaf.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            witness.block_with("^event: clients\ndata: 2$")
            witness.block_with("^event: clients\ndata: 1$")
            server.wait_for_line("left: does not read, 1 listening$")

    def test_one_that_sends_without_end_is_heard_out_for_a_while_only(self):
        with Server("--patience", "300") as server, server.connect() as connection:
            connection.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")

            def refused():
                try:
                    connection.sendall(b"more")
                except ConnectionError:
                    return True

            wait_until(refused, "the end of the connection")

    def test_without_descriptors_clients_wait(self):
        if is_sanitized("raw_server", b"__ubsan_handle"):
            self.skipTest("UBSan needs descriptors for its checks")

        def few_descriptors():
            resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))

        with Server("--tick", "20", preexec_fn=few_descriptors) as server, contextlib.ExitStack() as stack:
            connections = [stack.enter_context(server.connect()) for _ in range(30)]
            for connection in connections:
                connection.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: server.errors, "a complaint")
            first, last = connections[0], connections[-1]
            self.assertTrue(first.recv(1))
            for connection in connections[:-1]:
                connection.close()
            self.assertTrue(last.recv(1))
            self.assertRegex(server.errors[0], "^raw_server: clients must wait: .")
            self.assertLess(len(server.errors), 60)  # one a second; it would be thousands if it span


class TheProgram(unittest.TestCase):
    def test_ends_well_on_signals(self):
        for number in [signal.SIGTERM, signal.SIGINT]:
            with self.subTest(number), Server("--tick", "3600000") as server, Stream(server):
                self.assertEqual(server.end(number), 0)
                self.assertEqual(server.errors, [])

    def test_a_port_in_use(self):
        with Server() as server:
            result = run("raw_server", "--port", str(server.port))
            self.assertEqual(result.returncode, 1)
            self.assertEqual(result.stdout, b"")
            self.assertRegex(result.stderr.decode(),
                             rf"\Araw_server: cannot listen on 127\.0\.0\.1:{server.port}: [^\n]+\n\Z")

    def test_the_port_can_be_used_again_at_once(self):
        with Server() as server, Stream(server):
            port = server.port
            server.end()
            with Server(port=port) as successor, Stream(successor) as stream:
                stream.block()

    def test_serves_on_where_nobody_reads_what_it_says(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        deaf = subprocess.Popen([program("raw_server"), "--port", str(port)], stdout=subprocess.PIPE)
        self.addCleanup(deaf.stdout.close)
        self.addCleanup(deaf.wait)
        self.addCleanup(deaf.kill)
        self.assertTrue(deaf.stdout.readline())
        for _ in range(1500):  # two lines each: more than a pipe holds
            with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as client:
                client.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertTrue(client.recv(1))
        deaf.terminate()
        self.assertEqual(deaf.wait(LIMIT), 0)

    def test_bad_command_lines(self):
        for arguments in [["--port"], ["--port", "x"], ["--port", "65536"], ["--port=-1"], ["--port", ""],
                          ["--tick", "0"],
                          ["--tick", "1s"], ["--retry", "99999999999999999999"], ["--bogus"], ["-p", "1"], ["operand"],
                          ["--help=yes"]]:
            with self.subTest(arguments):
                result = run("raw_server", *arguments)
                self.assertEqual(result.returncode, 2)
                self.assertEqual(result.stdout, b"")
                self.assertRegex(result.stderr.decode(), r"\Araw_server: [^\n]+\nTry 'raw_server --help'\.\n\Z")

    def test_a_host_that_is_none(self):
        result = run("raw_server", "--port", "0", "--host", "999.0.0.1.invalid")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr.decode(), r"\Araw_server: cannot resolve 999[^\n]+\n\Z")

    def test_help(self):
        self.assertEqual(defaults("raw_server"), {"--host": "127.0.0.1", "--port": "8080", "--tick": "1000",
                                                  "--retry": "10000", "--patience": "10000"})


if __name__ == "__main__":
    unittest.main()
