"""One client for code hosts and trackers: their JSON by GET, within bounds, with the login of each and no other's.

Source: RFC 9110 (conditional requests, Retry-After), RFC 8288 (Link).
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec
from yarl import URL

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.adapters.logins import Logins
from whence_aggregator.collect.kept_answers import KEPT_BODY_BYTES_MAX, KeptAnswer, KeptAnswers
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.limits import pause_seconds
from whence_aggregator.trackers.source import Answered
from whence_common.clock import Now
from whence_common.registry_address import REDIRECTS, Lookup, is_usable_url, kind_of
from whence_common.registry_redirects import Pinned, as_named, pinned
from whence_common.registry_sign_in import Login

SECONDS_MAX = 30.0
"""For one answer with its body: a source that is slow for ever is given up, and asked again later."""
BODY_BYTES_MAX = 4 * 1024 * 1024
DEPTH_MAX = 40
REDIRECTS_MAX = 3
PAGE_ITEMS_MIN = 20
"""No host has smaller pages than these, whatever is asked for."""
_WAITING_MAX = 64
_PAGES_REMEMBERED_MAX = 1_000
_READ_STATUSES = (403, 404, 410, 422)
"""Statuses that mean something to a reader; all others mean that the source is unavailable."""
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{1,200}"\Z')
"""An entity tag that is sent back as it is (RFC 9110, 8.8.3, without obs-text)."""
_NEXT = re.compile(r'<([^<>]{1,2000})>\s*;(?:[^,<]*;)?\s*rel="?next"?')
_JSON = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json\b")
_DENIED = ("AUTHENTICATED_FAILED", "AUTHENTICATION_DENIED", "AUTHORISATION_FAILED")
"""X-Seraph-LoginReason of Jira Server, which answers a refused login as if nobody had signed in."""


class Authorize(Protocol):
    def __call__(self, login: Login) -> Mapping[str, str]:
        """Return the headers that show a login to a source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsidePlace:
    """One code host or tracker."""

    host: str
    """Its name in the settings and in messages."""
    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    private_addresses: bool = False
    """Whether its host may have an address that is not public."""
    requests_at_once_max: int = 2
    seconds_max: float = SECONDS_MAX

    @property
    def origin(self) -> str:
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"


