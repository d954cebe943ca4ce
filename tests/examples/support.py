"""What the tests of the examples share: starting programs, waiting, and reading a stream by hand."""

import contextlib
import fcntl
import os
import pathlib
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import tty

LIMIT = 30  # seconds: only guards against hanging


def program(name):
    folder = os.environ.get("SSE_EXAMPLES")
    if not folder:
        raise SystemExit("SSE_EXAMPLES must name the folder with the built examples")
    path = pathlib.Path(folder) / name
    if not path.exists():
        raise SystemExit(f"there is no {path}")
    return str(path)


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

    def __init__(self, *arguments, port=0, **options):
        super().__init__("raw_server", "--port", str(port), *arguments, **options)
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
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


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
            part = self.connection.recv(65536)
            if not part:
                raise AssertionError(f"the stream ended after {self.buffer!r}")
            self.buffer += part
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


def run_on_terminal(name, *arguments, columns=80, environment=None, input=None):
    """Runs a program with a terminal for standard output; returns its exit status and what it wrote there."""
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        tty.setraw(theirs)  # else it would write CR LF for LF
        variables = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | (environment or {})
        process = subprocess.Popen([program(name), *arguments], stdin=subprocess.PIPE, stdout=theirs, env=variables)
    finally:
        os.close(theirs)
    written = []

    def read():
        with contextlib.suppress(OSError):  # so Linux reports that nobody has the terminal open any more
            while part := os.read(ours, 65536):
                written.append(part)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        process.communicate(input, timeout=LIMIT)
    finally:
        process.kill()
        process.wait()
    reader.join(LIMIT)
    os.close(ours)
    return process.returncode, b"".join(written).decode()
