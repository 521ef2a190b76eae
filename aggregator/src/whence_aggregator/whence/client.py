"""The HTTP client of the command: one request at a time, bounded; redirects are not followed."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from whence_common.errors import InputError, RoadError, WhenceError, one_line

_PART_BYTES = 64 * 1024
_PROBLEM_BYTES_MAX = 64 * 1024
_QUERY_BYTES_MAX = 7_000
"""Servers and proxies refuse longer request lines, with a page that is no answer of an aggregator."""
_REQUEST_SECONDS_MAX = 30.0
_DONE = (200, 201, 202)
_REDIRECTS = (301, 302, 303, 307, 308)
_REFUSED_EARLY = (BrokenPipeError, ConnectionResetError)
"""The server has responded before it read the whole body: the response says why."""
_OTHER_NAME = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL."""


class Refused(WhenceError):
    """The aggregator responded with a problem; `status` is the HTTP status."""

    def __init__(
        self, status: int, code: str, message: str, fix: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(code, message, fix=fix)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class SignedInTokens(Protocol):
    """The tokens of the person who signed in at the aggregator with `whence login`."""

    def current(self) -> str | None:
        """Return a valid token; None if nobody has signed in. Raises WhenceError."""

    def after_refusal(self, refused: str) -> str | None:
        """Return another token than the one that the aggregator refused; None if there is none. Raises WhenceError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUpload:
    """A body that is read as it is sent. `parts` begins again for a second try."""

    size: int
    parts: Callable[[], Iterator[bytes]]


class Client:
    """A client of one aggregator. Raises Refused for its problems, RoadError if it is unreachable.

    Paths are sent unchanged: use `segment` to encode a value as one segment.
    """

    def __init__(
        self, *, url: str, token: str | None, ca_file: str | None = None, signed_in: SignedInTokens | None = None
    ) -> None:
        """Create a client. `ca_file` has CA certificates to trust in addition to the system's. Raises InputError.

        `signed_in` is used if there is no `token`.
        """
        fix = "set WHENCE_URL or --url, as in https://whence.example.org"
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as exc:
            raise InputError("url-malformed", f"{url!r} is not a URL: {exc}", fix=fix) from exc
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError("url-malformed", f"{url!r} is not an http or https URL", fix=fix)
        if token is not None and not (token.isascii() and token.isprintable()):
            raise InputError("token-malformed", "the token has invalid characters", fix="set WHENCE_TOKEN")
        self._url = url.rstrip("/")
        self._parts = parts
        self._token = token
        self._signed_in = signed_in if not token else None
        self._context = trusting(ca_file) if parts.scheme == "https" or ca_file is not None else None

    @property
    def url(self) -> str:
        """The aggregator's address, as configured, without a slash at its end."""
        return self._url

    def get(self, path: str, **parameters: str | None) -> Any:
        """GET a path with the parameters that are not None; return the JSON value."""
        return _decoded(self.get_bytes(path, **parameters))

    def get_bytes(self, path: str, **parameters: str | None) -> bytes:
        """GET a path; return the body."""
        return b"".join(self.stream(path, **parameters))

    def put(self, path: str, document: object) -> None:
        """PUT a JSON document."""
        for _ in self._signed("PUT", path, json.dumps(document).encode()):
            pass

    def post(self, path: str, document: object) -> Any:
        """POST a JSON document; return the JSON value of the response."""
        return _decoded(b"".join(self._signed("POST", path, json.dumps(document).encode())))

    def upload(self, path: str, content: FileUpload, **parameters: str | None) -> Any:
        """POST a file of JSON as it is, without holding it in memory; return the JSON value of the response."""
        return _decoded(b"".join(self._signed("POST", _target(path, parameters), content)))

    def stream(self, path: str, **parameters: str | None) -> Iterator[bytes]:
        """GET a path; yield the body in parts, so that a large one is not held in memory. Raises InputError."""
        return self._signed("GET", _target(path, parameters))

    def _signed(self, method: str, target: str, body: bytes | FileUpload | None = None) -> Iterator[bytes]:
        """Send a request with the token; a token of a sign-in that is refused is renewed once."""
        token = self._token or (self._signed_in.current() if self._signed_in is not None else None)
        try:
            yield from self._streamed(method, target, token, body)
        except Refused as exc:
            renewed = self._renewed(exc, token)
        else:
            return
        yield from self._streamed(method, target, renewed, body)

    def _renewed(self, refused: Refused, token: str | None) -> str:
        """Return another token to try once, if the one of a sign-in was refused. Raises the refusal otherwise."""
        if refused.status != 401 or self._signed_in is None:
            raise refused
        renewed = self._signed_in.after_refusal(token) if token is not None else None
        if renewed is None:
            fix = "run whence login, or set WHENCE_TOKEN"
            raise Refused(refused.status, refused.code, refused.message, fix) from refused
        return renewed

    def _streamed(
        self, method: str, target: str, token: str | None, body: bytes | FileUpload | None
    ) -> Iterator[bytes]:
        headers = {"Accept": "application/json", "X-Request-Id": uuid.uuid4().hex}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if isinstance(body, FileUpload):
            headers["Content-Length"] = str(body.size)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection = self._connect()
        try:
            content = body.parts() if isinstance(body, FileUpload) else body
            with suppress(*_REFUSED_EARLY if isinstance(body, FileUpload) else ()):
                connection.request(method, self._parts.path.rstrip("/") + target, body=content, headers=headers)
            with connection.getresponse() as answer:
                if answer.status in _REDIRECTS:
                    raise self._redirected(answer.getheader("Location", ""))
                if answer.status not in _DONE:
                    asked = f"{self._url}{target.partition('?')[0]}"
                    refusal = _refused(answer.status, answer.read(_PROBLEM_BYTES_MAX), asked)
                    if isinstance(refusal, Refused):
                        refusal.retry_after_seconds = _seconds(answer.getheader("Retry-After", ""))
                    raise refusal
                while part := answer.read(_PART_BYTES):
                    yield part
        except ssl.SSLCertVerificationError as exc:
            raise _untrusted(self._url, exc) from exc
        except (OSError, http.client.HTTPException, UnicodeError) as exc:
            raise RoadError("unreachable", f"{self._url} is unreachable: {exc or type(exc).__name__}") from exc
        finally:
            connection.close()

    def _redirected(self, location: str) -> RoadError:
        """Return the error for a redirect: the token is sent to the configured address only."""
        message = f"{self._url} redirects to {one_line(location, 200) or 'no address'}, which is not followed"
        return RoadError("redirected", message, fix="set WHENCE_URL or --url to the aggregator's own address")

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=_REQUEST_SECONDS_MAX, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=_REQUEST_SECONDS_MAX)


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that trusts the system's CAs, and those of a file. Raises InputError."""
    context = ssl.create_default_context()
    if ca_file is None:
        return context
    fix = "set WHENCE_CA_FILE or --ca-file to a file with certificates in PEM"
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError as exc:
        raise InputError("ca-file-unusable", f"{ca_file} is not a certificate in PEM", fix=fix) from exc
    except OSError as exc:
        raise InputError("ca-file-unusable", f"{ca_file} cannot be read: {exc.strerror}", fix=fix) from exc
    return context


