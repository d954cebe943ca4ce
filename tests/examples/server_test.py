"""server: what comes on standard input goes to everybody."""

import contextlib
import resource
import signal
import socket
import subprocess
import unittest

from support import Server, Subscriber, is_sanitized, run


class LineServer(Server):
    name = "server"

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, stdin=subprocess.PIPE, **options)

    def publish(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end_input(self):
        self.process.stdin.close()

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        with contextlib.suppress(BrokenPipeError):
            self.end_input()


class Events(unittest.TestCase):
    def test_each_line_is_one_for_everybody(self):
        with LineServer() as server, Subscriber(server.port) as first, Subscriber(server.port) as second:
            server.publish("one\n\nthr")
            server.publish("ee\n")
            for each in [first, second]:
                self.assertEqual(each.data(3), ["one", "", "three"])

    def test_the_last_line_needs_no_end(self):
        with LineServer() as server, Subscriber(server.port) as subscriber:
            server.publish("one\ntwo")
            server.end_input()
            self.assertEqual([event.data for event in subscriber.events()], ["one", "two"])

    def test_a_long_line_comes_whole(self):
        with LineServer() as server, Subscriber(server.port) as subscriber:
            server.publish("x" * 1_000_000 + "\nnext\n")
            self.assertEqual(subscriber.data(2), ["x" * 1_000_000, "next"])

    def test_who_comes_back_gets_what_it_has_missed(self):
        with LineServer() as server:
            with Subscriber(server.port) as subscriber:
                server.publish("one\n")
                subscriber.data()
            server.publish("two\nthree\n")
            with Subscriber(server.port, last_id=subscriber.last_id) as again:
                server.publish("four\n")
                self.assertEqual(again.data(3), ["two", "three", "four"])

    def test_one_that_reads_nothing_holds_nobody_up(self):
        with LineServer() as server, Subscriber(server.port) as witness, Subscriber(server.port, is_deaf=True):
            for _ in range(30):
                server.publish("x" * 1_000_000 + "\n")  # more than the log and the kernel hold
                witness.data()


class Answers(unittest.TestCase):
    def test_the_stream_has_the_head_that_event_streams_need(self):
        with LineServer() as server, Subscriber(server.port) as subscriber:
            self.assertEqual(subscriber.answer.getheader("Content-Type"), "text/event-stream")
            self.assertIn("no-cache", subscriber.answer.getheader("Cache-Control"))
            self.assertIsNone(subscriber.answer.getheader("Access-Control-Allow-Origin"))
            self.assertIn("retry: 2000", subscriber.first)

    def test_nothing_else_is_there(self):
        with LineServer() as server:
            for request, status in [
                (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
                (b"GET /eventsx HTTP/1.1\r\nHost: x\r\n\r\n", 404),
                (b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", 404),
                (b"GET /events HTTP/1.1\r\n\r\n", 400),  # no Host
                (b"hello\r\n\r\n", 400),
                (b"GET /" + b"x" * 1_000_000, 400),  # and the answer is not lost in a reset
            ]:
                with self.subTest(request[:40]):
                    self.assertTrue(server.exchange(request).startswith(b"HTTP/1.1 %d " % status))

    def test_a_request_may_come_byte_by_byte(self):
        with LineServer() as server, server.connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n":
                connection.sendall(bytes([byte]))
            self.assertTrue(connection.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n"))


class TheEnd(unittest.TestCase):
    def test_comes_with_the_end_of_input_and_by_signals(self):
        for end in [LineServer.end_input, lambda server: server.process.send_signal(signal.SIGTERM),
                    lambda server: server.process.send_signal(signal.SIGINT)]:
            with LineServer() as server, Subscriber(server.port) as subscriber, server.connect() as silent:
                silent.sendall(b"GET /ev")  # is not waited for
                server.publish("one\n")
                self.assertEqual(subscriber.data(), ["one"])
                end(server)
                farewell = subscriber.block()
                self.assertRegex("\n".join(farewell), r"\Aretry: \d{4,5}\Z")
                self.assertIsNone(subscriber.block())
                self.assertEqual(server.wait(), 0)
                self.assertEqual(server.errors, [])


class TheProgram(unittest.TestCase):
    def test_without_descriptors_clients_wait(self):
        if is_sanitized("server", b"__ubsan_handle"):
            self.skipTest("UBSan needs descriptors for its checks")

        def few_descriptors():
            resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))

        with LineServer(preexec_fn=few_descriptors) as server, contextlib.ExitStack() as stack:
            connections = [stack.enter_context(server.connect()) for _ in range(30)]
            for connection in connections:
                connection.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertTrue(connections[0].recv(1))

            def ticks():
                with open(f"/proc/{server.process.pid}/stat") as file:
                    return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))

            for connection in connections[:-1]:
                connection.close()
            self.assertTrue(connections[-1].recv(1))
            self.assertLess(ticks(), 50)  # half a second: it does not spin

    def test_a_port_in_use(self):
        with LineServer() as server:
            result = run("server", "--port", str(server.port), stdin=subprocess.DEVNULL)
            self.assertEqual((result.returncode, result.stdout), (1, b""))
            self.assertRegex(result.stderr.decode(), r"\Aserver: cannot listen on [^\n]+\n\Z")

    def test_command_lines(self):
        for arguments in [["--port"], ["--port", "x"], ["--port", "65536"], ["--bogus"], ["operand"]]:
            with self.subTest(arguments):
                result = run("server", *arguments, stdin=subprocess.DEVNULL)
                self.assertEqual((result.returncode, result.stdout), (2, b""))
                self.assertRegex(result.stderr.decode(), r"\Aserver: [^\n]+\nTry 'server --help'\.\n\Z")
        result = run("server", "--help")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertTrue(result.stdout.startswith(b"usage: server [--port N]\n"))


if __name__ == "__main__":
    unittest.main()
