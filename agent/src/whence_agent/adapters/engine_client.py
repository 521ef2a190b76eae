"""The agent's calls of the Engine's API over its socket: blocking, bounded, one connection per call.

Method names are those of the Docker SDK, which this module replaces (DECISIONS.md).
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

_ANSWER_BYTES_MAX = 32 * 1024 * 1024
_STAT_CHARACTERS_MAX = 64 * 1024
_CHUNK_BYTES = 64 * 1024


class EngineAway(Exception):
    """The Engine did not respond, or its response is malformed."""


class EngineRefusal(Exception):
    """The Engine returned an error; `explanation` is its text."""

    def __init__(self, status_code: int, explanation: str) -> None:
        super().__init__(f"HTTP {status_code}: {explanation}")
        self.status_code = status_code
        self.explanation = explanation


class EngineNotFound(EngineRefusal):
    """The container, image or file does not exist."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("engine", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Archive:
    """The chunks of an archive; the connection is closed with it."""

    def __init__(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        try:
            while chunk := self._answer.read(_CHUNK_BYTES):
                yield chunk
        except (OSError, http.client.HTTPException) as exc:
            raise EngineAway(f"the archive is incomplete ({type(exc).__name__})") from exc

    def close(self) -> None:
        self._answer.close()
        self._connection.close()


class EngineClient:
    """An Engine at `unix://…` or `tcp://…`. Every call raises EngineAway, or EngineRefusal with the Engine's reason."""

    def __init__(self, *, base_url: str, version: str, timeout: float) -> None:
        self._scheme, _, self._place = base_url.partition("://")
        self._timeout = timeout
        self._version = version

    def version(self) -> dict[str, Any]:
        """Return the Engine's versions; requested without an API version."""
        return self._document("GET", "/version", versioned=False)

    def info(self) -> dict[str, Any]:
        """Return the Engine's information about its machine."""
        return self._document("GET", "/info")

    def inspect_container(self, name: str) -> dict[str, Any]:
        return self._document("GET", f"/containers/{_one(name)}/json")

    def inspect_image(self, image: str) -> dict[str, Any]:
        return self._document("GET", f"/images/{quote(image, safe='/:@')}/json")

    def containers(self) -> list[dict[str, Any]]:
        """Return the running containers."""
        found = self._call("GET", "/containers/json")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def create_container(self, document: dict[str, Any], *, name: str | None = None) -> dict[str, Any]:
        query = {"name": name} if name is not None else {}
        return self._document("POST", "/containers/create", query, body=document)

    def start(self, name: str) -> None:
        self._call("POST", f"/containers/{_one(name)}/start")

    def restart(self, name: str, *, timeout: int) -> None:
        self._call("POST", f"/containers/{_one(name)}/restart", {"t": str(timeout)}, more_seconds=timeout)

    def stop(self, name: str, *, timeout: int) -> None:
        self._call("POST", f"/containers/{_one(name)}/stop", {"t": str(timeout)}, more_seconds=timeout)

    def remove_container(self, name: str, *, force: bool = False, v: bool = False) -> None:
        """Remove a container; with `v`, also its anonymous volumes."""
        query = {"force": str(force), "v": str(v)}
        self._call("DELETE", f"/containers/{_one(name)}", query)

    def get_archive(self, name: str, path: str) -> tuple[_Archive, dict[str, Any]]:
        """Return the tar of a path in a container, which the caller closes, and the path's `stat`."""
        place = f"/v{self._version}/containers/{_one(name)}/archive"
        connection, answer = self._ask("GET", place, {"path": path})
        try:
            head = answer.getheader("X-Docker-Container-Path-Stat", "")[:_STAT_CHARACTERS_MAX]
            stat = json.loads(base64.b64decode(head))
        except (ValueError, RecursionError) as exc:
            connection.close()
            raise EngineAway("the Engine's archive has no valid stat header") from exc
        if not isinstance(stat, dict):
            connection.close()
            raise EngineAway("the Engine's archive has no valid stat header")
        return _Archive(connection, answer), stat

    def _document(
        self, method: str, path: str, query: dict[str, str] | None = None, *, body: object = None,
        versioned: bool = True,
    ) -> dict[str, Any]:  # fmt: skip
        found = self._call(method, path, query, body=body, versioned=versioned)
        if not isinstance(found, dict):
            raise EngineAway("the Engine's response is not a JSON object")
        return found

    def _call(
        self, method: str, path: str, query: dict[str, str] | None = None, *, body: object = None,
        versioned: bool = True, more_seconds: float = 0,
    ) -> Any:  # fmt: skip
        place = f"/v{self._version}{path}" if versioned else path
        connection, answer = self._ask(method, place, query or {}, body, more_seconds)
        try:
            content = _read(answer)
            return json.loads(content) if content.strip() else None
        except (ValueError, RecursionError) as exc:
            raise EngineAway("the Engine's response is not JSON") from exc
        finally:
            connection.close()

    def _ask(
        self, method: str, place: str, query: dict[str, str], body: object = None, more_seconds: float = 0
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send a request; return the connection, which the caller closes, and the response, which is not an error."""
        connection = self._connection(self._timeout + more_seconds)
        try:
            content = None if body is None else json.dumps(body).encode()
            headers = {"Host": "engine"} | ({"Content-Type": "application/json"} if content is not None else {})
            connection.request(method, f"{place}?{urlencode(query)}" if query else place, content, headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                why = _reason(_read(answer), answer.status)
                raise (EngineNotFound if answer.status == 404 else EngineRefusal)(answer.status, why)
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise EngineAway(type(exc).__name__) from exc
        except BaseException:
            connection.close()
            raise
        return connection, answer

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._scheme == "unix":
            return _UnixConnection("/" + self._place.lstrip("/"), timeout)
        return http.client.HTTPConnection(self._place.rstrip("/"), timeout=timeout)


def _one(name: str) -> str:
    return quote(name, safe="")


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        content = answer.read(_ANSWER_BYTES_MAX + 1)
    except (OSError, http.client.HTTPException) as exc:
        raise EngineAway(f"the response is incomplete ({type(exc).__name__})") from exc
    if len(content) > _ANSWER_BYTES_MAX:
        raise EngineAway(f"the response is larger than {_ANSWER_BYTES_MAX} bytes")
    return content


def _reason(content: bytes, status: int) -> str:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    message = document.get("message") if isinstance(document, dict) else None
    return str(message or f"HTTP {status}")
