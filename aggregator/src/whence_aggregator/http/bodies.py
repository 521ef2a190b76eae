"""Bodies: read within bounds, and JSON documents as answers."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

import msgspec
from aiohttp import HttpVersion11, hdrs, web
from multidict import CIMultiDict

from whence_aggregator.http.pace import RequestPace, paced_chunks
from whence_common.errors import InputError
from whence_common.storable import check_json, check_texts

BODY_SECONDS_MAX = 30.0
_PACE = RequestPace(grace_seconds=10.0, bytes_per_second_min=1024.0)
JSON_HEADERS = CIMultiDict(
    {
        "Content-Type": "application/json; charset=utf-8",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
)
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}


class BodyTooLarge(InputError):
    """The body is larger than this path accepts."""


class BodyTooSlow(InputError):
    """The body did not arrive in time."""


class BodyUnreadable(InputError):
    """The body is encoded, or does not match its headers."""


class JsonResponse(web.StreamResponse):
    """A JSON document, sent in one piece with its head, at half the cost of aiohttp's own response.

    The connection is kept open for HTTP/1.1, unless the client asks to close it.
    """

    def __init__(self, content: bytes, *, status: int = 200) -> None:
        super().__init__(status=status, headers=JSON_HEADERS)
        self.content = content
        self._begun = False
        self._lasting = False
        self._ending = False

    def force_close(self) -> None:
        """Close the connection after this answer."""
        self._ending = True

    @property
    def prepared(self) -> bool:
        return self._begun

    @property
    def keep_alive(self) -> bool:
        return self._lasting

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send everything. Raises ConnectionError when the caller has disconnected."""
        self._begun = True
        self._lasting = request.keep_alive and request.version == HttpVersion11 and not self._ending
        headers = self.headers
        headers[hdrs.CONTENT_LENGTH] = str(len(self.content))
        headers[hdrs.DATE] = _date(int(time.time()))
        if not self._lasting:
            headers[hdrs.CONNECTION] = "close"
        await request.writer.write_headers(_STATUS_LINES[self.status], headers)
        await request.writer.write_eof(b"" if request.method == hdrs.METH_HEAD else self.content)

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: `prepare` has sent everything."""


def respond_json(document: object, *, status: int = 200) -> JsonResponse:
    return JsonResponse(msgspec.json.encode(document), status=status)


def check_request(request: web.Request) -> None:
    """Refuse a path or query with characters that no database can store. Raises Unstorable."""
    texts = [text for pair in request.query.items() for text in pair] if request.query_string else []
    check_texts([request.path, *request.match_info.values(), *texts], "the path or query")


def ready_body(request: web.Request, bytes_max: int) -> bytes | None:
    """Return a body that arrived with its headers; None when it is still to be read.

    Raises BodyTooLarge; BodyUnreadable if it is encoded, since a few bytes could expand to any number; Unstorable.
    """
    if hdrs.CONTENT_ENCODING in request.headers:
        raise BodyUnreadable("body-encoded", "encoded bodies are not accepted", fix="send no Content-Encoding")
    length = request.content_length
    if length is None:
        return None
    if length > bytes_max:
        raise BodyTooLarge("body-too-large", f"the body is larger than {bytes_max} bytes")
    return _checked(request.content.read_nowait()) if request.content.is_eof() else None


async def read_body(request: web.Request, bytes_max: int, *, pace: RequestPace = _PACE) -> bytes:
    """Return a body of at most `bytes_max` bytes.

    Raises BodyTooLarge without reading the rest, BodyTooSlow, BodyUnreadable, or Unstorable for an escaped NUL.
    """
    if (ready := ready_body(request, bytes_max)) is not None:
        return ready
    content, left = bytearray(), bytes_max
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for chunk in paced_chunks(request, pace, passed_on=False):
                content += chunk
                left -= len(chunk)
                del chunk  # no second reference remains while the next chunk is awaited
                if left < 0:
                    raise BodyTooLarge("body-too-large", f"the body is larger than {bytes_max} bytes")
        return _checked(bytes(content))
    except TimeoutError as exc:
        raise BodyTooSlow("body-too-slow", "the body stopped, or arrived too slowly") from exc
    except web.RequestPayloadError as exc:
        raise BodyUnreadable("body-malformed", "the body does not match its headers") from exc
    finally:
        content.clear()  # otherwise an error's traceback keeps it until the next garbage collection


def _checked(content: bytes) -> bytes:
    check_json(content, "the body")
    return content


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
