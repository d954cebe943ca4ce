"""own_loop: a loop that waits for the server and for commands at once."""

import subprocess
import unittest

from support import (CHUNKED, EVIL, LAST_CHUNK, NO_CONTENT, Process, Script, chunk, defaults, head, hold, redirect,
                     run, safe, wait_until)

FIRST = head() + b"id: 1\ndata: a\n\n"
SHOWN = r'^{type: "message", data: "%s", last_event_id: "%s"}$'


def tell(process, command):
    process.process.stdin.write(command)
    process.process.stdin.flush()


class Loop(unittest.TestCase):
    def start(self, url):
        process = self.enterContext(Process("own_loop", url, stdin=subprocess.PIPE))
        self.addCleanup(process.process.stdin.close)
        return process

    def ends(self, process, status=0):
        self.assertEqual(process.wait(), status)
        self.assertEqual(process.errors, [])

    def test_quits_on_command_and_at_the_end_of_commands(self):
        for end in [lambda process: tell(process, "q"), lambda process: tell(process, "\nq\n"),
                    lambda process: process.process.stdin.close()]:
            with Script([FIRST, hold]) as script:
                process = self.start(script.url)
                process.wait_for_line(SHOWN % ("a", "1"))
                end(process)
                self.ends(process)
            self.assertEqual(script.connections, 1)

    def test_connects_anew_on_command(self):
        """Without a pause: by itself it would wait an hour."""
        patient = head() + b"retry: 3600000\nid: 1\ndata: a\n\n"
        with Script([patient, hold], CHUNKED + chunk(b"id: 2\n\ndata: b\n\n") + LAST_CHUNK, [FIRST, hold]) as script:
            process = self.start(script.url)
            process.wait_for_line(SHOWN % ("a", "1"))
            tell(process, "r")  # an open connection
            process.wait_for_line(SHOWN % ("b", "2"))
            wait_until(lambda: process.errors == ["own_loop: connection: ended"], "the end")
            tell(process, "r\n")  # a pause
            wait_until(lambda: len(process.output) == 3, "another event")
            process.errors.clear()
            tell(process, "q")
            self.ends(process)
        self.assertEqual([request.get("Last-Event-ID") for request in script.requests], [None, "1", "2"])

    def test_quits_while_it_waits_for_a_response(self):
        with Script([hold]) as script:
            process = self.start(script.url)
            wait_until(lambda: script.requests, "the request")
            tell(process, "q")
            self.ends(process)

    def test_connects_again_by_itself(self):
        script = Script(head() + b"retry: 1\nid: 1\ndata: a\n\ndata: hal", redirect("/there"), NO_CONTENT)
        with script:
            process = self.start(script.url)
            self.assertEqual(process.wait(), 1)
        self.assertEqual([(request.target, request.get("Last-Event-ID")) for request in script.requests],
                         [("/stream", None), ("/stream", "1"), ("/there", "1")])
        self.assertEqual(process.errors[0], "own_loop: connection: ended")
        self.assertRegex(process.errors[1], "^own_loop: response: 204")

    def test_says_what_is_wrong(self):
        for answer, complaint in [(head(b"", b"404 Not Found"), "status"), (head(b""), "text/event-stream")]:
            with self.subTest(complaint), Script(answer) as script:
                process = self.start(script.url)
                self.assertEqual(process.wait(), 1)
                self.assertRegex("\n".join(process.errors), rf"\Aown_loop: response: [^\n]*{complaint}[^\n]*\Z")
            self.assertEqual(script.connections, 1)

    def test_has_no_tls(self):
        """It must not say in the clear what was meant to be secret: to no one, wherever it was sent."""
        with Script(NO_CONTENT) as other:
            encrypted = other.url.replace("http:", "https:")
            with Script(redirect(encrypted)) as script:
                for url in [encrypted, script.url]:
                    with self.subTest(url):
                        process = self.start(url)
                        self.assertEqual((process.wait(), process.output), (1, []))
                        self.assertRegex("\n".join(process.errors), r"\Aown_loop: [^\n]*https[^\n]*\Z")
        self.assertEqual(other.connections, 0)

    def test_shows_nothing_that_a_terminal_obeys(self):
        fields = [b"event: a", b"id: 1", "data: c\u20ac".encode()]
        with Script(head() + b"".join(field + EVIL + b"\n" for field in fields) + b"\n", NO_CONTENT) as script:
            process = self.start(script.url)
            process.wait_for_line(r'^{type: "a\\x1b\].+", data: "c\u20ac\\x1b\].+", last_event_id: "1\\x1b\].+"}$')
            process.wait()
        safe("\n".join(process.output + process.errors).encode())
        result = run("own_loop", b"-" + EVIL, stdin=subprocess.DEVNULL)
        self.assertRegex(safe(result.stderr), r"\Aown_loop: [^\n]+\n")

    def test_bad_command_lines(self):
        for arguments, status in [([], 2), (["--bogus"], 2), (["http://x/", "y"], 2), (["x"], 1), (["http://x:0/"], 1)]:
            with self.subTest(arguments):
                result = run("own_loop", *arguments, stdin=subprocess.DEVNULL)
                self.assertEqual((result.returncode, result.stdout), (status, b""))
                self.assertRegex(result.stderr.decode(), r"\Aown_loop: [^\n]+\n")
        result = run("own_loop", "--help")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertIn(b"usage: own_loop URL\n", result.stdout)
        self.assertEqual(defaults("own_loop"), {})


if __name__ == "__main__":
    unittest.main()
