"""live_server, over the network."""

import collections
import contextlib
import http.client
import itertools
import json
import os
import random
import re
import resource
import select
import signal
import socket
import subprocess
import threading
import time
import unittest

from support import (LIMIT, LiveServer, Process, Subscriber, chunk, defaults, is_sanitized, memory, program,
                     reset, run, wait_until)

HOST = b"Host: localhost\r\n"
ID = r"[0-9a-f]{12}-\d+"
NEVER = str(24 * 60 * 60 * 1000)  # in milliseconds: longer than any test

Answer = collections.namedtuple("Answer", "status fields body")


def get(target, fields=b"", method=b"GET", host=HOST):
    return method + b" " + target + b" HTTP/1.1\r\n" + host + fields + b"\r\n"


def post(body, target=b"/publish", fields=b""):
    return get(target, b"Content-Length: %d\r\n" % len(body) + fields, b"POST") + body


def chunked(*bodies, target=b"/publish"):
    body = b"".join(map(chunk, bodies)) + b"0\r\n\r\n"
    return get(target, b"Transfer-Encoding: chunked\r\n", b"POST") + body


class Connection:
    """Says what a test wants, and reads one answer after the other."""

    def __init__(self, server, *requests):
        self.socket = server.connect()
        self.buffer = b""
        self.send(*requests)

    def send(self, *requests):
        self.socket.sendall(b"".join(requests))

    def _read(self):
        more = self.socket.recv(65536)
        if not more:
            raise AssertionError(f"the connection ended after {self.buffer!r}")
        self.buffer += more

    def until(self, end):
        while end not in self.buffer:
            self._read()
        found, _, self.buffer = self.buffer.partition(end)
        return found

    def answer(self, has_body=True):
        line, *fields = self.until(b"\r\n\r\n").decode().split("\r\n")
        fields = dict(field.split(": ", 1) for field in fields)
        size = int(fields.get("Content-Length", 0)) if has_body else 0
        while len(self.buffer) < size:
            self._read()
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return Answer(int(re.fullmatch(r"HTTP/1\.1 (\d{3}) [A-Za-z ]+", line)[1]), fields, body)

    def is_over(self):
        """Waits for more, or for the end."""
        return not self.buffer and not self.socket.recv(1)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@contextlib.contextmanager
def in_threads(calls):
    """Runs each function with its arguments; gives what they return, by the arguments, once all are done."""
    results, failures = {}, []

    def run(function, *arguments):
        try:
            results[arguments] = function(*arguments)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    yield results
    for thread in threads:
        thread.join(2 * LIMIT)
    if failures:
        raise failures[0]
    if len(results) != len(threads):
        raise AssertionError("a thread goes on for too long")


def position(id):
    return int(id.split("-")[1])


