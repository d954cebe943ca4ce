"""What the tests of the examples share: starting programs, waiting, and reading a stream by hand."""

import collections
import contextlib
import fcntl
import http.client
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
import tty
import urllib.parse

LIMIT = 30  # seconds: only guards against hanging
PATH = os.environ.get("PATH", "") + ":/usr/sbin"

# What is tested is on this machine, where libcurl would ask a proxy for it.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"


def program(name):
    folder = os.environ.get("SSE_EXAMPLES")
    if not folder:
        raise SystemExit("SSE_EXAMPLES must name the folder with the built examples")
    path = pathlib.Path(folder) / name
    if not path.exists():
        raise SystemExit(f"there is no {path}")
    return str(path)


def is_sanitized(name, *marks):
    with open(program(name), "rb") as file:
        content = file.read()
    return any(mark in content for mark in marks or [b"__asan_init", b"__tsan_init", b"__ubsan_handle"])


def memory(server, kind="VmRSS"):
    """What the server has of it, in KiB."""
    with open(f"/proc/{server.process.pid}/status") as file:
        return int(re.search(kind + r":\s+(\d+) kB", file.read())[1])


def run(name, *arguments, **options):
    """Runs a program to its end; stdout and stderr are bytes."""
    return subprocess.run([program(name), *arguments], capture_output=True, timeout=LIMIT, **options)


def wait_until(condition, what):
    end = time.monotonic() + LIMIT
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for: {what}")
        time.sleep(0.01)
    return result


# What terminals act on: controls of one byte and as UTF-8, line and paragraph ends, what turns the direction of
# writing; and bytes that belong to no character. No line end, so that it can stand in a field.
EVIL = (b"\x1b]0;title\x07\x1b[2J\x08\x7f\x9b2J\xff\xc3(\xe2\x80(\xed\xa0\x80\xf0\x9f\xc0\xaf" +
        "\x85\x9b2J\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069".encode())
UNSAFE = "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"


def safe(output):
    """What a program has written, as text, which no terminal acts on."""
    text = output.decode()  # an error, unless all is UTF-8
    if re.search(UNSAFE, text):
        raise AssertionError(f"a terminal acts on {text!r}")
    return text


