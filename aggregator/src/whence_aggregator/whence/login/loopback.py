"""The listener that receives the redirect of a browser on this machine (RFC 8252, 7.3).

It listens on 127.0.0.1, never on `localhost`: browsers resolve that to ::1 first, where another program may listen.
Requests that are not the redirect, such as a browser's for an icon, are answered and do not end the sign-in. A browser
may open connections and send nothing, so each has its own thread and a deadline.
"""

from __future__ import annotations

import queue
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

from whence_aggregator.openid.authorization import OtherSignIn
from whence_common.errors import InputError, RoadError, WhenceError

_HOST = "127.0.0.1"
_PATH = "/callback"
_CONNECTION_SECONDS_MAX = 10.0
_CONNECTIONS_MAX = 32
_PARAMETERS_MAX = 20
_LOOK_SECONDS = 0.05
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>whence</title></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Connection": "close",
}  # fmt: skip
CodeOf = Callable[[Sequence[tuple[str, str]]], str]
"""Return the code of a redirect's parameters. Raises OtherSignIn, and WhenceError if the sign-in has failed."""


class Loopback:
    """Receives one redirect. Use `listening` to create it."""

    def __init__(self, server: _Server) -> None:
        self._server = server

    @property
    def redirect_uri(self) -> str:
        return f"http://{_HOST}:{self._server.server_port}{_PATH}"

    def accept(self, code_of: CodeOf) -> None:
        """Accept the redirect from now on: before anybody has the address of the sign-in, whose browser may be fast."""
        self._server.expect(code_of)

    def wait(self, *, seconds_max: float, clock: Callable[[], float] = time.monotonic) -> str:
        """Return the code of the redirect that was accepted. Raises WhenceError, also after the deadline."""
        ends = clock() + seconds_max
        try:
            while (left := ends - clock()) > 0:
                try:
                    # short waits, so that Ctrl-C ends them
                    found = self._server.found.get(timeout=min(left, 1.0))
                except queue.Empty:
                    continue
                if isinstance(found, WhenceError):
                    raise found
                return found
        finally:
            self._server.expect(None)
        message = f"the browser did not finish the sign-in within {seconds_max:g} seconds"
        raise RoadError("sign-in-deadline", message, fix="run whence login again; --device signs in on another machine")


@contextmanager
def listening(port: int) -> Iterator[Loopback]:
    """Listen on a port, or on any free one for 0, for the block's duration. Raises InputError."""
    try:
        server = _Server((_HOST, port), _Handler)
    except OSError as exc:
        fix = "end the program that listens there (another whence login?), or use --device"
        raise InputError("port-in-use", f"{_HOST}:{port} cannot be listened on: {exc.strerror}", fix=fix) from exc
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _LOOK_SECONDS}, daemon=True)
    thread.start()
    try:
        yield Loopback(server)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = _CONNECTIONS_MAX

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.found: queue.SimpleQueue[str | WhenceError] = queue.SimpleQueue()
        self._slots = threading.BoundedSemaphore(_CONNECTIONS_MAX)
        self._lock = threading.Lock()
        self._code_of: CodeOf | None = None
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without the reverse look-up of the host name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = _HOST, self.server_address[1]

    def expect(self, code_of: CodeOf | None) -> None:
        with self._lock:
            self._code_of = code_of

    def take(self, query: Sequence[tuple[str, str]]) -> str | WhenceError:
        """Return the code of the redirect, or what ended the sign-in, once. Raises OtherSignIn."""
        with self._lock:
            if self._code_of is None:
                raise OtherSignIn
            try:
                found: str | WhenceError = self._code_of(query)
            except WhenceError as exc:
                found = exc
            self._code_of = None
        return found

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore it: a browser closes connections at any time. The default prints a traceback."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout: ClassVar[float] = _CONNECTION_SECONDS_MAX
    server_version, sys_version = "whence", ""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        # another name for this machine is a sign of DNS rebinding
        if self.headers.get("Host") != f"{_HOST}:{self.server.server_port}" or parts.path != _PATH:
            self._respond(404, "Not found", "This is the sign-in of the command whence.")
            return
        try:
            query = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=_PARAMETERS_MAX)
            found = self.server.take(query)
        except (OtherSignIn, ValueError):
            text = "This page belongs to another sign-in, or was opened before. Run <code>whence login</code> again."
            self._respond(400, "Not this sign-in", text)
            return
        try:
            if isinstance(found, WhenceError):
                self._respond(400, "The sign-in failed", "The terminal shows the reason.")
            else:
                self._respond(200, "Almost done", "You may close this page and return to the terminal.")
        finally:
            self.server.found.put(found)  # last: the command may end at once, and the page would be cut off

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: the request line has the code."""

    def _respond(self, status: int, title: str, text: str) -> None:
        content = _PAGE.format(title=title, text=text).encode()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
