"""raw_client: that the shortest program stays connected, and tells what happens."""

import threading
import unittest

from support import CHUNKED, EVIL, LAST_CHUNK, LIMIT, NO_CONTENT, Process, Script, chunk, head, hold, run, safe


class Client(unittest.TestCase):
    def test_connects_again_behind_the_last_event(self):
        script = Script(head() + b"retry: 1\nid: 7\nevent: tick\ndata: one\ndata: two\n\nid: 8\ndata: half an ev",
                        CHUNKED + chunk(b"data: three\n\n") + LAST_CHUNK, NO_CONTENT)
        with script:
            result = run("raw_client", script.url)
        self.assertEqual((result.returncode, result.stdout), (1, b'"tick": "one\\ntwo"\n"message": "three"\n'))
        self.assertRegex(result.stderr.decode(),
                         r"\A(connection: ended\nagain in \d{1,4} ms\n){2}response: 204[^\n]*\n\Z")
        self.assertEqual([request.get("Last-Event-ID") for request in script.requests], [None, "7", "7"])

    def test_shows_each_event_as_it_comes(self):
        shown = threading.Event()

        def steps():
            yield head() + b"data: first\n\ndata: sec"
            shown.wait(LIMIT)
            yield b"ond\n\n"
            yield hold

        with Script(steps()) as script, Process("raw_client", script.url) as client:
            client.wait_for_line('^"message": "first"$')
            shown.set()
            client.wait_for_line('^"message": "second"$')

    def test_shows_nothing_that_a_terminal_obeys(self):
        events = b"event: a" + EVIL + b"b\ndata: c" + EVIL + "ä\u20ac\U0001f600d\n\n".encode()
        with Script(head() + events, NO_CONTENT) as script:
            result = run("raw_client", script.url)
        self.assertRegex(safe(result.stdout), '\\A"a[^\n]+b": "c[^\n]+ä\u20ac\U0001f600d"\n\\Z')
        safe(result.stderr)

    def test_gives_up_where_another_attempt_would_not_help(self):
        for answer, complaint in [(head(b"", b"404 Not Found"), "status"),
                                  (head(b"Content-Type: text/html\r\n"), "text/event-stream")]:
            with self.subTest(complaint), Script(answer) as script:
                result = run("raw_client", script.url)
                self.assertEqual((result.returncode, result.stdout), (1, b""))
                self.assertRegex(result.stderr.decode(), rf"\Aresponse: [^\n]*{complaint}[^\n]*\n\Z")
            self.assertEqual(script.connections, 1)

    def test_bad_command_lines(self):
        for arguments in [[], ["http://127.0.0.1:1/", "x"]]:
            result = run("raw_client", *arguments)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (2, b"", b"usage: raw_client URL\n"))
        for url, complaint in [("x", "url: "), ("ftp://x/", "url: "), ("http://x:0/", "url: .*port"),
                               ("https://x/", "url: https")]:
            with self.subTest(url):
                result = run("raw_client", url)
                self.assertEqual((result.returncode, result.stdout), (1, b""))
                self.assertRegex(result.stderr.decode(), rf"\A[^\n]*{complaint}[^\n]*\n\Z")


if __name__ == "__main__":
    unittest.main()
