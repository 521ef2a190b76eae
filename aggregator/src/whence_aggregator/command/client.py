"""The API as the command uses it: one request at a time, bounded, never following a redirect with the token."""

from __future__ import annotations

import http.client
import json
import ssl
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from whence_common.errors import InputError, RoadError, WhenceError, one_line

_PART_BYTES = 64 * 1024
_PROBLEM_BYTES_MAX = 64 * 1024
_REQUEST_SECONDS_MAX = 30.0
_REDIRECTS = (301, 302, 303, 307, 308)


class Refused(WhenceError):
    """The aggregator answered with a problem; `status` is HTTP's."""

    def __init__(self, status: int, code: str, message: str, fix: str) -> None:
        super().__init__(code, message, fix=fix)
        self.status = status


class Client:
    """One aggregator. Raises Refused for its problems, RoadError when it cannot be reached.

    Paths are sent as they are given: `segment` writes a value so that it is one segment of a path.
    """

    def __init__(self, *, url: str, token: str | None) -> None:
        fix = "set WHENCE_URL or --url, as in https://whence.example.org"
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as exc:
            raise InputError("url-malformed", f"{url!r} is not a URL: {exc}", fix=fix) from exc
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError("url-malformed", f"{url!r} is not an http or https URL", fix=fix)
        if token is not None and not (token.isascii() and token.isprintable()):
            raise InputError("token-malformed", "the token has characters that no token has", fix="set WHENCE_TOKEN")
        self._url = url.rstrip("/")
        self._parts = parts
        self._token = token

    def get(self, path: str, **parameters: str | None) -> Any:
        """GET a path with the parameters that are set; give the JSON value."""
        return _decoded(self.get_bytes(path, **parameters))

    def get_bytes(self, path: str, **parameters: str | None) -> bytes:
        """GET a path; give the body."""
        return b"".join(self.stream(path, **parameters))

    def stream(self, path: str, **parameters: str | None) -> Iterator[bytes]:
        """GET a path; give the body in parts, so that a large one need not be in memory."""
        query = urlencode({name: value for name, value in parameters.items() if value is not None})
        target = self._parts.path.rstrip("/") + path + (f"?{query}" if query else "")
        headers = {"Accept": "application/json", "X-Request-Id": uuid.uuid4().hex}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = self._connect()
        try:
            connection.request("GET", target, headers=headers)
            with connection.getresponse() as answer:
                if answer.status in _REDIRECTS:
                    raise self._redirected(answer.getheader("Location", ""))
                if answer.status != 200:
                    raise _refused(answer.status, answer.read(_PROBLEM_BYTES_MAX), f"{self._url}{path}")
                while part := answer.read(_PART_BYTES):
                    yield part
        except (OSError, http.client.HTTPException, UnicodeError) as exc:
            raise RoadError("unreachable", f"{self._url} does not answer: {exc or type(exc).__name__}") from exc
        finally:
            connection.close()

    def _redirected(self, location: str) -> RoadError:
        """Say where the answer points to; the token goes nowhere but to the address that was set."""
        message = f"{self._url} redirects to {one_line(location, 200) or 'no address'}, which is not followed"
        return RoadError("redirected", message, fix="set WHENCE_URL or --url to the aggregator's own address")

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=_REQUEST_SECONDS_MAX, context=context)
        return http.client.HTTPConnection(host, port, timeout=_REQUEST_SECONDS_MAX)


def segment(text: str) -> str:
    """Write a value as one segment of a path."""
    return quote(text, safe=":")


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise RoadError("answer-not-json", "the answer is not JSON: is this a whence-aggregator?") from exc


def _refused(status: int, content: bytes, asked: str) -> WhenceError:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return RoadError("answer-not-json", f"HTTP {status}, and the answer is not JSON: is this a whence-aggregator?")
    problem = document if isinstance(document, dict) else {}
    if problem.get("code") == "http-404":
        fix = "check WHENCE_URL; an aggregator of another version may not have this path"
        return Refused(status, "http-404", f"the server has no path {asked} (HTTP 404)", fix)
    detail = one_line(str(problem.get("detail", f"HTTP {status}, and no reason given")))
    return Refused(status, str(problem.get("code", f"http-{status}")), detail, one_line(str(problem.get("fix", ""))))
