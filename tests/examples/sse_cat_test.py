"""sse-cat, on pipes, files and a terminal."""

import json
import os
import subprocess
import tempfile
import unittest

from support import EVIL, LIMIT, Process, defaults, program, run, run_on_terminal, safe

BOLD, DIM, PLAIN = "\x1b[1;36m", "\x1b[2m", "\x1b[m"


def cat(stream, *arguments):
    result = run("sse-cat", *arguments, input=stream)
    if result.returncode or result.stderr:
        raise AssertionError((result.returncode, result.stderr))
    return result.stdout


def json_lines(stream, *arguments):
    return [json.loads(line) for line in cat(stream, "--json", *arguments).decode("utf-8").split("\n")[:-1]]


class Text(unittest.TestCase):
    def test_has_the_type_and_the_id_above_the_data(self):
        stream = (b"\xEF\xBB\xBF: hi\ndata: a\n\n"
                  b"event: tick\rid: 7\r\ndata: one\ndata:  two\ndata\ndata: four\n\n"
                  b"id\ndata\n\ndata: x")
        self.assertEqual(cat(stream), b"message\n  a\ntick  7\n  one\n   two\n\n  four\nmessage\n")

    def test_of_nothing(self):
        self.assertEqual(cat(b""), b"")

    def test_leaves_bytes_as_they_are_where_there_is_no_terminal(self):
        self.assertEqual(cat(b"data: \x1b[31m\xff\t\n\n"), b"message\n  \x1b[31m\xff\t\n")

    def test_may_have_the_data_only(self):
        stream = b"event: a\nid: 1\ndata: x\ndata: y\n\ndata\n\ndata: \xff\n\n"
        self.assertEqual(cat(stream, "--data-only"), b"x\ny\n\n\xff\n")

    def test_may_have_comments(self):
        self.assertEqual(cat(b":a\n: b\ndata: x\n\n:\n", "--comments"), b": a\n: b\nmessage\n  x\n:\n")

    def test_may_have_chosen_types_only(self):
        stream = b"data: 1\n\nevent: a\ndata: 2\n\nevent: b\ndata: 3\n\nevent: A\ndata: 4\n\n"
        self.assertEqual(cat(stream, "--type", "a", "--data-only"), b"2\n")
        self.assertEqual(cat(stream, "--type=message", "--type", "b", "--data-only"), b"1\n3\n")
        self.assertEqual(cat(stream, "--type", "none"), b"")