def missed(event):
    return json.loads(event.data)["missed"]


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def processor_time(server):
    with open(f"/proc/{server.process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def end_well(server):
    """It was alive, and has nothing to complain of; a sanitizer would."""
    status = server.end()
    if status != 0 or server.errors:
        raise AssertionError(f"{status} and {server.errors[:40]}")


class Case(unittest.TestCase):
    def start(self, *arguments, **options):
        server = self.enterContext(LiveServer(*arguments, **options))
        self.addCleanup(end_well, server)
        return server

    def subscribe(self, server, *arguments, **options):
        return self.enterContext(Subscriber(server.port, *arguments, **options))

    def connect(self, server, *requests):
        return self.enterContext(Connection(server, *requests))

    def expect_answers(self, server, request, *statuses):
        """The last one is the end of the connection."""
        with Connection(server, request) as client:
            answers = [client.answer() for _ in statuses]
            self.assertEqual([answer.status for answer in answers], list(statuses))
            self.assertEqual(answers[-1].fields.get("Connection"), "close")
            self.assertTrue(client.is_over())


class Answers(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = LiveServer()
        cls.addClassCleanup(end_well, cls.server)

    def test_the_page(self):
        answer, body = self.server.request("GET", "/")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.getheader("Content-Type"), "text/html; charset=utf-8")
        self.assertTrue(body.startswith(b"<!DOCTYPE html>\n"))
        self.assertTrue(body.endswith(b"</html>\n"))
        self.assertEqual(int(answer.getheader("Content-Length")), len(body))

    def test_answers_to_head_have_no_body(self):
        with Connection(self.server) as client:
            for path, status in [(b"/", 200), (b"/stats", 200), (b"/nothing", 404), (b"/events", 405)]:
                with self.subTest(path):
                    client.send(get(path, method=b"HEAD"))
                    answer = client.answer(has_body=False)
                    self.assertEqual(answer.status, status)
                    if status == 200:
                        self.assertGreater(int(answer.fields["Content-Length"]), 0)
            client.send(get(b"/nothing"))  # it would be found behind a body
            self.assertEqual(client.answer().status, 404)

    def test_what_is_not_there(self):
        for path in ["/nothing", "/events/", "/event", "/publishing", "//", "/..", "/?/events"]:
            with self.subTest(path):
                status = 200 if path.startswith("/?") else 404
                self.assertEqual(self.server.request("GET", path)[0].status, status)

    def test_other_methods(self):
        routes = {"/": "GET, HEAD", "/stats": "GET, HEAD", "/events": "GET", "/publish": "POST",
                  "/cut": "POST"}
        for path, allowed in routes.items():
            for method in ["GET", "HEAD", "POST", "PUT", "OPTIONS", "get", "GE", "OST", "T"]:
                if method in allowed.split(", "):
                    continue
                with self.subTest(path=path, method=method):
                    answer, _ = self.server.request(method, path)
                    self.assertEqual((answer.status, answer.getheader("Allow")), (405, allowed))

    def test_many_requests_on_one_connection(self):
        with Connection(self.server) as client:
            before = position(self.server.publish("before"))
            for number in range(20):
                client.send(post(b"x"))
                answer = client.answer()
                self.assertEqual(answer.status, 200)
                self.assertEqual(position(answer.body.decode()), before + 1 + number)
                self.assertNotIn("Connection", answer.fields)

    def test_many_requests_at_once(self):
        kinds = [(get(b"/nothing"), 404), (post(b"one\ntwo"), 200), (get(b"/stats"), 200),
                 (chunked(b"x", b"y"), 200), (get(b"/publish"), 405), (post(b"", b"/cut?client=nobody"), 204),
                 (b"\r\n" + post(b"z"), 200)]
        order = [kind for kind in kinds for _ in range(20)]
        random.Random(1).shuffle(order)
        with Connection(self.server) as client:
            client.send(*[request for request, _ in order])
            answers = [client.answer() for _ in order]
        self.assertEqual([answer.status for answer in answers], [status for _, status in order])
        ids = [position(answer.body.decode()) for answer in answers if re.fullmatch(rb"[0-9a-f]+-\d+\n", answer.body)]
        self.assertEqual(len(ids), 60)
        self.assertEqual(ids, list(range(ids[0], ids[0] + 60)))

    def test_many_requests_whose_answers_are_large(self):
        with Connection(self.server) as client:
            client.send(get(b"/") * 100)
            self.assertEqual([client.answer().status for _ in range(100)], [200] * 100)

    def test_a_stream_may_follow_other_answers(self):
        with Connection(self.server) as client:
            client.send(get(b"/nothing"), post(b"x"), get(b"/events"))
            self.assertEqual([client.answer().status for _ in range(3)], [404, 200, 200])
            client.until(b"\n\n")
            self.server.publish("then")
            self.assertTrue(client.until(b"\n\n").endswith(b"\ndata: then"))

    def test_who_keeps_the_connection(self):
        cases = [
            (b"HTTP/1.1", b"", True), (b"HTTP/1.1", b"Connection: close\r\n", False),
            (b"HTTP/1.1", b"Connection: Keep-Alive\r\n", True), (b"HTTP/1.0", b"", False),
        ]
        for version, fields, is_kept in cases:
            with self.subTest(version=version, fields=fields), Connection(self.server) as client:
                client.send(b"GET /nothing " + version + b"\r\n" + HOST + fields + b"\r\n")
                answer = client.answer()
                self.assertEqual(answer.fields.get("Connection"), None if is_kept else "close")
                if is_kept:
                    client.send(get(b"/stats"))
                    self.assertEqual(client.answer().status, 200)
                else:
                    self.assertTrue(client.is_over())

    def test_a_request_may_come_byte_by_byte(self):
        with Connection(self.server) as client, Subscriber(self.server.port) as stream:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in chunked(b"in", b"chunks"):
                client.send(bytes([byte]))
            self.assertEqual(client.answer().status, 200)
            self.assertEqual(stream.data(), ["inchunks"])

    def test_who_expects_a_hundred_is_told_to_go_on(self):
        with Connection(self.server) as client, Subscriber(self.server.port) as stream:
            for body in [b"first", b"second"]:
                fields = b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(body)
                client.send(get(b"/publish", fields, b"POST"))
                self.assertEqual(client.until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue")
                client.send(body)
                self.assertEqual(client.answer().status, 200)
            self.assertEqual(stream.data(2), ["first", "second"])

    def test_an_old_client_is_not_told_to_go_on(self):
        with Connection(self.server) as client:
            client.send(b"POST /publish HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx")
            self.assertEqual(client.answer().status, 200)


class Events(Case):
    def test_begin_with_head_comment_pause_and_id(self):
        server = self.start("--retry", "4321")
        server.publish("one")
        id = server.publish("two")
        client = self.connect(server, get(b"/events"))
        self.assertEqual(client.until(b"\r\n\r\n").split(b"\r\n"), [
            b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream", b"Cache-Control: no-cache, no-transform",
            b"X-Accel-Buffering: no", b"Connection: close"])
        first, *fields = client.until(b"\n\n").decode().split("\n")
        self.assertEqual(first, ":")
        self.assertEqual(sorted(fields), [f"id: {id}", "retry: 4321"])
        third = server.publish("a\nb", "note")
        self.assertEqual(client.until(b"\n\n").decode(), f"event: note\nid: {third}\ndata: a\ndata: b")
        fourth = server.publish("")
        self.assertEqual(client.until(b"\n\n").decode(), f"id: {fourth}\ndata: ")
        self.assertEqual([position(each) for each in [id, third, fourth]], [2, 3, 4])

    def test_of_some_types_only(self):
        server = self.start()
        types = ["tick", "notice", "message", "a b", "ä&=+%", "tick2"]
        queries = {
            "": types, "?type=tick": ["tick"], "?type=tick&type=notice": ["tick", "notice"],
            "?type=message": ["message"], "?type=a%20b": ["a b"], "?x=1&type=a+b&": ["a b"],
            "?%74ype=%C3%a4%26%3D%2b%25": ["ä&=+%"], "?types=tick": types, "?type=%": [],
            "?type=tic%6B": ["tick"],
        }
        streams = {query: self.subscribe(server, "/events" + query) for query in queries}
        for type in types:
            server.publish("x", type)
        for type in ["%", *types]:
            server.publish("end", type)
        for query, wanted in queries.items():
            with self.subTest(query):
                events = iter(streams[query].event, None)
                got = itertools.takewhile(lambda event: event.data != "end", events)
                self.assertEqual([event.type for event in got], wanted)

    def test_are_published_as_they_are_told(self):
        server = self.start()
        stream = self.subscribe(server)
        client = self.connect(server)
        body = (b"\xef\xbb\xbf: a comment\n\nevent: a\r\nid: mine\ndata: one\r\ndata: two\r\n\r\nretry: 5\n\n"
                b"data:three\n\ndata: cut off\n")
        is_stream = b"Content-Type: text/event-stream; charset=utf-8\r\n"
        for request, events in [
            (post("grüße\r\n".encode(), b"/publish?type=n%61me"), [("name", "grüße\n")]),
            (post(b"x", b"/publish?type=message"), [("message", "x")]),
            (post(b"data: x\n\n"), [("message", "data: x\n\n")]),
            (chunked(b"a", b"\n" * 3, b"b" * 100_000), [("message", "a\n\n\n" + "b" * 100_000)]),
            (post(body, fields=is_stream),
             [("a", "one\ntwo"), ("message", "three"), ("message", "cut off")]),
            (post(b"data: without an end", fields=is_stream), [("message", "without an end")]),
            (post(b"data: 1\n\n" * 1000, b"/publish?type=x", is_stream), [("message", "1")] * 1000),
        ]:
            with self.subTest(request[:100]):
                client.send(request)
                got = [stream.event() for _ in events]
                self.assertEqual([(event.type, event.data) for event in got], events)
                answer = client.answer()
                self.assertEqual(answer.status, 200)
                self.assertRegex(answer.fields["Content-Type"], "^text/plain")
                self.assertEqual(answer.body.decode(), got[-1].id + "\n")
                self.assertRegex(got[-1].id, rf"\A{ID}\Z")
        self.assertEqual(position(stream.last_id), 1008)

    def test_are_refused_where_they_cannot_be_sent_and_the_log_stays(self):
        server = self.start("--bytes", "8192")
        stream = self.subscribe(server)
        client = self.connect(server)
        one_fits = b"data: fits\n\ndata: " + b"x" * 10_000 + b"\n\n"
        is_stream = b"Content-Type: text/event-stream\r\n"
        for request, status in [
            (post(b"x", b"/publish?type=a%0Adata:%20forged"), 400), (post(b"x", b"/publish?type=a%0d"), 400),
            (post(b"", fields=is_stream), 400), (post(b": nothing\n\nid: 7\n\n", fields=is_stream), 400),
            (post(b"x", b"/publish?type=gap"), 403), (post(b"x", b"/publish?type=drain"), 403),
            (post(b"data: fits\n\nevent: drain\ndata\n\n", fields=is_stream), 403),
            (post(b"x" * 10_000), 413), (post(one_fits, fields=is_stream), 413),
            (post(b"\n" * 1000), 413), (post(b"data\n\n" * 1001, fields=is_stream), 413),
        ]:
            client.send(request)
            answer = client.answer()
            self.assertEqual(answer.status, status, request)
            self.assertRegex(answer.body, rb"\A[^\n]+\n\Z")
        self.assertEqual(server.stats()["published"], 0)
        self.assertEqual(position(server.publish("after")), 1)
        self.assertEqual(stream.data(), ["after"])

    def test_one_request_leaves_nobody_behind(self):
        server = self.start("--events", "50")
        stream = self.subscribe(server)
        client = self.connect(server)
        for count, status in [(51, 413), (50, 200)]:
            client.send(post(b"data\n\n" * count, fields=b"Content-Type: text/event-stream\r\n"))
            self.assertEqual(client.answer().status, status)
        self.assertEqual([stream.event().data for _ in range(50)], [""] * 50)
        self.assertEqual(server.stats()["fell_behind"], 0)

    def test_bounds_of_a_subscription(self):
        server = self.start()
        longest = "y" * 64
        stream = self.subscribe(server, "/events?client=" + "x" * 32 + 15 * "&type=a" + "&type=" + longest)
        server.publish("1", longest)
        self.assertEqual(stream.data(), ["1"])
        for query in ["client=" + "x" * 33, 17 * "&type=a", "type=a&type=" + longest + "y"]:
            self.assertEqual(server.request("GET", "/events?" + query)[0].status, 400)
        is_stream = {"Content-Type": "text/event-stream"}
        for target, body, fields in [("/publish?type=y" + longest, b"x", {}),
                                     ("/publish", b"data: 2\n\nevent: y%s\ndata\n\n" % longest.encode(), is_stream)]:
            answer, text = server.request("POST", target, body, fields)
            self.assertEqual((answer.status, text), (400, b"too long a type\n"))
        self.assertEqual(server.stats()["published"], 1)

    def test_go_to_pages_of_other_origins_that_are_named(self):
        fields = ["Access-Control-Allow-Origin", "Vary", "Access-Control-Allow-Credentials"]
        for options, origin, expected in [
            ([], "https://a.example", [None, None]),
            (["--origin", "https://a.example", "--origin", "https://b.example"], "https://b.example",
             ["https://b.example", "Origin"]),
            (["--origin", "https://a.example"], "https://b.example", [None, "Origin"]),
            (["--origin", "https://a.example"], None, [None, "Origin"]),
            (["--origin", "*"], "https://b.example", ["*", None]),
        ]:
            with self.subTest(options=options, origin=origin):
                server = self.start(*options)
                lines = f"Origin: {origin}\r\n".encode() if origin else b""
                answer = self.connect(server, get(b"/events", lines)).answer()
                self.assertEqual([answer.fields.get(field) for field in fields], [*expected, None])

    def test_come_from_pages_of_other_origins_that_are_named_only(self):
        server = self.start("--origin", "https://a.example")
        own = f"http://127.0.0.1:{server.port}"
        welcome = [None, own, own.replace("http:", "https:"), "https://a.example"]  # TLS may end before it
        for origin in [*welcome, "https://b.example", "null", "", "http://127.0.0.1:1", own + "0",
                       own.replace("//", "//x")]:
            with self.subTest(origin):
                fields = {} if origin is None else {"Origin": origin}
                for target, status in [("/publish", 200), ("/cut?client=x", 204)]:
                    answer, _ = server.request("POST", target, b"x", fields)
                    self.assertEqual(answer.status, status if origin in welcome else 403)
                    is_named = origin == "https://a.example" and status == 200
                    self.assertEqual(answer.headers["Access-Control-Allow-Origin"], origin if is_named else None)
        self.assertEqual(server.stats()["published"], len(welcome))
        answer, _ = server.request("GET", "/stats", fields={"Origin": "https://b.example"})
        self.assertEqual(answer.status, 200)

    def test_come_from_no_page_of_another_site(self):
        """The browser says where a request comes from, be there an Origin or not."""
        server = self.start("--origin", "https://a.example")
        own = f"http://127.0.0.1:{server.port}"
        cases = [(origin, site, origin in [None, own] and site in [None, "same-origin", "none"])
                 for origin in [None, own, "null", "https://b.example"]
                 for site in [None, "same-origin", "none", "same-site", "cross-site", "what will be", ""]]
        cases += [("https://a.example", site, True) for site in [None, "same-site", "cross-site"]]
        for origin, site, is_welcome in cases:
            fields = {"Origin": origin, "Sec-Fetch-Site": site}
            fields = {name: value for name, value in fields.items() if value is not None}
            for target, status in [("/publish", 200), ("/cut?client=x", 204)]:
                with self.subTest(target=target, origin=origin, site=site):
                    answer, _ = server.request("POST", target, b"x", fields)
                    self.assertEqual(answer.status, status if is_welcome else 403)
        self.assertEqual(server.stats()["published"], sum(is_welcome for *_, is_welcome in cases))
        answer, _ = server.request("GET", "/", fields={"Sec-Fetch-Site": "cross-site"})  # by a link
        self.assertEqual(answer.status, 200)
        anybody = self.start("--origin", "*")
        for origin in [{}, {"Origin": "https://b.example"}]:
            answer, _ = anybody.request("POST", "/publish", b"x", origin | {"Sec-Fetch-Site": "cross-site"})
            self.assertEqual(answer.status, 200)

    def test_come_from_the_ticker(self):
        server = self.start("--tick", "5")
        stream = self.subscribe(server, "/events?type=tick&type=stats")
        events = [stream.event() for _ in range(20)]
        ticks = [json.loads(event.data) for event in events if event.type == "tick"]
        first = ticks[0]["n"]
        self.assertEqual([tick["n"] for tick in ticks], list(range(first, first + len(ticks))))
        for tick in ticks:
            self.assertEqual(set(tick), {"n", "t", "value"})
            self.assertTrue(0 <= tick["value"] <= 100)
        self.assertEqual([tick["t"] for tick in ticks], sorted(tick["t"] for tick in ticks))
        self.assertGreater(ticks[0]["t"], 1_700_000_000_000)
        since_ever = self.subscribe(server, "/events?type=tick", "unknown")
        self.assertEqual(since_ever.event().type, "gap")
        self.assertEqual(json.loads(since_ever.data()[0])["n"], 1)
        while not (event := stream.event()).type == "stats":
            pass
        self.assertEqual(set(json.loads(event.data)), set(server.stats()))

    def test_hearts_beat_where_there_is_none(self):
        server = self.start("--heartbeat", "1", "--retry", "0")
        client = self.connect(server, get(b"/events"))
        self.assertIn(b"\nretry: 0", client.until(b"\n\n"))
        self.assertEqual(client.until(b"\n"), b":")


class Names(Case):
    """A page can have its own name lead to the server's address: only names that the server was given are served."""

    def status(self, server, host, version=b"HTTP/1.1", target=b"/stats"):
        fields = b"" if host is None else b"Host: %s\r\n" % host
        with Connection(server, b"GET " + target + b" " + version + b"\r\n" + fields + b"\r\n") as client:
            return client.answer().status

    def test_that_nobody_gave_are_refused_on_every_route(self):
        server = self.start()
        routes = [(b"GET", b"/"), (b"HEAD", b"/"), (b"GET", b"/events"), (b"GET", b"/stats"), (b"POST", b"/publish"),
                  (b"POST", b"/cut?client=x"), (b"GET", b"/nothing"), (b"PUT", b"/"), (b"GET", b"http://evil.example/")]
        for method, target in routes:
            with self.subTest(method=method, target=target):
                fields = b"Origin: http://evil.example\r\nContent-Length: 1\r\n" if method == b"POST" else b""
                host = HOST if b"//" in target else b"Host: evil.example\r\n"
                with Connection(server, get(target, fields, method, host)) as client:  # of the body nothing is awaited
                    answer = client.answer(has_body=method != b"HEAD")
                    self.assertEqual((answer.status, answer.fields["Connection"]), (421, "close"))
                    self.assertRegex(answer.fields["Content-Type"], "^text/plain;")
                    if method != b"HEAD":
                        self.assertRegex(answer.body, rb"\A[^\n]*--name evil\.example\n\Z")
                    self.assertTrue(client.is_over())
        self.assertEqual(server.stats()["published"], 0)

    def test_that_nobody_gave(self):
        server = self.start("--name", "Example.org", "--name", "b.example.")
        for host in [b"x", b"localhost.evil.example", b"127.0.0.1.evil.example", b"notlocalhost", b"evil-localhost",
                     b"1.2.3.4.5", b"1.2.3", b"0x7f000001", b"www.example.org", b"example.org.evil.example",
                     b"eexample.org", b"."]:
            with self.subTest(host):
                self.assertEqual(self.status(server, host), 421)

    def test_that_are_served(self):
        server = self.start("--name", "Example.org", "--name", "b.example.")
        for host in [b"127.0.0.1", b"127.0.0.1:1", b"192.0.2.1:65535", b"[::1]", b"[2001:db8::1]:80", b"localhost",
                     b"LocalHost:99", b"localhost.", b"a.localhost", b"a.b.localhost.:1", b"example.org",
                     b"EXAMPLE.ORG:443", b"example.org.", b"b.example", b""]:
            with self.subTest(host):
                self.assertEqual(self.status(server, host), 200)
        self.assertEqual(self.status(server, None, b"HTTP/1.0"), 200)
        self.assertEqual(self.status(server, b"x", target=b"http://127.0.0.1/stats"), 200)

    def test_by_which_it_was_told_to_listen_are_served(self):
        name = socket.gethostname()
        try:
            address = socket.gethostbyname(name)
        except OSError:
            self.skipTest(f"{name} has no address")
        with Process("live_server", "--host", name, "--port", "0") as server:
            port = int(server.wait_for_line(r"^listening on http://[\d.]+:(\d+)/$")[1])
            for host, status in [(name.upper(), 200), ("x" + name, 421)]:
                with contextlib.closing(http.client.HTTPConnection(address, port, timeout=LIMIT)) as client:
                    client.request("GET", "/", headers={"Host": f"{host}:{port}"})
                    self.assertEqual(client.getresponse().status, status)

    def test_that_are_none(self):
        for name in ["", ".", "a b", "http://a.example", "a.example/", "a.example:80", "u@a.example", "ä.example"]:
            with self.subTest(name):
                self.assertEqual(run("live_server", "--name", name).returncode, 2)


class Figures(Case):
    def test_add_up(self):
        server = self.start("--threads", "3", "--events", "20")
        raw = [self.connect(server, get(b"/events")) for _ in range(3)]
        named = self.subscribe(server, "/events?client=me")
        wait_until(lambda: server.stats()["subscribers"] == 4, "all of them")
        answer, body = server.request("GET", "/stats")
        self.assertEqual(answer.getheader("Content-Type"), "application/json")
        self.assertEqual(answer.getheader("Cache-Control"), "no-store")
        self.assertEqual(int(answer.getheader("Content-Length")), len(body))
        stats = json.loads(body)
        self.assertEqual(list(stats), [
            "uptime_s", "threads", "connections", "max_connections", "subscribers", "published",
            "delivered_bytes", "sends", "held_events", "held_bytes", "fell_behind", "dropped_slow", "cut",
            "rejected"])
        self.assertTrue(all(type(value) is int for value in stats.values()), stats)
        self.assertEqual((stats["threads"], stats["subscribers"]), (3, 4))
        self.assertEqual((stats["published"], stats["held_events"]), (0, 0))

        for number in range(30):
            server.publish("x" * 100)
            named.data()
        server.request("POST", "/cut?client=me")
        self.assertEqual(named.events(), [])
        for status, target in [(404, "/nothing"), (405, "/publish"), (405, "/cut")]:
            self.assertEqual(server.request("GET", target)[0].status, status)
        self.assertEqual(server.exchange(b"\0\r\n\r\n")[:12], b"HTTP/1.1 400")
        wait_until(lambda: server.stats()["connections"] == 4, "all but three, and who asks, to be gone")
        wait_until(lambda: server.stats()["subscribers"] == 3, "the one that was cut to be gone")
        stats = server.stats()
        self.assertEqual((stats["published"], stats["held_events"]), (30, 20))
        self.assertEqual((stats["cut"], stats["rejected"]), (1, 4))
        self.assertEqual((stats["fell_behind"], stats["dropped_slow"]), (0, 0))
        self.assertGreaterEqual(stats["held_bytes"], 20 * 100)
        self.assertGreaterEqual(stats["sends"], 4 + 30)

        # What was delivered is what came, heads and all, before and after.
        sizes = []
        for client in raw:
            head = client.until(b"\r\n\r\n")
            events = [client.until(b"\n\n") for _ in range(31)]
            sizes.append(len(head) + 4 + sum(len(event) + 2 for event in events))
        self.assertEqual(len(set(sizes)), 1)
        wait_until(lambda: server.stats()["delivered_bytes"] == 4 * sizes[0], f"4 times {sizes} bytes")


class Resumption(Case):
    """At each position of a log; and nothing keeps a client out."""

    threads = "1"

    def start(self, *arguments, **options):
        return super().start("--threads", self.threads, *arguments, **options)

    def test_after_each_event_of_a_small_log(self):
        server = self.start("--events", "8")
        self.check_id_of_empty_log(server)
        ids = [server.publish(str(number), "odd" if number % 2 else "even") for number in range(1, 21)]
        run = ids[0].split("-")[0]
        self.assertEqual(ids, [f"{run}-{number}" for number in range(1, 21)])
        streams = {}
        for number in range(21):
            for query, step in [("", 1), ("?type=even", 2)]:
                with self.subTest(number=number, query=query):
                    stream = self.subscribe(server, "/events" + query, f"{run}-{number}")
                    streams[number, query] = stream
                    self.assertEqual(stream.first, [":", "retry: 2000"])
                    if number < 12:
                        gap = stream.event()
                        self.assertEqual((gap.type, gap.id, missed(gap)), ("gap", None, 12 - number))
                    left = [str(n) for n in range(max(number, 12) + 1, 21) if n % step == 0]
                    self.assertEqual(stream.data(len(left)), left)
        server.publish("live", "even")
        for key, stream in streams.items():
            with self.subTest(key):
                self.assertEqual(stream.data(), ["live"])

    def check_id_of_empty_log(self, server):
        with Subscriber(server.port) as stream:
            self.assertRegex(stream.last_id, r"\A[0-9a-f]{12}-0\Z")

    def test_an_unknown_id_gets_nothing_old_where_that_is_the_policy(self):
        server = self.start("--when-unknown", "only-new", "--threads", "1")
        last = [server.publish(str(number)) for number in range(1, 21)][-1]
        with Subscriber(server.port, last_id="x") as stream:
            gap = stream.event()
            self.assertEqual((gap.type, gap.id, gap.data), ("gap", None, '{"missed":null}'))
            server.publish("live")
            self.assertEqual(stream.data(), ["live"])
        with Subscriber(server.port, last_id=last) as stream:
            self.assertEqual(stream.data(), ["live"])

    def test_an_unknown_id_keeps_nobody_out(self):
        with LiveServer() as other:
            foreign = [other.publish("x") for _ in range(10)][-2]
        server = self.start("--events", "8", "--threads", "1")
        last = [server.publish(str(number)) for number in range(1, 21)][-1]
        run = last.split("-")[0]
        self.assertNotEqual(run, foreign.split("-")[0])
        held = [str(number) for number in range(13, 21)]
        for id in [foreign, run, run + "-", run + "-x", run + "--1", run + "-+1", run + "-015", run + "-15 x",
                   run + "-21", run + "-18446744073709551616", run + "-18446744073709551631", run + "-0x10",
                   run.upper() + "x-15", "0" + run + "-15", run[1:] + "-15", "15", "x", "-", "null", "a\tb",
                   "ä".encode().decode("latin-1"), "\xff\xfe", "x" * 10_000, "9" * 10_000]:
            with self.subTest(id[:60]), Subscriber(server.port, last_id=id) as stream:
                gap = stream.event()
                self.assertEqual((gap.type, gap.id, gap.data), ("gap", None, '{"missed":null}'))
                self.assertEqual(stream.data(8), held)
                self.assertEqual(stream.last_id, last)
        with self.subTest("none"), Subscriber(server.port, last_id="") as stream:
            self.assertEqual(stream.last_id, last)
            server.publish("live")
            self.assertEqual(stream.data(), ["live"])
        for id in [b"a\0b", b"a\x1bb", b"\x7f"]:  # HTTP itself has no such values
            with self.subTest(id):
                self.expect_answers(server, get(b"/events", b"Last-Event-ID: " + id + b"\r\n"), 400)

    def test_what_was_lost_before_the_first_event_came(self):
        server = self.start()
        for number in range(3):
            with Subscriber(server.port) as lost:
                pass
            published = [f"{number} {each}" for each in range(3)]
            for each in published:
                server.publish(each)
            with Subscriber(server.port, last_id=lost.last_id) as stream:
                self.assertEqual(stream.data(3), published)

    def test_those_who_are_cut_come_back_and_miss_nothing(self):
        server = self.start()
        witness = self.subscribe(server)
        others = [self.subscribe(server, "/events" + query) for query in ["", "?client=b", "?client=A"]]
        for number in range(5):
            name = f"a{number}"  # for each thread cuts in its own time
            cut = [self.subscribe(server, f"/events?client={name}") for _ in range(10)]
            server.publish("before")
            for stream in cut:
                stream.data()
            self.assertEqual(server.request("POST", f"/cut?client={name}")[0].status, 204)
            for stream in cut:
                self.assertEqual(stream.events(), [])
                self.assertEqual(stream.rest, [])
            server.publish("meanwhile")
            for stream in cut:
                with Subscriber(server.port, last_id=stream.last_id) as back:
                    self.assertEqual(back.data(), ["meanwhile"])
        self.assertEqual(server.stats()["cut"], 50)
        for target in ["/cut?client=nobody", "/cut?client=", "/cut"]:
            self.assertEqual(server.request("POST", target)[0].status, 204)
        for stream in [witness, *others]:
            self.assertEqual(stream.data(10), ["before", "meanwhile"] * 5)
        server.publish("they are still there")
        for stream in [witness, *others]:
            stream.data()

    def test_coming_and_going_while_much_is_published(self):
        """Each sees every event, once and in order."""
        count, publishers = 600, 2
        server = self.start()
        start = self.subscribe(server).last_id

        def publish(name):
            with Connection(server) as client:
                for number in range(count // publishers):
                    client.send(post(f"{name} {number}".encode()))
                    client.answer()

        def follow(seed):
            choose = random.Random(seed)
            last_id, got = start, []
            while len(got) < count:
                with Subscriber(server.port, f"/events?client=c{seed}", last_id) as stream:
                    # Fewer where the cut before has only now come to the thread that this one is with.
                    for _ in range(min(choose.randint(0, 60), count - len(got))):
                        if event := stream.event():
                            got.append(event.data)
                    way = choose.randrange(3)
                    if way == 0:
                        with contextlib.suppress(OSError):  # it has ended already
                            reset(stream.socket)
                    elif way == 1:
                        server.request("POST", f"/cut?client=c{seed}")
                        rest = stream.events()  # those that came before the cut
                        got += [event.data for event in rest]
                    last_id = stream.last_id
            return got

        with in_threads([(publish, name) for name in range(publishers)]), \
                in_threads([(follow, seed) for seed in range(6)]) as followers:
            pass
        self.assertEqual(len({tuple(got) for got in followers.values()}), 1)
        got = followers[0, ][:]
        self.assertEqual(len(got), count)
        for name in range(publishers):
            numbers = [int(each.split()[1]) for each in got if each.startswith(f"{name} ")]
            self.assertEqual(numbers, list(range(count // publishers)))


class ResumptionOnFourThreads(Resumption):
    threads = "4"


class BadInput(Case):
    """Each gets an answer and the end of its connection; the others do not notice."""

    @classmethod
    def setUpClass(cls):
        cls.server = LiveServer("--patience", "400")
        cls.addClassCleanup(end_well, cls.server)
        cls.witness = Subscriber(cls.server.port)
        cls.addClassCleanup(cls.witness.close)

    def tearDown(self):
        self.server.publish(self.id())
        self.assertEqual(self.witness.data(), [self.id()])
        self.assertIsNone(self.server.process.poll())

    def refused(self, request, *statuses):
        self.expect_answers(self.server, request, *statuses)

    def test_requests_that_are_none(self):
        for request in [
            b"hello\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\r\n" * 10, b"GET x HTTP/1.1\r\n" + HOST + b"\r\n",
            get(b"/", HOST), get(b"/", b"no colon\r\n"), get(b"/", b"A : 1\r\n"),
            get(b"/", b"A: 1\r\n b\r\n"), get(b"/", b"A: \0\r\n"), get(b"/#fragment"), get(b"/a b"),
            bytes(range(256)) + b"\r\n\r\n",
        ]:
            with self.subTest(request):
                self.refused(request, 400)

    def test_bodies_whose_end_is_not_certain(self):
        for fields in [b"Content-Length: 1\r\nContent-Length: 2\r\n", b"Content-Length: 1, 2\r\n",
                       b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                       b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"Content-Length: -1\r\n",
                       b"Content-Length: +1\r\n", b"Content-Length: 0x1\r\n", b"Content-Length: \r\n",
                       b"Content-Length: 99999999999999999999\r\n"]:
            with self.subTest(fields):
                self.refused(get(b"/publish", fields, b"POST") + b"0\r\n\r\n" + post(b"smuggled"), 400)
        for body in [b"x\r\n", b"-1\r\n", b"1\r\nab\r\n", b"1\nx\r\n", b"fffffffffffffffff\r\n", b"1 x\r\n"]:
            with self.subTest(body):
                self.refused(get(b"/publish", b"Transfer-Encoding: chunked\r\n", b"POST") + body, 400)
        for coding in [b"gzip, chunked", b"gzip", b"chunked, chunked"]:
            with self.subTest(coding):
                self.refused(get(b"/publish", b"Transfer-Encoding: " + coding + b"\r\n", b"POST"), 501)
        self.assertEqual(self.server.stats()["published"], position(self.witness.last_id))

    def test_what_came_before_is_answered(self):
        self.refused(get(b"/nothing") + b"rubbish\r\n\r\n" + get(b"/nothing"), 404, 400)

    def test_heads_that_are_too_large(self):
        for request in [get(b"/nothing", b"X: " + b"x" * 20_000 + b"\r\n"), b"x" * 17_000,
                        get(b"/" + b"x" * 17_000), get(b"/nothing", b"A: 1\r\n" * 100),
                        get(b"/nothing", b"X: y\r\n" * 200_000)]:
            with self.subTest(request[:40]):
                self.refused(request, 431)
        with Connection(self.server, get(b"/nothing", b"A: 1\r\n" * 99)) as client:  # Host is the hundredth
            self.assertEqual(client.answer().status, 404)
            client.send(get(b"/nothing", b"X: " + b"x" * 16_000 + b"\r\n"))
            self.assertEqual(client.answer().status, 404)

    def test_bodies_that_are_too_large(self):
        bound = 1 << 20
        with Connection(self.server) as client:
            for request in [post(b"x" * bound), chunked(b"x" * (bound - 1), b"x")]:
                client.send(request)
                self.assertEqual(client.answer().status, 200)
                self.assertEqual([len(data) for data in self.witness.data()], [bound])
        for request in [post(b"x" * (bound + 1)), chunked(b"x" * bound, b"x"), post(b"x" * 2 * bound),
                        post(b"x" * (bound + 1), b"/nothing"),
                        get(b"/publish", b"Content-Length: 9999999999\r\nExpect: 100-continue\r\n", b"POST")]:
            with self.subTest(request[:60]):
                self.refused(request, 413)

    def test_rubbish(self):
        randomness = random.Random(5)
        for size in [1, 10, 100, 1000, 10_000, 100_000]:
            with self.subTest(size):
                answer = self.server.exchange(randomness.randbytes(size))
                self.assertRegex(answer, rb"\AHTTP/1\.1 4\d\d [^\0]*\r\n\r\n")

    def test_requests_that_do_not_end(self):
        halves = [b"G", b"GET / HTTP/1.1\r\n", get(b"/")[:-2], get(b"/events")[:-1], post(b"xyz")[:-1],
                  chunked(b"xyz")[:-1], b"\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
                  get(b"/publish", b"Content-Length: 999999\r\n", b"POST")]
        idle = self.connect(self.server, get(b"/nothing"))
        self.assertEqual(idle.answer().status, 404)
        clients = [self.connect(self.server, half) for half in halves]
        self.server.publish("meanwhile")
        self.assertEqual(self.witness.data(), ["meanwhile"])
        for half, client in zip(halves, clients):
            with self.subTest(half):
                answer = client.answer()
                self.assertEqual((answer.status, answer.fields.get("Connection")), (408, "close"))
                self.assertTrue(client.is_over())
        idle.send(get(b"/nothing"))  # between two requests there is more time
        self.assertEqual(idle.answer().status, 404)

    def test_requests_that_come_too_slowly(self):
        """The time counts for the whole request, not from byte to byte."""
        for start in [b"GET / HTTP/1.1\r\nX: ", get(b"/publish", b"Content-Length: 1000000\r\n", b"POST")]:
            with self.subTest(start), Connection(self.server, start) as client:
                client.socket.settimeout(0.02)

                def answered():
                    try:
                        client.send(b"x")
                        client._read()
                    except TimeoutError:
                        pass
                    return client.buffer

                self.assertEqual(wait_until(answered, "an answer")[:12], b"HTTP/1.1 408")

    def test_one_that_goes_on_sending(self):
        """It gets its answer, which a reset would have taken from it, and is heard out for a while only."""
        with Connection(self.server, b"rubbish\r\n\r\n") as client:

            def is_cut_off():
                with contextlib.suppress(ConnectionError):
                    return client.send(b"more")
                return True

            client.send(b"more" * 1000)
            self.assertEqual(client.answer().status, 400)
            wait_until(is_cut_off, "the end of the connection")

    def test_bodies_leave_no_memory_behind(self):
        if is_sanitized("live_server"):
            self.skipTest("what is freed stays for a while")
        server = self.start("--threads", "1", "--patience", NEVER)
        body = post(b"x" * (1 << 20), b"/nothing")
        before = memory(server)
        for _ in range(60):  # each stays connected
            self.assertEqual(self.connect(server, body).answer().status, 404)
        self.assertLess(memory(server) - before, 16 << 10)

    def test_bodies_share_a_bound(self):
        """64 MiB for all that have not ended, however many connections send them."""
        server = self.start("--threads", "1", "--patience", NEVER)
        clients = [self.connect(server, post(b"x" * (1 << 20), b"/nothing")[:-1]) for _ in range(80)]

        def refused():
            return select.select([client.socket for client in clients], [], [], 0)[0]

        wait_until(lambda: len(refused()) >= 16, "those for which there is no room")
        time.sleep(0.1)
        answered = refused()
        self.assertLess(len(answered), 40)
        for client in clients:
            if client.socket in answered:
                answer = client.answer()
                self.assertEqual((answer.status, answer.fields["Connection"]), (503, "close"))
                self.assertEqual(answer.body, b"too many large requests at once\n")
            else:
                client.send(b"x")
                self.assertEqual(client.answer().status, 404)
        clients = [self.connect(server, post(b"x" * (1 << 20), b"/nothing")) for _ in range(10)]
        self.assertEqual([client.answer().status for client in clients], [404] * 10)

    def test_more_names_to_cut_than_there_is_room_for(self):
        server = self.start("--threads", "1")
        stream = self.subscribe(server, "/events?client=me")
        each = 280  # as many as are read at once
        clients = [self.connect(server) for _ in range(10)]
        server.process.send_signal(signal.SIGSTOP)
        for number, client in enumerate(clients):
            client.send(*[post(b"", b"/cut?client=%d-%d" % (number, name)) for name in range(each)])
        server.process.send_signal(signal.SIGCONT)
        answers = [client.answer() for client in clients for _ in range(each)]
        count = collections.Counter(answer.status for answer in answers)
        self.assertEqual(set(count), {204, 503})
        self.assertGreaterEqual(count[204], 1000)
        self.assertEqual({answer.body for answer in answers if answer.status == 503}, {b"too many names at once\n"})
        self.assertEqual(server.request("POST", "/cut?client=me")[0].status, 204)
        self.assertEqual(stream.events(), [])

    def test_one_that_asks_and_does_not_read(self):
        server = self.start("--patience", "400", "--send-buffer", "4096")
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", server.port))
            deaf.sendall(get(b"/") * 5)
            self.assertEqual(server.request("GET", "/nothing")[0].status, 404)
            wait_until(lambda: server.stats()["connections"] == 1, "the end of its connection")

    def test_one_that_asks_for_much_and_does_not_read(self):
        server = self.start("--patience", NEVER, "--send-buffer", "4096")
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.settimeout(LIMIT)
            deaf.connect(("127.0.0.1", server.port))
            with self.assertRaises(ConnectionError):
                for _ in range(100_000):
                    deaf.sendall(get(b"/") * 100)
            wait_until(lambda: server.stats()["connections"] == 1, "it to be gone")


class HalfClosed(Case):
    def test_before_during_and_after_a_request(self):
        server = self.start("--patience", NEVER)
        stream = self.subscribe(server)
        for request, status in [
            (b"", None), (b"GET / HT", None), (get(b"/events")[:-2], None), (post(b"cut off")[:-1], None),
            (get(b"/nothing"), 404), (get(b"/"), 200), (get(b"/stats"), 200), (post(b"whole"), 200),
            (get(b"/events"), 200), (b"rubbish\r\n\r\n", 400),
            (get(b"/nothing", b"Connection: close\r\n"), 404),
        ]:
            with self.subTest(request), Connection(server, request) as client:
                client.socket.shutdown(socket.SHUT_WR)
                if status:
                    answer = client.answer()
                    self.assertEqual(answer.status, status)
                    self.assertEqual(len(answer.body), int(answer.fields.get("Content-Length", 0)))
                while client.socket.recv(65536):  # to the end
                    pass
        self.assertEqual(stream.data(), ["whole"])
        wait_until(lambda: server.stats()["connections"] == 2, "all to be gone")

    def test_a_stream(self):
        server = self.start()
        witness = self.subscribe(server)
        for number in range(10):
            stream = self.subscribe(server)
            server.publish(str(number))
            stream.data()
            stream.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(stream.events(), [])
        self.assertEqual(witness.data(10), [str(number) for number in range(10)])
        wait_until(lambda: server.stats()["subscribers"] == 1, "all others to be gone")


class Crowds(Case):
    threads = "1"

    def start(self, *arguments, **options):
        return super().start("--threads", self.threads, *arguments, **options)

    @staticmethod
    def comes_in(server):
        """The server's figures; nothing if it turns the client away, whose request resets the connection then."""
        with Connection(server) as client, contextlib.suppress(ConnectionError):
            client.send(get(b"/stats"))
            return client.answer().body

    def test_that_listen_are_all_woken(self):
        """Whichever thread they are with; without that, events would come once a second."""
        server = self.start()
        streams = [self.connect(server) for _ in range(100)]  # at once, so that each thread gets some
        for stream in streams:
            stream.send(get(b"/events"))
        for stream in streams:
            stream.until(b"\n\n")
        end = time.monotonic() + LIMIT
        with Connection(server) as publisher:
            for number in range(2 * LIMIT):
                publisher.send(post(b"%d" % number))
                publisher.answer()
                for stream in streams:
                    self.assertTrue(stream.until(b"\n\n").endswith(b"\ndata: %d" % number))
                self.assertLess(time.monotonic(), end)

    def test_that_say_nothing_hold_nobody_up(self):
        server = self.start("--patience", "1500")
        silent = [self.connect(server) for _ in range(400)]
        stream = self.subscribe(server)
        server.publish("meanwhile")
        self.assertEqual(stream.data(), ["meanwhile"])
        for client in silent:
            self.assertTrue(client.is_over())
            client.close()
        wait_until(lambda: server.stats()["connections"] == 2, "all of them to be gone")

    def test_that_come_and_go_leave_nothing_behind(self):
        server = self.start("--patience", NEVER, "--events", "100", "--send-buffer", "8192")
        witness = self.subscribe(server)
        randomness = random.Random(2)

        def hold_back(client):
            client.socket.recv(1)

        ways = [
            (b"", None), (b"GET ", None), (get(b"/", b"X: " + b"x" * 8000 + b"\r\n")[:-1], None),
            (post(b"x" * 9000)[:-1], None), (get(b"/"), None), (get(b"/"), hold_back),
            (get(b"/nothing"), Connection.answer), (get(b"/events"), None),
            (get(b"/events", b"Last-Event-ID: 1\r\n"), hold_back),
            (get(b"/events?client=a&type=x"), Connection.answer),
            (get(b"/stats") * 20, None), (b"rubbish\r\n\r\n", hold_back), (b"x" * 16_500, Connection.answer),
            (get(b"/publish", b"Expect: 100-continue\r\nContent-Length: 1\r\n", b"POST"), hold_back),
        ]

        def half_close(client):
            with contextlib.suppress(OSError):  # the server was first
                client.socket.shutdown(socket.SHUT_WR)

        leavings = [Connection.close, half_close, lambda client: reset(client.socket)]

        def round():
            for number in range(8):
                server.publish(f"{number} " + "x" * 1000)
                clients = []
                for _ in range(3):
                    for request, use in ways:
                        client = Connection(server, request)
                        if use:
                            use(client)
                        clients.append(client)
                randomness.shuffle(clients)
                for client in clients:
                    randomness.choice(leavings)(client)
                witness.data()
                for client in clients:
                    client.close()
            server.request("POST", "/cut?client=a")
            wait_until(lambda: server.stats()["connections"] == 2, "all of them to be gone")

        round()
        before = descriptors(server), memory(server)
        for _ in range(6):
            round()
        wait_until(lambda: descriptors(server) <= before[0], f"no more than {before[0]} descriptors")
        # Each that is left would keep some KiB. With sanitizers what is freed stays for a while.
        allowed = 64 << 10 if is_sanitized("live_server") else 4 << 10
        self.assertLess(memory(server), before[1] + allowed)
        wait_until(lambda: server.stats()["subscribers"] == 1, "all but the witness to be gone")

    def test_without_descriptors_wait(self):
        if is_sanitized("live_server", b"__ubsan_handle"):
            self.skipTest("UBSan needs descriptors for its checks")
        server = self.start()
        streams = [self.subscribe(server, "/events?client=a") for _ in range(3)]
        publisher = self.connect(server, post(b"0"))
        publisher.answer()
        limit = descriptors(server) + 4
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        waiting = [self.connect(server, get(b"/events")) for _ in range(10)]
        for client in waiting[:4]:
            client.until(b"\n\n")
        for stream in streams:
            self.assertEqual(stream.data(), ["0"])
        used = processor_time(server)
        for number in range(1, 50):
            publisher.send(post(str(number).encode()))
            self.assertEqual(publisher.answer().status, 200)
            for stream in streams:
                self.assertEqual(stream.data(), [str(number)])
            time.sleep(0.01)
        self.assertEqual(descriptors(server), limit)
        self.assertLess(processor_time(server) - used, 0.3)  # it does not spin: of that there would be 0.5 s
        for client in waiting[:4]:
            client.close()
        for client in waiting[4:8]:
            client.until(b"\n\n")
        publisher.send(post(b"", b"/cut?client=a"))
        self.assertEqual(publisher.answer().status, 204)
        publisher.send(post(b"to all"))
        for client in waiting[8:]:
            client.until(b"\n\n")
        publisher.send(post(b"the end"))
        for client in waiting[8:]:
            self.assertTrue(client.until(b"the end\n"))

    def test_as_many_as_there_are_descriptors_for(self):
        """The others are turned away: who waited for a descriptor would not be told."""
        if is_sanitized("live_server", b"__ubsan_handle"):
            self.skipTest("UBSan needs descriptors for its checks")
        server = self.start("--patience", NEVER, preexec_fn=few_descriptors)
        bound = server.stats()["max_connections"]
        self.assertTrue(20 <= bound < 64, bound)
        silent = [self.connect(server) for _ in range(bound)]
        wait_until(lambda: descriptors(server) >= bound, "them")
        for _ in range(100):
            with Connection(server) as client:
                self.assertEqual(client.answer().status, 503)
        silent[0].close()
        wait_until(lambda: self.comes_in(server), "room")
        for arguments, bounds in [(["--max-connections", "1000"], (str(bound), "1000")),
                                  (["--threads", "16"], ("0", "1"))]:
            result = run("live_server", "--port", "0", "--threads", self.threads, *arguments,
                         preexec_fn=few_descriptors)
            self.assertEqual((result.returncode, result.stdout), (1, b""))
            self.assertEqual(result.stderr.decode(), "live_server: the limit of descriptors (ulimit -n) allows for "
                             "{} connections, not {}\n".format(*bounds))

    def test_that_find_no_memory_leave_the_others_alone(self):
        """Whichever allocation fails, who is counted is there, and who is there is counted."""
        if is_sanitized("live_server"):
            self.skipTest("a sanitizer's allocator has bounds of its own")
        for pages in range(6):
            # The lists of clients grow behind the 256th: so many pages are left for that.
            with self.subTest(pages):
                server = self.start("--patience", "300", env=os.environ | {"MALLOC_TOP_PAD_": "0"})
                clients = [self.connect(server) for _ in range(250)]
                wait_until(lambda: server.stats()["connections"] == 251, "them")
                unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_DATA)
                limit = (memory(server, "VmData") << 10) + pages * resource.getpagesize()
                resource.prlimit(server.process.pid, resource.RLIMIT_DATA, (limit, unlimited[1]))
                clients += [self.connect(server) for _ in range(50)]
                self.assertTrue(clients[0].is_over())  # by then the server has met the last one, too
                resource.prlimit(server.process.pid, resource.RLIMIT_DATA, unlimited)
                for client in clients:
                    client.close()
                wait_until(lambda: server.stats()["connections"] == 1, "all of them to be gone")

    def test_are_turned_away_where_there_are_too_many(self):
        server = self.start("--max-connections", "5")
        streams = [self.subscribe(server) for _ in range(4)]
        publisher = self.connect(server, post(b"0"))
        publisher.answer()
        for _ in range(20):
            with Connection(server) as client:
                answer = client.answer()
                self.assertEqual((answer.status, answer.body), (503, b""))
                self.assertEqual(answer.fields["Connection"], "close")
                self.assertGreater(int(answer.fields["Retry-After"]), 0)
                self.assertTrue(client.is_over())
        publisher.send(post(b"1"))
        publisher.answer()
        for stream in streams:
            self.assertEqual(stream.data(2), ["0", "1"])
        streams[0].close()
        self.assertEqual(json.loads(wait_until(lambda: self.comes_in(server), "room"))["connections"], 5)
        publisher.send(get(b"/stats"))
        stats = json.loads(publisher.answer().body)
        self.assertEqual(stats["subscribers"], 3)
        self.assertGreaterEqual(stats["rejected"], 20)


class CrowdsOnFourThreads(Crowds):
    threads = "4"


class Slow(Case):
    """Subscribers that read nothing. An event is more than the kernel takes: they are stuck in the first."""

    threads = "1"
    COUNT, LOG = 120, 50

    def start(self, *arguments):
        """A server, deaf ones and a witness, and many events behind the one that the deaf are stuck in."""
        self.server = super().start("--threads", self.threads, "--send-buffer", "4096",
                                    "--events", str(self.LOG), "--heartbeat", "100", *arguments)
        self.witness = self.subscribe(self.server)
        self.deaf = [self.subscribe(self.server, is_deaf=True) for _ in range(3)]
        wait_until(lambda: self.server.stats()["subscribers"] == 4, "all of them")
        self.fill(1, 1)
        for stream in self.deaf:
            wait_until(lambda: b"data: 1 " in stream.socket.recv(65536, socket.MSG_PEEK), "the first event")
        self.fill(2, self.COUNT)

    def fill(self, first, last):
        """Each event reaches the one who reads before the next is published: it cannot fall behind."""
        end = time.monotonic() + LIMIT
        with Connection(self.server) as publisher:
            for number in range(first, last + 1):
                publisher.send(post(f"{number} {'x' * 60_000}".encode()))
                self.assertEqual(publisher.answer().status, 200)
                self.assertEqual(int(self.witness.data()[0].split()[0]), number)
                self.assertLess(time.monotonic(), end)

    def numbers(self, stream, count):
        """Of the next events; gaps are shown as what is missing there."""
        result = []
        end = time.monotonic() + LIMIT
        for _ in range(count):
            event = stream.event()
            is_gap = event.type == "gap"
            result.append(("missed", missed(event)) if is_gap else int(event.data.split()[0]))
            self.assertLess(time.monotonic(), end)
        return result

    def check_figures(self, **expected):
        stats = self.server.stats()
        self.assertEqual({name: stats[name] for name in expected}, expected)
        self.assertLess(stats["held_bytes"], (8 << 20) + (256 << 10))

    def test_are_disconnected_where_that_is_the_policy(self):
        self.start("--when-behind", "disconnect", "--send-timeout", NEVER)
        wait_until(lambda: self.server.stats()["dropped_slow"] == 3, "them to be dropped")  # who read nothing
        self.check_figures(held_events=self.LOG, subscribers=1, fell_behind=3)
        left = range(self.COUNT - self.LOG + 1, self.COUNT + 1)
        for stream in self.deaf:
            self.assertEqual(stream.events(), [])
            self.assertEqual(position(stream.last_id), 0)  # for of the first event they got a part only
            with Subscriber(self.server.port, last_id=stream.last_id) as back:
                self.assertEqual(self.numbers(back, self.LOG + 1), [("missed", left[0] - 1), *left])
        self.fill(self.COUNT + 1, self.COUNT + 2)

    def check_skip(self, first):
        for stream in self.deaf:
            self.assertEqual(self.numbers(stream, 2), [1, ("missed", first - 2)])
        for left in [range(first, self.COUNT + 1), range(self.COUNT + 1, self.COUNT + 3)]:
            if self.COUNT + 1 in left:
                self.fill(left[0], left[-1])
            for stream in self.deaf:
                self.assertEqual(self.numbers(stream, len(left)), list(left))
        self.check_figures(subscribers=4, dropped_slow=0, fell_behind=3)

    def test_go_on_with_the_latest_where_that_is_the_policy(self):
        self.start("--when-behind", "skip-to-latest", "--send-timeout", NEVER)
        self.check_skip(self.COUNT + 1)

    def test_go_on_with_the_oldest_where_that_is_the_policy(self):
        self.start("--when-behind", "skip-to-oldest", "--send-timeout", NEVER)
        self.check_skip(self.COUNT - self.LOG + 1)

    def test_are_dropped_where_they_never_read(self):
        self.start("--when-behind", "skip-to-latest", "--send-timeout", "500")
        wait_until(lambda: self.server.stats()["dropped_slow"] == 3, "them to be dropped")
        self.check_figures(subscribers=1, fell_behind=0)
        self.fill(self.COUNT + 1, self.COUNT + 2)  # who is idle is not slow


class Stalled(Case):
    threads = "1"

    def test_keep_no_more_of_the_log_than_it_has_bounds(self):
        """Each is stuck in another segment of the log, and keeps it until it is asked again."""
        bound = 256 << 10
        server = super().start("--threads", self.threads, "--send-buffer", "4096", "--bytes", str(bound),
                               "--when-behind", "skip-to-oldest", "--send-timeout", NEVER, "--heartbeat", "0")
        publisher = self.connect(server)
        data = b"data: " + b"x" * 1000 + b"\n\n"

        def publish(count):
            publisher.send(post(data * count, fields=b"Content-Type: text/event-stream\r\n"))
            self.assertEqual(publisher.answer().status, 200)

        for number in range(40):
            self.subscribe(server, is_deaf=True)
            wait_until(lambda: server.stats()["subscribers"] == number + 1, "it")
            publish(40)  # more than its socket takes, and than a segment
        for _ in range(10):
            publish(100)  # all that they are stuck in leaves the log
        wait_until(lambda: server.stats()["held_bytes"] <= bound + 40 * 1100, "the memory")  # and half an event each
        self.assertEqual(server.stats()["subscribers"], 40)


class StalledOnFourThreads(Stalled):
    threads = "4"


class SlowOnFourThreads(Slow):
    threads = "4"


class Ending(Case):
    threads = "1"

    def start(self, *arguments, **options):
        return super().start("--threads", self.threads, *arguments, **options)

    def test_says_farewell_behind_all_that_was_published(self):
        for number in [signal.SIGTERM, signal.SIGINT]:
            with self.subTest(number):
                server = self.start()
                streams = [self.subscribe(server) for _ in range(30)]
                typed = [self.subscribe(server, "/events?type=a") for _ in range(10)]
                for each in ["1", "2"]:
                    server.publish(each)
                server.process.send_signal(number)
                pauses = []
                for stream in streams + typed:
                    *events, farewell = stream.events()
                    expected = ["1", "2"] if stream in streams else []
                    self.assertEqual([event.data for event in events], expected)
                    self.assertEqual(stream.rest, [])
                    self.assertEqual((farewell.type, farewell.id), ("drain", None))
                    seconds = re.search(r"\A[A-Z][^\n]* ([\d.]+) s\.\Z", farewell.data)[1]
                    self.assertAlmostEqual(farewell.retry / 1000, float(seconds), delta=0.0501)
                    pauses.append(farewell.retry)
                self.assertTrue(all(1000 <= pause <= 11_000 for pause in pauses), pauses)
                self.assertGreater(len(set(pauses)), 20)  # of 40 among 10,001 even 30 would be a wonder
                self.assertGreater(max(pauses) - min(pauses), 2000)
                self.assertEqual(server.wait(), 0)
                self.assertEqual(server.errors, [])

    def test_under_load(self):
        """Everybody gets what was accepted; who was cut just before resumes, or is told."""
        server = self.start()
        streams = [self.subscribe(server, f"/events?client=c{number}") for number in range(20)]
        accepted, refused = collections.defaultdict(list), set()

        def publish(name):
            with Connection(server) as client, contextlib.suppress(OSError, AssertionError):
                for number in itertools.count():  # until the server is gone
                    client.send(post(f"{name} {number} {'x' * 100}".encode()))
                    answer = client.answer()
                    if answer.status != 200:
                        return refused.add(answer.status)
                    accepted[name].append(position(answer.body.decode()))

        def come_and_go():
            with contextlib.suppress(OSError, AssertionError, http.client.HTTPException):
                while True:
                    Subscriber(server.port, last_id=streams[0].last_id).close()

        with in_threads([(Subscriber.events, stream) for stream in streams]) as read, \
                in_threads([(publish, name) for name in range(4)] + [(come_and_go,)]):
            wait_until(lambda: sum(map(len, list(accepted.values()))) >= 400, "events")
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 0)
        self.assertEqual(server.errors, [])
        self.assertLessEqual(refused, {503})
        ids = {id for each in accepted.values() for id in each}
        for events in read.values():
            *events, farewell = events
            self.assertEqual(farewell.type, "drain")
            got = [position(event.id) for event in events]
            self.assertEqual(got, list(range(1, len(got) + 1)))
            self.assertLessEqual(ids, set(got))

    def test_is_not_held_up(self):
        """By those that read nothing, or say half of what they want to."""
        server = self.start("--send-buffer", "4096", "--events", "100", "--send-timeout", "0",
                            "--patience", NEVER, "--drain", "500")
        witness = self.subscribe(server)
        for _ in range(3):
            self.subscribe(server, is_deaf=True)
        wait_until(lambda: server.stats()["subscribers"] == 4, "all of them")
        for number in range(100):
            server.publish(f"{number} {'x' * 2000}")
            witness.data()
        half = self.connect(server, get(b"/")[:-2])
        wait_until(lambda: server.stats()["connections"] == 6, "all of them")
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(witness.event().type, "drain")
        server.process.send_signal(signal.SIGTERM)  # it has heard already
        with self.assertRaises(AssertionError):
            half.answer()
        self.assertEqual(server.wait(), 0)
        self.assertEqual(server.errors, [])

    def test_a_request_that_has_begun_is_answered(self):
        server = self.start("--drain", NEVER)
        stream = self.subscribe(server)
        idle, silent = self.connect(server, get(b"/nothing")), self.connect(server)
        self.assertEqual(idle.answer().status, 404)
        client, other = self.connect(server, get(b"/nothing")[:-2]), self.connect(server, post(b"late")[:-1])
        wait_until(lambda: server.stats()["connections"] == 6, "all of them")
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual([event.type for event in stream.events()], ["drain"])
        self.assertTrue(idle.is_over())
        self.assertTrue(silent.is_over())
        with self.assertRaises(ConnectionRefusedError):
            server.connect()
        client.send(b"\r\n", get(b"/nothing"))
        self.assertEqual(client.answer().status, 404)
        self.assertTrue(client.is_over())
        other.send(b"e")  # nobody would get it
        self.assertEqual(other.answer().status, 503)
        self.assertTrue(other.is_over())
        client.close()
        other.close()
        self.assertEqual(server.wait(), 0)

    def test_a_stream_that_begins_is_told_as_well(self):
        server = self.start("--drain", NEVER)
        stream = self.subscribe(server)
        fields = f"Last-Event-ID: {stream.last_id}\r\n".encode()
        server.publish("1")
        stream.data()
        late = self.connect(server, get(b"/events", fields)[:-2])
        wait_until(lambda: server.stats()["connections"] == 3, "both")
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual([event.type for event in stream.events()], ["drain"])
        late.send(b"\r\n")
        self.assertEqual(late.until(b"\n\n").count(b"retry"), 1)
        self.assertTrue(late.until(b"\n\n").endswith(b"data: 1"))
        self.assertIn(b"event: drain\n", late.until(b"\n\n"))
        self.assertTrue(late.is_over())
        self.assertEqual(server.wait(), 0)

    def test_and_beginning_anew_on_the_same_port(self):
        server = self.start()
        stream = self.subscribe(server)
        server.publish("before")
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual([event.type for event in stream.events()], ["message", "drain"])
        self.assertEqual(server.wait(), 0)
        with self.assertRaises(ConnectionRefusedError):
            server.connect()
        successor = self.start(port=server.port)
        successor.publish("after")
        back = self.subscribe(successor, last_id=stream.last_id)
        self.assertEqual([back.event().data, *back.data()], ['{"missed":null}', "after"])


class EndingOnFourThreads(Ending):
    threads = "4"


class TheProgram(Case):
    def test_a_port_in_use(self):
        server = self.start()
        result = run("live_server", "--port", str(server.port))
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertRegex(result.stderr.decode(),
                         rf"\Alive_server: cannot listen on 127\.0\.0\.1:{server.port}: [^\n]+\n\Z")

    def test_nobody_hears_where_it_listens(self):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            result = subprocess.run([program("live_server"), "--port", "0"], stdout=writer, timeout=LIMIT,
                                    stderr=subprocess.PIPE)
        finally:
            os.close(writer)
        self.assertEqual((result.returncode, result.stderr), (0, b""))

    def test_bad_command_lines(self):
        for arguments in [["--port"], ["--port", "65536"], ["--threads", "0"], ["--when-behind", "wait"],
                          ["--when-unknown", "wait"],
                          ["--events", "0"], ["--bytes", "1"], ["--tick=-1"], ["--drain", "0"], ["--bogus"],
                          ["operand"], ["--origin", "example.org"], ["--origin", "https://a.example/"]]:
            with self.subTest(arguments):
                result = run("live_server", *arguments)
                self.assertEqual((result.returncode, result.stdout), (2, b""))
                self.assertRegex(result.stderr.decode(),
                                 r"\Alive_server: [^\n]+\nTry 'live_server --help'\.\n\Z")

    def test_help(self):
        self.assertIn(b"--when-behind POLICY", run("live_server", "--help").stdout)
        self.assertEqual(defaults("live_server"), {
            "--host": "127.0.0.1", "--port": "8080", "--threads": "one for each core", "--max-connections": "100000",
            "--patience": "10000", "--send-buffer": "its choice", "--events": "10000", "--bytes": "8388608",
            "--age": "0", "--tick": "250", "--retry": "2000", "--heartbeat": "15000", "--send-timeout": "30000",
            "--when-behind": "disconnect", "--when-unknown": "replay-all", "--drain": "5000"})


if __name__ == "__main__":
    unittest.main()
