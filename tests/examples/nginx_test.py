"""raw_server behind nginx, and clients before it."""

import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from support import LIMIT, PATH, Process, Server, certificate, has_curl, missing_tool, require, wait_until

CONFIGURATION = """
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 64; }}
http {{
    log_format line '$request_uri $server_protocol $status $sent_http_content_encoding';
    access_log access.log line;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;

    server {{
        listen 127.0.0.1:{port};
        location /stream {{ proxy_pass http://127.0.0.1:{upstream}; }}
        location /gzip {{
            proxy_pass http://127.0.0.1:{upstream}/stream;
            gzip on;
            gzip_types text/event-stream;
            gzip_min_length 0;
            gzip_proxied any;
        }}
    }}
    server {{
        listen 127.0.0.1:{tls_port} ssl http2;
        ssl_certificate {certificate}.pem;
        ssl_certificate_key {certificate}.key;
        location /stream {{ proxy_pass http://127.0.0.1:{upstream}; }}
    }}
}}
"""


def free_ports(number):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


class Nginx:
    """As Debian has it, but for itself: its files in a folder of its own, nothing in the background."""

    def __init__(self, upstream):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.certificate = certificate(self.folder / "certificate")
        for _ in range(5):  # a port that was free may be taken by now
            self.port, self.tls_port = free_ports(2)
            (self.folder / "nginx.conf").write_text(CONFIGURATION.format(
                port=self.port, tls_port=self.tls_port, upstream=upstream, certificate=self.certificate))
            self.process = subprocess.Popen(
                [shutil.which("nginx", path=PATH), "-p", self.folder, "-c", "nginx.conf", "-e", "error.log"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if wait_until(lambda: self.process.poll() is not None or self.answers() and "yes", "nginx") == "yes":
                return
        raise AssertionError((self.folder / "error.log").read_text())

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.tls_port), timeout=LIMIT).close()
            return True
        except ConnectionRefusedError:
            return False

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def log(self):
        """A line for each request that is over: path, protocol, status, coding."""
        return (self.folder / "access.log").read_text().splitlines()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(LIMIT)
        finally:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder)


def events(process, type):
    return [event for event in map(json.loads, list(process.output)) if event["type"] == type]


def ids(process):
    return [int(event["id"]) for event in events(process, "message")]


class Proxied(unittest.TestCase):
    def start(self, *arguments):
        """raw_server and nginx before it."""
        self.server = self.enterContext(Server("--retry", "1", *arguments))
        self.nginx = self.enterContext(Nginx(self.server.port))

    def client(self, *command):
        return self.enterContext(Process(*command))

    def goes_on(self, client):
        """The server dies and comes back; meanwhile nginx answers by itself."""
        wait_until(lambda: len(ids(client)) >= 3, "three events")
        self.server.end(signal.SIGKILL)
        wait_until(lambda: any("502" in line for line in client.errors), "502")
        self.enterContext(Server("--tick", "20", port=self.server.port))
        wait_until(lambda: events(client, "resumed"), "the stream")
        last = int(events(client, "resumed")[0]["data"])
        wait_until(lambda: last + 3 in ids(client), "three more events")
        client.end()
        shown = ids(client)
        self.assertEqual(shown, list(range(1, len(shown) + 1)))

    def test_events_come_at_once(self):
        """nginx would fill a buffer first, had the server not asked it not to."""
        self.start("--tick", "3600000")
        for name, line in [("sse-cat", "^connecttime$"), ("raw_client", '^"connecttime": ')]:
            with self.subTest(name):
                self.client(name, self.nginx.url("/stream")).wait_for_line(line)

    def test_events_go_on_where_they_were_when_the_server_is_back(self):
        self.start("--tick", "20")
        self.goes_on(self.client("sse-cat", "--json", self.nginx.url("/stream")))

    def test_events_come_compressed_where_the_client_can_undo_that(self):
        self.start("--tick", "20")
        clients = {"raw_client": "-"}
        clients["sse-cat"] = "gzip" if has_curl() else "-"
        for name, coding in clients.items():
            with self.subTest(name):
                client = self.client(name, self.nginx.url("/gzip?" + name))
                wait_until(lambda: sum(bool(re.match('"?message', line)) for line in client.output) >= 3,
                           "three events")
                client.end()
                wait_until(lambda: f"/gzip?{name} HTTP/1.1 200 {coding}" in self.nginx.log(), "the log")

    def test_events_come_by_http_2_where_there_is_tls(self):
        if not has_curl():
            self.skipTest("sse-cat was built without libcurl")
        self.start("--tick", "20")
        client = self.client("sse-cat", "--json", "--cacert", f"{self.nginx.certificate}.pem",
                             f"https://localhost:{self.nginx.tls_port}/stream")
        self.goes_on(client)
        wait_until(lambda: self.nginx.log().count("/stream HTTP/2.0 200 -") == 2, "the log")


if __name__ == "__main__":
    require(missing_tool("nginx"), missing_tool("openssl"))
    unittest.main()