class Json(unittest.TestCase):
    def test_has_a_line_for_each_event(self):
        self.assertEqual(cat(b"id: 1\ndata: a\n\nevent: t\ndata: b\ndata: c\n\n", "--json"),
                         b'{"type":"message","data":"a","id":"1"}\n{"type":"t","data":"b\\nc","id":"1"}\n')

    def test_is_valid_for_all_bytes(self):
        everything = bytes(byte for byte in range(256) if byte not in b"\r\n")
        without_nul = everything.replace(b"\0", b"")
        stream = b"event: " + everything + b"\nid: " + without_nul + b"\ndata: " + everything + b"\n\n"
        expected = everything.decode("utf-8", errors="replace")
        self.assertEqual(json_lines(stream),
                         [{"type": expected, "data": expected, "id": expected.replace("\0", "")}])

    def test_is_valid_for_all_characters(self):
        codes = [*range(0x3000), 0xD7FF, 0xE000, 0xFEFF, 0xFFFF, 0x10000, 0x1F600, 0x10FFFF]
        characters = "".join(chr(code) for code in codes if code not in (0x0A, 0x0D))
        self.assertEqual(json_lines(f"data: {characters}\n\n".encode()),
                         [{"type": "message", "data": characters, "id": ""}])

    def test_replaces_what_is_not_utf_8(self):
        # Each maximal part of a character that is not one is replaced once, as browsers do.
        for bad, good in [(b"\xff", "\ufffd"), (b"\xc3", "\ufffd"), (b"\xf0\x9f\x98", "\ufffd"),
                          (b"\xc0\x80", "\ufffd\ufffd"), (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
                          (b"a\x80b", "a\ufffdb")]:
            with self.subTest(bad):
                self.assertEqual(json_lines(b"data: " + bad + b"\n\n")[0]["data"], good)

    def test_has_no_character_that_a_terminal_obeys(self):
        stream = "data: \x1b[31m\x7f\x9b\u202e\n\n".encode()
        self.assertEqual(cat(stream, "--json"),
                         b'{"type":"message","data":"\\u001b[31m\\u007f\\u009b\\u202e","id":""}\n')

    def test_may_have_comments(self):
        self.assertEqual(json_lines(b': "x"\n\ndata\n\n', "--comments"),
                         [{"comment": '"x"'}, {"type": "message", "data": "", "id": ""}])


class Input(unittest.TestCase):
    def test_names_in_complaints_are_shown_not_obeyed(self):
        for arguments, status in [(["no\nsuch\x1b[31mfile"], 1), (["--no\nsuch\x1b[31moption"], 2)]:
            with self.subTest(arguments):
                result = run("sse-cat", *arguments)
                self.assertEqual(result.returncode, status)
                self.assertRegex(result.stderr.decode(),
                                 r"\Asse-cat: [^\n]*no\\u000asuch\\u001b\[31m[^\n]*\n(Try[^\n]*\n)?\Z")

    def test_may_be_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "--stream")
            with open(path, "wb") as file:
                file.write(b"data: x\n\n" * 100_000)
            self.assertEqual(cat(b"", path, "--data-only"), b"x\n" * 100_000)
            result = run("sse-cat", "--data-only", "--", "--stream", cwd=folder)
            self.assertEqual((result.returncode, len(result.stdout)), (0, 200_000))

    def test_dash_is_standard_input(self):
        self.assertEqual(cat(b"data: x\n\n", "--data-only", "-"), b"x\n")

    def test_that_cannot_be_read(self):
        for path in ["/nonexistent/file", "/"]:
            result = run("sse-cat", path)
            self.assertEqual((result.returncode, result.stdout), (1, b""))
            self.assertRegex(result.stderr.decode(), rf"\Asse-cat: cannot read {path}: [^\n]+\n\Z")

    def test_is_shown_event_by_event(self):
        for arguments, shown in [([], "^  one$"), (["--json"], '"one"'), (["--data-only"], "^one$")]:
            with self.subTest(arguments), Process("sse-cat", *arguments, stdin=subprocess.PIPE) as process:
                process.process.stdin.write("data: one\n\ndata: two\n")
                process.process.stdin.flush()
                process.wait_for_line(shown)
                self.assertFalse(any("two" in line for line in process.output))
                process.process.stdin.write("\n")
                process.process.stdin.flush()
                process.wait_for_line(shown.replace("one", "two"))
                process.process.stdin.close()
                self.assertEqual(process.process.wait(LIMIT), 0)

    def test_may_end_in_mid_event(self):
        for end in [b"data: half", b"data: half\n", b"event: message\ndata: half\r"]:
            with self.subTest(end):
                self.assertEqual(cat(b"data: x\n\n" + end, "--data-only"), b"x\n")
                self.assertEqual(cat(b"data: x\n\n" + end, "--data-only", "--deliver"), b"x\nhalf\n")
        self.assertEqual(cat(b"data: x\n\nid: 1\n", "--data-only", "--deliver"), b"x\n")


class Limit(unittest.TestCase):
    def test_ends_with_a_clear_line_and_no_half_event(self):
        result = run("sse-cat", "--data-only", "--limit", "1000", input=b"data: ok\n\ndata: " + b"x" * 2000 + b"\n\n")
        self.assertEqual((result.returncode, result.stdout), (1, b"ok\n"))
        self.assertRegex(result.stderr.decode(), r"\Asse-cat: [^\n]*larger[^\n]*--limit 1000[^\n]*\n\Z")

    def test_is_not_met_by_what_is_not_kept(self):
        self.assertEqual(cat(b":" + b"x" * 200_000 + b"\ndata: ok\n\n", "--data-only", "--limit", "1000"), b"ok\n")

    def test_can_be_larger_than_the_default(self):
        size = 17 << 20
        stream = b"data: " + b"x" * size + b"\n\n"
        self.assertEqual(run("sse-cat", "--data-only", input=stream).returncode, 1)
        self.assertEqual(cat(stream, "--data-only", "--limit", str(size + 1000)), b"x" * size + b"\n")


