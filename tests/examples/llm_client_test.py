"""llm_client: an answer that comes in several events, asked for once."""

import json
import os
import unittest

from support import CHUNKED, EVIL, LAST_CHUNK, NO_CONTENT, Script, chunk, defaults, head, hold, redirect, run, safe


def ask(*arguments, key=None):
    variables = {name: value for name, value in os.environ.items() if name != "API_KEY"}
    return run("llm_client", *arguments, env=variables if key is None else variables | {"API_KEY": key})


class Client(unittest.TestCase):
    def fails(self, complaint, script):
        with script:
            result = ask(script.url)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr.decode(), rf"\Allm_client: [^\n]*{complaint}[^\n]*\n\Z")
        self.assertEqual(script.connections, 1)
        return result.stdout

    def test_asks_a_stand_in_of_its_own(self):
        result = ask()
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        answers = [json.loads(line)["choices"][0]["delta"]["content"] for line in result.stdout.splitlines()]
        self.assertGreater(len(answers), 1)
        self.assertEqual("".join(answers), "Hello, world.")

    def test_asks_a_service_with_the_key(self):
        with Script([CHUNKED + chunk(b'data: {"a": 1}\n\ndata: [DONE]\n\ndata: {}\n\n'), hold]) as script:
            result = ask(script.url, key="secret")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b'{"a": 1}\n', b""))
        request, = script.requests
        self.assertEqual((request.method, request.target), ("POST", "/stream"))
        self.assertEqual(request.get("Authorization"), "Bearer secret")
        self.assertEqual(request.get("Content-Type"), "application/json")
        self.assertIs(json.loads(request.body)["stream"], True)

    def test_shows_the_key_to_no_one_else(self):
        with Script(NO_CONTENT) as other, Script(redirect(other.url)) as script:
            ask(script.url, key="secret")
        self.assertEqual(script.requests[0].get("Authorization"), "Bearer secret")
        self.assertIsNone(other.requests[0].get("Authorization"))

    def test_refuses_a_key_that_no_header_can_hold(self):
        with Script() as script:
            result = ask(script.url, key="a\r\nX: b")
        self.assertEqual((result.returncode, result.stdout, script.connections), (1, b"", 0))
        self.assertRegex(result.stderr.decode(), r"\Allm_client: header: [^\n]*\n\Z")

    def test_says_so_where_an_answer_ends_without_done(self):
        """The last event is shown, though its blank line is missing."""
        script = Script(CHUNKED + chunk(b"data: a\n\ndata: b") + LAST_CHUNK)
        self.assertEqual(self.fails("cut short", script), b"a\nb\n")

    def test_takes_a_done_without_its_blank_line(self):
        with Script(CHUNKED + chunk(b"data: a\n\ndata: [DONE]") + LAST_CHUNK) as script:
            result = ask(script.url)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"a\n", b""))

    def test_does_not_ask_again(self):
        self.assertEqual(self.fails("", Script(CHUNKED + chunk(b"data: a\n\ndata: b"))), b"a\n")
        self.assertEqual(self.fails("status", Script(head(b"", b"503 Service Unavailable"))), b"")

    def test_shows_nothing_that_a_terminal_obeys(self):
        data = b'data: {"a": "' + EVIL + 'ä\u20ac\U0001f600\t\\n"}\ndata: b\n\n'.encode()
        with Script(CHUNKED + chunk(data + b"data: [DONE]\n\n") + LAST_CHUNK) as script:
            result = ask(script.url)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertRegex(safe(result.stdout),
                         '\\A{"a": "\\\\u001b]0;title[^\n]+\\\\u2069ä\u20ac\U0001f600\t\\\\n"}\nb\n\\Z')
        safe(ask(b"-" + EVIL).stderr)

    def test_bad_command_lines(self):
        for arguments in [["--bogus"], ["http://127.0.0.1:1/", "x"]]:
            with self.subTest(arguments):
                result = ask(*arguments)
                self.assertEqual((result.returncode, result.stdout), (2, b""))
        result = ask("x")
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertRegex(result.stderr.decode(), r"\Allm_client: url: [^\n]*\n\Z")
        result = ask("--help")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertIn(b"API_KEY", result.stdout)
        self.assertEqual(defaults("llm_client"), {})


if __name__ == "__main__":
    unittest.main()