class OutsideSource:
    """Reads one place. Raises SourceUnavailable; no message contains a login or an answer's body."""

    def __init__(
        self, *, session: aiohttp.ClientSession, place: OutsidePlace, logins: Logins, authorize: Authorize,
        kept: KeptAnswers, lookup: Lookup, now: Now, seconds: Callable[[], float],
    ) -> None:  # fmt: skip
        self._session = session
        self._place = place
        self._logins = logins
        self._authorize = authorize
        self._kept = kept
        self._lookup = lookup
        self._now = now
        self._seconds = seconds
        self._places = asyncio.Semaphore(place.requests_at_once_max)
        self._waiting = 0
        self._paused_until = 0.0
        self._repositories: OrderedDict[str, str] = OrderedDict()
        """Of which repository a page is: its URL has only a number, and a GitHub App signs in by repository."""
        self._limited = 0
        """How many answers in a row were limited."""

    async def get(self, path: str) -> Answered:
        """Return the answer to a path below the base URL, or to the URL of a page."""
        url = path if path.startswith(("https://", "http://")) else self._place.base_url.rstrip("/") + path
        if not self._is_own(url):
            raise self._failed("outside-redirect", "names a page on another host, which is refused")
        if self._waiting >= _WAITING_MAX:
            raise self._failed("outside-busy", f"has more than {_WAITING_MAX} requests that wait for it")
        self._waiting += 1
        try:
            async with self._places:
                return await self._asked(url)
        finally:
            self._waiting -= 1

    async def _asked(self, url: str) -> Answered:
        self._check_pause()
        repository = self._repositories.pop(url, "") or _repository_in(url)
        login = await self._logins.login(repository)
        kept = await self._kept.of(url, _name(login))
        headers = {**self._place.headers, "Accept-Encoding": "identity", "User-Agent": "whence"}
        headers |= self._authorize(login) if login is not None else {}
        if kept is not None:
            headers["If-None-Match"] = kept.etag
        moved = False
        try:
            async with asyncio.timeout(self._place.seconds_max):
                for _ in range(REDIRECTS_MAX + 1):
                    answer, content = await self._send(url, headers)
                    if answer.status not in REDIRECTS:
                        found = await self._read(answer, content, url, login, kept, moved=moved)
                        self._remember(found.next, repository)
                        return found
                    url, moved, kept = self._redirected(url, answer.headers.get("Location", "")), True, None
                    headers.pop("If-None-Match", None)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            what = "took too long" if isinstance(exc, TimeoutError) else f"does not answer ({type(exc).__name__})"
            raise self._failed("outside-unreachable", what) from exc
        raise self._failed("outside-redirects", f"redirects more than {REDIRECTS_MAX} times")

    async def _send(self, url: str, headers: Mapping[str, str]) -> tuple[aiohttp.ClientResponse, bytes]:
        """Send a request to a checked address of the place. Raises one of aiohttp's errors, or SourceUnavailable."""
        to = await self._target(url)
        async with self._session.get(
            URL(to.url, encoded=True), headers={**headers, "Host": to.host}, allow_redirects=False,
            server_hostname=to.server_hostname, timeout=aiohttp.ClientTimeout(total=self._place.seconds_max),
        ) as answer:  # fmt: skip
            if answer.status in REDIRECTS:
                return answer, b""
            content = await read_answer(answer, BODY_BYTES_MAX)
        if content is None:
            raise self._failed("outside-too-large", f"sends more than {BODY_BYTES_MAX} bytes")
        return answer, content

    async def _target(self, url: str) -> Pinned:
        """Return where to connect: the address that was checked, since a later lookup may differ."""
        if self._place.private_addresses:
            return as_named(url)
        addresses = await self._lookup(urlsplit(url).hostname or "")
        kinds = {kind_of(one) for one in addresses} - {"public"}
        if kinds or not addresses:
            raise SourceUnavailable(
                "outside-private", f"{self._place.host} has a {min(kinds) if kinds else 'missing'} address",
                fix=f"if that is intended, set private_addresses: true for {self._place.host}",
            )  # fmt: skip
        return pinned(url, addresses[0])

    async def _read(
        self, answer: aiohttp.ClientResponse, content: bytes, url: str, login: Login | None, kept: KeptAnswer | None, *,
        moved: bool,
    ) -> Answered:  # fmt: skip
        headers = {name.lower(): value for name, value in answer.headers.items()}
        self._note_limits(answer.status, headers, content)
        if answer.status == 401 or any(one in headers.get("x-seraph-loginreason", "") for one in _DENIED):
            raise self._logins.refused(login)
        if answer.status == 304 and kept is not None:
            await self._kept.still(url, _name(login), kept)
            following = self._next(headers.get("link", ""), url) or kept.next
            return Answered(status=200, document=msgspec.json.decode(kept.body), next=following, moved=moved)
        if answer.status in _READ_STATUSES:
            return Answered(status=answer.status, moved=moved)
        if answer.status != 200:
            raise self._failed("outside-status", f"answers with HTTP {answer.status}")
        document = self._document(headers, content)
        following = self._next(headers.get("link", ""), url)
        etag = headers.get("etag", "")
        sized = len(content) <= KEPT_BODY_BYTES_MAX
        if _TAG.match(etag) and sized and not moved and (following or not _may_be_full(document)):
            await self._kept.keep(url, _name(login), KeptAnswer(etag=etag, next=following, kept_at=0, body=content))
        return Answered(status=200, document=document, next=following, moved=moved)

    def _document(self, headers: Mapping[str, str], content: bytes) -> Any:
        """Return an answer's document. A page for people, such as a sign-in, is refused."""
        kind = headers.get("content-type", "").lower()
        if "html" in kind or content.lstrip()[:1] == b"<":
            raise self._failed(
                "outside-login-page", "answers with a page for people, perhaps its sign-in, and not with JSON",
                fix=f"check the login and the URL of {self._place.host}",
            )  # fmt: skip
        if not _JSON.match(kind) or headers.get("content-encoding", "identity").lower() != "identity":
            raise self._failed("outside-not-json", "answers with something else than plain JSON")
        try:
            document = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise self._failed("outside-not-json", "answers with malformed JSON") from exc
        if too_deep(document):
            raise self._failed("outside-too-deep", f"answers with JSON that is nested more than {DEPTH_MAX} deep")
        return document

    def _next(self, link: str, url: str) -> str:
        found = _NEXT.search(link[:8192])
        if found is None:
            return ""
        following = _joined(url, found[1])
        if not self._is_own(following):
            raise self._failed("outside-redirect", "names a page on another host, which is refused")
        return following

    def _redirected(self, url: str, location: str) -> str:
        """Return where a redirect leads: on the place's own origin, and nowhere else."""
        target = _joined(url, location)
        if not location or not self._is_own(target):
            raise self._failed(
                "outside-redirect", "redirects to another host, which is refused",
                fix="if it has moved, write its new host in the settings",
            )  # fmt: skip
        return target

    def _is_own(self, url: str) -> bool:
        parts = urlsplit(url)
        return is_usable_url(url) and f"{parts.scheme}://{parts.netloc}".lower() == self._place.origin.lower()

    def _remember(self, page: str, repository: str) -> None:
        if page and repository:
            self._repositories[page] = repository
            if len(self._repositories) > _PAGES_REMEMBERED_MAX:
                self._repositories.popitem(last=False)

    def _note_limits(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """Note how long the source must not be asked. Raises SourceUnavailable if this answer was limited."""
        text = content[:4096].decode("utf-8", "replace") if status == 403 else ""
        pause = pause_seconds(status, headers, text, now=self._now(), times=self._limited)
        if pause is None:
            self._limited = 0
            return
        self._paused_until = max(self._paused_until, self._seconds() + pause)
        if status >= 400:
            self._limited += 1
            self._check_pause()

    def _check_pause(self) -> None:
        left = self._paused_until - self._seconds()
        if left > 0:
            raise SourceUnavailable(
                "outside-limited", f"{self._place.host} limits requests; it is asked again in {left:.0f} seconds",
                retry_after_seconds=left,
            )  # fmt: skip

    def _failed(self, code: str, what: str, *, fix: str = "") -> SourceUnavailable:
        return SourceUnavailable(code, f"{self._place.host} {what}", fix=fix)


def too_deep(document: Any) -> bool:
    """Return whether a document is nested more than DEPTH_MAX deep."""
    level = [document]
    for _ in range(DEPTH_MAX):
        level = [
            inner for one in level if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one) if isinstance(inner, dict | list)
        ]  # fmt: skip
        if not level:
            return False
    return True


def _may_be_full(document: Any) -> bool:
    """Return whether an answer may be a full page: the next one comes to be without a change of it and of its tag."""
    lists = [document, *(document.values() if isinstance(document, dict) else ())]
    return any(isinstance(one, list) and len(one) >= PAGE_ITEMS_MIN for one in lists)


def _joined(url: str, reference: str) -> str:
    """Return where a reference leads; empty for one that is no text of a URL."""
    try:
        return str(urljoin(url, reference)) if reference.isascii() else ""
    except ValueError:
        return ""


def _repository_in(url: str) -> str:
    """Return `owner/name` of a URL of GitHub's API; empty without one."""
    found = re.search(r"/repos/([^/?]+/[^/?]+)", url)
    return found[1] if found is not None else ""


def _name(login: Login | None) -> str:
    return login.username if login is not None else ""
