"""Clients of a server on Node's http, which cuts their connections."""

import pathlib
import re
import shutil
import subprocess
import unittest

from support import PATH, has_curl, missing_tool, require, run

SERVER = pathlib.Path(__file__).with_name("node_server.mjs")


class Node(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        server = subprocess.Popen([shutil.which("node", path=PATH), SERVER], stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(server.communicate)
        cls.addClassCleanup(server.kill)
        cls.url = re.fullmatch(r"listening on (\S+)\n", server.stdout.readline())[1]

    def check(self, path, coding, sse_cat):
        result = run(*(["sse-cat", "--json"] if sse_cat else ["raw_client"]), self.url + path)
        lines = result.stdout.decode().splitlines()
        if sse_cat:
            expected = [f'{{"type":"tick","data":"number {id}\\n{coding}","id":"{id}"}}' for id in range(1, 7)]
        else:
            expected = [rf'"tick": "number {id}\n{coding}"' for id in range(1, 7)]
        self.assertEqual(lines, expected)
        self.assertEqual(result.returncode, 0 if sse_cat else 1)  # for raw_client 204 is a failure
        errors = result.stderr.decode()
        self.assertEqual(len(re.findall("again in", errors)), 2, errors)  # cut, and ended in good order

    def test_sse_cat_reads_every_event_once(self):
        self.check("/sse-cat", "plain", sse_cat=True)

    def test_raw_client_reads_every_event_once(self):
        self.check("/raw_client", "plain", sse_cat=False)

    def test_sse_cat_reads_what_is_compressed(self):
        self.check("/gzip-sse-cat", "compressed" if has_curl() else "plain", sse_cat=True)

    def test_raw_client_does_not_ask_for_what_is_compressed(self):
        self.check("/gzip-raw_client", "plain", sse_cat=False)


if __name__ == "__main__":
    require(missing_tool("node"))
    unittest.main()