def defaults(name):
    """Those that --help tells of, by the option; no line of it is too long for a terminal."""
    result = run(name, "--help")
    text = result.stdout.decode()
    if result.returncode != 0 or result.stderr or any(len(line) > 80 for line in text.splitlines()):
        raise AssertionError(result)
    options = re.findall(r"^  (--[a-z-]+)(.*?)(?=\n  -|\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    found = {option: re.search(r"\(default:?\s+([^),]+)", words) for option, words in options}
    return {option: match[1] for option, match in found.items() if match}


class Process:
    """A program that goes on running; its output is read on the side, line by line."""

    def __init__(self, name, *arguments, **options):
        self.process = subprocess.Popen(
            [program(name), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        self.output = []
        self.errors = []
        self.readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.output), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors), daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _read(stream, lines):
        with stream:
            for line in stream:
                lines.append(line.rstrip("\n"))

    def wait_for_line(self, pattern):
        def search():
            return next((found for line in list(self.output) if (found := re.search(pattern, line))), None)

        try:
            return wait_until(search, f"a line like {pattern!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; there were {self.output} and on stderr {self.errors}") from None

    def wait(self):
        """Waits for its end, and for the last of its output; returns the exit status."""
        status = self.process.wait(LIMIT)
        for reader in self.readers:
            reader.join(LIMIT)
        return status

    def end(self, number=signal.SIGTERM):
        """Sends the signal, and returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(LIMIT)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        for reader in self.readers:
            reader.join(LIMIT)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(signal.SIGKILL)


class Server(Process):
    """raw_server on a free port, unless told otherwise."""

    name = "raw_server"

    def __init__(self, *arguments, port=0, **options):
        super().__init__(self.name, "--port", str(port), *arguments, **options)
        self.port = int(self.wait_for_line(r"^listening on http://127\.0\.0\.1:(\d+)/$")[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT)

    def exchange(self, request):
        """Sends a request and returns all that comes until the server closes."""
        with self.connect() as connection:
            connection.sendall(request)
            return read_all(connection)


def read_all(connection):
    received = []
    while more := connection.recv(65536):
        received.append(more)
    return b"".join(received)


class Stream:
    """A connection to /stream, read block by block."""

    def __init__(self, server, *fields):
        self.connection = server.connect()
        self.buffer = b""
        lines = ["GET /stream HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *fields, "", ""]
        self.connection.sendall("\r\n".join(lines).encode())
        self.head = self._until(b"\r\n\r\n").decode()

    def _until(self, end):
        while end not in self.buffer:
            more = self.connection.recv(65536)
            if not more:
                raise AssertionError(f"the stream ended after {self.buffer!r}")
            self.buffer += more
        found, _, self.buffer = self.buffer.partition(end)
        return found

    def block(self):
        """The next lines up to a blank one."""
        return self._until(b"\n\n").decode()

    def block_with(self, pattern):
        """The next block with a line that matches; those before it are skipped."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            block = self.block()
            if re.search(pattern, block, re.MULTILINE):
                return block
        raise AssertionError(f"waited in vain for a block like {pattern!r}")

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class LiveServer(Server):
    """live_server, whose ticker is silent unless told otherwise."""

    name = "live_server"

    def __init__(self, *arguments, **options):
        super().__init__("--tick", "0", *arguments, **options)

    def request(self, method, target, body=None, fields=None):
        """On a connection of its own; returns the answer, and its body."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)) as client:
            client.request(method, target, body, fields or {})
            answer = client.getresponse()
            return answer, answer.read()

    def publish(self, data, type="message"):
        """Returns the event's ID."""
        target = "/publish?" + urllib.parse.urlencode({"type": type})
        answer, body = self.request("POST", target, data.encode())
        if answer.status != 200:
            raise AssertionError(f"{answer.status} {body!r} for {data!r}")
        return body.decode().rstrip("\n")

    def stats(self):
        return json.loads(self.request("GET", "/stats")[1])


Event = collections.namedtuple("Event", "type id data retry")


class Subscriber:
    """A connection to live_server's /events, read event by event; the port may be a proxy's.

    A deaf one takes few bytes, and none until it is read.
    """

    def __init__(self, port, target="/events", last_id=None, is_deaf=False):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        self.last_id = last_id or ""
        self.answer = None
        self.rest = []  # lines of a block that was cut off
        if is_deaf:
            self.http.sock = socket.socket()
            self.http.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.http.sock.settimeout(LIMIT)
            self.http.sock.connect(("127.0.0.1", port))
        try:
            self.http.request("GET", target, headers={} if last_id is None else {"Last-Event-ID": last_id})
            self.socket = self.http.sock
            if not is_deaf:
                self.first = self.block()
        except BaseException:
            self.close()
            raise

    def block(self):
        """The lines up to the next blank one; None where the stream ends."""
        if not self.answer:
            self.answer = self.http.getresponse()
            if self.answer.status != 200:
                raise AssertionError(f"{self.answer.status} {self.answer.read()!r}")
        lines = []
        while line := self.answer.readline():
            if line == b"\n":
                self.last_id = next((line[4:] for line in lines if line.startswith("id: ")), self.last_id)
                return lines
            lines.append(line.decode().removesuffix("\n"))
        self.rest = lines
        return None

    def event(self):
        """The next event; None where the stream ends."""
        while (lines := self.block()) is not None:
            fields = collections.defaultdict(list)
            for line in lines:
                name, _, value = line.partition(": ")
                fields[name].append(value)
            if "data" in fields:
                type, id, retry = ((fields[name] or [None])[0] for name in ["event", "id", "retry"])
                return Event(type or "message", id, "\n".join(fields["data"]), retry and int(retry))
        return None

    def events(self):
        """All up to the end of the stream."""
        return list(iter(self.event, None))

    def data(self, count=1):
        """That of the next events, which have to be of no other type."""
        events = [self.event() for _ in range(count)]
        if any(event is None or event.type in ("gap", "drain") for event in events):
            raise AssertionError(f"after {self.last_id}: {events}")
        return [event.data for event in events]

    def close(self):
        if self.answer:
            self.answer.close()
        self.http.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Terminal:
    """A program that goes on running, with a terminal for standard output; it is as wide as told, and read."""

    def __init__(self, name, *arguments, columns=80, environment=None, is_read=True, **options):
        self.columns = columns
        self.ours, theirs = pty.openpty()
        try:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            tty.setraw(theirs)  # else it would write CR LF for LF
            variables = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | (environment or {})
            self.process = subprocess.Popen([program(name), *arguments], stdin=subprocess.PIPE, stdout=theirs,
                                            stderr=subprocess.PIPE, env=variables, **options)
        finally:
            os.close(theirs)
        self.bytes = bytearray()
        self.reader = threading.Thread(target=self._read if is_read else lambda: None, daemon=True)
        self.reader.start()

    def _read(self):
        with contextlib.suppress(OSError):  # so Linux reports that nobody has the terminal open any more
            while more := os.read(self.ours, 65536):
                self.bytes += more

    def written(self):
        return bytes(self.bytes).decode(errors="replace")  # the last character may have come in part

    def screen(self):
        """The lines that can be seen, of what this understands: text, LF, CR, colours, and erasing to the right."""
        rows, column = [""], 0
        for token in re.findall(r"\x1b\[[0-9;]*[mK]|.", self.written(), re.DOTALL):
            if token == "\n":
                rows.append("")
                column = 0
            elif token == "\r":
                column = 0
            elif token == "\x1b[K":
                rows[-1] = rows[-1][:column]
            elif len(token) == 1:
                if column == self.columns:
                    rows.append("")
                    column = 0
                rows[-1] = rows[-1][:column] + token + rows[-1][column + 1:]
                column += 1
        return rows

    def wait_for_last_line(self, pattern):
        try:
            return wait_until(lambda: re.search(pattern, self.screen()[-1]), f"a last line like {pattern!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; there was {self.written()!r}") from None

    def finish(self, input=None):
        """Waits for its end; returns its exit status and what it wrote on standard error."""
        try:
            errors = self.process.communicate(input, timeout=LIMIT)[1]
        finally:
            self.process.kill()
            self.process.wait()
        self.reader.join(LIMIT)
        return self.process.returncode, errors.decode()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.finish()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stderr.close()
        self.reader.join(LIMIT)
        os.close(self.ours)


def run_on_terminal(name, *arguments, columns=80, environment=None, input=None):
    """Runs a program with a terminal for standard output; returns its exit status and what it wrote there."""
    with Terminal(name, *arguments, columns=columns, environment=environment) as terminal:
        status, errors = terminal.finish(input)
        if errors:
            raise AssertionError(errors)
        return status, bytes(terminal.bytes).decode()


# A server that says exactly what a test wants

TYPE = b"Content-Type: text/event-stream\r\n"


def head(fields=TYPE, status=b"200 OK"):
    return b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNKED = head(TYPE + b"Transfer-Encoding: chunked\r\n")
LAST_CHUNK = b"0\r\n\r\n"
NO_CONTENT = head(b"", b"204 No Content")


def redirect(to, status=b"307 Temporary Redirect"):
    return head(b"Location: " + to.encode() + b"\r\nContent-Length: 0\r\n", status)


def hold(connection):
    """A step of an answer: nothing more, until the client goes or the test is over."""
    while connection.recv(65536):
        pass


def reset(connection):
    """A step of an answer: the connection breaks."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Request:
    def __init__(self, text, body):
        self.line, *fields = text.decode("latin-1").split("\r\n")
        self.method, self.target, _ = self.line.split(" ")
        self.fields = [tuple(half.strip() for half in field.split(":", 1)) for field in fields]
        self.body = body

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        """The value of the only field of that name; None where there is none."""
        values = self.all(name)
        if len(values) > 1:
            raise AssertionError(f"{name} comes several times: {values}")
        return values[0] if values else None


class Script:
    """A server whose connections get one answer each, in order, and those after them none.

    An answer is bytes, or an iterable of steps: bytes, or a function of the connection. A generator may wait
    between them. After the last step the connection is closed.
    """

    def __init__(self, *answers, tls=None):
        self.answers = answers
        self.tls = tls
        self.requests = []
        self.connections = 0
        self.last = None  # the address of the connection that ends it
        self.current = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(LIMIT)
        self.port = self.listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://{'localhost' if tls else '127.0.0.1'}:{self.port}/stream"
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        with contextlib.suppress(TimeoutError):  # nobody has come for long
            while True:
                connection, peer = self.listener.accept()
                if peer == self.last:
                    return connection.close()
                number = self.connections
                self.connections += 1
                answer = self.answers[number] if number < len(self.answers) and not self.last else b""
                # A client that has seen enough goes; what it has said until then is what counts.
                with contextlib.suppress(OSError), connection:
                    self._answer(connection, [answer] if isinstance(answer, bytes) else answer)

    def _answer(self, connection, steps):
        connection.settimeout(LIMIT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True)
        with connection:
            self.current = connection
            if not self._read_request(connection):
                return
            for step in steps:
                if callable(step):
                    step(connection)
                else:
                    connection.sendall(step)
            connection.shutdown(socket.SHUT_WR)
            hold(connection)

    def _read_request(self, connection):
        received = b""
        while b"\r\n\r\n" not in received:
            more = connection.recv(65536)
            if not more:
                return False
            received += more
        text, _, body = received.partition(b"\r\n\r\n")
        request = Request(text, body)
        while len(request.body) < int(request.get("Content-Length") or 0):
            more = connection.recv(65536)
            if not more:
                return False
            request.body += more
        self.requests.append(request)
        return True

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        """Ends the connection that is left; those that nobody has accepted yet are counted."""
        with socket.socket() as last:
            last.bind(("127.0.0.1", 0))
            self.last = last.getsockname()
            if self.current:
                with contextlib.suppress(OSError):
                    self.current.shutdown(socket.SHUT_RDWR)
            last.connect(("127.0.0.1", self.port))
            self.thread.join(LIMIT)
        self.listener.close()


# Tools of others

def require(*missing):
    """Skips all the tests of a file where something is missing, or fails where SSE_REQUIRE_PEERS is 1."""
    if missing := [each for each in missing if each]:
        print("not tested:", ", ".join(missing))
        sys.exit(1 if os.environ.get("SSE_REQUIRE_PEERS") == "1" else 77)


def missing_tool(name):
    """What `require` wants to know; Debian has servers where only root's PATH leads."""
    return None if shutil.which(name, path=PATH) else f"there is no {name}"


def has_curl():
    """Whether sse-cat was built with libcurl: only then it knows of certificates."""
    return b"without libcurl" not in run("sse-cat", "--cacert", "x").stderr


def certificate(path, host="localhost", days=1):
    """Makes `path`.pem, a certificate for the host that nobody but itself has signed, and its `path`.key."""
    for command in [
            ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", f"/CN={host}",
             "-addext", f"subjectAltName=DNS:{host}", "-keyout", f"{path}.key", "-out", f"{path}.csr"],
            ["x509", "-req", "-in", f"{path}.csr", "-signkey", f"{path}.key", "-copy_extensions", "copy",
             "-days", str(days), "-out", f"{path}.pem"]]:
        subprocess.run(["openssl", *command], check=True, capture_output=True, timeout=LIMIT)
    return path
