"""A Kio on a loopback port: GET /apps, GET and PUT /apps/{id}. It passes the same contract tests as an aggregator's paths."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from whence_aggregator.applications.fields import EMPTY, ApplicationInvalid, merge
from whence_common.identifiers import is_application_id

TOKEN = "kio-token"
_TIME = "2026-11-22T12:00:00.000Z"


@dataclass
class FakeKio:
    """Applications by id, and what a test wants to go wrong."""

    url: str = ""
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    listed_fields: tuple[str, ...] | None = None
    """The fields that GET /apps has, as in an older Kio; None means all."""
    said: dict[tuple[str, str], list[tuple[int, object]]] = field(default_factory=dict)
    """Answers by method and path, each given once; a status of 0 closes the connection without an answer."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    def put(self, application_id: str, **fields: Any) -> None:
        """Store an application directly."""
        self.stored[application_id] = {**EMPTY, "name": application_id, "team_id": "hello", "active": True, **fields}

    def puts(self) -> list[str]:
        return [path for method, path in self.asked if method == "PUT"]

    def answer(self, method: str, target: str, token: str, body: bytes) -> tuple[int, object]:
        path = unquote(urlsplit(target).path)
        self.asked.append((method, path))
        prepared = self.said.get((method, path))
        if prepared:
            return prepared.pop(0)
        if token != f"Bearer {TOKEN}":
            return 401, {"message": "Unauthorized", "details": {}}
        name = path.removeprefix("/apps/")
        if method == "GET" and path == "/apps":
            return 200, [self._listed(one) for one in sorted(self.stored)] or None
        if not path.startswith("/apps/") or not is_application_id(name):
            return 400, {"message": "invalid id", "details": {}}
        if method == "PUT":
            return self._written(name, body)
        return (200, {**self._shown(name), "required_approvers": 2}) if name in self.stored else (404, {})

    def _written(self, name: str, body: bytes) -> tuple[int, object]:
        document = json.loads(body)
        self.bodies.append(document)
        try:
            self.stored[name] = merge(self.stored.get(name), document)
        except ApplicationInvalid as exc:
            return 400, {"message": exc.message, "details": {}}
        return 200, ""

    def _shown(self, name: str) -> dict[str, Any]:
        when = {"created": _TIME, "created_by": "demo", "last_modified": _TIME, "last_modified_by": "demo"}
        return {"id": name, **self.stored[name], **when}

    def _listed(self, name: str) -> dict[str, Any]:
        shown = self._shown(name)
        return shown if self.listed_fields is None else {key: shown[key] for key in self.listed_fields}


@contextmanager
def fake_kio() -> Iterator[FakeKio]:
    """Run a Kio."""
    kio = FakeKio()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond("GET")

        def do_PUT(self) -> None:
            self._respond("PUT")

        def _respond(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, document = kio.answer(method, self.path, self.headers.get("Authorization", ""), body)
            if not status:
                return
            content = (
                document if isinstance(document, bytes) else b"" if document == "" else json.dumps(document).encode()
            )
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "3")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    kio.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield kio
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