def _untrusted(url: str, exc: ssl.SSLCertVerificationError) -> RoadError:
    fix = "add the CA that signed it: --ca-file FILE or WHENCE_CA_FILE"
    if exc.verify_code in _OTHER_NAME:
        fix = "use the certificate's host name in WHENCE_URL or --url"
    return RoadError("certificate-untrusted", f"{url}: the certificate is not trusted: {exc.verify_message}", fix=fix)


def _target(path: str, parameters: Mapping[str, str | None]) -> str:
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    if len(query) > _QUERY_BYTES_MAX:
        message = f"the arguments have {len(query)} bytes in a URL, and {_QUERY_BYTES_MAX} is the most"
        raise InputError("arguments-too-long", message, fix="shorten them")
    return path + (f"?{query}" if query else "")


def segment(text: str) -> str:
    """Return a value encoded as one segment of a path."""
    return quote(text, safe=":")


def _seconds(text: str) -> float | None:
    """Return the seconds of a Retry-After header; None if it has none, or a date."""
    return float(text) if re.fullmatch(r"[0-9]{1,5}", text) else None


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise RoadError("answer-not-json", "the response is not JSON: is this a whence-aggregator?") from exc


def _refused(status: int, content: bytes, asked: str) -> WhenceError:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        message = f"HTTP {status}, and the response is not JSON: is this a whence-aggregator?"
        return RoadError("answer-not-json", message)
    problem = document if isinstance(document, dict) else {}
    if problem.get("code") == "http-404":
        fix = "check WHENCE_URL; an aggregator of another version may not have this path"
        return Refused(status, "http-404", f"the server has no path {asked} (HTTP 404)", fix)
    detail = one_line(str(problem.get("detail", f"HTTP {status} without a reason")))
    return Refused(status, str(problem.get("code", f"http-{status}")), detail, one_line(str(problem.get("fix", ""))))