class Terminal(unittest.TestCase):
    def shows(self, stream, expected, *arguments, **options):
        self.assertEqual(run_on_terminal("sse-cat", *arguments, input=stream, **options), (0, expected))

    def test_has_colours(self):
        self.shows(b"event: tick\nid: 7\ndata: x\n\n: c\n\n", f"{BOLD}tick{PLAIN}{DIM}  7{PLAIN}\n  x\n")
        self.shows(b": c\n\n", f"{DIM}: c{PLAIN}\n", "--comments")

    def test_has_none_where_they_are_not_wanted(self):
        self.shows(b"event: tick\nid: 7\ndata: x\n\n", "tick  7\n  x\n", environment={"NO_COLOR": "1"})
        self.shows(b"data\n\n", f"{BOLD}message{PLAIN}\n", environment={"NO_COLOR": ""})

    def test_never_gets_control_characters(self):
        evil = "\x1b]0;title\x07\x08\x00\x7f\x9b2J\t\u202e"
        shown = r"\u001b]0;title\u0007\u0008\u0000\u007f\u009b2J\u0009\u202e"
        options = {"environment": {"NO_COLOR": "1"}, "columns": 200}
        stream = f"event: {evil}\nid: \x1b\ndata: {evil}\n: {evil}\n\n".encode()
        self.shows(stream, f"{shown}  \\u001b\n  {shown}\n", **options)
        self.shows(stream, f"{shown}\n", "--data-only", **options)
        self.shows(stream, f": {shown}\n{shown}  \\u001b\n  {shown}\n", "--comments", **options)

    def test_gets_no_byte_that_is_not_utf_8(self):
        self.shows(b"data: a\xffb\xc2\n\n", "a\ufffdb\ufffd\n", "--data-only")

    def test_has_long_lines_folded_below_one_another(self):
        options = {"environment": {"NO_COLOR": "1"}}
        for length, rows in [(78, [78]), (79, [78, 1]), (156, [78, 78]), (200, [78, 78, 44])]:
            with self.subTest(length):
                folded = "".join("  " + "x" * row + "\n" for row in rows)
                self.shows(b"data: " + b"x" * length + b"\n\n", "message\n" + folded, **options)
        self.shows(("data: " + "日" * 40 + "\n\n").encode(), "message\n  " + "日" * 39 + "\n  日\n", **options)
        self.shows(b"data: " + b"x" * 75 + b"\x1b\n\n", "message\n  " + "x" * 75 + "\n  \\u001b\n", **options)

    def test_has_data_only_unfolded_to_be_copied(self):
        self.shows(b"data: " + b"x" * 200 + b"\n\n", "x" * 200 + "\n", "--data-only")


class TheProgram(unittest.TestCase):
    def test_ends_quietly_when_nobody_reads_it(self):
        process = subprocess.Popen([program("sse-cat")], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        with process.stderr:
            try:
                while process.poll() is None:
                    process.stdin.write(b"data: x\n\n" * 100)
                    process.stdin.flush()
            except BrokenPipeError:
                pass
            self.assertEqual(process.wait(LIMIT), 0)
            self.assertEqual(process.stderr.read(), b"")
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass

    def test_says_when_it_cannot_write(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([program("sse-cat")], input=b"data: x\n\n",
                                    stdout=full, stderr=subprocess.PIPE, timeout=LIMIT)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr.decode(), r"\Asse-cat: cannot write to standard output: [^\n]+\n\Z")

    def test_bad_command_lines(self):
        for arguments in [["--bogus"], ["-x"], ["--type"], ["--limit"], ["--limit", "0"], ["--limit", "-1"],
                          ["--limit", "1k"], ["--limit", "99999999999999999999999"], ["a", "b"],
                          ["--json=1"], ["--json", "--data-only"],
                          ["--comments", "--data-only"]]:
            with self.subTest(arguments):
                result = run("sse-cat", *arguments, stdin=subprocess.DEVNULL)
                self.assertEqual((result.returncode, result.stdout), (2, b""))
                self.assertRegex(result.stderr.decode(), r"\Asse-cat: [^\n]+\nTry 'sse-cat --help'\.\n\Z")

    def test_its_complaints_show_nothing_that_a_terminal_obeys(self):
        for arguments in [[EVIL], [b"-" + EVIL], [b"--limit", EVIL], [b"-H", EVIL]]:
            with self.subTest(arguments):
                result = run("sse-cat", *arguments, stdin=subprocess.DEVNULL)
                self.assertRegex(safe(result.stderr), r"\Asse-cat: [^\n]*\\u001b\]0;title[^\n]*\n")
                self.assertIn(r"\x9b2J\xff\xc3(\xe2\x80(\xed\xa0\x80\xf0\x9f\xc0\xaf\u0085\u009b2J\u061c\u200e\u200f"
                              r"\u2028\u2029\u202a\u202e\u2066\u2069", safe(result.stderr))

    def test_help_and_version(self):
        result = run("sse-cat", "--help")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        for option in [b"--type", b"--json", b"--data-only", b"--comments", b"--limit",
                       b"--deliver", b"--help", b"--version"]:
            self.assertIn(option, result.stdout)
        self.assertEqual(defaults("sse-cat"), {"--limit": "16777216"})
        self.assertRegex(run("sse-cat", "--version").stdout.decode(), r"\Asse-cat \d+\.\d+\.\d+\n\Z")


if __name__ == "__main__":
    unittest.main()
